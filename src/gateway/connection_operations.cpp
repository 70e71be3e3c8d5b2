// Requests that count by what they say: GraphQL operations and JSON-RPC calls. The body is held, up to a bound, until
// it is judged, and then goes on as it came; of an upload only the beginning is held, the rest is watched as it passes.
#include <algorithm>

#include "base/text.h"
#include "gateway/connection.h"
#include "gateway/worker.h"
#include "policy/answer.h"
#include "protocol/jsonrpc/answer.h"

namespace weir::gateway {

namespace graphql = protocol::graphql;
namespace http = protocol::http;
namespace jsonrpc = protocol::jsonrpc;
namespace multipart = protocol::multipart;

namespace {

constexpr std::string_view kGraphqlResponse = "application/graphql-response+json";
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kEventStream = "text/event-stream";
// Before an upload's operations may stand its preamble, and the heads of its parts.
constexpr std::uint64_t kUploadHeadBytesMax = 16 * 1024;

std::string_view query_part(std::string_view target) {
    const std::size_t mark = target.find('?');
    return mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
}

// Accept names the type (RFC 9110 12.5.1), and not with a weight of 0.
bool accepts(const http::RequestHead& request, std::string_view type) {
    bool found = false;
    for (const http::Field& field : request.fields) {
        if (!equals_ignoring_case(field.name, "accept")) continue;
        for_each_list_item(field.value, [&](std::string_view item) {
            const std::size_t semicolon = std::min(item.find(';'), item.size());
            const std::string_view parameters = item.substr(semicolon);
            const bool refused = parameters.ends_with("q=0") || parameters.ends_with("q=0.0");
            found = found || (!refused && equals_ignoring_case(trimmed(item.substr(0, semicolon)), type));
        });
    }
    return found;
}

bool accepts_json(const http::RequestHead& request) {
    return request.count("accept") == 0 || accepts(request, kJson) || accepts(request, "application/*") ||
           accepts(request, "*/*");
}

std::string_view graphql_content_type(const http::RequestHead& request) {
    return accepts(request, kGraphqlResponse) ? "application/graphql-response+json; charset=utf-8"
                                              : "application/json; charset=utf-8";
}

// MCP's HTTP+SSE transport of 2024: a message is posted to an address with the session in its query part, and the
// answer comes over another connection. Nobody reads what the POST itself is answered with, but for its status.
bool is_sse_transport(const http::RequestHead& request) {
    if (accepts(request, kJson) || accepts(request, kEventStream)) return false;
    return http::query_parameter(request.target, "sessionId") || http::query_parameter(request.target, "session_id");
}

// The content of a coded body can't be read here, and some servers decode it unasked.
bool is_coded(const http::RequestHead& request) {
    for (const http::Field& field : request.fields) {
        if (equals_ignoring_case(field.name, "content-encoding") && !equals_ignoring_case(field.value, "identity"))
            return true;
    }
    return false;
}

}  // namespace

// Whether the request's content decides what it counts as. Then it waits for its body, was admitted, or was answered.
bool Connection::inspect(const http::RequestHead& request) {
    Exchange& exchange = *exchange_;
    const config::Route& route = *exchange.route->route;
    if (route.graphql) return inspect_graphql(request);
    if (exchange.request_done) return false;
    if (route.calls) {
        if (is_coded(request)) {
            answer(415, "a coded body can't be read here");
            return true;
        }
        hold_body(request, Inspection::kCalls, route.calls->inspect_bytes);
        return true;
    }
    if (route.http.cost_bytes == 0 || request.framing != http::BodyFraming::kChunked) return false;
    // What it costs is known at its end.
    const std::uint64_t most = route.http.body_bytes_max;
    hold_body(request, Inspection::kLength, most > 0 ? most : kHeldLengthMax);
    return true;
}

bool Connection::inspect_graphql(const http::RequestHead& request) {
    Exchange& exchange = *exchange_;
    const config::GraphqlRoute& route = *exchange.route->route->graphql;
    if (exchange.request_done) {
        const auto asked = worker_.judge().requests().read_get(query_part(request.target));
        const bool asks = asked || asked.problem().kind != graphql::ProblemKind::kNoOperation;
        if (!asks && request.method != "POST") return false;  // the page of an editor, perhaps
        admit_graphql(request, asked);
        return true;
    }
    if (request.method == "GET" || request.method == "HEAD") {
        refuse_graphql(400, request,
                       {.kind = graphql::ProblemKind::kRequest, .at = {}, .message = "a GET request with a body"});
        return true;
    }
    const std::string_view type = request.field("content-type");
    if (is_coded(request) || request.count("content-type") > 1) {
        refuse_graphql(415, request,
                       {.kind = graphql::ProblemKind::kRequest,
                        .at = {},
                        .message = "the body's type or coding can't be read here"});
        return true;
    }
    if (const auto boundary = multipart::boundary_of(type)) {
        exchange.upload = std::make_unique<multipart::GraphqlUpload>(*boundary, route.inspect_bytes);
        hold_body(request, Inspection::kGraphql, route.inspect_bytes + kUploadHeadBytesMax);
        return true;
    }
    if (const auto kind = graphql::body_kind(type)) {
        exchange.graphql_body = *kind;
        hold_body(request, Inspection::kGraphql, route.inspect_bytes);
        return true;
    }
    refuse_graphql(415, request,
                   {.kind = graphql::ProblemKind::kRequest,
                    .at = {},
                    .message = "the content type is none of application/json, application/graphql, "
                               "application/x-www-form-urlencoded and multipart/form-data"});
    return true;
}

void Connection::hold_body(const http::RequestHead& request, Inspection inspection, std::uint64_t most) {
    Exchange& exchange = *exchange_;
    exchange.inspection = inspection;
    exchange.held_max = most;
    if (request.framing == http::BodyFraming::kLength && request.content_length > most && exchange.upload == nullptr) {
        refuse_too_long(request);
        return;
    }
    state_ = State::kReadingBody;
    arm(Timer::kBody, exchange.snapshot->config->timeouts.body);
    if (request.expects_continue && stash_.empty())
        to_downstream(net::Slice::of_static("HTTP/1.1 100 Continue\r\n\r\n"));
    settle_receiving();
    take_stash();
}

void Connection::hold_request_body(net::Slice bytes) {
    Exchange& exchange = *exchange_;
    const std::uint64_t most = exchange.route->route->http.body_bytes_max;
    bool judgeable = false;
    while (!bytes.empty() && !judgeable) {
        const auto piece = exchange.request_body.next(bytes.text());
        if (!piece) {
            answer_error(piece.error());
            return;
        }
        const std::uint64_t all_may_hold = exchange.snapshot->config->bounds.held_bodies_max;
        if (!exchange.held_share.grow(worker_.shared().held_bodies, piece->content.size(), all_may_hold)) {
            refuse_for_memory();
            return;
        }
        exchange.held_body += piece->content;
        exchange.body_bytes += piece->content.size();
        const bool beyond = exchange.held_body.size() > exchange.held_max || (most > 0 && exchange.body_bytes > most);
        if (!watch_upload(piece->content, piece->done)) return;
        bytes.remove_prefix(piece->consumed);
        exchange.request_done = piece->done;
        judgeable = piece->done || (exchange.upload != nullptr && exchange.upload->operations_complete());
        if (beyond) {
            refuse_too_long(reread_head());
            return;
        }
    }
    if (!judgeable) return;
    if (!bytes.empty()) stash_.insert(stash_.begin(), std::move(bytes));
    body_held();
}

// False when the upload is refused: the request was answered, or its end does not travel.
bool Connection::watch_upload(std::string_view content, bool last) {
    Exchange& exchange = *exchange_;
    if (exchange.upload == nullptr) return true;
    auto fed = exchange.upload->feed(content);
    if (fed && last) fed = exchange.upload->end();
    if (fed) return true;
    if (exchange.response_begun) {
        linger();
    } else {
        refuse_graphql(400, reread_head(),
                       {.kind = graphql::ProblemKind::kRequest, .at = {}, .message = std::string(fed.error().detail)});
    }
    return false;
}

http::RequestHead& Connection::reread_head() {
    http::RequestHead& request = worker_.request_scratch();
    const auto parsed = http::parse_request_head(head_, request);  // others have used the scratch since
    WEIR_ASSERT(parsed.has_value());
    return request;
}

void Connection::body_held() {
    Exchange& exchange = *exchange_;
    disarm();
    const http::RequestHead& request = reread_head();
    const config::Route& route = *exchange.route->route;
    const std::string_view body = padded_body();
    if (exchange.inspection == Inspection::kLength) {
        admit_event(request, {});
    } else if (exchange.inspection == Inspection::kCalls) {
        admit_calls(request, body);
    } else {
        const bool upload = exchange.upload != nullptr;
        const auto kind = upload ? graphql::BodyKind::kJson : exchange.graphql_body;
        const std::string_view text = upload ? exchange.upload->operations() : body;
        admit_graphql(request, worker_.judge().requests().read_post(kind, text, query_part(request.target),
                                                                    route.graphql->batch_max));
    }
}

std::string_view Connection::padded_body() {
    std::string& body = exchange_->held_body;
    const std::size_t size = body.size();
    body.append(policy::kJsonPadding, '\0');
    body.resize(size);  // the bytes behind stay as they are
    return body;
}

void Connection::admit_graphql(const http::RequestHead& request, const OperationJudge::GraphqlRequests& asked) {
    Exchange& exchange = *exchange_;
    const config::GraphqlRoute& route = *exchange.route->route->graphql;
    const auto& judged =
        worker_.judge().judge(route, asked, *exchange.snapshot->config->limits, exchange.who.caller.tier);
    if (judged.problem != nullptr) {
        refuse_graphql(400, request, *judged.problem);
        return;
    }
    exchange.inspection = Inspection::kGraphql;
    exchange.batch_answers = judged.batch ? judged.requests : 0;
    admit_uses(request, judged.uses, route.rules.lists);
}

void Connection::admit_calls(const http::RequestHead& request, std::string_view body) {
    Exchange& exchange = *exchange_;
    const config::CallRoute& route = *exchange.route->route->calls;
    const auto& judged =
        worker_.judge().judge(route, body, *exchange.snapshot->config->limits, exchange.who.caller.tier);
    if (!judged.refused.empty()) {
        const std::string text =
            jsonrpc::error_answer("null", jsonrpc::kParseErrorCode, "Parse error: " + std::string(judged.refused)) +
            "\n";
        send_answer({.status = 400,
                     .content_type = kJson,
                     .body = text,
                     .extra_fields = exchange.cors_fields,
                     .keep_alive = true});
        return;
    }
    admit_uses(request, judged.uses, route.rules.lists);
}

void Connection::admit_uses(const http::RequestHead& request, std::span<const RuleUse> uses,
                            const policy::RuleLists& lists) {
    std::vector<ListUse> events;
    for (const RuleUse& use : uses) {
        if (use.rule != policy::kUncounted) events.push_back({&lists.all()[use.rule], use.events});
    }
    admit_event(request, events);
}

void Connection::refuse_graphql(unsigned status, const http::RequestHead& request, const graphql::Problem& problem) {
    const std::string body = "{\"errors\": [" + graphql::error_json(problem) + "]}\n";
    send_answer({.status = status,
                 .content_type = graphql_content_type(request),
                 .body = body,
                 .extra_fields = exchange_->cors_fields,
                 .keep_alive = true,
                 .head_request = exchange_->method == "HEAD"});
}

void Connection::refuse_too_long(const http::RequestHead& request) {
    if (exchange_->inspection == Inspection::kGraphql) {
        refuse_graphql(413, request,
                       {.kind = graphql::ProblemKind::kBoundExceeded,
                        .at = {},
                        .message = "the request is longer than can be read here"});
    } else {
        answer(413, "the request body is longer than can be read here");
    }
}

// All requests together hold as much as they may.
void Connection::refuse_for_memory() {
    log_refusal("bodies of all requests reach bounds.max_held_bodies", subject());
    const std::string fields = "Retry-After: 1\r\n" + exchange_->cors_fields;
    send_answer({.status = 503, .body = "too much is waiting to be read here\n", .extra_fields = fields});
}

void Connection::deny_graphql(const policy::Verdict& verdict, const http::RequestHead& request) {
    const Exchange& exchange = *exchange_;
    const std::string one = "{\"errors\": [" + policy::graphql_error(verdict) + "]}";
    std::string body = one;
    if (exchange.batch_answers > 0) {
        body = "[" + one;
        for (std::size_t i = 1; i < exchange.batch_answers; ++i) body.append(", ").append(one);
        body += ']';
    }
    body += '\n';
    const std::string fields = exchange.rate_limit_fields + exchange.cors_fields;
    send_answer({.status = exchange.route->route->graphql->denied_status,
                 .content_type = graphql_content_type(request),
                 .body = body,
                 .extra_fields = fields,
                 .keep_alive = true,
                 .head_request = exchange.method == "HEAD"});
}

// False: nothing in it waits for an answer of its own, or the route wants a plain one.
bool Connection::deny_calls(const policy::Verdict& verdict, const http::RequestHead& request) {
    const Exchange& exchange = *exchange_;
    const config::CallRoute& route = *exchange.route->route->calls;
    if (route.deny_as == config::DenyAs::kHttp429) return false;
    if (route.mcp && route.deny_as == config::DenyAs::kAuto && is_sse_transport(request)) return false;
    const auto& judged =
        worker_.judge().judge(route, padded_body(), *exchange.snapshot->config->limits, exchange.who.caller.tier);
    std::string body = denied_calls(route, judged, verdict);
    if (body.empty()) return false;
    const bool as_event = accepts(request, kEventStream) && !accepts_json(request);
    if (as_event) body = jsonrpc::as_sse_event(body);
    const std::string fields = exchange.rate_limit_fields + exchange.cors_fields;
    send_answer({.status = 200,
                 .content_type = as_event ? kEventStream : kJson,
                 .body = body,
                 .extra_fields = fields,
                 .keep_alive = true});
    return true;
}

}  // namespace weir::gateway
