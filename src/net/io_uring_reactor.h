// The Reactor on io_uring (io_uring(7); Linux 6.0 for multishot receive, 6.1 for deferred task work).
//
// Receiving. Each socket has one multishot receive for its life. The kernel puts bytes into blocks of the BlockPool
// that wait in a ring (IORING_REGISTER_PBUF_RING): an idle socket holds no buffer, a message costs one completion and
// no system call of its own, and a whole turn one io_uring_enter. Blocks are 64 KiB, since with small buffers a large
// frame costs a completion for each piece. The ring is short, kRingBlocks: it is what one socket can have taken before
// its owner gets to say "pause", and it walks through all its blocks, so a long one is a cold one.
//
// Measured with a bare relay of WebSocket echoes (64 connections, one message each under way, Linux 6.18, two cores
// that others were using, so rough; CPU of the relay a round trip): 128 bytes 12 us, with epoll 12 to 13; 64 KiB 74 to
// 84 us, with epoll 62, whose one block stays in the cache. A ring of 8 made that 72 to 79 us, and 128 bytes 17 to 22
// where this one had 13 to 16 at the time: the receives of other sockets end without a block.
//
// Sending is a plain sendmsg(2) when the event that caused it returns, as in the epoll reactor; only when the socket
// does not take all is the kernel asked (by a poll through the ring) to tell of room. A send through the ring would
// cost a request, a copy of the vector and a completion instead of the system call (which of the two is cheaper was not
// measured), and it would own the blocks for as long as a reader is slow: what waits here can be copied out of its
// blocks (SendQueue::settle).
//
// Ownership. The kernel holds no memory of ours but the blocks of the ring, which live as long as the ring does. A
// closed socket keeps its slot and its descriptor until the last of its requests has completed; user_data names kind,
// generation and index, so that a completion never reaches another socket.
//
// Pausing cancels the receive; what had arrived before is held, at most kRingBlocks, and comes first after resuming. A
// paused socket does not notice that its peer is gone until it is resumed or sent to.
//
// Threads. The ring belongs to the thread of the first `turn`; making it and destroying it may be another's.
#pragma once

#include <array>
#include <deque>
#include <vector>

#include "net/kernel_reactor.h"

struct io_uring;
struct io_uring_sqe;
struct io_uring_buf_ring;

namespace weir::net {

struct IoUringSocket {
    SendQueue* queue = nullptr;
    SendQueue* held = nullptr;  // received while paused
    int fd = -1;
    std::uint32_t generation = 0;
    std::uint16_t broken_errno = 0;   // sending failed; told when the received bytes are read
    std::uint16_t receive_errno = 0;  // receiving failed; told after what is held
    std::uint8_t requests = 0;        // that the kernel has
    bool closing : 1 = false;         // dead for the owner, waits for its requests
    bool connecting : 1 = false;
    bool outgoing : 1 = false;
    bool receiving : 1 = false;  // the multishot receive is armed
    bool cancelling : 1 = false;
    bool end_came : 1 = false;  // may still wait behind what is held
    bool ended : 1 = false;
    bool paused : 1 = false;
    bool waits_for_room : 1 = false;
    bool dirty : 1 = false;
    bool unsettled : 1 = false;  // on the list of sockets whose receive is to be armed, cancelled, or delivered
    bool above_high : 1 = false;
    bool shutdown_asked : 1 = false;
    bool shutdown_done : 1 = false;
};

class IoUringReactor final : public KernelReactor<IoUringSocket> {
  public:
    // kUnsupported when the system refuses io_uring or is too old for it, kExhausted without descriptors or memory.
    [[nodiscard]] static Result<std::unique_ptr<Reactor>> make(Clock& clock, const ReactorOptions& options);
    ~IoUringReactor() override;

    Result<std::uint32_t> listen(const Endpoint& endpoint, const ListenOptions& options) override;
    void stop_listening(std::uint32_t listener) override;
    Result<SocketId> connect(const Endpoint& endpoint, const TlsClient* tls) override;
    void pause_receiving(SocketId socket) override;
    void resume_receiving(SocketId socket) override;
    std::size_t open_sockets() const override { return sockets_.live() - closing_; }
    void turn(Nanos wait) override;
    std::string_view name() const override { return "io_uring"; }

  private:
    static constexpr std::uint32_t kRingBlocks = 32;
    static constexpr std::uint32_t kSubmissions = 1024;
    static constexpr std::uint32_t kCompletions = 8192;

    enum class Kind : std::uint8_t { kIgnored, kWake, kListener, kConnect, kReceive, kRoom, kBroken };

    struct Completion {
        std::uint64_t user_data;
        int result;
        std::uint32_t flags;
    };

    IoUringReactor(Clock& clock, const ReactorOptions& options, Descriptor wake);
    [[nodiscard]] int set_up();

    [[nodiscard]] static std::uint64_t user_data(Kind kind, SocketId id);
    [[nodiscard]] io_uring_sqe* next_request(Kind kind, SocketId id);
    void enable();
    void enter(Nanos wait);
    void park_blocks();
    [[nodiscard]] Slice take_block(const Completion& completion);

    void deliver(const Completion& completion);
    void on_connect(SocketId id, int result);
    void on_receive(SocketId id, IoUringSocket& socket, const Completion& completion);
    void on_received_bytes(SocketId id, IoUringSocket& socket, Slice bytes);
    void on_broken(SocketId id);

    // Brings what the kernel does for a socket in line with what its owner wants.
    void unsettle(IoUringSocket& socket, SocketId id);
    void settle_sockets();
    void settle(SocketId id);
    void deliver_held(SocketId id);
    void tell_stop(SocketId id);
    void arm_receive(IoUringSocket& socket, SocketId id);

    bool await_room(SocketId id, IoUringSocket& socket) override;
    void begin_close(SocketId id) override;
    // Waits for the requests that the kernel has, if there are any.
    void finish_close(SocketId id) override;
    void drop_queues(IoUringSocket& socket);

    void arm_listener(std::uint32_t listener);
    void accept_some(std::uint32_t listener);
    void resume_accepting();

    std::size_t closing_ = 0;
    std::vector<SocketId> unsettled_;  // see IoUringSocket::unsettled
    std::vector<SocketId> settling_;   // scratch of settle_sockets
    std::vector<SocketId> starved_;    // their receive ended without a block
    std::vector<Completion> completions_;
    std::deque<SocketAddress> addresses_;  // of requests that are not submitted yet

    std::unique_ptr<io_uring> ring_;
    io_uring_buf_ring* buffers_ = nullptr;
    std::uint32_t ring_blocks_ = 0;
    std::array<Slice, kRingBlocks> parked_;
    std::vector<std::uint16_t> missing_;  // places of the ring without a block
    bool enabled_ = false;
};

}  // namespace weir::net
