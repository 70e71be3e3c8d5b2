#include "store/store_servers.h"

#include <utility>

#include "store/cluster_servers.h"
#include "store/sentinel_servers.h"

namespace weir::store {

namespace {

class SingleServer final : public StoreServers {
  public:
    SingleServer(const StoreHost& host, ServerTools tools) : names_(tools.names) {
        tools.node.host = host;
        node_ = std::make_unique<RedisNode>(tools.host, tools.user, std::move(tools.node), tools.seed);
    }
    void start() override { node_->start(); }
    Result<RedisNode*> server_of(std::uint16_t /*slot*/) override { return node_.get(); }
    Result<net::Endpoint> endpoint_of(RedisNode& node) override { return resolve(node.host(), names_, turn_); }
    void tend() override { node_->tend(); }
    void set_timeout(Nanos timeout) override { node_->set_timeout(timeout); }
    void stop() override { node_->stop(); }

  private:
    net::NameTable& names_;
    std::size_t turn_ = 0;
    std::unique_ptr<RedisNode> node_;
};

}  // namespace

Result<RedisNode*> StoreServers::redirected(RedisNode& /*from*/, const protocol::resp::Redirection& /*to*/,
                                            bool /*moved*/) {
    return Error{ErrorCode::kStoreUnavailable, ErrorSource::kStore, false,
                 "the store is a cluster: its address begins with redis+cluster://"};
}

Result<net::Endpoint> resolve(const StoreHost& host, net::NameTable& names, std::size_t& turn) {
    if (!host.unix_path.empty()) return net::Endpoint{.address = {}, .port = 0, .unix_path = host.unix_path};
    if (const auto address = IpAddress::parse(host.host)) {
        return net::Endpoint{.address = *address, .port = host.port, .unix_path = {}};
    }
    const auto known = names.addresses_of(host.host);
    if (known.empty()) {
        return Error{ErrorCode::kUnreachable, ErrorSource::kStore, true, "the name of the store has no address"};
    }
    return net::Endpoint{.address = known[turn++ % known.size()], .port = host.port, .unix_path = {}};
}

std::unique_ptr<StoreServers> make_servers(const StoreAddress& address, ServerTools tools) {
    tools.node.user = address.user;
    tools.node.password = address.password;
    tools.node.database = address.database;
    if (address.kind == StoreKind::kCluster) return std::make_unique<ClusterServers>(address, std::move(tools));
    if (address.kind == StoreKind::kSentinel) return std::make_unique<SentinelServers>(address, std::move(tools));
    return std::make_unique<SingleServer>(address.hosts.front(), std::move(tools));
}

}  // namespace weir::store
