// Penalties: what blocks, what does not, how a block ends, and what goes when there is no room.
#include "gateway/penalty_box.h"

#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

namespace weir::gateway {
namespace {

using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using Origin = PenaltyBox::Origin;

constexpr config::Penalty kThree{.after = {.count = 3, .period = seconds(60)}, .block_for = hours(1)};
constexpr MonoTime kStart{hours(1000)};

class PenaltyBoxTest : public testing::Test {
  protected:
    // How many of `times` denials have blocked.
    int deny(std::string_view subject, int times, const config::Penalty& penalty = kThree, bool shadow = false) {
        int blocked = 0;
        for (int i = 0; i < times; ++i) blocked += box_.count_denial(subject, penalty, shadow, now_) ? 1 : 0;
        return blocked;
    }

    MonoTime now_ = kStart;
    PenaltyBox box_{{.hash_key = {1, 2}}};
};

TEST_F(PenaltyBoxTest, BlocksWithTheDenialAfterTheLastThatIsAllowed) {
    EXPECT_EQ(deny("user:42", 3), 0);
    EXPECT_TRUE(box_.empty());
    EXPECT_FALSE(box_.find("user:42", now_));
    EXPECT_EQ(deny("user:42", 1), 1);
    EXPECT_FALSE(box_.empty());
    const auto block = box_.find("user:42", now_);
    ASSERT_TRUE(block);
    EXPECT_EQ(block->until, now_ + hours(1));
    EXPECT_EQ(block->reason, "too many denied requests");
    EXPECT_EQ(block->origin, Origin::kPenalty);
    EXPECT_FALSE(box_.find("user:43", now_));
}

TEST_F(PenaltyBoxTest, CountsEachSubjectByItself) {
    EXPECT_EQ(deny("user:42", 3), 0);
    EXPECT_EQ(deny("ip:203.0.113.7", 3), 0);
    EXPECT_EQ(deny("ip:203.0.113.7", 1), 1);
    EXPECT_FALSE(box_.find("user:42", now_));
}

TEST_F(PenaltyBoxTest, ForgetsDenialsWhenTheirPeriodHasPassed) {
    for (int i = 0; i < 5; ++i) {
        EXPECT_EQ(deny("user:42", 3), 0);
        now_ += seconds(60);
    }
    EXPECT_TRUE(box_.empty());
}

TEST_F(PenaltyBoxTest, EndsByItselfAndStartsFromNothingThen) {
    ASSERT_EQ(deny("user:42", 4), 1);
    now_ += hours(1) - Nanos(1);
    EXPECT_TRUE(box_.find("user:42", now_));
    now_ += Nanos(1);
    EXPECT_FALSE(box_.find("user:42", now_));
    EXPECT_TRUE(box_.empty());
    EXPECT_EQ(deny("user:42", 3), 0);
    EXPECT_EQ(deny("user:42", 1), 1);
}

// A block that is shorter than the period: the window that it came from must not block at once again.
TEST_F(PenaltyBoxTest, StartsFromNothingAlsoInsideTheSamePeriod) {
    const config::Penalty brief{.after = kThree.after, .block_for = seconds(1)};
    ASSERT_EQ(deny("user:42", 4, brief), 1);
    now_ += seconds(1);
    EXPECT_EQ(deny("user:42", 3, brief), 0);
    EXPECT_EQ(deny("user:42", 1, brief), 1);
}

TEST_F(PenaltyBoxTest, NeitherCountsNorExtendsWhileABlockHolds) {
    ASSERT_EQ(deny("user:42", 4), 1);
    now_ += hours(1) - seconds(1);
    EXPECT_EQ(deny("user:42", 100), 0);
    EXPECT_EQ(box_.find("user:42", now_)->until, kStart + hours(1));
    now_ += seconds(1);
    EXPECT_EQ(deny("user:42", 3), 0) << "what was denied meanwhile has not counted";
}

TEST_F(PenaltyBoxTest, ExpiresWithoutBeingAsked) {
    ASSERT_EQ(deny("user:42", 4), 1);
    ASSERT_EQ(deny("user:43", 4), 1);
    EXPECT_EQ(box_.size(), 2U);
    box_.expire(now_ + hours(1) - Nanos(1));
    EXPECT_EQ(box_.size(), 2U);
    box_.expire(now_ + hours(1));
    EXPECT_TRUE(box_.empty());
    EXPECT_TRUE(box_.list(now_).empty());
}

TEST_F(PenaltyBoxTest, ChangesItsGenerationWithEachBlockAndOnlyThen) {
    EXPECT_EQ(box_.generation(), 0U);
    ASSERT_EQ(deny("user:42", 3), 0);
    EXPECT_EQ(box_.generation(), 0U);
    ASSERT_EQ(deny("user:42", 1), 1);
    const std::uint64_t first = box_.generation();
    EXPECT_NE(first, 0U);
    ASSERT_EQ(deny("user:43", 4), 1);
    EXPECT_NE(box_.generation(), first);
}

TEST_F(PenaltyBoxTest, InShadowTellsOnceAndHoldsForNobody) {
    EXPECT_EQ(deny("user:42", 100, kThree, true), 1);
    EXPECT_TRUE(box_.empty());
    EXPECT_EQ(box_.generation(), 0U);
    EXPECT_FALSE(box_.find("user:42", now_));
    ASSERT_EQ(box_.list(now_).size(), 1U);
    EXPECT_EQ(box_.list(now_).front().origin, Origin::kShadow);
    now_ += hours(1);
    EXPECT_EQ(deny("user:42", 4, kThree, true), 1) << "it would be blocked again";
}

TEST_F(PenaltyBoxTest, WhatWasInShadowDoesNotHinderThePenaltyThatFollows) {
    ASSERT_EQ(deny("user:42", 4, kThree, true), 1);
    EXPECT_EQ(deny("user:42", 4), 1);
    EXPECT_TRUE(box_.find("user:42", now_));
    EXPECT_EQ(box_.size(), 1U);
}

TEST_F(PenaltyBoxTest, BlocksAndUnblocksByHand) {
    EXPECT_FALSE(box_.unblock("user:42"));
    EXPECT_TRUE(box_.block("user:42", now_ + minutes(5), "abuse, ticket 7", now_));
    ASSERT_TRUE(box_.find("user:42", now_));
    EXPECT_EQ(box_.find("user:42", now_)->reason, "abuse, ticket 7");
    EXPECT_TRUE(box_.block("user:42", now_ + minutes(1), "shorter", now_)) << "the last word counts";
    EXPECT_EQ(box_.find("user:42", now_)->until, now_ + minutes(1));
    EXPECT_EQ(box_.size(), 1U);
    EXPECT_TRUE(box_.unblock("user:42"));
    EXPECT_TRUE(box_.empty());
    ASSERT_EQ(deny("user:43", 4), 1);
    EXPECT_TRUE(box_.unblock("user:43")) << "a penalty too";
    EXPECT_FALSE(box_.find("user:43", now_));
}

TEST_F(PenaltyBoxTest, LiftsPenaltiesAndNotWhatAnOperatorHasBlocked) {
    ASSERT_EQ(deny("user:42", 4), 1);
    ASSERT_EQ(deny("user:43", 4, kThree, true), 1);
    ASSERT_TRUE(box_.block("user:44", now_ + hours(1), "abuse", now_));
    box_.lift_penalties();
    ASSERT_EQ(box_.list(now_).size(), 1U);
    EXPECT_EQ(box_.list(now_).front().subject, "user:44");
    EXPECT_EQ(box_.size(), 1U);
}

TEST_F(PenaltyBoxTest, FollowsARateThatAReloadHasLowered) {
    const config::Penalty ten{.after = {.count = 10, .period = seconds(60)}, .block_for = hours(1)};
    EXPECT_EQ(deny("user:42", 8, ten), 0);
    EXPECT_EQ(deny("user:42", 1), 1) << "eight are more than three";
}

TEST_F(PenaltyBoxTest, KeepsTheBeginningOfALongNameAndKnowsItByTheWhole) {
    const std::string name = "user:" + std::string(kBlockedSubjectBytesMax - 6, 'x') + "\xC3\xA9" + "tail";
    ASSERT_EQ(deny(name, 4), 1);
    EXPECT_TRUE(box_.find(name, now_));
    EXPECT_FALSE(box_.find(name + "!", now_));
    EXPECT_EQ(box_.list(now_).front().subject, name.substr(0, kBlockedSubjectBytesMax - 1)) << "no half character";
}

TEST_F(PenaltyBoxTest, HoldsForEverRatherThanOverflow) {
    const config::Penalty endless{.after = kThree.after, .block_for = Nanos::max()};
    ASSERT_EQ(deny("user:42", 4, endless), 1);
    EXPECT_TRUE(box_.find("user:42", MonoTime::max() - Nanos(1)));
}

class FullPenaltyBox : public testing::Test {
  protected:
    bool penalise(std::string_view subject, Nanos block_for, bool shadow = false) {
        const config::Penalty penalty{.after = {.count = 1, .period = seconds(60)}, .block_for = block_for};
        const bool at_once = box_.count_denial(subject, penalty, shadow, now_);  // one has counted before
        return at_once || box_.count_denial(subject, penalty, shadow, now_);
    }
    bool blocked(std::string_view subject) { return box_.find(subject, now_).has_value(); }

