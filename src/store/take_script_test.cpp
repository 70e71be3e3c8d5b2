// The bytes of the calls and replies; on a real server in tests/store.
#include "store/take_script.h"

#include <gtest/gtest.h>
#include <limits>

#include "limit/test_rules.h"

namespace weir::store {
namespace {

using limit::Algorithm;
using limit::BucketRule;
using limit::Decision;
using limit::Take;
using protocol::resp::Reply;
using protocol::resp::ReplyReader;

const BucketRule kSliding = limit::test_rule(Algorithm::kSlidingWindow, 60, std::chrono::seconds(60));
const BucketRule kDrip{{20, std::chrono::seconds(3600)}, Algorithm::kGcra, 5, true};
const std::vector<Take> kEvent{
    {.bucket = {}, .rule = &kSliding, .cost = 1, .subject = "user:42", .group = "ws_message"},
    {.bucket = {},
     .rule = &kDrip,
     .cost = std::numeric_limits<std::uint64_t>::max(),
     .subject = "user:42",
     .group = "ai"}};

// A command looks like a reply: the reader gives its arguments.
std::vector<std::string> arguments_of(const std::string& command) {
    ReplyReader reader;
    reader.feed(command);
    const auto reply = reader.next();
    std::vector<std::string> arguments;
    if (reply && *reply) {
        for (const Reply& element : (*reply)->elements) arguments.push_back(element.text);
    }
    return arguments;
}

Result<StoreTime> read(const std::string& text, std::span<Decision> decisions) {
    return read_decisions({Reply::Kind::kBulk, 0, text, {}}, std::span(kEvent).first(decisions.size()), decisions);
}

TEST(TakeScript, WritesKeysOperationTimesAndRules) {
    std::string out;
    append_take(out, TakeOperation::kTake, "rl", kEvent);
    EXPECT_EQ(arguments_of(out), (std::vector<std::string>{"EVALSHA", std::string(take_script().sha1()), "2",
                                                           "rl:{user:42}:ws_message", "rl:{user:42}:ai", "take", "", "",
                                                           "s 60 60 60 0 1", "g 20 3600 5 1 1000000001"}));
    out.clear();
    append_give_back(out, "p", std::span(kEvent).first(1), {1'700'000'000'123'456'000});
    EXPECT_EQ(arguments_of(out),
              (std::vector<std::string>{"EVALSHA", std::string(take_script().sha1()), "1", "p:{user:42}:ws_message",
                                        "give", "", "1700000000123456000", "s 60 60 60 0 1"}));
}

TEST(TakeScript, IsNamedByTheSha1OfItsText) {
    EXPECT_EQ(take_script().sha1().size(), 40U);
    std::string out;
    take_script().append_load(out);
    EXPECT_EQ(arguments_of(out), (std::vector<std::string>{"SCRIPT", "LOAD", std::string(take_script().source())}));
}

TEST(TakeScript, ReadsADecisionForEachBucket) {
    std::vector<Decision> decisions(2);
    const auto at = read("1700000000123456000 1 59 60000000000 0 1000 0 0 9223372036854775807 3 2", decisions);
    ASSERT_TRUE(at);
    EXPECT_EQ(at->nanos, 1'700'000'000'123'456'000);
    EXPECT_EQ(decisions[0], (Decision{true, 60, 59, std::chrono::seconds(60), Nanos(0), Nanos(1000)}));
    EXPECT_EQ(decisions[1], (Decision{false, 20, 0, Nanos::max(), Nanos(3), Nanos(2)}));
}

TEST(TakeScript, RefusesAReplyThatIsNoneOfTheScripts) {
    const std::string good = "1700000000123456000 1 59 60000000000 0 1000";
    std::vector<Decision> decisions(1);
    EXPECT_TRUE(read(good, decisions));
    for (std::size_t length = 0; length < good.size(); ++length) {
        // Cut inside the last number it is another number.
        if (length >= good.rfind(' ') + 2) continue;
        EXPECT_FALSE(read(good.substr(0, length), decisions)) << length;
    }
    for (const std::string_view text :
         {"1 2 59 6 0 1", "1 1 59 6 0 1 ", "1 1 59 6 0 1 1", "1  1 59 6 0 1", "1 1 -59 6 0 1", "1 1 59 -6 0 1",
          "-1 1 59 6 0 1", "1 1 59 6 0 9223372036854775808", "1 1 18446744073709551616 6 0 1", "x", " 1 1 59 6 0 1",
          "1 1 59 6 0 1x"}) {
        const auto at = read(std::string(text), decisions);
        ASSERT_FALSE(at) << text;
        EXPECT_EQ(at.error().code, ErrorCode::kMalformed);
    }
    for (const Reply::Kind kind :
         {Reply::Kind::kStatus, Reply::Kind::kNil, Reply::Kind::kInteger, Reply::Kind::kArray}) {
        EXPECT_FALSE(read_decisions({kind, 0, good, {}}, std::span(kEvent).first(1), decisions));
    }
}

TEST(TakeScript, GivesTheStoresErrorAsAnError) {
    std::vector<Decision> decisions(2);
    const auto at = read_decisions({Reply::Kind::kError, 0, "READONLY You can't write", {}}, kEvent, decisions);
    ASSERT_FALSE(at);
    EXPECT_EQ(at.error().code, ErrorCode::kStoreUnavailable);
    EXPECT_EQ(at.error().source, ErrorSource::kStore);
    EXPECT_TRUE(at.error().retryable);
}

}  // namespace
}  // namespace weir::store
