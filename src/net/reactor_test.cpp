// The contract of reactor.h, held against every reactor that talks to the kernel, over TCP on loopback and over Unix
// sockets. Both ends are sockets of the reactor under test, or one of them is a plain socket of the test.
#include "net/reactor.h"

#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "base/random.h"
#include "net/reactor_testing.h"
#include "net/socket.h"
#include "net/tls_reactor.h"
#include "net/tls_testing.h"

namespace weir::net {
namespace {

using testing_reactor::Conn;
using testing_reactor::pattern;
using testing_reactor::Recorder;

enum class Family : std::uint8_t { kTcp, kUnix, kTls };

class ReactorContract : public ::testing::TestWithParam<std::tuple<ReactorKind, Family>> {
  protected:
    void SetUp() override { start({}); }
    void TearDown() override {
        if (reactor_ == nullptr) return;
        Recorder ignore(*reactor_);
        reactor_.reset();  // asserts that every block came back
        std::filesystem::remove_all(folder_);
    }
    void start(const ReactorOptions& options) {
        recorder_.reset();
        reactor_.reset();
        auto made = make_reactor(std::get<0>(GetParam()), clock_, options);
        if (!made && made.error().code == ErrorCode::kUnsupported) GTEST_SKIP() << "not on this system";
        ASSERT_TRUE(made) << made.error().detail;
        reactor_ = std::move(*made);
        if (is_tls()) {
            reactor_ = std::make_unique<TlsReactor>(std::move(reactor_), TlsReactorOptions{.tickets = &tickets_});
        }
        recorder_ = std::make_unique<Recorder>(*reactor_);
        recorder_->tls = tls_.server;
        if (is_unix()) {
            std::string name = (std::filesystem::temp_directory_path() / "weir_reactor_XXXXXX").string();
            ASSERT_NE(::mkdtemp(name.data()), nullptr);
            folder_ = name;
        }
    }
    [[nodiscard]] bool is_tls() const { return std::get<1>(GetParam()) == Family::kTls; }
    [[nodiscard]] bool is_unix() const { return std::get<1>(GetParam()) == Family::kUnix; }
    Endpoint any_endpoint() {
        Endpoint endpoint;
        if (is_unix()) {
            endpoint.unix_path = folder_ + "/" + std::to_string(++files_) + ".sock";
        } else {
            endpoint.address = IpAddress::from_v4({127, 0, 0, 1});
        }
        return endpoint;
    }
    std::uint32_t listen() {
        auto listener = reactor_->listen(any_endpoint(), {});
        EXPECT_TRUE(listener);
        return *listener;
    }
    // A pair of connected sockets, both of the reactor.
    std::pair<SocketId, SocketId> pair() {
        if (!listener_) listener_ = listen();
        const std::size_t before = recorder_->accepted.size();
        auto client = reactor_->connect(reactor_->listener_endpoint(*listener_), client_tls());
        EXPECT_TRUE(client);
        EXPECT_TRUE(recorder_->run_until(
            [&] { return recorder_->accepted.size() > before && (*recorder_)[*client].connected; }));
        return {*client, recorder_->accepted.back()};
    }
    // A plain blocking socket of the test, connected to the reactor, and the reactor's end of it.
    std::pair<Descriptor, SocketId> plain_pair(int receive_buffer = 0) {
        if (!listener_) listener_ = listen();
        const std::size_t before = recorder_->accepted.size();
        const auto address = to_socket_address(reactor_->listener_endpoint(*listener_));
        Descriptor fd(::socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (receive_buffer != 0) {
            ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        }
        EXPECT_EQ(::connect(fd.get(), address->get(), address->size), 0);
        EXPECT_TRUE(recorder_->run_until([&] { return recorder_->accepted.size() > before; }));
        return {std::move(fd), recorder_->accepted.back()};
    }
    void send(SocketId id, std::string_view text) {
        while (!text.empty()) {
            const std::string_view part = text.substr(0, kBlockBytes);
            Slice slice = reactor_->blocks().try_take();
            if (slice.empty()) {
                slice = reactor_->blocks().copy(part);
            } else {
                std::copy(part.begin(), part.end(), slice.data());
                slice.shrink(part.size());
            }
            reactor_->send(id, std::move(slice));
            text.remove_prefix(part.size());
        }
    }
    Conn& at(SocketId id) { return (*recorder_)[id]; }
    template <typename Done>
    [[nodiscard]] bool run_until(Done&& done) {
        return recorder_->run_until(std::forward<Done>(done));
    }

    [[nodiscard]] const TlsClient* client_tls() const { return is_tls() ? tls_.client.get() : nullptr; }

    SystemClock clock_;
    TicketKeys tickets_;
    testing_tls::Pair tls_ = is_tls() ? testing_tls::pair() : testing_tls::Pair{};
    std::string folder_;
    int files_ = 0;
    std::unique_ptr<Reactor> reactor_;
    std::unique_ptr<Recorder> recorder_;
    std::optional<std::uint32_t> listener_;
};

TEST_P(ReactorContract, ConnectsAndAcceptsWithTheEndpointsOfBoth) {
    const auto [client, server] = pair();
    EXPECT_NE(client, server);
    EXPECT_EQ(reactor_->open_sockets(), 2U);
    if (is_unix()) return;
    EXPECT_EQ(at(server).peer.address.to_string(), "127.0.0.1");
    EXPECT_NE(at(server).peer.port, 0);
    EXPECT_NE(reactor_->listener_endpoint(*listener_).port, 0);
}

TEST_P(ReactorContract, EchoesEverySizeInOrder) {
    const auto [client, server] = pair();
    recorder_->received_hook = [&, server = server](SocketId socket, Slice bytes) {
        if (socket == server) reactor_->send(socket, std::move(bytes));
    };
    std::string expected;
    for (const std::size_t size : {std::size_t{1}, std::size_t{100}, kBlockBytes - 1, kBlockBytes, kBlockBytes + 1,
                                   std::size_t{300'000}, std::size_t{5} << 20U}) {
        const std::string text = pattern(size, size);
        send(client, text);
        expected += text;
        ASSERT_TRUE(run_until([&, client = client] { return at(client).received_bytes == expected.size(); })) << size;
    }
    EXPECT_TRUE(at(client).received == expected);
    EXPECT_EQ(reactor_->blocks().blocks_out(), 0U);
}

TEST_P(ReactorContract, SendsSeveralSlicesOfOneEventInOrder) {
    const auto [client, server] = pair();
    recorder_->received_hook = [&, server = server](SocketId socket, Slice) {
        if (socket != server) return;
        for (int i = 0; i < 300; ++i) reactor_->send(socket, Slice::of_static(i % 2 == 0 ? "even," : "odd;"));
    };
    send(client, "go");
    ASSERT_TRUE(run_until([&, client = client] { return at(client).received_bytes == 150 * 9; }));
    EXPECT_TRUE(at(client).received.starts_with("even,odd;even,"));
}

TEST_P(ReactorContract, DeliversWhatWasSentBeforeTheConnectionStood) {
    listener_ = listen();
    auto client = reactor_->connect(reactor_->listener_endpoint(*listener_), client_tls());
    ASSERT_TRUE(client);
    send(*client, "early");
    reactor_->shutdown_send(*client);
    ASSERT_TRUE(run_until([&] { return !recorder_->accepted.empty() && at(recorder_->accepted[0]).ended; }));
    EXPECT_EQ(at(recorder_->accepted[0]).received, "early");
}

TEST_P(ReactorContract, HalfCloseLetsTheOtherDirectionGoOn) {
    const auto [client, server] = pair();
    send(client, "question");
    reactor_->shutdown_send(client);
    ASSERT_TRUE(run_until([&, server = server] { return at(server).ended; }));
    EXPECT_EQ(at(server).received, "question");
    const std::string answer = pattern(1U << 20U);
    send(server, answer);
    reactor_->shutdown_send(server);
    ASSERT_TRUE(run_until([&, client = client] { return at(client).ended; }));
    EXPECT_TRUE(at(client).received == answer);
    EXPECT_FALSE(at(client).closed || at(server).closed);
    recorder_->close(client);
    recorder_->close(server);
    EXPECT_EQ(reactor_->open_sockets(), 0U);
}

TEST_P(ReactorContract, DropsWhatIsSentAfterTheEndOfSending) {
    const auto [client, server] = pair();
    send(client, "all");
    reactor_->shutdown_send(client);
    send(client, " and more");
    EXPECT_LE(reactor_->unsent_bytes(client), is_tls() ? 64U : 3U);
    ASSERT_TRUE(run_until([&, server = server] { return at(server).ended; }));
    EXPECT_EQ(at(server).received, "all");
}

TEST_P(ReactorContract, SlowReaderFillsTheQueueAndDrainsIt) {
    if (is_tls()) GTEST_SKIP() << "one end of it speaks no TLS";
    auto [plain, server] = plain_pair(4096);
    const std::string text = pattern(std::size_t{5} << 20U);
    send(server, text);
    recorder_->run_turns(50);
    ASSERT_GT(reactor_->unsent_bytes(server), kSendQueueHighBytes);
    EXPECT_EQ(at(server).drained, 0);
    ::fcntl(plain.get(), F_SETFL, O_NONBLOCK);
    std::string got;
    std::vector<char> buffer(10'000);
    ASSERT_TRUE(run_until([&] {
        while (true) {
            const ssize_t n = ::recv(plain.get(), buffer.data(), buffer.size(), 0);
            if (n <= 0) break;
            got.append(buffer.data(), static_cast<std::size_t>(n));
        }
        return got.size() == text.size();
    }));
    EXPECT_TRUE(got == text);
    EXPECT_EQ(at(server).drained, 1);
    EXPECT_EQ(reactor_->unsent_bytes(server), 0U);
    EXPECT_EQ(reactor_->blocks().blocks_out(), 0U);
}

TEST_P(ReactorContract, ManySmallSlicesForASlowReaderDoNotPinBlocks) {
    if (is_tls()) GTEST_SKIP() << "one end of it speaks no TLS";
    auto [plain, server] = plain_pair(4096);
    send(server, pattern(std::size_t{4} << 20U));
    recorder_->run_turns(20);
    const std::size_t before = reactor_->blocks().bytes_out();
    for (int i = 0; i < 1000; ++i) {
        send(server, "tiny");  // each in a block of its own
        recorder_->run_turns(1);
    }
    EXPECT_LT(reactor_->blocks().bytes_out(), before + 4 * kBlockBytes);
    recorder_->close(server);
    recorder_->run_turns(5);
}

TEST_P(ReactorContract, PausedSocketReadsNothingUntilItIsResumed) {
    const auto [client, server] = pair();
    recorder_->pause(server);
    const std::string text = pattern(std::size_t{16} << 20U);
    send(client, text);
    reactor_->shutdown_send(client);
    recorder_->run_turns(50);
    EXPECT_EQ(at(server).received_bytes, 0U);
    EXPECT_FALSE(at(server).ended);
    EXPECT_GT(reactor_->unsent_bytes(client), 0U);
    recorder_->resume(server);
    ASSERT_TRUE(run_until([&, server = server] { return at(server).ended; }));
    EXPECT_TRUE(at(server).received == text);
}

TEST_P(ReactorContract, PauseInsideAnEventStopsTheNextOne) {
    const auto [client, server] = pair();
    int pauses = 0;
    recorder_->received_hook = [&, server = server](SocketId socket, Slice) {
        if (socket != server) return;
        ++pauses;
        recorder_->pause(server);
    };
    const std::string text = pattern(1U << 20U);
    send(client, text);
    while (at(server).received_bytes < text.size()) {
        const int before = pauses;
        ASSERT_TRUE(run_until([&] { return pauses > before; }));
        recorder_->run_turns(3);
        EXPECT_EQ(pauses, before + 1);
        recorder_->resume(server);
    }
    EXPECT_TRUE(at(server).received == text);
}

TEST_P(ReactorContract, RelaysThroughSlowPeersWithinTheBoundOfTheQueue) {
    if (is_tls()) GTEST_SKIP() << "one end of it speaks no TLS";
    // plain -> [in -> out] -> slow: the relay pauses `in` while `out` owes too much.
    auto [plain, in] = plain_pair();
    auto [slow, out] = plain_pair(65536);
    std::size_t worst = 0;
    recorder_->keep_bytes = false;
    recorder_->received_hook = [&, in = in, out = out](SocketId socket, Slice bytes) {
        if (socket != in) return;
        reactor_->send(out, std::move(bytes));
        worst = std::max(worst, reactor_->unsent_bytes(out));
        if (reactor_->unsent_bytes(out) > kSendQueueHighBytes) recorder_->pause(in);
    };
    recorder_->drained_hook = [&, in = in](SocketId) { recorder_->resume(in); };
    recorder_->ended_hook = [&, out = out](SocketId) { reactor_->shutdown_send(out); };
    const std::string text = pattern(std::size_t{5} << 20U);
    std::string got;
    std::thread writer([&plain = plain, &text] {
        std::string_view rest = text;
        while (!rest.empty()) {
            const ssize_t n = ::send(plain.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
            if (n <= 0) break;
            rest.remove_prefix(static_cast<std::size_t>(n));
        }
        ::shutdown(plain.get(), SHUT_WR);
    });
    ::fcntl(slow.get(), F_SETFL, O_NONBLOCK);
    bool end = false;
    std::vector<char> buffer(30'000);
    EXPECT_TRUE(recorder_->run_until(
        [&, &slow = slow] {
            const ssize_t n = ::recv(slow.get(), buffer.data(), buffer.size(), 0);
            if (n > 0) got.append(buffer.data(), static_cast<std::size_t>(n));
            end = n == 0;
            return end;
        },
        200'000, std::chrono::milliseconds(1)));
    writer.join();
    EXPECT_TRUE(got == text);
    EXPECT_LE(worst, kSendQueueHighBytes + kBlockBytes);
}

TEST_P(ReactorContract, ResetOfThePeerClosesTheSocket) {
    if (is_tls()) GTEST_SKIP() << "one end of it speaks no TLS";
    if (is_unix()) GTEST_SKIP() << "Unix sockets have no reset";
    auto [plain, server] = plain_pair();
    const linger hard{1, 0};
    ::setsockopt(plain.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    plain.reset();
    ASSERT_TRUE(run_until([&, server = server] { return at(server).closed.has_value(); }));
    EXPECT_EQ(at(server).closed->code, ErrorCode::kConnectionReset);
    EXPECT_EQ(at(server).closed->source, ErrorSource::kDownstream);
    EXPECT_EQ(reactor_->open_sockets(), 0U);
}

TEST_P(ReactorContract, ResetIsToldAfterTheEndWasAndWhilePaused) {
    if (is_tls()) GTEST_SKIP() << "one end of it speaks no TLS";
    if (is_unix()) GTEST_SKIP() << "Unix sockets have no reset";
    auto [plain, server] = plain_pair();
    ::shutdown(plain.get(), SHUT_WR);
    ASSERT_TRUE(run_until([&, server = server] { return at(server).ended; }));
    send(server, "unread");
    recorder_->run_turns(5);
    plain.reset();  // unread bytes: a reset
    ASSERT_TRUE(run_until([&, server = server] { return at(server).closed.has_value(); }));

    auto [other, paused] = plain_pair();
    recorder_->pause(paused);
    recorder_->run_turns(2);
    const linger hard{1, 0};
    ::setsockopt(other.get(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    other.reset();
    ASSERT_TRUE(run_until([&, paused = paused] {
        send(paused, "x");  // what a relay would do sooner or later
        return at(paused).closed.has_value();
    }));
    EXPECT_EQ(at(paused).closed->code, ErrorCode::kConnectionReset);
}

TEST_P(ReactorContract, AnswerOfAPeerThatStoppedReadingIsStillReceived) {
    if (is_tls()) GTEST_SKIP() << "one end of it speaks no TLS";
    auto [plain, server] = plain_pair();
    ASSERT_EQ(::send(plain.get(), "413", 3, MSG_NOSIGNAL), 3);
    recorder_->pause(server);
    send(server, "unread by the peer");
    recorder_->run_turns(5);
    plain.reset();
    recorder_->resume(server);
    send(server, "more");
    ASSERT_TRUE(run_until([&, server = server] {
        if (!at(server).closed) send(server, "more");
        return at(server).closed || at(server).ended;
    }));
    EXPECT_EQ(at(server).received, "413");
}

TEST_P(ReactorContract, RefusedConnectIsToldInALaterEvent) {
    listener_ = listen();
    const Endpoint nobody = reactor_->listener_endpoint(*listener_);
    reactor_->stop_listening(*listener_);
    auto client = reactor_->connect(nobody);
    ASSERT_TRUE(client);
    send(*client, "lost");
    EXPECT_FALSE(at(*client).refused);
    ASSERT_TRUE(run_until([&] { return at(*client).refused.has_value(); }));
    EXPECT_EQ(at(*client).refused->code, is_unix() ? ErrorCode::kUnreachable : ErrorCode::kConnectionRefused);
    EXPECT_EQ(at(*client).refused->source, ErrorSource::kUpstream);
    EXPECT_EQ(reactor_->open_sockets(), 0U);
    EXPECT_EQ(reactor_->blocks().blocks_out(), 0U);
}

TEST_P(ReactorContract, ConnectThatIsClosedAtOnceTellsNothing) {
    listener_ = listen();
    auto client = reactor_->connect(reactor_->listener_endpoint(*listener_), client_tls());
    ASSERT_TRUE(client);
    send(*client, "never");
    recorder_->close(*client);
    recorder_->run_turns(20);
    EXPECT_FALSE(at(*client).connected || at(*client).refused || at(*client).closed);
}

TEST_P(ReactorContract, StaleIdsDoNothing) {
    const auto [client, server] = pair();
    recorder_->close(client);
    const auto [second, other] = pair();  // likely to have the same index
    send(client, "to nobody");
    reactor_->shutdown_send(client);
    reactor_->pause_receiving(client);
    reactor_->resume_receiving(client);
    reactor_->close(client);
    reactor_->close(SocketId{});
    reactor_->close(SocketId{77'777, 1});
    EXPECT_EQ(reactor_->unsent_bytes(client), 0U);
    send(second, "hello");
    ASSERT_TRUE(run_until([&, other = other] { return at(other).received == "hello"; }));
    EXPECT_FALSE(at(other).ended);
    EXPECT_TRUE(run_until([&, server = server] { return at(server).ended || at(server).closed; }));
}

TEST_P(ReactorContract, CloseInsideEveryEventIsTheLastEvent) {
    listener_ = listen();
    const Endpoint endpoint = reactor_->listener_endpoint(*listener_);
    // On accept.
    recorder_->accepted_hook = [&](SocketId socket) { recorder_->close(socket); };
    auto one = reactor_->connect(endpoint, client_tls());
    ASSERT_TRUE(run_until([&] { return at(*one).ended || at(*one).closed || at(*one).refused; }));
    recorder_->accepted_hook = nullptr;
    // On connect.
    recorder_->connected_hook = [&](SocketId socket) { recorder_->close(socket); };
    auto two = reactor_->connect(endpoint, client_tls());
    ASSERT_TRUE(run_until([&] { return at(*two).connected; }));
    recorder_->connected_hook = nullptr;
    // On bytes, with more of them waiting and something to send.
    const auto [client, server] = pair();
    recorder_->received_hook = [&, server = server](SocketId socket, Slice bytes) {
        reactor_->send(socket, std::move(bytes));
        if (socket == server) recorder_->close(socket);
    };
    send(client, pattern(1U << 20U));
    ASSERT_TRUE(run_until([&, client = client] { return at(client).ended || at(client).closed; }));
    recorder_->received_hook = nullptr;
    // On the end.
    const auto [third, fourth] = pair();
    recorder_->ended_hook = [&](SocketId socket) { recorder_->close(socket); };
    reactor_->shutdown_send(third);
    ASSERT_TRUE(run_until([&, third = third] { return at(third).ended || at(third).closed; }));
    recorder_->run_turns(5);
}

TEST_P(ReactorContract, ClosingThePeerInsideAnEventIsSafe) {
    const auto [client, server] = pair();
    const auto [client2, server2] = pair();
    recorder_->received_hook = [&, s1 = server, s2 = server2](SocketId socket, Slice) {
        recorder_->close(socket == s1 ? s2 : s1);  // whose bytes may be in this very turn
    };
    send(client, "a");
    send(client2, "b");
    ASSERT_TRUE(run_until(
        [&, c1 = client, c2 = client2] { return at(c1).ended || at(c2).ended || at(c1).closed || at(c2).closed; }));
    recorder_->run_turns(5);
    EXPECT_EQ(at(server).received_bytes + at(server2).received_bytes, 1U);
}

TEST_P(ReactorContract, TimersFireOnceInOrderAndNeverEarly) {
    const MonoTime start = clock_.now();
    MonoTime fired{};
    recorder_->timer_hook = [&](std::uint64_t cookie) {
        if (cookie == 2) fired = reactor_->now();
    };
    static_cast<void>(reactor_->set_timer(std::chrono::milliseconds(60), 2));
    static_cast<void>(reactor_->set_timer(std::chrono::milliseconds(5), 1));
    const TimerId cancelled = reactor_->set_timer(std::chrono::milliseconds(20), 9);
    reactor_->cancel_timer(cancelled);
    reactor_->cancel_timer(cancelled);
    reactor_->cancel_timer(TimerId{});
    ASSERT_TRUE(run_until([&] { return recorder_->timers.size() == 2; }));
    EXPECT_EQ(recorder_->timers, (std::vector<std::uint64_t>{1, 2}));
    EXPECT_GE(fired - start, std::chrono::milliseconds(60));
}

TEST_P(ReactorContract, TimerThatIsDueCanBeCancelledByAnEarlierOne) {
    TimerId second;
    static_cast<void>(reactor_->set_timer(Nanos{0}, 1));
    second = reactor_->set_timer(Nanos{0}, 2);
    bool last = false;
    recorder_->timer_hook = [&](std::uint64_t cookie) {
        if (cookie == 1) {
            reactor_->cancel_timer(second);
            static_cast<void>(reactor_->set_timer(Nanos{0}, 3));
        }
        last = cookie == 3;
    };
    ASSERT_TRUE(run_until([&] { return last; }));
    EXPECT_EQ(recorder_->timers, (std::vector<std::uint64_t>{1, 3}));
}

TEST_P(ReactorContract, TurnWaitsNoLongerThanAsked) {
    const MonoTime before = clock_.now();
    static_cast<void>(reactor_->set_timer(std::chrono::hours(24), 1));
    reactor_->turn(std::chrono::milliseconds(30));
    EXPECT_LT(clock_.now() - before, std::chrono::seconds(20));
    EXPECT_EQ(recorder_->turns, 1);
}

TEST_P(ReactorContract, WakesFromAnotherThread) {
    for (int round = 1; round <= 3; ++round) {
        std::thread other([&] {
            reactor_->wake();
            reactor_->wake();
        });
        const int before = recorder_->wakes;
        ASSERT_TRUE(run_until([&] { return recorder_->wakes > before; }));
        other.join();
        recorder_->run_turns(3);
        EXPECT_LE(recorder_->wakes, before + 2);
    }
    const int before = recorder_->wakes;
    recorder_->run_turns(5);
    EXPECT_EQ(recorder_->wakes, before);
}

TEST_P(ReactorContract, ReceivingRestsAtTheBoundOfThePoolAndGoesOn) {
    if (is_tls()) GTEST_SKIP() << "one end of it speaks no TLS";
    ReactorOptions options;
    options.blocks_max = 4;
    start(options);
    auto [plain, server] = plain_pair();
    std::vector<Slice> kept;
    recorder_->received_hook = [&](SocketId, Slice bytes) { kept.push_back(std::move(bytes)); };
    const std::string text = pattern(1U << 20U);
    std::thread writer([&plain = plain, &text] {
        std::string_view rest = text;
        while (!rest.empty()) {
            const ssize_t n = ::send(plain.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
            if (n <= 0) break;
            rest.remove_prefix(static_cast<std::size_t>(n));
        }
        ::shutdown(plain.get(), SHUT_WR);
    });
    bool done = false;
    for (int i = 0; i < 5'000 && !done; ++i) {
        recorder_->run_turns(3);
        EXPECT_LE(reactor_->blocks().blocks_out(), 4U);
        kept.clear();
        done = at(server).ended;
        if (!done) reactor_->turn(std::chrono::milliseconds(5));
    }
    writer.join();
    kept.clear();
    EXPECT_TRUE(done);
    EXPECT_TRUE(at(server).received == text);
}

TEST_P(ReactorContract, HoldsTwoThousandSockets) {
    listener_ = listen();
    const Endpoint endpoint = reactor_->listener_endpoint(*listener_);
    std::vector<SocketId> clients;
    recorder_->received_hook = [&](SocketId socket, Slice bytes) {
        if (at(socket).accepted) reactor_->send(socket, std::move(bytes));
    };
    for (int batch = 0; batch < 20; ++batch) {
        for (int i = 0; i < 50; ++i) {
            auto client = reactor_->connect(endpoint, client_tls());
            ASSERT_TRUE(client);
            send(*client, std::to_string(clients.size()));
            clients.push_back(*client);
        }
        ASSERT_TRUE(run_until([&] { return at(clients.back()).received_bytes > 0; }));
    }
    ASSERT_TRUE(run_until([&] {
        for (std::size_t i = 0; i < clients.size(); ++i) {
            if (at(clients[i]).received != std::to_string(i)) return false;
        }
        return true;
    }));
    EXPECT_EQ(reactor_->open_sockets(), 2000U);
    EXPECT_EQ(reactor_->blocks().blocks_out(), 0U);
    for (const SocketId client : clients) recorder_->close(client);
    ASSERT_TRUE(run_until([&] {
        for (const SocketId server : recorder_->accepted) {
            if (at(server).ended && reactor_->open_sockets() > 0) recorder_->close(server);
        }
        return reactor_->open_sockets() == 0;
    }));
}

TEST_P(ReactorContract, AcceptingStopsAtTheBoundOfSocketsAndGoesOnBelow) {
    if (is_tls()) GTEST_SKIP() << "one end of it speaks no TLS";
    ReactorOptions options;
    options.sockets_max = 2;
    start(options);
    auto [first, one] = plain_pair();
    auto [second, two] = plain_pair();
    const auto address = to_socket_address(reactor_->listener_endpoint(*listener_));
    Descriptor third(::socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(third.get(), address->get(), address->size), 0);  // it waits in the backlog
    recorder_->run_turns(20);
    EXPECT_EQ(recorder_->accepted.size(), 2U);
    recorder_->close(one);
    ASSERT_TRUE(run_until([&] { return recorder_->accepted.size() == 3; }));
    EXPECT_EQ(reactor_->open_sockets(), 2U);
}

TEST_P(ReactorContract, StoppedListenerRefusesAndLeavesItsSocketsAlone) {
    const auto [client, server] = pair();
    const Endpoint endpoint = reactor_->listener_endpoint(*listener_);
    reactor_->stop_listening(*listener_);
    reactor_->stop_listening(*listener_);
    recorder_->run_turns(3);
    const auto address = to_socket_address(endpoint);
    const Descriptor late(::socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_NE(::connect(late.get(), address->get(), address->size), 0);
    send(client, "still here");
    ASSERT_TRUE(run_until([&, server = server] { return at(server).received == "still here"; }));
    EXPECT_FALSE(is_unix() && std::filesystem::exists(endpoint.unix_path));
}

TEST_P(ReactorContract, ListeningErrorsSayWhatIsWrong) {
    if (is_tls()) GTEST_SKIP() << "one end of it speaks no TLS";
    Endpoint elsewhere;
    elsewhere.address = *IpAddress::parse("192.0.2.1");  // RFC 5737: nobody's
    auto listener = reactor_->listen(elsewhere, {});
    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().code, ErrorCode::kUnreachable);
    listener_ = listen();
    ListenOptions alone;
    alone.reuse_port = false;
    listener = reactor_->listen(reactor_->listener_endpoint(*listener_), alone);
    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().code, ErrorCode::kInvalidArgument);
}

// In a child, whose limit is its own: accepting without descriptors must neither spin nor stop for good.
int without_descriptors(ReactorKind kind, const Endpoint& endpoint) {
    SystemClock clock;
    auto reactor = make_reactor(kind, clock, {});
    if (!reactor) return 10;
    Recorder recorder(**reactor);
    auto listener = (*reactor)->listen(endpoint, {});
    if (!listener) return 11;
    const auto address = to_socket_address((*reactor)->listener_endpoint(*listener));
    std::vector<Descriptor> clients;
    for (int i = 0; i < 3; ++i) {
        clients.emplace_back(::socket(address->storage.ss_family, SOCK_STREAM, 0));
        if (::connect(clients.back().get(), address->get(), address->size) != 0) return 12;
    }
    const Descriptor next(::dup(0));
    const rlimit none{static_cast<rlim_t>(next.get()) + 1, 4096};
    if (::setrlimit(RLIMIT_NOFILE, &none) != 0) return 13;
    int turns = 0;
    const MonoTime until = clock.now() + std::chrono::milliseconds(300);
    while (clock.now() < until && ++turns < 1000) (*reactor)->turn(std::chrono::milliseconds(50));
    if (turns >= 100) return 14;  // it span
    if (!recorder.accepted.empty()) return 15;
    if ((*reactor)->connect(endpoint)) return 16;
    const rlimit plenty{1000, 4096};
    if (::setrlimit(RLIMIT_NOFILE, &plenty) != 0) return 17;
    return recorder.run_until([&] { return recorder.accepted.size() == 3; }, 200) ? 0 : 18;
}

TEST_P(ReactorContract, AcceptingWithoutDescriptorsRestsAndGoesOn) {
    if (is_tls()) GTEST_SKIP() << "one end of it speaks no TLS";
    const Endpoint endpoint = any_endpoint();
    const ReactorKind kind = std::get<0>(GetParam());
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(without_descriptors(kind, endpoint));
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status));
    EXPECT_EQ(WEXITSTATUS(status), 0);
}

std::string contract_name(const ::testing::TestParamInfo<std::tuple<ReactorKind, Family>>& parameters) {
    const auto [kind, family] = parameters.param;
    const std::string reactor = kind == ReactorKind::kEpoll ? "Epoll" : "IoUring";
    return reactor + (family == Family::kTcp ? "Tcp" : family == Family::kUnix ? "Unix" : "Tls");
}

INSTANTIATE_TEST_SUITE_P(All, ReactorContract,
                         ::testing::Combine(::testing::Values(ReactorKind::kEpoll, ReactorKind::kIoUring),
                                            ::testing::Values(Family::kTcp, Family::kUnix, Family::kTls)),
                         contract_name);

TEST(ReactorFactory, TakesWhatWorksWhenLeftToChoose) {
    SystemClock clock;
    auto reactor = make_reactor(ReactorKind::kAuto, clock, {});
    ASSERT_TRUE(reactor);
    EXPECT_FALSE((*reactor)->name().empty());
}

}  // namespace
}  // namespace weir::net
