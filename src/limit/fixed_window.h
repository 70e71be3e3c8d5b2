// Fixed window: a window opens with a bucket's first event and lasts one period P; at most COUNT = N events in it.
//
// State: start s of the window, k events in it. With e = now - s, while 0 <= e < P:
//   remaining    N - k, never negative (k may exceed N when a reload lowered N)
//   wait for c   0 when c <= remaining, else P - e: the next window is empty
//   reset_after  P - e when k > 0
// At e >= P the window is over and the bucket full; the next event opens a new one.
//
// At most N in each window; two neighbouring windows may give 2N events close together.
#pragma once

#include "limit/algorithm.h"
#include "limit/exact.h"

namespace weir::limit {

struct FixedWindow {
    static std::uint64_t capacity(const BucketRule& rule) { return rule.rate.count; }

    // Rolls an ended window over, and takes a window from the future back to `now`.
    static void settle(const BucketRule& rule, BucketState& state, MonoTime now) {
        const SignedWide since = elapsed(state.time, now);
        if (since >= 0 && since < period_nanos(rule.rate.period) && state.current > 0) return;
        if (since >= 0) state.current = 0;
        state.time = time_nanos(now);
    }

    // The rest expects a settled state.
    static std::uint64_t remaining(const BucketRule& rule, const BucketState& state, MonoTime) {
        return state.current < rule.rate.count ? rule.rate.count - state.current : 0;
    }
    static Nanos wait_for(const BucketRule& rule, const BucketState& state, MonoTime now, std::uint64_t cost) {
        return cost <= remaining(rule, state, now) ? Nanos(0) : window_rest(rule, state, now);
    }
    static Nanos reset_after(const BucketRule& rule, const BucketState& state, MonoTime now) {
        return state.current == 0 ? Nanos(0) : window_rest(rule, state, now);
    }
    static void add(const BucketRule& rule, BucketState& state, MonoTime now, std::uint64_t cost) {
        state.current += std::min(cost, remaining(rule, state, now));
    }

    static std::uint64_t used(const BucketState& state, MonoTime now) {
        const SignedWide since = elapsed(state.time, now);
        return since >= period_nanos(std::chrono::seconds(state.period_seconds)) ? 0 : state.current;
    }

  private:
    static Nanos window_rest(const BucketRule& rule, const BucketState& state, MonoTime now) {
        return to_nanos(static_cast<Wide>(period_nanos(rule.rate.period) - elapsed(state.time, now)));
    }
};

}  // namespace weir::limit
