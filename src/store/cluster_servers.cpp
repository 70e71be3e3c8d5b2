#include "store/cluster_servers.h"

#include <algorithm>
#include <utility>

#include "protocol/resp/command.h"

namespace weir::store {

namespace resp = protocol::resp;

namespace {

Error unknown_slot(bool known) {
    return {ErrorCode::kStoreUnavailable, ErrorSource::kStore, true,
            known ? "no server of the cluster has the slot" : "the cluster has not said yet who has which slot"};
}

}  // namespace

ClusterServers::ClusterServers(const StoreAddress& address, ServerTools tools)
    : tools_(std::move(tools)), seeds_(address.hosts), look_turn_(tools_.seed) {
    slots_.fill(kNobody);
    resp::append_command(question_, {"CLUSTER", "SLOTS"});
}

void ClusterServers::start() {
    for (const StoreHost& seed : seeds_) static_cast<void>(node_at(seed));
}

void ClusterServers::stop() {
    for (const auto& node : nodes_) node->stop();
}

void ClusterServers::set_timeout(Nanos timeout) {
    tools_.node.timeout = timeout;
    for (const auto& node : nodes_) node->set_timeout(timeout);
}

std::optional<std::uint16_t> ClusterServers::node_at(const StoreHost& host) {
    const auto known = std::ranges::find_if(nodes_, [&](const auto& node) { return node->host() == host; });
    if (known != nodes_.end()) {
        if ((*known)->resting()) (*known)->start();
        return static_cast<std::uint16_t>(known - nodes_.begin());
    }
    // One that has left the cluster gives up its place.
    auto place = nodes_.end();
    if (nodes_.size() >= kNodesMax) {
        place = std::ranges::find_if(nodes_, [](const auto& node) { return node->resting(); });
        if (place == nodes_.end()) return std::nullopt;
        (*place)->set_host(host);
    } else {
        RedisNode::Options options = tools_.node;
        options.host = host;
        nodes_.push_back(std::make_unique<RedisNode>(tools_.host, tools_.user, std::move(options), ++tools_.seed));
        place = nodes_.end() - 1;
    }
    (*place)->start();
    return static_cast<std::uint16_t>(place - nodes_.begin());
}

Result<RedisNode*> ClusterServers::server_of(std::uint16_t slot) {
    const std::uint16_t index = slots_[slot];
    if (index != kNobody) return nodes_[index].get();
    old_ = true;
    if (known_) return unknown_slot(true);
    // At the start: any node knows, and redirects.
    for (const auto& node : nodes_) {
        if (!node->unusable()) return node.get();
    }
    return unknown_slot(false);
}

Result<RedisNode*> ClusterServers::redirected(RedisNode& from, const resp::Redirection& to, bool moved) {
    old_ = old_ || moved;
    StoreHost host{.host = std::string(to.host), .port = to.port, .unix_path = {}};
    if (host.host.empty()) host.host = from.host().host;
    const auto index = node_at(host);
    if (!index) {
        return Error{ErrorCode::kExhausted, ErrorSource::kStore, false,
                     "the cluster has more nodes than Weir talks to"};
    }
    if (moved && to.slot < slots_.size()) slots_[to.slot] = *index;
    return nodes_[*index].get();
}

void ClusterServers::tend() {
    for (const auto& node : nodes_) node->tend();
    const Nanos since = tools_.host.reactor().now() - looked_;
    if (asking_ && since >= kLookTimeout) asking_ = false;
    if (asking_) return;
    const bool one_is_down =
        std::ranges::any_of(nodes_, [](const auto& node) { return !node->resting() && node->unusable(); });
    if ((old_ && since >= kLookSoonest) || (one_is_down && since >= kLookWhileDown) || since >= kLookAnyway) look();
}

void ClusterServers::look() {
    looked_ = tools_.host.reactor().now();
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        RedisNode& node = *nodes_[++look_turn_ % nodes_.size()];
        if (!node.ready() || node.unusable()) continue;
        if (!node.ask(question_, kServersTag)) continue;
        asking_ = true;
        return;
    }
    // Nobody can be asked: those that had no slot may know.
    for (const auto& node : nodes_) {
        if (node->resting()) node->start();
    }
}

void ClusterServers::on_answer(RedisNode& node, const resp::Reply* reply) {
    asking_ = false;
    if (reply == nullptr) {
        old_ = true;
        return;
    }
    const auto ranges = read_cluster_slots(*reply);
    if (!ranges || ranges->empty()) return;  // it is no cluster, or has not begun to be one
    const StoreHost asked = node.host();
    adopt(*ranges, asked);
}

void ClusterServers::adopt(const std::vector<SlotRange>& ranges, const StoreHost& asked) {
    slots_.fill(kNobody);
    known_ = true;
    old_ = false;
    std::vector<bool> has_slots(kNodesMax + 1);
    for (const SlotRange& range : ranges) {
        const StoreHost host{.host = range.host.empty() ? asked.host : range.host, .port = range.port, .unix_path = {}};
        const auto index = node_at(host);
        if (!index) continue;
        has_slots[*index] = true;
        std::fill(slots_.begin() + range.first, slots_.begin() + range.last + 1, *index);
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        if (!has_slots[i] && !nodes_[i]->resting()) nodes_[i]->rest();
    }
}

}  // namespace weir::store
