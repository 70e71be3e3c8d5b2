#include "limit/sliding_window.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "limit/test_rules.h"

namespace weir::limit {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const BucketRule kRule = test_rule(Algorithm::kSlidingWindow, 10, seconds(60));

TEST(SlidingWindow, WeighsTheWindowBeforeByItsOverlap) {
    ManualClock clock;
    BucketState state;
    take(kRule, state, clock.now(), 10);
    // A quarter into the next window three quarters of the ten still count: 7.5, rounded up.
    clock.advance(seconds(75));
    EXPECT_EQ(would_take(kRule, state, clock.now(), 1).remaining, 2U);
    take(kRule, state, clock.now(), 2);
    const Decision denied = take(kRule, state, clock.now(), 1);
    EXPECT_FALSE(denied.allowed);
    // 2 + 10 * (60 - e) / 60 + 1 <= 10 from e = 18 s on: 3 s from here.
    EXPECT_EQ(denied.retry_after, seconds(3));
    EXPECT_EQ(denied.reset_after, seconds(45 + 60));
}

TEST(SlidingWindow, WaitsBeyondTheWindowsEndWhenTheCurrentOneIsFull) {
    ManualClock clock;
    BucketState state;
    const Decision last = take(kRule, state, clock.now(), 10);
    EXPECT_EQ(last.retry_after, seconds(66));  // one tenth of the next window
    EXPECT_EQ(last.reset_after, seconds(120));
    EXPECT_FALSE(would_take(kRule, state, clock.now() + seconds(66) - Nanos(1), 1).allowed);
    EXPECT_TRUE(would_take(kRule, state, clock.now() + seconds(66), 1).allowed);
}

TEST(SlidingWindow, ForgetsAfterTwoPeriods) {
    ManualClock clock;
    BucketState state;
    take(kRule, state, clock.now(), 10);
    EXPECT_EQ(would_take(kRule, state, clock.now() + seconds(120) - Nanos(1), 1).remaining, 9U);
    EXPECT_EQ(would_take(kRule, state, clock.now() + seconds(120), 1).remaining, 10U);
}

// The documented error: less than COUNT events against a true log, so less than twice COUNT in any period; and none at
// all for windows that are evenly filled.
TEST(SlidingWindow, StaysWithinItsErrorOfATrueLog) {
    EXPECT_TRUE(rc::check("error is at most p * max(e, P - e) / P", [](std::uint64_t seed) {
        Rng random(seed);
        const BucketRule rule =
            test_rule(Algorithm::kSlidingWindow, random.between(1, 20), seconds(random.between(1, 100)));
        const Nanos period = rule.rate.period;
        BucketState state;
        EventLog log;
        MonoTime now = ManualClock().now();
        for (int i = 0; i < 200; ++i) {
            now += random_gap(random, rule);
            const Decision decision = take(rule, state, now, 1);
            if (decision.allowed) log.add(now);
            const auto truth = static_cast<std::int64_t>(log.in_the_last(period, now));
            const auto estimate = static_cast<std::int64_t>(used(state, now));
            const auto previous = static_cast<std::int64_t>(state.previous);
            const std::int64_t e = now.time_since_epoch().count() - state.time;
            const std::int64_t error_low = (previous * e + period.count() - 1) / period.count();
            const std::int64_t error_high = (previous * (period.count() - e) + period.count() - 1) / period.count();
            RC_ASSERT(truth <= estimate + error_low);
            RC_ASSERT(estimate <= truth + error_high);
            RC_ASSERT(truth < 2 * static_cast<std::int64_t>(rule.rate.count));
        }
    }));
}

TEST(SlidingWindow, AdmitsTheRateOfASteadyStreamInEveryPeriod) {
    const BucketRule rule = test_rule(Algorithm::kSlidingWindow, 60, seconds(60));
    BucketState state;
    EventLog log;
    ManualClock clock;
    for (int i = 0; i < 4 * 600; ++i) {
        if (take(rule, state, clock.now(), 1).allowed) log.add(clock.now());
        clock.advance(milliseconds(100));
        if (i > 1200) {
            const std::uint64_t admitted = log.in_the_last(rule.rate.period, clock.now());
            EXPECT_LE(admitted, 90U);
            EXPECT_GE(admitted, 30U);
        }
    }
}

}  // namespace
}  // namespace weir::limit
