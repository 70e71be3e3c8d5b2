#include "protocol/jsonrpc/message.h"

#include <gtest/gtest.h>
#include <string>

#include "base/limits.h"
#include "policy/content.h"

namespace weir::protocol::jsonrpc {
namespace {

using namespace std::string_literals;

// What `read` said, kept beyond the reader's next message. "request 1 tools/call(search)", one call a line; else
// "unjudgeable N: REASON" or "refused at N: REASON".
std::string told(const Message& message) {
    if (const auto* unjudgeable = std::get_if<Unjudgeable>(&message))
        return "unjudgeable " + std::to_string(unjudgeable->calls_most) + ": " + std::string(unjudgeable->reason);
    if (const auto* refused = std::get_if<Refused>(&message))
        return "refused at " + std::to_string(refused->position) + ": " + std::string(refused->error.detail);
    const auto& calls = *std::get_if<Calls>(&message);
    static constexpr const char* kKinds[]{"request", "notification", "response", "invalid"};
    std::string text = calls.batch ? "batch" : "";
    for (const Call& call : calls.list) {
        if (!text.empty()) text += '\n';
        text += kKinds[static_cast<std::size_t>(call.kind)];
        text += " " + std::string(call.id_json);
        if (!call.method.empty()) text += " " + std::string(call.method);
        if (call.name) text += "(" + std::string(*call.name) + ")";
    }
    return text;
}

std::string told(std::string_view body) {
    static MessageReader reader;
    std::string padded(body);
    padded.append(policy::kJsonPadding, '\0');
    return told(reader.read(std::string_view(padded).substr(0, body.size())));
}

bool is_unjudgeable(std::string_view body) {
    return told(body).starts_with("unjudgeable");
}

// The examples of the JSON-RPC 2.0 specification, section 7.
TEST(JsonRpcMessage, ReadsTheSpecificationsExamples) {
    EXPECT_EQ(told(R"({"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1})"), "request 1 subtract");
    EXPECT_EQ(told(R"({"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23, "minuend": 42}, "id": 3})"),
              "request 3 subtract");
    EXPECT_EQ(told(R"({"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]})"), "notification null update");
    EXPECT_EQ(told(R"({"jsonrpc": "2.0", "result": 19, "id": 1})"), "response 1");
    EXPECT_EQ(told(R"({"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "1"})"),
              R"(response "1")");
    EXPECT_EQ(told("[]"), "batch\ninvalid null");
    EXPECT_EQ(told("[1,2,3]"), "batch\ninvalid null\ninvalid null\ninvalid null");
    EXPECT_EQ(told(R"([
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
        {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
        {"foo": "boo"},
        {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
        {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
    ])"),
              "batch\nrequest \"1\" sum\nnotification null notify_hello\nrequest \"2\" subtract\ninvalid null\n"
              "request \"5\" foo.get\nrequest \"9\" get_data");
    // Invalid JSON, which a lenient reader may go on with.
    EXPECT_TRUE(is_unjudgeable(R"({"jsonrpc": "2.0", "method": "foobar, "params": "bar", "baz])"));
    EXPECT_EQ(told(R"([
        {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
        {"jsonrpc": "2.0", "method"
    ])")
                  .substr(0, 14),
              "unjudgeable 2:");
}

TEST(JsonRpcMessage, NamesToolsPromptsAndResources) {
    EXPECT_EQ(
        told(
            R"({"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"get_weather","arguments":{"name":"x"}}})"),
        "request 2 tools/call(get_weather)");
    EXPECT_EQ(told(R"({"id":2,"method":"prompts/get","params":{"arguments":{},"name":"code_review"}})"),
              "request 2 prompts/get(code_review)");
    for (const std::string verb : {"read", "subscribe", "unsubscribe"}) {
        const std::string method = "resources/" + verb;
        EXPECT_EQ(told(R"({"id":2,"method":")" + method + R"(","params":{"uri":"file:///a","name":"b"}})"),
                  "request 2 " + method + "(file:///a)");
    }
    EXPECT_EQ(told(R"({"id":2,"method":"tools/list","params":{"name":"a","name":"b"}})"), "request 2 tools/list");
    EXPECT_EQ(told(R"({"id":2,"method":"tools/call","params":{}})"), "request 2 tools/call");
    EXPECT_EQ(told(R"({"id":2,"method":"tools/call","params":null})"), "request 2 tools/call");
    EXPECT_EQ(told(R"({"id":2,"method":"tools/call","params":{"name":null}})"), "request 2 tools/call");
    EXPECT_EQ(told(R"({"id":2,"method":"tools/call"})"), "request 2 tools/call");
    EXPECT_EQ(told(R"({"id":2,"method":"tools/call","params":{"name":""}})"), "request 2 tools/call()");
    EXPECT_EQ(told(R"({"id":2,"method":"sum","params":[1]})"), "request 2 sum");
}

TEST(JsonRpcMessage, ResolvesEscapesBeforeItCompares) {
    EXPECT_EQ(told(R"({"\u0069d":7,"\u006dethod":"tools\/c\u0061ll","p\u0061rams":{"n\u0061me":"\u0073earch"}})"),
              "request 7 tools/call(search)");
    EXPECT_TRUE(is_unjudgeable(R"({"id":7,"method":"a","\u006dethod":"b"})"));
}

TEST(JsonRpcMessage, TellsKindsByTheirShape) {
    EXPECT_EQ(told(R"({"id":null,"method":"m"})"), "request null m");
    EXPECT_EQ(told(R"({"id":1,"method":"m","result":1})"), "request 1 m");
    EXPECT_EQ(told(R"({"method":"m","error":{}})"), "notification null m");
    EXPECT_EQ(told(R"({"id":1,"method":null,"result":null})"), "response 1");
    EXPECT_EQ(told(R"({"id":1})"), "invalid 1");
    EXPECT_EQ(told("{}"), "invalid null");
    EXPECT_EQ(told("17"), "invalid null");
    EXPECT_EQ(told(R"("hello")"), "invalid null");
    EXPECT_EQ(told("null"), "invalid null");
    EXPECT_EQ(told(R"({"id":1,"method":""})"), "request 1");
}

TEST(JsonRpcMessage, KeepsAnIdAsItWasWritten) {
    for (const std::string id : {"0", "-1", "1.0", "1e3", "9223372036854775807", "18446744073709551615", R"("")",
                                 R"("a\"},{\\")", R"("\u0041\/")", "\"\xC3\xA9\""}) {
        EXPECT_EQ(told(R"({"params":{"id":5,"x":["}",{}]} , "id" : )" + id + R"( ,"method":"m"})"),
                  "request " + id + " m");
        EXPECT_EQ(told(R"([{"method":"a","id":3}, 5 ,{"method":"m","s":"]","id": )" + id + "\n}]"),
                  "batch\nrequest 3 a\ninvalid null\nrequest " + id + " m");
    }
    for (const std::string id : {"{}", R"({"a":1})", "[1]", "true", "false", "null"})
        EXPECT_EQ(told(R"({"id":)" + id + R"(,"method":"m"})"), "request null m");
}

