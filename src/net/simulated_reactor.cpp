#include "net/simulated_reactor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

namespace weir::net {

SimulatedReactor::SimulatedReactor(SimulatedNetwork& network, const ReactorOptions& options)
    : network_(network), options_(options), blocks_(options.blocks_max), timers_(network.clock_.now()) {}

SimulatedReactor::~SimulatedReactor() {
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) sockets_.at(i).queue.clear();
    network_.detach(this);
}

Result<std::uint32_t> SimulatedReactor::listen(const Endpoint& endpoint, const ListenOptions&) {
    Endpoint bound = endpoint;
    if (!bound.is_unix() && bound.port == 0) bound.port = network_.next_port_++;
    listeners_.push_back({std::move(bound), true});
    return static_cast<std::uint32_t>(listeners_.size() - 1);
}

Endpoint SimulatedReactor::listener_endpoint(std::uint32_t listener) const {
    return listener < listeners_.size() ? listeners_[listener].endpoint : Endpoint{};
}

void SimulatedReactor::stop_listening(std::uint32_t listener) {
    if (listener >= listeners_.size() || !listeners_[listener].open) return;
    listeners_[listener].open = false;
    network_.reactor_stopped_listening(this, listener);
}

bool SimulatedReactor::listens_on(const Endpoint& endpoint, std::uint32_t& listener) const {
    const IpAddress any_v4 = IpAddress::from_v4({0, 0, 0, 0});
    for (std::uint32_t i = 0; i < listeners_.size(); ++i) {
        const Endpoint& each = listeners_[i].endpoint;
        const bool any = !each.is_unix() && (each.address == IpAddress{} || each.address == any_v4);
        const bool same = each == endpoint || (any && !endpoint.is_unix() && each.port == endpoint.port);
        if (!listeners_[i].open || !same) continue;
        listener = i;
        return true;
    }
    return false;
}

Result<SocketId> SimulatedReactor::connect(const Endpoint& endpoint, const TlsClient* tls) {
    if (tls != nullptr) return kNoTlsHere;
    const std::uint32_t connection = network_.add_connection();
    const std::uint32_t index = sockets_.take();
    const SocketId id{index, sockets_.at(index).generation};
    sockets_.at(index).connection = connection;
    network_.start_connect(connection, this, id, endpoint);
    ++network_.counters_.opened;
    return id;
}

void SimulatedReactor::send(SocketId id, Slice bytes) {
    Socket* socket = sockets_.find(id);
    if (socket == nullptr || bytes.empty() || socket->shutdown_asked) return;
    socket->queue.push(std::move(bytes));
    if (socket->queue.bytes() > kSendQueueHighBytes) socket->above_high = true;
}

std::size_t SimulatedReactor::unsent_bytes(SocketId id) const {
    const Socket* socket = sockets_.find(id);
    return socket == nullptr ? 0 : socket->queue.bytes();
}

void SimulatedReactor::shutdown_send(SocketId id) {
    if (Socket* socket = sockets_.find(id)) socket->shutdown_asked = true;
}

void SimulatedReactor::close(SocketId id) {
    const Socket* socket = sockets_.find(id);
    if (socket == nullptr) {
        ++network_.counters_.closed_again;
        return;
    }
    network_.note(100, id.index);
    network_.reactor_closed(socket->connection);
    dispose(id);
    sockets_.release(id.index);
}

void SimulatedReactor::dispose(SocketId id) {
    sockets_.retire(id.index);
    ++network_.counters_.closed;
}

void SimulatedReactor::pause_receiving(SocketId id) {
    if (Socket* socket = sockets_.find(id)) socket->paused = true;
}

void SimulatedReactor::resume_receiving(SocketId id) {
    if (Socket* socket = sockets_.find(id)) socket->paused = false;
}

TimerId SimulatedReactor::set_timer(Nanos delay, std::uint64_t cookie) {
    return timers_.arm(now(), delay, cookie);
}

void SimulatedReactor::turn(Nanos) {
    ++network_.counters_.turns;
    network_.pump();
    timers_.advance(now());
    std::vector<Action> actions;
    collect(actions);
    for (std::size_t i = actions.size(); i > 1; --i) std::swap(actions[i - 1], actions[network_.random_.below(i)]);
    if (!network_.options_.calm && !actions.empty()) {
        actions.resize(network_.random_.between(1, actions.size()), Action{Kind::kWake, 0});
    }
    for (const Action& action : actions) perform(action);
    events_->on_turn_end();
}

bool SimulatedReactor::has_work() {
    scratch_.clear();
    timers_.advance(now());
    collect(scratch_);
    return !scratch_.empty();
}

void SimulatedReactor::collect(std::vector<Action>& actions) {
    for (const std::uint32_t index : network_.active_) {
        const Connection& connection = network_.connections_[index];
        if (connection.reactor != this || connection.stage == Stage::kGone) continue;
        if (const auto kind = next_of(connection)) actions.push_back({*kind, index});
        if (can_flush(connection)) actions.push_back({Kind::kFlush, index});
    }
    const auto due = timers_.next_due();
    if (due && *due <= now()) actions.push_back({Kind::kTimer, 0});
    if (woken_) actions.push_back({Kind::kWake, 0});
}

