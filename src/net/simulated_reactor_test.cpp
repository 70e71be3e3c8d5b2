#include "net/simulated_reactor.h"

#include <gtest/gtest.h>
#include <map>

namespace weir::net {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const Endpoint kFront = *Endpoint::parse("127.0.0.1:8080");
const Endpoint kBack = *Endpoint::parse("10.0.0.1:80");

// A byte proxy as small as one can be that keeps the contract: the smallest owner that uses all of a reactor.
class Relay final : public ReactorEvents {
  public:
    explicit Relay(Reactor& reactor) : reactor_(reactor) {
        reactor.set_events(this);
        EXPECT_TRUE(reactor.listen(kFront, {}));
    }
    void on_accepted(SocketId socket, std::uint32_t, const Endpoint&) override {
        Guard guard(*this);
        auto upstream = reactor_.connect(kBack);
        ASSERT_TRUE(upstream);
        add(socket, *upstream);
        add(*upstream, socket);
        timers_[upstream->index] = reactor_.set_timer(seconds(5), upstream->index);
    }
    void on_connected(SocketId socket, Result<void> outcome) override {
        Guard guard(*this);
        reactor_.cancel_timer(timers_[socket.index]);
        if (outcome) return;
        const SocketId other = forget(socket);
        close(other);
    }
    void on_received(SocketId socket, Slice bytes) override {
        Guard guard(*this);
        ASSERT_TRUE(sides_.contains(socket.index)) << "bytes of a socket that is gone";
        const SocketId other = sides_[socket.index].other;
        reactor_.send(other, std::move(bytes));
        worst = std::max(worst, reactor_.unsent_bytes(other));
        if (reactor_.unsent_bytes(other) > kSendQueueHighBytes) reactor_.pause_receiving(socket);
    }
    void on_received_end(SocketId socket) override {
        Guard guard(*this);
        ASSERT_TRUE(sides_.contains(socket.index));
        EXPECT_FALSE(sides_[socket.index].ended);
        sides_[socket.index].ended = true;
        reactor_.shutdown_send(sides_[socket.index].other);
    }
    void on_drained(SocketId socket) override {
        Guard guard(*this);
        reactor_.resume_receiving(sides_[socket.index].other);
    }
    void on_closed(SocketId socket, Error) override {
        Guard guard(*this);
        ASSERT_TRUE(sides_.contains(socket.index));
        close(forget(socket));
    }
    void on_timer(TimerId, std::uint64_t cookie) override {
        Guard guard(*this);
        const SocketId upstream = sides_[sides_[static_cast<std::uint32_t>(cookie)].other.index].other;
        close(sides_[upstream.index].other);
        close(upstream);
        ++timed_out;
    }
    void on_wake() override { ++wakes; }
    void on_turn_end() override {
        // A relay with both ends passed and nothing left to send is over.
        std::vector<SocketId> done;
        for (auto& [index, side] : sides_) {
            if (side.ended && sides_[side.other.index].ended && reactor_.unsent_bytes(side.other) == 0 &&
                reactor_.unsent_bytes(side.self) == 0) {
                done.push_back(side.self);
            }
        }
        for (const SocketId socket : done) close(socket);
    }
    [[nodiscard]] std::size_t open() const { return sides_.size(); }

    std::size_t worst = 0;
    int wakes = 0;
    int timed_out = 0;

  private:
    struct Guard {
        explicit Guard(Relay& relay) : depth(relay.depth_) { EXPECT_EQ(++depth, 1) << "an event inside of an event"; }
        ~Guard() { --depth; }
        int& depth;
    };
    struct Side {
        SocketId self;
        SocketId other;
        bool ended = false;
    };
    void add(SocketId self, SocketId other) {
        EXPECT_FALSE(sides_.contains(self.index)) << "an index that is in use";
        sides_[self.index] = {self, other, false};
    }
    SocketId forget(SocketId socket) {
        const SocketId other = sides_[socket.index].other;
        sides_.erase(socket.index);
        return other;
    }
    void close(SocketId socket) {
        reactor_.close(socket);
        sides_.erase(socket.index);
        if (const auto timer = timers_.find(socket.index); timer != timers_.end()) {
            reactor_.cancel_timer(timer->second);
            timers_.erase(timer);
        }
    }

