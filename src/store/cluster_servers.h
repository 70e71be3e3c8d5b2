// Redis Cluster: which of its masters has a slot. "Redis cluster specification", redirections; a map of all slots is
// kept and asked for again (CLUSTER SLOTS) when a redirection, an unknown slot or a lost server says that it is old.
//
// The nodes that the configuration names are those to begin with. Which others there are is what the cluster says;
// nodes that have no slot rest, and are asked for the map when no other can be. At most kNodesMax are known.
// One worker's thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "store/cluster_slots.h"
#include "store/store_servers.h"

namespace weir::store {

class ClusterServers final : public StoreServers {
  public:
    static constexpr std::size_t kNodesMax = 100;
    static constexpr Nanos kLookSoonest = std::chrono::milliseconds(100);
    static constexpr Nanos kLookWhileDown = std::chrono::milliseconds(300);
    static constexpr Nanos kLookAnyway = std::chrono::seconds(10);
    static constexpr Nanos kLookTimeout = std::chrono::seconds(1);

    ClusterServers(const StoreAddress& address, ServerTools tools);

    void start() override;
    [[nodiscard]] bool has_slots() const override { return true; }
    Result<RedisNode*> server_of(std::uint16_t slot) override;
    Result<RedisNode*> redirected(RedisNode& from, const protocol::resp::Redirection& to, bool moved) override;
    Result<net::Endpoint> endpoint_of(RedisNode& node) override { return resolve(node.host(), tools_.names, turn_); }
    void on_down(RedisNode& /*node*/) override { old_ = true; }
    void on_misplaced(RedisNode& /*node*/, const Error& /*why*/) override { old_ = true; }
    void on_answer(RedisNode& node, const protocol::resp::Reply* reply) override;
    void tend() override;
    void set_timeout(Nanos timeout) override;
    void stop() override;

  private:
    static constexpr std::uint16_t kNobody = 0xFFFF;

    // The node at this address, made or woken up; nullopt beyond kNodesMax.
    [[nodiscard]] std::optional<std::uint16_t> node_at(const StoreHost& host);
    void look();
    void adopt(const std::vector<SlotRange>& ranges, const StoreHost& asked);

    ServerTools tools_;
    std::vector<StoreHost> seeds_;
    std::vector<std::unique_ptr<RedisNode>> nodes_;
    std::array<std::uint16_t, protocol::resp::kSlots> slots_;  // index in nodes_
    std::string question_;
    std::size_t turn_ = 0;
    std::size_t look_turn_ = 0;
    bool known_ = false;  // the map has been told once
    bool old_ = true;     // and is in doubt
    bool asking_ = false;
    MonoTime looked_{};
};

}  // namespace weir::store
