#include "net/socket.h"

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

namespace weir::net {
namespace {

constexpr int kSocketFlags = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;

void set_option(int fd, int level, int option, int value) {
    // A refused option leaves a slower or stricter socket, and what matters fails at bind.
    static_cast<void>(::setsockopt(fd, level, option, &value, sizeof value));
}

Error listen_error(int number) {
    const auto error = [](ErrorCode code, std::string_view detail) {
        return Error{code, ErrorSource::kConfiguration, false, detail};
    };
    switch (number) {
        case EADDRINUSE:
            return error(ErrorCode::kInvalidArgument, "the address is in use");
        case EADDRNOTAVAIL:
            return error(ErrorCode::kUnreachable, "this machine does not have the address");
        case ENOENT:
        case ENOTDIR:
            return error(ErrorCode::kUnreachable, "the folder of the socket does not exist");
        case EAFNOSUPPORT:
            return error(ErrorCode::kUnreachable, "this machine does not speak the address family");
        case EACCES:
        case EPERM:
        case EROFS:
            return error(ErrorCode::kForbidden, "no permission to listen there");
        default:
            return is_exhaustion(number) ? error(ErrorCode::kExhausted, "no descriptor or memory left to listen")
                                         : error(ErrorCode::kInternal, "the system refused to listen");
    }
}

// Takes a stale socket's file out of the way. A live socket and everything that is no socket stay, and bind then says
// that the address is in use.
void remove_if_stale(const SocketAddress& address) {
    const auto* unix_address = reinterpret_cast<const sockaddr_un*>(&address.storage);
    struct stat status {};
    if (::lstat(unix_address->sun_path, &status) != 0 || !S_ISSOCK(status.st_mode)) return;
    const Descriptor probe(::socket(AF_UNIX, kSocketFlags, 0));
    if (!probe.valid()) return;
    if (::connect(probe.get(), address.get(), address.size) != 0 && errno == ECONNREFUSED) {
        static_cast<void>(::unlink(unix_address->sun_path));
    }
}

Result<Descriptor> listen_at(const SocketAddress& address, const Endpoint& endpoint, const ListenOptions& options) {
    Descriptor fd(::socket(address.storage.ss_family, kSocketFlags, 0));
    if (!fd.valid()) return listen_error(errno);
    if (endpoint.is_unix()) {
        remove_if_stale(address);
        // The mode of the socket before bind is that of the file (less the umask): it is never wider than asked for.
        if (::fchmod(fd.get(), options.unix_mode) != 0) return listen_error(errno);
    } else {
        set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
        if (options.reuse_port) set_option(fd.get(), SOL_SOCKET, SO_REUSEPORT, 1);
        set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);  // accepted sockets inherit it
        if (address.storage.ss_family == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    if (::bind(fd.get(), address.get(), address.size) != 0) return listen_error(errno);
    if (endpoint.is_unix() && ::chmod(endpoint.unix_path.c_str(), options.unix_mode) != 0) return listen_error(errno);
    if (::listen(fd.get(), options.backlog) != 0) return listen_error(errno);
    return fd;
}

}  // namespace

void Descriptor::reset() {
    if (fd_ >= 0) ::close(fd_);
    fd_ = -1;
}

Result<SocketAddress> to_socket_address(const Endpoint& endpoint) {
    SocketAddress address;
    if (endpoint.is_unix()) {
        auto* to = reinterpret_cast<sockaddr_un*>(&address.storage);
        if (endpoint.unix_path.size() >= sizeof to->sun_path || endpoint.unix_path.find('\0') != std::string::npos) {
            return Error{ErrorCode::kInvalidArgument, ErrorSource::kConfiguration, false,
                         "the path of a Unix socket is too long"};
        }
        to->sun_family = AF_UNIX;
        std::memcpy(to->sun_path, endpoint.unix_path.data(), endpoint.unix_path.size());
        address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + endpoint.unix_path.size() + 1);
    } else if (endpoint.address.is_v4()) {
        auto* to = reinterpret_cast<sockaddr_in*>(&address.storage);
        to->sin_family = AF_INET;
        to->sin_port = htons(endpoint.port);
        std::memcpy(&to->sin_addr, endpoint.address.bytes().data() + 12, 4);
        address.size = sizeof *to;
    } else {
        auto* to = reinterpret_cast<sockaddr_in6*>(&address.storage);
        to->sin6_family = AF_INET6;
        to->sin6_port = htons(endpoint.port);
        std::memcpy(&to->sin6_addr, endpoint.address.bytes().data(), 16);
        address.size = sizeof *to;
    }
    return address;
}

Endpoint from_socket_address(const SocketAddress& address) {
    Endpoint endpoint;
    if (address.size < sizeof(sa_family_t)) return endpoint;
    if (address.storage.ss_family == AF_INET && address.size >= sizeof(sockaddr_in)) {
        const auto* from = reinterpret_cast<const sockaddr_in*>(&address.storage);
        std::array<std::uint8_t, 4> bytes{};
        std::memcpy(bytes.data(), &from->sin_addr, bytes.size());
        endpoint.address = IpAddress::from_v4(bytes);
        endpoint.port = ntohs(from->sin_port);
    } else if (address.storage.ss_family == AF_INET6 && address.size >= sizeof(sockaddr_in6)) {
        const auto* from = reinterpret_cast<const sockaddr_in6*>(&address.storage);
        IpAddress::Bytes bytes{};
        std::memcpy(bytes.data(), &from->sin6_addr, bytes.size());
        endpoint.address = IpAddress::from_v6(bytes);
        endpoint.port = ntohs(from->sin6_port);
    } else if (address.storage.ss_family == AF_UNIX && address.size > offsetof(sockaddr_un, sun_path)) {
        const auto* from = reinterpret_cast<const sockaddr_un*>(&address.storage);
        const std::size_t size = address.size - offsetof(sockaddr_un, sun_path);
        endpoint.unix_path.assign(from->sun_path, ::strnlen(from->sun_path, size));
    }
    return endpoint;
}

Result<Descriptor> open_listener(const Endpoint& endpoint, const ListenOptions& options) {
    auto address = to_socket_address(endpoint);
    if (!address) return address.error();
    auto fd = listen_at(*address, endpoint, options);
    const bool no_ipv6 = !fd && fd.error().code == ErrorCode::kUnreachable;
    if (no_ipv6 && !endpoint.is_unix() && endpoint.address == IpAddress{}) {
        Endpoint ipv4 = endpoint;
        ipv4.address = IpAddress::from_v4({0, 0, 0, 0});
        return open_listener(ipv4, options);
    }
    return fd;
}

void remove_listener_file(const Endpoint& endpoint) {
    struct stat status {};
    if (!endpoint.is_unix() || ::lstat(endpoint.unix_path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
    static_cast<void>(::unlink(endpoint.unix_path.c_str()));
}

Endpoint local_endpoint(int fd) {
    SocketAddress address;
    address.size = sizeof address.storage;
    if (::getsockname(fd, address.get(), &address.size) != 0) return {};
    return from_socket_address(address);
}

Result<Descriptor> open_stream_socket(const Endpoint& endpoint, bool blocking) {
    const int family = endpoint.is_unix() ? AF_UNIX : endpoint.address.is_v4() ? AF_INET : AF_INET6;
    Descriptor fd(::socket(family, blocking ? kSocketFlags & ~SOCK_NONBLOCK : kSocketFlags, 0));
    if (!fd.valid()) return error_of_errno(errno, ErrorSource::kUpstream);
    if (family != AF_UNIX) set_option(fd.get(), IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
}

int take_socket_error(int fd) {
    int number = 0;
    socklen_t size = sizeof number;
    return ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size) == 0 ? number : errno;
}

Error error_of_errno(int number, ErrorSource source) {
    const auto error = [source](ErrorCode code, bool retryable, std::string_view detail) {
        return Error{code, source, retryable, detail};
    };
    switch (number) {
        case ECONNREFUSED:
            return error(ErrorCode::kConnectionRefused, true, "nobody listens there");
        case EAGAIN:  // connect(2) to a Unix socket whose backlog is full
            return error(ErrorCode::kConnectionRefused, true, "too many connections wait there");
        case ECONNRESET:
        case ECONNABORTED:
        case EPIPE:
            return error(ErrorCode::kConnectionReset, true, "the peer reset the connection");
        case ETIMEDOUT:
            return error(ErrorCode::kTimeout, true, "the peer does not answer");
        case ENETUNREACH:
        case EHOSTUNREACH:
        case ENETDOWN:
        case EHOSTDOWN:
        case EADDRNOTAVAIL:
        case EAFNOSUPPORT:
        case ENOENT:
        case ENOTDIR:
        case ENOTSOCK:
        case EPROTOTYPE:
            return error(ErrorCode::kUnreachable, true, "no way to that address");
        case EACCES:
        case EPERM:
            return error(ErrorCode::kForbidden, false, "no permission to connect there");
        default:
            return is_exhaustion(number) ? error(ErrorCode::kExhausted, true, "no descriptor or memory left")
                                         : error(ErrorCode::kInternal, false, "the system refused");
    }
}

bool is_exhaustion(int number) {
    return number == EMFILE || number == ENFILE || number == ENOMEM || number == ENOBUFS || number == ENOSPC;
}

}  // namespace weir::net