TEST(JsonRpcMessage, AnswersALongIdWithNull) {
    const std::string longest = '"' + std::string(kIdBytesMax - 2, 'x') + '"';
    EXPECT_EQ(told(R"({"method":"m","id":)" + longest + "}"), "request " + longest + " m");
    EXPECT_EQ(told(R"({"method":"m","id":"x)" + longest.substr(1) + "}"), "request null m");
}

TEST(JsonRpcMessage, DoesNotJudgeAMemberThatReadersDisagreeAbout) {
    for (const std::string body :
         {R"({"method":"a","method":"b"})", R"({"id":1,"method":"a","id":2})", R"({"id":1,"method":"a","id":1.0})",
          R"({"method":"a","params":{},"params":{}})", R"({"result":1,"result":2})", R"({"error":1,"error":2})",
          R"({"jsonrpc":"2.0","jsonrpc":"1.0","method":"a"})", R"({"method":"a","method":null})",
          R"({"method":"tools/call","params":{"name":"a","name":"b"}})",
          R"({"method":"resources/read","params":{"uri":"a","uri":"b"}})"}) {
        EXPECT_EQ(told(body), "unjudgeable 1: a member is there twice with different values") << body;
    }
    EXPECT_EQ(told(R"({"id":1,"id":1,"method":"a","method":"a","jsonrpc":"2.0","jsonrpc":"2.0"})"), "request 1 a");
    EXPECT_EQ(told(R"({"method":"tools/call","params":{"name":"a","arguments":1,"name":"a"}})"),
              "notification null tools/call(a)");
    EXPECT_EQ(told(R"({"method":"a","other":1,"other":2})"), "notification null a");
}