    MonoTime now_ = kStart;
    PenaltyBox box_{{.hash_key = {1, 2}, .counters_max = 64, .blocks_max = 3}};
};

TEST_F(FullPenaltyBox, TheBlockThatEndsSoonestMakesRoom) {
    ASSERT_TRUE(penalise("a", minutes(3)));
    ASSERT_TRUE(penalise("b", minutes(1)));
    ASSERT_TRUE(penalise("c", minutes(2)));
    EXPECT_TRUE(penalise("d", minutes(4)));
    EXPECT_FALSE(blocked("b"));
    EXPECT_TRUE(blocked("a") && blocked("c") && blocked("d"));
    EXPECT_EQ(box_.size(), 3U);
}

TEST_F(FullPenaltyBox, WhatHasEndedGoesBeforeWhatHolds) {
    ASSERT_TRUE(penalise("a", minutes(1)));
    ASSERT_TRUE(penalise("b", minutes(2)));
    ASSERT_TRUE(penalise("c", minutes(3)));
    now_ += minutes(1);
    EXPECT_TRUE(penalise("d", minutes(4)));
    EXPECT_TRUE(blocked("b") && blocked("c") && blocked("d"));
}

TEST_F(FullPenaltyBox, AnOperatorsBlockNeverGoes) {
    for (const char* subject : {"a", "b", "c"}) ASSERT_TRUE(box_.block(subject, now_ + seconds(1), "abuse", now_));
    EXPECT_FALSE(penalise("d", hours(1)));
    EXPECT_FALSE(box_.block("d", now_ + hours(1), "abuse", now_));
    EXPECT_TRUE(box_.block("c", now_ + hours(1), "still", now_)) << "one that is there may be changed";
    EXPECT_TRUE(blocked("a") && blocked("b") && blocked("c"));
    now_ += seconds(1);
    EXPECT_TRUE(penalise("d", hours(1))) << "but it ends";
}

TEST_F(FullPenaltyBox, AnOperatorsBlockTakesThePlaceOfAPenalty) {
    for (const char* subject : {"a", "b", "c"}) ASSERT_TRUE(penalise(subject, minutes(1)));
    EXPECT_TRUE(box_.block("d", now_ + seconds(1), "abuse", now_));
    EXPECT_TRUE(blocked("d"));
    EXPECT_EQ(box_.size(), 3U);
}

TEST_F(FullPenaltyBox, AShadowNeverDisplacesWhatHolds) {
    for (const char* subject : {"a", "b", "c"}) ASSERT_TRUE(penalise(subject, minutes(1)));
    EXPECT_FALSE(penalise("d", hours(1), true));
    EXPECT_TRUE(blocked("a") && blocked("b") && blocked("c"));
    box_.lift_penalties();
    for (const char* subject : {"a", "b", "c"}) ASSERT_TRUE(penalise(subject, minutes(1), true));
    EXPECT_TRUE(penalise("d", minutes(1)));
    EXPECT_TRUE(blocked("d"));
    EXPECT_EQ(box_.list(now_).size(), 3U);
}

TEST_F(FullPenaltyBox, AFloodOfSubjectsDoesNotMakeItForgetARealOffender) {
    const config::Penalty ten{.after = {.count = 10, .period = hours(1)}, .block_for = hours(1)};
    for (int i = 0; i < 10; ++i) ASSERT_FALSE(box_.count_denial("user:42", ten, false, now_));
    for (int i = 0; i < 10'000; ++i) {
        ASSERT_FALSE(box_.count_denial("ip:" + std::to_string(i), ten, false, now_));
    }
    EXPECT_TRUE(box_.count_denial("user:42", ten, false, now_));
}

TEST(PenaltyBoxThreads, OfManyThreadsExactlyOneDenialBlocks) {
    PenaltyBox box({.hash_key = {1, 2}});
    const config::Penalty penalty{.after = {.count = 100, .period = seconds(60)}, .block_for = hours(1)};
    std::atomic<int> blocked{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 500; ++i) {
                if (box.count_denial("user:42", penalty, false, kStart)) ++blocked;
                // Whoever sees the generation sees the block.
                if (box.generation() != 0) {
                    EXPECT_TRUE(box.find("user:42", kStart));
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(blocked, 1);
    EXPECT_EQ(box.size(), 1U);
}

TEST(PenaltyBoxThreads, MayBeUsedInEveryWayAtOnce) {
    PenaltyBox box({.hash_key = {1, 2}, .counters_max = 64, .blocks_max = 8});
    const config::Penalty penalty{.after = {.count = 1, .period = seconds(60)}, .block_for = seconds(5)};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&box, &penalty, t] {
            for (int i = 0; i < 1000; ++i) {
                const std::string subject = "user:" + std::to_string((i * 7 + t) % 20);
                const MonoTime now = kStart + std::chrono::milliseconds(i * 10);
                (void)box.count_denial(subject, penalty, i % 11 == 0, now);
                (void)box.find(subject, now);
                if (i % 5 == 0) (void)box.unblock(subject);
                if (i % 7 == 0) (void)box.block(subject, now + seconds(1), "abuse", now);
                if (i % 50 == 0) box.expire(now);
                if (i % 90 == 0) box.lift_penalties();
                if (i % 30 == 0) {
                    EXPECT_LE(box.list(now).size(), 8U);
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    box.expire(kStart + hours(1));
    EXPECT_TRUE(box.empty());
    EXPECT_TRUE(box.list(kStart).empty());
}

}  // namespace
}  // namespace weir::gateway
