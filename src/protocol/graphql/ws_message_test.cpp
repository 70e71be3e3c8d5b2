// WsMessageReader: the messages of both protocols' own examples, and what readers may disagree about.
#include "protocol/graphql/ws_message.h"

#include <gtest/gtest.h>
#include <string>

#include "policy/content.h"

namespace weir::protocol::graphql {
namespace {

using namespace std::string_literals;

// "operation transport "a" {...}", "end legacy 7", "other", "unjudgeable: REASON".
std::string told(std::string_view text, bool server = false) {
    static WsMessageReader reader;
    std::string padded(text);
    padded.append(policy::kJsonPadding, '\0');
    const std::string_view view = std::string_view(padded).substr(0, text.size());
    const WsMessage message = server ? reader.read_server(view) : reader.read_client(view);
    static constexpr const char* kKinds[]{"other", "operation", "end", "unjudgeable"};
    std::string out = kKinds[static_cast<std::size_t>(message.kind)];
    if (message.kind == WsMessageKind::kUnjudgeable) return out + ": " + std::string(message.reason);
    if (message.kind == WsMessageKind::kOther) return out;
    out += message.dialect == WsDialect::kLegacy ? " legacy" : " transport";
    if (!message.id_json.empty()) out += " " + std::string(message.id_json) + "=" + std::string(message.id_key);
    if (!message.payload_json.empty()) out += " " + std::string(message.payload_json);
    return out;
}

TEST(WsMessage, KnowsTheMessagesOfBothProtocols) {
    EXPECT_EQ(told(R"({"type":"connection_init"})"), "other");
    EXPECT_EQ(told(R"({"type":"ping","payload":{"query":"{a}"}})"), "other");
    EXPECT_EQ(told(R"({"id":"<unique>","type":"subscribe","payload":{"query":"subscription { a }"}})"),
              R"(operation transport "<unique>"="<unique> {"query":"subscription { a }"})");
    EXPECT_EQ(told(R"({"id":"1","type":"complete"})"), R"(end transport "1"="1)");
    EXPECT_EQ(told(R"( { "payload" : [ 1 , "}" ] , "type":"start" , "id" : 7 } )"),
              R"(operation legacy 7=7 [ 1 , "}" ])");
    EXPECT_EQ(told(R"({"type":"stop","id":"1"})"), R"(end legacy "1"="1)");
    EXPECT_EQ(told(R"({"type":"connection_terminate"})"), "other");
}

TEST(WsMessage, KnowsWhatEndsAnOperationOnTheServersSide) {
    EXPECT_EQ(told(R"({"id":"1","type":"complete"})", true), R"(end transport "1"="1)");
    EXPECT_EQ(told(R"({"id":"1","type":"error","payload":[]})", true), R"(end transport "1"="1 [])");
    EXPECT_EQ(told(R"({"id":"1","type":"next","payload":{"data":{"type":"complete"}}})", true), "other");
    EXPECT_EQ(told(R"({"id":"1","type":"subscribe"})", true), "other");
    EXPECT_EQ(told(R"({"id":"1","id":"2","type":"complete"})", true), "other");
    EXPECT_EQ(told("not JSON", true), "other");
}

TEST(WsMessage, ResolvesEscapesInTypeNameAndId) {
    EXPECT_EQ(told(R"({"ty\u0070e":"sub\u0073cribe","id":"\u0061"})"), R"(operation transport "\u0061"="a)");
    EXPECT_EQ(told(R"({"type":"subscribe","id":"a\"b"})"), R"(operation transport "a\"b"="a"b)");
}

TEST(WsMessage, TellsApartIdsThatSomeServerTellsApart) {
    EXPECT_EQ(told(R"({"type":"subscribe","id":1})"), "operation transport 1=1");
    EXPECT_EQ(told(R"({"type":"subscribe","id":1.0})"), "operation transport 1.0=1.0");
    EXPECT_EQ(told(R"({"type":"subscribe","id":"1"})"), R"(operation transport "1"="1)");
}

TEST(WsMessage, TakesNoIdThatCannotBeUsed) {
    for (const char* id : {"null", "true", "{}", "[1]"}) {
        EXPECT_EQ(told(R"({"type":"subscribe","id":)"s + id + "}"), "operation transport") << id;
    }
    EXPECT_EQ(told(R"({"type":"subscribe"})"), "operation transport");
    const std::string longest(kWsIdBytesMax - 2, 'x');
    EXPECT_EQ(told(R"({"type":"stop","id":")" + longest + "\"}"), "end legacy \"" + longest + "\"=\"" + longest);
    EXPECT_EQ(told(R"({"type":"stop","id":"x)" + longest + "\"}"), "end legacy");
}

TEST(WsMessage, CannotJudgeWhatReadersDisagreeAbout) {
    EXPECT_EQ(told(R"({"type":"ping","type":"subscribe"})"),
              "unjudgeable: a member is there twice with different values");
    EXPECT_EQ(told(R"({"type":"subscribe","payload":{},"payload":{}})"),
              "unjudgeable: a member is there twice with different values");
    EXPECT_EQ(told(R"({"Type":"subscribe"})"),
              "unjudgeable: a member's name differs from one of interest in case alone");
    EXPECT_EQ(told(R"({"type":["subscribe"]})"), "unjudgeable: a method or a name that is no string");
    EXPECT_EQ(told(R"({"type":"subscribe\u0000"})"), "unjudgeable: a NUL within a name");
    EXPECT_EQ(told(R"([{"type":"subscribe"}])"), "unjudgeable: an array of messages");
    EXPECT_EQ(told(R"({"type":"subscribe",})"), "unjudgeable: JSON that only a lenient reader accepts");
    EXPECT_EQ(told("\xEF\xBB\xBF"
                   R"({"type":"ping"})"),
              "unjudgeable: JSON that only a lenient reader accepts");
    EXPECT_EQ(told(R"({"type":"subscribe","payload":)" + std::string(5000, '[')),
              "unjudgeable: JSON that only a lenient reader accepts");
    EXPECT_EQ(told(R"({"type":"ping","type":"ping"})"), "other");
}

TEST(WsMessage, LetsPlainTextBeWhatItIs) {
    for (const char* text : {"", "hello", "1", "\"subscribe\"", "null", "{}", R"({"id":"1"})", R"({"type":null})"}) {
        EXPECT_EQ(told(text), "other") << text;
    }
}

}  // namespace
}  // namespace weir::protocol::graphql