TEST(JsonRpcMessage, DoesNotJudgeANameThatDiffersInCaseAlone) {
    for (const std::string body :
         {R"({"Method":"a"})", R"({"method":"a","ID":1})", R"({"method":"tools/call","Params":{"name":"a"}})",
          R"({"method":"tools/call","params":{"NAME":"a"}})", "{\"method\":\"tools/call\",\"param\xC5\xBF\":{}}",
          R"({"method":"tools/call","param\u017f":{}})", R"({"Result":1})"}) {
        EXPECT_EQ(told(body), "unjudgeable 1: a member's name differs from one of interest in case alone") << body;
    }
    EXPECT_TRUE(is_unjudgeable(R"({"method":"a","METHOD":"b"})"));
    EXPECT_TRUE(is_unjudgeable(R"({"METHOD":"b","method":"a"})"));
    EXPECT_EQ(told(R"({"METHOD":"a","id":1,"method":"a"})"), "request 1 a");
    EXPECT_EQ(told(R"({"Id":7,"id":7,"method":"a"})"), "request 7 a");
}

TEST(JsonRpcMessage, DoesNotJudgeWhatAReaderMayTurnIntoAString) {
    EXPECT_TRUE(is_unjudgeable(R"({"method":["tools/call"]})"));
    EXPECT_TRUE(is_unjudgeable(R"({"method":5})"));
    EXPECT_TRUE(is_unjudgeable(R"({"method":"tools/call","params":{"name":["expensive"]}})"));
    EXPECT_TRUE(is_unjudgeable(R"({"method":"tools/call","params":["expensive"]})"));
    EXPECT_TRUE(is_unjudgeable(R"({"method":"tools/call\u0000x"})"));
    EXPECT_TRUE(is_unjudgeable(R"({"method\u0000":"tools/call"})"));
    EXPECT_TRUE(is_unjudgeable(R"({"method":"tools/call","params":{"name":"a\u0000"}})"));
    EXPECT_TRUE(is_unjudgeable(R"({"method":"tools/call","params":{"name\u0000":"a"}})"));
}

TEST(JsonRpcMessage, DoesNotJudgeWhatALenientReaderReadsAlone) {
    const std::string call = R"({"method":"a"})";
    for (const std::string& body :
         {"\xEF\xBB\xBF" + call, call + call, call + " x", "5 " + call, "//\n" + call, "\v" + call, call + "\0"s,
          R"({"method":"a",})"s, R"({'method':'a'})"s, R"({method:"a"})"s, R"({"method":"a","x":NaN})"s,
          R"({"method":"a","x":"\ud800"})"s, "{\"method\":\"a\",\"x\":\"\xFF\"}"s, "{\"method\":\"a\nb\"}"s,
          R"({"method":"a","x":1e999})"s}) {
        EXPECT_TRUE(is_unjudgeable(body)) << body << " " << told(body);
    }
    std::string wide;
    for (const char c : call) wide += std::string{c, '\0'};
    EXPECT_TRUE(is_unjudgeable(wide));
    EXPECT_EQ(told("[" + call + "," + call + ",]"), "unjudgeable 2: JSON that only a lenient reader accepts");
}

