// A worker: one thread, one reactor, its listening sockets and its connections. Nothing here is shared with other
// workers but what Shared holds.
//
// Sockets are known by their reactor index: `links_` says whose each is, and in which role. Parts of the worker that
// have sockets of their own are SocketOwners (net/socket_owner.h). Connections are freed at
// the end of a turn, and not before a decision that they wait for has come.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "gateway/admission.h"
#include "gateway/client_stream.h"
#include "gateway/connection.h"
#include "gateway/jwks_client.h"
#include "gateway/lookup_client.h"
#include "gateway/operation_judge.h"
#include "gateway/shared.h"
#include "gateway/tls_watch.h"
#include "gateway/upstream_pool.h"
#include "net/reactor.h"
#include "net/socket_owner.h"
#include "store/redis_store.h"

namespace weir::gateway {

class Worker final : public net::ReactorEvents, public net::SocketHost, public LookupListener {
  public:
    // `seed` makes mask keys; unpredictable in production (RFC 6455 10.3), repeatable in the simulation.
    Worker(std::unique_ptr<net::Reactor> reactor, Shared& shared, net::NameTable& names, std::uint64_t seed);
    ~Worker();
    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    [[nodiscard]] Result<net::Endpoint> listen(const net::Endpoint& endpoint, bool tls = false);
    // Runs until drained or stopped.
    void run();
    // One turn, for the simulation.
    void turn(Nanos wait) { reactor_->turn(wait); }

    // From any thread; taken up at the next turn.
    void request_reload() { flag(reload_requested_); }
    void request_drain() { flag(drain_requested_); }
    void request_hurry() { flag(hurry_requested_); }  // to end the drain
    void request_stop() { flag(stop_requested_); }
    [[nodiscard]] bool finished() const { return finished_; }
    [[nodiscard]] std::size_t connection_count() const { return open_; }

    // For connections.
    [[nodiscard]] net::Reactor& reactor() override { return *reactor_; }
    [[nodiscard]] Shared& shared() { return shared_; }
    [[nodiscard]] metrics::Shard& shard() { return shard_; }
    [[nodiscard]] Admission& admission() { return admission_; }
    [[nodiscard]] StreamTools& tools() { return tools_; }
    [[nodiscard]] OperationJudge& judge() { return judge_; }
    [[nodiscard]] UpstreamPool& pool() { return *pool_; }
    [[nodiscard]] const std::shared_ptr<const Snapshot>& snapshot() const { return snapshot_; }
    [[nodiscard]] std::uint64_t generation() const { return snapshot_->generation; }
    [[nodiscard]] bool draining() const { return draining_; }
    [[nodiscard]] protocol::ws::MaskKey random_mask();
    // The time of this turn as HTTP writes it; made once a second.
    [[nodiscard]] std::string_view date();
    [[nodiscard]] protocol::http::RequestHead& request_scratch() { return request_scratch_; }
    [[nodiscard]] protocol::http::ResponseHead& response_scratch() { return response_scratch_; }
    [[nodiscard]] net::TimerId set_timer(const Connection& connection, Nanos delay);
    void attach_upstream(net::SocketId socket, Connection& connection);
    void detach_upstream(net::SocketId socket);
    // Keeps an upstream connection for the next request, or closes it.
    void pool_upstream(const AddressRef& ref, net::SocketId socket, bool reusable);
    void retire(Connection& connection);
    [[nodiscard]] LookupClient& lookups() { return lookups_; }
    [[nodiscard]] JwksClient& jwks() { return jwks_; }

    // SocketHost
    [[nodiscard]] Result<net::SocketId> connect_for(net::SocketOwner& owner, const net::Endpoint& endpoint,
                                                    const net::TlsClient* tls = nullptr) override;
    void close_for_owner(net::SocketId socket) override { close_upstream(socket); }
    [[nodiscard]] net::TimerId set_timer_for(net::SocketOwner& owner, Nanos delay, std::uint64_t cookie) override;
    void watch_turns(net::SocketOwner& owner) override { turn_watchers_.push_back(&owner); }
    void forget_owner(net::SocketOwner& owner) override;

