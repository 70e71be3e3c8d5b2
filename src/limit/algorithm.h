// The three algorithms, each one function a step: (rule, state, now, cost) -> (state, decision). Pure.
// (The header comment is to be completed by the derivation of each algorithm's `remaining`, `reset_after`,
// `retry_after`.)
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "limit/decision.h"
#include "limit/rate.h"

namespace weir::limit {

enum class Algorithm : std::uint8_t { kFixedWindow, kSlidingWindow, kGcra };

// How a bucket counts. A value; one per (limit, tier), built when the configuration is read.
struct BucketRule {
    Rate rate;
    Algorithm algorithm = Algorithm::kSlidingWindow;
    std::uint64_t burst = 1;    // GCRA: how many may come at once; COUNT unless configured
    bool count_denied = false;  // a denied event takes from the bucket too
    friend bool operator==(const BucketRule&, const BucketRule&) = default;
};

// What a bucket remembers: 24 bytes, meaning by algorithm. All zero is a bucket that was never used (full).
// Times are MonoTime nanoseconds.
struct BucketState {
    std::int64_t time = 0;       // start of the current window; GCRA: theoretical arrival time
    std::uint64_t current = 0;   // events in the current window
    std::uint64_t previous = 0;  // sliding window: events in the window before
    friend bool operator==(const BucketState&, const BucketState&) = default;
};

// Decides about an event of `cost` (>= 1). When `commit` is false nothing is taken (peek, or one of several buckets
// has already refused): the decision is that of a peek. The caller holds whatever protects `state`.
[[nodiscard]] Decision would_take(const BucketRule& rule, const BucketState& state, MonoTime now, std::uint64_t cost);
void take(const BucketRule& rule, BucketState& state, MonoTime now, std::uint64_t cost);

// True when nothing that `state` remembers can matter at `now` any more: the bucket may be forgotten.
[[nodiscard]] bool is_full(const BucketRule& rule, const BucketState& state, MonoTime now);

}  // namespace weir::limit
