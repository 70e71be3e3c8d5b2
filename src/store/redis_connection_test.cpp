// A connection against a scripted server on a simulated network: bytes come split anywhere, answers late, broken or
// never, and every question ends exactly once, with its own answer.
#include "store/redis_connection.h"

#include <gtest/gtest.h>
#include <map>
#include <set>

#include "protocol/resp/command.h"
#include "store/test_host.h"

namespace weir::store {
namespace {

using protocol::resp::Reply;
using std::chrono::milliseconds;
using std::chrono::seconds;

const net::Endpoint kServer = *net::Endpoint::parse("10.0.0.9:6379");

std::string encoded(std::initializer_list<std::string_view> arguments) {
    std::string out;
    protocol::resp::append_command(out, arguments);
    return out;
}

class User final : public ConnectionUser {
  public:
    void on_reply(RedisConnection& connection, std::uint64_t tag, const Reply& reply) override {
        EXPECT_TRUE(open.erase(tag) == 1) << "answered twice: " << tag;
        answers[tag] = reply.text;
        if (on_answer) on_answer(connection, tag);
    }
    void on_lost(RedisConnection&, std::uint64_t tag, const Error& why) override {
        EXPECT_TRUE(open.erase(tag) == 1) << "lost twice: " << tag;
        lost[tag] = why;
    }
    bool still_wants(std::uint64_t tag) const override { return !unwanted.contains(tag); }
    void on_ready(RedisConnection&) override { ++readies; }
    void on_down(RedisConnection&, const Error& why) override { downs.push_back(why); }
    Result<net::Endpoint> endpoint_of(RedisConnection&) override {
        if (nowhere) return Error{ErrorCode::kUnreachable, ErrorSource::kStore, true, "nowhere"};
        return kServer;
    }
    bool ask(RedisConnection& connection, std::uint64_t tag, std::string_view word) {
        if (!connection.ask(encoded({"ECHO", word}), tag)) return false;
        open.insert(tag);
        return true;
    }