    // LookupListener: from any thread.
    void post_lookup(const LookupWaiter& waiter, const identity::LookupAnswer& answer) override;

    // ReactorEvents
    void on_accepted(net::SocketId socket, std::uint32_t listener, const net::Endpoint& peer) override;
    void on_connected(net::SocketId socket, Result<void> outcome) override;
    void on_received(net::SocketId socket, net::Slice bytes) override;
    void on_received_end(net::SocketId socket) override;
    void on_drained(net::SocketId socket) override;
    void on_closed(net::SocketId socket, Error why) override;
    void on_tls_handshake(net::SocketId socket, const net::TlsHandshake& handshake) override;
    void on_timer(net::TimerId timer, std::uint64_t cookie) override;
    void on_wake() override;
    void on_turn_end() override;

  private:
    enum class Role : std::uint8_t { kNone, kDownstream, kUpstream, kPooled, kOwned };
    struct Link {
        union {
            Connection* connection = nullptr;
            net::SocketOwner* owner;  // kOwned
        };
        std::uint32_t generation = 0;
        Role role = Role::kNone;
    };
    struct Slot {
        std::unique_ptr<Connection> connection;
        std::uint32_t generation = 0;
    };

    void flag(std::atomic<bool>& request) {
        request.store(true, std::memory_order_release);
        reactor_->wake();
    }
    [[nodiscard]] Link* link_of(net::SocketId socket);
    void set_link(net::SocketId socket, Connection* connection, Role role);
    void adopt(std::shared_ptr<const Snapshot> snapshot);
    void begin_drain();
    void end_drain();
    [[nodiscard]] std::unique_ptr<store::RedisStore> make_redis();
    [[nodiscard]] std::size_t owner_index(net::SocketOwner& owner);
    void tick();
    void tend_penalties(MonoTime now);
    void deliver_lookups();
    void close_pooled();
    void close_upstream(net::SocketId socket);
    void close_idle(net::SocketId socket);
    void close_idle_upstream(net::SocketId socket);
    template <typename Do>
    void for_each_connection(Do&& action);

    std::unique_ptr<net::Reactor> reactor_;
    Shared& shared_;
    net::NameTable& names_;
    metrics::Shard& shard_;
    Rng random_;
    std::string date_;
    std::optional<std::chrono::sys_seconds> date_second_;
    std::vector<Link> links_;
    std::vector<net::SocketOwner*> owners_;  // a timer's cookie has the index; null: forgotten
    std::vector<net::SocketOwner*> turn_watchers_;
    std::unique_ptr<store::RedisStore> redis_;  // null: the store is Shared's
    bool redis_started_ = false;
    Admission admission_;
    StreamTools tools_;
    OperationJudge judge_;
    LookupClient lookups_;
    JwksClient jwks_;
    std::shared_ptr<const Snapshot> snapshot_;
    std::unique_ptr<UpstreamPool> pool_;
    protocol::http::RequestHead request_scratch_;
    protocol::http::ResponseHead response_scratch_;

    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_slots_;
    std::vector<Connection*> retired_;
    std::size_t open_ = 0;
    std::vector<std::uint32_t> listeners_;
    std::vector<bool> listener_has_tls_;         // by listener
    std::shared_ptr<const net::TlsServer> tls_;  // the newest
    TlsWatch tls_watch_;
    MonoTime drain_until_{};
    bool draining_ = false;
    bool drain_over_ = false;
    std::mutex mailbox_mutex_;
    std::vector<std::pair<LookupWaiter, identity::LookupAnswer>> mailbox_;
    std::atomic<bool> finished_{false};
    std::atomic<bool> reload_requested_{false}, drain_requested_{false}, hurry_requested_{false},
        stop_requested_{false};
};

}  // namespace weir::gateway
