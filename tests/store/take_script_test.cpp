// What the script does on a real server besides deciding: the server's own time, expiry, errors, all or none.
#include "store/take_script.h"

#include <gtest/gtest.h>

#include "limit/test_rules.h"
#include "protocol/resp/error_reply.h"
#include "redis_server.h"

namespace weir::store {
namespace {

using limit::Algorithm;
using limit::BucketRule;
using limit::Decision;
using limit::Take;
using protocol::resp::ErrorReply;
using protocol::resp::Reply;
using std::chrono::seconds;

class TakeScriptOnAServer : public testing::Test {
  protected:
    void SetUp() override { load(connection); }
    static void load(BlockingClient& connection) {
        std::string out;
        take_script().append_load(out);
        ASSERT_EQ(connection.ask(out).text, take_script().sha1());
    }
    static Take take_of(const BucketRule& rule, std::string_view group, std::uint64_t cost = 1) {
        return {.bucket = {}, .rule = &rule, .cost = cost, .subject = "user:42", .group = group};
    }
    struct Answer {
        StoreTime at;
        std::vector<Decision> decisions;
    };
    Answer decide(const std::vector<Take>& takes, TakeOperation operation = TakeOperation::kTake) {
        std::string out;
        append_take(out, operation, "rl", takes);
        return answer(connection.ask(out), takes);
    }
    Answer give_back(const std::vector<Take>& takes, StoreTime taken) {
        std::string out;
        append_give_back(out, "rl", takes, taken);
        return answer(connection.ask(out), takes);
    }
    static Answer answer(const Reply& reply, const std::vector<Take>& takes) {
        Answer answer;
        answer.decisions.resize(takes.size());
        const auto at = read_decisions(reply, takes, answer.decisions);
        EXPECT_TRUE(at) << reply.text;
        if (at) answer.at = *at;
        return answer;
    }
    Error error_of_take(const std::vector<Take>& takes) {
        std::string out;
        append_take(out, TakeOperation::kTake, "rl", takes);
        std::vector<Decision> decisions(takes.size());
        const auto at = read_decisions(connection.ask(out), takes, decisions);
        EXPECT_FALSE(at);
        return at ? Error{} : at.error();
    }
    static Error error_named(ErrorReply kind) { return protocol::resp::error_of(kind); }

