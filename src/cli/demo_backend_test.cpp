// The demo's backend over real sockets of 127.0.0.1: what it answers, and that nothing it is sent can hurt it.
#include "cli/demo_backend.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <string>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>

#include "cli/demo.h"
#include "cli/web_files.h"
#include "config/load.h"

namespace weir::cli {
namespace {

class Client {
  public:
    explicit Client(std::uint16_t port) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval patience{.tv_sec = 10, .tv_usec = 0};
        ::setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
        if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
            throw std::runtime_error("connect failed");
        }
    }
    ~Client() { ::close(socket_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    void send(std::string_view bytes) { ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL); }
    void end() { ::shutdown(socket_, SHUT_WR); }
    // What came, up to and with `mark`; what comes behind it is kept for the next call.
    std::string read_until(std::string_view mark) {
        while (kept_.find(mark) == std::string::npos && receive()) {
        }
        const std::size_t at = std::min(kept_.size(), kept_.find(mark) + mark.size());
        std::string taken = kept_.substr(0, at);
        kept_.erase(0, at);
        return taken;
    }
    std::string read_to_end() {
        while (receive()) {
        }
        return std::exchange(kept_, {});
    }

  private:
    bool receive() {
        char bytes[4096];
        const ssize_t n = ::recv(socket_, bytes, sizeof(bytes), 0);
        if (n > 0) kept_.append(bytes, static_cast<std::size_t>(n));
        return n > 0;
    }

    int socket_;
    std::string kept_;
};

class DemoBackendTest : public testing::Test {
  protected:
    DemoBackendTest() {
        auto made = DemoBackend::create(net::ReactorKind::kEpoll, clock_);
        if (!made) throw std::runtime_error("no backend");
        backend_ = std::move(*made);
        thread_ = std::thread([this] { backend_->run(); });
    }
    ~DemoBackendTest() override {
        backend_->stop();
        thread_.join();
    }
    [[nodiscard]] std::uint16_t port() const { return backend_->endpoint().port; }

