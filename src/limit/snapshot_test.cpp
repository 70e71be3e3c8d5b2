#include "limit/snapshot.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "limit/test_rules.h"

namespace weir::limit {
namespace {

using std::chrono::seconds;

constexpr HashKey kKey{0x1122334455667788U, 0x99AABBCCDDEEFF00U};

Hash128 name(std::uint64_t number) {
    return siphash128(kKey, std::to_string(number));
}

struct Snapshot : testing::Test {
    ManualClock clock;
    BucketTable table{{.buckets_max = 10'000, .shards = 8}};

    static Decision take_from(BucketTable& from, std::uint64_t number, const BucketRule& rule, MonoTime now,
                              std::uint64_t cost) {
        const Take take{name(number), &rule, cost};
        Decision decision;
        from.take_now({&take, 1}, now, {&decision, 1});
        return decision;
    }
    static Decision peek_at(const BucketTable& from, std::uint64_t number, const BucketRule& rule, MonoTime now) {
        const Take take{name(number), &rule, 1};
        Decision decision;
        from.peek_now({&take, 1}, now, {&decision, 1});
        return decision;
    }
    static BucketRule rule_of(std::uint64_t number) {
        return test_rule(static_cast<Algorithm>(number % kAlgorithms), 10 + number % 7, seconds(60));
    }
    std::string saved() { return serialize_snapshot(table, kKey, clock.now(), clock.wall_now()); }
    void fill() {
        for (std::uint64_t i = 0; i < 100; ++i) {
            clock.advance(Nanos(123'456'789));
            take_from(table, i, rule_of(i), clock.now(), 1 + i % 10);
        }
    }
};

TEST_F(Snapshot, BringsEveryBucketBackInAProcessWhoseClockStartsElsewhere) {
    fill();
    const std::string bytes = saved();
    // The other process reads a monotonic clock that has nothing to do with ours, 5 s later.
    const MonoTime elsewhere(seconds(77));
    BucketTable restored({.buckets_max = 5'000, .shards = 2});
    const auto key = restore_snapshot(restored, bytes, elsewhere, clock.wall_now() + seconds(5));
    ASSERT_TRUE(key);
    EXPECT_EQ(key.value(), kKey);
    clock.advance(seconds(5));
    for (std::uint64_t i = 0; i < 100; ++i) {
        EXPECT_EQ(peek_at(restored, i, rule_of(i), elsewhere), peek_at(table, i, rule_of(i), clock.now())) << i;
    }
}

TEST_F(Snapshot, LeavesOutWhatBecameFullMeanwhile) {
    fill();
    const std::string bytes = saved();
    BucketTable restored({.buckets_max = 5'000, .shards = 2});
    ASSERT_TRUE(restore_snapshot(restored, bytes, clock.now(), clock.wall_now() + seconds(120)));
    EXPECT_EQ(restored.size(), 0U);
}

TEST_F(Snapshot, TakesAWallClockThatWentBackAsNoTime) {
    fill();
    const std::string bytes = saved();
    BucketTable restored({.buckets_max = 5'000, .shards = 2});
    ASSERT_TRUE(restore_snapshot(restored, bytes, clock.now(), clock.wall_now() - std::chrono::hours(1000)));
    for (std::uint64_t i = 0; i < 100; ++i) {
        EXPECT_EQ(peek_at(restored, i, rule_of(i), clock.now()), peek_at(table, i, rule_of(i), clock.now()));
    }
}

TEST_F(Snapshot, OfAnEmptyTableIsAHeaderAndAChecksum) {
    const std::string bytes = saved();
    EXPECT_EQ(bytes.size(), 64U);
    EXPECT_TRUE(restore_snapshot(table, bytes, clock.now(), clock.wall_now()));
    EXPECT_EQ(snapshot_hash_key(bytes).value(), kKey);
}

TEST_F(Snapshot, DoesNotOverwriteWhatIsCountedAlready) {
    const BucketRule rule = rule_of(0);
    take_from(table, 0, rule, clock.now(), 1);
    const std::string bytes = saved();
    BucketTable other({.buckets_max = 100, .shards = 1});
    take_from(other, 0, rule, clock.now(), 7);
    ASSERT_TRUE(restore_snapshot(other, bytes, clock.now(), clock.wall_now()));
    EXPECT_EQ(peek_at(other, 0, rule, clock.now()).remaining, 3U);
}

TEST_F(Snapshot, FitsIntoASmallerTableByEvicting) {
    for (std::uint64_t i = 0; i < 1'000; ++i) {
        take_from(table, i, test_rule(Algorithm::kFixedWindow, 10, seconds(60)), clock.now(), i < 20 ? 10 : 1);
    }
    BucketTable small({.buckets_max = 100, .shards = 1});
    ASSERT_TRUE(restore_snapshot(small, saved(), clock.now(), clock.wall_now()));
    EXPECT_EQ(small.size(), 100U);
    for (std::uint64_t i = 0; i < 20; ++i) {
        EXPECT_FALSE(peek_at(small, i, test_rule(Algorithm::kFixedWindow, 10, seconds(60)), clock.now()).allowed);
    }
}

TEST_F(Snapshot, ThatIsCutShortAnywhereIsRefusedWhole) {
    fill();
    const std::string bytes = saved();
    BucketTable untouched({.buckets_max = 1'000, .shards = 1});
    for (std::size_t length = 0; length < bytes.size(); ++length) {
        const auto key = restore_snapshot(untouched, bytes.substr(0, length), clock.now(), clock.wall_now());
        ASSERT_FALSE(key) << length;
        ASSERT_EQ(key.error().code, ErrorCode::kMalformed);
    }
    EXPECT_FALSE(restore_snapshot(untouched, bytes + "x", clock.now(), clock.wall_now()));
    EXPECT_FALSE(restore_snapshot(untouched, bytes + bytes, clock.now(), clock.wall_now()));
    EXPECT_EQ(untouched.size(), 0U);
}

TEST_F(Snapshot, ThatIsDamagedInAnyBitIsRefusedWhole) {
    take_from(table, 1, rule_of(1), clock.now(), 1);
    take_from(table, 2, rule_of(2), clock.now(), 1);
    const std::string bytes = saved();
    BucketTable untouched({.buckets_max = 1'000, .shards = 1});
    for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
        std::string damaged = bytes;
        damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
        ASSERT_FALSE(restore_snapshot(untouched, damaged, clock.now(), clock.wall_now())) << bit;
        ASSERT_FALSE(snapshot_hash_key(damaged)) << bit;
    }
    EXPECT_EQ(untouched.size(), 0U);
}

TEST_F(Snapshot, OfAnotherVersionSaysSo) {
    std::string bytes = saved();
    bytes[8] = 2;
    const auto key = restore_snapshot(table, bytes, clock.now(), clock.wall_now());
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, ErrorCode::kUnsupported);
}

TEST_F(Snapshot, WithABucketThatCannotBeIsRefusedWholeThoughItsChecksumHolds) {
    take_from(table, 1, rule_of(1), clock.now(), 1);
    const std::string bytes = saved();
    // Period, COUNT and burst of zero, an unknown algorithm, counts beyond all bounds.
    for (const auto& [offset, value] : std::vector<std::pair<std::size_t, char>>{
             {40, 0}, {44, 0}, {48, 0}, {52, 9}, {31, 1}, {39, 1}, {43, 127}, {47, 127}, {51, 127}}) {
        std::string damaged = bytes.substr(0, bytes.size() - 16);
        damaged[48 + offset] = value;
        const Hash128 sum = siphash128(HashKey{}, damaged);
        damaged.append(reinterpret_cast<const char*>(&sum.low), 8);
        damaged.append(reinterpret_cast<const char*>(&sum.high), 8);
        BucketTable untouched({.buckets_max = 1'000, .shards = 1});
        const auto key = restore_snapshot(untouched, damaged, clock.now(), clock.wall_now());
        ASSERT_FALSE(key) << offset;
        EXPECT_EQ(key.error().detail, "the snapshot has a bucket that can't be");
        EXPECT_EQ(untouched.size(), 0U);
    }
}

}  // namespace
}  // namespace weir::limit
