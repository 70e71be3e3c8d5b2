// The Reactor on epoll (epoll(7)), for kernels and sandboxes without io_uring.
//
// Cost. A socket is registered once, edge-triggered: one epoll_ctl a connection, plus one when it first has to wait for
// room to send. A receive that does not fill its block has emptied the socket, so nobody asks again to hear EAGAIN;
// what `on_received` sends is collected and leaves with one sendmsg when it returns. So a message costs one recv and
// one sendmsg, and an epoll_wait that is shared by all that happened meanwhile.
//
// An idle socket holds a Socket (24 bytes) and no buffer: a block is taken for the receive and goes back with the last
// Slice of it; a send queue exists while something waits.
//
// Bounds. A socket receives at most kReceivesPerTurn blocks a turn. At the bound of the block pool receiving rests
// until blocks come back. Without descriptors (EMFILE), or at sockets_max, accepting rests until a socket closes, or
// for kAcceptPause.
//
// Urgent data (MSG_OOB) ends a receive early: a peer that sends it may have its later bytes seen with its next ones.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "net/reactor.h"
#include "net/send_queue.h"
#include "net/slot_table.h"
#include "net/socket.h"
#include "net/timer_wheel.h"

struct epoll_event;

namespace weir::net {

class EpollReactor final : public Reactor {
  public:
    // kUnsupported when the system refuses epoll, kExhausted without descriptors.
    [[nodiscard]] static Result<std::unique_ptr<Reactor>> make(Clock& clock, const ReactorOptions& options);
    ~EpollReactor() override;

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
    std::size_t open_sockets() const override { return sockets_.live(); }
    void turn(Nanos wait) override;
    void wake() override;
    std::string_view name() const override { return "epoll"; }

  private:
    static constexpr int kReceivesPerTurn = 4;
    static constexpr int kAcceptsPerTurn = 64;
    static constexpr std::size_t kEventsPerTurn = 256;
    static constexpr Nanos kAcceptPause = std::chrono::milliseconds(100);

    struct Socket {
        SendQueue* queue = nullptr;
        int fd = -1;
        std::uint32_t generation = 0;
        std::uint16_t broken_errno = 0;  // sending failed; told when the received bytes are read
        bool connecting : 1 = false;
        bool outgoing : 1 = false;
        bool readable : 1 = false;  // the kernel may hold bytes or an end that we have not taken
        bool hung_up : 1 = false;   // an end or an error is behind the bytes: receive until it shows
        bool ended : 1 = false;
        bool paused : 1 = false;
        bool waits_for_room : 1 = false;
        bool watches_room : 1 = false;  // registered for EPOLLOUT
        bool dirty : 1 = false;
        bool rests : 1 = false;  // on one of the lists ready_ and starved_
        bool above_high : 1 = false;
        bool shutdown_asked : 1 = false;
        bool shutdown_done : 1 = false;
    };
    struct Listener {
        Descriptor fd;
        Endpoint endpoint;
        bool armed = false;
    };
    struct FinishedConnect {
        SocketId id;
        int number;  // errno, or 0
    };

    EpollReactor(Clock& clock, const ReactorOptions& options, Descriptor epoll, Descriptor wake);

    [[nodiscard]] bool has_work() const;
    [[nodiscard]] int wait_milliseconds(Nanos wait);
    void deliver_event(const epoll_event& event);
    void deliver_finished_connects();
    void deliver_rested();
    void deliver_timers();
    void on_socket_event(SocketId id, std::uint32_t mask);

    void receive(SocketId id);
    void receive_stopped(SocketId id, int number);
    // Puts a socket that may have more to receive on a list for a later turn.
    static void rest(Socket& socket, SocketId id, std::vector<SocketId>& list);

    void mark_dirty(Socket& socket, SocketId id);
    void flush_dirty();
    void flush(SocketId id);
    void send_failed(SocketId id, int number);
    void tell_drained(SocketId id);
    void drop_queue(Socket& socket);

    void finish_connect(SocketId id, int number);
    void fail(SocketId id, int number);
    // Closes and retires; the index is released after the event that tells of it.
    void dispose(std::uint32_t index);

    void accept_some(std::uint32_t listener);
    void accept_one(std::uint32_t listener, Descriptor fd, const SocketAddress& peer);
    void rest_accepting(bool exhausted);
    void resume_accepting();
    [[nodiscard]] bool watch(int fd, std::uint64_t key, std::uint32_t events, bool known);

    Clock& clock_;
    ReactorOptions options_;
    ReactorEvents* events_ = nullptr;
    Descriptor epoll_;
    Descriptor wake_;
    BlockPool blocks_;
    SendQueuePool queues_;
    TimerWheel timers_;
    SlotTable<Socket> sockets_;
    std::vector<Listener> listeners_;
    std::vector<FinishedConnect> finished_connects_;
    std::vector<SocketId> dirty_;    // have something to hand to the kernel
    std::vector<SocketId> ready_;    // were cut short by fairness, or resumed
    std::vector<SocketId> starved_;  // wait for a block
    std::vector<SocketId> resting_;  // scratch of deliver_rested
    MonoTime now_;
    mutable std::optional<WallTime> wall_now_;
    MonoTime accept_again_{};
    bool accept_rests_ = false;
    bool accept_exhausted_ = false;
    bool in_turn_ = false;
    bool flushing_ = false;
};

}  // namespace weir::net
