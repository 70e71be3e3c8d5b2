// What the simulation has found in the gateway, each by itself and on a calm network.
#include <gtest/gtest.h>

#include "config/load.h"
#include "gateway/worker.h"
#include "net/simulated_network.h"
#include "net/test_names.h"
#include "protocol/http/date.h"
#include "protocol/ws/handshake.h"
#include "wire.h"

namespace weir::sim {
namespace {

constexpr const char* kKey = "dGhlIHNhbXBsZSBub25jZQ==";
const net::Endpoint kFront = *net::Endpoint::parse("127.0.0.1:8080");
const net::Endpoint kBack = *net::Endpoint::parse("10.0.0.1:80");

class QuietLog final : public log::Logger {
    bool enabled(LogLevel) const override { return false; }
    void write(LogLevel, std::string_view, std::initializer_list<log::LogField>) override {}
    void set_level(LogLevel) override {}
    void flush() override {}
};

// One client, one backend that accepts a WebSocket and says nothing, and the gateway between them.
class GatewayRegression : public testing::Test {
  protected:
    void open(const std::string& websocket_options) {
        config::Sources sources;
        sources.text =
            "upstreams: {app: \"http://10.0.0.1:80\"}\nlimits: {M: {rate: 2/m, algorithm: fixed_window}}\n"
            "routes: [{path: /ws, websocket: {messages: [{limit: M}], " +
            websocket_options + "}}]\n";
        const auto loaded = config::load(sources);
        ASSERT_TRUE(loaded.config != nullptr);
        shared_.adopt(std::make_shared<const gateway::Snapshot>(loaded.config, HashKey{1, 2}, 1, metrics_));
        worker_ = std::make_unique<gateway::Worker>(network_.make_reactor(), shared_, names_, 1);
        ASSERT_TRUE(worker_->listen(kFront));
        network_.listen(kBack, [this](net::SimulatedPeer peer) {
            backend_ = peer;
            peer.send(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: " +
                protocol::ws::accept_key(kKey) +
                (deflate_ ? "\r\nSec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover" : "") +
                "\r\n\r\n");
        });
        client_ = network_.connect(kFront);
        client_.send(std::string("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ") +
                     kKey + (deflate_ ? "\r\nSec-WebSocket-Extensions: permessage-deflate" : "") + "\r\n\r\n");
        network_.settle();
        ASSERT_TRUE(client_.received().starts_with("HTTP/1.1 101"));
        (void)client_.take_received();
        (void)backend_.take_received();
    }

    net::SimulatedNetwork network_{{.calm = true}};
    QuietLog log_;
    net::NoNames names_;
    metrics::Registry metrics_;
    limit::BucketTable table_{{.buckets_max = 1024}};
    gateway::Shared shared_{table_, &table_, metrics_, log_, HashKey{1, 2}};
    std::unique_ptr<gateway::Worker> worker_;
    net::SimulatedPeer client_;
    net::SimulatedPeer backend_;
    Rng random_{1};
    bool deflate_ = false;  // client and backend speak permessage-deflate
};

TEST_F(GatewayRegression, ACloseForTooManyDenialsLeavesWhatPassedBeforeItWhole) {
    open("on_limit: {close_after: 1/m}");
    const std::string passes = encode({.payload = "one"}, &random_) + encode({.payload = "two"}, &random_);
    const std::string denied = encode({.payload = "three"}, &random_);
    const std::string ping = encode({.opcode = 9, .payload = "a ping, cut in two"}, &random_);
    client_.send(passes + denied + ping.substr(0, 10));
    network_.settle();
    client_.send(ping.substr(10) + denied + denied);
    network_.settle();
    const std::string heard = backend_.received();
    ASSERT_TRUE(heard.starts_with(passes + ping));
    const auto close = decode(std::string_view(heard).substr(passes.size() + ping.size()));
    ASSERT_TRUE(close);
    EXPECT_EQ(close->frame.opcode, 8U);
    EXPECT_EQ(close_code(close->frame.payload), 1001U);
}

TEST_F(GatewayRegression, OneBigMessageDoesNotKeepItsMemory) {
    deflate_ = true;
    open("max_message_bytes: 8MiB, inspect_bytes: 128");
    // Compressed less than zlib can, so that its length is not known before it has been inflated.
    const std::string word = random_text(random_, 1000);
    std::string text;
    while (text.size() < (std::size_t{6} << 20U)) text += word;
    client_.send(encode({.rsv1 = true, .payload = deflate_message(text)}, &random_));
    network_.settle();
    EXPECT_FALSE(backend_.received().empty()) << "it passed";
    EXPECT_LE(worker_->tools().content.capacity(), gateway::kScratchBytesKept);
    EXPECT_LE(worker_->tools().unmasked.capacity(), gateway::kScratchBytesKept);
}

TEST_F(GatewayRegression, AnAnswerOfOurOwnSaysWhen) {
    open("max_message_bytes: 1MiB");
    const auto date_of_404 = [&] {
        net::SimulatedPeer client = network_.connect(kFront);
        client.send("GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
        network_.settle();
        EXPECT_TRUE(client.received().starts_with("HTTP/1.1 404 "));
        const std::size_t at = client.received().find("\r\nDate: ");
        return at == std::string::npos ? "none" : client.received().substr(at + 8, 29);
    };
    const auto now = [&] { return protocol::http::http_date(worker_->reactor().wall_now()); };
    const std::string first = date_of_404();
    EXPECT_EQ(first, now());
    network_.advance(std::chrono::seconds(61));
    EXPECT_EQ(date_of_404(), now());
    EXPECT_NE(now(), first);
}

}  // namespace
}  // namespace weir::sim