    Reactor& reactor_;
    std::map<std::uint32_t, Side> sides_;
    std::map<std::uint32_t, TimerId> timers_;
    int depth_ = 0;
};

void echo(SimulatedPeer backend) {
    backend.on_change([](SimulatedPeer peer) {
        peer.send(peer.take_received());
        if (peer.ended()) peer.finish();
    });
}

std::string text_of(std::size_t size, std::uint64_t seed) {
    Rng rng(seed);
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>('a' + rng.below(26));
    return text;
}

struct Fixture {
    explicit Fixture(const SimulatedOptions& options, const ReactorOptions& reactor_options = {})
        : network(options), reactor(network.make_reactor(reactor_options)), relay(*reactor) {}
    SimulatedNetwork network;
    std::unique_ptr<Reactor> reactor;
    Relay relay;
};

TEST(SimulatedReactor, RelaysAnEcho) {
    Fixture world({.seed = 1});
    world.network.listen(kBack, echo);
    SimulatedPeer client = world.network.connect(kFront);
    client.send("hello");
    ASSERT_TRUE(world.network.run_until([&] { return client.received() == "hello"; }));
    client.finish();
    ASSERT_TRUE(world.network.run_until([&] { return client.ended(); }));
    client.close();
    world.network.settle();
    EXPECT_EQ(world.relay.open(), 0U);
    EXPECT_EQ(world.reactor->blocks().blocks_out(), 0U);
    EXPECT_EQ(world.network.counters().opened, 2U);
    EXPECT_EQ(world.network.counters().closed, 2U);
}

TEST(SimulatedReactor, KeepsBytesAndTheirOrderUnderEverySeed) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        SCOPED_TRACE(seed);
        SimulatedOptions options = SimulatedOptions::hostile(seed);
        options.faults.reset_one_in = options.faults.refuse_one_in = options.faults.ignore_one_in = 0;
        Fixture world(options, {.blocks_max = 4 + seed % 8});
        world.network.listen(kBack, echo);
        std::vector<std::pair<SimulatedPeer, std::string>> clients;
        for (std::uint64_t i = 0; i < 3; ++i) {
            clients.emplace_back(world.network.connect(kFront), text_of(1 + (seed * 7919 + i * 104'729) % 20'000, i));
            clients.back().first.send(clients.back().second);
            clients.back().first.finish();
        }
        for (auto& [client, text] : clients) {
            ASSERT_TRUE(world.network.run_until([&, peer = client] { return peer.ended(); }, std::chrono::hours(1)));
            EXPECT_TRUE(client.received() == text);
            client.close();
        }
        world.network.settle();
        EXPECT_EQ(world.relay.open(), 0U);
        EXPECT_EQ(world.reactor->blocks().blocks_out(), 0U);
        EXPECT_EQ(world.network.counters().opened, world.network.counters().closed);
    }
}