    RedisServer server;
    BlockingClient connection{server};
    BucketRule two = test_rule(Algorithm::kFixedWindow, 2, seconds(3600));
    BucketRule hundred = test_rule(Algorithm::kSlidingWindow, 100, seconds(3600));
    BucketRule drip = test_rule(Algorithm::kGcra, 100, seconds(3600));
};

TEST_F(TakeScriptOnAServer, CountsByTheServersClock) {
    const auto time = connection.ask({"TIME"});
    const std::int64_t before = std::stoll(time.elements[0].text) * 1'000'000'000;
    const Answer first = decide({take_of(two, "g")});
    EXPECT_GE(first.at.nanos, before);
    EXPECT_LT(first.at.nanos, before + 600'000'000'000);
    EXPECT_EQ(first.decisions[0], (Decision{true, 2, 1, seconds(3600), Nanos(0), seconds(3600)}));
    EXPECT_TRUE(decide({take_of(two, "g")}).decisions[0].allowed);
    const Answer denied = decide({take_of(two, "g")});
    EXPECT_FALSE(denied.decisions[0].allowed);
    EXPECT_EQ(denied.decisions[0].retry_after, seconds(3600) - Nanos(denied.at.nanos - first.at.nanos));
}

TEST_F(TakeScriptOnAServer, LetsABucketExpireWhenItIsFullAgainAndNotSooner) {
    for (const BucketRule& rule : {two, hundred, drip}) {
        const Decision decision = decide({take_of(rule, "g")}).decisions[0];
        const std::int64_t millis = connection.ask({"PTTL", "rl:{user:42}:g"}).integer;
        const std::int64_t wanted = decision.reset_after.count() / 1'000'000;
        EXPECT_LE(millis, wanted + 3);
        EXPECT_GE(millis, wanted - 5000);
        connection.ask({"DEL", "rl:{user:42}:g"});
    }
    const BucketRule brief = test_rule(Algorithm::kFixedWindow, 1, seconds(1));
    EXPECT_TRUE(decide({take_of(brief, "brief")}).decisions[0].allowed);
    const Decision denied = decide({take_of(brief, "brief")}).decisions[0];
    ASSERT_FALSE(denied.allowed);
    // Blocks on the server for as long as the decision says, and a millisecond: then it is admitted.
    const std::string wait = std::to_string(static_cast<double>(denied.retry_after.count() + 1'000'000) / 1e9);
    connection.ask({"BLPOP", "nothing", wait});
    EXPECT_TRUE(decide({take_of(brief, "brief")}).decisions[0].allowed);
}

TEST_F(TakeScriptOnAServer, LeavesNothingBehindForBucketsThatStayFull) {
    decide({take_of(two, "a", 3), take_of(hundred, "b"), take_of(drip, "c")});
    decide({take_of(drip, "c")}, TakeOperation::kPeek);
    decide({take_of(drip, "c")}, TakeOperation::kRefuse);
    EXPECT_EQ(connection.ask({"DBSIZE"}).integer, 0);
}

TEST_F(TakeScriptOnAServer, TakesFromAllOrFromNone) {
    const std::vector<Take> event{take_of(hundred, "a", 10), take_of(two, "b", 2)};
    EXPECT_EQ(decide(event).decisions[0].remaining, 90U);
    const Answer denied = decide(event);
    EXPECT_TRUE(denied.decisions[0].allowed);
    EXPECT_EQ(denied.decisions[0].remaining, 90U);
    EXPECT_FALSE(denied.decisions[1].allowed);
    EXPECT_EQ(decide({event[0]}, TakeOperation::kPeek).decisions[0].remaining, 90U);
}

TEST_F(TakeScriptOnAServer, GivesBackWhatALaterSlotDenied) {
    for (const BucketRule& rule : {two, hundred}) {
        decide({take_of(rule, "g")});
        const Answer taken = decide({take_of(rule, "g")});
        EXPECT_EQ(give_back({take_of(rule, "g")}, taken.at).decisions[0].remaining, rule.rate.count - 1);
        give_back({take_of(rule, "g")}, taken.at);
        EXPECT_EQ(connection.ask({"EXISTS", "rl:{user:42}:g"}).integer, 0);
    }
    // What may have drained meanwhile is not given twice.
    const Answer taken = decide({take_of(drip, "g", 50)});
    EXPECT_GE(give_back({take_of(drip, "g", 50)}, taken.at).decisions[0].remaining, 99U);
    const Answer again = decide({take_of(drip, "g", 50)});
    const StoreTime half_an_hour_before{again.at.nanos - 1'800'000'000'000};
    EXPECT_LE(give_back({take_of(drip, "g", 50)}, half_an_hour_before).decisions[0].remaining, 51U);
}

TEST_F(TakeScriptOnAServer, GivesNothingToAWindowThatOpenedLater) {
    const Answer taken = decide({take_of(two, "g")});
    EXPECT_EQ(give_back({take_of(two, "g")}, {taken.at.nanos - 1}).decisions[0].remaining, 1U);
}

TEST_F(TakeScriptOnAServer, KeepsADeniedEventWhereDenialsCount) {
    two.count_denied = true;
    const Answer taken = decide({take_of(two, "g")});
    EXPECT_EQ(give_back({take_of(two, "g")}, taken.at).decisions[0].remaining, 1U);
    EXPECT_EQ(decide({take_of(two, "g")}, TakeOperation::kRefuse).decisions[0].remaining, 0U);
}

TEST_F(TakeScriptOnAServer, SaysNoScriptUntilItIsLoaded) {
    connection.ask({"SCRIPT", "FLUSH"});
    EXPECT_EQ(error_of_take({take_of(two, "g")}), error_named(ErrorReply::kNoScript));
    load(connection);
    EXPECT_TRUE(decide({take_of(two, "g")}).decisions[0].allowed);
}

TEST_F(TakeScriptOnAServer, TakesAnotherTypeOfValueForAnErrorAndTakesNothing) {
    connection.ask({"RPUSH", "rl:{user:42}:b", "x"});
    EXPECT_EQ(error_of_take({take_of(two, "a"), take_of(two, "b")}), error_named(ErrorReply::kWrongType));
    EXPECT_EQ(connection.ask({"EXISTS", "rl:{user:42}:a"}).integer, 0);
}

TEST_F(TakeScriptOnAServer, TakesAValueThatItDidNotWriteForAnErrorAndTakesNothing) {
    for (const std::string_view value :
         {"", "12", "f 60 1700000000 0 1", "f 60 1700000000 0 1 0 ", " f 60 1700000000 0 1 0", "x 60 1700000000 0 1 0",
          "f 0 1700000000 0 1 0", "f 31622401 1700000000 0 1 0", "f 60 9223372037 0 1 0",
          "f 60 1700000000 1000000000 1 0", "f 60 1700000000 0 1000000001 0",
          "s 60 1700000000 0 1 99999999999999999999999999", "f 60 -1 0 1 0", "f 60 1e9 0 1 0"}) {
        connection.ask({"SET", "rl:{user:42}:b", value});
        EXPECT_EQ(error_of_take({take_of(two, "a"), take_of(two, "b")}), error_named(ErrorReply::kBadValue)) << value;
        EXPECT_EQ(connection.ask({"GET", "rl:{user:42}:b"}).text, value);
        EXPECT_EQ(connection.ask({"EXISTS", "rl:{user:42}:a"}).integer, 0);
    }
}

TEST_F(TakeScriptOnAServer, KeepsSubjectsOfAnyBytesApart) {
    const std::string subjects[] = {"user:a}", "user:a", "user:\r\n-ERR x", std::string("user:\0", 6), "user:"};
    for (const std::string& subject : subjects) {
        Take take = take_of(two, "g", 2);
        take.subject = subject;
        EXPECT_TRUE(decide({take}).decisions[0].allowed);
        EXPECT_FALSE(decide({take}).decisions[0].allowed);
        std::string key = "rl:{" + subject + "}:g";
        connection.ask({"SET", key, "no bucket"});
        EXPECT_EQ(error_of_take({take}), error_named(ErrorReply::kBadValue));
    }
}

TEST_F(TakeScriptOnAServer, EmptiesBucketsThatAreReset) {
    decide({take_of(two, "a", 2), take_of(two, "b", 2)});
    std::string out;
    const std::string_view groups[] = {"a", "b", "c"};
    append_reset(out, "rl", "user:42", groups);
    EXPECT_EQ(connection.ask(out).integer, 2);
    EXPECT_EQ(decide({take_of(two, "a")}).decisions[0].remaining, 1U);
}

TEST_F(TakeScriptOnAServer, AdmitsExactlyCountFromManyConnections) {
    BlockingClient other(server);
    std::string out;
    const std::vector<Take> event{take_of(hundred, "g")};
    for (int i = 0; i < 100; ++i) append_take(out, TakeOperation::kTake, "rl", event);
    connection.send(out);
    other.send(out);
    int allowed = 0;
    for (int i = 0; i < 100; ++i) {
        allowed += answer(connection.receive(), event).decisions[0].allowed ? 1 : 0;
        allowed += answer(other.receive(), event).decisions[0].allowed ? 1 : 0;
    }
    EXPECT_EQ(allowed, 100);
}

TEST_F(TakeScriptOnAServer, SaysThatAReplicaCantCount) {
    connection.ask({"REPLICAOF", "127.0.0.1", "1"});
    EXPECT_EQ(error_of_take({take_of(two, "g")}), error_named(ErrorReply::kReadOnly));
}

TEST_F(TakeScriptOnAServer, SaysThatMemoryIsFull) {
    connection.ask({"CONFIG", "SET", "maxmemory", "1"});
    EXPECT_EQ(error_of_take({take_of(two, "g"), take_of(two, "h")}), error_named(ErrorReply::kOutOfMemory));
    EXPECT_EQ(connection.ask({"DBSIZE"}).integer, 0);
}

}  // namespace
}  // namespace weir::store
