// The layer on the simulated network, against a peer that is OpenSSL over two memory BIOs: every split, every end. The
// contract of reactor.h is held over TLS by reactor_test.cpp, with sockets of the kernel.
#include "net/tls_reactor.h"

#include <gtest/gtest.h>
#include <map>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/random.h"
#include "net/simulated_network.h"
#include "net/tls_testing.h"

namespace weir::net {
namespace {

const Endpoint kFront = *Endpoint::parse("127.0.0.1:443");
const Endpoint kBack = *Endpoint::parse("10.0.0.1:443");

std::string pattern(std::size_t size) {
    Rng rng(size);
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(rng.next() >> 56U);
    return text;
}

// One end of TLS that a test drives.
class TlsPeer {
  public:
    TlsPeer(SimulatedPeer peer, SslSession session) : peer_(peer), session_(std::move(session)) {
        SSL_set_bio(session_.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
        BIO_set_mem_eof_return(SSL_get_rbio(session_.get()), -1);
        peer_.on_change([this](SimulatedPeer) { pump(); });
        pump();
    }
    ~TlsPeer() { peer_.on_change(nullptr); }
    TlsPeer(const TlsPeer&) = delete;
    TlsPeer& operator=(const TlsPeer&) = delete;
    // As soon as the handshake is done.
    void send(std::string_view text) {
        waiting_ += text;
        pump();
    }
    void finish() {
        SSL_shutdown(session_.get());
        flush();
        peer_.finish();
    }
    void pump() {
        const std::string bytes = peer_.take_received();
        if (!bytes.empty()) BIO_write(SSL_get_rbio(session_.get()), bytes.data(), static_cast<int>(bytes.size()));
        ERR_clear_error();
        if (!SSL_is_init_finished(session_.get())) {
            const int done = SSL_do_handshake(session_.get());
            if (done != 1 && SSL_get_error(session_.get(), done) == SSL_ERROR_SSL) failed = true;
            flush();
        }
        if (!SSL_is_init_finished(session_.get())) return;
        if (!waiting_.empty()) {
            SSL_write(session_.get(), waiting_.data(), static_cast<int>(waiting_.size()));
            waiting_.clear();
        }
        char buffer[4096];
        for (int n = 0; (n = SSL_read(session_.get(), buffer, sizeof buffer)) > 0;) {
            received.append(buffer, static_cast<std::size_t>(n));
        }
        if ((SSL_get_shutdown(session_.get()) & SSL_RECEIVED_SHUTDOWN) != 0) ended = true;
        flush();
    }
    [[nodiscard]] SSL* session() { return session_.get(); }
    [[nodiscard]] SimulatedPeer& below() { return peer_; }

    std::string received;
    bool ended = false;
    bool failed = false;
    std::size_t bytes_a_piece = 0;  // 0: all at once

  private:
    void flush() {
        char buffer[4096];
        for (int n = 0; (n = BIO_read(SSL_get_wbio(session_.get()), buffer, sizeof buffer)) > 0;) {
            const std::string_view all(buffer, static_cast<std::size_t>(n));
            const std::size_t step = bytes_a_piece == 0 ? all.size() : bytes_a_piece;
            for (std::size_t at = 0; at < all.size(); at += step) peer_.send(all.substr(at, step));
        }
    }
    SimulatedPeer peer_;
    SslSession session_;
    std::string waiting_;
};

struct Owner final : ReactorEvents {
    struct Conn {
        std::string received;
        bool connected = false, ended = false, paused = false;
        std::optional<Error> closed, refused;
        int drained = 0;
    };
    explicit Owner(Reactor& to) : reactor(to) { reactor.set_events(this); }
    void on_accepted(SocketId socket, std::uint32_t, const Endpoint&) override {
        accepted.push_back(socket);
        if (server != nullptr) {
            EXPECT_TRUE(reactor.start_tls(socket, server, {}));
        }
    }
    void on_connected(SocketId socket, Result<void> outcome) override {
        at(socket).connected = outcome.has_value();
        if (!outcome) at(socket).refused = outcome.error();
    }
    void on_received(SocketId socket, Slice bytes) override {
        EXPECT_FALSE(at(socket).paused || at(socket).ended || at(socket).closed);
        at(socket).received += bytes.text();
        if (hook) hook(socket, std::move(bytes));
    }
    void on_received_end(SocketId socket) override {
        EXPECT_FALSE(at(socket).paused || at(socket).ended || at(socket).closed);
        at(socket).ended = true;
    }
    void on_drained(SocketId socket) override { ++at(socket).drained; }
    void on_closed(SocketId socket, Error why) override {
        EXPECT_FALSE(at(socket).closed);
        at(socket).closed = why;
    }
    void on_tls_handshake(SocketId, const TlsHandshake& handshake) override { handshakes.push_back(handshake); }
    void on_timer(TimerId, std::uint64_t) override {}
    void on_wake() override {}
    Conn& at(SocketId id) { return conns[(std::uint64_t{id.generation} << 32U) | id.index]; }

