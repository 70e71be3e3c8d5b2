// From an event to "take COST from these buckets". The gateway plans a connection's events once, at its handshake;
// explain prints the same plan.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hash.h"
#include "limit/store.h"
#include "policy/caller.h"
#include "policy/limits.h"

namespace weir::policy {

// One bucket of a plan. The views of `take` point into the plan and the limit table, which must outlive it.
struct PlannedTake {
    LimitId limit = kNoLimit;
    limit::Take take;
};

// Plans for one caller. Subjects are built once each, hashes too; after that nothing is allocated.
class Planner {
  public:
    struct Options {
        const LimitTable* limits = nullptr;
        std::string key_prefix = "rl";
        HashKey hash_key{};
        SubjectOptions subject{};
    };
    explicit Planner(Options options) : options_(std::move(options)) {}

    // `limits` in the order of the rule; whoever reads rules keeps them to kBucketsPerEventMax. Of limits that share
    // group and subject one speaks, once: an enforced one before one in shadow, then the strictest.
    // Subject strings are appended to `subjects`, a stable store that the caller keeps as long as the takes.
    [[nodiscard]] std::vector<PlannedTake> plan(const Caller& caller, std::uint64_t connection_id,
                                                const std::vector<LimitId>& limits,
                                                std::vector<std::unique_ptr<std::string>>& subjects) const;

    [[nodiscard]] std::string bucket_name(std::string_view subject,
                                          std::string_view group) const;  // "rl:{user:42}:ws_message"
    [[nodiscard]] Hash128 bucket_hash(std::string_view subject, std::string_view group) const;
    [[nodiscard]] const Options& options() const { return options_; }

  private:
    Options options_;
};

}  // namespace weir::policy
