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
#include <optional>
#include <vector>

#include "net/reactor.h"
#include "net/send_queue.h"
#include "net/slot_table.h"
#include "net/socket.h"
#include "net/timer_wheel.h"

struct io_uring;
struct io_uring_sqe;
struct io_uring_buf_ring;

namespace weir::net {

class IoUringReactor final : public Reactor {
  public:
    // kUnsupported when the system refuses io_uring or is too old for it, kExhausted without descriptors or memory.
    [[nodiscard]] static Result<std::unique_ptr<Reactor>> make(Clock& clock, const ReactorOptions& options);
    ~IoUringReactor() override;

    void set_events(ReactorEvents* events) override { events_ = events; }
    Result<std::uint32_t> listen(const Endpoint& endpoint, const ListenOptions& options) override;
    Endpoint listener_endpoint(std::uint32_t listener) const override;
    void stop_listening(std::uint32_t listener) override;
    Result<SocketId> connect(const Endpoint& endpoint) override;
    void send(SocketId socket, Slice bytes) override;
    std::size_t unsent_bytes(SocketId socket) const override;
    void shutdown_send(SocketId socket) override;
    void close(SocketId socket) override;
    void pause_receiving(SocketId socket) override;
    void resume_receiving(SocketId socket) override;
    TimerId set_timer(Nanos delay, std::uint64_t cookie) override;
    void cancel_timer(TimerId timer) override { static_cast<void>(timers_.cancel(timer)); }
    MonoTime now() const override { return now_; }
    WallTime wall_now() const override;
    BlockPool& blocks() override { return blocks_; }
    std::size_t open_sockets() const override { return sockets_.live() - closing_; }
    void turn(Nanos wait) override;
    void wake() override;
    std::string_view name() const override { return "io_uring"; }

  private:
    static constexpr std::uint32_t kRingBlocks = 32;
    static constexpr std::uint32_t kSubmissions = 1024;
    static constexpr std::uint32_t kCompletions = 8192;
    static constexpr int kAcceptsPerTurn = 64;
    static constexpr Nanos kAcceptPause = std::chrono::milliseconds(100);

    enum class Kind : std::uint8_t { kIgnored, kWake, kListener, kConnect, kReceive, kRoom, kBroken };

    struct Socket {
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
    struct Listener {
        Descriptor fd;
        Endpoint endpoint;
        bool armed = false;
        bool wanted = true;
    };
    struct Completion {
        std::uint64_t user_data;
        int result;
        std::uint32_t flags;
    };

    IoUringReactor(Clock& clock, const ReactorOptions& options, Descriptor wake);
    [[nodiscard]] int set_up();

    [[nodiscard]] static std::uint64_t user_data(Kind kind, SocketId id);
    [[nodiscard]] Socket* find(SocketId id);
    [[nodiscard]] io_uring_sqe* next_request(Kind kind, SocketId id);
    void enable();
    void enter(Nanos wait);
    void park_blocks();
    [[nodiscard]] Slice take_block(const Completion& completion);

    [[nodiscard]] Nanos bounded(Nanos wait);
    void deliver(const Completion& completion);
    void deliver_timers();
    void on_connect(SocketId id, int result);
    void on_receive(SocketId id, Socket& socket, const Completion& completion);
    void on_received_bytes(SocketId id, Socket& socket, Slice bytes);
    void on_broken(SocketId id);

    // Brings what the kernel does for a socket in line with what its owner wants.
    void unsettle(Socket& socket, SocketId id);
    void settle_sockets();
    void settle(SocketId id);
    void deliver_held(SocketId id);
    void tell_stop(SocketId id);
    void arm_receive(Socket& socket, SocketId id);

    void mark_dirty(Socket& socket, SocketId id);
    void flush_dirty();
    void flush(SocketId id);
    void send_failed(SocketId id, int number);
    void tell_drained(SocketId id);
    void drop_queues(Socket& socket);

    void fail(SocketId id, int number);
    // Dead for the owner from here on; the slot is given back when the event that tells of it, if any, is over.
    void begin_close(SocketId id);
    void release_if_done(SocketId id);

    void arm_listener(std::uint32_t listener);
    void accept_some(std::uint32_t listener);
    void rest_accepting(bool exhausted);
    void resume_accepting();

    Clock& clock_;
    ReactorOptions options_;
    ReactorEvents* events_ = nullptr;
    Descriptor wake_;
    BlockPool blocks_;
    SendQueuePool queues_;
    TimerWheel timers_;
    SlotTable<Socket> sockets_;
    std::size_t closing_ = 0;
    std::vector<Listener> listeners_;
    std::vector<SocketId> dirty_;      // have something to hand to the kernel
    std::vector<SocketId> unsettled_;  // see Socket::unsettled
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

    MonoTime now_;
    mutable std::optional<WallTime> wall_now_;
    MonoTime accept_again_{};
    bool accept_rests_ = false;
    bool accept_exhausted_ = false;
    bool in_turn_ = false;
    bool flushing_ = false;
};

}  // namespace weir::net
