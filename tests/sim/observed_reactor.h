// The simulated reactor with a window in it: who of the clients the gateway works for at this moment, so that a
// decision can be said to be about one of them. It also runs the timers of the simulated store.
//
// It changes nothing that passes through it.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "net/reactor.h"

namespace weir::sim {

inline constexpr int kNobody = -1;  // a timer of the worker: whose, can't be seen

class ObservedReactor;

struct Attention {
    ObservedReactor* reactor = nullptr;
    int client = kNobody;
};

class ObservedReactor final : public net::Reactor, private net::ReactorEvents {
  public:
    // `client_of` names the client that a connection comes from.
    ObservedReactor(std::unique_ptr<net::Reactor> inner, Attention& attention,
                    std::function<int(const net::Endpoint&)> client_of)
        : inner_(std::move(inner)), attention_(attention), client_of_(std::move(client_of)) {
        inner_->set_events(this);
    }

    // Runs `what` later, on this reactor.
    void later(Nanos delay, std::function<void()> what) {
        tasks_.push_back(std::move(what));
        (void)inner_->set_timer(delay, kTaskBit | (tasks_.size() - 1));
    }

    // The gateway holds a connection of this client.
    [[nodiscard]] bool serves(int client) const {
        return std::any_of(clients_.begin(), clients_.end(), [&](const auto& each) { return each.second == client; });
    }

    void set_events(net::ReactorEvents* events) override { events_ = events; }
    Result<std::uint32_t> listen(const net::Endpoint& endpoint, const net::ListenOptions& options) override {
        return inner_->listen(endpoint, options);
    }
    net::Endpoint listener_endpoint(std::uint32_t listener) const override {
        return inner_->listener_endpoint(listener);
    }
    void stop_listening(std::uint32_t listener) override { inner_->stop_listening(listener); }
    Result<net::SocketId> connect(const net::Endpoint& endpoint, const net::TlsClient* tls) override {
        return inner_->connect(endpoint, tls);
    }
    Result<void> start_tls(net::SocketId socket, std::shared_ptr<const net::TlsServer> tls,
                           net::Slice received) override {
        return inner_->start_tls(socket, std::move(tls), std::move(received));
    }
    void send(net::SocketId socket, net::Slice bytes) override {
        // What a backend's event makes the gateway do is seen by whom it writes to.
        if (const auto found = clients_.find(socket.index); found != clients_.end()) attention_.client = found->second;
        inner_->send(socket, std::move(bytes));
    }
    std::size_t unsent_bytes(net::SocketId socket) const override { return inner_->unsent_bytes(socket); }
    void shutdown_send(net::SocketId socket) override { inner_->shutdown_send(socket); }
    void close(net::SocketId socket) override {
        clients_.erase(socket.index);
        inner_->close(socket);
    }
    void pause_receiving(net::SocketId socket) override { inner_->pause_receiving(socket); }
    void resume_receiving(net::SocketId socket) override { inner_->resume_receiving(socket); }
    net::TimerId set_timer(Nanos delay, std::uint64_t cookie) override { return inner_->set_timer(delay, cookie); }
    void cancel_timer(net::TimerId timer) override { inner_->cancel_timer(timer); }
    MonoTime now() const override { return inner_->now(); }
    WallTime wall_now() const override { return inner_->wall_now(); }
    net::BlockPool& blocks() override { return inner_->blocks(); }
    std::size_t open_sockets() const override { return inner_->open_sockets(); }
    void turn(Nanos wait) override { inner_->turn(wait); }
    void wake() override { inner_->wake(); }
    std::string_view name() const override { return inner_->name(); }

  private:
    static constexpr std::uint64_t kTaskBit = std::uint64_t{1} << 63U;
    static constexpr std::uint64_t kTasksMax = std::uint64_t{1} << 32U;

    void attend(net::SocketId socket) {
        const auto found = clients_.find(socket.index);
        attention_ = {this, found == clients_.end() ? kNobody : found->second};
    }
    void on_accepted(net::SocketId socket, std::uint32_t listener, const net::Endpoint& peer) override {
        clients_[socket.index] = client_of_(peer);
        attend(socket);
        events_->on_accepted(socket, listener, peer);
    }
    void on_connected(net::SocketId socket, Result<void> outcome) override {
        attend(socket);
        events_->on_connected(socket, outcome);
    }
    void on_received(net::SocketId socket, net::Slice bytes) override {
        attend(socket);
        events_->on_received(socket, std::move(bytes));
    }
    void on_received_end(net::SocketId socket) override {
        attend(socket);
        events_->on_received_end(socket);
    }
    void on_drained(net::SocketId socket) override {
        attend(socket);
        events_->on_drained(socket);
    }
    void on_closed(net::SocketId socket, Error why) override {
        attend(socket);
        clients_.erase(socket.index);
        events_->on_closed(socket, why);
    }
    void on_tls_handshake(net::SocketId socket, const net::TlsHandshake& handshake) override {
        events_->on_tls_handshake(socket, handshake);
    }
    void on_timer(net::TimerId timer, std::uint64_t cookie) override {
        attention_ = {this, kNobody};
        const std::uint64_t task = cookie & ~kTaskBit;
        if ((cookie & kTaskBit) != 0 && task < kTasksMax) {
            std::exchange(tasks_[task], nullptr)();
        } else {
            events_->on_timer(timer, cookie);
        }
    }
    void on_wake() override {
        attention_ = {this, kNobody};
        events_->on_wake();
    }
    void on_turn_end() override {
        attention_ = {this, kNobody};
        events_->on_turn_end();
    }

    std::unique_ptr<net::Reactor> inner_;
    Attention& attention_;
    std::function<int(const net::Endpoint&)> client_of_;
    net::ReactorEvents* events_ = nullptr;
    std::map<std::uint32_t, int> clients_;  // by index of the downstream socket
    std::vector<std::function<void()>> tasks_;
};

}  // namespace weir::sim
