// The cache of answers about callers: single flight, time, bounds, and all of it from several threads.
#include "gateway/lookup_cache.h"

#include <atomic>
#include <gtest/gtest.h>
#include <thread>

namespace weir::gateway {
namespace {

using identity::LookupAnswer;
using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = LookupAnswer::Kind;

class Nobody final : public LookupListener {
    void post_lookup(const LookupWaiter&, const LookupAnswer&) override {}
};

LookupAnswer user(std::string name) {
    return {.kind = Kind::kUser, .user = std::move(name), .tier = policy::kAuthenticated};
}
const LookupAnswer kAnonymousAnswer{.kind = Kind::kAnonymous, .user = {}};

std::shared_ptr<const policy::LimitTable> table(std::vector<policy::TierSpec> more = {}) {
    policy::LimitTable::Options options;
    options.tiers.insert(options.tiers.end(), more.begin(), more.end());
    std::vector<std::string> problems;
    return std::make_shared<const policy::LimitTable>(policy::LimitTable::build(options, problems));
}

class LookupCacheTest : public testing::Test {
  protected:
    static config::Lookup options(Nanos cache = seconds(60), std::uint64_t entries_max = 1600) {
        config::Lookup lookup;
        lookup.cache = cache;
        lookup.entries_max = entries_max;
        return lookup;
    }
    LookupCache::Found find(std::uint64_t key, std::uint64_t request = 1) {
        return cache_->find({key, 0}, waiter(request), now_);
    }
    LookupWaiter waiter(std::uint64_t request) { return {&nobody_, 3, request}; }
    std::vector<LookupWaiter> finish(std::uint64_t key, std::uint64_t ticket, const LookupAnswer& answer) {
        return cache_->finish({key, 0}, ticket, answer, now_, now_);
    }
    void know(std::uint64_t key, const LookupAnswer& answer) {
        const auto found = find(key);
        ASSERT_TRUE(found.ticket);
        EXPECT_EQ(finish(key, *found.ticket, answer).size(), 1U);
    }