TEST(JsonRpcMessage, BoundsNesting) {
    const auto nested = [](std::size_t depth) {
        return R"({"method":"a","params":)" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
    };
    EXPECT_EQ(told(nested(kJsonDepthMax - 1)), "notification null a");
    EXPECT_EQ(told(nested(kJsonDepthMax + 2)), "unjudgeable 1: JSON that is nested too deeply");
    EXPECT_EQ(told(nested(100'000)), "unjudgeable 1: JSON that is nested too deeply");
}

TEST(JsonRpcMessage, RefusesWhatIsNoJson) {
    EXPECT_EQ(told(""), "refused at 0: a JSON-RPC message that is no JSON");
    EXPECT_EQ(told(" \r\n"), "refused at 3: a JSON-RPC message that is no JSON");
    EXPECT_EQ(told("  hello"), "refused at 2: a JSON-RPC message that is no JSON");
    EXPECT_EQ(told("method=a"), "refused at 0: a JSON-RPC message that is no JSON");
    EXPECT_EQ(told("<methodCall/>"), "refused at 0: a JSON-RPC message that is no JSON");
}

TEST(JsonRpcMessage, BoundsABatchAndTakesNoneWithinAnother) {
    const auto batch = [](std::size_t count) {
        std::string body = "[";
        for (std::size_t i = 0; i < count; ++i) body += (i == 0 ? "" : ",") + R"({"method":"a","id":)"s + "1}";
        return body + "]";
    };
    EXPECT_TRUE(told(batch(kBatchCallsMax)).starts_with("batch\nrequest 1 a\nrequest 1 a"));
    EXPECT_EQ(told(batch(kBatchCallsMax + 1)), "refused at 0: a JSON-RPC batch of too many calls");
    EXPECT_EQ(told("[{}," + batch(2) + "]"), "unjudgeable 3: a batch within a batch");
    EXPECT_EQ(told(R"([{"Method":"a"},[{"method":"b"},{"method":"c"}]])").substr(0, 14), "unjudgeable 3:");
}

TEST(JsonRpcMessage, ExemptsNotificationsOfMcpAlone) {
    const auto exempt = [](CallKind kind, std::string_view method) {
        return is_mcp_notification(Call{.kind = kind, .method = method});
    };
    EXPECT_TRUE(exempt(CallKind::kNotification, "notifications/initialized"));
    EXPECT_FALSE(exempt(CallKind::kNotification, "tools/call"));
    EXPECT_FALSE(exempt(CallKind::kNotification, "Notifications/initialized"));
    EXPECT_FALSE(exempt(CallKind::kRequest, "notifications/initialized"));
}

TEST(JsonRpcMessage, ReadsOneAfterTheOtherWithOneReader) {
    MessageReader reader;
    const auto read = [&](std::string body) {
        const std::size_t size = body.size();
        body.append(policy::kJsonPadding, ' ');
        return told(reader.read(std::string_view(body).substr(0, size)));
    };
    EXPECT_EQ(read(R"([{"id":1,"method":"a"},{"id":2,"method":"b"}])"), "batch\nrequest 1 a\nrequest 2 b");
    EXPECT_EQ(read("{"), "unjudgeable 1: JSON that only a lenient reader accepts");
    EXPECT_EQ(read(R"({"method":"c"})"), "notification null c");
    EXPECT_EQ(read("[]"), "batch\ninvalid null");
    const std::string large(100'000, 'x');
    EXPECT_EQ(read(R"({"id":3,"method":"d","params":{"x":")" + large + R"("}})"), "request 3 d");
}

}  // namespace
}  // namespace weir::protocol::jsonrpc
