// GraphQL and JSON-RPC inside a WebSocket through the whole gateway, each question by itself and on a calm network:
// what reaches the backend, what the client is told, and when an id is free again.
#include <deque>
#include <gtest/gtest.h>

#include "config/load.h"
#include "gateway/worker.h"
#include "net/simulated_network.h"
#include "net/test_names.h"
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

// Answers at once, or when it is told to.
class PatientStore final : public limit::Store {
  public:
    std::optional<Result<void>> take(std::span<const limit::Take> takes, MonoTime now,
                                     std::span<limit::Decision> decisions, limit::TakeWaiter& waiter) override {
        if (!waits) {
            table.take_now(takes, now, decisions);
            return Result<void>();
        }
        waiting.push_back({{takes.begin(), takes.end()}, now, decisions, &waiter});
        return std::nullopt;
    }
    std::optional<Result<void>> peek(std::span<const limit::Take> takes, MonoTime now,
                                     std::span<limit::Decision> decisions, limit::TakeWaiter&) override {
        table.peek_now(takes, now, decisions);
        return Result<void>();
    }
    void answer_one() {
        const Waiting one = std::move(waiting.front());
        waiting.pop_front();
        table.take_now(one.takes, one.now, one.decisions);
        one.waiter->on_taken({});
    }
    struct Waiting {
        std::vector<limit::Take> takes;
        MonoTime now;
        std::span<limit::Decision> decisions;
        limit::TakeWaiter* waiter;
    };
    bool waits = false;
    std::deque<Waiting> waiting;
    limit::BucketTable table{{.buckets_max = 1024}};
};

class WebsocketOperations : public testing::Test {
  protected:
    // Q: 3/m, M: 1/m, N: 2/m.
    void open(const std::string& websocket, const std::string& subprotocol = "graphql-transport-ws",
              const std::string& deflate = "") {
        config::Sources sources;
        sources.text =
            "upstreams: {app: \"http://10.0.0.1:80\"}\nlimits:\n"
            "  Q: {rate: 3/m, algorithm: fixed_window}\n  M: {rate: 1/m, algorithm: fixed_window}\n"
            "  N: {rate: 2/m, algorithm: fixed_window}\n"
            "routes: [{path: /ws, websocket: {" +
            websocket + "}}]\n";
        const auto loaded = config::load(sources);
        ASSERT_TRUE(loaded.config != nullptr);
        shared_.adopt(std::make_shared<const gateway::Snapshot>(loaded.config, HashKey{1, 2}, 1, metrics_));
        worker_ = std::make_unique<gateway::Worker>(network_.make_reactor(), shared_, names_, 1);
        ASSERT_TRUE(worker_->listen(kFront));
        network_.listen(kBack, [this, subprotocol, deflate](net::SimulatedPeer peer) {
            backend_ = peer;
            peer.send(
                "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Accept: " +
                protocol::ws::accept_key(kKey) +
                (subprotocol.empty() ? "" : "\r\nSec-WebSocket-Protocol: " + subprotocol) +
                (deflate.empty() ? "" : "\r\nSec-WebSocket-Extensions: " + deflate) + "\r\n\r\n");
        });
        client_ = network_.connect(kFront);
        client_.send(std::string("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ") +
                     kKey + (subprotocol.empty() ? "" : "\r\nSec-WebSocket-Protocol: " + subprotocol) +
                     (deflate.empty() ? "" : "\r\nSec-WebSocket-Extensions: permessage-deflate") + "\r\n\r\n");
        network_.settle();
        ASSERT_TRUE(client_.received().starts_with("HTTP/1.1 101"));
        (void)client_.take_received();
        offer_ = backend_.take_received();
    }
    void TearDown() override {
        store_.waits = false;
        while (!store_.waiting.empty()) store_.answer_one();
    }

