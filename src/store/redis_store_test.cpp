// The store against scripted servers on a simulated network: what is asked, where, what is given back, and that every
// event ends once and in time.
#include "store/redis_store.h"

#include <gtest/gtest.h>
#include <map>

#include "net/test_names.h"
#include "store/cluster_slots.h"
#include "store/test_host.h"

namespace weir::store {
namespace {

using limit::Decision;
using std::chrono::milliseconds;
using std::chrono::seconds;

const net::Endpoint kOne = *net::Endpoint::parse("10.0.0.1:6379");
const net::Endpoint kTwo = *net::Endpoint::parse("10.0.0.2:6379");
constexpr Nanos kTimeout = milliseconds(20);

class LogSpy final : public log::Logger {
  public:
    bool enabled(LogLevel) const override { return true; }
    void write(LogLevel, std::string_view message, std::initializer_list<log::LogField>) override {
        lines.emplace_back(message);
    }
    void set_level(LogLevel) override {}
    void flush() override {}
    std::vector<std::string> lines;
};

class Waiter final : public limit::TakeWaiter {
  public:
    void on_taken(Result<void> outcome) override { outcomes.push_back(outcome); }
    std::vector<Result<void>> outcomes;
};

std::string bulk(const std::string& text) {
    return "$" + std::to_string(text.size()) + "\r\n" + text + "\r\n";
}

// EVALSHA sha keys key... operation now taken rule...
std::size_t keys_of(const Command& command) {
    return static_cast<std::size_t>(*parse_decimal(command.at(2)));
}
std::string operation_of(const Command& command) {
    return command.at(3 + keys_of(command));
}
std::string key_of(const Command& command) {
    return command.at(3);
}
// Every key of the call decides alike.
std::string decided(const Command& command, bool allowed) {
    std::string text = "1700000000123456000";
    for (std::size_t i = 0; i < keys_of(command); ++i) text += allowed ? " 1 4 1000 0 1000" : " 0 0 1000 1000 1000";
    return bulk(text);
}

class RedisStoreTest : public testing::Test {
  protected:
    RedisStoreTest() {
        for (FakeServer* server : {&one_, &two_}) {
            server->answer = [](net::SimulatedPeer, const Command& command) { return decided(command, true); };
        }
    }
    void start(const std::string& address = "redis://10.0.0.1") {
        std::string reason;
        store_ = std::make_unique<RedisStore>(
            RedisStoreOptions{
                .address = *parse_store_address(address, reason), .key_prefix = "rl", .timeout = kTimeout},
            RedisStore::Tools{host_, names_, registry_, shard_, health_, 7});
        store_->start();
        network_.settle();
    }
    // The two slots of `user:1` and `global` on a server each.
    void start_cluster() {
        slot_one_ = slot_of_subject("user:1");
        for (FakeServer* server : {&one_, &two_}) {
            server->answer = [this, server](net::SimulatedPeer, const Command& command) {
                if (command.front() == "CLUSTER") return slots_reply();
                if (command.front() == "ASKING") return std::string("+OK\r\n");
                return server == &one_ ? on_one(command) : on_two(command);
            };
        }
        start("redis+cluster://10.0.0.1");
        network_.advance(milliseconds(300));
        ASSERT_NE(slot_one_, slot_of_subject("global"));
    }
    std::string slots_reply() const {
        const auto range = [](unsigned first, unsigned last, const char* host) {
            return "*3\r\n:" + std::to_string(first) + "\r\n:" + std::to_string(last) + "\r\n*2\r\n" + bulk(host) +
                   ":6379\r\n";
        };
        return "*3\r\n" + range(0, slot_one_ - 1U, "10.0.0.2") + range(slot_one_, slot_one_, "10.0.0.1") +
               range(slot_one_ + 1U, 16383, "10.0.0.2");
    }
    std::optional<Result<void>> take(std::span<const limit::Take> takes, std::span<Decision> decisions) {
        host_.reactor().wake();
        return store_->take(takes, network_.clock().now(), decisions, waiter_);
    }
    std::optional<Result<void>> take_one(Decision& decision) { return take({&mine_, 1}, {&decision, 1}); }
    std::int64_t errors(std::string_view kind) {
        return registry_.value(registry_.cell(metrics::Family::kStoreErrors, {"redis://10.0.0.1:6379", kind}));
    }
    static std::vector<std::string> operations(const FakeServer& server) {
        std::vector<std::string> all;
        for (const Command& command : server.commands) {
            if (command.front() == "EVALSHA") all.push_back(operation_of(command) + " " + key_of(command));
        }
        return all;
    }

