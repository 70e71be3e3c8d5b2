// The rules on operations of a route: its sections `graphql`, `mcp` and `jsonrpc`, and those of the same names inside
// `websocket`.
#pragma once

#include "config/build.h"
#include "config/limit_names.h"

namespace weir::config {

class OperationsBuilder {
  public:
    OperationsBuilder(const LimitNames& limits, Report& report) : limits_(limits), report_(report) {}

    // `section`: routes[].graphql or routes[].websocket.graphql.
    [[nodiscard]] GraphqlRoute graphql(const Section& section) const;
    // `section`: routes[].mcp, routes[].jsonrpc or routes[].websocket.jsonrpc.
    [[nodiscard]] CallRoute calls(const Section& section, bool mcp) const;
    // Fills in route.graphql or route.calls.
    void add(Route& route, const Section& section) const;

  private:
    policy::RuleIndex rule(policy::RuleLists& lists, const Section& section, std::string_view key) const;
    void add_names(policy::NameRules& rules, policy::RuleLists& lists, const Section& section,
                   std::string_view key) const;
    void add_name(policy::NameRules& rules, policy::RuleLists& lists, const Entry& entry, std::string name) const;
    void add_fields(policy::GraphqlRules& rules, const Section& section) const;
    void check_size(std::string_view name, const Node& map) const;
    void check_lists(const policy::RuleLists& lists, const Section& section) const;
    void warn_uncounted(const policy::NameRules& names, const Section& section, std::string_view key,
                        std::string_view what) const;

    const LimitNames& limits_;
    Report& report_;
};

}  // namespace weir::config
