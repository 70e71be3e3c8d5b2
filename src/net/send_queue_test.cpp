#include "net/send_queue.h"

#include <array>
#include <gtest/gtest.h>

#include "base/random.h"

namespace weir::net {
namespace {

std::string text_of(const SendQueue& queue) {
    std::vector<iovec> vector(queue.slices());
    EXPECT_EQ(queue.fill(vector), vector.size());
    std::string text;
    for (const iovec& part : vector) text.append(static_cast<const char*>(part.iov_base), part.iov_len);
    return text;
}

Slice block_of(BlockPool& pool, std::string_view text) {
    Slice slice = pool.try_take();
    std::copy(text.begin(), text.end(), slice.data());
    slice.shrink(text.size());
    return slice;
}

TEST(BlockPool, RefusesAtItsBoundAndTakesBack) {
    BlockPool pool(2);
    Slice one = pool.try_take();
    const Slice two = pool.try_take();
    EXPECT_TRUE(pool.at_bound());
    EXPECT_TRUE(pool.try_take().empty());
    const Slice part = one.sub(10, 5);
    one = Slice{};
    EXPECT_TRUE(pool.at_bound());  // a part holds the block
    EXPECT_EQ(pool.copy("small").size(), 5U);
}

TEST(BlockPool, CopyOfAWholeBlocksSizeIsNoBlockOfThePool) {
    BlockPool pool(1);
    const std::string whole(kBlockBytes, 'x');
    Slice copy = pool.copy(whole);
    const Slice taken = pool.try_take();
    EXPECT_TRUE(pool.at_bound());
    EXPECT_EQ(copy.text(), whole);
    copy = Slice{};
    EXPECT_TRUE(pool.at_bound());
}

TEST(SendQueue, ConsumesAcrossSlices) {
    BlockPool pool(8);
    SendQueue queue;
    queue.push(pool.copy("hello "));
    queue.push(Slice{});
    queue.push(Slice::of_static("wide "));
    queue.push(pool.copy("world"));
    EXPECT_EQ(queue.bytes(), 16U);
    queue.consume(8);
    EXPECT_EQ(text_of(queue), "de world");
    std::array<iovec, 1> one;
    EXPECT_EQ(queue.fill(one), 1U);
    EXPECT_EQ(one[0].iov_len, 3U);
    EXPECT_EQ(queue.pop().text(), "de ");
    queue.consume(5);
    EXPECT_TRUE(queue.empty());
    EXPECT_EQ(pool.blocks_out(), 0U);
}

TEST(SendQueue, SettledQueuePinsNoBlockForAFewBytes) {
    BlockPool pool(100);
    SendQueue queue;
    std::string expected;
    for (int i = 0; i < 100; ++i) {
        const std::string text = std::to_string(i) + ",";
        queue.push(block_of(pool, text));
        expected += text;
        if (i < 60 && i % 7 == 0) queue.settle(pool);
    }
    EXPECT_GT(pool.bytes_out(), 5 * kBlockBytes);
    queue.settle(pool);
    EXPECT_LT(pool.bytes_out(), 4096U);
    EXPECT_EQ(text_of(queue), expected);
}

TEST(SendQueue, SettlingLeavesLargeSlicesWhereTheyAre) {
    BlockPool pool(4);
    SendQueue queue;
    Slice whole = pool.try_take();
    const std::uint8_t* data = whole.data();
    queue.push(std::move(whole));
    queue.settle(pool);
    std::array<iovec, 1> one;
    static_cast<void>(queue.fill(one));
    EXPECT_EQ(one[0].iov_base, data);
    queue.consume(kBlockBytes - 100);  // what is left is small
    queue.settle(pool);
    EXPECT_EQ(pool.bytes_out(), 100U);
}

TEST(SendQueue, KeepsBytesAndOrderUnderRandomUse) {
    for (std::uint64_t seed = 1; seed <= 50; ++seed) {
        Rng rng(seed);
        BlockPool pool(1000);
        SendQueue queue;
        std::string expected;
        for (int step = 0; step < 300; ++step) {
            const std::string text(rng.one_in(5) ? rng.below(20'000) : rng.below(40),
                                   static_cast<char>('a' + step % 26));
            switch (rng.below(4)) {
                case 0:
                    queue.settle(pool);
                    break;
                case 1: {
                    const std::size_t size = rng.below(queue.bytes() + 1);
                    queue.consume(size);
                    expected.erase(0, size);
                    break;
                }
                default:
                    queue.push(rng.one_in(2) ? pool.copy(text) : block_of(pool, text));
                    expected += text;
            }
            ASSERT_EQ(queue.bytes(), expected.size());
        }
        EXPECT_TRUE(text_of(queue) == expected);
        queue.clear();
        EXPECT_EQ(pool.blocks_out(), 0U);
    }
}

TEST(SendQueue, KeepsNoWholeBlockOfAPoolThatIsHalfUsed) {
    BlockPool pool(4);
    std::vector<Slice> received;
    for (int i = 0; i < 3; ++i) received.push_back(pool.try_take());
    EXPECT_TRUE(pool.scarce());
    SendQueue queue;
    for (Slice& slice : received) queue.push(std::move(slice));
    received.clear();
    queue.settle(pool);
    EXPECT_EQ(queue.bytes(), 3 * kBlockBytes);
    EXPECT_FALSE(pool.scarce());  // a second slice of each block would have pinned it, the queue no longer does
    queue.clear();
    EXPECT_EQ(pool.blocks_out(), 0U);
}

}  // namespace
}  // namespace weir::net