    Reactor& reactor;
    std::shared_ptr<const TlsServer> server;
    std::vector<SocketId> accepted;
    std::vector<TlsHandshake> handshakes;
    std::map<std::uint64_t, Conn> conns;
    std::function<void(SocketId, Slice)> hook;
};

struct World {
    explicit World(const SimulatedOptions& options, TlsVersion least = TlsVersion::k1_2)
        : network(options), pair(testing_tls::pair(least)) {
        reactor = std::make_unique<TlsReactor>(
            network.make_reactor(), TlsReactorOptions{.tickets = &tickets, .plain_text_answer = "speak TLS"});
        owner = std::make_unique<Owner>(*reactor);
        owner->server = pair.server;
        EXPECT_TRUE(reactor->listen(kFront, {}));
    }
    ~World() {
        // Whatever happened, every block came back.
        network.advance(std::chrono::seconds(3));
        for (const SocketId socket : owner->accepted) reactor->close(socket);
        network.advance(std::chrono::seconds(3));
        EXPECT_EQ(reactor->blocks().blocks_out(), 0U);
    }
    std::unique_ptr<TlsPeer> client(int version = 0, std::size_t step = 0) {
        auto session = pair.client->new_session();
        if (version != 0) SSL_set_max_proto_version(session.get(), version);
        auto made = std::make_unique<TlsPeer>(network.connect(kFront), std::move(session));
        made->bytes_a_piece = step;
        return made;
    }
    SocketId first() {
        EXPECT_TRUE(network.run_until([&] { return !owner->accepted.empty(); }));
        return owner->accepted.front();
    }

    SimulatedNetwork network;
    TicketKeys tickets;
    testing_tls::Pair pair;
    std::unique_ptr<TlsReactor> reactor;
    std::unique_ptr<Owner> owner;
};

TEST(TlsReactorSplits, EveryByteMayComeAlone) {
    for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
        World world({.seed = 3, .calm = true});
        auto client = world.client(version, 1);
        client->send("hello");
        const SocketId socket = world.first();
        ASSERT_TRUE(world.network.run_until([&] { return world.owner->at(socket).received == "hello"; }));
        world.reactor->send(socket, Slice::of_static("welcome"));
        world.reactor->shutdown_send(socket);
        ASSERT_TRUE(world.network.run_until([&] { return client->ended; }));
        EXPECT_EQ(client->received, "welcome");
        client->finish();
        ASSERT_TRUE(world.network.run_until([&] { return world.owner->at(socket).ended; }));
        ASSERT_EQ(world.owner->handshakes.size(), 1U);
        EXPECT_EQ(world.owner->handshakes[0].version, version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    }
}

TEST(TlsReactorSplits, HostileNetworksChangeNothingOfTheBytes) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        auto options = SimulatedOptions::hostile(seed);
        options.faults.reset_one_in = 0;
        World world(options);
        auto client = world.client(seed % 2 == 0 ? TLS1_2_VERSION : 0);
        const std::string question = pattern(30'000 + seed * 997);
        world.owner->hook = [&](SocketId socket, Slice bytes) { world.reactor->send(socket, std::move(bytes)); };
        client->send(question);
        ASSERT_TRUE(world.network.run_until([&] { return client->received.size() >= question.size(); })) << seed;
        EXPECT_TRUE(client->received == question) << seed;
        client->finish();
        const SocketId socket = world.first();
        ASSERT_TRUE(world.network.run_until([&] { return world.owner->at(socket).ended; })) << seed;
    }
}

TEST(TlsReactorEnds, AFinWithoutCloseNotifyIsAResetAndNoEnd) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        World world({.seed = seed});
        auto client = world.client();
        client->send("half of it");
        const SocketId socket = world.first();
        ASSERT_TRUE(world.network.run_until([&] { return world.owner->at(socket).received == "half of it"; }));
        client->below().finish();
        ASSERT_TRUE(world.network.run_until([&] { return world.owner->at(socket).closed.has_value(); }));
        EXPECT_FALSE(world.owner->at(socket).ended);
        EXPECT_EQ(world.owner->at(socket).closed->code, ErrorCode::kConnectionReset);
    }
}

