#include "config/operations.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "config/values.h"

namespace weir::config {

namespace {

constexpr std::size_t kNamesMax = 10'000;
constexpr std::size_t kPatternsMax = 64;  // each is tried for a name that nothing names exactly
constexpr std::size_t kListsMax = 255;
constexpr std::size_t kNameBytesMax = 2048;  // a URI may be long

constexpr std::array<std::string_view, 3> kOperationTypes{"Query", "Mutation", "Subscription"};

// GraphQL 2.1.9, or with a '*' in it.
bool is_field_pattern(std::string_view name) {
    if (!policy::NameRules::is_pattern(name) || ascii_digit(name.front())) return false;
    return std::ranges::all_of(name, [](char c) {
        const char lower = ascii_lower(c);
        return (lower >= 'a' && lower <= 'z') || ascii_digit(c) || c == '_' || c == '*';
    });
}

}  // namespace

GraphqlRoute OperationsBuilder::graphql(const Section& section) const {
    GraphqlRoute route;
    policy::GraphqlRules& rules = route.rules;
    rules.query = rule(rules.lists, section, "query");
    rules.mutation = rule(rules.lists, section, "mutation");
    rules.subscription = section.has("subscription") ? rule(rules.lists, section, "subscription") : rules.query;
    add_fields(rules, section);
    add_names(rules.persisted, rules.lists, section, "persisted");
    check_lists(rules.lists, section);
    warn_uncounted(rules.query_fields, section, "query", "queries");
    warn_uncounted(rules.mutation_fields, section, "mutation", "mutations");
    if (!section.has("query")) warn_uncounted(rules.subscription_fields, section, "subscription", "subscriptions");

    const Section bounds = section.section("bounds");
    route.bounds = {.tokens = bounds.integer("tokens"),
                    .depth = bounds.integer("depth"),
                    .aliases = bounds.integer("aliases"),
                    .root_fields = bounds.integer("root_fields")};
    route.batch_max = bounds.integer("batch");
    route.subscriptions_max = bounds.integer("subscriptions");
    if (section.takes("status")) route.denied_status = static_cast<unsigned>(section.integer("status"));
    route.inspect_bytes = section.size("inspect_bytes");
    return route;
}

CallRoute OperationsBuilder::calls(const Section& section, bool mcp) const {
    CallRoute route;
    policy::CallRules& rules = route.rules;
    route.mcp = mcp;
    rules.otherwise = rule(rules.lists, section, "default");
    add_names(rules.methods, rules.lists, section, "methods");
    if (mcp) {
        add_names(rules.tools, rules.lists, section, "tools");
        add_names(rules.prompts, rules.lists, section, "prompts");
        add_names(rules.resources, rules.lists, section, "resources");
    }
    check_lists(rules.lists, section);
    warn_uncounted(rules.methods, section, "default", "calls that nothing else names");
    if (section.takes("deny_as")) route.deny_as = section.choice<DenyAs>("deny_as");
    route.code = static_cast<int>(section.signed_integer("code"));
    if (section.takes("inspect_bytes")) route.inspect_bytes = section.size("inspect_bytes");
    return route;
}

void OperationsBuilder::add(Route& route, const Section& section) const {
    std::string_view kind;
    for (const std::string_view key : {"graphql", "mcp", "jsonrpc"}) {
        if (!section.has(key)) continue;
        if (key == "graphql") {
            route.graphql = graphql(section.section(key));
        } else {
            route.calls = calls(section.section(key), key == "mcp");
        }
        if (!kind.empty()) {
            report_.error(section.key_place(key), in_quotes(key) + " beside " + in_quotes(kind) +
                                                      ": the bodies of a route are of one kind; use a route for each");
        }
        kind = key;
    }
}

policy::RuleIndex OperationsBuilder::rule(policy::RuleLists& lists, const Section& section,
                                          std::string_view key) const {
    return section.has(key) ? lists.add(limits_.read(section, key)) : policy::kUncounted;
}

void OperationsBuilder::add_names(policy::NameRules& rules, policy::RuleLists& lists, const Section& section,
                                  std::string_view key) const {
    const Section map = section.section(key);
    if (map.node() == nullptr) return;
    check_size(map.name(), *map.node());
    for (const Entry& entry : map.node()->entries) {
        add_name(rules, lists, entry, key == "persisted" ? policy::GraphqlRules::persisted_key(entry.key) : entry.key);
    }
    if (rules.pattern_count() > kPatternsMax) {
        report_.error(map.place(), map.name() + ": at most " + std::to_string(kPatternsMax) + " names may have a '*'");
    }
}

void OperationsBuilder::add_name(policy::NameRules& rules, policy::RuleLists& lists, const Entry& entry,
                                 std::string name) const {
    const std::vector<policy::LimitId> limits = limits_.read(entry.value, entry.value.place);
    if (!policy::NameRules::is_pattern(name)) {
        report_.error(entry.place, name.empty() ? std::string("the name is empty")
                                                : in_quotes(entry.key) + " has more than one '*'");
    } else if (name.size() > kNameBytesMax) {
        report_.error(entry.place, in_quotes(entry.key) + " has more than " + std::to_string(kNameBytesMax) + " bytes");
    } else if (!rules.add(std::move(name), lists.add(limits))) {
        report_.error(entry.place, in_quotes(entry.key) + " stands here twice");
    }
}

void OperationsBuilder::add_fields(policy::GraphqlRules& rules, const Section& section) const {
    const Section map = section.section("fields");
    if (map.node() == nullptr) return;
    check_size(map.name(), *map.node());
    const std::array<policy::NameRules*, 3> of_type{&rules.query_fields, &rules.mutation_fields,
                                                    &rules.subscription_fields};
    for (const Entry& entry : map.node()->entries) {
        const std::size_t dot = std::min(entry.key.find('.'), entry.key.size());
        const auto type = std::ranges::find(kOperationTypes, std::string_view(entry.key).substr(0, dot));
        const std::string field = dot < entry.key.size() ? entry.key.substr(dot + 1) : std::string();
        if (type == kOperationTypes.end() || !is_field_pattern(field)) {
            report_.error(entry.place, in_quotes(entry.key) +
                                           " is no root field, expected Query.NAME, Mutation.NAME or "
                                           "Subscription.NAME, with one '*' in NAME or none");
            (void)limits_.read(entry.value, entry.value.place);  // what is wrong with them, too
            continue;
        }
        add_name(*of_type[static_cast<std::size_t>(type - kOperationTypes.begin())], rules.lists, entry, field);
    }
    for (const policy::NameRules* each : of_type) {
        if (each->pattern_count() <= kPatternsMax) continue;
        report_.error(map.place(), map.name() + ": at most " + std::to_string(kPatternsMax) +
                                       " names of an operation type may have a '*'");
    }
}

void OperationsBuilder::check_size(std::string_view name, const Node& map) const {
    if (map.entries.size() <= kNamesMax) return;
    report_.error(map.place, std::string(name) + ": at most " + std::to_string(kNamesMax) + " names are read");
}

void OperationsBuilder::check_lists(const policy::RuleLists& lists, const Section& section) const {
    if (lists.all().empty()) {
        report_.error(section.place(), section.name() + " limits nothing, expected at least one limit");
    }
    if (lists.all().size() > kListsMax) {
        report_.error(section.place(), section.name() + ": at most " + std::to_string(kListsMax) +
                                           " different lists of limits may stand here");
    }
}

// `none` says that it is meant, and so does a pattern that covers all names.
void OperationsBuilder::warn_uncounted(const policy::NameRules& names, const Section& section, std::string_view key,
                                       std::string_view what) const {
    if (section.has(key) || names.covers_all()) return;
    report_.warning(section.place(), section.name() + ": " + std::string(what) + " are not counted: there is no " +
                                         in_quotes(key) + " ('" + std::string(key) + ": none' if that is meant)");
}

}  // namespace weir::config