    std::string frame(const std::string& text, bool compressed = false) {
        return encode({.rsv1 = compressed, .payload = compressed ? deflate_message(text) : text}, &random_);
    }
    // Whether what the client sends reaches the backend as it is, or nothing of it does.
    bool reaches(const std::string& bytes) {
        client_.send(bytes);
        network_.settle();
        const std::string heard = backend_.take_received();
        EXPECT_TRUE(heard.empty() || heard == bytes) << "changed on its way";
        return !heard.empty();
    }
    bool passes(const std::string& text) { return reaches(frame(text)); }
    void backend_says(const std::string& text, bool compressed = false) {
        const std::string bytes =
            encode({.rsv1 = compressed, .payload = compressed ? deflate_message(text) : text}, nullptr);
        backend_.send(bytes);
        network_.settle();
        EXPECT_EQ(client_.take_received(), bytes);
    }
    // The one message that the client has received.
    std::string told() {
        const std::string bytes = client_.take_received();
        const auto decoded = decode(bytes);
        if (!decoded) return "";
        EXPECT_EQ(decoded->size, bytes.size());
        return decoded->frame.payload;
    }
    // Where one subscription may be active.
    void check_that_an_id_is_freed(bool compressed) {
        EXPECT_TRUE(passes(operation("a", "subscription { a }")));
        EXPECT_FALSE(passes(operation("b", "subscription { a }")));
        EXPECT_NE(told().find("TOO_MANY_SUBSCRIPTIONS"), std::string::npos);
        backend_says(R"({"type":"next","id":"a","payload":{"data":{"a":"complete"}}})", compressed);
        EXPECT_FALSE(passes(operation("b", "subscription { a }")));
        EXPECT_NE(told(), "");
        backend_says(R"({"type":"complete","id":"a"})", compressed);
        EXPECT_TRUE(passes(operation("b", "subscription { a }")));
        EXPECT_TRUE(passes(R"({"type":"complete","id":"b"})"));
        EXPECT_TRUE(passes(operation("c", "subscription { a }")));
    }
    static std::string operation(const std::string& id, const std::string& query) {
        return R"({"type":"subscribe","id":")" + id + R"(","payload":{"query":")" + query + R"("}})";
    }

    net::SimulatedNetwork network_{{.calm = true}};
    QuietLog log_;
    net::NoNames names_;
    metrics::Registry metrics_;
    PatientStore store_;
    gateway::Shared shared_{store_, &store_.table, metrics_, log_, HashKey{1, 2}};
    std::unique_ptr<gateway::Worker> worker_;
    net::SimulatedPeer client_;
    net::SimulatedPeer backend_;
    std::string offer_;  // the head that the backend received
    Rng random_{1};
};

constexpr const char* kGraphql = "graphql: {query: Q, mutation: M, bounds: {subscriptions: 1}}";

TEST_F(WebsocketOperations, CountsEachRootFieldAndDropsWhatIsDenied) {
    open(kGraphql);
    EXPECT_TRUE(passes(R"({"type":"connection_init"})"));
    EXPECT_TRUE(passes(operation("1", "{ a b: a }")));
    EXPECT_FALSE(passes(operation("2", "{ a b }")));
    const std::string denied = told();
    EXPECT_TRUE(denied.starts_with(R"({"type": "error", "id": "2", "payload": [{"message": "Limit exceeded: Max 3 )"))
        << denied;
    EXPECT_TRUE(passes(operation("3", "{ a }"))) << "what was denied has taken nothing";
    EXPECT_FALSE(passes(operation("4", "{ a }")));
    EXPECT_NE(told(), "");
    EXPECT_TRUE(passes(operation("5", "mutation { x }")));
    EXPECT_FALSE(passes(operation("6", "mutation { x }")));
    EXPECT_TRUE(passes(R"({"type":"ping"})"));
}

TEST_F(WebsocketOperations, AreJudgedFragmentedAndCompressedAndInBinary) {
    open(kGraphql, "graphql-transport-ws", "permessage-deflate; server_no_context_takeover");
    EXPECT_NE(offer_.find("permessage-deflate; server_no_context_takeover"), std::string::npos) << offer_;
    const std::string text = operation("1", "mutation { x }");
    EXPECT_TRUE(reaches(frame(text, true)));
    EXPECT_FALSE(reaches(frame(text, true)));
    EXPECT_NE(told(), "");
    EXPECT_FALSE(reaches(encode({.opcode = 2, .payload = text}, &random_)));
    EXPECT_NE(told(), "");
    EXPECT_FALSE(reaches(encode({.fin = false, .payload = text.substr(0, 9)}, &random_) +
                         encode({.opcode = 0, .payload = text.substr(9)}, &random_)));
    EXPECT_NE(told(), "");
    const std::string bytes = frame(text, true);
    for (const char byte : bytes) {
        client_.send(std::string(1, byte));
        network_.settle();
    }
    EXPECT_EQ(backend_.take_received(), "");
    EXPECT_NE(told(), "");
}

TEST_F(WebsocketOperations, FreeAnIdWhenTheBackendEndsIt) {
    open(kGraphql);
    check_that_an_id_is_freed(false);
}

TEST_F(WebsocketOperations, FreeAnIdWhenTheBackendEndsItInACompressedMessage) {
    open(kGraphql, "graphql-transport-ws", "permessage-deflate; server_no_context_takeover");
    check_that_an_id_is_freed(true);
}

TEST_F(WebsocketOperations, HaveNoBoundWhereTheBackendKeepsItsCompressionContext) {
    open(kGraphql, "graphql-transport-ws", "permessage-deflate");
    EXPECT_TRUE(passes(operation("a", "subscription { a }")));
    EXPECT_TRUE(passes(operation("b", "subscription { a }")));
}

TEST_F(WebsocketOperations, ReachNobodyWhenTheyAreMalformed) {
    open(kGraphql + std::string(", on_limit: {close_after: 1/m}"));
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(passes(operation("1", "{ a")));
        EXPECT_NE(told().find("GRAPHQL_PARSE_FAILED"), std::string::npos);
    }
    EXPECT_TRUE(passes(operation("1", "{ a b c }"))) << "nothing was counted, and nothing counts as a denial";
}

