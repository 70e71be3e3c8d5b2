#include "gateway/message_operations.h"

#include <algorithm>

#include "base/text.h"
#include "policy/answer.h"
#include "policy/lenient_json.h"
#include "protocol/jsonrpc/answer.h"

namespace weir::gateway {

namespace graphql = protocol::graphql;
namespace jsonrpc = protocol::jsonrpc;

namespace {

// Ids of one batch are not kept for the life of a connection.
constexpr std::size_t kIdBytesKept = 1024;
constexpr std::string_view kToolsCall = "tools/call";

std::optional<graphql::WsDialect> dialect_of(std::string_view subprotocol) {
    if (subprotocol == "graphql-transport-ws") return graphql::WsDialect::kTransport;
    if (subprotocol == "graphql-ws") return graphql::WsDialect::kLegacy;
    return std::nullopt;
}

std::string error_of(std::string_view message, std::string_view code) {
    std::string text = R"({"message": ")";
    append_json_escaped(text, message);
    text += R"(", "extensions": {"code": ")";
    text.append(code).append("\"}}");
    return text;
}

}  // namespace

MessageOperations::MessageOperations(const config::WebsocketRoute& route, std::string_view subprotocol,
                                     bool sees_server)
    : route_(&route), negotiated_(dialect_of(subprotocol)), sees_server_(sees_server) {
    WEIR_ASSERT(route.graphql || route.jsonrpc);
}

const policy::RuleLists& MessageOperations::lists() const {
    return route_->graphql ? route_->graphql->rules.lists : route_->jsonrpc->rules.lists;
}

std::uint64_t MessageOperations::inspect_bytes() const {
    return route_->graphql ? route_->graphql->inspect_bytes : route_->jsonrpc->inspect_bytes;
}

MessageOperations::Reading MessageOperations::read(const policy::MessageView& message, OperationJudge& judge,
                                                   const policy::LimitTable& limits, policy::TierId tier) {
    on_pass_ = OnPass::kNothing;
    id_json_.clear();
    id_key_.clear();
    calls_.clear();
    return route_->graphql ? read_graphql(message, judge, limits, tier) : read_calls(message, judge, limits, tier);
}

MessageOperations::Reading MessageOperations::unjudgeable(const policy::LimitTable& limits, policy::TierId tier) {
    strictest_ = {lists().strictest(limits, tier), 1, "can't be judged", {}};
    return {.kind = MessageKind::kOperation, .uses = std::span(&strictest_, 1)};
}

MessageOperations::Reading MessageOperations::read_graphql(const policy::MessageView& message, OperationJudge& judge,
                                                           const policy::LimitTable& limits, policy::TierId tier) {
    graphql::WsMessage read{.kind = graphql::WsMessageKind::kUnjudgeable};
    if (message.complete) read = judge.websocket_messages().read_client(message.content);
    written_in_ = read.dialect;
    answered_in_ = negotiated_.value_or(read.dialect);
    id_json_ = read.id_json;
    id_key_ = read.id_key;
    switch (read.kind) {
        case graphql::WsMessageKind::kOperation:
            return read_operation(read.payload_json, judge, limits, tier);
        case graphql::WsMessageKind::kUnjudgeable:
            // It may be a subscription, of whatever id.
            on_pass_ = OnPass::kBeginSubscription;
            return beyond_bound() ? too_many() : unjudgeable(limits, tier);
        case graphql::WsMessageKind::kEnd:
            on_pass_ = OnPass::kEnd;
            break;
        case graphql::WsMessageKind::kOther:
            break;
    }
    return {};
}

MessageOperations::Reading MessageOperations::read_operation(std::string_view payload_json, OperationJudge& judge,
                                                             const policy::LimitTable& limits, policy::TierId tier) {
    // An operation is no batch.
    const auto asked = judge.requests().read_post(graphql::BodyKind::kJson, payload_json, {}, 0);
    const JudgedGraphql& judged = judge.judge(*route_->graphql, asked, limits, tier);
    if (judged.problem != nullptr)
        return {.kind = MessageKind::kRefused, .answer = error_message(graphql::error_json(*judged.problem))};
    // Of a document that the server keeps the type is not known.
    const bool subscribes =
        judged.type == policy::GraphqlOperation::kSubscription || !asked->all.front().has_document();
    on_pass_ = subscribes ? OnPass::kBeginSubscription : OnPass::kBeginOther;
    if (beyond_bound()) return too_many();
    return {.kind = MessageKind::kOperation, .uses = judged.uses};
}

bool MessageOperations::beyond_bound() const {
    const std::uint64_t most = route_->graphql->subscriptions_max;
    return on_pass_ == OnPass::kBeginSubscription && sees_server_ && most > 0 &&
           !subscriptions_.has_room(id_key_, most);
}

MessageOperations::Reading MessageOperations::too_many() const {
    const std::string most = std::to_string(route_->graphql->subscriptions_max);
    const std::string error =
        error_of("Too many subscriptions: at most " + most + " at once", "TOO_MANY_SUBSCRIPTIONS");
    return {.kind = MessageKind::kRefused, .answer = error_message(error)};
}

MessageOperations::Reading MessageOperations::read_calls(const policy::MessageView& message, OperationJudge& judge,
                                                         const policy::LimitTable& limits, policy::TierId tier) {
    if (!message.complete) return unjudgeable(limits, tier);
    const JudgedCalls& judged = judge.judge(*route_->jsonrpc, message.content, limits, tier);
    if (!judged.refused.empty()) {
        // Plainly something else ("ping") is no call, over a WebSocket.
        if (!policy::may_read_as_json(message.content, true)) return {};
        return {.kind = MessageKind::kRefused, .answer = refused(judged.refused)};
    }
    keep_calls(judged);
    if (judged.uses.empty()) return {};
    return {.kind = MessageKind::kOperation, .uses = judged.uses};
}

void MessageOperations::keep_calls(const JudgedCalls& judged) {
    call_ids_.clear();
    if (call_ids_.capacity() > kIdBytesKept) std::string().swap(call_ids_);
    calls_batch_ = judged.batch;
    for (const jsonrpc::Call& call : judged.calls) call_ids_ += call.id_json;
    std::size_t at = 0;
    for (const jsonrpc::Call& call : judged.calls) {
        const std::string_view id = std::string_view(call_ids_).substr(at, call.id_json.size());
        // Of the methods one is answered in its own way.
        const std::string_view method = call.method == kToolsCall ? kToolsCall : std::string_view{};
        calls_.push_back({.kind = call.kind, .id_json = id, .method = method});
        at += id.size();
    }
}

void MessageOperations::passed() {
    switch (on_pass_) {
        case OnPass::kBeginSubscription:
            if (sees_server_ && route_->graphql && route_->graphql->subscriptions_max > 0)
                subscriptions_.begin(id_key_, written_in_);
            break;
        case OnPass::kBeginOther:
            subscriptions_.begin_other(id_key_);
            break;
        case OnPass::kEnd:
            subscriptions_.ended_by_client(id_key_, written_in_);
            break;
        case OnPass::kNothing:
            break;
    }
    on_pass_ = OnPass::kNothing;
}

bool MessageOperations::expects_answer() const {
    const auto waits = [](const jsonrpc::Call& call) { return call.kind == jsonrpc::CallKind::kRequest; };
    return calls_.empty() || std::any_of(calls_.begin(), calls_.end(), waits);
}

std::optional<std::string> MessageOperations::denied(const policy::Verdict& verdict) const {
    if (!route_->graphql) {
        return denied_calls(*route_->jsonrpc, {.uses = {}, .calls = calls_, .batch = calls_batch_, .refused = {}},
                            verdict);
    }
    if (id_json_.empty()) return std::nullopt;
    return error_message(policy::graphql_error(verdict));
}

std::string MessageOperations::refused(std::string_view why) const {
    if (route_->graphql) return error_message(error_of(why, "BAD_REQUEST"));
    const bool single = !calls_batch_ && calls_.size() == 1;
    return jsonrpc::error_answer(single ? calls_.front().id_json : "null", jsonrpc::kInvalidRequestCode, why);
}

// "graphql-transport-ws" has a list of errors for a payload, and ends the operation with it; "graphql-ws" has one.
std::string MessageOperations::error_message(std::string_view error) const {
    const bool legacy = answered_in_ == Dialect::kLegacy;
    std::string text = R"({"type": "error")";
    if (!id_json_.empty()) text.append(R"(, "id": )").append(id_json_);
    text.append(R"(, "payload": )").append(legacy ? "" : "[").append(error).append(legacy ? "}" : "]}");
    return text;
}

bool MessageOperations::may_end(std::string_view text) {
    return text.find("\"complete\"") != std::string_view::npos || text.find("\"error\"") != std::string_view::npos;
}

void MessageOperations::on_server_message(std::string_view text, OperationJudge& judge) {
    const graphql::WsMessage read = judge.websocket_messages().read_server(text);
    if (read.kind == graphql::WsMessageKind::kEnd) subscriptions_.ended_by_server(read.id_key);
}

}  // namespace weir::gateway
