// What a limited caller of JSON-RPC and MCP reads: denials, made from a decision.
//
// Sources: JSON-RPC 2.0 5 (responses) and 6 (batches); MCP 2025-06-18, "Tools" (a tool's own errors are results, so
// that they reach the model) and "Transports" (a POST may be answered with JSON or with a stream of events); the HTML
// standard, 9.2.6 (event streams).
//
// Pure.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "policy/answer.h"

namespace weir::protocol::jsonrpc {

// `code` when the configuration names none.
inline constexpr std::int64_t kDeniedCode = 429;

// Of JSON-RPC 2.0 5.1.
inline constexpr std::int64_t kParseErrorCode = -32700;
inline constexpr std::int64_t kInvalidRequestCode = -32600;

// {"jsonrpc": "2.0", "id": ID, "error": {"code": CODE, "message": MESSAGE}}
[[nodiscard]] std::string error_answer(std::string_view id_json, std::int64_t code, std::string_view message);

// {"jsonrpc": "2.0", "id": ID, "error": {"code": 429, "message": "Rate limit exceeded: ...", "data": {"limit": 20,
// ...}}} `id_json` as Call has it, here and below.
[[nodiscard]] std::string denied_error(std::string_view id_json, const policy::Verdict& verdict,
                                       std::int64_t code = kDeniedCode);

// {"jsonrpc": "2.0", "id": ID, "result": {"content": [{"type": "text", "text": TEXT}], "isError": true}}
// TEXT tells the model the limit, its period and the seconds to wait.
[[nodiscard]] std::string denied_tool_result(std::string_view id_json, const policy::Verdict& verdict);

// The answer to a batch: an array of answers. Empty for none: a batch of notifications has no answer.
[[nodiscard]] std::string batch_answer(std::span<const std::string> answers);

// The answer as an event, for a client that accepts text/event-stream and no application/json.
[[nodiscard]] std::string as_sse_event(std::string_view json);

}  // namespace weir::protocol::jsonrpc
