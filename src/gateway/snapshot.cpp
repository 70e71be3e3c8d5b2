#include "gateway/snapshot.h"

namespace weir::gateway {
namespace {

using metrics::Family;

std::vector<policy::LimitId> limits_of(const config::Route& route) {
    std::vector<policy::LimitId> limits = route.http.limits;
    const auto add = [&limits](const std::vector<policy::LimitId>& list) {
        limits.insert(limits.end(), list.begin(), list.end());
    };
    const auto add_all = [&add](const policy::RuleLists& lists) {
        for (const auto& list : lists.all()) add(list);
    };
    for (const auto& [method, list] : route.http.by_method) add(list);
    if (route.graphql) add_all(route.graphql->rules.lists);
    if (route.calls) add_all(route.calls->rules.lists);
    if (route.websocket) {
        add(route.websocket->connect);
        for (const auto& rule : route.websocket->messages.rules()) add(rule.limits);
        if (route.websocket->graphql) add_all(route.websocket->graphql->rules.lists);
        if (route.websocket->jsonrpc) add_all(route.websocket->jsonrpc->rules.lists);
    }
    return limits;
}

LimitCells limit_cells(metrics::Registry& registry, const std::string& route, const policy::Limit& limit,
                       const policy::LimitTable& table) {
    LimitCells cells;
    for (const auto& tier : table.tiers()) {
        const auto cell = [&](std::string_view outcome) {
            return registry.cell(Family::kDecisions, {route, limit.name, tier.name, outcome});
        };
        cells.tiers.push_back({.allowed = cell(metrics::label::kAllowed),
                               .denied = cell(metrics::label::kDenied),
                               .shadow_denied = cell(metrics::label::kShadowDenied),
                               .error_open = cell(metrics::label::kErrorOpen),
                               .error_closed = cell(metrics::label::kErrorClosed)});
    }
    return cells;
}

RouteCells route_cells(metrics::Registry& registry, const config::Route& route, const policy::LimitTable& table) {
    const auto outcome = [&](std::string_view name) {
        return registry.cell(Family::kConnectionsTotal, {route.name, name});
    };
    RouteCells cells{
        .connections = registry.cell(Family::kConnections, {route.name}),
        .accepted = outcome(metrics::label::kAccepted),
        .denied = outcome(metrics::label::kDenied),
        .refused = outcome(metrics::label::kRefused),
        .rejected = outcome(metrics::label::kRejected),
        .blocked = outcome(metrics::label::kBlocked),
        .upstream_error = outcome(metrics::label::kUpstreamError),
        .penalties = registry.cell(Family::kPenalties, {route.name, metrics::label::kBlocked}),
        .shadow_penalties = registry.cell(Family::kPenalties, {route.name, metrics::label::kShadowBlocked}),
        .messages_in = registry.cell(Family::kMessages, {route.name, metrics::label::kUpstream}),
        .messages_out = registry.cell(Family::kMessages, {route.name, metrics::label::kDownstream}),
        .bytes_in = registry.cell(Family::kBytes, {route.name, metrics::label::kUpstream}),
        .bytes_out = registry.cell(Family::kBytes, {route.name, metrics::label::kDownstream}),
        .limits = std::vector<LimitCells>(table.size()),
    };
    for (const policy::LimitId limit : limits_of(route)) {
        cells.limits[limit] = limit_cells(registry, route.name, table.at(limit), table);
    }
    return cells;
}

std::size_t rule_of_opcode(const policy::MessageRules& rules, bool binary) {
    policy::ContentJudge judge;
    return judge.judge(rules, {.content = {}, .complete = false, .binary = binary, .size_least = 0});
}

RouteRuntime runtime_of(const config::Route& route, metrics::Registry& registry, const policy::LimitTable& table) {
    RouteRuntime runtime;
    runtime.route = &route;
    runtime.limited =
        !limits_of(route).empty() || (route.websocket && route.websocket->connections_max_per_subject > 0);
    runtime.cells = route_cells(registry, route, table);
    if (!route.websocket) return runtime;
    const policy::MessageRules& rules = route.websocket->messages;
    if (!rules.needs_content()) {
        runtime.text_rule = rule_of_opcode(rules, false);
        runtime.binary_rule = rule_of_opcode(rules, true);
    }
    for (std::size_t tier = 0; tier < table.tiers().size(); ++tier) {
        runtime.strictest.push_back(rules.strictest(table, static_cast<policy::TierId>(tier)));
    }
    return runtime;
}

std::shared_ptr<JwksSource> jwks_source(const config::Config& config, metrics::Registry& registry,
                                        const Snapshot* before) {
    if (!config.jwks) return nullptr;
    const bool same = before != nullptr && before->jwks != nullptr && before->jwks->serves(*config.jwks);
    return same ? before->jwks : std::make_shared<JwksSource>(*config.jwks, registry);
}

identity::Options identity_options(const config::Config& config, std::shared_ptr<const JwksSource> jwks) {
    identity::Options options = config.identity;
    if (options.jwt && jwks != nullptr) options.jwt->remote = std::move(jwks);
    return options;
}

}  // namespace

Snapshot::Snapshot(std::shared_ptr<const config::Config> configuration, const HashKey& hash_key, std::uint64_t number,
                   metrics::Registry& registry, const Snapshot* before)
    : config(std::move(configuration)),
      generation(number),
      jwks(jwks_source(*config, registry, before)),
      identifier(identity_options(*config, jwks)),
      planner({.limits = config->limits.get(),
               .key_prefix = config->key_prefix,
               .hash_key = hash_key,
               .subject = config->subject}) {
    if (config->lookup) {
        const bool same =
            before != nullptr && before->lookup != nullptr && before->lookup->serves(*config->lookup, *config->limits);
        lookup = same ? before->lookup : std::make_shared<LookupCache>(*config->lookup, config->limits, registry);
    }
    for (const config::Route& route : config->routes) routes.push_back(runtime_of(route, registry, *config->limits));
    for (const config::Upstream& upstream : config->upstreams) {
        std::vector<metrics::Cell> cells;
        for (int code = 0; code < static_cast<int>(ErrorCode::kCount_); ++code) {
            cells.push_back(
                registry.cell(Family::kUpstreamErrors, {upstream.name, error_row(static_cast<ErrorCode>(code)).label}));
        }
        upstream_errors.push_back(std::move(cells));
    }
}

Result<const RouteRuntime*> Snapshot::route_of_target(std::string_view target) const {
    const auto route = config->route_of_target(target);
    if (!route) return route.error();
    return &routes[static_cast<std::size_t>(*route - config->routes.data())];
}

const RouteRuntime* Snapshot::route_named(std::string_view name) const {
    for (const RouteRuntime& runtime : routes) {
        if (runtime.route->name == name) return &runtime;
    }
    return nullptr;
}

}  // namespace weir::gateway
