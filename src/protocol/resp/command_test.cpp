#include "protocol/resp/command.h"

#include <gtest/gtest.h>
#include <limits>

#include "protocol/resp/error_reply.h"
#include "protocol/resp/reply.h"

namespace weir::protocol::resp {
namespace {

// The example of "Redis serialization protocol specification", "Sending commands to a Redis server".
TEST(Command, IsWrittenAsTheSpecificationShows) {
    std::string out;
    append_command(out, {"LLEN", "mylist"});
    EXPECT_EQ(out, "*2\r\n$4\r\nLLEN\r\n$6\r\nmylist\r\n");
}

TEST(Command, IsAppendedToTheOnesBefore) {
    std::string out;
    append_command(out, {"PING"});
    append_command(out, {"GET", ""});
    EXPECT_EQ(out, "*1\r\n$4\r\nPING\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n");
}

TEST(Command, KeepsAnArgumentOfAnyBytes) {
    std::string out;
    const std::string odd("a\r\n$1\0\xff", 7);
    append_command(out, {"SET", odd, "*9\r\n"});
    ReplyReader reader;
    reader.feed(out);
    const auto read = reader.next();
    ASSERT_TRUE(read && *read);
    ASSERT_EQ((*read)->elements.size(), 3U);
    EXPECT_EQ((*read)->elements[1].text, odd);
    EXPECT_EQ((*read)->elements[2].text, "*9\r\n");
}

TEST(Command, CanBeWrittenInPieces) {
    std::string out;
    append_command_begin(out, 3);
    append_argument(out, "GET");
    append_joined_argument(out, {"rl", ":{", "user:42", "}"});
    append_argument(out, std::numeric_limits<std::uint64_t>::max());
    EXPECT_EQ(out, "*3\r\n$3\r\nGET\r\n$12\r\nrl:{user:42}\r\n$20\r\n18446744073709551615\r\n");
}

TEST(ErrorReply, IsToldByItsFirstWord) {
    const std::pair<std::string_view, ErrorReply> cases[] = {
        {"NOSCRIPT No matching script. Please use EVAL.", ErrorReply::kNoScript},
        {"MOVED 3999 127.0.0.1:6381", ErrorReply::kMoved},
        {"ASK 3999 127.0.0.1:6381", ErrorReply::kAsk},
        {"TRYAGAIN Multiple keys request during rehashing of slot", ErrorReply::kTryAgain},
        {"CLUSTERDOWN The cluster is down", ErrorReply::kClusterDown},
        {"LOADING Redis is loading the dataset in memory", ErrorReply::kLoading},
        {"READONLY You can't write against a read only replica.", ErrorReply::kReadOnly},
        {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", ErrorReply::kMasterDown},
        {"OOM command not allowed when used memory > 'maxmemory'.", ErrorReply::kOutOfMemory},
        {"MISCONF Redis is configured to save RDB snapshots", ErrorReply::kMisconfigured},
        {"NOREPLICAS Not enough good replicas to write.", ErrorReply::kNoReplicas},
        {"BUSY Redis is busy running a script.", ErrorReply::kBusy},
        {"BUSYKEY Target key name already exists.", ErrorReply::kBusyKey},
        {"NOAUTH Authentication required.", ErrorReply::kNoAuth},
        {"WRONGPASS invalid username-password pair or user is disabled.", ErrorReply::kWrongPassword},
        {"ERR invalid password", ErrorReply::kWrongPassword},
        {"NOPERM this user has no permissions to run the 'get' command", ErrorReply::kNoPermission},
        {"WRONGTYPE Operation against a key holding the wrong kind of value", ErrorReply::kWrongType},
        {"BADVALUE rl:{user:42}:ws_message", ErrorReply::kBadValue},
        {"ERR unknown command", ErrorReply::kOther},
        {"MOVEDX", ErrorReply::kOther},
        {"", ErrorReply::kOther},
    };
    for (const auto& [text, kind] : cases) EXPECT_EQ(classify_error(text), kind) << text;
}

TEST(ErrorReply, HasANameAndATextForEachKind) {
    for (int i = 0; i <= static_cast<int>(ErrorReply::kOther); ++i) {
        const auto kind = static_cast<ErrorReply>(i);
        EXPECT_FALSE(name_of(kind).empty());
        EXPECT_FALSE(error_of(kind).detail.empty());
        EXPECT_EQ(error_of(kind).source, ErrorSource::kStore);
    }
}

TEST(ErrorReply, SaysWhereToGo) {
    const auto moved = parse_redirection("MOVED 3999 127.0.0.1:6381");
    ASSERT_TRUE(moved);
    EXPECT_EQ(moved->slot, 3999);
    EXPECT_EQ(moved->host, "127.0.0.1");
    EXPECT_EQ(moved->port, 6381);
    const auto ask = parse_redirection("ASK 0 2001:db8::1:6381");
    ASSERT_TRUE(ask);
    EXPECT_EQ(ask->host, "2001:db8::1");
    const auto same_host = parse_redirection("MOVED 16383 :6381");
    ASSERT_TRUE(same_host);
    EXPECT_EQ(same_host->host, "");
    for (const std::string_view text : {"MOVED", "MOVED 1", "MOVED 16384 a:1", "MOVED x a:1", "MOVED 1 a",
                                        "MOVED 1 a:", "MOVED 1 a:0", "MOVED 1 a:65536", "MOVED 1 a:-1", ""}) {
        EXPECT_FALSE(parse_redirection(text)) << text;
    }
}

}  // namespace
}  // namespace weir::protocol::resp
