#include "limit/table.h"

#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <thread>
#include <unordered_map>

#include "base/random.h"
#include "limit/shard.h"
#include "limit/test_rules.h"

namespace weir::limit {
namespace {

using std::chrono::seconds;

Hash128 name(std::uint64_t number) {
    return siphash128({1, 2}, std::to_string(number));
}

class NeverWaits final : public TakeWaiter {
  public:
    void on_taken(Result<void>) override { FAIL() << "the table answers at once"; }
};

struct Table : testing::Test {
    ManualClock clock;
    BucketTable table{{.buckets_max = 10'000, .shards = 8}};
    BucketRule three = test_rule(Algorithm::kSlidingWindow, 3, seconds(60));
    BucketRule ten = test_rule(Algorithm::kFixedWindow, 10, seconds(60));

    bool take_one(std::uint64_t number, const BucketRule& rule, Decision& decision) {
        const Take take{name(number), &rule, 1};
        return table.take_now({&take, 1}, clock.now(), {&decision, 1});
    }
    bool take_one(std::uint64_t number, const BucketRule& rule) {
        Decision decision;
        return take_one(number, rule, decision);
    }
    Decision peek_one(std::uint64_t number, const BucketRule& rule) {
        const Take take{name(number), &rule, 1};
        Decision decision;
        EXPECT_EQ(table.peek_now({&take, 1}, clock.now(), {&decision, 1}), decision.allowed);
        return decision;
    }
};

TEST_F(Table, CountsEachBucketByItself) {
    for (std::uint64_t i = 0; i < 100; ++i) {
        for (int j = 0; j < 3; ++j) EXPECT_TRUE(take_one(i, three));
        EXPECT_FALSE(take_one(i, three));
    }
    EXPECT_EQ(table.size(), 100U);
    EXPECT_EQ(table.evictions(), 0U);
}

TEST_F(Table, AnswersAsTheAlgorithmDoes) {
    Rng random(7);
    std::unordered_map<std::uint64_t, BucketState> expected;
    for (int i = 0; i < 20'000; ++i) {
        const std::uint64_t number = random.below(300);
        const BucketRule& rule = number % 2 == 0 ? three : ten;
        Decision decision;
        take_one(number, rule, decision);
        ASSERT_EQ(decision, take(rule, expected[number], clock.now(), 1));
        clock.advance(Nanos(static_cast<std::int64_t>(random.below(100'000'000))));
    }
}

TEST_F(Table, PeekingTakesNothingAndMakesNoBucket) {
    EXPECT_EQ(peek_one(1, three).remaining, 3U);
    EXPECT_EQ(table.size(), 0U);
    take_one(1, three);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(peek_one(1, three).remaining, 2U);
}

TEST_F(Table, ForgetsABucketThatIsReset) {
    for (int i = 0; i < 3; ++i) take_one(1, three);
    EXPECT_FALSE(take_one(1, three));
    table.reset(name(1));
    table.reset(name(2));  // never there
    EXPECT_EQ(table.size(), 0U);
    EXPECT_TRUE(take_one(1, three));
}

TEST_F(Table, AnswersAtOnceThroughTheInterfaceOfAStore) {
    NeverWaits waiter;
    Store& store = table;
    const Take take{name(1), &three, 1};
    Decision decision;
    const auto taken = store.take({&take, 1}, clock.now(), {&decision, 1}, waiter);
    ASSERT_TRUE(taken.has_value());
    EXPECT_TRUE(taken->has_value());
    EXPECT_EQ(decision.remaining, 2U);
    ASSERT_TRUE(store.peek({&take, 1}, clock.now(), {&decision, 1}, waiter).has_value());
    EXPECT_EQ(decision.remaining, 2U);
}

TEST_F(Table, TakesFromAllBucketsOfAnEventOrFromNone) {
    const std::array<Take, 3> takes{{{name(1), &ten, 1}, {name(2), &three, 1}, {name(3), &ten, 2}}};
    std::array<Decision, 3> decisions;
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(table.take_now(takes, clock.now(), decisions));
    EXPECT_EQ(decisions[0].remaining, 7U);
    EXPECT_EQ(decisions[1].remaining, 0U);
    EXPECT_EQ(decisions[2].remaining, 4U);
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(table.take_now(takes, clock.now(), decisions));
    EXPECT_TRUE(decisions[0].allowed);
    EXPECT_FALSE(decisions[1].allowed);
    EXPECT_EQ(peek_one(1, ten).remaining, 7U);
    EXPECT_EQ(peek_one(3, ten).remaining, 4U);
}

TEST_F(Table, ADeniedEventTakesOnlyWhereDeniedEventsCount) {
    BucketRule counting = ten;
    counting.count_denied = true;
    const std::array<Take, 3> takes{{{name(1), &counting, 1}, {name(2), &three, 5}, {name(3), &ten, 1}}};
    std::array<Decision, 3> decisions;
    EXPECT_FALSE(table.take_now(takes, clock.now(), decisions));
    EXPECT_EQ(peek_one(1, counting).remaining, 9U);
    EXPECT_EQ(peek_one(3, ten).remaining, 10U);
}

TEST_F(Table, AnEventWithoutBucketsIsAdmitted) {
    EXPECT_TRUE(table.take_now({}, clock.now(), {}));
}

TEST_F(Table, KeepsBucketsApartThatShareTheirHome) {
    // One home (low) and one shard (high), many buckets; erased in the middle, so that the others shift back.
    const auto clash = [](std::uint64_t i) { return Hash128{i % 3, i << 32U}; };
    Decision decision;
    for (std::uint64_t i = 0; i < 60; ++i) {
        const Take take{clash(i), &ten, 1 + i % 5};
        table.take_now({&take, 1}, clock.now(), {&decision, 1});
    }
    for (std::uint64_t i = 0; i < 60; i += 4) table.reset(clash(i));
    EXPECT_EQ(table.size(), 45U);
    for (std::uint64_t i = 0; i < 60; ++i) {
        const Take take{clash(i), &ten, 1};
        table.peek_now({&take, 1}, clock.now(), {&decision, 1});
        EXPECT_EQ(decision.remaining, i % 4 == 0 ? 10U : 9 - i % 5) << i;
    }
}

TEST_F(Table, RunsThatWrapAroundTheEndOfAShardSurviveErasing) {
    constexpr std::uint64_t kLast = ~std::uint64_t{0};
    Decision decision;
    const auto clash = [](std::uint64_t i) { return Hash128{i % 2 == 0 ? kLast : i / 7, i << 32U}; };
    for (std::uint64_t i = 0; i < 40; ++i) {
        const Take take{clash(i), &ten, 1 + i % 5};
        table.take_now({&take, 1}, clock.now(), {&decision, 1});
    }
    for (std::uint64_t i = 0; i < 40; i += 3) table.reset(clash(i));
    for (std::uint64_t i = 0; i < 40; ++i) {
        const Take take{clash(i), &ten, 1};
        table.peek_now({&take, 1}, clock.now(), {&decision, 1});
        EXPECT_EQ(decision.remaining, i % 3 == 0 ? 10U : 9 - i % 5) << i;
    }
}

TEST_F(Table, ReusesExpiredBucketsBeforeItEvicts) {
    for (std::uint64_t round = 0; round < 20; ++round) {
        for (std::uint64_t i = 0; i < 5'000; ++i) take_one(round * 5'000 + i, ten);
        clock.advance(seconds(60));
    }
    EXPECT_EQ(table.evictions(), 0U);
    EXPECT_LE(table.size(), 10'000U);
}

TEST_F(Table, StaysBoundedUnderAKeyFloodAndKeepsWhatIsNearlyUsedUp) {
    constexpr std::uint64_t kVictims = 500;
    for (std::uint64_t i = 0; i < kVictims; ++i) {
        for (int j = 0; j < 10; ++j) take_one(i, ten);
    }
    const std::uint64_t memory = table.memory_bytes();
    for (std::uint64_t i = 0; i < 300'000; ++i) {
        take_one(1'000'000 + i, ten);
        if (i % 1000 == 0) {
            ASSERT_LE(table.size(), 10'000U);
        }
    }
    EXPECT_EQ(table.memory_bytes(), memory);
    EXPECT_GE(table.evictions(), 300'000U - 10'000U);
    EXPECT_GT(table.size(), 9'000U);
    for (std::uint64_t i = 0; i < kVictims; ++i) EXPECT_FALSE(peek_one(i, ten).allowed) << i;
}

TEST_F(Table, NeverEvictsABucketForAnotherOfItsEvent) {
    BucketTable small({.buckets_max = 64, .shards = 8});
    EXPECT_EQ(small.buckets_max(), 64U);
    std::array<Decision, 8> decisions;
    for (std::uint64_t event = 0; event < 500; ++event) {
        std::array<Take, 8> takes;
        for (std::uint64_t i = 0; i < 8; ++i) takes[i] = {name(event * 8 + i), &ten, 1};
        ASSERT_TRUE(small.take_now(takes, clock.now(), decisions));
        ASSERT_TRUE(small.peek_now(takes, clock.now(), decisions));
        for (const Decision& decision : decisions) ASSERT_EQ(decision.remaining, 9U);
        ASSERT_LE(small.size(), 64U);
    }
}

TEST(TableBounds, HoldNearlyAllBucketsBeforeAnythingIsEvicted) {
    BucketTable table({.buckets_max = 100'000, .shards = 64});
    const BucketRule rule = test_rule(Algorithm::kFixedWindow, 10, seconds(60));
    const MonoTime now = ManualClock().now();
    Decision decision;
    for (std::uint64_t i = 0; i < 90'000; ++i) {
        const Take take{name(i), &rule, 1};
        table.take_now({&take, 1}, now, {&decision, 1});
    }
    EXPECT_EQ(table.evictions(), 0U);
    EXPECT_EQ(table.size(), 90'000U);
}

TEST(TableBounds, AreThoseOfTheOptionsAndNeverBelowTheLeast) {
    EXPECT_EQ(BucketTable({.buckets_max = 0, .shards = 1}).buckets_max(), kTableBucketsMin);
    EXPECT_EQ(BucketTable({.buckets_max = 5'000, .shards = 7}).shards(), 4U);
    EXPECT_EQ(BucketTable({.buckets_max = 5'000, .shards = 0}).shards(), 1U);
    const BucketTable million({.buckets_max = 1'000'000, .shards = 64});
    EXPECT_EQ(million.shards(), 64U);
    EXPECT_LT(million.memory_bytes(), 90'000'000U);
}

// What any number of threads may do together is what one may: with time standing still, exactly COUNT of 10^7
// decisions are admitted from each bucket, for each algorithm, also when an event covers up to three buckets.
class ManyThreads : public testing::TestWithParam<Algorithm> {};
INSTANTIATE_TEST_SUITE_P(Limit, ManyThreads,
                         testing::Values(Algorithm::kFixedWindow, Algorithm::kSlidingWindow, Algorithm::kGcra));

constexpr unsigned kThreads = 4;
constexpr std::uint64_t kDecisions = 10'000'000;
constexpr std::uint64_t kBuckets = 100;

template <typename Work>
void run_threads(Work&& work) {
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back([&work, i] { work(i); });
    for (auto& thread : threads) thread.join();
}

TEST_P(ManyThreads, AdmitExactlyCountFromEachBucket) {
    constexpr std::uint64_t kCount = 10'000;
    BucketTable table({.buckets_max = 10'000, .shards = 8});
    const BucketRule rule = test_rule(GetParam(), kCount, seconds(60));
    const MonoTime now = ManualClock().now();
    std::array<Hash128, kBuckets> names;
    for (std::uint64_t i = 0; i < kBuckets; ++i) names[i] = name(i);
    std::array<std::atomic<std::uint64_t>, kBuckets> admitted{};
    run_threads([&](unsigned) {
        std::array<std::uint64_t, kBuckets> mine{};
        for (std::uint64_t i = 0; i < kDecisions / kThreads; ++i) {
            const Take take{names[i % kBuckets], &rule, 1};
            Decision decision;
            mine[i % kBuckets] += table.take_now({&take, 1}, now, {&decision, 1}) ? 1 : 0;
        }
        for (std::uint64_t i = 0; i < kBuckets; ++i) admitted[i] += mine[i];
    });
    for (const auto& count : admitted) EXPECT_EQ(count, kCount);
}

TEST_P(ManyThreads, TakeFromAllBucketsOfAnEventOrFromNone) {
    constexpr std::uint64_t kCount = 20'000;
    constexpr std::uint64_t kEvents = kDecisions * 2 / 5;  // of two and a half buckets on average
    BucketTable table({.buckets_max = 10'000, .shards = 8});
    const BucketRule rule = test_rule(GetParam(), kCount, seconds(60));
    const MonoTime now = ManualClock().now();
    std::array<Hash128, kBuckets> names;
    for (std::uint64_t i = 0; i < kBuckets; ++i) names[i] = name(i);
    std::array<std::atomic<std::uint64_t>, kBuckets> taken{};
    run_threads([&](unsigned thread) {
        Rng random(thread);
        std::array<std::uint64_t, kBuckets> mine{};
        for (std::uint64_t i = 0; i < kEvents / kThreads; ++i) {
            // Two or three buckets, in an order that differs among the threads.
            const std::uint64_t at = random.below(kBuckets);
            const std::array<std::uint64_t, 3> which{at, (at + 1 + random.below(40)) % kBuckets, (at + 50) % kBuckets};
            std::array<Take, 3> takes;
            for (std::size_t j = 0; j < 3; ++j) takes[j] = {names[which[j]], &rule, 1 + j};
            std::array<Decision, 3> decisions;
            const std::size_t buckets = 2 + i % 2;
            if (!table.take_now({takes.data(), buckets}, now, {decisions.data(), buckets})) continue;
            for (std::size_t j = 0; j < buckets; ++j) mine[which[j]] += takes[j].cost;
        }
        for (std::uint64_t i = 0; i < kBuckets; ++i) taken[i] += mine[i];
    });
    std::uint64_t used_up = 0;
    for (std::uint64_t i = 0; i < kBuckets; ++i) {
        const Take take{names[i], &rule, 1};
        Decision decision;
        table.peek_now({&take, 1}, now, {&decision, 1});
        EXPECT_EQ(taken[i] + decision.remaining, kCount) << i;
        if (decision.remaining == 0) ++used_up;
    }
    EXPECT_GT(used_up, kBuckets / 4);
}

TEST(ManyThreadsTogether, EvictResetAndPeekWithoutHarm) {
    BucketTable table({.buckets_max = 2'048, .shards = 2});
    const BucketRule rule = test_rule(Algorithm::kSlidingWindow, 5, seconds(60));
    const MonoTime now = ManualClock().now();
    run_threads([&](unsigned thread) {
        Rng random(thread);
        for (int i = 0; i < 50'000; ++i) {
            const std::array<Take, 2> takes{
                {{Hash128{random.next(), random.next()}, &rule, 1}, {Hash128{random.below(50) << 56U, 1}, &rule, 1}}};
            std::array<Decision, 2> decisions;
            table.take_now(takes, now + Nanos(i), decisions);
            if (i % 16 == 0) table.peek_now(takes, now + Nanos(i), decisions);
            if (i % 64 == 0) table.reset(takes[1].bucket);
            if (i % 4096 == 0) {
                std::vector<StoredBucket> buckets;
                table.copy_shard(thread % table.shards(), now, buckets);
            }
            ASSERT_LE(table.size(), table.buckets_max());
        }
    });
    EXPECT_GT(table.evictions(), 0U);
}

}  // namespace
}  // namespace weir::limit
