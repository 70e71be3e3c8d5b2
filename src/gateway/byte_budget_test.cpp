#include "gateway/byte_budget.h"

#include <gtest/gtest.h>
#include <thread>
#include <vector>

namespace weir::gateway {
namespace {

TEST(ByteBudget, GivesNoMoreThanItHasAndTakesBackWhatWasGiven) {
    ByteBudget budget;
    {
        ByteBudget::Share one;
        ByteBudget::Share other;
        EXPECT_TRUE(one.grow(budget, 60, 100));
        EXPECT_FALSE(other.grow(budget, 41, 100));
        EXPECT_TRUE(other.grow(budget, 40, 100));
        EXPECT_FALSE(one.grow(budget, 1, 100));
        EXPECT_EQ(budget.held(), 100U);
        one.give_back();
        one.give_back();
        EXPECT_EQ(budget.held(), 40U);
        EXPECT_TRUE(one.grow(budget, 1, 100));
    }
    EXPECT_EQ(budget.held(), 0U);
}

TEST(ByteBudget, EndsWhereItBeganWhenThreadsShareIt) {
    ByteBudget budget;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&budget] {
            for (int turn = 0; turn < 10'000; ++turn) {
                ByteBudget::Share share;
                while (share.grow(budget, 7, 100)) {
                }
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(budget.held(), 0U);
}

}  // namespace
}  // namespace weir::gateway
