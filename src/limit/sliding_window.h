// Sliding window, by two counters: the window before counts by how much of it the last period P still overlaps.
//
// State: start s of the current window, k events in it, p in the window before. With e = now - s, 0 <= e < P, the
// estimate of the events in the last period is
//     k + p * (P - e) / P
// and an event of cost c is admitted when the estimate + c <= N = COUNT. Multiplied by P, so that it stays whole:
//     p * (P - e) <= (N - k - c) * P                                                                       (1)
//
//   remaining    the greatest c of (1): N - k - ceil(p * (P - e) / P), never negative
//   reset_after  2P - e when k > 0 (the current window has to slide out), else P - e when p > 0
//   wait for c   let K = N - k - c.
//     K >= 0: (1) at e + d says P - e - d <= K * P / p, so d = P - e - floor(K * P / p), or 0 when that is negative.
//             When the floor is 0 that is the end of the window, where k becomes the window before: admitted, as
//             k <= N - c.
//     K < 0:  not in this window. In the next, k is the window before, and (1) at its offset f says
//             k * (P - f) <= (N - c) * P, so f = P - floor((N - c) * P / k), and d = P - e + f.
//
// At e >= P windows roll; at e >= 2P nothing is left. Windows are aligned to the bucket's first event, not to the
// clock, so that buckets do not reset all at once.
//
// Error against a true log of the last period: the estimate takes the p events as spread evenly over their window.
// In truth between 0 and p of them are less than P old, so the estimate is too high by at most p * (P - e) / P and too
// low by at most p * e / P. A burst at the end of one window and another at the end of the next can therefore bring
// up to N + p * e / P < 2 * COUNT events into one period; no period ever has more. Arrivals that are spread evenly
// over the window before make the error less than one event.
#pragma once

#include "limit/algorithm.h"
#include "limit/exact.h"

namespace weir::limit {

struct SlidingWindow {
    static std::uint64_t capacity(const BucketRule& rule) { return rule.rate.count; }

    // Rolls windows over. A window from the future is taken back to `now`; if it is more than a period ahead, that
    // was no jitter between threads, and all that it knows becomes the window before, gone in one period.
    static void settle(const BucketRule& rule, BucketState& state, MonoTime now) {
        const SignedWide period = period_nanos(rule.rate.period);
        const SignedWide since = elapsed(state.time, now);
        if (since < 0) {
            if (-since > period) {
                state.previous = std::min(state.previous + state.current, rule.rate.count);
                state.current = 0;
            }
            state.time = time_nanos(now);
        } else if (since >= 2 * period) {
            state.previous = state.current = 0;
        } else if (since >= period) {
            state.previous = state.current;
            state.current = 0;
            state.time += static_cast<std::int64_t>(period);
        }
        if (state.previous == 0 && state.current == 0) state.time = time_nanos(now);
    }

    // The rest expects a settled state.
    static std::uint64_t remaining(const BucketRule& rule, const BucketState& state, MonoTime now) {
        const std::uint64_t taken = used_settled(state, period_nanos(rule.rate.period), now);
        return taken < rule.rate.count ? rule.rate.count - taken : 0;
    }
    static Nanos wait_for(const BucketRule& rule, const BucketState& state, MonoTime now, std::uint64_t cost) {
        const Wide period = period_nanos(rule.rate.period);
        const Wide rest = period - static_cast<Wide>(elapsed(state.time, now));
        if (state.current + cost <= rule.rate.count) {
            if (state.previous == 0) return Nanos(0);
            const Wide tolerated = divide_down((rule.rate.count - state.current - cost) * period, state.previous);
            return tolerated >= rest ? Nanos(0) : to_nanos(rest - tolerated);
        }
        const Wide tolerated = divide_down((rule.rate.count - cost) * period, state.current);
        return to_nanos(rest + period - tolerated);
    }
    static Nanos reset_after(const BucketRule& rule, const BucketState& state, MonoTime now) {
        const Wide period = period_nanos(rule.rate.period);
        const Wide rest = period - static_cast<Wide>(elapsed(state.time, now));
        if (state.current > 0) return to_nanos(rest + period);
        return state.previous > 0 ? to_nanos(rest) : Nanos(0);
    }
    // Beyond what is admitted the current window fills up to COUNT, and no further.
    static void add(const BucketRule& rule, BucketState& state, MonoTime, std::uint64_t cost) {
        if (state.current < rule.rate.count) state.current += std::min(cost, rule.rate.count - state.current);
    }

    static std::uint64_t used(BucketState state, MonoTime now) {
        const std::chrono::seconds period(state.period_seconds);
        settle(BucketRule{.rate = {kRateCountMax, period}}, state, now);
        return used_settled(state, period_nanos(period), now);
    }

  private:
    static std::uint64_t used_settled(const BucketState& state, std::uint64_t period, MonoTime now) {
        if (state.previous == 0) return state.current;
        const Wide overlap = period - static_cast<Wide>(elapsed(state.time, now));
        return state.current + static_cast<std::uint64_t>(divide_up(state.previous * overlap, period));
    }
};

}  // namespace weir::limit
