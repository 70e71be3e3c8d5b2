// The Reactor on a SimulatedNetwork (simulated_network.h, which has an example). Made by
// SimulatedNetwork::make_reactor.
//
// A turn collects what could be delivered, shuffles it, and delivers a random part: at least one. So the owner sees
// every order that the contract of reactor.h allows.
#pragma once

#include <vector>

#include "net/send_queue.h"
#include "net/simulated_network.h"
#include "net/slot_table.h"
#include "net/timer_wheel.h"

namespace weir::net {

class SimulatedReactor final : public Reactor {
  public:
    SimulatedReactor(SimulatedNetwork& network, const ReactorOptions& options);
    ~SimulatedReactor() override;

    void set_events(ReactorEvents* events) override { events_ = events; }
    Result<std::uint32_t> listen(const Endpoint& endpoint, const ListenOptions& options) override;
    Endpoint listener_endpoint(std::uint32_t listener) const override;
    void stop_listening(std::uint32_t listener) override;
    Result<SocketId> connect(const Endpoint& endpoint, const TlsClient* tls) override;
    void send(SocketId socket, Slice bytes) override;
    std::size_t unsent_bytes(SocketId socket) const override;
    void shutdown_send(SocketId socket) override;
    void close(SocketId socket) override;
    void pause_receiving(SocketId socket) override;
    void resume_receiving(SocketId socket) override;
    TimerId set_timer(Nanos delay, std::uint64_t cookie) override;
    void cancel_timer(TimerId timer) override { static_cast<void>(timers_.cancel(timer)); }
    MonoTime now() const override { return network_.clock_.now(); }
    WallTime wall_now() const override { return network_.clock_.wall_now(); }
    BlockPool& blocks() override { return blocks_; }
    std::size_t open_sockets() const override { return sockets_.live(); }
    void turn(Nanos wait) override;  // `wait` means nothing: time passes in the network
    void wake() override { woken_ = true; }
    std::string_view name() const override { return "simulated"; }

  private:
    friend class SimulatedNetwork;
    using Connection = SimulatedNetwork::Connection;
    using Stage = SimulatedNetwork::Stage;

    struct Socket {
        std::uint32_t generation = 0;
        std::uint32_t connection = 0;
        SendQueue queue;
        bool paused = false;
        bool ended = false;
        bool above_high = false;
        bool shutdown_asked = false;
        bool shutdown_done = false;
    };
    struct Listener {
        Endpoint endpoint;
        bool open = true;
    };
    enum class Kind : std::uint8_t { kAccept, kConnected, kReceive, kEnd, kReset, kFlush, kTimer, kWake };
    struct Action {
        Kind kind;
        std::uint32_t connection;
    };

    void collect(std::vector<Action>& actions);
    [[nodiscard]] std::optional<Kind> next_of(const Connection& connection) const;
    [[nodiscard]] bool can_flush(const Connection& connection) const;
    void perform(const Action& action);
    void accept(std::uint32_t index);
    void connected(std::uint32_t index);
    void receive(Connection& connection);
    void end(Connection& connection);
    void flush(Connection& connection);
    void fail(Connection& connection, ErrorCode code);
    void dispose(SocketId id);
    [[nodiscard]] bool listens_on(const Endpoint& endpoint, std::uint32_t& listener) const;
    [[nodiscard]] bool has_work();

    SimulatedNetwork& network_;
    ReactorOptions options_;
    ReactorEvents* events_ = nullptr;
    BlockPool blocks_;
    TimerWheel timers_;
    SlotTable<Socket> sockets_;
    std::vector<Listener> listeners_;
    std::vector<Action> scratch_;
    bool woken_ = false;
};

}  // namespace weir::net
