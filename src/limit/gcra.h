// GCRA, the generic cell rate algorithm (ITU-T I.371, virtual scheduling): a continuous drip of COUNT = N events a
// period P, and up to `burst` = B of them at once.
//
// State: the theoretical arrival time TAT, at which the bucket is full again. P / N is rarely a whole number of
// nanoseconds, so TAT has a fraction in 1/N ns and the arithmetic is in that unit: the backlog
//     b = max(0, (TAT - now) * N)
// shrinks by N a nanosecond and grows by P with each event, both whole. The bucket holds B events:
//     an event of cost c is admitted when  b + c * P <= B * P                                               (1)
//
//   remaining    the greatest c of (1): floor((B * P - b) / P)
//   wait for c   (1) at now + d: b - d * N + c * P <= B * P, so d = ceil((b + c * P - B * P) / N), or 0
//   reset_after  b - d * N <= 0: ceil(b / N)
//
// At most B + t * N / P events in any stretch of time t. TAT is never more than B * P / N ahead: a bucket that a
// clock's step back shows further ahead is an empty one.
#pragma once

#include "limit/algorithm.h"
#include "limit/exact.h"

namespace weir::limit {

struct Gcra {
    static std::uint64_t capacity(const BucketRule& rule) { return rule.burst; }

    // Bounds the backlog, and writes the fraction in terms of the rule's COUNT. The backlog in units of 1/N ns is
    // (events * P), whatever N is, so a new COUNT keeps the events and changes their drain.
    static void settle(const BucketRule& rule, BucketState& state, MonoTime now) {
        const Wide before = backlog(state, now);
        const Wide bounded = std::min(before, depth(rule));
        if (before == 0 || bounded != before || state.previous != rule.rate.count) store(rule, state, now, bounded);
    }

    // The rest expects a settled state.
    static std::uint64_t remaining(const BucketRule& rule, const BucketState& state, MonoTime now) {
        return static_cast<std::uint64_t>(
            divide_down(depth(rule) - backlog(state, now), period_nanos(rule.rate.period)));
    }
    static Nanos wait_for(const BucketRule& rule, const BucketState& state, MonoTime now, std::uint64_t cost) {
        const Wide wanted = backlog(state, now) + static_cast<Wide>(cost) * period_nanos(rule.rate.period);
        return wanted <= depth(rule) ? Nanos(0) : to_nanos(divide_up(wanted - depth(rule), rule.rate.count));
    }
    static Nanos reset_after(const BucketRule& rule, const BucketState& state, MonoTime now) {
        return to_nanos(divide_up(backlog(state, now), rule.rate.count));
    }
    static void add(const BucketRule& rule, BucketState& state, MonoTime now, std::uint64_t cost) {
        const Wide taken = static_cast<Wide>(std::min(cost, rule.burst)) * period_nanos(rule.rate.period);
        store(rule, state, now, std::min(backlog(state, now) + taken, depth(rule)));
    }

    static std::uint64_t used(const BucketState& state, MonoTime now) {
        const Wide events = divide_up(backlog(state, now), period_nanos(std::chrono::seconds(state.period_seconds)));
        return static_cast<std::uint64_t>(std::min<Wide>(events, kRateCountMax));
    }

  private:
    static Wide depth(const BucketRule& rule) { return static_cast<Wide>(rule.burst) * period_nanos(rule.rate.period); }
    static Wide backlog(const BucketState& state, MonoTime now) {
        const SignedWide ahead = -elapsed(state.time, now);
        if (ahead < 0) return 0;  // the fraction is less than the nanosecond that has passed
        return static_cast<Wide>(ahead) * state.previous + state.current;
    }
    static void store(const BucketRule& rule, BucketState& state, MonoTime now, Wide backlog) {
        const std::uint64_t count = rule.rate.count;
        const Wide whole = divide_down(backlog, count);
        state.time = time_after(now, to_nanos(whole));
        state.current = static_cast<std::uint64_t>(backlog - whole * count);
        state.previous = count;
    }
};

}  // namespace weir::limit
