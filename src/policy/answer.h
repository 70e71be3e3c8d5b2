// What a limited caller reads: the texts, made from a decision. Pure; every function appends to `out` or
// returns.
//
// Sources: draft-ietf-httpapi-ratelimit-headers-10 (RateLimit, RateLimit-Policy), RFC 9457 (problem details),
// RFC 6455 5.5.1 (a close reason has at most 123 bytes).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "limit/decision.h"
#include "policy/limits.h"

namespace weir::policy {

// One limit that covered an event, with what it said.
struct Verdict {
    const Limit* limit = nullptr;
    const limit::BucketRule* rule = nullptr;
    limit::Decision decision;
};

// Of several verdicts the one that speaks: a denied one before an allowed one, then the longest wait, then the least
// left.
[[nodiscard]] const Verdict& tightest(std::span<const Verdict> verdicts);

[[nodiscard]] std::string close_reason(const Verdict& verdict);       // "Rate limit exceeded: 30/minute"
[[nodiscard]] std::string rate_limited_text(const Verdict& verdict);  // {"type": "RATE_LIMITED", ...}

// "Blocked for 3600 seconds: too many denied requests": why a connection is refused or closed.
[[nodiscard]] std::string blocked_sentence(std::uint64_t seconds, std::string_view reason);

// The parts that answers of several protocols share.
// "Rate limit exceeded: Max 20 requests per minute. Please try again later."
[[nodiscard]] std::string exceeded_sentence(const Verdict& verdict);
// {"limit": 20, "remaining": 0, "retry_after": 37, "group": "ws_ai_query"}
[[nodiscard]] std::string limit_data(const Verdict& verdict);

// An `answer` template: {limit}, {remaining}, {retry_after}, {period}, {group}, each JSON-escaped; other braces stand.
[[nodiscard]] std::string expand_answer(std::string_view answer_template, const Verdict& verdict);

// One element of a GraphQL answer's "errors": {"message": "Limit exceeded: Max 10 requests per minute. ...",
// "extensions": {"code": "RATE_LIMITED", "limit": 10, ...}}
[[nodiscard]] std::string graphql_error(const Verdict& verdict);

// "X-RateLimit-Limit: 30\r\n..." and the two IETF fields, for all `verdicts`; with Retry-After when the tightest
// denies.
void append_rate_limit_fields(std::string& out, std::span<const Verdict> verdicts);

// application/problem+json for a 429 of plain HTTP, with "violated-policies".
[[nodiscard]] std::string problem_details(std::span<const Verdict> verdicts);

}  // namespace weir::policy
