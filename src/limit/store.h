// Where buckets live, as the limiter sees it. The memory table (limit/table.h) answers at once; a store over the
// network answers later. limit/ owns this interface, so that it never hears of any of them.
//
// An event is a list of `Take`s: it is admitted only if every bucket admits it, and takes from all or from none.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "limit/algorithm.h"

namespace weir::limit {

// One bucket and what an event would take from it. `rule`, `subject` and `group` must outlive the call, and a pending
// answer. Two takes of one event never name the same bucket (policy merges them).
struct Take {
    Hash128 bucket;  // keyed hash of (prefix, subject, group)
    const BucketRule* rule = nullptr;
    std::uint64_t cost = 1;
    std::string_view subject = {};  // "user:42": with `group` the name under which a shared store keeps it
    std::string_view group = {};    // "ws_ai_query"
};

// Whoever waits for a store that answers later. Called once, on the thread that asked, never from inside `take`.
class TakeWaiter {
  public:
    virtual void on_taken(Result<void> outcome) = 0;

  protected:
    ~TakeWaiter() = default;
};

class Store {
  public:
    virtual ~Store() = default;

    // Fills decisions[i] for takes[i] (same size, at most kBucketsPerEventMax); the event is admitted when all say
    // `allowed`. nullopt: the answer comes later, through `waiter`, and `decisions` must live until then.
    // An error is the store's, never the caller's: the policy for a failed store applies.
    [[nodiscard]] virtual std::optional<Result<void>> take(std::span<const Take> takes, MonoTime now,
                                                           std::span<Decision> decisions, TakeWaiter& waiter) = 0;

    // As `take`, and takes nothing.
    [[nodiscard]] virtual std::optional<Result<void>> peek(std::span<const Take> takes, MonoTime now,
                                                           std::span<Decision> decisions, TakeWaiter& waiter) = 0;
};

}  // namespace weir::limit
