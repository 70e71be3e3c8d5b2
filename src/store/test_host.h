// For tests: the part of a worker that owns sockets, alone, on a simulated network; and a server that says what the
// test tells it to.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/text.h"
#include "net/simulated_network.h"
#include "net/socket_owner.h"

namespace weir::store {

class TestHost final : public net::ReactorEvents, public net::SocketHost {
  public:
    explicit TestHost(net::SimulatedNetwork& network) : reactor_(network.make_reactor()) { reactor_->set_events(this); }

    net::Reactor& reactor() override { return *reactor_; }
    Result<net::SocketId> connect_for(net::SocketOwner& owner, const net::Endpoint& endpoint,
                                      const net::TlsClient* tls) override {
        const auto socket = reactor_->connect(endpoint, tls);
        if (socket) owners_[socket->index] = {*socket, &owner};
        return socket;
    }
    void close_for_owner(net::SocketId socket) override {
        owners_.erase(socket.index);
        reactor_->close(socket);
    }
    net::TimerId set_timer_for(net::SocketOwner& owner, Nanos delay, std::uint64_t cookie) override {
        timers_.push_back({&owner, cookie});
        return reactor_->set_timer(delay, timers_.size() - 1);
    }
    void watch_turns(net::SocketOwner& owner) override { watchers_.push_back(&owner); }
    void forget_owner(net::SocketOwner& owner) override {
        std::replace(watchers_.begin(), watchers_.end(), &owner, static_cast<net::SocketOwner*>(nullptr));
        for (auto& timer : timers_) {
            if (timer.first == &owner) timer.first = nullptr;
        }
    }

    void on_accepted(net::SocketId, std::uint32_t, const net::Endpoint&) override {}
    void on_connected(net::SocketId socket, Result<void> outcome) override {
        net::SocketOwner* owner = owner_of(socket);
        if (!outcome) owners_.erase(socket.index);
        if (owner != nullptr) owner->on_connected(socket, outcome);
    }
    void on_received(net::SocketId socket, net::Slice bytes) override {
        if (net::SocketOwner* owner = owner_of(socket)) owner->on_received(socket, std::move(bytes));
    }
    void on_received_end(net::SocketId socket) override {
        if (net::SocketOwner* owner = owner_of(socket)) owner->on_received_end(socket);
    }
    void on_drained(net::SocketId) override {}
    void on_closed(net::SocketId socket, Error why) override {
        net::SocketOwner* owner = owner_of(socket);
        owners_.erase(socket.index);
        if (owner != nullptr) owner->on_closed(socket, why);
    }
    void on_timer(net::TimerId, std::uint64_t cookie) override {
        const auto [owner, own] = timers_.at(cookie);
        if (owner != nullptr) owner->on_timer(own);
    }
    void on_wake() override {}
    void on_turn_end() override {
        for (std::size_t i = 0; i < watchers_.size(); ++i) {
            if (watchers_[i] != nullptr) watchers_[i]->on_turn_end();
        }
    }

  private:
    net::SocketOwner* owner_of(net::SocketId socket) {
        const auto found = owners_.find(socket.index);
        return found == owners_.end() || found->second.first != socket ? nullptr : found->second.second;
    }

    std::unique_ptr<net::Reactor> reactor_;
    std::unordered_map<std::uint32_t, std::pair<net::SocketId, net::SocketOwner*>> owners_;
    std::vector<std::pair<net::SocketOwner*, std::uint64_t>> timers_;
    std::vector<net::SocketOwner*> watchers_;
};

using Command = std::vector<std::string>;

// The next whole command at the front of `bytes`, taken from it.
inline std::optional<Command> take_command(std::string& bytes) {
    std::size_t at = 0;
    const auto number = [&](char mark) -> std::optional<std::uint64_t> {
        const std::size_t end = bytes.find("\r\n", at);
        if (end == std::string::npos || bytes[at] != mark) return std::nullopt;
        const auto value = parse_decimal(std::string_view(bytes).substr(at + 1, end - at - 1));
        at = end + 2;
        return value;
    };
    const auto count = bytes.empty() ? std::nullopt : number('*');
    if (!count) return std::nullopt;
    Command command;
    for (std::uint64_t i = 0; i < *count; ++i) {
        const auto size = at < bytes.size() ? number('$') : std::nullopt;
        if (!size || bytes.size() < at + *size + 2) return std::nullopt;
        command.push_back(bytes.substr(at, *size));
        at += *size + 2;
    }
    bytes.erase(0, at);
    return command;
}

// Answers each command with what `answer` says: the bytes of a reply, or nothing.
class FakeServer {
  public:
    using Answer = std::function<std::string(net::SimulatedPeer peer, const Command& command)>;

    FakeServer(net::SimulatedNetwork& network, const net::Endpoint& endpoint) : network_(network), endpoint_(endpoint) {
        start();
    }
    void start() {
        network_.listen(endpoint_, [this](net::SimulatedPeer peer) {
            ++connections;
            peers.push_back(peer);
            peer.on_change([this](net::SimulatedPeer each) { serve(each); });
        });
    }
    // Nobody listens any more, and who was connected is cut off.
    void stop() {
        network_.stop_listening(endpoint_);
        for (net::SimulatedPeer& peer : peers) {
            if (!peer.over()) peer.reset();
        }
        peers.clear();
    }

    Answer answer = [](net::SimulatedPeer, const Command&) { return std::string(); };
    // PING, AUTH, SELECT and SCRIPT are answered as a server does, unless this is off.
    bool greets = true;
    std::vector<Command> commands;  // without greetings
    std::vector<Command> greetings;
    std::vector<net::SimulatedPeer> peers;
    std::size_t connections = 0;

  private:
    void serve(net::SimulatedPeer peer) {
        std::string& bytes = pending_[peer.index()];
        bytes += peer.take_received();
        while (auto command = take_command(bytes)) {
            const std::string& name = command->front();
            const bool greeting = name == "PING" || name == "AUTH" || name == "SELECT" || name == "SCRIPT";
            (greeting ? greetings : commands).push_back(*command);
            const std::string reply = !greeting          ? answer(peer, *command)
                                      : !greets          ? std::string()
                                      : name == "PING"   ? "+PONG\r\n"
                                      : name == "SCRIPT" ? "$2\r\nab\r\n"
                                                         : "+OK\r\n";
            if (!reply.empty()) peer.send(reply);
        }
        if (peer.ended()) peer.close();
    }

    net::SimulatedNetwork& network_;
    net::Endpoint endpoint_;
    std::unordered_map<std::uint32_t, std::string> pending_;
};

}  // namespace weir::store
