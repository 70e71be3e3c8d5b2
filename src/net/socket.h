// What the reactors need of the system's sockets: addresses, listening and connecting sockets, and what an errno means.
// Every socket is non-blocking (but where io_uring waits on it), closed on exec, and a TCP one has no Nagle delay: a
// proxy forwards at once or not at all.
//
// Threads: no state; any thread.
#pragma once

#include <cstdint>
#include <string_view>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include "base/result.h"
#include "net/endpoint.h"
#include "net/reactor.h"

namespace weir::net {

// Owns a file descriptor.
class Descriptor {
  public:
    Descriptor() = default;
    explicit Descriptor(int fd) : fd_(fd) {}
    Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept {
        if (this != &other) {
            reset();
            fd_ = std::exchange(other.fd_, -1);
        }
        return *this;
    }
    ~Descriptor() { reset(); }

    [[nodiscard]] int get() const { return fd_; }
    [[nodiscard]] bool valid() const { return fd_ >= 0; }
    [[nodiscard]] int release() { return std::exchange(fd_, -1); }
    void reset();

  private:
    int fd_ = -1;
};

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;
    [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

// kInvalidArgument for a Unix path that does not fit.
[[nodiscard]] Result<SocketAddress> to_socket_address(const Endpoint& endpoint);
// An address of another family, or none, is an endpoint with nothing set.
[[nodiscard]] Endpoint from_socket_address(const SocketAddress& address);

// A bound socket that listens. `[::]` takes IPv4 too, and becomes 0.0.0.0 where there is no IPv6. A file at a Unix
// path is removed only when it is a socket that nobody listens on. Errors as Reactor::listen.
[[nodiscard]] Result<Descriptor> open_listener(const Endpoint& endpoint, const ListenOptions& options);
// Removes the file of a Unix listener, when the one at the path is still a socket.
void remove_listener_file(const Endpoint& endpoint);
// The endpoint that a socket is bound to.
[[nodiscard]] Endpoint local_endpoint(int fd);

// A socket of the endpoint's family, not yet connected. kExhausted without a descriptor. io_uring waits by itself on a
// blocking one, and would return EAGAIN from a non-blocking one.
[[nodiscard]] Result<Descriptor> open_stream_socket(const Endpoint& endpoint, bool blocking = false);

// The pending error of a socket (SO_ERROR), which this clears; 0 when there is none.
[[nodiscard]] int take_socket_error(int fd);

// What an errno of connect, send or receive says.
[[nodiscard]] Error error_of_errno(int number, ErrorSource source);
// True for what accept(2) reports when the process or the system has no descriptor or memory left.
[[nodiscard]] bool is_exhaustion(int number);

// recv(2) and send(2) by themselves. The C library's are cancellation points, which in a process of several threads
// adds to each of these calls, the commonest of all, two atomic operations; nobody cancels a worker.
inline ssize_t receive_bytes(int fd, void* bytes, std::size_t size) {
    return ::syscall(SYS_recvfrom, fd, bytes, size, MSG_DONTWAIT, nullptr, nullptr);
}
inline ssize_t send_bytes(int fd, const void* bytes, std::size_t size, int flags) {
    return ::syscall(SYS_sendto, fd, bytes, size, flags, nullptr, 0);
}

}  // namespace weir::net