    std::set<std::uint64_t> open, unwanted;
    std::map<std::uint64_t, std::string> answers;
    std::map<std::uint64_t, Error> lost;
    std::vector<Error> downs;
    std::function<void(RedisConnection&, std::uint64_t)> on_answer;
    int readies = 0;
    bool nowhere = false;
};

std::string bulk(const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

class RedisConnectionTest : public testing::Test {
  protected:
    explicit RedisConnectionTest(const net::SimulatedOptions& options = {.calm = true}) : network_(options) {
        server_.answer = [](net::SimulatedPeer, const Command& command) { return bulk(command.at(1)); };
    }
    void start(RedisConnection::Options options = {.greeting = {encoded({"PING"})}, .preload = {}}) {
        connection_ = std::make_unique<RedisConnection>(host_, user_, std::move(options), 5);
        connection_->connect_now();
    }
    bool ask(std::uint64_t tag, std::string_view word) {
        host_.reactor().wake();  // in the gateway, who asks is in a turn
        return user_.ask(*connection_, tag, word);
    }
    void start_and_settle() {
        start();
        network_.settle();
        ASSERT_TRUE(connection_->ready());
    }

    net::SimulatedNetwork network_;
    TestHost host_{network_};
    FakeServer server_{network_, kServer};
    User user_;
    std::unique_ptr<RedisConnection> connection_;
};

TEST_F(RedisConnectionTest, GreetsBeforeAnythingElseAndAsksWhatHasWaited) {
    start({.greeting = {encoded({"AUTH", "me", "secret"}), encoded({"SELECT", "3"}), encoded({"PING"})},
           .preload = encoded({"SCRIPT", "LOAD", "x"})});
    EXPECT_TRUE(ask(1, "one"));
    network_.settle();
    EXPECT_TRUE(connection_->ready());
    EXPECT_EQ(server_.greetings,
              (std::vector<Command>{{"AUTH", "me", "secret"}, {"SELECT", "3"}, {"PING"}, {"SCRIPT", "LOAD", "x"}}));
    EXPECT_EQ(user_.answers[1], "one");
    EXPECT_EQ(user_.readies, 1);
}

TEST_F(RedisConnectionTest, WhatOneTurnAsksLeavesInOneWrite) {
    start_and_settle();
    std::size_t writes = 0;
    server_.peers.at(0).on_change([&](net::SimulatedPeer peer) {
        std::string bytes = peer.take_received();
        writes += bytes.empty() ? 0 : 1;
        while (const auto command = take_command(bytes)) peer.send(bulk(command->at(1)));
    });
    for (std::uint64_t tag = 0; tag < 100; ++tag) EXPECT_TRUE(ask(tag, std::to_string(tag)));
    network_.settle();
    EXPECT_EQ(writes, 1U);
    for (std::uint64_t tag = 0; tag < 100; ++tag) EXPECT_EQ(user_.answers[tag], std::to_string(tag));
}

TEST_F(RedisConnectionTest, AnAnswerSplitAtEveryByteIsTheSame) {
    const std::string answer = "*2\r\n:1\r\n$3\r\nabc\r\n";
    start_and_settle();
    net::SimulatedPeer peer = server_.peers.at(0);
    server_.answer = [](net::SimulatedPeer, const Command&) { return std::string(); };
    for (std::size_t cut = 1; cut < answer.size(); ++cut) {
        ASSERT_TRUE(ask(cut, "x"));
        ASSERT_TRUE(ask(1000 + cut, "x"));
        network_.settle();
        peer.send(answer.substr(0, cut));
        network_.settle();
        EXPECT_TRUE(user_.open.contains(cut));
        peer.send(answer.substr(cut) + bulk("next"));
        network_.settle();
        EXPECT_EQ(user_.answers[1000 + cut], "next");
    }
    EXPECT_TRUE(user_.open.empty());
}

TEST_F(RedisConnectionTest, AnAnswerThatNobodyWantsAnyMoreDoesNotMixUpTheOrder) {
    start_and_settle();
    std::vector<std::string> late;
    server_.answer = [&](net::SimulatedPeer, const Command& command) {
        late.push_back(bulk(command.at(1)));
        return std::string();
    };
    for (std::uint64_t tag = 1; tag <= 3; ++tag) ASSERT_TRUE(ask(tag, std::to_string(tag)));
    network_.settle();
    user_.unwanted.insert(2);
    for (const std::string& each : late) server_.peers.at(0).send(each);
    network_.settle();
    EXPECT_EQ(user_.answers[1], "1");
    EXPECT_EQ(user_.answers[3], "3");
}

TEST_F(RedisConnectionTest, WhatNobodyWantsAnyMoreIsNotSent) {
    start();
    ASSERT_TRUE(ask(1, "one"));
    ASSERT_TRUE(ask(2, "two"));
    user_.unwanted.insert(1);
    network_.settle();
    ASSERT_EQ(server_.commands.size(), 1U);
    EXPECT_EQ(server_.commands[0].at(1), "two");
    EXPECT_EQ(user_.answers[2], "two");
}

TEST_F(RedisConnectionTest, NothingCanBeAskedWhileItIsDown) {
    server_.stop();
    start();
    EXPECT_TRUE(ask(1, "waits for the attempt"));
    network_.settle();
    ASSERT_TRUE(connection_->down());
    EXPECT_EQ(user_.lost.at(1).code, ErrorCode::kConnectionRefused);
    EXPECT_EQ(user_.lost.at(1).source, ErrorSource::kStore);
    const auto refused = connection_->ask(encoded({"ECHO", "x"}), 2);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kStoreUnavailable);
}

TEST_F(RedisConnectionTest, TriesAgainLessAndLessOften) {
    server_.stop();
    start();
    std::vector<MonoTime> at;
    for (int i = 0; i < 400; ++i) {
        network_.advance(milliseconds(50));
        if (user_.downs.size() > at.size()) at.push_back(network_.clock().now());
    }
    ASSERT_GE(at.size(), 10U);
    ASSERT_LE(at.size(), 25U) << "in twenty seconds";
    EXPECT_LE(at[1] - at[0], Nanos(milliseconds(200)));
    EXPECT_GE(at.back() - at[at.size() - 2], Nanos(seconds(1)));
    server_.start();
    network_.advance(seconds(3));
    EXPECT_TRUE(connection_->ready());
}

TEST_F(RedisConnectionTest, OneThatIsLostIsMadeAnewAtOnceAndItsQuestionsAreLost) {
    start_and_settle();
    network_.advance(seconds(1));
    server_.answer = [](net::SimulatedPeer, const Command&) { return std::string(); };
    ASSERT_TRUE(ask(1, "one"));
    network_.settle();
    server_.peers.at(0).reset();
    ASSERT_TRUE(network_.run_until([&] { return !user_.lost.empty(); }));
    EXPECT_FALSE(connection_->down());
    EXPECT_TRUE(user_.downs.empty());
    server_.answer = [](net::SimulatedPeer, const Command& command) { return bulk(command.at(1)); };
    ASSERT_TRUE(ask(2, "two")) << "it waits for the new one";
    network_.settle();
    EXPECT_EQ(user_.answers[2], "two");
    EXPECT_EQ(server_.connections, 2U);
    EXPECT_EQ(user_.readies, 2);
}

TEST_F(RedisConnectionTest, OneOnWhichNothingIsAnsweredIsGivenUp) {
    start_and_settle();
    server_.answer = [](net::SimulatedPeer, const Command&) { return std::string(); };
    network_.advance(seconds(10));
    EXPECT_TRUE(connection_->ready()) << "idle is not stalled";
    ASSERT_TRUE(ask(1, "one"));
    network_.advance(milliseconds(400));
    EXPECT_TRUE(user_.open.contains(1));
    network_.advance(milliseconds(200));
    EXPECT_EQ(user_.lost.at(1).code, ErrorCode::kTimeout);
}

TEST_F(RedisConnectionTest, OneThatAnswersSlowlyButSteadilyIsKept) {
    start_and_settle();
    std::deque<std::string> late;
    server_.answer = [&](net::SimulatedPeer, const Command& command) {
        late.push_back(bulk(command.at(1)));
        return std::string();
    };
    for (std::uint64_t tag = 0; tag < 10; ++tag) ASSERT_TRUE(ask(tag, std::to_string(tag)));
    network_.settle();
    while (!late.empty()) {
        network_.advance(milliseconds(400));
        server_.peers.at(0).send(late.front());
        late.pop_front();
    }
    network_.settle();
    EXPECT_EQ(user_.answers.size(), 10U);
    EXPECT_EQ(server_.connections, 1U);
}

TEST_F(RedisConnectionTest, OneThatIsNotGreetedInTimeIsGivenUp) {
    server_.greets = false;
    start();
    ASSERT_TRUE(ask(1, "one"));
    network_.advance(milliseconds(1100));
    EXPECT_EQ(user_.lost.at(1).code, ErrorCode::kTimeout);
    EXPECT_TRUE(server_.commands.empty());
    server_.greets = true;
    network_.advance(seconds(5));
    EXPECT_TRUE(connection_->ready());
}

TEST_F(RedisConnectionTest, AWrongPasswordIsSaidAndTriedAgainLater) {
    server_.stop();
    network_.listen(kServer, [&](net::SimulatedPeer peer) {
        peer.on_change([](net::SimulatedPeer each) {
            if (!each.take_received().empty()) {
                each.send("-WRONGPASS invalid username-password pair or user is disabled.\r\n-NOAUTH x\r\n");
            }
        });
    });
    start({.greeting = {encoded({"AUTH", "secret"}), encoded({"PING"})}, .preload = {}});
    network_.settle();
    ASSERT_EQ(user_.downs.size(), 1U);
    EXPECT_EQ(user_.downs[0].detail.find("secret"), std::string_view::npos);
    EXPECT_TRUE(connection_->down());
}

TEST_F(RedisConnectionTest, APreloadThatFailsIsNoReasonToBeDown) {
    server_.stop();
    network_.listen(kServer, [&](net::SimulatedPeer peer) {
        peer.on_change([](net::SimulatedPeer each) {
            if (!each.take_received().empty()) each.send("+PONG\r\n-NOPERM no\r\n");
        });
    });
    start({.greeting = {encoded({"PING"})}, .preload = encoded({"SCRIPT", "LOAD", "x"})});
    network_.settle();
    EXPECT_TRUE(connection_->ready());
}

TEST_F(RedisConnectionTest, NonsenseAndWhatNobodyAskedEndTheConnection) {
    for (const char* nonsense : {"HTTP/1.1 400 Bad Request\r\n\r\n", "+OK\r\n"}) {
        start_and_settle();
        server_.peers.back().send(nonsense);
        ASSERT_TRUE(network_.run_until([&] { return server_.peers.back().over() || !connection_->ready(); }));
        EXPECT_EQ(connection_->last_error().code, ErrorCode::kMalformed);
        connection_.reset();
    }
}

TEST_F(RedisConnectionTest, MoreThanMayBeOpenIsRefusedAtOnce) {
    start_and_settle();
    server_.answer = [](net::SimulatedPeer, const Command&) { return std::string(); };
    for (std::uint64_t tag = 0; tag < kAskedMax; ++tag) {
        ASSERT_TRUE(ask(tag, "x"));
        if (tag == kAskedMax / 2) network_.settle();
    }
    const auto refused = connection_->ask(encoded({"ECHO", "x"}), kAskedMax);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kExhausted);
}

TEST_F(RedisConnectionTest, MayBeResetAndStoppedFromInsideAnAnswer) {
    start_and_settle();
    for (std::uint64_t tag = 0; tag < 10; ++tag) ASSERT_TRUE(ask(tag, "x"));
    user_.on_answer = [](RedisConnection& connection, std::uint64_t tag) {
        if (tag == 3) connection.reset({ErrorCode::kForbidden, ErrorSource::kStore, true, "a replica"});
    };
    network_.settle();
    EXPECT_EQ(user_.answers.size(), 4U);
    EXPECT_EQ(user_.lost.size(), 6U);
    ASSERT_TRUE(network_.run_until([&] { return connection_->ready(); }));
    ASSERT_TRUE(ask(20, "x"));
    user_.on_answer = [](RedisConnection& connection, std::uint64_t) { connection.stop(); };
    network_.settle();
    EXPECT_EQ(host_.reactor().open_sockets(), 0U);
    EXPECT_FALSE(connection_->ask(encoded({"ECHO", "x"}), 21));
}

TEST_F(RedisConnectionTest, WaitsUntilItIsKnownWhereToConnect) {
    user_.nowhere = true;
    start();
    EXPECT_TRUE(connection_->down());
    EXPECT_EQ(connection_->last_error().detail, "nowhere");
    user_.nowhere = false;
    connection_->connect_now();
    network_.settle();
    EXPECT_TRUE(connection_->ready());
}

// Splits, delays, resets, refusals: each question ends once, with its own answer or none.
TEST(RedisConnectionHostile, EveryQuestionEndsOnceAndWithItsOwnAnswer) {
    std::size_t answered = 0;
    std::size_t lost = 0;
    for (std::uint64_t seed = 1; seed <= 150; ++seed) {
        SCOPED_TRACE(seed);
        net::SimulatedNetwork network(net::SimulatedOptions::hostile(seed));
        TestHost host(network);
        FakeServer server(network, kServer);
        Rng& random = network.random();
        std::set<std::uint32_t> dead;
        server.answer = [&](net::SimulatedPeer peer, const Command& command) {
            if (random.one_in(300)) dead.insert(peer.index());  // and hangs
            if (dead.contains(peer.index())) return std::string();
            if (random.one_in(400)) return std::string("?");
            if (random.one_in(400)) peer.close();
            return bulk(command.at(1));
        };
        User user;
        RedisConnection connection(host, user, {.greeting = {encoded({"PING"})}, .preload = {}}, seed);
        connection.connect_now();
        std::uint64_t tag = 0;
        for (int step = 0; step < 60; ++step) {
            for (std::uint64_t n = random.below(6); n > 0; --n) {
                ++tag;
                host.reactor().wake();
                user.ask(connection, tag, std::to_string(tag));
                if (random.one_in(10)) user.unwanted.insert(tag);
            }
            network.advance(Nanos(milliseconds(random.below(60))));
        }
        network.advance(seconds(5));
        for (const auto& [of, text] : user.answers) EXPECT_EQ(text, std::to_string(of));
        for (const std::uint64_t open : user.open) EXPECT_TRUE(user.unwanted.contains(open)) << open;
        answered += user.answers.size();
        lost += user.lost.size();
        connection.stop();
        EXPECT_EQ(network.counters().opened, network.counters().closed);
        EXPECT_EQ(host.reactor().blocks().blocks_out(), 0U);
    }
    EXPECT_GT(answered, 5000U);
    EXPECT_GT(lost, 100U);
}

}  // namespace
}  // namespace weir::store
