// The server as it is, over real sockets. A client waits for what must come, with a time-out that only a broken server
// reaches; nothing sleeps. Time-outs of the server are reached by moving its clock.
#include "admin/admin_server.h"

#include <arpa/inet.h>
#include <atomic>
#include <deque>
#include <filesystem>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <utility>

namespace weir::admin {
namespace {

using namespace std::chrono_literals;

class FakeControl final : public Control {
  public:
    Health health() override { return {}; }
    Readiness readiness() override {
        if (ready.load()) return {};
        return {.ready = false, .reasons = {"draining"}};
    }
    std::string metrics_text() override { return std::string(metrics_bytes.load(), 'm') + "\n"; }

    std::atomic<bool> ready{true};
    std::atomic<std::size_t> metrics_bytes{10};
};

// The real clock, moved on by the test.
class MovedClock final : public Clock {
  public:
    MonoTime now() override { return std::chrono::steady_clock::now() + Nanos(moved_.load()); }
    WallTime wall_now() override { return std::chrono::system_clock::now(); }
    void advance(Nanos by) { moved_ += by.count(); }

  private:
    std::atomic<std::int64_t> moved_{0};
};

class SilentLogger final : public log::Logger {
  public:
    bool enabled(LogLevel) const override { return false; }
    void write(LogLevel, std::string_view, std::initializer_list<log::LogField>) override {}
    void set_level(LogLevel) override {}
    void flush() override {}
};

class Client {
  public:
    explicit Client(const net::Endpoint& endpoint, int receive_buffer = 0) {
        fd_ = ::socket(endpoint.is_unix() ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        timeval patience{.tv_sec = 20, .tv_usec = 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (receive_buffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        if (endpoint.is_unix()) {
            sockaddr_un address{};
            address.sun_family = AF_UNIX;
            endpoint.unix_path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
            connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        } else {
            sockaddr_in address{};
            address.sin_family = AF_INET;
            address.sin_port = htons(endpoint.port);
            address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
            connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
        }
    }
    Client(Client&& other) noexcept
        : fd_(std::exchange(other.fd_, -1)), connected_(other.connected_), buffer_(std::move(other.buffer_)) {}
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;
    Client& operator=(Client&&) = delete;
    ~Client() {
        if (fd_ >= 0) ::close(fd_);
    }

    [[nodiscard]] bool connected() const { return connected_; }
    void send(std::string_view text) const { static_cast<void>(::send(fd_, text.data(), text.size(), MSG_NOSIGNAL)); }
    void end() const { ::shutdown(fd_, SHUT_WR); }

    // One response, framed by its Content-Length ("HEAD" has no body); what has come when the peer closes before.
    std::string response(bool head_only = false) {
        while (true) {
            const std::size_t head = buffer_.find("\r\n\r\n");
            if (head != std::string::npos) {
                const std::size_t field = buffer_.find("Content-Length: ");
                const std::size_t body = head_only ? 0 : std::stoul(buffer_.substr(field + 16));
                if (buffer_.size() >= head + 4 + body) return take(head + 4 + body);
            }
            if (!receive()) return take(buffer_.size());
        }
    }
    // True when the peer has closed (or reset) and nothing is left.
    bool closed() { return buffer_.empty() && !receive(); }

  private:
    bool receive() {
        char chunk[65536];
        const ssize_t n = ::recv(fd_, chunk, sizeof chunk, 0);
        if (n > 0) buffer_.append(chunk, static_cast<std::size_t>(n));
        EXPECT_FALSE(n < 0 && errno == EAGAIN) << "the server did not answer";
        return n > 0;
    }
    std::string take(std::size_t n) {
        std::string part = buffer_.substr(0, n);
        buffer_.erase(0, n);
        return part;
    }

    int fd_ = -1;
    bool connected_ = false;
    std::string buffer_;
};

constexpr std::string_view kHealthz = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";
constexpr std::string_view kMetrics = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";

class AdminServerTest : public testing::Test {
  protected:
    void SetUp() override { ASSERT_TRUE(server_.start().has_value()); }
    Client client() {
        Client client(server_.endpoint());
        EXPECT_TRUE(client.connected());
        return client;
    }
    std::string ask(std::string_view request) {
        Client one = client();
        one.send(request);
        return one.response();
    }

    FakeControl control_;
    MovedClock clock_;
    SilentLogger logger_;
    AdminServer server_{*net::Endpoint::parse("127.0.0.1:0"), control_, clock_, logger_};
};

TEST_F(AdminServerTest, TellsThePortThatTheSystemChose) {
    EXPECT_NE(server_.endpoint().port, 0);
}

TEST_F(AdminServerTest, AnswersTheThreePages) {
    EXPECT_TRUE(ask(kHealthz).ends_with("\r\n\r\nok\n"));
    EXPECT_TRUE(ask("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").ends_with("\r\n\r\nready\n"));
    const std::string metrics = ask(kMetrics);
    EXPECT_NE(metrics.find("Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n"), std::string::npos);
    EXPECT_TRUE(metrics.ends_with("\r\n\r\nmmmmmmmmmm\n"));
    control_.ready = false;
    EXPECT_TRUE(ask("GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").starts_with("HTTP/1.1 503 "));
}

TEST_F(AdminServerTest, KeepsAConnectionForTheNextRequest) {
    Client one = client();
    for (int i = 0; i < 3; ++i) {
        one.send(kHealthz);
        EXPECT_TRUE(one.response().ends_with("\r\n\r\nok\n"));
    }
    one.send("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    EXPECT_NE(one.response().find("Connection: close\r\n"), std::string::npos);
    EXPECT_TRUE(one.closed());
}

TEST_F(AdminServerTest, AnswersRequestsThatComeTogetherInTheirOrder) {
    Client one = client();
    one.send(std::string(kHealthz) + "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n" +
             "GET /none HTTP/1.1\r\nHost: a\r\n\r\n" + std::string(kMetrics));
    EXPECT_TRUE(one.response().ends_with("ok\n"));
    EXPECT_NE(one.response(true).find("Content-Length: 11\r\n"), std::string::npos);
    EXPECT_TRUE(one.response().starts_with("HTTP/1.1 404 "));
    EXPECT_TRUE(one.response().ends_with("mmm\n"));
}

TEST_F(AdminServerTest, ReadsAHeadThatComesInPieces) {
    Client one = client();
    for (const char c : kHealthz) one.send({&c, 1});
    EXPECT_TRUE(one.response().ends_with("ok\n"));
}

TEST_F(AdminServerTest, APeerThatClosesItsHalfStillGetsItsAnswer) {
    Client one = client();
    one.send(kHealthz);
    one.end();
    EXPECT_TRUE(one.response().ends_with("ok\n"));
    EXPECT_TRUE(one.closed());
}

TEST_F(AdminServerTest, AnOldClientIsAnsweredAndClosed) {
    Client one = client();
    one.send("GET /healthz HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(one.response().ends_with("ok\n"));
    EXPECT_TRUE(one.closed());
}

TEST_F(AdminServerTest, ARequestWithABodyIsAnsweredWithoutReadingIt) {
    Client one = client();
    one.send("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + std::string(1000, 'x'));
    const std::string response = one.response();
    EXPECT_TRUE(response.starts_with("HTTP/1.1 405 ")) << response;
    EXPECT_NE(response.find("Allow: GET, HEAD\r\n"), std::string::npos);
    EXPECT_TRUE(one.closed());
}

TEST_F(AdminServerTest, RefusesWhatIsNoHttpAndWhatIsTooLong) {
    EXPECT_TRUE(ask("GET /healthz HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
    EXPECT_TRUE(ask("\x16\x03\x01\x02 hello\r\n\r\n").starts_with("HTTP/1.1 400 "));
    EXPECT_TRUE(
        ask("GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + std::string(kHeadBytesMax, 'x')).starts_with("HTTP/1.1 431 "));
    EXPECT_TRUE(ask("GET /healthz HTTP/1.1\r\nHost: a\r\nX: " + std::string(kHeadBytesMax, 'x') + "\r\n\r\n")
                    .starts_with("HTTP/1.1 431 "));
}

TEST_F(AdminServerTest, AScraperThatDoesNotReadHoldsNobodyUp) {
    control_.metrics_bytes = 4 * 1024 * 1024;
    Client slow(server_.endpoint(), 4096);
    for (int i = 0; i < 50; ++i) slow.send(kMetrics);
    control_.metrics_bytes = 10;
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(ask(kHealthz).ends_with("ok\n"));
}

TEST_F(AdminServerTest, ASlowScraperGetsAllOfItsAnswersInTheEnd) {
    control_.metrics_bytes = 1024 * 1024;
    Client slow(server_.endpoint(), 4096);
    for (int i = 0; i < 5; ++i) slow.send(kMetrics);
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(slow.response().ends_with("mmm\n")) << i;
}

TEST_F(AdminServerTest, RefusesConnectionsBeyondItsBoundAndTakesNewOnesLater) {
    std::deque<Client> clients;
    for (std::size_t i = 0; i < kConnectionsMax; ++i) {
        clients.push_back(client());
        clients.back().send(kHealthz);
        ASSERT_TRUE(clients.back().response().ends_with("ok\n"));
    }
    Client refused = client();
    EXPECT_TRUE(refused.response().starts_with("HTTP/1.1 503 "));
    EXPECT_TRUE(refused.closed());
    clients[0].send("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    static_cast<void>(clients[0].response());
    ASSERT_TRUE(clients[0].closed());
    clients.pop_front();
    // The server learns of the end in its own time; until then it may refuse.
    bool served = false;
    for (int tries = 0; tries < 1000 && !served; ++tries) served = ask(kHealthz).ends_with("ok\n");
    EXPECT_TRUE(served);
}

TEST_F(AdminServerTest, AHeadThatDoesNotEndIsAnsweredWithATimeout) {
    Client one = client();
    one.send("GET /healthz HTTP/1.1\r\nHost: ");
    // The server reads in order: when a later connection is answered, the piece above has been seen.
    EXPECT_TRUE(ask(kHealthz).ends_with("ok\n"));
    clock_.advance(kHeadTime + 1s);
    EXPECT_TRUE(one.response().starts_with("HTTP/1.1 408 "));
    EXPECT_TRUE(one.closed());
}

TEST_F(AdminServerTest, AnIdleConnectionIsClosed) {
    Client one = client();
    one.send(kHealthz);
    EXPECT_TRUE(one.response().ends_with("ok\n"));
    clock_.advance(kIdleTime + 2s);
    EXPECT_TRUE(one.closed());
}

TEST_F(AdminServerTest, StopsWithConnectionsOpenAndStartsAgain) {
    Client one = client();
    one.send(kHealthz);
    EXPECT_TRUE(one.response().ends_with("ok\n"));
    server_.stop();
    EXPECT_TRUE(one.closed());
    EXPECT_FALSE(Client(server_.endpoint()).connected());
    server_.stop();  // again: nothing
    ASSERT_TRUE(server_.start().has_value());
    EXPECT_TRUE(ask(kHealthz).ends_with("ok\n"));
}

TEST(AdminServer, ServesAUnixSocket) {
    FakeControl control;
    SystemClock clock;
    SilentLogger logger;
    char directory[] = "/tmp/weir-admin-test-XXXXXX";
    ASSERT_NE(::mkdtemp(static_cast<char*>(directory)), nullptr);
    {
        const net::Endpoint endpoint{.address = {}, .port = 0, .unix_path = std::string(directory) + "/admin.sock"};
        AdminServer server(endpoint, control, clock, logger);
        ASSERT_TRUE(server.start().has_value());
        Client client(server.endpoint());
        ASSERT_TRUE(client.connected());
        client.send(kHealthz);
        EXPECT_TRUE(client.response().ends_with("ok\n"));
    }
    std::filesystem::remove_all(directory);
}

TEST(AdminServer, AnAddressThatOthersCanReachNeedsAToken) {
    FakeControl control;
    SystemClock clock;
    SilentLogger logger;
    AdminServer open(*net::Endpoint::parse("0.0.0.0:0"), control, clock, logger);
    const Result<void> refused = open.start();
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::kForbidden);

    AdminServer guarded(*net::Endpoint::parse("0.0.0.0:0"), control, clock, logger, {.bearer_token = "s3cret"});
    ASSERT_TRUE(guarded.start().has_value());
    Client client(guarded.endpoint());
    client.send(kMetrics);
    EXPECT_TRUE(client.response().starts_with("HTTP/1.1 401 "));
}

TEST(AdminServer, SaysWhenItsAddressIsTaken) {
    FakeControl control;
    SystemClock clock;
    SilentLogger logger;
    AdminServer one(*net::Endpoint::parse("127.0.0.1:0"), control, clock, logger);
    ASSERT_TRUE(one.start().has_value());
    AdminServer two(one.endpoint(), control, clock, logger);
    EXPECT_FALSE(two.start().has_value());
}

TEST(AdminServer, KnowsWhichAddressesAreLocal) {
    for (const char* local : {"127.0.0.1:1", "127.8.8.8:1", "[::1]:1", "unix:/run/weir.sock"}) {
        EXPECT_TRUE(is_local(*net::Endpoint::parse(local))) << local;
    }
    for (const char* other : {"0.0.0.0:1", "[::]:1", "10.0.0.1:1", "*:1"}) {
        EXPECT_FALSE(is_local(*net::Endpoint::parse(other))) << other;
    }
}

}  // namespace
}  // namespace weir::admin
