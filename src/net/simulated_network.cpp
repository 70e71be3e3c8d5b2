#include "net/simulated_network.h"

#include <algorithm>
#include <utility>

#include "net/simulated_reactor.h"

namespace weir::net {
namespace {

// Far more than a sound owner needs: beyond it something makes work for itself at one point of time.
constexpr int kTurnsAtOnceMax = 5'000'000;

bool is_any(const IpAddress& address) {
    return address == IpAddress{} || address == IpAddress::from_v4({0, 0, 0, 0});
}

bool reaches(const Endpoint& listening, const Endpoint& to) {
    if (listening == to) return true;
    return !listening.is_unix() && !to.is_unix() && listening.port == to.port && is_any(listening.address);
}

}  // namespace

SimulatedOptions SimulatedOptions::hostile(std::uint64_t seed) {
    Rng rng(seed ^ 0x5EEDU);
    // Even over the magnitudes: from rare to all the time.
    const auto weight = [&rng](std::uint32_t low, std::uint32_t doublings) {
        return rng.one_in(3) ? 0U : low << rng.below(doublings + 1);
    };
    SimulatedOptions options;
    options.seed = seed;
    options.faults = {weight(16, 8), weight(3, 4), weight(5, 4), weight(5, 5)};
    options.latency_max = std::chrono::microseconds(rng.between(1, 20'000));
    options.window_bytes_min = rng.between(1, 4096);
    options.window_bytes_max = options.window_bytes_min + rng.below(256UL * 1024);
    return options;
}

// ---- Pipes ---------------------------------------------------------------------------------------------------------

void SimulatedNetwork::Pipe::arrive(MonoTime now) {
    while (!pieces.empty() && pieces.front().at <= now) {
        due += pieces.front().size;
        pieces.pop_front();
    }
}

bool SimulatedNetwork::Pipe::end_due(MonoTime now) const {
    return end_at && *end_at <= now && held() == 0;
}

std::string_view SimulatedNetwork::Pipe::front(std::size_t size) const {
    return std::string_view(bytes).substr(taken, size);
}

void SimulatedNetwork::Pipe::take(std::size_t size) {
    WEIR_ASSERT(size <= due);
    due -= size;
    taken += size;
    if (taken == bytes.size() || taken > 64UL * 1024) {
        bytes.erase(0, taken);
        taken = 0;
    }
}

void SimulatedNetwork::Pipe::drop() {
    bytes.clear();
    pieces.clear();
    taken = due = 0;
}

MonoTime SimulatedNetwork::arrival(Pipe& pipe) {
    Nanos latency{static_cast<Nanos::rep>(random_.below(static_cast<std::uint64_t>(options_.latency_max.count()) + 1))};
    if (options_.faults.delay_one_in != 0 && random_.one_in(options_.faults.delay_one_in)) {
        latency *= static_cast<Nanos::rep>(random_.between(2, 20));
    }
    pipe.latest = std::max(pipe.latest, clock_.now() + latency);
    return pipe.latest;
}

// `bytes` must fit the window.
void SimulatedNetwork::put(Connection& connection, Pipe& pipe, std::string_view bytes) {
    while (!bytes.empty()) {
        std::size_t size = bytes.size();
        if (!options_.calm) {
            // Tiny pieces find the bugs of parsers, large ones those of buffers.
            const std::uint64_t way = random_.below(8);
            if (way == 0) size = random_.between(1, 8);
            if (way == 1) size = random_.between(1, 200);
            if (way == 2) size = random_.between(1, bytes.size());
            size = std::min(size, bytes.size());
        }
        put_piece(connection, pipe, bytes.substr(0, size));
        bytes.remove_prefix(size);
    }
}

void SimulatedNetwork::put_piece(Connection& connection, Pipe& pipe, std::string_view bytes) {
    pipe.bytes += bytes;
    pipe.pieces.push_back({arrival(pipe), bytes.size()});
    if (options_.faults.reset_one_in != 0 && random_.one_in(options_.faults.reset_one_in)) {
        ++counters_.resets;
        schedule_reset(connection, true, true);
    }
}

void SimulatedNetwork::schedule_reset(Connection& connection, bool to_reactor, bool to_peer) {
    if (to_reactor && !connection.reset_in_at) {
        connection.reset_in_at = arrival(connection.in);
        connection.reset_waits = random_.one_in(2);
    }
    if (to_peer && !connection.reset_out_at) connection.reset_out_at = arrival(connection.out);
}

// ---- What the test calls -------------------------------------------------------------------------------------------

SimulatedNetwork::SimulatedNetwork(const SimulatedOptions& options) : options_(options), random_(options.seed) {
    WEIR_ASSERT(options.window_bytes_min > 0 && options.window_bytes_min <= options.window_bytes_max);
}

SimulatedNetwork::~SimulatedNetwork() {
    WEIR_ASSERT(reactors_.empty());
}

std::unique_ptr<Reactor> SimulatedNetwork::make_reactor(const ReactorOptions& options) {
    auto reactor = std::make_unique<SimulatedReactor>(*this, options);
    reactors_.push_back(reactor.get());
    return reactor;
}

std::uint32_t SimulatedNetwork::add_connection() {
    const auto index = static_cast<std::uint32_t>(connections_.size());
    Connection& connection = connections_.emplace_back();
    connection.in.window = random_.between(options_.window_bytes_min, options_.window_bytes_max);
    connection.out.window = random_.between(options_.window_bytes_min, options_.window_bytes_max);
    active_.push_back(index);
    return index;
}

SimulatedPeer SimulatedNetwork::connect(const Endpoint& to, std::optional<Endpoint> from) {
    const std::uint32_t index = add_connection();
    Connection& connection = connections_[index];
    connection.to = to;
    if (from) {
        connection.from = *from;
    } else if (!to.is_unix()) {
        connection.from.address = IpAddress::from_v4({198, 51, 100, static_cast<std::uint8_t>(index % 254 + 1)});
        connection.from.port = static_cast<std::uint16_t>(random_.between(1024, 65'535));
    }
    connection.decided_at = arrival(connection.in);
    return {this, index};
}

void SimulatedNetwork::listen(const Endpoint& endpoint, std::function<void(SimulatedPeer)> accepted) {
    WEIR_ASSERT(accepted != nullptr);
    stop_listening(endpoint);
    backends_.push_back({endpoint, std::move(accepted)});
}

void SimulatedNetwork::stop_listening(const Endpoint& endpoint) {
    std::erase_if(backends_, [&](const Backend& backend) { return backend.endpoint == endpoint; });
}

void SimulatedNetwork::ignore(const Endpoint& endpoint) {
    stop_listening(endpoint);
    backends_.push_back({endpoint, nullptr});
}

void SimulatedNetwork::advance(Nanos by) {
    const MonoTime until = clock_.now() + by;
    while (true) {
        run_due();
        const auto next = next_event(true);
        const MonoTime to = std::min(next.value_or(until), until);
        if (to <= clock_.now()) return;
        clock_.advance(to - clock_.now());
    }
}

bool SimulatedNetwork::run_until(const std::function<bool()>& done, Nanos limit) {
    const MonoTime until = clock_.now() + limit;
    while (true) {
        run_due();
        if (done()) return true;
        const auto next = next_event(true);
        if (!next || *next > until) return false;
        clock_.advance(std::max(*next - clock_.now(), Nanos{1}));
    }
}

void SimulatedNetwork::settle() {
    const MonoTime until = clock_.now() + std::chrono::minutes(1);
    while (true) {
        run_due();
        const auto next = next_event(false);
        if (!next || *next > until) return;
        clock_.advance(*next - clock_.now());
    }
}

void SimulatedPeer::send(std::string_view bytes) {
    auto& connection = network_->connections_[index_];
    if (connection.finish_asked || connection.was_reset || connection.refused) return;
    connection.outbox += bytes;
}

void SimulatedPeer::finish() {
    network_->connections_[index_].finish_asked = true;
}

void SimulatedPeer::close() {
    auto& connection = network_->connections_[index_];
    if (connection.closed) return;
    if (connection.out.due > 0) return reset();
    connection.finish_asked = connection.closed = true;
}

void SimulatedPeer::reset() {
    auto& connection = network_->connections_[index_];
    if (connection.was_reset) return;
    connection.outbox.clear();
    connection.out.drop();
    connection.closed = connection.was_reset = true;
    network_->schedule_reset(connection, true, false);
}

void SimulatedPeer::stop_reading() {
    network_->connections_[index_].reading = false;
}
void SimulatedPeer::start_reading() {
    network_->connections_[index_].reading = true;
}
void SimulatedPeer::on_change(std::function<void(SimulatedPeer)> hook) {
    network_->connections_[index_].hook = std::move(hook);
}
// A handle that was not filled yet asks a connection to which nothing has happened.
const SimulatedNetwork::Connection& SimulatedPeer::connection() const {
    static const SimulatedNetwork::Connection kNothing;
    return network_ == nullptr ? kNothing : network_->connections_[index_];
}
const std::string& SimulatedPeer::received() const {
    return connection().received;
}
std::string SimulatedPeer::take_received() {
    return std::exchange(network_->connections_[index_].received, {});
}
std::size_t SimulatedPeer::unsent_bytes() const {
    return connection().outbox.size();
}
bool SimulatedPeer::connected() const {
    return connection().connected;
}
bool SimulatedPeer::refused() const {
    return connection().refused;
}
bool SimulatedPeer::ended() const {
    return connection().ended;
}
bool SimulatedPeer::was_reset() const {
    return connection().was_reset;
}

// ---- What the reactors call ----------------------------------------------------------------------------------------

void SimulatedNetwork::start_connect(std::uint32_t index, SimulatedReactor* reactor, SocketId socket,
                                     const Endpoint& to) {
    Connection& connection = connections_[index];
    connection.outgoing = true;
    connection.reactor = reactor;
    connection.socket = socket;
    connection.to = to;
    connection.decided_at = arrival(connection.in);
}

void SimulatedNetwork::reactor_closed(std::uint32_t index) {
    Connection& connection = connections_[index];
    connection.stage = Stage::kGone;
    if (connection.in.held() > 0) {
        // Unread bytes, or such that are still under way: a reset, which overtakes nothing that was sent before.
        connection.in.drop();
        schedule_reset(connection, false, true);
    } else if (!connection.out.end_at) {
        connection.out.end_at = arrival(connection.out);
    }
}

void SimulatedNetwork::reactor_stopped_listening(SimulatedReactor* reactor, std::uint32_t listener) {
    for (const std::uint32_t index : active_) {
        Connection& connection = connections_[index];
        if (connection.outgoing || connection.stage != Stage::kWaiting || connection.reactor != reactor ||
            connection.listener != listener) {
            continue;
        }
        connection.stage = Stage::kGone;
        connection.in.drop();
        schedule_reset(connection, false, true);
    }
}

void SimulatedNetwork::detach(SimulatedReactor* reactor) {
    for (const std::uint32_t index : active_) {
        Connection& connection = connections_[index];
        if (connection.reactor == reactor && connection.stage != Stage::kGone) reactor_closed(index);
        if (connection.reactor == reactor) connection.reactor = nullptr;
    }
    std::erase(reactors_, reactor);
}

void SimulatedNetwork::note(std::uint64_t what, std::uint64_t detail) {
    ++counters_.events;
    const auto time = static_cast<std::uint64_t>(clock_.now().time_since_epoch().count());
    for (const std::uint64_t word : {what, detail, time}) {
        trace_ = (trace_ ^ word) * 0x9E3779B97F4A7C15U;
        trace_ ^= trace_ >> 29U;
    }
}

// ---- The network's own work ----------------------------------------------------------------------------------------

void SimulatedNetwork::pump() {
    // By index: hooks may open connections.
    for (std::size_t i = 0; i < active_.size(); ++i) {
        const std::uint32_t index = active_[i];
        decide(index);
        pump_peer(index);
        Connection& connection = connections_[index];
        connection.in.arrive(clock_.now());
        connection.active = !is_over(connection);
    }
    std::erase_if(active_, [this](std::uint32_t index) { return !connections_[index].active; });
}

bool SimulatedNetwork::is_over(const Connection& connection) const {
    if (connection.stage != Stage::kGone) return false;
    if (connection.refused || connection.was_reset || !connection.connected) return true;
    // An end that the peer has seen, and it will send no more either: nothing can happen.
    return connection.ended && connection.closed && connection.outbox.empty();
}

void SimulatedNetwork::decide(std::uint32_t index) {
    Connection& connection = connections_[index];
    if (!connection.decided_at || *connection.decided_at > clock_.now()) return;
    if (connection.stage != Stage::kUnderWay) {
        connection.decided_at.reset();
        return;
    }
    if (connection.outgoing) return decide_outgoing(index);
    connection.decided_at.reset();
    // One of the workers that listen, as SO_REUSEPORT would choose.
    const std::size_t start = reactors_.empty() ? 0 : random_.below(reactors_.size());
    for (std::size_t i = 0; i < reactors_.size(); ++i) {
        SimulatedReactor* reactor = reactors_[(start + i) % reactors_.size()];
        if (!reactor->listens_on(connection.to, connection.listener)) continue;
        connection.reactor = reactor;
        connection.stage = Stage::kWaiting;
        connection.connected = true;
        return notify(index);
    }
    connection.stage = Stage::kGone;
    connection.refused = true;
    notify(index);
}

void SimulatedNetwork::decide_outgoing(std::uint32_t index) {
    Connection& connection = connections_[index];
    connection.decided_at.reset();
    const auto backend = std::find_if(backends_.begin(), backends_.end(),
                                      [&](const Backend& each) { return reaches(each.endpoint, connection.to); });
    const auto by_chance = [this](std::uint32_t weight) { return weight != 0 && random_.one_in(weight); };
    if (backend == backends_.end()) {
        connection.refusal = connection.to.is_unix() ? ErrorCode::kUnreachable : ErrorCode::kConnectionRefused;
    } else if (backend->accepted == nullptr || by_chance(options_.faults.ignore_one_in)) {
        return;  // never answered: what the reactor's owner has its time-out for
    } else if (by_chance(options_.faults.refuse_one_in)) {
        connection.refusal = ErrorCode::kConnectionRefused;
    }
    connection.stage = Stage::kWaiting;
    if (connection.refusal) {
        connection.refused = true;
        return;
    }
    connection.connected = true;
    const auto accepted = backend->accepted;  // a copy: it may stop listening
    hook_ran_ = true;
    accepted({this, index});
}

void SimulatedNetwork::pump_peer(std::uint32_t index) {
    Connection& connection = connections_[index];
    const MonoTime now = clock_.now();
    if (!connection.connected || connection.was_reset) return;
    if (connection.reset_out_at && *connection.reset_out_at <= now) {
        connection.was_reset = true;
        connection.out.drop();
        connection.outbox.clear();
        return notify(index);
    }
    if (!connection.outbox.empty() && connection.stage == Stage::kGone) {
        connection.outbox.clear();  // nobody is there: answered with a reset
        schedule_reset(connection, false, true);
    }
    if (const std::size_t size = std::min(connection.outbox.size(), connection.in.room()); size > 0) {
        put(connection, connection.in, std::string_view(connection.outbox).substr(0, size));
        connection.outbox.erase(0, size);
    }
    if (connection.finish_asked && connection.outbox.empty() && !connection.in.end_at) {
        connection.in.end_at = arrival(connection.in);
    }
    connection.out.arrive(now);
    bool changed = false;
    if (connection.closed && connection.out.due > 0) {
        connection.out.drop();
        connection.was_reset = true;
        schedule_reset(connection, true, false);
    } else if (connection.reading && connection.out.due > 0) {
        connection.received += connection.out.front(connection.out.due);
        connection.out.take(connection.out.due);
        changed = true;
    }
    if (connection.reading && !connection.ended && connection.out.end_due(now)) changed = connection.ended = true;
    if (changed) notify(index);
}

void SimulatedNetwork::notify(std::uint32_t index) {
    const auto hook = connections_[index].hook;  // a copy: it may set another
    if (!hook) return;
    hook_ran_ = true;
    hook({this, index});
}

std::optional<MonoTime> SimulatedNetwork::next_arrival() const {
    std::optional<MonoTime> next;
    const auto consider = [&](const std::optional<MonoTime>& at) {
        if (at && *at > clock_.now() && (!next || *at < *next)) next = at;
    };
    for (const std::uint32_t index : active_) {
        const Connection& connection = connections_[index];
        consider(connection.decided_at);
        consider(connection.reset_in_at);
        consider(connection.reset_out_at);
        for (const Pipe* pipe : {&connection.in, &connection.out}) {
            if (!pipe->pieces.empty()) consider(pipe->pieces.front().at);
            consider(pipe->end_at);
        }
    }
    return next;
}

std::optional<MonoTime> SimulatedNetwork::next_event(bool timers) const {
    auto next = next_arrival();
    if (!timers) return next;
    for (const SimulatedReactor* reactor : reactors_) {
        const auto due = reactor->timers_.next_due();
        if (due && (!next || *due < *next)) next = due;
    }
    return next;
}

void SimulatedNetwork::run_due() {
    for (int turns = 0;; ++turns) {
        WEIR_ASSERT(turns < kTurnsAtOnceMax);
        pump();
        std::vector<SimulatedReactor*> busy;
        for (SimulatedReactor* reactor : reactors_) {
            if (reactor->has_work()) busy.push_back(reactor);
        }
        if (std::exchange(hook_ran_, false)) continue;  // what it sent is to be seen before time passes
        if (busy.empty()) return;
        busy[random_.below(busy.size())]->turn(Nanos{0});
    }
}

}  // namespace weir::net
