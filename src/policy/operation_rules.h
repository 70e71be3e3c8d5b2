// Rules on operations: which limits a GraphQL root field, a persisted document, or a JSON-RPC or MCP call counts under.
//
// A rule is a list of limits (all must admit), known by its index in `lists`; a request is counted as so and so many
// times each of its rules. Names are compared with case, as GraphQL, JSON-RPC and MCP do.
//
// Immutable after the configuration is read: any thread. No lookup allocates.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "policy/limits.h"

namespace weir::policy {

using RuleIndex = std::uint16_t;
inline constexpr RuleIndex kUncounted = 0xFFFF;  // no limit covers it

// Limits by name. A name is exact, or has one '*' that stands for any characters, none too.
class NameRules {
  public:
    struct Entry {
        std::string pattern;
        RuleIndex rule = kUncounted;
    };
    // `pattern` is_pattern. False when it is there already; the first stays.
    bool add(std::string pattern, RuleIndex rule);
    // The exact name wins, then the pattern with the most characters, of equals the first.
    [[nodiscard]] std::optional<RuleIndex> find(std::string_view name) const;
    // The two halves of `find`. A pattern may match either of two names.
    [[nodiscard]] std::optional<RuleIndex> find_exact(std::string_view name) const;
    [[nodiscard]] std::optional<RuleIndex> find_pattern(std::string_view name,
                                                        std::optional<std::string_view> other = std::nullopt) const;
    [[nodiscard]] bool empty() const { return exact_.empty() && patterns_.empty(); }
    // With the pattern "*".
    [[nodiscard]] bool covers_all() const { return !patterns_.empty() && patterns_.back().pattern == "*"; }
    [[nodiscard]] std::size_t pattern_count() const { return patterns_.size(); }
    // Something, with one '*' at most.
    [[nodiscard]] static bool is_pattern(std::string_view text);

  private:
    std::vector<Entry> exact_;     // sorted by name
    std::vector<Entry> patterns_;  // the longest first
};

// The rules' lists of limits; equal ones once. An empty list (`none`) is kUncounted.
class RuleLists {
  public:
    // At most kUncounted lists.
    [[nodiscard]] RuleIndex add(const std::vector<LimitId>& limits);
    [[nodiscard]] const std::vector<std::vector<LimitId>>& all() const { return lists_; }
    // The rule that admits least for a tier (MessageRules::strictest says how); kUncounted without any rule.
    [[nodiscard]] RuleIndex strictest(const LimitTable& limits, TierId tier) const;

  private:
    std::vector<std::vector<LimitId>> lists_;
};

enum class GraphqlOperation : std::uint8_t { kQuery, kMutation, kSubscription };

struct GraphqlRules {
    RuleLists lists;
    RuleIndex query = kUncounted;
    RuleIndex mutation = kUncounted;
    RuleIndex subscription = kUncounted;  // where the configuration does not say: as a query
    NameRules query_fields, mutation_fields, subscription_fields;
    NameRules persisted;  // by id ("sha256:..." or as the client gives it) or operation name

    // Of a root field: its own, else its operation type's.
    [[nodiscard]] RuleIndex of_field(GraphqlOperation type, std::string_view field) const;
    // An id as `persisted` keeps it: what begins with "sha256:", in whichever case, is in lower case.
    [[nodiscard]] static std::string persisted_key(std::string_view id);
    // Of a document that arrives without its text: by its id, else by the operation's name, else by the longest pattern
    // that matches either; nullopt: the configuration knows neither, and the strictest rule counts.
    [[nodiscard]] std::optional<RuleIndex> of_persisted(std::string_view id,
                                                        std::optional<std::string_view> operation_name) const;
};

// JSON-RPC, and MCP on top of it: `tools` of tools/call, `prompts` of prompts/get, `resources` (by URI) of
// resources/read, subscribe and unsubscribe.
struct CallRules {
    RuleLists lists;
    RuleIndex otherwise = kUncounted;  // `default`
    NameRules methods;
    NameRules tools, prompts, resources;

    // By what it names, else by its method, else the default. Without a name, "tools/call" and its like count as the
    // method.
    [[nodiscard]] RuleIndex of_call(std::string_view method, std::optional<std::string_view> name) const;
};

}  // namespace weir::policy
