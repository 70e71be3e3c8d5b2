// Limits and tiers: from a limit's name and a caller's tier to the rule that its bucket counts by.
//
// The built-in limits stand in builtin.h, once. A `LimitSpec` is what the configuration says about one;
// `LimitTable::build` lays specs over the built-in table, applies tiers and their multipliers, and refuses what makes
// no sense, all errors at once. Immutable after build: any thread may read.
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
    // Exact: 0.5 is 1/2. A multiplied count is rounded down and never below 1.
    double multiplier = 1;
};

// The built-in tiers, in the order of their fixed ids, with their multipliers for operation limits.
[[nodiscard]] std::vector<TierSpec> builtin_tiers();

// One limit as configured. Absent parts keep what the built-in table (or the default) says.
struct LimitSpec {
    std::string name;
    std::optional<limit::Rate> base;             // `rate:` or the short form: multiplied by each tier
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
    std::string group;
    std::vector<SubjectPart> per;          // empty: the caller
    std::vector<limit::BucketRule> rules;  // by TierId
    std::vector<std::string>
        why;  // by TierId, for explain: "explicit rate of tier anonymous", "base 30/m x 2 (tier authenticated)"
    bool shadow = false;
};

class LimitTable {
  public:
    struct Options {
        std::vector<TierSpec> tiers = builtin_tiers();
        std::vector<LimitSpec> specs;  // in order; later ones win
        limit::Algorithm default_algorithm = limit::Algorithm::kSlidingWindow;
    };
    // The built-in limits with `options.specs` laid over them. A problem is "limit NAME: what is wrong"; with any, the
    // table must not be used.
    [[nodiscard]] static LimitTable build(const Options& options, std::vector<std::string>& problems);

    [[nodiscard]] LimitId find(std::string_view name) const;  // kNoLimit when there is none
    [[nodiscard]] const Limit& at(LimitId id) const { return limits_[id]; }
    [[nodiscard]] std::size_t size() const { return limits_.size(); }
    [[nodiscard]] const std::vector<TierSpec>& tiers() const { return tiers_; }
    [[nodiscard]] std::optional<TierId> find_tier(std::string_view name) const;

  private:
    std::vector<Limit> limits_;
    std::vector<TierSpec> tiers_;
};

// What the environment variables RATELIMIT_<LIMIT> and RATELIMIT_<LIMIT>_ANONYMOUS say, as specs to lay over the
// file's. `environment` is "NAME=VALUE" as in environ. A value that does not parse is a problem that names the
// variable, the value and the expected form; a RATELIMIT_ name that is no limit and no setting is left alone.
[[nodiscard]] std::vector<LimitSpec> limits_from_environment(const std::vector<std::string>& environment,
                                                             const LimitTable& known,
                                                             std::vector<std::string>& problems);

}  // namespace weir::policy