    Nobody nobody_;
    metrics::Registry registry_;
    MonoTime now_ = ManualClock().now();
    std::unique_ptr<LookupCache> cache_ = std::make_unique<LookupCache>(options(), table(), registry_);
};

TEST_F(LookupCacheTest, OneAsksAndAllWhoWaitAreTold) {
    const auto asker = find(1, 1);
    ASSERT_TRUE(asker.ticket);
    EXPECT_FALSE(asker.answer);
    for (std::uint64_t request = 2; request <= 40; ++request) {
        const auto other = find(1, request);
        EXPECT_FALSE(other.ticket);
        EXPECT_FALSE(other.answer);
    }
    EXPECT_TRUE(find(2).ticket);  // another credential is another question
    cache_->forget({1, 0}, waiter(7));
    const auto told = finish(1, *asker.ticket, user("42"));
    EXPECT_EQ(told.size(), 39U);
    EXPECT_EQ(std::count(told.begin(), told.end(), waiter(7)), 0);
    EXPECT_EQ(find(1).answer, user("42"));
    EXPECT_EQ(cache_->size(), 1U);
}

TEST_F(LookupCacheTest, AnAnswerHoldsFromWhenItWasAskedForUntilItsTimeIsUp) {
    const MonoTime asked = now_;
    const auto asker = find(1);
    now_ += seconds(2);
    (void)cache_->finish({1, 0}, *asker.ticket, kAnonymousAnswer, asked, now_);
    now_ = asked + seconds(60) - Nanos(1);
    EXPECT_EQ(find(1).answer, kAnonymousAnswer);
    now_ = asked + seconds(60);
    EXPECT_FALSE(find(1).answer);
}

TEST_F(LookupCacheTest, InTheLastTenthOneAsksAheadAndAllAreServed) {
    know(1, user("42"));
    now_ += seconds(53);
    EXPECT_FALSE(find(1).ticket);
    now_ += seconds(1);
    const auto ahead = find(1);
    EXPECT_EQ(ahead.answer, user("42"));
    ASSERT_TRUE(ahead.ticket);
    EXPECT_EQ(find(1).answer, user("42"));
    EXPECT_FALSE(find(1).ticket);
    EXPECT_TRUE(finish(1, *ahead.ticket, kAnonymousAnswer).empty());
    EXPECT_EQ(find(1).answer, kAnonymousAnswer);
    EXPECT_EQ(cache_->size(), 1U);
}

TEST_F(LookupCacheTest, AQuestionAheadThatFailsLeavesWhatWasKnownToItsEnd) {
    know(1, user("42"));
    now_ += seconds(55);
    (void)finish(1, *find(1).ticket, {});
    EXPECT_EQ(find(1).answer, user("42"));
    EXPECT_FALSE(find(1).ticket);  // not again at once
    now_ += kLookupFailureKept;
    EXPECT_TRUE(find(1).ticket);
    now_ += seconds(4);
    EXPECT_FALSE(find(1).answer);
}

TEST_F(LookupCacheTest, AFailureIsKeptForAMoment) {
    know(1, {});
    now_ += kLookupFailureKept - Nanos(1);
    ASSERT_TRUE(find(1).answer);
    EXPECT_EQ(find(1).answer->kind, Kind::kFailed);
    EXPECT_FALSE(find(1).ticket);
    now_ += Nanos(1);
    EXPECT_TRUE(find(1).ticket);
}

TEST_F(LookupCacheTest, WithoutTimeNothingIsKept) {
    cache_ = std::make_unique<LookupCache>(options(Nanos{0}), table(), registry_);
    know(1, user("42"));
    EXPECT_EQ(cache_->size(), 0U);
    const auto again = find(1, 2);
    ASSERT_TRUE(again.ticket);
    EXPECT_FALSE(find(1, 3).ticket);  // but those who come meanwhile share
    EXPECT_EQ(finish(1, *again.ticket, user("42")).size(), 2U);
}

TEST_F(LookupCacheTest, AQuestionWhoseAskerIsGoneIsGivenToTheNextCaller) {
    const auto lost = find(1, 1);
    now_ += cache_->options().timeout + kLookupGiveUp - Nanos(1);
    EXPECT_FALSE(find(1, 2).ticket);
    now_ += Nanos(1);
    const auto next = find(1, 3);
    ASSERT_TRUE(next.ticket);
    EXPECT_TRUE(finish(1, *lost.ticket, user("old")).empty());  // too late
    EXPECT_EQ(finish(1, *next.ticket, user("new")).size(), 3U);
    EXPECT_EQ(find(1).answer, user("new"));
}

TEST_F(LookupCacheTest, NeverKeepsMoreThanItMay) {
    cache_ = std::make_unique<LookupCache>(options(seconds(60), 64), table(), registry_);
    for (std::uint64_t key = 0; key < 1000; ++key) {
        for (std::uint64_t shard = 0; shard < 16; ++shard) {
            const Hash128 hash{key * 16 + shard, shard};
            const auto found = cache_->find(hash, waiter(1), now_);
            (void)cache_->finish(hash, *found.ticket, key % 3 == 0 ? user("42") : kAnonymousAnswer, now_, now_);
            EXPECT_LE(cache_->size(), 64U);
        }
    }
    EXPECT_EQ(cache_->size(), 64U);
}

TEST_F(LookupCacheTest, AFloodOfStrangersDrivesOutOnlyStrangers) {
    for (std::uint64_t key = 0; key < 50; ++key) know(key, user(std::to_string(key)));  // all in one shard of 100
    for (std::uint64_t key = 1000; key < 2000; ++key) know(key, key % 2 == 0 ? kAnonymousAnswer : LookupAnswer{});
    EXPECT_EQ(cache_->size(), 100U);
    for (std::uint64_t key = 0; key < 50; ++key) EXPECT_EQ(find(key).answer, user(std::to_string(key)));
    // Those who are known make room for each other, and the oldest leaves.
    for (std::uint64_t key = 3000; key < 3060; ++key) know(key, user(std::to_string(key)));
    EXPECT_EQ(cache_->size(), 100U);
    EXPECT_FALSE(find(9).answer);
    EXPECT_TRUE(find(10).answer);
}

TEST_F(LookupCacheTest, WhatHasExpiredLeavesFirst) {
    for (std::uint64_t key = 0; key < 90; ++key) know(key, user("old"));
    now_ += seconds(60);
    for (std::uint64_t key = 100; key < 200; ++key) know(key, user("new"));
    EXPECT_EQ(cache_->size(), 100U);
    for (std::uint64_t key = 100; key < 200; ++key) EXPECT_TRUE(find(key).answer);
}

TEST_F(LookupCacheTest, AnAnswerThatLeavesWhileItIsRenewedDoesNotLoseWhoWaits) {
    cache_ = std::make_unique<LookupCache>(options(seconds(60), 16), table(), registry_);
    know(1, user("42"));
    now_ += seconds(55);
    const auto ahead = find(1);
    ASSERT_TRUE(ahead.ticket);
    know(2, user("43"));  // one shard, one place
    EXPECT_FALSE(find(1, 9).answer);
    EXPECT_EQ(finish(1, *ahead.ticket, user("42")).size(), 1U);
}

TEST_F(LookupCacheTest, ServesAConfigurationWithTheSameQuestionAndTiers) {
    EXPECT_TRUE(cache_->serves(options(), *table()));
    EXPECT_FALSE(cache_->serves(options(seconds(30)), *table()));
    config::Lookup elsewhere = options();
    elsewhere.target = "/elsewhere";
    EXPECT_FALSE(cache_->serves(elsewhere, *table()));
    EXPECT_FALSE(cache_->serves(options(), *table({{.name = "partner", .multiplier = 2}})));
}

TEST_F(LookupCacheTest, FailuresAreLoggedOnceInAnInterval) {
    EXPECT_EQ(cache_->may_log(now_, seconds(10)), 0U);
    EXPECT_EQ(cache_->may_log(now_, seconds(10)), std::nullopt);
    now_ += seconds(9);
    EXPECT_EQ(cache_->may_log(now_, seconds(10)), std::nullopt);
    now_ += seconds(1);
    EXPECT_EQ(cache_->may_log(now_, seconds(10)), 2U);
}

TEST_F(LookupCacheTest, AmongManyThreadsExactlyOneAsksAndEachWaiterIsToldOnce) {
    constexpr unsigned kThreads = 4;
    constexpr std::uint64_t kKeys = 300;
    std::atomic<std::uint64_t> asked{0}, waited{0}, told{0}, hits{0};
    const auto work = [&](unsigned thread) {
        for (std::uint64_t key = 0; key < kKeys; ++key) {
            const Hash128 hash{key, key};
            const auto found = cache_->find(hash, {&nobody_, thread, key}, now_);
            if (found.answer) {
                EXPECT_EQ(found.answer->user, std::to_string(key));
                ++hits;
                continue;
            }
            ++waited;
            if (!found.ticket) continue;
            ++asked;
            told += cache_->finish(hash, *found.ticket, user(std::to_string(key)), now_, now_).size();
        }
    };
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(asked, kKeys);
    EXPECT_EQ(told, waited);
    EXPECT_EQ(hits + waited, kThreads * kKeys);
}

}  // namespace
}  // namespace weir::gateway