// What the reactor's end of a connection could be told now, apart from its sending.
std::optional<SimulatedReactor::Kind> SimulatedReactor::next_of(const Connection& connection) const {
    if (connection.stage == Stage::kWaiting) {
        if (connection.outgoing) return Kind::kConnected;
        return sockets_.live() < options_.sockets_max ? std::optional(Kind::kAccept) : std::nullopt;
    }
    if (connection.stage != Stage::kOpen) return std::nullopt;
    const Socket* socket = sockets_.find(connection.socket);
    if (connection.reset_in_at && *connection.reset_in_at <= now() && !(socket->paused && connection.reset_waits)) {
        return Kind::kReset;
    }
    if (socket->paused || socket->ended) return std::nullopt;
    if (connection.in.due > 0) return blocks_.at_bound() ? std::nullopt : std::optional(Kind::kReceive);
    return connection.in.end_due(now()) ? std::optional(Kind::kEnd) : std::nullopt;
}

bool SimulatedReactor::can_flush(const Connection& connection) const {
    if (connection.stage != Stage::kOpen) return false;
    const Socket* socket = sockets_.find(connection.socket);
    if (!socket->queue.empty()) return connection.out.room() > 0;
    return socket->shutdown_asked && !socket->shutdown_done;
}

void SimulatedReactor::perform(const Action& action) {
    if (action.kind == Kind::kTimer) {
        if (const auto fired = timers_.take_due()) {
            network_.note(6, fired->cookie);
            events_->on_timer(fired->id, fired->cookie);
        }
        return;
    }
    if (action.kind == Kind::kWake) {
        if (std::exchange(woken_, false)) {
            network_.note(7, 0);
            events_->on_wake();
        }
        return;
    }
    Connection& connection = network_.connections_[action.connection];
    // An earlier event of this turn may have closed, paused or filled it.
    if (connection.reactor != this || connection.stage == Stage::kGone) return;
    if (action.kind == Kind::kFlush) {
        if (can_flush(connection)) flush(connection);
        return;
    }
    if (next_of(connection) != action.kind) return;
    network_.note(static_cast<std::uint64_t>(action.kind), action.connection);
    switch (action.kind) {
        case Kind::kAccept:
            return accept(action.connection);
        case Kind::kConnected:
            return connected(action.connection);
        case Kind::kReceive:
            return receive(connection);
        case Kind::kEnd:
            return end(connection);
        case Kind::kReset:
            return fail(connection, ErrorCode::kConnectionReset);
        default:
            return;
    }
}

void SimulatedReactor::accept(std::uint32_t index) {
    Connection& connection = network_.connections_[index];
    const std::uint32_t slot = sockets_.take();
    sockets_.at(slot).connection = index;
    connection.socket = {slot, sockets_.at(slot).generation};
    connection.stage = Stage::kOpen;
    ++network_.counters_.opened;
    events_->on_accepted(connection.socket, connection.listener, connection.from);
}

void SimulatedReactor::connected(std::uint32_t index) {
    Connection& connection = network_.connections_[index];
    const SocketId id = connection.socket;
    if (!connection.refusal) {
        connection.stage = Stage::kOpen;
        events_->on_connected(id, {});
        return;
    }
    connection.stage = Stage::kGone;
    dispose(id);
    events_->on_connected(id, Error{*connection.refusal, ErrorSource::kUpstream, true, "refused by the simulation"});
    sockets_.release(id.index);
}

void SimulatedReactor::receive(Connection& connection) {
    Slice bytes = blocks_.try_take();
    if (bytes.empty()) return;
    std::size_t size = std::min(connection.in.due, bytes.size());
    if (!network_.options_.calm && network_.random_.one_in(4)) size = network_.random_.between(1, size);
    std::memcpy(bytes.data(), connection.in.front(size).data(), size);
    connection.in.take(size);
    bytes.shrink(size);
    network_.note(50, size);
    events_->on_received(connection.socket, std::move(bytes));
}

void SimulatedReactor::end(Connection& connection) {
    sockets_.find(connection.socket)->ended = true;
    events_->on_received_end(connection.socket);
}

void SimulatedReactor::flush(Connection& connection) {
    Socket* socket = sockets_.find(connection.socket);
    std::size_t size = std::min(socket->queue.bytes(), connection.out.room());
    if (!network_.options_.calm && size > 0 && network_.random_.one_in(4)) size = network_.random_.between(1, size);
    network_.note(static_cast<std::uint64_t>(Kind::kFlush), size);
    while (size > 0) {
        std::array<iovec, 1> oldest;
        static_cast<void>(socket->queue.fill(oldest));
        const std::size_t part = std::min(size, oldest[0].iov_len);
        network_.put(connection, connection.out, {static_cast<const char*>(oldest[0].iov_base), part});
        socket->queue.consume(part);
        size -= part;
    }
    if (!socket->queue.empty()) socket->queue.settle(blocks_);
    if (socket->queue.empty() && socket->shutdown_asked && !socket->shutdown_done) {
        socket->shutdown_done = true;
        connection.out.end_at = network_.arrival(connection.out);
    }
    if (socket->above_high && socket->queue.bytes() <= kSendQueueLowBytes) {
        socket->above_high = false;
        network_.note(51, connection.socket.index);
        events_->on_drained(connection.socket);
    }
}

void SimulatedReactor::fail(Connection& connection, ErrorCode code) {
    const SocketId id = connection.socket;
    connection.stage = Stage::kGone;
    connection.in.drop();
    dispose(id);
    const ErrorSource source = connection.outgoing ? ErrorSource::kUpstream : ErrorSource::kDownstream;
    events_->on_closed(id, Error{code, source, true, "reset by the simulation"});
    sockets_.release(id.index);
}

}  // namespace weir::net
