// Blocks and overrides on a real server, as gateways that follow them see them.
#include "store/shared_table.h"

#include <gtest/gtest.h>
#include <map>

#include "limit/test_rules.h"
#include "protocol/resp/error_reply.h"
#include "redis_server.h"
#include "store/take_script.h"

namespace weir::store {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

class SharedTables : public testing::Test {
  protected:
    void SetUp() override {
        std::string out;
        shared_table_script().append_load(out);
        take_script().append_load(out);
        connection.send(out);
        ASSERT_EQ(connection.receive().text, shared_table_script().sha1());
        ASSERT_EQ(connection.receive().text, take_script().sha1());
    }
    bool put(std::string_view name, std::string_view value, milliseconds time, bool makes_room = false) {
        std::string out;
        append_put(out, "rl", SharedTable::kBlocks, {name, value, time, makes_room});
        return changed(out);
    }
    bool remove(std::string_view name) {
        std::string out;
        append_remove(out, "rl", SharedTable::kBlocks, name);
        return changed(out);
    }
    bool changed(const std::string& command) {
        const auto reply = connection.ask(command);
        const auto result = read_changed(reply);
        EXPECT_TRUE(result) << reply.text;
        return result && *result;
    }

    // A gateway: what it knows, kept up by asking.
    struct Follower {
        TableVersion version;
        std::map<std::string, std::string> known;
        std::size_t heard = 0;  // entries of all answers
    };
    void follow(Follower& follower, std::size_t most = 100) {
        while (true) {
            std::string out;
            append_changes(out, "rl", SharedTable::kBlocks, follower.version, most);
            const auto reply = connection.ask(out);
            const auto changes = read_changes(reply);
            ASSERT_TRUE(changes) << reply.text;
            ASSERT_LE(changes->entries.size(), most);
            if (changes->anew) follower.known.clear();
            for (const SharedEntry& entry : changes->entries) {
                ++follower.heard;
                follower.known.erase(std::string(entry.name));
                if (entry.for_time.count() > 0) follower.known.emplace(entry.name, entry.value);
            }
            follower.version = changes->version;
            if (!changes->more) return;
        }
    }
    std::map<std::string, std::string> all_known() {
        Follower fresh;
        follow(fresh);
        return fresh.known;
    }
    using Known = std::map<std::string, std::string>;

