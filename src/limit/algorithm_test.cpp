// What the three algorithms have in common, for each of them; what only one of them does is in its own test.
#include "limit/algorithm.h"

#include <gtest/gtest.h>
#include <limits>
#include <rapidcheck.h>

#include "base/random.h"
#include "limit/test_rules.h"

namespace weir::limit {
namespace {

using std::chrono::seconds;

class EachAlgorithm : public testing::TestWithParam<Algorithm> {
  protected:
    [[nodiscard]] BucketRule rule(std::uint64_t count, seconds period) const {
        return test_rule(GetParam(), count, period);
    }
    ManualClock clock;
};

INSTANTIATE_TEST_SUITE_P(Limit, EachAlgorithm,
                         testing::Values(Algorithm::kFixedWindow, Algorithm::kSlidingWindow, Algorithm::kGcra));

TEST_P(EachAlgorithm, AdmitsExactlyCountAtOnceAndDeniesTheNext) {
    const BucketRule bucket = rule(30, seconds(60));
    BucketState state;
    for (std::uint64_t i = 0; i < 30; ++i) {
        const Decision decision = take(bucket, state, clock.now(), 1);
        EXPECT_TRUE(decision.allowed);
        EXPECT_EQ(decision.limit, 30U);
        EXPECT_EQ(decision.remaining, 29 - i);
        EXPECT_EQ(decision.retry_after == Nanos(0), i < 29);
    }
    const BucketState before = state;
    const Decision denied = take(bucket, state, clock.now(), 1);
    EXPECT_FALSE(denied.allowed);
    EXPECT_EQ(denied.remaining, 0U);
    EXPECT_GT(denied.retry_after, Nanos(0));
    EXPECT_EQ(state, before);
}

TEST_P(EachAlgorithm, SaysThatANewBucketIsFull) {
    const BucketRule bucket = rule(30, seconds(60));
    const Decision decision = would_take(bucket, {}, clock.now(), 1);
    EXPECT_EQ(decision, (Decision{true, 30, 30, Nanos(0), Nanos(0), Nanos(0)}));
    EXPECT_TRUE(is_full(bucket, {}, clock.now()));
    EXPECT_TRUE(is_full(bucket, {}, MonoTime::min()));
    EXPECT_TRUE(is_full(bucket, {}, MonoTime::max()));
}

TEST_P(EachAlgorithm, NeverAdmitsWhatCostsMoreThanItHoldsAndAsksToWaitOnePeriod) {
    const BucketRule bucket = rule(5, seconds(60));
    BucketState state;
    for (const std::uint64_t cost : {std::uint64_t{6}, std::numeric_limits<std::uint64_t>::max()}) {
        const Decision decision = take(bucket, state, clock.now(), cost);
        EXPECT_FALSE(decision.allowed);
        EXPECT_EQ(decision.retry_after, seconds(60));
        EXPECT_EQ(decision.remaining, 5U);
    }
    EXPECT_TRUE(take(bucket, state, clock.now(), 5).allowed);
}

TEST_P(EachAlgorithm, PeekingTakesNothing) {
    const BucketRule bucket = rule(2, seconds(60));
    BucketState state;
    for (int i = 0; i < 10; ++i) EXPECT_TRUE(would_take(bucket, state, clock.now(), 2).allowed);
    take(bucket, state, clock.now(), 1);
    for (int i = 0; i < 10; ++i) EXPECT_FALSE(would_take(bucket, state, clock.now(), 2).allowed);
    EXPECT_EQ(would_take(bucket, state, clock.now(), 1).remaining, 1U);
}

TEST_P(EachAlgorithm, IsNeitherFreedNorFrozenByAClockThatStepsBack) {
    const BucketRule bucket = rule(3, seconds(60));
    for (const Nanos step : {Nanos(1), Nanos(seconds(59)), Nanos(seconds(61)), Nanos(std::chrono::hours(5000))}) {
        BucketState state;
        MonoTime now = clock.now();
        take(bucket, state, now, 3);
        const Nanos wait_before = would_take(bucket, state, now, 1).retry_after;
        now -= step;
        const Decision denied = take(bucket, state, now, 1);
        EXPECT_FALSE(denied.allowed);
        EXPECT_GT(denied.retry_after, Nanos(0));
        EXPECT_LE(denied.retry_after, wait_before + seconds(60));
        if (step > seconds(60)) {
            EXPECT_LE(denied.retry_after, seconds(60));
        }
        // Looking again while waiting does not start the wait anew.
        EXPECT_FALSE(take(bucket, state, now + denied.retry_after - Nanos(1), 1).allowed);
        EXPECT_TRUE(take(bucket, state, now + denied.retry_after, 1).allowed);
    }
}

TEST_P(EachAlgorithm, WorksAtBothEndsOfTime) {
    const BucketRule bucket = rule(2, seconds(60));
    for (const MonoTime now : {MonoTime::min(), MonoTime(Nanos(-1)), MonoTime(Nanos(0)), MonoTime::max()}) {
        BucketState state;
        EXPECT_TRUE(take(bucket, state, now, 1).allowed);
        EXPECT_TRUE(take(bucket, state, MonoTime::max() - Nanos(1), 1).allowed);
        EXPECT_LE(would_take(bucket, state, MonoTime::min(), 1).retry_after, seconds(120));
    }
}

TEST_P(EachAlgorithm, KeepsWhatWasCountedWhenCountChanges) {
    BucketState state;
    take(rule(30, seconds(60)), state, clock.now(), 20);
    EXPECT_EQ(would_take(rule(50, seconds(60)), state, clock.now(), 1).remaining, 30U);
    const Decision lowered = take(rule(10, seconds(60)), state, clock.now(), 1);
    EXPECT_FALSE(lowered.allowed);
    EXPECT_EQ(lowered.remaining, 0U);
    EXPECT_LE(lowered.retry_after, seconds(120));
    EXPECT_TRUE(would_take(rule(10, seconds(60)), state, clock.now() + lowered.retry_after, 1).allowed);
    EXPECT_FALSE(would_take(rule(10, seconds(60)), state, clock.now() + lowered.retry_after - Nanos(1), 1).allowed);
}

TEST_P(EachAlgorithm, CarriesTheCountedEventsToAnotherPeriodOrAlgorithm) {
    for (const Algorithm next : {Algorithm::kFixedWindow, Algorithm::kSlidingWindow, Algorithm::kGcra}) {
        for (const seconds period : {seconds(10), seconds(60), seconds(3600)}) {
            BucketState state;
            take(rule(30, seconds(60)), state, clock.now(), 20);
            const BucketRule changed = test_rule(next, 100, period);
            EXPECT_EQ(take(changed, state, clock.now(), 1).remaining, 79U);
            // More than the new rule holds is as much as it holds.
            const BucketRule small = test_rule(next, 7, period + seconds(1));
            const Decision denied = take(small, state, clock.now(), 1);
            EXPECT_FALSE(denied.allowed);
            EXPECT_LE(denied.reset_after, 2 * small.rate.period);
        }
    }
}

TEST_P(EachAlgorithm, ForgetsAnOldRuleWhoseEventsCountNoMore) {
    BucketState state;
    take(rule(30, seconds(60)), state, clock.now(), 30);
    const BucketRule changed = test_rule(Algorithm::kGcra, 5, seconds(10));
    EXPECT_EQ(would_take(changed, state, clock.now() + seconds(120), 1).remaining, 5U);
}

TEST_P(EachAlgorithm, TakesForDeniedEventsWhenToldTo) {
    BucketRule bucket = rule(10, seconds(60));
    bucket.count_denied = true;
    BucketState state;
    take(bucket, state, clock.now(), 8);
    const Decision denied = take(bucket, state, clock.now(), 5);
    EXPECT_FALSE(denied.allowed);
    EXPECT_EQ(denied.remaining, 0U);
    for (int i = 0; i < 100; ++i) {
        EXPECT_FALSE(take(bucket, state, clock.now(), std::numeric_limits<std::uint64_t>::max()).allowed);
    }
    const Decision after = would_take(bucket, state, clock.now(), 1);
    EXPECT_LE(after.retry_after, seconds(120));
    EXPECT_FALSE(would_take(bucket, state, clock.now() + after.retry_after - Nanos(1), 1).allowed);
    EXPECT_TRUE(would_take(bucket, state, clock.now() + after.retry_after, 1).allowed);
}

TEST_P(EachAlgorithm, TakesNothingForAnEventThatAnotherBucketRefused) {
    BucketRule bucket = rule(10, seconds(60));
    BucketState state;
    const Decision decision = refuse(bucket, state, clock.now(), 4);
    EXPECT_TRUE(decision.allowed);
    EXPECT_EQ(decision.remaining, 10U);
    bucket.count_denied = true;
    EXPECT_EQ(refuse(bucket, state, clock.now(), 4).remaining, 6U);
}

TEST_P(EachAlgorithm, ReachesTheBoundsOfCountAndPeriod) {
    const BucketRule bucket = rule(kRateCountMax, kRatePeriodMax);
    BucketState state;
    EXPECT_TRUE(take(bucket, state, clock.now(), kRateCountMax).allowed);
    const Decision denied = take(bucket, state, clock.now(), kRateCountMax);
    EXPECT_FALSE(denied.allowed);
    EXPECT_TRUE(would_take(bucket, state, clock.now() + denied.retry_after, kRateCountMax).allowed);
    EXPECT_FALSE(would_take(bucket, state, clock.now() + denied.retry_after - Nanos(1), kRateCountMax).allowed);
}

// The four numbers of a decision agree with what the bucket does, whatever happened to it before: rules that change,
// clocks that step, costs of any size.
TEST(Algorithm, SaysExactlyWhatItWillDo) {
    EXPECT_TRUE(rc::check("numbers of a decision agree with each other", [](std::uint64_t seed) {
        Rng random(seed);
        BucketRule rule = random_rule(random);
        BucketState state;
        MonoTime now = ManualClock().now();
        for (int i = 0; i < 60; ++i) {
            if (random.one_in(15)) rule = random_rule(random);
            now += random_gap(random, rule);
            if (random.one_in(20)) now -= random_gap(random, rule);
            const std::uint64_t cost = random.one_in(4) ? random.between(1, capacity(rule) + 1) : 1;
            const Decision decision = take(rule, state, now, cost);
            const std::uint64_t most = capacity(rule);

            RC_ASSERT(decision.remaining <= most);
            RC_ASSERT(used(state, now) + decision.remaining >= most);
            // `remaining` at once, and not one more.
            if (decision.remaining > 0) {
                RC_ASSERT(would_take(rule, state, now, decision.remaining).allowed);
                BucketState emptied = state;
                RC_ASSERT(take(rule, emptied, now, decision.remaining).remaining == 0U);
                RC_ASSERT(!would_take(rule, emptied, now, 1).allowed);
            }
            RC_ASSERT(!would_take(rule, state, now, decision.remaining + 1).allowed);
            // The bucket is full after reset_after, and not before.
            RC_ASSERT(would_take(rule, state, now + decision.reset_after, 1).remaining == most);
            RC_ASSERT(is_full(rule, state, now + decision.reset_after));
            if (decision.reset_after > Nanos(0)) {
                RC_ASSERT(would_take(rule, state, now + decision.reset_after - Nanos(1), 1).remaining < most);
            }
            // `remaining` grows after more_after, and not before.
            RC_ASSERT((decision.more_after == Nanos(0)) == (decision.remaining == most));
            if (decision.more_after > Nanos(0)) {
                RC_ASSERT(would_take(rule, state, now + decision.more_after, 1).remaining > decision.remaining);
                RC_ASSERT(would_take(rule, state, now + decision.more_after - Nanos(1), 1).remaining ==
                          decision.remaining);
            }
            // The same event, or one more, after retry_after, and not before.
            const std::uint64_t next = decision.allowed ? 1 : cost;
            RC_ASSERT(decision.allowed || decision.retry_after > Nanos(0));
            if (next > most) continue;
            RC_ASSERT(would_take(rule, state, now + decision.retry_after, next).allowed);
            if (decision.retry_after > Nanos(0)) {
                RC_ASSERT(!would_take(rule, state, now + decision.retry_after - Nanos(1), next).allowed);
            }
        }
    }));
}

TEST(Algorithm, CountsAsOneThreadWouldHoweverTheCostsAreSplit) {
    EXPECT_TRUE(rc::check("an event of cost n is n events of cost 1", [](std::uint64_t seed) {
        Rng random(seed);
        BucketRule rule = random_rule(random);
        rule.count_denied = false;
        BucketState whole;
        BucketState split;
        MonoTime now = ManualClock().now();
        for (int i = 0; i < 20; ++i) {
            now += random_gap(random, rule);
            const std::uint64_t cost = random.between(1, std::min<std::uint64_t>(capacity(rule), 50));
            const Decision decision = take(rule, whole, now, cost);
            if (!decision.allowed) continue;
            Decision last;
            for (std::uint64_t j = 0; j < cost; ++j) last = take(rule, split, now, 1);
            RC_ASSERT(decision == last);
        }
    }));
}

}  // namespace
}  // namespace weir::limit