    limit::BucketRule rule_{{5, seconds(60)}, limit::Algorithm::kFixedWindow, 5, false};
    limit::Take mine_{{1, 1}, &rule_, 1, "user:1", "a"};
    limit::Take other_{{1, 2}, &rule_, 1, "user:1", "b"};
    limit::Take global_{{1, 3}, &rule_, 1, "global", "all"};
    net::SimulatedNetwork network_{{.faults = {.delay_one_in = 0}, .calm = true}};
    net::NoNames names_;
    LogSpy log_;
    metrics::Registry registry_;
    metrics::Shard& shard_ = registry_.new_shard();
    StoreHealth health_{log_, "redis"};
    TestHost host_{network_};
    FakeServer one_{network_, kOne};
    FakeServer two_{network_, kTwo};
    std::uint16_t slot_one_ = 0;
    std::function<std::string(const Command&)> on_one = [](const Command& c) { return decided(c, true); };
    std::function<std::string(const Command&)> on_two = [](const Command& c) { return decided(c, true); };
    Waiter waiter_;
    std::unique_ptr<RedisStore> store_;
};

TEST_F(RedisStoreTest, AnEventIsOneCallForAllOfItsBuckets) {
    start();
    const limit::Take takes[] = {mine_, other_, global_};
    Decision decisions[3];
    EXPECT_FALSE(take(takes, decisions).has_value());
    EXPECT_TRUE(waiter_.outcomes.empty()) << "never from inside";
    network_.settle();
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_TRUE(waiter_.outcomes[0]);
    ASSERT_EQ(one_.commands.size(), 1U);
    EXPECT_EQ(keys_of(one_.commands[0]), 3U);
    EXPECT_EQ(key_of(one_.commands[0]), "rl:{user:1}:a");
    for (const Decision& decision : decisions) {
        EXPECT_TRUE(decision.allowed);
        EXPECT_EQ(decision.limit, 5U);
        EXPECT_EQ(decision.remaining, 4U);
    }
    EXPECT_EQ(store_->pending(), 0U);
}

TEST_F(RedisStoreTest, AScriptThatTheServerForgotIsLoadedAndAskedForAgain) {
    start();
    bool known = false;
    one_.answer = [&](net::SimulatedPeer, const Command& command) {
        return std::exchange(known, true) ? decided(command, true) : "-NOSCRIPT No matching script.\r\n";
    };
    one_.greetings.clear();
    Decision decision;
    EXPECT_FALSE(take_one(decision).has_value());
    network_.settle();
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_TRUE(waiter_.outcomes[0]);
    ASSERT_EQ(one_.greetings.size(), 1U);
    EXPECT_EQ(one_.greetings[0].at(1), "LOAD");
    EXPECT_EQ(errors("timeout"), 0);
}

TEST_F(RedisStoreTest, AServerThatNeverKnowsTheScriptIsAnError) {
    start();
    one_.answer = [](net::SimulatedPeer, const Command&) { return std::string("-NOSCRIPT no\r\n"); };
    Decision decision;
    EXPECT_FALSE(take_one(decision).has_value());
    network_.settle();
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_FALSE(waiter_.outcomes[0]);
    EXPECT_EQ(errors("noscript"), 1);
    EXPECT_LT(one_.commands.size(), 10U);
}

TEST_F(RedisStoreTest, WhatIsNotAnsweredInTimeFailsAndALateAnswerIsDropped) {
    start();
    std::vector<std::string> late;
    one_.answer = [&](net::SimulatedPeer, const Command& command) {
        late.push_back(decided(command, false));
        return std::string();
    };
    Decision decision;
    const MonoTime asked = network_.clock().now();
    EXPECT_FALSE(take_one(decision).has_value());
    ASSERT_TRUE(network_.run_until([&] { return !waiter_.outcomes.empty(); }));
    EXPECT_LE(network_.clock().now() - asked, kTimeout + 2 * net::kTimerTick);
    EXPECT_EQ(waiter_.outcomes[0].error().code, ErrorCode::kTimeout);
    EXPECT_EQ(errors("timeout"), 1);
    EXPECT_FALSE(take_one(decision).has_value());
    network_.settle();
    one_.peers[0].send(late.at(0));
    network_.settle();
    EXPECT_EQ(waiter_.outcomes.size(), 1U) << "the first answer is nobody's";
    one_.peers[0].send(late.at(1));
    network_.settle();
    ASSERT_EQ(waiter_.outcomes.size(), 2U);
    EXPECT_TRUE(waiter_.outcomes[1]);
    EXPECT_FALSE(decision.allowed);
}

TEST_F(RedisStoreTest, AfterFiveTimeOutsNothingIsWaitedForUntilAProbeIsAnswered) {
    start();
    network_.advance(seconds(1));
    one_.answer = [](net::SimulatedPeer, const Command&) { return std::string(); };
    one_.greets = false;
    Decision decision;
    for (std::size_t i = 1; i <= 5; ++i) {
        EXPECT_FALSE(take_one(decision).has_value());
        ASSERT_TRUE(network_.run_until([&] { return waiter_.outcomes.size() == i; }));
    }
    const auto at_once = take_one(decision);
    ASSERT_TRUE(at_once.has_value());
    EXPECT_EQ(at_once->error().code, ErrorCode::kStoreUnavailable);
    EXPECT_TRUE(health_.failing());
    EXPECT_EQ(registry_.value(registry_.cell(metrics::Family::kBreakerState, {})), 1);
    const std::size_t asked = one_.commands.size();
    network_.advance(seconds(3));
    EXPECT_EQ(one_.commands.size(), asked) << "no event is spent on probing";
    one_.greets = true;
    one_.answer = [](net::SimulatedPeer, const Command& command) { return decided(command, true); };
    ASSERT_TRUE(network_.run_until([&] { return !health_.failing(); }));
    EXPECT_EQ(registry_.value(registry_.cell(metrics::Family::kBreakerState, {})), 0);
    EXPECT_FALSE(take_one(decision).has_value());
    network_.settle();
    EXPECT_TRUE(waiter_.outcomes.back());
    EXPECT_EQ(log_.lines, (std::vector<std::string>{"store unreachable", "store answers again"}));
}

TEST_F(RedisStoreTest, AStoreThatDiesIsNoticedWithoutTraffic) {
    start();
    network_.advance(seconds(10));
    EXPECT_FALSE(health_.failing());
    one_.stop();
    network_.advance(seconds(3));
    EXPECT_TRUE(health_.failing());
    one_.start();
    network_.advance(seconds(6));
    EXPECT_FALSE(health_.failing());
}

TEST_F(RedisStoreTest, AnErrorOfTheServerFailsTheEventAndOpensNoBreaker) {
    start();
    one_.answer = [](net::SimulatedPeer, const Command&) {
        return std::string("-OOM command not allowed when used memory > 'maxmemory'.\r\n");
    };
    Decision decision;
    for (int i = 0; i < 20; ++i) {
        EXPECT_FALSE(take_one(decision).has_value());
        network_.settle();
    }
    EXPECT_EQ(waiter_.outcomes.size(), 20U);
    EXPECT_FALSE(waiter_.outcomes.back());
    EXPECT_EQ(errors("oom"), 20);
    EXPECT_FALSE(health_.failing());
}

TEST_F(RedisStoreTest, StoppedWithQuestionsOpenItTellsNobody) {
    start();
    one_.answer = [](net::SimulatedPeer, const Command&) { return std::string(); };
    Decision decision;
    EXPECT_FALSE(take_one(decision).has_value());
    network_.settle();
    store_->stop();
    network_.advance(seconds(5));
    EXPECT_TRUE(waiter_.outcomes.empty());
    EXPECT_EQ(host_.reactor().open_sockets(), 0U);
    EXPECT_TRUE(take_one(decision).has_value());
}

TEST_F(RedisStoreTest, InAClusterSlotsAreAskedOneAfterTheOther) {
    start_cluster();
    const limit::Take takes[] = {mine_, global_, other_};
    Decision decisions[3];
    EXPECT_FALSE(take(takes, decisions).has_value());
    network_.settle();
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_TRUE(waiter_.outcomes[0]);
    EXPECT_EQ(operations(one_), (std::vector<std::string>{"take rl:{user:1}:a"}));
    EXPECT_EQ(operations(two_), (std::vector<std::string>{"take rl:{global}:all"}));
    for (const Decision& decision : decisions) EXPECT_EQ(decision.remaining, 4U);
}

TEST_F(RedisStoreTest, WhatALaterSlotDeniesIsGivenBackByTheEarlierOnes) {
    start_cluster();
    on_two = [](const Command& c) { return decided(c, false); };
    const limit::Take takes[] = {mine_, global_};
    Decision decisions[2];
    EXPECT_FALSE(take(takes, decisions).has_value());
    network_.settle();
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_TRUE(waiter_.outcomes[0]) << "a denial is a decision";
    EXPECT_EQ(operations(one_), (std::vector<std::string>{"take rl:{user:1}:a", "give rl:{user:1}:a"}));
    EXPECT_TRUE(decisions[0].allowed);
    EXPECT_FALSE(decisions[1].allowed);
}

TEST_F(RedisStoreTest, WhatAnEarlierSlotDeniesIsRefusedByTheLaterOnes) {
    start_cluster();
    on_one = [](const Command& c) { return decided(c, false); };
    const limit::Take takes[] = {mine_, global_};
    Decision decisions[2];
    EXPECT_FALSE(take(takes, decisions).has_value());
    network_.settle();
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_TRUE(waiter_.outcomes[0]);
    EXPECT_EQ(operations(two_), (std::vector<std::string>{"refuse rl:{global}:all"}));
    EXPECT_FALSE(decisions[0].allowed);
    EXPECT_TRUE(decisions[1].allowed);
}

TEST_F(RedisStoreTest, AnEventThatFailsInALaterSlotIsGivenBackByTheEarlierOnes) {
    start_cluster();
    on_two = [](const Command&) { return std::string("-OOM no\r\n"); };
    const limit::Take takes[] = {mine_, global_};
    Decision decisions[2];
    EXPECT_FALSE(take(takes, decisions).has_value());
    network_.settle();
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_FALSE(waiter_.outcomes[0]);
    host_.reactor().wake();
    network_.settle();
    EXPECT_EQ(operations(one_).back(), "give rl:{user:1}:a");
}

TEST_F(RedisStoreTest, ADenialHoldsThoughNobodySaysWhereTheOthersStand) {
    start_cluster();
    on_one = [](const Command& c) { return decided(c, false); };
    on_two = [](const Command&) { return std::string(); };
    const limit::Take takes[] = {mine_, global_};
    Decision decisions[2];
    EXPECT_FALSE(take(takes, decisions).has_value());
    network_.advance(milliseconds(60));
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_TRUE(waiter_.outcomes[0]);
    EXPECT_FALSE(decisions[0].allowed);
    EXPECT_TRUE(decisions[1].allowed);
    EXPECT_EQ(decisions[1].limit, 5U);
}

TEST_F(RedisStoreTest, RedirectionsAreFollowedAndRememberedWhereTheyAreForGood) {
    start_cluster();
    const std::string slot = std::to_string(slot_one_);
    on_one = [&](const Command&) { return "-ASK " + slot + " 10.0.0.2:6379\r\n"; };
    Decision decision;
    EXPECT_FALSE(take_one(decision).has_value());
    network_.settle();
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_TRUE(waiter_.outcomes[0]);
    ASSERT_GE(two_.commands.size(), 2U);
    EXPECT_EQ(two_.commands[two_.commands.size() - 2], (Command{"ASKING"}));
    on_one = [&](const Command&) { return "-MOVED " + slot + " 10.0.0.2:6379\r\n"; };
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(take_one(decision).has_value());
        network_.settle();
    }
    EXPECT_EQ(waiter_.outcomes.size(), 4U);
    EXPECT_TRUE(waiter_.outcomes.back());
    EXPECT_EQ(operations(one_).size(), 2U);
}

TEST_F(RedisStoreTest, ServersThatSendUsToEachOtherAreAskedUntilTheTimeIsUp) {
    start_cluster();
    const std::string slot = std::to_string(slot_one_);
    on_one = [&](const Command&) { return "-MOVED " + slot + " 10.0.0.2:6379\r\n"; };
    on_two = [&](const Command&) { return "-MOVED " + slot + " 10.0.0.1:6379\r\n"; };
    Decision decision;
    EXPECT_FALSE(take_one(decision).has_value());
    network_.advance(milliseconds(60));
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_EQ(waiter_.outcomes[0].error().code, ErrorCode::kTimeout);
    EXPECT_LT(one_.commands.size() + two_.commands.size(), 40U);
}

TEST_F(RedisStoreTest, ACommandForASlotOnItsWayIsAskedForAgain) {
    start_cluster();
    int refused = 0;
    on_one = [&](const Command& c) { return ++refused < 2 ? "-TRYAGAIN Multiple keys\r\n" : decided(c, true); };
    Decision decision;
    EXPECT_FALSE(take_one(decision).has_value());
    network_.advance(milliseconds(60));
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_TRUE(waiter_.outcomes[0]);
}

// Splits, delays, resets, silence: each event ends once, and in time.
TEST(RedisStoreHostile, EveryEventEndsOnceAndInTime) {
    std::size_t decided_events = 0;
    std::size_t failed = 0;
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        SCOPED_TRACE(seed);
        net::SimulatedNetwork network(net::SimulatedOptions::hostile(seed));
        Rng& random = network.random();
        TestHost host(network);
        FakeServer server(network, kOne);
        server.answer = [&](net::SimulatedPeer peer, const Command& command) -> std::string {
            if (random.one_in(200)) return peer.close(), "";
            if (random.one_in(50)) return "-NOSCRIPT x\r\n";
            if (random.one_in(50)) return "-OOM x\r\n";
            return decided(command, !random.one_in(3));
        };
        net::NoNames names;
        LogSpy log;
        metrics::Registry registry;
        StoreHealth health(log, "redis");
        std::string reason;
        RedisStore store({.address = *parse_store_address("redis://10.0.0.1", reason), .timeout = kTimeout},
                         {host, names, registry, registry.new_shard(), health, seed});
        store.start();
        const limit::BucketRule rule{{5, seconds(60)}, limit::Algorithm::kFixedWindow, 5, false};
        struct Event final : limit::TakeWaiter {
            void on_taken(Result<void> outcome) override {
                ++times;
                ok = outcome.has_value();
                at = network->clock().now();
            }
            net::SimulatedNetwork* network = nullptr;
            MonoTime asked, at;
            Decision decision;
            int times = 0;
            bool ok = false;
        };
        std::deque<Event> events;
        for (int step = 0; step < 80; ++step) {
            for (std::uint64_t n = random.below(5); n > 0; --n) {
                Event& event = events.emplace_back();
                event.network = &network;
                event.asked = network.clock().now();
                const limit::Take take{{1, 1}, &rule, 1, "user:1", "a"};
                host.reactor().wake();
                if (const auto now = store.take({&take, 1}, event.asked, {&event.decision, 1}, event)) {
                    event.on_taken(*now);
                }
            }
            network.advance(milliseconds(random.below(40)));
        }
        network.advance(seconds(2));
        EXPECT_EQ(store.pending(), 0U);
        for (const Event& event : events) {
            EXPECT_EQ(event.times, 1);
            EXPECT_LE(event.at - event.asked, kTimeout + 3 * net::kTimerTick);
            ++(event.ok ? decided_events : failed);
        }
        store.stop();
        EXPECT_EQ(network.counters().opened, network.counters().closed);
        EXPECT_EQ(host.reactor().blocks().blocks_out(), 0U);
    }
    EXPECT_GT(decided_events, 1000U);
    EXPECT_GT(failed, 100U);
}

}  // namespace
}  // namespace weir::store
