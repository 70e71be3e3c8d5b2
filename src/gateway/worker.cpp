#include "gateway/worker.h"

#include <algorithm>
#include <bit>

#include "protocol/http/date.h"

namespace weir::gateway {
namespace {

constexpr std::uint64_t kTickCookie = ~std::uint64_t{0};
constexpr Nanos kTick = std::chrono::seconds(1);
constexpr Nanos kTurnWaitMax = std::chrono::seconds(1);

// The cookie of an owner's timer: this bit, the owner's index, and its own cookie.
constexpr std::uint64_t kOwnerMark = std::uint64_t{1} << 63U;
constexpr std::size_t kOwnersMax = kOwnerMark / net::kOwnerCookies - 1;  // the last one would be the tick's

std::uint64_t cookie_of(std::uint64_t slot, std::uint32_t generation) {
    return slot << 32U | generation;
}

}  // namespace

Worker::Worker(std::unique_ptr<net::Reactor> reactor, Shared& shared, net::NameTable& names, std::uint64_t seed)
    : reactor_(std::move(reactor)),
      shared_(shared),
      names_(names),
      shard_(shared.metrics.new_shard()),
      random_(seed),
      redis_(make_redis()),
      admission_(shared, redis_ != nullptr ? *redis_ : shared.store, shard_, *reactor_),
      lookups_(*this, names),
      jwks_(*this, names),
      tls_watch_(shared, shard_) {
    reactor_->set_events(this);
    adopt(shared_.snapshot());
    (void)reactor_->set_timer(kTick, kTickCookie);
    // What connects begins on the worker's own thread.
    if (redis_ != nullptr || snapshot_->jwks != nullptr) reactor_->wake();
}

std::unique_ptr<store::RedisStore> Worker::make_redis() {
    if (shared_.store_health == nullptr) return nullptr;
    const auto config = shared_.snapshot()->config;
    return std::make_unique<store::RedisStore>(
        store::RedisStoreOptions{.address = shared_.store_address,
                                 .tls = config->store_tls,
                                 .key_prefix = config->key_prefix,
                                 .timeout = config->store_timeout},
        store::RedisStore::Tools{*this, names_, shared_.metrics, shard_, *shared_.store_health, random_.next()});
}

Worker::~Worker() {
    for (Slot& slot : slots_) {
        if (slot.connection != nullptr && !slot.connection->closed()) slot.connection->abort();
    }
    close_pooled();
    lookups_.abandon();
    jwks_.abandon();
    if (redis_ != nullptr) redis_->stop();  // whoever waits for it ends here as well
    admission_.tick(reactor_->now(), true);
    for (const std::uint32_t listener : listeners_) reactor_->stop_listening(listener);
    retired_.clear();
    slots_.clear();
}

Result<net::Endpoint> Worker::listen(const net::Endpoint& endpoint, bool tls) {
    const auto listener = reactor_->listen(endpoint, {});
    if (!listener) return listener.error();
    listeners_.push_back(*listener);
    if (*listener >= listener_has_tls_.size()) listener_has_tls_.resize(*listener + 1);
    listener_has_tls_[*listener] = tls;
    return reactor_->listener_endpoint(*listener);
}

void Worker::run() {
    while (!finished_.load(std::memory_order_acquire)) reactor_->turn(kTurnWaitMax);
}

std::string_view Worker::date() {
    const auto second = std::chrono::floor<std::chrono::seconds>(reactor_->wall_now());
    if (date_second_ != second) {
        date_second_ = second;
        date_ = protocol::http::http_date(second);
    }
    return date_;
}

protocol::ws::MaskKey Worker::random_mask() {
    return std::bit_cast<protocol::ws::MaskKey>(static_cast<std::uint32_t>(random_.next()));
}

net::TimerId Worker::set_timer(const Connection& connection, Nanos delay) {
    return reactor_->set_timer(delay, cookie_of(connection.slot(), slots_[connection.slot()].generation));
}

Worker::Link* Worker::link_of(net::SocketId socket) {
    if (socket.index >= links_.size()) return nullptr;
    Link& link = links_[socket.index];
    return link.generation == socket.generation && link.role != Role::kNone ? &link : nullptr;
}

void Worker::set_link(net::SocketId socket, Connection* connection, Role role) {
    if (socket.index >= links_.size()) links_.resize(socket.index + 1);
    links_[socket.index] = {{connection}, socket.generation, role};
}

void Worker::attach_upstream(net::SocketId socket, Connection& connection) {
    set_link(socket, &connection, Role::kUpstream);
}

void Worker::detach_upstream(net::SocketId socket) {
    set_link(socket, nullptr, Role::kNone);
}

void Worker::pool_upstream(const AddressRef& ref, net::SocketId socket, bool reusable) {
    if (reusable && !draining_ && pool_->put_idle(ref, socket, reactor_->now())) {
        set_link(socket, nullptr, Role::kPooled);
        reactor_->resume_receiving(socket);  // its end must be noticed
        return;
    }
    close_upstream(socket);
}

void Worker::close_upstream(net::SocketId socket) {
    detach_upstream(socket);
    reactor_->close(socket);
}

Result<net::SocketId> Worker::connect_for(net::SocketOwner& owner, const net::Endpoint& endpoint,
                                          const net::TlsClient* tls) {
    const auto socket = reactor_->connect(endpoint, tls);
    if (!socket) return socket;
    set_link(*socket, nullptr, Role::kOwned);
    links_[socket->index].owner = &owner;
    return socket;
}

std::size_t Worker::owner_index(net::SocketOwner& owner) {
    const auto known = std::find(owners_.begin(), owners_.end(), &owner);
    const auto free = known != owners_.end() ? known : std::find(owners_.begin(), owners_.end(), nullptr);
    const auto index = static_cast<std::size_t>(free - owners_.begin());
    WEIR_ASSERT(index < kOwnersMax);
    if (free == owners_.end()) {
        owners_.push_back(&owner);
    } else {
        *free = &owner;
    }
    return index;
}

net::TimerId Worker::set_timer_for(net::SocketOwner& owner, Nanos delay, std::uint64_t cookie) {
    WEIR_ASSERT(cookie < net::kOwnerCookies);
    return reactor_->set_timer(delay, kOwnerMark | owner_index(owner) * net::kOwnerCookies | cookie);
}

void Worker::forget_owner(net::SocketOwner& owner) {
    std::replace(owners_.begin(), owners_.end(), &owner, static_cast<net::SocketOwner*>(nullptr));
    std::replace(turn_watchers_.begin(), turn_watchers_.end(), &owner, static_cast<net::SocketOwner*>(nullptr));
}

void Worker::post_lookup(const LookupWaiter& waiter, const identity::LookupAnswer& answer) {
    {
        const std::lock_guard lock(mailbox_mutex_);
        mailbox_.emplace_back(waiter, answer);
    }
    reactor_->wake();
}

void Worker::deliver_lookups() {
    std::vector<std::pair<LookupWaiter, identity::LookupAnswer>> arrived;
    {
        const std::lock_guard lock(mailbox_mutex_);
        arrived.swap(mailbox_);
    }
    for (const auto& [waiter, answer] : arrived) {
        // The slot may have another connection by now, or its connection another request: that is compared there.
        if (waiter.slot >= slots_.size() || slots_[waiter.slot].connection == nullptr) continue;
        slots_[waiter.slot].connection->on_lookup(waiter.request, answer);
    }
}

void Worker::close_idle_upstream(net::SocketId socket) {
    pool_->forget_idle(socket);
    close_idle(socket);
}

// In order, which over TLS is not the same as cut off.
void Worker::close_idle(net::SocketId socket) {
    reactor_->shutdown_send(socket);
    close_upstream(socket);
}

void Worker::close_pooled() {
    if (pool_ == nullptr) return;
    pool_->expire(reactor_->now(), true, [&](net::SocketId socket) { close_idle(socket); });
}

// By index, as what is done may accept or retire connections.
template <typename Do>
void Worker::for_each_connection(Do&& action) {
    for (std::size_t i = 0; i < slots_.size(); ++i) {
        if (slots_[i].connection != nullptr) action(*slots_[i].connection);
    }
}

void Worker::adopt(std::shared_ptr<const Snapshot> snapshot) {
    close_pooled();
    snapshot_ = std::move(snapshot);
    {
        const std::lock_guard lock(shared_.denials_mutex);
        shared_.denials.set_interval(snapshot_->config->log_denial_interval);
        shared_.failures.set_interval(snapshot_->config->log_denial_interval);
    }
    // Exchanges that are open hold references into the pool by index: they check the generation before they give a
    // connection back.
    pool_ = std::make_unique<UpstreamPool>(snapshot_->config->upstreams, names_,
                                           snapshot_->config->bounds.upstream_idle_max);
    lookups_.adopt(*snapshot_);
    if (redis_ != nullptr) redis_->adopt(snapshot_->config->key_prefix, snapshot_->config->store_timeout);
    // Who listens with TLS does so until the end, whatever a reload says.
    if (snapshot_->config->tls != nullptr) tls_ = snapshot_->config->tls;
}

void Worker::on_accepted(net::SocketId socket, std::uint32_t listener, const net::Endpoint& peer) {
    std::uint32_t slot = 0;
    if (free_slots_.empty()) {
        slot = static_cast<std::uint32_t>(slots_.size());
        slots_.emplace_back();
    } else {
        slot = free_slots_.back();
        free_slots_.pop_back();
    }
    slots_[slot].connection =
        std::make_unique<Connection>(*this, socket, peer, slot, listener_has_tls_[listener] ? tls_ : nullptr);
    set_link(socket, slots_[slot].connection.get(), Role::kDownstream);
    ++open_;
    const auto open = shared_.connections.fetch_add(1, std::memory_order_relaxed) + 1;
    if (open > snapshot_->config->bounds.connections_max) {
        slots_[slot].connection->refuse_exhausted();
    } else {
        slots_[slot].connection->begin();
    }
}

void Worker::on_tls_handshake(net::SocketId /*socket*/, const net::TlsHandshake& handshake) {
    tls_watch_.note(handshake, reactor_->now(), snapshot_->config->log_denial_interval);
}

void Worker::on_connected(net::SocketId socket, Result<void> outcome) {
    Link* link = link_of(socket);
    if (link == nullptr) return;
    if (link->role == Role::kUpstream) {
        link->connection->on_upstream_connected(outcome);
    } else if (link->role == Role::kOwned) {
        if (!outcome) link->role = Role::kNone;  // it is closed
        link->owner->on_connected(socket, outcome);
    }
}

void Worker::on_received(net::SocketId socket, net::Slice bytes) {
    Link* link = link_of(socket);
    if (link == nullptr) return;
    switch (link->role) {
        case Role::kDownstream:
            link->connection->on_downstream(std::move(bytes));
            break;
        case Role::kUpstream:
            link->connection->on_upstream(std::move(bytes));
            break;
        case Role::kOwned:
            link->owner->on_received(socket, std::move(bytes));
            break;
        case Role::kPooled:  // an upstream that speaks unasked is not to be believed
            close_idle_upstream(socket);
            break;
        case Role::kNone:
            break;
    }
}

void Worker::on_received_end(net::SocketId socket) {
    Link* link = link_of(socket);
    if (link == nullptr) return;
    switch (link->role) {
        case Role::kDownstream:
            link->connection->on_downstream_end();
            break;
        case Role::kUpstream:
            link->connection->on_upstream_end();
            break;
        case Role::kOwned:
            link->owner->on_received_end(socket);
            break;
        case Role::kPooled:
            close_idle_upstream(socket);
            break;
        case Role::kNone:
            break;
    }
}

void Worker::on_drained(net::SocketId socket) {
    Link* link = link_of(socket);
    if (link == nullptr) return;
    if (link->role == Role::kDownstream) {
        link->connection->on_downstream_drained();
    } else if (link->role == Role::kUpstream) {
        link->connection->on_upstream_drained();
    }
}

void Worker::on_closed(net::SocketId socket, Error why) {
    Link* link = link_of(socket);
    if (link == nullptr) return;
    const Link was = *link;
    link->role = Role::kNone;
    if (was.role == Role::kPooled) {
        pool_->forget_idle(socket);
    } else if (was.role == Role::kOwned) {
        was.owner->on_closed(socket, why);
    } else if (was.role == Role::kDownstream) {
        was.connection->on_downstream_closed(why);
    } else {
        was.connection->on_upstream_closed(why);
    }
}

void Worker::on_timer(net::TimerId /*timer*/, std::uint64_t cookie) {
    if (cookie == kTickCookie) {
        tick();
        return;
    }
    if ((cookie & kOwnerMark) != 0) {
        net::SocketOwner* const owner = owners_[(cookie & ~kOwnerMark) / net::kOwnerCookies];
        if (owner != nullptr) owner->on_timer(cookie % net::kOwnerCookies);
        return;
    }
    const std::uint64_t slot = cookie >> 32U;
    WEIR_ASSERT(slot < slots_.size());
    if (slots_[slot].generation != static_cast<std::uint32_t>(cookie) || slots_[slot].connection == nullptr) return;
    slots_[slot].connection->on_timer();
}

void Worker::tick() {
    const MonoTime now = reactor_->now();
    (void)reactor_->set_timer(kTick, kTickCookie);
    admission_.tick(now);
    pool_->expire(now, false, [&](net::SocketId socket) { close_idle(socket); });
    lookups_.close_idle(false);
    jwks_.tend();
    tend_penalties(now);
    for_each_connection([](Connection& connection) { connection.on_tick(); });
    if (draining_ && now >= drain_until_) end_drain();
}

// Of the newest configuration, which this worker may not have taken up yet: a penalty that another has set under it
// must not be lifted.
void Worker::tend_penalties(MonoTime now) {
    shared_.penalties.expire(now);
    if (!shared_.snapshot()->config->penalty) shared_.penalties.lift_penalties();
}

void Worker::end_drain() {
    if (drain_over_) return;
    drain_over_ = true;
    for_each_connection([](Connection& connection) { connection.drain(true); });
}

void Worker::begin_drain() {
    if (draining_) return;
    draining_ = true;
    drain_until_ = reactor_->now() + snapshot_->config->timeouts.drain;
    for (const std::uint32_t listener : listeners_) reactor_->stop_listening(listener);
    listeners_.clear();
    close_pooled();
    lookups_.close_idle(true);
    for_each_connection([](Connection& connection) { connection.drain(false); });
}

void Worker::on_wake() {
    if (redis_ != nullptr && !std::exchange(redis_started_, true)) redis_->start();
    deliver_lookups();
    if (reload_requested_.exchange(false, std::memory_order_acq_rel)) adopt(shared_.snapshot());
    jwks_.tend();
    if (drain_requested_.exchange(false, std::memory_order_acq_rel)) begin_drain();
    if (hurry_requested_.exchange(false, std::memory_order_acq_rel)) {
        begin_drain();
        end_drain();
    }
    if (stop_requested_.exchange(false, std::memory_order_acq_rel)) finished_.store(true, std::memory_order_release);
}

void Worker::retire(Connection& connection) {
    if (const Link* link = link_of(connection.downstream()); link != nullptr)
        set_link(connection.downstream(), nullptr, Role::kNone);
    retired_.push_back(&connection);
    WEIR_ASSERT(open_ > 0);
    --open_;
    shared_.connections.fetch_sub(1, std::memory_order_relaxed);
}

void Worker::on_turn_end() {
    for (std::size_t i = 0; i < turn_watchers_.size(); ++i) {
        if (turn_watchers_[i] != nullptr) turn_watchers_[i]->on_turn_end();
    }
    std::size_t kept = 0;
    for (Connection* connection : retired_) {
        if (connection->awaits_decision()) {
            retired_[kept++] = connection;
            continue;
        }
        const auto slot = static_cast<std::uint32_t>(connection->slot());
        slots_[slot].connection.reset();
        ++slots_[slot].generation;
        free_slots_.push_back(slot);
    }
    retired_.resize(kept);
    tools_.give_back();
    // Callers of other workers may wait for what this one asks.
    if (draining_ && open_ == 0 && (drain_over_ || lookups_.idle())) finished_.store(true, std::memory_order_release);
}

}  // namespace weir::gateway