TEST_F(WebsocketOperations, LeaveOtherMessagesToTheRulesOnMessages) {
    open("graphql: {query: Q}, messages: [{limit: N}]", "graphql-ws");
    EXPECT_TRUE(passes(R"({"type":"start","id":"1","payload":{"query":"{ a b c }"}})"));
    EXPECT_TRUE(passes(R"({"type":"connection_init"})"));
    EXPECT_TRUE(passes("hello"));
    EXPECT_FALSE(passes(R"({"type":"stop","id":"1"})"));
    EXPECT_NE(told().find(R"("type": "RATE_LIMITED")"), std::string::npos);
    EXPECT_FALSE(passes(R"({"type":"start","id":"2","payload":{"query":"{ a }"}})"));
    EXPECT_TRUE(told().starts_with(R"({"type": "error", "id": "2", "payload": {"message": )"));
}

TEST_F(WebsocketOperations, WaitForAStoreThatAnswersLater) {
    open(kGraphql);
    const std::string first = frame(operation("1", "{ a b: a }"));
    const std::string second = frame(operation("2", "{ a c b: a }"));
    const std::string third = frame(operation("3", "subscription { a }"));
    store_.waits = true;
    client_.send(first + second + third);
    network_.settle();
    ASSERT_EQ(store_.waiting.size(), 1U);
    store_.answer_one();
    network_.settle();
    EXPECT_EQ(backend_.take_received(), first);
    ASSERT_EQ(store_.waiting.size(), 1U);
    store_.answer_one();
    network_.settle();
    EXPECT_EQ(backend_.take_received(), "");
    EXPECT_TRUE(told().starts_with(R"({"type": "error", "id": "2", )"));
    ASSERT_EQ(store_.waiting.size(), 1U);
    store_.answer_one();
    network_.settle();
    EXPECT_EQ(backend_.take_received(), third);
    store_.waits = false;
    EXPECT_FALSE(passes(operation("4", "subscription { a }")));
    EXPECT_NE(told().find("TOO_MANY_SUBSCRIPTIONS"), std::string::npos) << "the one that waited is active";
}

TEST_F(WebsocketOperations, CloseAConnectionThatIsDeniedTooOften) {
    open(kGraphql + std::string(", on_limit: {close_after: 1/m}"));
    EXPECT_TRUE(passes(operation("1", "mutation { x }")));
    EXPECT_FALSE(passes(operation("2", "mutation { x }")));
    EXPECT_NE(told(), "");
    client_.send(frame(operation("3", "mutation { x }")));
    network_.settle();
    const std::string bytes = client_.take_received();
    const auto close = decode(bytes);
    ASSERT_TRUE(close);
    EXPECT_EQ(close_code(close->frame.payload), 4029U);
}

TEST_F(WebsocketOperations, AreCallsOfJsonRpc) {
    open("jsonrpc: {default: Q, methods: {heavy: M, free: none}}", "");
    EXPECT_TRUE(passes(R"({"jsonrpc":"2.0","id":1,"method":"heavy"})"));
    EXPECT_FALSE(passes(R"({"jsonrpc":"2.0","id":2,"method":"heavy"})"));
    EXPECT_TRUE(told().starts_with(R"({"jsonrpc": "2.0", "id": 2, "error": {"code": 429, )"));
    EXPECT_FALSE(passes(R"([{"id":3,"method":"heavy"},{"id":4,"method":"x"},{"method":"x"}])"));
    const std::string batch = told();
    EXPECT_TRUE(batch.starts_with(R"([{"jsonrpc": "2.0", "id": 3, )"));
    EXPECT_NE(batch.find(R"(, {"jsonrpc": "2.0", "id": 4, )"), std::string::npos);
    EXPECT_FALSE(passes(R"({"method":"heavy"})"));
    EXPECT_EQ(told(), "") << "nobody waits for an answer";
    EXPECT_FALSE(passes(R"({"id":5,"method":"free","method":"x"})")) << "it can't be judged";
    EXPECT_NE(told(), "");
    EXPECT_TRUE(passes(R"([{"id":6,"method":"x"},{"id":7,"method":"x"},{"id":8,"method":"free"}])"));
    EXPECT_TRUE(passes(R"({"jsonrpc":"2.0","id":9,"result":{}})"));
    EXPECT_TRUE(passes("ping"));
    EXPECT_TRUE(passes(R"({"id":10,"method":"x"})"));
    EXPECT_FALSE(passes(R"({"id":11,"method":"x"})"));
}

}  // namespace
}  // namespace weir::sim
