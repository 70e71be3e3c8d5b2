// The Reactor on epoll (epoll(7)), for kernels and sandboxes without io_uring.
//
// Cost. A socket is registered once, edge-triggered: one epoll_ctl a connection, plus one when it first has to wait for
// room to send. A receive that does not fill its block has emptied the socket, so nobody asks again to hear EAGAIN;
// what `on_received` sends is collected and leaves with one sendmsg when it returns. So a message costs one recv and
// one sendmsg, and an epoll_wait that is shared by all that happened meanwhile.
//
// An idle socket holds an EpollSocket (24 bytes) and no buffer: a block is taken for the receive and goes back with the
// last Slice of it; a send queue exists while something waits.
//
// Bounds. A socket receives at most kReceivesPerTurn blocks a turn. At the bound of the block pool receiving rests
// until blocks come back. Without descriptors (EMFILE), or at sockets_max, accepting rests until a socket closes, or
// for kAcceptPause.
//
// Urgent data (MSG_OOB) ends a receive early: a peer that sends it may have its later bytes seen with its next ones.
#pragma once

#include <vector>

#include "net/kernel_reactor.h"

struct epoll_event;

namespace weir::net {

struct EpollSocket {
    static constexpr bool closing = false;  // a closed one is gone at once
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

class EpollReactor final : public KernelReactor<EpollSocket> {
  public:
    // kUnsupported when the system refuses epoll, kExhausted without descriptors.
    [[nodiscard]] static Result<std::unique_ptr<Reactor>> make(Clock& clock, const ReactorOptions& options);
    ~EpollReactor() override;

    Result<std::uint32_t> listen(const Endpoint& endpoint, const ListenOptions& options) override;
    void stop_listening(std::uint32_t listener) override;
    Result<SocketId> connect(const Endpoint& endpoint, const TlsClient* tls) override;
    void pause_receiving(SocketId socket) override;
    void resume_receiving(SocketId socket) override;
    std::size_t open_sockets() const override { return sockets_.live(); }
    void turn(Nanos wait) override;
    std::string_view name() const override { return "epoll"; }

  private:
    static constexpr int kReceivesPerTurn = 4;
    static constexpr std::size_t kEventsPerTurn = 256;

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
    void on_socket_event(SocketId id, std::uint32_t mask);

    void receive(SocketId id);
    void receive_stopped(SocketId id, int number);
    // Puts a socket that may have more to receive on a list for a later turn.
    static void rest(EpollSocket& socket, SocketId id, std::vector<SocketId>& list);

    bool await_room(SocketId id, EpollSocket& socket) override;
    void deliver_before_broken(SocketId id, EpollSocket& socket) override;
    void begin_close(SocketId id) override;
    void finish_close(SocketId id) override { sockets_.release(id.index); }

    void finish_connect(SocketId id, int number);

    void accept_some(std::uint32_t listener);
    void accept_one(std::uint32_t listener, Descriptor fd, const SocketAddress& peer);
    void rest_accepting(bool exhausted);
    void resume_accepting();
    [[nodiscard]] bool watch(int fd, std::uint64_t key, std::uint32_t events, bool known);

    Descriptor epoll_;
    std::vector<FinishedConnect> finished_connects_;
    std::vector<SocketId> ready_;    // were cut short by fairness, or resumed
    std::vector<SocketId> starved_;  // wait for a block
    std::vector<SocketId> resting_;  // scratch of deliver_rested
};

}  // namespace weir::net
