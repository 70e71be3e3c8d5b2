// One configuration in force: the Config, and what the workers derive from it once so that no message pays for it.
//
// Immutable after it is built. A reload makes a new one; connections that are open take it up at their next message.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "config/config.h"
#include "gateway/jwks_source.h"
#include "gateway/lookup_cache.h"
#include "identity/identity.h"
#include "metrics/registry.h"
#include "policy/event.h"

namespace weir::gateway {

// Time series of one limit on one route, by tier.
struct LimitCells {
    struct ByTier {
        metrics::Cell allowed, denied, shadow_denied, error_open, error_closed;
    };
    std::vector<ByTier> tiers;
};

struct RouteCells {
    metrics::Cell connections;  // gauge
    metrics::Cell accepted, denied, refused, rejected, blocked, upstream_error;
    metrics::Cell penalties, shadow_penalties;
    metrics::Cell messages_in, messages_out, bytes_in, bytes_out;
    std::vector<LimitCells> limits;  // by LimitId; empty for limits that the route does not use
};

struct RouteRuntime {
    const config::Route* route = nullptr;
    bool limited = false;  // something of it depends on who calls
    RouteCells cells;
    // Without content rules the opcode alone picks the rule.
    std::size_t text_rule = policy::MessageRules::kNoRule;
    std::size_t binary_rule = policy::MessageRules::kNoRule;
    std::vector<std::size_t> strictest;  // by TierId
};

struct Snapshot : std::enable_shared_from_this<Snapshot> {
    // `before`: the one that this replaces, whose answers about callers and fetched keys are kept where they still
    // hold.
    Snapshot(std::shared_ptr<const config::Config> configuration, const HashKey& hash_key, std::uint64_t number,
             metrics::Registry& registry, const Snapshot* before = nullptr);
    Snapshot(const Snapshot&) = delete;
    Snapshot& operator=(const Snapshot&) = delete;

    [[nodiscard]] Result<const RouteRuntime*> route_of_target(std::string_view target) const;
    [[nodiscard]] const RouteRuntime* route_named(std::string_view name) const;

    std::shared_ptr<const config::Config> config;
    std::uint64_t generation;
    std::shared_ptr<JwksSource> jwks;  // null: no key set is fetched
    identity::Identifier identifier;
    policy::Planner planner;
    std::shared_ptr<LookupCache> lookup;  // null: nobody is asked
    std::vector<RouteRuntime> routes;
    std::vector<std::vector<metrics::Cell>> upstream_errors;  // by upstream, by ErrorCode
};

}  // namespace weir::gateway
