#include "limit/fixed_window.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "limit/test_rules.h"

namespace weir::limit {
namespace {

using std::chrono::seconds;

const BucketRule kRule = test_rule(Algorithm::kFixedWindow, 3, seconds(60));

TEST(FixedWindow, OpensWithTheFirstEventAndLastsOnePeriod) {
    ManualClock clock;
    BucketState state;
    clock.advance(seconds(17));
    const MonoTime opened = clock.now();
    take(kRule, state, clock.now(), 1);
    clock.advance(seconds(50));
    take(kRule, state, clock.now(), 2);
    const Decision denied = take(kRule, state, clock.now(), 1);
    EXPECT_EQ(denied, (Decision{false, 3, 0, seconds(10), seconds(10), seconds(10)}));
    EXPECT_FALSE(take(kRule, state, opened + seconds(60) - Nanos(1), 1).allowed);
    EXPECT_EQ(take(kRule, state, opened + seconds(60), 1), (Decision{true, 3, 2, seconds(60), Nanos(0), seconds(60)}));
}

TEST(FixedWindow, DeniesTheEventAfterTheLastUntilTheWindowEnds) {
    ManualClock clock;
    BucketState state;
    const MonoTime opened = clock.now();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(take(kRule, state, clock.now(), 1).allowed);
    for (int i = 0; i < 60; ++i) {
        const Decision decision = take(kRule, state, clock.now(), 1);
        EXPECT_FALSE(decision.allowed);
        EXPECT_EQ(decision.retry_after, opened + seconds(60) - clock.now());
        clock.advance(seconds(1));
    }
    EXPECT_TRUE(take(kRule, state, clock.now(), 1).allowed);
}

TEST(FixedWindow, AgreesWithANaiveCountOfEachWindow) {
    EXPECT_TRUE(rc::check("same answers as a list of events", [](std::uint64_t seed) {
        Rng random(seed);
        const BucketRule rule =
            test_rule(Algorithm::kFixedWindow, random.between(1, 20), seconds(random.between(1, 100)));
        BucketState state;
        MonoTime now = ManualClock().now();
        MonoTime opened{};
        std::uint64_t counted = 0;
        for (int i = 0; i < 200; ++i) {
            now += random_gap(random, rule);
            if (counted > 0 && now - opened >= rule.rate.period) counted = 0;
            const bool expected = counted < rule.rate.count;
            RC_ASSERT(take(rule, state, now, 1).allowed == expected);
            if (!expected) continue;
            if (counted++ == 0) opened = now;
        }
    }));
}

}  // namespace
}  // namespace weir::limit
