#include "protocol/jsonrpc/answer.h"

#include "base/text.h"

namespace weir::protocol::jsonrpc {
namespace {

std::string answer_to(std::string_view id_json, std::string_view member) {
    std::string text = R"({"jsonrpc": "2.0", "id": )";
    text += id_json;
    text += R"(, ")";
    text += member;
    text += R"(": )";
    return text;
}

}  // namespace

std::string error_answer(std::string_view id_json, std::int64_t code, std::string_view message) {
    std::string text = answer_to(id_json, "error");
    text += R"({"code": )";
    text += std::to_string(code);
    text += R"(, "message": ")";
    append_json_escaped(text, message);
    text += "\"}}";
    return text;
}

std::string denied_error(std::string_view id_json, const policy::Verdict& verdict, std::int64_t code) {
    std::string text = answer_to(id_json, "error");
    text += R"({"code": )";
    text += std::to_string(code);
    text += R"(, "message": ")";
    append_json_escaped(text, policy::exceeded_sentence(verdict));
    text += R"(", "data": )";
    text += policy::limit_data(verdict);
    text += "}}";
    return text;
}

std::string denied_tool_result(std::string_view id_json, const policy::Verdict& verdict) {
    const std::uint64_t seconds = limit::whole_seconds_up(verdict.decision.retry_after);
    std::string text = answer_to(id_json, "result");
    text += R"({"content": [{"type": "text", "text": ")";
    append_json_escaped(text, policy::exceeded_sentence(verdict));
    text += " Wait ";
    text += std::to_string(seconds);
    text += seconds == 1 ? " second" : " seconds";
    text += R"( before you call this tool again."}], "isError": true}})";
    return text;
}

std::string batch_answer(std::span<const std::string> answers) {
    std::string text;
    for (const std::string& answer : answers) {
        text += text.empty() ? "[" : ", ";
        text += answer;
    }
    if (!text.empty()) text += ']';
    return text;
}

std::string as_sse_event(std::string_view json) {
    std::string event = "event: message\r\ndata: ";
    for (const char c : json) {
        // A line end would end the field. In JSON it is white space, and nothing else.
        event += c == '\n' || c == '\r' ? ' ' : c;
    }
    event += "\r\n\r\n";
    return event;
}

}  // namespace weir::protocol::jsonrpc