    SystemClock clock_;
    std::unique_ptr<DemoBackend> backend_;
    std::thread thread_;
};

constexpr std::string_view kHandshake =
    "GET /ws/chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
constexpr std::string_view kHello = R"({"type": "hello"})";

std::string text_frame(std::string_view text) {
    return protocol::ws::client_frame(protocol::ws::Opcode::kText, text, {1, 2, 3, 4});
}

TEST_F(DemoBackendTest, AnswersThePageAndItsFiles) {
    for (const std::string path : {"/", "/demo.css", "/demo.js"}) {
        Client client(port());
        client.send("GET " + path + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        const std::string answer = client.read_to_end();
        EXPECT_TRUE(answer.starts_with("HTTP/1.1 200 OK\r\n")) << path;
        EXPECT_NE(answer.find("Content-Security-Policy: default-src 'none'"), std::string::npos);
    }
}

TEST_F(DemoBackendTest, AnswersManyRequestsOnOneConnectionInOrder) {
    Client client(port());
    client.send(
        "GET /budget/messages HTTP/1.1\r\nHost: h\r\n\r\nHEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
        "GET /none HTTP/1.1\r\nHost: h\r\n\r\nPOST / HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK"));
    EXPECT_FALSE(client.read_until("added.\n").empty());
    EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 200 OK"));
    EXPECT_TRUE(client.read_until("\r\n\r\n").starts_with("HTTP/1.1 404 Not Found"));
    EXPECT_FALSE(client.read_until("page.\n").empty());
    EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 405 "));
}

TEST_F(DemoBackendTest, SaysHelloAndEchoesWithItsOwnCount) {
    Client client(port());
    client.send(std::string(kHandshake) + text_frame("one \"quoted\""));  // a frame behind the head
    EXPECT_TRUE(client.read_until(kHello).starts_with("HTTP/1.1 101 "));
    EXPECT_TRUE(client.read_until("\"}").ends_with(R"({"type": "chat", "n": 1, "text": "one \"quoted\""})"));
    const std::string again = text_frame("two");
    for (const char byte : again) client.send(std::string_view(&byte, 1));
    EXPECT_TRUE(client.read_until("two\"}").ends_with(R"({"type": "chat", "n": 2, "text": "two"})"));
}

TEST_F(DemoBackendTest, JoinsFragmentsAndAnswersPingsBetweenThem) {
    using protocol::ws::Opcode;
    Client client(port());
    client.send(kHandshake);
    client.read_until(kHello);
    std::string first = text_frame("fr");
    first[0] = 0x01;
    client.send(first + protocol::ws::client_frame(Opcode::kPing, "p", {}) +
                protocol::ws::client_frame(Opcode::kContinuation, "ag", {}));
    EXPECT_EQ(client.read_until("p"), std::string("\x8A\x01p"));
    EXPECT_TRUE(client.read_until("frag\"}").ends_with(R"("text": "frag"})"));
}

TEST_F(DemoBackendTest, EchoesACloseAndEnds) {
    Client client(port());
    client.send(kHandshake);
    client.read_until(kHello);
    client.send(protocol::ws::client_frame(protocol::ws::Opcode::kClose, protocol::ws::close_payload(1000, "bye"), {}));
    EXPECT_EQ(client.read_to_end(), std::string("\x88\x05\x03\xE8") + "bye");
}

TEST_F(DemoBackendTest, ClosesBrokenAndEndlessMessages) {
    struct Case {
        std::string bytes;
        std::string close;
    };
    const std::string start = "\x01\x80" + std::string(4, '\0');  // a fragment
    std::string endless = start;
    for (int n = 0; n < 5; ++n) {
        std::string piece = protocol::ws::client_frame(protocol::ws::Opcode::kContinuation, std::string(4096, 'x'), {});
        piece[0] = 0x00;
        endless += piece;
    }
    const Case cases[] = {
        {"\x81\x01x", "\x03\xEA"},                                             // not masked
        {start + text_frame("x"), "\x03\xEA"},                                 // a message inside a message
        {std::string("\x80\x80\0\0\0\0", 6), "\x03\xEA"},                      // a continuation of nothing
        {std::string("\x88\x81\0\0\0\0x", 7), "\x03\xEA"},                     // a Close of one byte
        {std::string("\x82\xFF\0\0\0\x01\0\0\0\0", 10) + "mask", "\x03\xF1"},  // 4 GiB
        {endless, "\x03\xF1"},
    };
    for (const Case& broken : cases) {
        Client client(port());
        client.send(kHandshake);
        client.read_until(kHello);
        client.send(broken.bytes);
        const std::string answer = client.read_to_end();
        EXPECT_EQ(answer.substr(0, 1) + answer.substr(2, 2), "\x88" + broken.close);
    }
}

TEST_F(DemoBackendTest, RefusesNonsenseAndEndlessHeads) {
    for (const std::string& bytes :
         {std::string("nonsense\r\n\r\n"), "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(70'000, 'x'),
          std::string("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n"),
          std::string("GET /ws/chat HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")}) {
        Client client(port());
        client.send(bytes);
        const std::string answer = client.read_to_end();
        // With bytes that nobody read, the answer may be lost in a reset; the connection ends all the same.
        EXPECT_TRUE(answer.empty() || answer.starts_with("HTTP/1.1 4")) << answer;
    }
    Client client(port());
    client.send("GET / HTTP/1.0\r\n\r\n");
    EXPECT_TRUE(client.read_to_end().starts_with("HTTP/1.1 200 OK"));
}

TEST_F(DemoBackendTest, ServesAClientThatHasEndedItsSide) {
    Client client(port());
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    client.end();
    EXPECT_TRUE(client.read_to_end().ends_with("</html>\n"));
}

TEST(DemoConfiguration, Loads) {
    config::Sources sources;
    sources.text = demo_configuration(0, 4321);
    const config::Loaded loaded = config::load(sources);
    for (const auto& problem : loaded.problems) ADD_FAILURE() << problem.to_string();
    ASSERT_NE(loaded.config, nullptr);
    EXPECT_EQ(loaded.config->routes.size(), 4U);
}

TEST(WebFiles, AreEmbeddedWhole) {
    ASSERT_EQ(web_files().size(), 3U);
    for (const WebFile& file : web_files()) {
        EXPECT_FALSE(file.content_type.empty());
        EXPECT_EQ(file.bytes.find("https:"
                                  "//"),
                  std::string_view::npos)
            << "the page uses no network";
    }
    EXPECT_TRUE(web_files()[0].bytes.starts_with("<!doctype html>"));
    EXPECT_TRUE(web_files()[0].bytes.ends_with("</html>\n"));
}

}  // namespace
}  // namespace weir::cli
