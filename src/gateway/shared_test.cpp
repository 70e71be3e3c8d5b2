// ConnectionCounts: how many connections a subject has open.
#include "gateway/shared.h"

#include <atomic>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

namespace weir::gateway {
namespace {

TEST(ConnectionCounts, RefusesTheOneAfterTheLast) {
    ConnectionCounts counts;
    EXPECT_TRUE(counts.acquire("chat user:42", 2));
    EXPECT_TRUE(counts.acquire("chat user:42", 2));
    EXPECT_FALSE(counts.acquire("chat user:42", 2));
    EXPECT_TRUE(counts.acquire("chat user:43", 2)) << "another subject";
    counts.release("chat user:42");
    EXPECT_TRUE(counts.acquire("chat user:42", 2)) << "a refused one has taken nothing";
    EXPECT_FALSE(counts.acquire("chat user:42", 2));
}

TEST(ConnectionCounts, HasNoBoundAtZero) {
    ConnectionCounts counts;
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(counts.acquire("k", 0));
    EXPECT_FALSE(counts.acquire("k", 1000)) << "they are counted all the same, for a reload that sets a bound";
    for (int i = 0; i < 1000; ++i) counts.release("k");
    EXPECT_TRUE(counts.acquire("k", 1));
}

TEST(ConnectionCounts, NeverAdmitsMoreFromManyThreads) {
    ConnectionCounts counts;
    std::atomic<int> open{0};
    std::atomic<bool> exceeded{false};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&] {
            for (int i = 0; i < 2000; ++i) {
                if (!counts.acquire("k", 3)) continue;
                if (open.fetch_add(1) + 1 > 3) exceeded = true;
                open.fetch_sub(1);
                counts.release("k");
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_FALSE(exceeded);
    EXPECT_TRUE(counts.acquire("k", 1)) << "all were released";
}

}  // namespace
}  // namespace weir::gateway
