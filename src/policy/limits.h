// Limits and tiers: from a limit's name and a caller's tier to the rule that its bucket counts by.
//
// The built-in limits stand in builtin.h, once. A `LimitSpec` is what the configuration says about one;
// `LimitTable::build` lays specs over the built-in table, applies tiers and their multipliers, and refuses what makes
// no sense, all errors at once. Immutable after build: any thread may read.
//
// How a tier gets its rate, the first that applies:
//   1. the rate that a spec names for that tier (of several specs the last), else the built-in one
//   2. limits with a base rate (operation limits, and configured ones with `rate`): base x the tier's multiplier; the
//      base itself where the bucket is no caller's (`per: global`, `per: connection`)
//   3. limits without (WebSocket limits, and configured ones that only name tiers): from the authenticated rate, 10
//   times
//      for superuser, half for usage_capped; another tier gets as much more than authenticated as its multiplier is
//      greater. `rate` in a spec of such a limit is its authenticated rate, as it is in the environment.
// Multiplied counts are exact, rounded down, never below 1.
//
// Limits that share a group share buckets, so they must count alike: same algorithm, and same period for each tier.
// Where callers of several tiers would share a bucket (`per: ip`, `global`, claims, headers) and their rates have
// different periods, one bucket can't count both: each tier then counts in its own, in the group "GROUP.TIER".
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "limit/algorithm.h"
#include "policy/caller.h"

namespace weir::policy {

using LimitId = std::uint16_t;
inline constexpr LimitId kNoLimit = 0xFFFF;

struct TierSpec {
    std::string name;
    // Exact as written: 0.29 is 29/100. From 0.000001 to 1000000, at most six decimals.
    double multiplier = 1;
};

// The built-in tiers, in the order of their fixed ids, with their multipliers for operation limits.
[[nodiscard]] std::vector<TierSpec> builtin_tiers();

// One limit as configured. Absent parts keep what the built-in table (or the default) says.
struct LimitSpec {
    std::string name;
    std::optional<limit::Rate> base;             // `rate:` or the short form; see 2 and 3 above
    std::map<std::string, limit::Rate> by_tier;  // explicit, wins over the multiplier
    std::optional<limit::Algorithm> algorithm;
    std::optional<std::uint64_t> burst;
    std::optional<std::string> group;  // default: the name in lower case
    std::optional<std::vector<SubjectPart>> per;
    std::optional<bool> count_denied;
    std::optional<bool> shadow;
};

struct Limit {
    std::string name;
    std::string group;                     // as callers read it
    std::vector<std::string> tier_groups;  // by TierId: where it counts, when that is not `group`; else empty
    std::vector<SubjectPart> per;          // empty: the caller
    std::vector<limit::BucketRule> rules;  // by TierId
    std::vector<std::string>
        why;  // by TierId, for explain: "explicit rate of tier anonymous", "base 30/m x 2 (tier authenticated)"
    bool shadow = false;

    [[nodiscard]] const std::string& bucket_group(TierId tier) const {
        return tier_groups.empty() ? group : tier_groups[tier];
    }
};

class LimitTable {
  public:
    struct Options {
        std::vector<TierSpec> tiers = builtin_tiers();  // begins with the built-in ones, in their order
        std::vector<LimitSpec> specs{};                 // in order; later ones win
        limit::Algorithm default_algorithm = limit::Algorithm::kSlidingWindow;
    };
    // The built-in limits with `options.specs` laid over them. A problem is "limit NAME: what is wrong"; with any, the
    // table must not be used.
    [[nodiscard]] static LimitTable build(const Options& options, std::vector<std::string>& problems);

    [[nodiscard]] LimitId find(std::string_view name) const;  // kNoLimit when there is none
    [[nodiscard]] const Limit& at(LimitId id) const { return limits_[id]; }
    [[nodiscard]] std::size_t size() const { return limits_.size(); }
    // With the built-in ones at their fixed ids.
    [[nodiscard]] const std::vector<TierSpec>& tiers() const { return tiers_; }
    [[nodiscard]] std::optional<TierId> find_tier(std::string_view name) const;

  private:
    std::vector<Limit> limits_;
    std::vector<TierSpec> tiers_;
};

// True when a rule with the limits `a` admits less for a tier than one with `b`. Of one rule the strictest rate counts,
// for its other limits can only make it stricter; of equal rates the longer list is stricter. An empty one admits all.
[[nodiscard]] bool stricter_list(const LimitTable& limits, TierId tier, const std::vector<LimitId>& a,
                                 const std::vector<LimitId>& b);

// What the environment variables RATELIMIT_<LIMIT> and RATELIMIT_<LIMIT>_ANONYMOUS say, as specs to lay over the
// file's. `environment` is "NAME=VALUE" as in environ. A value that does not parse is a problem that names the
// variable, the value and the expected form; a RATELIMIT_ name that is no limit and no setting is left alone. <LIMIT>
// is the limit's name in upper case, '-' and '.' as '_'. The specs must be laid over all others, so that they win; a
// rate that the file names for a tier of its own still wins over a base from the environment.
[[nodiscard]] std::vector<LimitSpec> limits_from_environment(const std::vector<std::string>& environment,
                                                             const LimitTable& known,
                                                             std::vector<std::string>& problems);

// The names of the variables that limits_from_environment() reads for these limits.
[[nodiscard]] std::vector<std::string> environment_names(const LimitTable& known);

}  // namespace weir::policy
