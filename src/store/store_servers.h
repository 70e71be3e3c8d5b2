// Which servers a store has, and which of them has a slot: one server, the master that Sentinels know, or a cluster.
//
// Owns the RedisNodes. `RedisStore` asks them, and hands on what it hears of redirections and of servers that are down.
// One worker's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "net/name_table.h"
#include "net/socket_owner.h"
#include "protocol/resp/error_reply.h"
#include "store/redis_node.h"
#include "store/store_address.h"

namespace weir::store {

// Of what the servers ask their nodes themselves (CLUSTER SLOTS).
inline constexpr std::uint64_t kServersTag = kNodeTags - 1;

class StoreServers {
  public:
    virtual ~StoreServers() = default;

    virtual void start() = 0;
    // Keys of one command must lie in one slot, and `server_of` depends on it.
    [[nodiscard]] virtual bool has_slots() const { return false; }
    // An error: it isn't known, or there is none.
    [[nodiscard]] virtual Result<RedisNode*> server_of(std::uint16_t slot) = 0;
    // Where `from` sends the asker; `moved`: for good.
    [[nodiscard]] virtual Result<RedisNode*> redirected(RedisNode& from, const protocol::resp::Redirection& to,
                                                        bool moved);
    [[nodiscard]] virtual Result<net::Endpoint> endpoint_of(RedisNode& node) = 0;
    virtual void on_down(RedisNode& /*node*/) {}
    // It answers that it is not who it should be (READONLY, CLUSTERDOWN, MASTERDOWN).
    virtual void on_misplaced(RedisNode& node, const Error& why) { node.reconnect(why); }
    // To what was asked under kServersTag; null when there will be no answer.
    virtual void on_answer(RedisNode& /*node*/, const protocol::resp::Reply* /*reply*/) {}
    // Looks after everything that has a time; called every kTendEvery.
    virtual void tend() = 0;
    virtual void set_timeout(Nanos timeout) = 0;
    // Closes everything, and tells nobody.
    virtual void stop() = 0;
};

inline constexpr Nanos kTendEvery = std::chrono::milliseconds(100);

struct ServerTools {
    net::SocketHost& host;
    net::NameTable& names;
    NodeUser& user;
    // What every node has in common; its `host` is replaced.
    RedisNode::Options node;
    std::uint64_t seed = 1;
};

[[nodiscard]] std::unique_ptr<StoreServers> make_servers(const StoreAddress& address, ServerTools tools);

// Where a host is now; `turn` goes round the addresses of a name.
[[nodiscard]] Result<net::Endpoint> resolve(const StoreHost& host, net::NameTable& names, std::size_t& turn);

}  // namespace weir::store
