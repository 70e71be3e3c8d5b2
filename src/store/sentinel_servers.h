// One server, whose place the Sentinels say: the master of a name. "Redis Sentinel client spec".
//
// A Sentinel is asked at the start, whenever the master can't be reached or says that it is none (READONLY), and every
// kLookAgain, as a master that was cut off may not know yet. When a Sentinel does not answer, or does not know the
// name, the next one is asked. One worker's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "store/store_servers.h"

namespace weir::store {

class SentinelServers final : public StoreServers, public ConnectionUser {
  public:
    static constexpr Nanos kLookAgain = std::chrono::seconds(1);

    SentinelServers(const StoreAddress& address, ServerTools tools);

    void start() override;
    Result<RedisNode*> server_of(std::uint16_t /*slot*/) override { return master_.get(); }
    Result<net::Endpoint> endpoint_of(RedisNode& node) override;
    void on_down(RedisNode& node) override;
    void on_misplaced(RedisNode& node, const Error& why) override;
    void tend() override;
    void set_timeout(Nanos timeout) override { master_->set_timeout(timeout); }
    void stop() override;

    // ConnectionUser: of the connection to the Sentinel that is asked.
    void on_reply(RedisConnection& connection, std::uint64_t tag, const protocol::resp::Reply& reply) override;
    void on_lost(RedisConnection& connection, std::uint64_t tag, const Error& why) override;
    [[nodiscard]] bool still_wants(std::uint64_t /*tag*/) const override { return true; }
    void on_ready(RedisConnection& connection) override;
    void on_down(RedisConnection& connection, const Error& why) override;
    [[nodiscard]] Result<net::Endpoint> endpoint_of(RedisConnection& connection) override;
    [[nodiscard]] const net::TlsClient* tls_of(RedisConnection& connection) override;

  private:
    void look();
    void send_question();
    void ask_next();
    void found(const StoreHost& master);

    net::SocketHost& host_;
    net::NameTable& names_;
    std::vector<StoreHost> sentinels_;
    StoreTls tls_;
    std::shared_ptr<const net::TlsClient> sentinel_tls_;  // of the Sentinel that is asked
    std::string question_;
    std::size_t turn_ = 0;       // of sentinels_
    std::size_t name_turn_ = 0;  // of a name's addresses
    bool asking_ = false;
    bool sent_ = false;
    bool confirmed_ = false;  // where the master is has been said since it was last in doubt
    MonoTime looked_{};
    std::optional<StoreHost> known_;
    RedisConnection sentinel_;
    std::unique_ptr<RedisNode> master_;
};

}  // namespace weir::store
