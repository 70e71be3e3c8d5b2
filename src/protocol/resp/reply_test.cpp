#include "protocol/resp/reply.h"

#include <gtest/gtest.h>
#include <limits>

namespace weir::protocol::resp {
namespace {

using Kind = Reply::Kind;

Reply text(Kind kind, std::string text) {
    return {kind, 0, std::move(text), {}};
}
Reply integer(std::int64_t value) {
    return {Kind::kInteger, value, {}, {}};
}
Reply array(std::vector<Reply> elements) {
    return {Kind::kArray, 0, {}, std::move(elements)};
}

std::vector<Reply> all_of(ReplyReader& reader) {
    std::vector<Reply> replies;
    while (true) {
        auto next = reader.next();
        EXPECT_TRUE(next) << next.error().detail;
        if (!next || !*next) return replies;
        replies.push_back(std::move(**next));
    }
}
Error error_after(std::string_view bytes) {
    ReplyReader reader;
    reader.feed(bytes);
    while (true) {
        const auto next = reader.next();
        if (!next) return next.error();
        if (!*next) return {};
    }
}

// The examples of "Redis serialization protocol specification", RESP2.
TEST(ReplyReader, ReadsTheExamplesOfTheSpecification) {
    ReplyReader reader;
    reader.feed(
        "+OK\r\n-WRONGTYPE Operation against a key holding the wrong kind of value\r\n:1000\r\n:-1\r\n$5\r\nhello\r\n"
        "$0\r\n\r\n$-1\r\n*0\r\n*2\r\n$5\r\nhello\r\n$5\r\nworld\r\n*-1\r\n"
        "*2\r\n*3\r\n:1\r\n:2\r\n:3\r\n*2\r\n+Hello\r\n-World\r\n*3\r\n$5\r\nhello\r\n$-1\r\n$5\r\nworld\r\n");
    const std::vector<Reply> expected{
        text(Kind::kStatus, "OK"),
        text(Kind::kError, "WRONGTYPE Operation against a key holding the wrong kind of value"),
        integer(1000),
        integer(-1),
        text(Kind::kBulk, "hello"),
        text(Kind::kBulk, ""),
        Reply{},
        array({}),
        array({text(Kind::kBulk, "hello"), text(Kind::kBulk, "world")}),
        Reply{},
        array({array({integer(1), integer(2), integer(3)}),
               array({text(Kind::kStatus, "Hello"), text(Kind::kError, "World")})}),
        array({text(Kind::kBulk, "hello"), Reply{}, text(Kind::kBulk, "world")}),
    };
    EXPECT_EQ(all_of(reader), expected);
}

TEST(ReplyReader, GivesTheSameRepliesSplitAtEveryByte) {
    const std::string bytes =
        "+OK\r\n*3\r\n$4\r\na\r\nb\r\n*2\r\n:-9223372036854775808\r\n*1\r\n$-1\r\n*-1\r\n-ERR no\r\n"
        "$3\r\n\0\r\n\r\n:9223372036854775807\r\n";
    const std::string stream(bytes.data(), bytes.size());
    ReplyReader whole_reader;
    whole_reader.feed(stream);
    const std::vector<Reply> whole = all_of(whole_reader);
    for (std::size_t split = 0; split <= stream.size(); ++split) {
        ReplyReader reader;
        reader.feed(std::string_view(stream).substr(0, split));
        std::vector<Reply> replies = all_of(reader);
        reader.feed(std::string_view(stream).substr(split));
        for (Reply& reply : all_of(reader)) replies.push_back(std::move(reply));
        EXPECT_EQ(replies, whole) << "split at " << split;
    }
    ReplyReader byte_by_byte;
    std::vector<Reply> replies;
    for (const char byte : stream) {
        byte_by_byte.feed({&byte, 1});
        for (Reply& reply : all_of(byte_by_byte)) replies.push_back(std::move(reply));
    }
    EXPECT_EQ(replies, whole);
}

TEST(ReplyReader, ReadsTheLeastAndTheGreatestInteger) {
    ReplyReader reader;
    reader.feed(":-9223372036854775808\r\n:9223372036854775807\r\n");
    EXPECT_EQ(all_of(reader), (std::vector<Reply>{integer(std::numeric_limits<std::int64_t>::min()),
                                                  integer(std::numeric_limits<std::int64_t>::max())}));
}

TEST(ReplyReader, RefusesWhatIsNoResp2AndStaysRefusing) {
    for (const std::string_view bytes : {"HTTP/1.1 400 Bad Request\r\n\r\n", "$x\r\n", "$-2\r\n", "*-2\r\n", ":1x\r\n",
                                         ":9223372036854775808\r\n", "%1\r\n", "_\r\n", "*1\r\n#t\r\n", "\r\n"}) {
        EXPECT_EQ(error_after(bytes).code, ErrorCode::kMalformed) << bytes;
    }
    ReplyReader reader;
    reader.feed("+OK\r\n?\r\n");
    EXPECT_TRUE(reader.next());
    EXPECT_FALSE(reader.next());
    reader.feed("+OK\r\n");
    EXPECT_FALSE(reader.next());
    reader.reset();
    reader.feed("+OK\r\n");
    EXPECT_EQ(all_of(reader), std::vector<Reply>{text(Kind::kStatus, "OK")});
}

TEST(ReplyReader, FollowsArraysToItsDepthAndNoDeeper) {
    const auto nested = [](std::size_t depth) {
        std::string bytes;
        for (std::size_t i = 0; i < depth; ++i) bytes += "*1\r\n";
        return bytes + ":1\r\n";
    };
    ReplyReader reader;
    reader.feed(nested(kReplyDepthMax));
    EXPECT_EQ(all_of(reader).size(), 1U);
    const Error error = error_after(nested(10));
    EXPECT_EQ(error.code, ErrorCode::kMalformed);
    EXPECT_EQ(error.detail, "the store's answer has arrays nested too deeply");
}

TEST(ReplyReader, RefusesAReplyThatGrowsBeyondItsBoundBeforeItIsWhole) {
    const std::string block(64 * 1024, 'x');
    for (const std::string_view begin : {"+", "$99999999\r\n", "*9\r\n$5\r\nhello\r\n+"}) {
        ReplyReader reader;
        reader.feed(begin);
        std::size_t fed = 0;
        while (true) {
            const auto next = reader.next();
            if (!next) {
                EXPECT_EQ(next.error().code, ErrorCode::kTooLarge);
                break;
            }
            ASSERT_FALSE(*next);
            ASSERT_LE(fed, kReplyBytesMax);
            reader.feed(block);
            fed += block.size();
        }
    }
}

TEST(ReplyReader, BoundsAReplyAndNotTheStream) {
    ReplyReader reader;
    const std::string reply = "$1000000\r\n" + std::string(1'000'000, 'x') + "\r\n";
    for (int i = 0; i < 30; ++i) {
        reader.feed(reply.substr(0, 700'000));
        EXPECT_TRUE(all_of(reader).empty());
        reader.feed(reply.substr(700'000));
        EXPECT_EQ(all_of(reader).size(), 1U);
    }
}

TEST(ReplyReader, ReservesNothingForWhatIsOnlyAnnounced) {
    ReplyReader reader;
    reader.feed("*2147483647\r\n$8000000\r\n*2147483647\r\n");
    const auto next = reader.next();
    EXPECT_TRUE(next && !*next);
}

TEST(ReplyReader, RefusesTooManyElements) {
    std::string bytes = "*600000\r\n";
    for (int i = 0; i < 600'000; ++i) bytes += ":1\r\n";
    const Error error = error_after(bytes);
    EXPECT_EQ(error.code, ErrorCode::kTooLarge);
    EXPECT_EQ(error.detail, "the store's answer has too many elements");
}

}  // namespace
}  // namespace weir::protocol::resp
