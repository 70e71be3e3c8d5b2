// MessageOperations: what a message counts as, what its client is told, and how many subscriptions there may be.
#include "gateway/message_operations.h"

#include <gtest/gtest.h>
#include <string>

namespace weir::gateway {
namespace {

class MessageOperationsTest : public testing::Test {
  protected:
    MessageOperationsTest() {
        std::vector<std::string> problems;
        limits_ = policy::LimitTable::build({}, problems);
        EXPECT_TRUE(problems.empty());
        config::GraphqlRoute graphql;
        auto& rules = graphql.rules;
        rules.query = rules.subscription = rules.lists.add({limits_.find("READ_MEDIUM")});
        rules.mutation = rules.lists.add({limits_.find("WRITE_MEDIUM")});
        static_cast<void>(rules.mutation_fields.add("login", rules.lists.add({limits_.find("AUTH_LOGIN")})));
        graphql.subscriptions_max = 2;
        graphql_.graphql = std::move(graphql);
        config::CallRoute calls;
        calls.rules.otherwise = calls.rules.lists.add({limits_.find("READ_MEDIUM")});
        static_cast<void>(calls.rules.methods.add("heavy", calls.rules.lists.add({limits_.find("READ_HEAVY")})));
        static_cast<void>(calls.rules.methods.add("free", policy::kUncounted));
        jsonrpc_.jsonrpc = std::move(calls);
        verdict_.limit = &limits_.at(limits_.find("READ_MEDIUM"));
        rule_.rate = {10, std::chrono::minutes(1)};
        verdict_.rule = &rule_;
        verdict_.decision = {.allowed = false, .limit = 10, .remaining = 0, .retry_after = std::chrono::seconds(7)};
    }

    // "other"; "operation READ_MEDIUM*2 WRITE_MEDIUM", "-" for what no limit covers; "refused: ANSWER".
    std::string read(MessageOperations& operations, std::string_view text, bool complete = true) {
        padded_ = text;
        padded_.append(policy::kJsonPadding, '\0');
        const policy::MessageView view{.content = std::string_view(padded_).substr(0, complete ? text.size() : 0),
                                       .complete = complete,
                                       .binary = false,
                                       .size_least = text.size()};
        const auto reading = operations.read(view, judge_, limits_, policy::kAuthenticated);
        if (reading.kind == MessageKind::kOther) return "other";
        if (reading.kind == MessageKind::kRefused) return "refused: " + reading.answer;
        std::string out = "operation";
        for (const RuleUse& use : reading.uses) {
            out += ' ';
            if (use.rule == policy::kUncounted) {
                out += '-';
                continue;
            }
            for (const policy::LimitId id : operations.lists().all()[use.rule]) out += limits_.at(id).name;
            if (use.events > 1) out += "*" + std::to_string(use.events);
        }
        return out;
    }
    std::string pass(MessageOperations& operations, std::string_view text) {
        const std::string said = read(operations, text);
        if (!said.starts_with("refused")) operations.passed();
        return said;
    }
    void hear(MessageOperations& operations, std::string_view text) {
        padded_ = text;
        padded_.append(policy::kJsonPadding, '\0');
        const std::string_view view = std::string_view(padded_).substr(0, text.size());
        if (MessageOperations::may_end(view)) operations.on_server_message(view, judge_);
    }
    static std::string subscription(const std::string& id) {
        return R"({"type":"subscribe","id":")" + id + R"(","payload":{"query":"subscription { ticks }"}})";
    }