TEST(SimulatedReactor, ClosesEverySocketOnceUnderEveryFault) {
    std::uint64_t resets = 0;
    int refused_or_ignored = 0;
    for (std::uint64_t seed = 1; seed <= 100; ++seed) {
        SCOPED_TRACE(seed);
        Fixture world(SimulatedOptions::hostile(seed), {.blocks_max = 3});
        world.network.listen(kBack, echo);
        std::vector<SimulatedPeer> clients;
        for (std::uint64_t i = 0; i < 10; ++i) {
            SimulatedPeer client = world.network.connect(kFront);
            client.send(text_of(1 + (seed * 31 + i * 977) % 9'000, i));
            if (i % 3 == 0) client.finish();
            if (i == 4) client.reset();
            if (i == 5) client.stop_reading();
            clients.push_back(client);
        }
        world.network.advance(seconds(20));
        for (SimulatedPeer& client : clients) client.close();
        world.network.advance(seconds(60));
        EXPECT_EQ(world.relay.open(), 0U);
        EXPECT_EQ(world.reactor->blocks().blocks_out(), 0U);
        EXPECT_EQ(world.network.counters().opened, world.network.counters().closed);
        EXPECT_EQ(world.network.counters().closed_again, 0U);
        resets += world.network.counters().resets;
        refused_or_ignored += world.relay.timed_out;
    }
    EXPECT_GT(resets, 0U);
    EXPECT_GT(refused_or_ignored, 0);
}

std::uint64_t trace_of(std::uint64_t seed) {
    Fixture world(SimulatedOptions::hostile(seed));
    world.network.listen(kBack, echo);
    for (std::uint64_t i = 0; i < 5; ++i) world.network.connect(kFront).send(text_of(5'000, i));
    world.network.advance(seconds(10));
    return world.network.trace();
}

TEST(SimulatedReactor, RunsTheSameWayFromTheSameSeed) {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) EXPECT_EQ(trace_of(seed), trace_of(seed));
    EXPECT_NE(trace_of(1), trace_of(2));
}

TEST(SimulatedReactor, SlowReaderIsFeltByTheSender) {
    Fixture world({.seed = 3, .window_bytes_min = 8 * 1024, .window_bytes_max = 8 * 1024});
    SimulatedPeer backend;
    world.network.listen(kBack, [&](SimulatedPeer peer) {
        backend = peer;
        peer.stop_reading();
    });
    SimulatedPeer client = world.network.connect(kFront);
    const std::string text = text_of(3 << 20, 1);
    client.send(text);
    world.network.settle();
    EXPECT_GT(client.unsent_bytes(), text.size() / 2);
    EXPECT_GT(world.relay.worst, kSendQueueHighBytes);
    EXPECT_LE(world.relay.worst, kSendQueueHighBytes + kBlockBytes);
    backend.start_reading();
    ASSERT_TRUE(world.network.run_until([&] { return backend.received() == text; }, std::chrono::hours(1)));
    EXPECT_EQ(client.unsent_bytes(), 0U);
}

TEST(SimulatedReactor, RefusesWhereNobodyListens) {
    Fixture world({.seed = 4});
    SimulatedPeer client = world.network.connect(kFront);
    SimulatedPeer lost = world.network.connect(*Endpoint::parse("127.0.0.1:9999"));
    ASSERT_TRUE(world.network.run_until([&] { return client.over() && lost.over(); }));
    EXPECT_TRUE(client.ended());  // the relay closed it: its backend refused
    EXPECT_TRUE(lost.refused());
}

TEST(SimulatedReactor, IgnoredConnectRunsIntoTheOwnersTimeOut) {
    Fixture world({.seed = 5});
    world.network.ignore(kBack);
    SimulatedPeer client = world.network.connect(kFront);
    world.network.advance(milliseconds(4'900));
    EXPECT_FALSE(client.over());
    world.network.advance(seconds(1));
    EXPECT_TRUE(client.over());
    EXPECT_EQ(world.relay.timed_out, 1);
}

TEST(SimulatedReactor, ClosingWithUnreadBytesResetsThePeer) {
    Fixture world({.seed = 6});
    SimulatedPeer client = world.network.connect(kFront);  // refused behind: closed by the relay
    client.send("unread, since the relay never got so far");
    ASSERT_TRUE(world.network.run_until([&] { return client.over(); }));
    client.send("late");
    world.network.settle();
    EXPECT_TRUE(client.was_reset());
}

TEST(SimulatedReactor, SendingToAPeerThatClosedIsAnsweredWithAReset) {
    Fixture world({.seed = 7});
    SimulatedPeer backend;
    world.network.listen(kBack, [&](SimulatedPeer peer) { backend = peer; });
    SimulatedPeer client = world.network.connect(kFront);
    client.send("a");
    ASSERT_TRUE(world.network.run_until([&] { return backend.received() == "a"; }));
    backend.close();
    world.network.settle();
    EXPECT_TRUE(client.ended());  // half-closed: the client may still send
    EXPECT_EQ(world.relay.open(), 2U);
    client.send("b");
    world.network.settle();
    EXPECT_EQ(world.relay.open(), 0U);
    EXPECT_TRUE(client.over());
}

TEST(SimulatedReactor, TimersFollowTheVirtualClock) {
    Fixture world({.seed = 8});
    const TimerId cancelled = world.reactor->set_timer(seconds(1), 0);
    world.reactor->cancel_timer(cancelled);
    world.network.advance(std::chrono::hours(48));
    EXPECT_EQ(world.relay.timed_out, 0);
    world.reactor->wake();
    world.reactor->wake();
    world.network.advance(Nanos{0});
    EXPECT_EQ(world.relay.wakes, 1);
}

TEST(SimulatedReactor, SeveralWorkersShareAnEndpoint) {
    SimulatedNetwork network({.seed = 9});
    auto one = network.make_reactor();
    auto two = network.make_reactor();
    Relay first(*one);
    Relay second(*two);
    network.listen(kBack, echo);
    for (int i = 0; i < 20; ++i) network.connect(kFront);
    network.advance(seconds(1));
    EXPECT_GT(first.open(), 0U);
    EXPECT_GT(second.open(), 0U);
    EXPECT_EQ(first.open() + second.open(), 40U);
}

TEST(SimulatedReactor, AcceptingStopsAtTheBoundOfSocketsAndGoesOnBelow) {
    Fixture world({.seed = 10}, {.sockets_max = 2});
    world.network.listen(kBack, echo);
    SimulatedPeer first = world.network.connect(kFront);
    world.network.advance(seconds(1));
    SimulatedPeer second = world.network.connect(kFront);
    second.send("x");
    world.network.advance(seconds(1));
    EXPECT_EQ(world.reactor->open_sockets(), 2U);
    EXPECT_TRUE(second.received().empty());
    first.reset();
    ASSERT_TRUE(world.network.run_until([&] { return second.received() == "x"; }));
}

}  // namespace
}  // namespace weir::net
