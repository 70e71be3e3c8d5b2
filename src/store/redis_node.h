// One Redis server as a worker asks it: a connection, the breaker that stops the waiting for it, and the questions that
// keep the two honest. Everything that is said to the server goes through here.
//
// The server is asked PING when nothing else was answered for kHeartbeat, and while the breaker is open whenever a
// probe is due. So a store that died is noticed without traffic, and one that came back without risking an event.
//
// Our script is loaded when the connection is made; should it be evicted (NOSCRIPT), `load_script` sends it again ahead
// of what is asked after. One worker's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "metrics/registry.h"
#include "store/breaker.h"
#include "store/redis_connection.h"
#include "store/script.h"
#include "store/store_address.h"
#include "store/store_health.h"
#include "store/store_tls.h"

namespace weir::store {

class RedisNode;

// Whoever asks a server.
class NodeUser {
  public:
    virtual void on_answer(RedisNode& node, std::uint64_t tag, const protocol::resp::Reply& reply) = 0;
    virtual void on_failed(RedisNode& node, std::uint64_t tag, const Error& why) = 0;
    [[nodiscard]] virtual bool still_wants(std::uint64_t tag) const = 0;
    [[nodiscard]] virtual Result<net::Endpoint> endpoint_of(RedisNode& node) = 0;
    virtual void on_node_down(RedisNode& node) = 0;  // it was reachable, or an attempt to reach it has failed

  protected:
    ~NodeUser() = default;
};

// Tags from this one on are the node's own.
inline constexpr std::uint64_t kNodeTags = ~std::uint64_t{0} - 15;
// Of commands whose answers mean nothing to anybody: sent whatever comes, and dropped.
inline constexpr std::uint64_t kNoAnswerWanted = kNodeTags;

class RedisNode final : public ConnectionUser {
  public:
    static constexpr Nanos kHeartbeat = std::chrono::seconds(1);

    struct Options {
        StoreHost host;
        StoreTls tls;
        std::string user, password;
        std::uint64_t database = 0;
        const Script* script = nullptr;  // that is loaded
        Nanos timeout = std::chrono::milliseconds(20);
        BreakerOptions breaker;
        metrics::Shard* shard = nullptr;
        metrics::Cell breaker_cell = 0;  // counts the servers that are not asked
        StoreHealth* health = nullptr;
    };
    RedisNode(net::SocketHost& host, NodeUser& user, Options options, std::uint64_t seed);
    ~RedisNode();

    void start() {
        resting_ = false;
        connection_.connect_now();
    }
    // As RedisConnection::ask; fails at once while the breaker is open.
    [[nodiscard]] Result<void> ask(std::string_view command, std::uint64_t tag);
    // Asked although the breaker is open: what goes with something that has been sent.
    void tell(std::string_view command) { static_cast<void>(connection_.ask(command, kNoAnswerWanted)); }
    // The server does not know the script any more.
    void load_script();
    // A question of this node was not answered in time.
    void note_timeout();
    // The server is not what it should be any more (READONLY).
    void reconnect(const Error& why) { connection_.reset(why); }
    // Where it is has become known.
    void connect_now() { connection_.connect_now(); }
    // It is not needed any more, until it is started again; its state is nobody's concern.
    void rest();
    // Another server takes its place in the log; where to connect to is the user's to say.
    void set_host(const StoreHost& host) { options_.host = host; }
    void set_timeout(Nanos timeout);
    // Heartbeat and probes; to be called every so often.
    void tend();
    // Closes, and tells nobody anything any more.
    void stop();

    [[nodiscard]] const StoreHost& host() const { return options_.host; }
    [[nodiscard]] bool closed() const { return breaker_.closed(); }
    [[nodiscard]] bool down() const { return connection_.down(); }
    [[nodiscard]] bool ready() const { return connection_.ready(); }
    [[nodiscard]] bool resting() const { return resting_; }
    // Nothing that is asked now would be answered: why.
    [[nodiscard]] std::optional<Error> unusable() const;

    // ConnectionUser
    void on_reply(RedisConnection& connection, std::uint64_t tag, const protocol::resp::Reply& reply) override;
    void on_lost(RedisConnection& connection, std::uint64_t tag, const Error& why) override;
    [[nodiscard]] bool still_wants(std::uint64_t tag) const override;
    void on_ready(RedisConnection& connection) override;
    void on_down(RedisConnection& connection, const Error& why) override;
    [[nodiscard]] Result<net::Endpoint> endpoint_of(RedisConnection& connection) override;
    [[nodiscard]] const net::TlsClient* tls_of(RedisConnection& connection) override;

  private:
    void probe();
    void succeeded();
    void failed();
    void settle_health(const Error& why);
    void stop_failing();

    net::SocketHost& host_;
    NodeUser& user_;
    Options options_;
    Rng random_;
    std::shared_ptr<const net::TlsClient> tls_;  // of the host that was connected to last
    Breaker breaker_;
    RedisConnection connection_;
    MonoTime answered_{};                 // the last answer in time
    std::optional<MonoTime> probe_sent_;  // one is under way
    bool script_on_its_way_ = false;
    bool failing_ = false;  // what is asked fails at once; as told to the health
    bool resting_ = false;
    bool stopped_ = false;
};

}  // namespace weir::store