    policy::LimitTable limits_;
    config::WebsocketRoute graphql_;
    config::WebsocketRoute jsonrpc_;
    OperationJudge judge_;
    limit::BucketRule rule_;
    policy::Verdict verdict_;
    std::string padded_;
};

constexpr const char* kTooMany =
    R"(refused: {"type": "error", "id": "c", "payload": [{"message": "Too many subscriptions: at most 2 at once", )"
    R"("extensions": {"code": "TOO_MANY_SUBSCRIPTIONS"}}]})";

TEST_F(MessageOperationsTest, CountsAnOperationByItsRootFields) {
    MessageOperations operations(graphql_, "graphql-transport-ws", true);
    EXPECT_EQ(read(operations, R"({"type":"subscribe","id":"1","payload":{"query":"{ a b: a c }"}})"),
              "operation READ_MEDIUM*2 READ_MEDIUM");
    EXPECT_EQ(read(operations, R"({"type":"subscribe","id":"1","payload":{"query":"mutation { login x }"}})"),
              "operation AUTH_LOGIN WRITE_MEDIUM");
    EXPECT_EQ(read(operations, R"({"type":"start","id":"1","payload":{"query":"mutation { x }"}})"),
              "operation WRITE_MEDIUM");
    EXPECT_EQ(read(operations, R"({"type":"connection_init"})"), "other");
    EXPECT_EQ(read(operations, R"({"type":"complete","id":"1"})"), "other");
    EXPECT_EQ(read(operations, "hello"), "other");
}

TEST_F(MessageOperationsTest, CountsWhatCannotBeJudgedUnderTheStrictestRule) {
    MessageOperations operations(graphql_, "", true);
    EXPECT_EQ(read(operations, R"({"type":"subscribe","type":"ping"})"), "operation AUTH_LOGIN");
    EXPECT_EQ(read(operations, R"({"type":"subscribe",})"), "operation AUTH_LOGIN");
    EXPECT_EQ(read(operations, R"({"type":"subscribe"})", false), "operation AUTH_LOGIN");
    EXPECT_EQ(read(operations, R"({"type":"subscribe","id":"1","payload":{"id":"unknown"}})"), "operation AUTH_LOGIN");
    EXPECT_EQ(operations.denied(verdict_).has_value(), true);
    static_cast<void>(read(operations, R"({"type":"subscribe"})", false));
    EXPECT_EQ(operations.denied(verdict_), std::nullopt);
}

TEST_F(MessageOperationsTest, RefusesWhatNoServerShouldRun) {
    MessageOperations operations(graphql_, "graphql-transport-ws", true);
    const std::string syntax = read(operations, R"({"type":"subscribe","id":"1","payload":{"query":"{ a"}})");
    EXPECT_TRUE(syntax.starts_with(R"(refused: {"type": "error", "id": "1", "payload": [{"message": "Syntax error: )"))
        << syntax;
    EXPECT_TRUE(syntax.ends_with(R"("locations": [{"line": 1, "column": 4}], )"
                                 R"("extensions": {"code": "GRAPHQL_PARSE_FAILED"}}]})"))
        << syntax;
    for (const char* payload :
         {R"(,"payload":{"query":"{a ...F} fragment F on Q {...F}"})", R"(,"payload":[{"query":"{a}"}])",
          R"(,"payload":{"query":"{a}","query":"{b}"})", R"(,"payload":null)", ""}) {
        const std::string said = read(operations, std::string(R"({"type":"subscribe","id":"1")") + payload + "}");
        EXPECT_TRUE(said.starts_with(R"(refused: {"type": "error", "id": "1", "payload": [{"message": )")) << said;
        EXPECT_TRUE(said.ends_with(R"("extensions": {"code": "BAD_REQUEST"}}]})")) << said;
    }
}

TEST_F(MessageOperationsTest, AnswersInTheProtocolThatWasNegotiated) {
    constexpr const char* kSubscribe = R"({"type":"subscribe","id":"\u0061","payload":{"query":"{a}"}})";
    constexpr const char* kStart = R"({"type":"start","id":7,"payload":{"query":"{a}"}})";
    const std::string error = policy::graphql_error(verdict_);
    const auto denied = [&](const char* subprotocol, const char* message) {
        MessageOperations operations(graphql_, subprotocol, true);
        static_cast<void>(read(operations, message));
        return *operations.denied(verdict_);
    };
    const std::string list = R"({"type": "error", "id": "\u0061", "payload": [)" + error + "]}";
    EXPECT_EQ(denied("graphql-transport-ws", kSubscribe), list);
    EXPECT_EQ(denied("", kSubscribe), list);
    EXPECT_EQ(denied("graphql-ws", kStart), R"({"type": "error", "id": 7, "payload": )" + error + "}");
    EXPECT_EQ(denied("another", kStart), R"({"type": "error", "id": 7, "payload": )" + error + "}");
}

TEST_F(MessageOperationsTest, BoundsTheSubscriptionsThatAreActive) {
    MessageOperations operations(graphql_, "graphql-transport-ws", true);
    EXPECT_FALSE(operations.watches_server());
    EXPECT_EQ(pass(operations, subscription("a")), "operation READ_MEDIUM");
    EXPECT_TRUE(operations.watches_server());
    EXPECT_EQ(read(operations, subscription("b")), "operation READ_MEDIUM");  // denied: it does not count
    EXPECT_EQ(pass(operations, subscription("b")), "operation READ_MEDIUM");
    EXPECT_EQ(pass(operations, subscription("c")), kTooMany);
    EXPECT_EQ(pass(operations, subscription("b")), "operation READ_MEDIUM") << "it replaces the one before";
    EXPECT_EQ(pass(operations, R"({"type":"subscribe","id":"c","payload":{"query":"{ a }"}})"),
              "operation READ_MEDIUM");
    hear(operations, R"({"type":"next","id":"a","payload":{"data":{"state":"complete"}}})");
    hear(operations, R"({"type":"complete","id":"c"})");
    EXPECT_EQ(operations.subscriptions().count(), 2U);
    hear(operations, R"({"type":"complete","id":"a"})");
    EXPECT_EQ(pass(operations, subscription("c")), "operation READ_MEDIUM");
    EXPECT_EQ(pass(operations, subscription("d")).substr(0, 7), "refused");
    hear(operations, R"({"type":"error","id":"c","payload":[{"message":"no"}]})");
    EXPECT_EQ(pass(operations, subscription("c")), "operation READ_MEDIUM");
    EXPECT_EQ(pass(operations, R"({"type":"stop","id":"c"})"), "other") << "the other protocol's message ends nothing";
    EXPECT_EQ(pass(operations, subscription("d")).substr(0, 7), "refused");
    EXPECT_EQ(read(operations, R"({"type":"complete","id":"c"})"), "other") << "denied: the server does not hear it";
    EXPECT_EQ(pass(operations, subscription("d")).substr(0, 7), "refused");
    EXPECT_EQ(pass(operations, R"({"type":"complete","id":"c"})"), "other");
    EXPECT_EQ(pass(operations, subscription("d")), "operation READ_MEDIUM");
}

TEST_F(MessageOperationsTest, CountsAsASubscriptionWhatMayBeOne) {
    MessageOperations operations(graphql_, "graphql-ws", true);
    EXPECT_EQ(pass(operations, R"({"type":"start","id":"1","payload":{"documentId":"x"}})"), "operation AUTH_LOGIN");
    EXPECT_EQ(pass(operations, R"({"type":"start","type":"ping"})"), "operation AUTH_LOGIN");
    EXPECT_EQ(operations.subscriptions().count(), 2U);
    EXPECT_EQ(pass(operations, R"({"type":"start","type":"ping"})").substr(0, 7), "refused");
    EXPECT_EQ(pass(operations, R"({"type":"stop","id":"1"})"), "other");
    EXPECT_EQ(operations.subscriptions().count(), 1U);
}

TEST_F(MessageOperationsTest, BoundsNothingWhereTheServerCannotBeSeen) {
    MessageOperations operations(graphql_, "graphql-transport-ws", false);
    for (int i = 0; i < 5; ++i) EXPECT_EQ(pass(operations, subscription(std::to_string(i))), "operation READ_MEDIUM");
    EXPECT_FALSE(operations.watches_server());
    EXPECT_EQ(operations.subscriptions().count(), 0U);
}

TEST_F(MessageOperationsTest, CountsCallsByTheirMethods) {
    MessageOperations operations(jsonrpc_, "", true);
    EXPECT_EQ(read(operations, R"({"jsonrpc":"2.0","id":1,"method":"heavy"})"), "operation READ_HEAVY");
    EXPECT_EQ(read(operations, R"([{"id":1,"method":"x"},{"id":"b","method":"free"},{"method":"heavy"}])"),
              "operation READ_MEDIUM - READ_HEAVY");
    EXPECT_EQ(read(operations, R"({"jsonrpc":"2.0","id":1,"result":2})"), "other");
    EXPECT_EQ(read(operations, "ping"), "other");
    EXPECT_EQ(read(operations, R"({"id":1,"method":"free","method":"heavy"})"), "operation READ_HEAVY");
    EXPECT_EQ(read(operations, "{}", false), "operation READ_HEAVY");
    std::string batch = "[1";
    for (std::size_t i = 0; i < protocol::jsonrpc::kBatchCallsMax; ++i) batch += ",1";
    EXPECT_EQ(read(operations, batch + "]"),
              R"(refused: {"jsonrpc": "2.0", "id": null, "error": {"code": -32600, "message": )"
              R"("a JSON-RPC batch of too many calls"}})");
}

TEST_F(MessageOperationsTest, AnswersDeniedCallsUnderTheirIds) {
    MessageOperations operations(jsonrpc_, "", true);
    const auto denied = [&](std::string_view text) {
        static_cast<void>(read(operations, text));
        padded_.assign(padded_.size(), 'x');  // a store has answered late: the message is gone
        return operations.expects_answer() ? *operations.denied(verdict_) : "nobody waits";
    };
    const auto of = [](const std::string& id) {
        return R"({"jsonrpc": "2.0", "id": )" + id +
               R"(, "error": {"code": 429, "message": "Rate limit exceeded: Max 10 requests per minute. Please try )"
               R"(again later.", "data": {"limit": 10, "remaining": 0, "retry_after": 7, "group": "read_medium"}}})";
    };
    EXPECT_EQ(denied(R"({"jsonrpc":"2.0","id":"\u0061","method":"x"})"), of(R"("\u0061")"));
    EXPECT_EQ(denied(R"([{"id":1,"method":"x"},{"method":"note"},{"id":"b","method":"y"}])"),
              "[" + of("1") + ", " + of("\"b\"") + "]");
    EXPECT_EQ(denied(R"([{"method":"note"}])"), "nobody waits");
    EXPECT_EQ(denied(R"({"method":"note"})"), "nobody waits");
    EXPECT_EQ(denied(R"({"id":1,"method":"x","method":"y"})"), of("null"));
    jsonrpc_.jsonrpc->mcp = true;
    const std::string tool = denied(R"({"id":1,"method":"tools/call","params":{"name":"x"}})");
    EXPECT_TRUE(tool.starts_with(R"({"jsonrpc": "2.0", "id": 1, "result": {"content": )")) << tool;
}

}  // namespace
}  // namespace weir::gateway
