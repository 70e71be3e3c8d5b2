#include "limit/gcra.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "limit/test_rules.h"

namespace weir::limit {
namespace {

using std::chrono::seconds;

BucketRule gcra(std::uint64_t count, seconds period, std::uint64_t burst) {
    return {{count, period}, Algorithm::kGcra, burst, false};
}

TEST(Gcra, DripsOneEventEachPeriodOverCount) {
    const BucketRule rule = gcra(60, seconds(60), 5);
    ManualClock clock;
    BucketState state;
    EXPECT_EQ(take(rule, state, clock.now(), 5), (Decision{true, 60, 0, seconds(5), seconds(1), seconds(1)}));
    clock.advance(seconds(1) - Nanos(1));
    EXPECT_FALSE(take(rule, state, clock.now(), 1).allowed);
    clock.advance(Nanos(1));
    EXPECT_TRUE(take(rule, state, clock.now(), 1).allowed);
    EXPECT_FALSE(take(rule, state, clock.now(), 1).allowed);
    clock.advance(seconds(3));
    EXPECT_EQ(would_take(rule, state, clock.now(), 1).remaining, 3U);
}

TEST(Gcra, HoldsMoreThanCountWhenTheBurstIsGreater) {
    const BucketRule rule = gcra(1, seconds(1), 10);
    BucketState state;
    const Decision decision = take(rule, state, ManualClock().now(), 10);
    EXPECT_TRUE(decision.allowed);
    EXPECT_EQ(decision.limit, 1U);
    EXPECT_EQ(decision.reset_after, seconds(10));
}

// A period that COUNT does not divide loses nothing to rounding, however long it drips.
TEST(Gcra, DoesNotDrift) {
    const BucketRule rule = gcra(7, seconds(1), 1);
    MonoTime now = ManualClock().now();
    const MonoTime start = now;
    BucketState state;
    std::uint64_t admitted = 0;
    while (admitted < 7'000) {
        const Decision decision = take(rule, state, now, 1);
        if (decision.allowed) ++admitted;
        now += decision.retry_after;
    }
    // The 7000th event comes 6999/7 s after the start, rounded up at each wait but never accumulated beyond 1 ns an
    // event.
    EXPECT_GE(now - start, Nanos(1'000'000'000'000));
    EXPECT_LE(now - start, Nanos(1'000'000'007'000));
}

TEST(Gcra, ClampsABacklogThatNoClockCouldHaveMade) {
    const BucketRule rule = gcra(10, seconds(60), 10);
    BucketState state;
    take(rule, state, MonoTime::max() - seconds(1), 10);
    const Decision decision = would_take(rule, state, ManualClock().now(), 1);
    EXPECT_FALSE(decision.allowed);
    EXPECT_LE(decision.retry_after, seconds(60));
    EXPECT_LE(decision.reset_after, seconds(60));
}

TEST(Gcra, AdmitsAtMostItsBurstAndTheDripOfAnyStretchOfTime) {
    EXPECT_TRUE(rc::check("burst + t * COUNT / period", [](std::uint64_t seed) {
        Rng random(seed);
        const std::uint64_t count = random.between(1, 20);
        const BucketRule rule = gcra(count, seconds(random.between(1, 100)), random.between(1, 30));
        const auto period = static_cast<Wide>(Nanos(rule.rate.period).count());
        BucketState state;
        EventLog log;
        MonoTime now = ManualClock().now();
        for (int i = 0; i < 150; ++i) {
            now += random_gap(random, rule);
            if (take(rule, state, now, 1).allowed) log.add(now);
        }
        const auto& events = log.events();
        for (std::size_t from = 0; from < events.size(); ++from) {
            for (std::size_t to = from; to < events.size(); ++to) {
                const auto stretch = static_cast<Wide>((events[to] - events[from]).count());
                RC_ASSERT((to - from + 1) <= rule.burst + static_cast<std::uint64_t>(stretch * count / period));
            }
        }
    }));
}

// The reference: a real-numbered bucket, as a fraction over COUNT * nanoseconds, that drips and is taken from.
TEST(Gcra, AgreesWithANaiveLeakyBucket) {
    EXPECT_TRUE(rc::check("same answers as a bucket of exact fractions", [](std::uint64_t seed) {
        Rng random(seed);
        const BucketRule rule = gcra(random.between(1, 1000), seconds(random.between(1, 100)), random.between(1, 50));
        const auto period = static_cast<SignedWide>(Nanos(rule.rate.period).count());
        BucketState state;
        MonoTime now = ManualClock().now();
        MonoTime before = now;
        SignedWide level = 0;  // events * period
        for (int i = 0; i < 200; ++i) {
            now += random_gap(random, rule);
            level = std::max<SignedWide>(
                0, level - static_cast<SignedWide>((now - before).count()) * static_cast<SignedWide>(rule.rate.count));
            before = now;
            const bool expected = level + period <= static_cast<SignedWide>(rule.burst) * period;
            RC_ASSERT(take(rule, state, now, 1).allowed == expected);
            if (expected) level += period;
        }
    }));
}

}  // namespace
}  // namespace weir::limit
