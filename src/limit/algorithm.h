// The three algorithms, each one function a step: (rule, state, now, cost) -> (state, decision). Pure.
//
// fixed_window.h, sliding_window.h and gcra.h each derive their formulas. They have in common:
//
// * Arithmetic is exact: integers, 128 bits wide where a product needs it; no floating point, no drift.
// * `remaining` is the greatest cost that would be admitted now. The wait for a cost is the smallest d such that the
//   cost is admitted at now + d when nothing else happens: at d it is, one nanosecond earlier it is not.
//   `reset_after` is the smallest d at which `remaining` is the bucket's whole capacity (COUNT, or GCRA's burst), and
//   `more_after` is the wait for `remaining` + 1. So the four numbers agree with each other by construction.
// * An admitted event of cost c lowers `remaining` by exactly c.
//
// Clock that steps back: a bucket whose time lies in the future is moved to `now`, with what it has counted. Nothing
// is given back at once, and no wait becomes more than one period longer than it was. The move is part of every step,
// of denied ones too, so that waiting is done from the move on and not from each later look.
//
// Rule changed by a reload, or by a caller's new tier: the bucket keeps the events that it remembers.
// * Only COUNT (or burst) changed: the counted events stay counted, and are compared with the new number. A window
//   that holds more than the new COUNT has nothing remaining until enough of it has passed. GCRA keeps its backlog in
//   events and drains it at the new rate, at most a whole burst.
// * Period or algorithm changed: the events that still count under the old rule, rounded up, at most the new capacity,
//   are counted as if all had come now. That never gives a caller anything back, and costs it at most the time that
//   an emptied bucket of the new rule needs to fill.
// The state carries the period and the algorithm that it was written by, so it needs no hint from outside.
//
// count_denied: a denied event takes too, at most what is left, so nothing can overflow and no wait grows beyond
// that of an emptied bucket. `retry_after` is then how long a caller that stays quiet must wait; one that goes on
// trying is not admitted (sliding window, GCRA), or not before the window ends (fixed window).
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "limit/decision.h"
#include "limit/rate.h"

namespace weir::limit {

enum class Algorithm : std::uint8_t { kFixedWindow, kSlidingWindow, kGcra };
inline constexpr std::size_t kAlgorithms = 3;

// How a bucket counts. A value; one per (limit, tier), built when the configuration is read.
struct BucketRule {
    Rate rate;
    Algorithm algorithm = Algorithm::kSlidingWindow;
    std::uint64_t burst = 1;    // GCRA: how many may come at once, 1 to kRateCountMax; COUNT unless configured
    bool count_denied = false;  // a denied event takes from the bucket too
    friend bool operator==(const BucketRule&, const BucketRule&) = default;
};

// What a bucket remembers: 32 bytes, meaning by algorithm. All zero is a bucket that was never used (full).
// Times are MonoTime nanoseconds.
//
//                  time                      current              previous
//   fixed window   start of the window       events in it         0
//   sliding        start of the window       events in it         events in the window before
//   GCRA           theoretical arrival time  its fraction, in     COUNT that the fraction
//                  (whole nanoseconds)       1/COUNT nanoseconds  is written in
struct BucketState {
    std::int64_t time = 0;
    std::uint64_t current = 0;
    std::uint64_t previous = 0;
    std::uint32_t period_seconds = 0;  // of the rule that wrote this; 0: never used
    Algorithm algorithm = Algorithm::kFixedWindow;
    friend bool operator==(const BucketState&, const BucketState&) = default;
};
static_assert(sizeof(BucketState) == 32);
static_assert(kRatePeriodMax.count() <= UINT32_MAX);

// The caller of these holds whatever protects `state`; `cost` is at least 1.

// What `take` would decide, and the bucket as it is: nothing is taken. This is a peek.
[[nodiscard]] Decision would_take(const BucketRule& rule, const BucketState& state, MonoTime now, std::uint64_t cost);

// One step: decides, takes when allowed (or with count_denied), and describes the bucket after that.
Decision take(const BucketRule& rule, BucketState& state, MonoTime now, std::uint64_t cost);

// The step of an event that another of its buckets has refused: takes only with count_denied. `allowed` is still this
// bucket's own answer.
Decision refuse(const BucketRule& rule, BucketState& state, MonoTime now, std::uint64_t cost);

// True when nothing that `state` remembers can matter at `now` any more: the bucket may be forgotten.
[[nodiscard]] bool is_full(const BucketRule& rule, const BucketState& state, MonoTime now);

// Events that still count at `now`, rounded up; at most the capacity when `rule` wrote the state.
[[nodiscard]] std::uint64_t used(const BucketState& state, MonoTime now);

// The greatest cost that a full bucket admits: COUNT, or GCRA's burst.
[[nodiscard]] std::uint64_t capacity(const BucketRule& rule);

}  // namespace weir::limit
