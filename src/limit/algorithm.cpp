#include "limit/algorithm.h"

#include "base/error.h"
#include "limit/fixed_window.h"
#include "limit/gcra.h"
#include "limit/sliding_window.h"

namespace weir::limit {
namespace {

// Calls `step` with a value of the algorithm's type.
template <typename Step>
auto dispatch(Algorithm algorithm, Step&& step) {
    switch (algorithm) {
        case Algorithm::kFixedWindow:
            return step(FixedWindow{});
        case Algorithm::kGcra:
            return step(Gcra{});
        case Algorithm::kSlidingWindow:
            break;
    }
    return step(SlidingWindow{});
}

// Makes `state` one that `rule` wrote, at `now`.
template <typename Kind>
void settle(Kind, const BucketRule& rule, BucketState& state, MonoTime now) {
    const auto period_seconds = static_cast<std::uint32_t>(rule.rate.period.count());
    if (state.period_seconds == period_seconds && state.algorithm == rule.algorithm) {
        Kind::settle(rule, state, now);
        return;
    }
    const std::uint64_t kept = used(state, now);
    state = BucketState{};
    state.period_seconds = period_seconds;
    state.algorithm = rule.algorithm;
    Kind::settle(rule, state, now);
    if (kept > 0) Kind::add(rule, state, now, kept);
}

enum class Charge : std::uint8_t { kWhenAllowed, kNever };

template <typename Kind>
Decision step(Kind, const BucketRule& rule, BucketState& state, MonoTime now, std::uint64_t cost, Charge charge,
              bool charge_denied) {
    settle(Kind{}, rule, state, now);
    const std::uint64_t most = Kind::capacity(rule);
    Decision decision;
    decision.limit = rule.rate.count;
    decision.remaining = Kind::remaining(rule, state, now);
    decision.allowed = cost <= decision.remaining;
    if (decision.allowed ? charge == Charge::kWhenAllowed : charge_denied) {
        Kind::add(rule, state, now, cost);
        decision.remaining = decision.allowed ? decision.remaining - cost : Kind::remaining(rule, state, now);
    }
    const bool full = decision.remaining >= most;
    decision.reset_after = Kind::reset_after(rule, state, now);
    decision.more_after = full ? Nanos(0) : Kind::wait_for(rule, state, now, decision.remaining + 1);
    if (decision.allowed) {
        decision.retry_after = decision.remaining > 0 ? Nanos(0) : decision.more_after;
    } else if (cost > most) {
        decision.retry_after = to_nanos(period_nanos(rule.rate.period));
    } else {
        decision.retry_after = Kind::wait_for(rule, state, now, cost);
    }
    return decision;
}

}  // namespace

Decision would_take(const BucketRule& rule, const BucketState& state, MonoTime now, std::uint64_t cost) {
    BucketState copy = state;
    return dispatch(rule.algorithm,
                    [&](auto kind) { return step(kind, rule, copy, now, cost, Charge::kNever, false); });
}

Decision take(const BucketRule& rule, BucketState& state, MonoTime now, std::uint64_t cost) {
    return dispatch(rule.algorithm, [&](auto kind) {
        return step(kind, rule, state, now, cost, Charge::kWhenAllowed, rule.count_denied);
    });
}

Decision refuse(const BucketRule& rule, BucketState& state, MonoTime now, std::uint64_t cost) {
    const Charge charge = rule.count_denied ? Charge::kWhenAllowed : Charge::kNever;
    return dispatch(rule.algorithm,
                    [&](auto kind) { return step(kind, rule, state, now, cost, charge, rule.count_denied); });
}

std::uint64_t used(const BucketState& state, MonoTime now) {
    if (state.period_seconds == 0) return 0;
    return dispatch(state.algorithm, [&](auto kind) { return decltype(kind)::used(state, now); });
}

std::uint64_t capacity(const BucketRule& rule) {
    return dispatch(rule.algorithm, [&](auto kind) { return decltype(kind)::capacity(rule); });
}

bool is_full(const BucketRule& rule, const BucketState& state, MonoTime now) {
    return would_take(rule, state, now, 1).reset_after == Nanos(0);
}

}  // namespace weir::limit
