#include "protocol/jsonrpc/answer.h"

#include <array>
#include <gtest/gtest.h>
#include <simdjson.h>

namespace weir::protocol::jsonrpc {
namespace {

using std::chrono::seconds;

class JsonRpcAnswer : public testing::Test {
  protected:
    JsonRpcAnswer() {
        limit_.group = "ws_ai_query";
        rule_.rate = {20, seconds(60)};
        verdict_ = {.limit = &limit_, .rule = &rule_, .decision = {.allowed = false, .limit = 20}};
        verdict_.decision.retry_after = std::chrono::milliseconds(36'001);
    }

    policy::Limit limit_;
    limit::BucketRule rule_;
    policy::Verdict verdict_;
};

void expect_json(const std::string& text) {
    simdjson::dom::parser parser;
    EXPECT_EQ(parser.parse(text).error(), simdjson::SUCCESS) << text;
}

TEST_F(JsonRpcAnswer, ToARequestIsAnErrorWithTheFigures) {
    const std::string text = denied_error("7", verdict_);
    EXPECT_EQ(text, R"({"jsonrpc": "2.0", "id": 7, "error": {"code": 429, "message": "Rate limit exceeded: )"
                    R"(Max 20 requests per minute. Please try again later.", "data": {"limit": 20, "remaining": 0, )"
                    R"("retry_after": 37, "group": "ws_ai_query"}}})");
    expect_json(text);
    EXPECT_NE(denied_error(R"("a\"b")", verdict_, -32029).find(R"("id": "a\"b", "error": {"code": -32029,)"),
              std::string::npos);
}

TEST_F(JsonRpcAnswer, ToAToolCallIsAResultThatTheModelReads) {
    const std::string text = denied_tool_result(R"("x")", verdict_);
    EXPECT_EQ(text, R"({"jsonrpc": "2.0", "id": "x", "result": {"content": [{"type": "text", "text": "Rate limit )"
                    R"(exceeded: Max 20 requests per minute. Please try again later. Wait 37 seconds before you call )"
                    R"(this tool again."}], "isError": true}})");
    expect_json(text);
    verdict_.decision.retry_after = std::chrono::milliseconds(10);
    EXPECT_NE(denied_tool_result("1", verdict_).find("Wait 1 second before"), std::string::npos);
}

TEST_F(JsonRpcAnswer, EscapesAGroupOfTheConfiguration) {
    limit_.group = "a\"b\\\n\xFF";
    expect_json(denied_error("null", verdict_));
}

TEST_F(JsonRpcAnswer, ToABatchIsAnArray) {
    const std::array answers{denied_error("1", verdict_), denied_tool_result("2", verdict_)};
    const std::string text = batch_answer(answers);
    EXPECT_EQ(text, "[" + answers[0] + ", " + answers[1] + "]");
    expect_json(text);
    EXPECT_EQ(batch_answer(std::span(answers).first(1)), "[" + answers[0] + "]");
    EXPECT_EQ(batch_answer({}), "");
}

TEST(SseEvent, HoldsTheAnswerInOneLine) {
    EXPECT_EQ(as_sse_event(R"({"id": 1})"), "event: message\r\ndata: {\"id\": 1}\r\n\r\n");
    EXPECT_EQ(as_sse_event("{\r\n\"id\":\n1}"), "event: message\r\ndata: {  \"id\": 1}\r\n\r\n");
}

}  // namespace
}  // namespace weir::protocol::jsonrpc
