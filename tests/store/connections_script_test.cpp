// Leases of connections on a real server. Time does not pass here: leases that ended are written as such.
#include "store/connections_script.h"

#include <gtest/gtest.h>

#include "protocol/resp/error_reply.h"
#include "redis_server.h"

namespace weir::store {
namespace {

class Connections : public testing::Test {
  protected:
    static constexpr std::string_view kKey = "rl:{user:42}:@connections:chat";

    void SetUp() override {
        std::string out;
        connections_script().append_load(out);
        ASSERT_EQ(connection.ask(out).text, connections_script().sha1());
    }
    static ConnectionLease lease_of(std::string_view holder) {
        return {.prefix = "rl", .subject = "user:42", .route = "chat", .holder = holder};
    }
    ConnectionCount answer_to(const std::string& command) {
        const auto reply = connection.ask(command);
        const auto count = read_connection_count(reply);
        EXPECT_TRUE(count) << reply.text;
        return count ? *count : ConnectionCount{};
    }
    ConnectionCount acquire(std::string_view holder, std::uint64_t most) {
        std::string out;
        append_acquire_connection(out, lease_of(holder), most);
        return answer_to(out);
    }
    ConnectionCount release(std::string_view holder) {
        std::string out;
        append_release_connection(out, lease_of(holder));
        return answer_to(out);
    }
    ConnectionCount renew(std::string_view holder, std::uint64_t count) {
        std::string out;
        append_renew_connections(out, lease_of(holder), count);
        return answer_to(out);
    }
    void write(std::string_view holder, std::string_view value) { connection.ask({"HSET", kKey, holder, value}); }
    std::string written(std::string_view holder) { return connection.ask({"HGET", kKey, holder}).text; }

    RedisServer server;
    BlockingClient connection{server};
};

using Count = ConnectionCount;

TEST_F(Connections, AreAcquiredUpToTheBoundByAllGatewaysTogether) {
    EXPECT_EQ(acquire("a", 3), (Count{true, 1}));
    EXPECT_EQ(acquire("b", 3), (Count{true, 2}));
    EXPECT_EQ(acquire("a", 3), (Count{true, 3}));
    EXPECT_EQ(acquire("a", 3), (Count{false, 3}));
    EXPECT_EQ(acquire("c", 3), (Count{false, 3}));
    EXPECT_EQ(release("b"), (Count{true, 2}));
    EXPECT_EQ(acquire("c", 3), (Count{true, 3}));
}

TEST_F(Connections, LeaveNothingBehind) {
    acquire("a", 3);
    acquire("a", 3);
    release("a");
    EXPECT_EQ(release("a"), (Count{true, 0}));
    EXPECT_EQ(connection.ask({"DBSIZE"}).integer, 0);
    acquire("a", 3);
    EXPECT_EQ(renew("a", 0), (Count{true, 0}));
    EXPECT_EQ(acquire("a", 0), (Count{false, 0}));
    EXPECT_EQ(connection.ask({"DBSIZE"}).integer, 0);
}

TEST_F(Connections, AreNotReleasedByWhoHoldsNone) {
    acquire("a", 3);
    EXPECT_EQ(release("b"), (Count{true, 1}));
    EXPECT_EQ(acquire("b", 1), (Count{false, 1}));
}

TEST_F(Connections, OfAGatewayThatWasKilledCountUntilItsLeaseEnds) {
    acquire("alive", 9);
    write("dead", "5 1700000000000");  // long ago
    EXPECT_EQ(acquire("alive", 2), (Count{true, 2}));
    EXPECT_EQ(written("dead"), "");
    // A lease that has not ended counts.
    const std::string soon = std::to_string(std::stoll(connection.ask({"TIME"}).elements[0].text) * 1000 + 20'000);
    write("dead", "5 " + soon);
    EXPECT_EQ(acquire("alive", 7), (Count{false, 7}));
}

TEST_F(Connections, ExpireWithTheLastLease) {
    acquire("a", 3);
    const std::int64_t millis = connection.ask({"PTTL", kKey}).integer;
    EXPECT_LE(millis, 30'001);
    EXPECT_GT(millis, 25'000);
}

TEST_F(Connections, AreWhatTheirHolderSaysOnRenewal) {
    acquire("a", 9);
    acquire("b", 9);
    // An answer was lost on the way: a holds two more than it was told of, or none that it released.
    EXPECT_EQ(renew("a", 3), (Count{true, 4}));
    EXPECT_EQ(renew("a", 1), (Count{true, 2}));
    // Kept through a time without the store, and beyond the bound since.
    EXPECT_EQ(renew("c", 9), (Count{true, 11}));
    EXPECT_EQ(acquire("a", 9), (Count{false, 11}));
}

TEST_F(Connections, AreNotHeldForLongerThanALeaseByAClockThatSteppedBack) {
    acquire("a", 9);
    write("dead", "5 99999999999999");  // written before the step
    EXPECT_EQ(acquire("a", 9), (Count{true, 7}));
    const std::int64_t now = std::stoll(connection.ask({"TIME"}).elements[0].text) * 1000;
    const std::string value = written("dead");
    EXPECT_EQ(value.substr(0, 2), "5 ");
    EXPECT_LE(std::stoll(value.substr(2)), now + 31'000);
    EXPECT_LE(connection.ask({"PTTL", kKey}).integer, 30'001);
}

TEST_F(Connections, OfASubjectAndRouteAreCountedApart) {
    acquire("a", 1);
    ConnectionLease other = lease_of("a");
    other.route = "feed";
    std::string out;
    append_acquire_connection(out, other, 1);
    other.subject = "user:43";
    append_acquire_connection(out, other, 1);
    connection.send(out);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(*read_connection_count(connection.receive()), (Count{true, 1}));
}

TEST_F(Connections, AreAnErrorWhereSomethingElseLies) {
    using protocol::resp::ErrorReply;
    std::string out;
    append_acquire_connection(out, lease_of("a"), 3);
    for (const std::string_view value : {"", "1", "0 1", "1 2 3", "-1 2", "1000000001 2"}) {
        write("b", value);
        const auto count = read_connection_count(connection.ask(out));
        ASSERT_FALSE(count);
        EXPECT_EQ(count.error(), protocol::resp::error_of(ErrorReply::kBadValue)) << value;
        EXPECT_EQ(written("b"), value);
    }
    connection.ask({"SET", kKey, "text"});
    const auto count = read_connection_count(connection.ask(out));
    ASSERT_FALSE(count);
    EXPECT_EQ(count.error(), protocol::resp::error_of(ErrorReply::kWrongType));
}

TEST_F(Connections, RefuseAReplyThatIsNoneOfTheScripts) {
    using protocol::resp::Reply;
    const auto integer = [](std::int64_t value) { return Reply{Reply::Kind::kInteger, value, {}, {}}; };
    const auto array = [](std::vector<Reply> elements) {
        return Reply{Reply::Kind::kArray, 0, {}, std::move(elements)};
    };
    EXPECT_TRUE(read_connection_count(array({integer(1), integer(2)})));
    for (const Reply& reply : {Reply{}, integer(1), array({}), array({integer(1)}), array({integer(2), integer(2)}),
                               array({integer(1), integer(-1)}), array({integer(1), Reply{}}),
                               array({integer(1), integer(2), integer(3)})}) {
        EXPECT_FALSE(read_connection_count(reply));
    }
}

}  // namespace
}  // namespace weir::store