TEST(TlsReactorEnds, AHalfCloseLetsTheOtherDirectionGoOn) {
    World world({.seed = 5});
    auto client = world.client();
    client->send("question");
    const SocketId socket = world.first();
    ASSERT_TRUE(world.network.run_until([&] { return world.owner->at(socket).received == "question"; }));
    client->finish();
    ASSERT_TRUE(world.network.run_until([&] { return world.owner->at(socket).ended; }));
    const std::string answer = pattern(200'000);
    world.reactor->send(socket, world.reactor->blocks().copy(answer));
    world.reactor->shutdown_send(socket);
    ASSERT_TRUE(world.network.run_until([&] { return client->ended; }));
    EXPECT_TRUE(client->received == answer);
    EXPECT_FALSE(world.owner->at(socket).closed);
}

TEST(TlsReactorEnds, CloseWithoutShutdownSaysNoCloseNotify) {
    World world({.seed = 6, .calm = true});
    auto client = world.client();
    client->send("x");
    const SocketId socket = world.first();
    ASSERT_TRUE(world.network.run_until([&] { return world.owner->at(socket).received == "x"; }));
    world.reactor->close(socket);
    ASSERT_TRUE(world.network.run_until([&] { return client->below().over(); }));
    EXPECT_FALSE(client->ended);
}

TEST(TlsReactorEnds, CloseAfterShutdownStillSaysAll) {
    World world({.seed = 7});
    auto client = world.client();
    client->send("x");
    const SocketId socket = world.first();
    ASSERT_TRUE(world.network.run_until([&] { return world.owner->at(socket).received == "x"; }));
    world.reactor->send(socket, Slice::of_static("last words"));
    world.reactor->shutdown_send(socket);
    world.reactor->close(socket);
    ASSERT_TRUE(world.network.run_until([&] { return client->ended; }));
    EXPECT_EQ(client->received, "last words");
}

TEST(TlsReactorFlow, APausedSocketGetsNothingAndHoldsLittle) {
    World world({.seed = 8, .window_bytes_min = 64UL * 1024, .window_bytes_max = 64UL * 1024, .calm = true});
    auto client = world.client();
    client->send("x");
    const SocketId socket = world.first();
    ASSERT_TRUE(world.network.run_until([&] { return !world.owner->at(socket).received.empty(); }));
    world.owner->at(socket).received.clear();
    // From inside an event, so that records of the same slice wait.
    world.owner->hook = [&](SocketId id, Slice) {
        world.reactor->pause_receiving(id);
        world.owner->at(id).paused = true;
    };
    const std::string text = pattern(2'000'000);
    client->send(text);
    client->finish();
    while (!world.owner->at(socket).ended) {
        world.network.settle();
        EXPECT_LE(world.reactor->blocks().bytes_out(), 3 * kBlockBytes);
        if (world.owner->at(socket).ended) break;
        ASSERT_TRUE(world.owner->at(socket).paused);
        world.owner->at(socket).paused = false;
        world.reactor->resume_receiving(socket);
        const std::size_t now = world.owner->at(socket).received.size();
        ASSERT_TRUE(world.network.run_until(
            [&] { return world.owner->at(socket).received.size() > now || world.owner->at(socket).ended; }));
        EXPECT_LE(world.owner->at(socket).received.size() - now, kBlockBytes);
    }
    EXPECT_TRUE(world.owner->at(socket).received == text);
}

TEST(TlsReactorFlow, ASlowReaderIsFeltAndDrainsOnce) {
    World world({.seed = 9, .window_bytes_min = 8192, .window_bytes_max = 8192, .calm = true});
    auto client = world.client();
    client->send("x");
    const SocketId socket = world.first();
    ASSERT_TRUE(world.network.run_until([&] { return !world.owner->at(socket).received.empty(); }));
    client->below().stop_reading();
    const std::string text = pattern(kSendQueueHighBytes + 5000);
    world.reactor->send(socket, world.reactor->blocks().copy(text));
    world.network.settle();
    EXPECT_GT(world.reactor->unsent_bytes(socket), kSendQueueLowBytes);
    EXPECT_EQ(world.owner->at(socket).drained, 0);
    client->below().start_reading();
    ASSERT_TRUE(world.network.run_until([&] { return client->received.size() == text.size(); }));
    EXPECT_TRUE(client->received == text);
    EXPECT_EQ(world.owner->at(socket).drained, 1);
}

TEST(TlsReactorFlow, SmallSlicesOfOneEventMakeFewRecords) {
    World world({.seed = 10, .calm = true});
    auto client = world.client();
    std::size_t below = 0;
    world.owner->hook = [&](SocketId socket, Slice) {
        const std::size_t before = world.reactor->unsent_bytes(socket);  // tickets
        for (int i = 0; i < 1000; ++i) world.reactor->send(socket, Slice::of_static("0123456789"));
        below = world.reactor->unsent_bytes(socket) - before;
    };
    client->send("go");
    ASSERT_TRUE(world.network.run_until([&] { return client->received.size() == 10'000; }));
    EXPECT_EQ(below, 10'000U) << "plain text until the event is over";
    EXPECT_LT(BIO_number_written(SSL_get_rbio(client->session())), 10'000U + 4096) << "records and a handshake";
}

TEST(TlsReactorHandshakes, PlainTextIsAnsweredAsSuch) {
    World world({.seed = 11});
    SimulatedPeer client = world.network.connect(kFront);
    client.send("GET / HTTP/1.1\r\n\r\n");
    ASSERT_TRUE(world.network.run_until([&] { return client.ended(); }));
    EXPECT_EQ(client.received(), "speak TLS");
    ASSERT_EQ(world.owner->handshakes.size(), 1U);
    EXPECT_TRUE(world.owner->handshakes[0].plain_text);
    client.finish();
}

TEST(TlsReactorHandshakes, GarbageAndAnEarlyEndAreTold) {
    World world({.seed = 12});
    SimulatedPeer garbage = world.network.connect(kFront);
    garbage.send(std::string("\x16\x03\x01\x00\x05", 5) + "\xFF\xFF\xFF\xFF\xFF");
    SimulatedPeer early = world.network.connect(kFront);
    early.send(std::string("\x16\x03\x01", 3));
    early.finish();
    ASSERT_TRUE(world.network.run_until([&] {
        return world.owner->accepted.size() == 2 && world.owner->at(world.owner->accepted[0]).closed &&
               world.owner->at(world.owner->accepted[1]).closed;
    }));
    EXPECT_EQ(world.owner->handshakes.size(), 2U);
    for (const TlsHandshake& handshake : world.owner->handshakes) EXPECT_FALSE(handshake.succeeded());
    garbage.finish();
}

TEST(TlsReactorHandshakes, ConnectingTellsOfTheHandshakesEnd) {
    for (const bool trusted : {true, false}) {
        World world({.seed = 13});
        const testing_tls::Pair other = testing_tls::pair();
        std::unique_ptr<TlsPeer> backend;
        world.network.listen(kBack, [&](SimulatedPeer peer) {
            backend = std::make_unique<TlsPeer>(peer, (trusted ? world.pair : other).server->new_session());
        });
        const auto socket = world.reactor->connect(kBack, world.pair.client.get());
        ASSERT_TRUE(socket);
        world.reactor->send(*socket, Slice::of_static("early"));
        auto& conn = world.owner->at(*socket);
        ASSERT_TRUE(world.network.run_until([&] { return conn.connected || conn.refused; }));
        EXPECT_EQ(conn.connected, trusted);
        if (!trusted) {
            EXPECT_EQ(conn.refused->code, ErrorCode::kUnauthorized);
            EXPECT_EQ(conn.refused->source, ErrorSource::kUpstream);
            continue;
        }
        ASSERT_TRUE(world.network.run_until([&] { return backend->received == "early"; }));
        world.reactor->close(*socket);
    }
}

TEST(TlsReactorHandshakes, ResetsAtAnyMomentLeaveNothingBehind) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) {
        auto options = SimulatedOptions::hostile(seed);
        options.faults.reset_one_in = 8;
        World world(options);
        auto client = world.client();
        world.owner->hook = [&](SocketId socket, Slice bytes) { world.reactor->send(socket, std::move(bytes)); };
        client->send(pattern(50'000));
        world.network.advance(std::chrono::seconds(5));
    }
}

TEST(TlsReactorFlow, PlainSocketsPassThrough) {
    World world({.seed = 14});
    world.owner->server = nullptr;
    SimulatedPeer client = world.network.connect(kFront);
    client.send("GET");
    const SocketId socket = world.first();
    ASSERT_TRUE(world.network.run_until([&] { return world.owner->at(socket).received == "GET"; }));
    // And may turn to TLS behind a first line.
    EXPECT_TRUE(world.owner->handshakes.empty());
    world.reactor->send(socket, Slice::of_static("200"));
    ASSERT_TRUE(world.network.run_until([&] { return client.received() == "200"; }));
}

}  // namespace
}  // namespace weir::net