    RedisServer server;
    BlockingClient connection{server};
};

TEST_F(SharedTables, TellEveryFollowerOfWhatWasEnteredAndRemoved) {
    Follower early;
    follow(early);
    EXPECT_TRUE(early.known.empty());
    EXPECT_TRUE(put("user:1", "too many", hours(1), true));
    EXPECT_TRUE(put("ip:2001:db8::/64", "an operator", hours(1)));
    follow(early);
    EXPECT_EQ(early.known, (Known{{"user:1", "too many"}, {"ip:2001:db8::/64", "an operator"}}));
    EXPECT_EQ(all_known(), early.known);
    EXPECT_TRUE(remove("user:1"));
    EXPECT_FALSE(remove("user:1"));
    EXPECT_FALSE(remove("user:2"));
    follow(early);
    EXPECT_EQ(early.known, (Known{{"ip:2001:db8::/64", "an operator"}}));
    EXPECT_EQ(all_known(), early.known);
}

TEST_F(SharedTables, SayNothingWhereNothingHasChanged) {
    put("user:1", "x", hours(1));
    Follower follower;
    follow(follower);
    const TableVersion before = follower.version;
    follower.heard = 0;
    follow(follower);
    EXPECT_EQ(follower.heard, 0U);
    EXPECT_EQ(follower.version, before);
    EXPECT_EQ(follower.known.size(), 1U);
}

TEST_F(SharedTables, SayHowLongAnEntryHasLeft) {
    put("user:1", "x", milliseconds(3'600'000));
    std::string out;
    append_changes(out, "rl", SharedTable::kBlocks, {}, 10);
    const auto reply = connection.ask(out);
    const auto changes = read_changes(reply);
    ASSERT_TRUE(changes && changes->entries.size() == 1);
    EXPECT_LE(changes->entries[0].for_time, milliseconds(3'600'000));
    EXPECT_GT(changes->entries[0].for_time, milliseconds(3'590'000));
    EXPECT_FALSE(changes->entries[0].makes_room);
}

TEST_F(SharedTables, AnswerInPages) {
    for (int i = 0; i < 25; ++i) put("user:" + std::to_string(i), "x", hours(1));
    for (const std::size_t most : {1U, 3U, 5U, 24U, 25U, 26U}) {
        Follower follower;
        follow(follower, most);
        EXPECT_EQ(follower.known.size(), 25U);
        EXPECT_EQ(follower.heard, 25U);
    }
}

TEST_F(SharedTables, KeepABlockByRuleAsItIsAndAnOperatorsAboveIt) {
    EXPECT_TRUE(put("user:1", "rule", hours(1), true));
    EXPECT_FALSE(put("user:1", "rule again", hours(2), true));
    EXPECT_EQ(all_known(), (Known{{"user:1", "rule"}}));
    EXPECT_TRUE(put("user:1", "operator", hours(2)));
    EXPECT_FALSE(put("user:1", "rule", hours(9), true));
    EXPECT_EQ(all_known(), (Known{{"user:1", "operator"}}));
    EXPECT_TRUE(put("user:1", "shorter", milliseconds(60'000)));
    EXPECT_EQ(all_known(), (Known{{"user:1", "shorter"}}));
}

TEST_F(SharedTables, ForgetWhatHasEnded) {
    put("user:1", "x", hours(1));
    put("user:2", "x", hours(1));
    remove("user:2");
    // Both ended long ago.
    connection.ask({"ZADD", "rl:{blocks}:ends", "1000", "user:1", "1000", "user:2"});
    EXPECT_TRUE(all_known().empty());
    EXPECT_FALSE(remove("user:1"));
    for (const std::string_view part : {"values", "ends", "changes"}) {
        EXPECT_EQ(connection.ask({"EXISTS", "rl:{blocks}:" + std::string(part)}).integer, 0) << part;
    }
    EXPECT_TRUE(put("user:1", "again", hours(1), true));
    EXPECT_EQ(all_known(), (Known{{"user:1", "again"}}));
}

TEST_F(SharedTables, BeginAnewWhenTheStoreHasLostThem) {
    put("user:1", "x", hours(1));
    Follower follower;
    follow(follower);
    connection.ask({"FLUSHALL"});
    follow(follower);
    EXPECT_TRUE(follower.known.empty());
    put("user:2", "y", hours(1));
    follow(follower);
    EXPECT_EQ(follower.known, (Known{{"user:2", "y"}}));
}

TEST_F(SharedTables, BeginAnewWhenAFailOverLostTheLatest) {
    put("user:1", "x", hours(1));
    const std::string version = connection.ask({"GET", "rl:{blocks}:version"}).text;
    put("user:2", "y", hours(1));
    Follower follower;
    follow(follower);
    // The replica that takes over never heard of user:2.
    connection.ask({"SET", "rl:{blocks}:version", version});
    for (const std::string_view part : {"ends", "changes"}) {
        connection.ask({"ZREM", "rl:{blocks}:" + std::string(part), "user:2"});
    }
    connection.ask({"HDEL", "rl:{blocks}:values", "user:2"});
    follow(follower);
    EXPECT_EQ(follower.known, (Known{{"user:1", "x"}}));
    put("user:3", "z", hours(1));
    follow(follower);
    EXPECT_EQ(follower.known, (Known{{"user:1", "x"}, {"user:3", "z"}}));
}

TEST_F(SharedTables, MakeRoomByThePenaltyThatEndsSoonestAndNeverByAnOperatorsBlock) {
    std::string out;
    for (std::size_t i = 0; i < kSharedEntriesMax; ++i) {
        const std::string name = "user:" + std::to_string(i);
        const bool by_rule = i == 7 || i == 9;
        append_put(out, "rl", SharedTable::kBlocks,
                   {name, "x", by_rule ? milliseconds(i * 100'000) : milliseconds(hours(9000)), by_rule});
        if (out.size() < 30'000 && i + 1 < kSharedEntriesMax) continue;
        connection.send(out);
        out.clear();
    }
    for (std::size_t i = 0; i < kSharedEntriesMax; ++i) ASSERT_EQ(connection.receive().integer, 1);
    EXPECT_TRUE(put("user:new", "x", hours(1), true));
    Known known = all_known();
    EXPECT_EQ(known.size(), kSharedEntriesMax);
    EXPECT_EQ(known.count("user:7"), 0U);
    EXPECT_TRUE(put("user:newer", "x", hours(9000)));
    EXPECT_TRUE(put("user:newest", "x", hours(9000)));
    EXPECT_FALSE(put("user:too-late", "x", hours(1)));
    EXPECT_TRUE(put("user:newest", "known ones are entered still", hours(1)));
    known = all_known();
    EXPECT_EQ(known.size(), kSharedEntriesMax);
    EXPECT_EQ(known.count("user:too-late"), 0U);
}

TEST_F(SharedTables, HoldNamesAndValuesOfAnyBytesWithinTheirBounds) {
    const std::string odd("user:\r\n\0%d {x}", 14);
    EXPECT_TRUE(put(odd, odd, hours(1)));
    const std::string longer(5000, 'x');
    EXPECT_TRUE(put(longer, longer, hours(1)));
    EXPECT_EQ(all_known(),
              (Known{{odd, odd}, {longer.substr(0, kSharedTextBytesMax), longer.substr(0, kSharedTextBytesMax)}}));
    EXPECT_TRUE(remove(longer));
}

TEST_F(SharedTables, AreApartFromEachOther) {
    put("user:1", "x", hours(1));
    std::string out;
    append_put(out, "rl", SharedTable::kOverrides,
               {override_name("user:1 2", "WS_MESSAGE"), "500/m", hours(24), false});
    EXPECT_TRUE(changed(out));
    out.clear();
    append_changes(out, "rl", SharedTable::kOverrides, {}, 10);
    const auto reply = connection.ask(out);
    const auto changes = read_changes(reply);
    ASSERT_TRUE(changes && changes->entries.size() == 1);
    EXPECT_EQ(changes->entries[0].value, "500/m");
    const OverrideName name = parse_override_name(changes->entries[0].name);
    EXPECT_EQ(name.limit, "WS_MESSAGE");
    EXPECT_EQ(name.subject, "user:1 2");
    EXPECT_EQ(all_known(), (Known{{"user:1", "x"}}));
}

TEST_F(SharedTables, ReadNoOverrideFromAnotherName) {
    for (const std::string_view name : {"", "WS_MESSAGE", " user:1", "WS_MESSAGE "}) {
        EXPECT_TRUE(parse_override_name(name).limit.empty()) << name;
    }
}

// penalty: {after: 3/10m}, found by whichever gateway sees the fourth denial.
TEST_F(SharedTables, BlockOnAllGatewaysWhatIsDeniedTooOftenOnAllTogether) {
    const limit::BucketRule after = limit::test_rule(limit::Algorithm::kFixedWindow, 3, std::chrono::minutes(10));
    const std::vector<limit::Take> denial{
        {.bucket = {}, .rule = &after, .cost = 1, .subject = "user:42", .group = kDenialsGroup}};
    BlockingClient other(server);
    Follower second;
    follow(second);
    int blocks = 0;
    for (int i = 0; i < 4; ++i) {
        BlockingClient& gateway = i % 2 == 0 ? connection : other;
        std::string out;
        append_take(out, TakeOperation::kTake, "rl", denial);
        std::vector<limit::Decision> decisions(1);
        ASSERT_TRUE(read_decisions(gateway.ask(out), denial, decisions));
        if (decisions[0].allowed) continue;
        ++blocks;
        EXPECT_EQ(i, 3);
        EXPECT_TRUE(put("user:42", "too many denied requests", hours(1), true));
    }
    EXPECT_EQ(blocks, 1);
    follow(second);
    EXPECT_EQ(second.known, (Known{{"user:42", "too many denied requests"}}));
}

TEST_F(SharedTables, AreAnErrorWhereSomethingElseLies) {
    using protocol::resp::ErrorReply;
    std::string out;
    append_changes(out, "rl", SharedTable::kBlocks, {}, 10);
    connection.ask({"SET", "rl:{blocks}:version", "x"});
    auto changes = read_changes(connection.ask(out));
    ASSERT_FALSE(changes);
    EXPECT_EQ(changes.error(), protocol::resp::error_of(ErrorReply::kBadValue));
    connection.ask({"DEL", "rl:{blocks}:version"});
    connection.ask({"SET", "rl:{blocks}:changes", "x"});
    changes = read_changes(connection.ask(out));
    ASSERT_FALSE(changes);
    EXPECT_EQ(changes.error(), protocol::resp::error_of(ErrorReply::kWrongType));
    connection.ask({"DEL", "rl:{blocks}:changes"});
    put("user:1", "x", hours(1));
    connection.ask({"HSET", "rl:{blocks}:values", "user:1", "no value of ours"});
    changes = read_changes(connection.ask(out));
    ASSERT_FALSE(changes);
    EXPECT_EQ(changes.error().code, ErrorCode::kMalformed);
}

}  // namespace
}  // namespace weir::store
