#include "gateway/operation_judge.h"

#include "protocol/jsonrpc/answer.h"

namespace weir::gateway {

namespace graphql = protocol::graphql;
namespace jsonrpc = protocol::jsonrpc;

namespace {

policy::GraphqlOperation kind_of(graphql::OperationType type) {
    switch (type) {
        case graphql::OperationType::kMutation:
            return policy::GraphqlOperation::kMutation;
        case graphql::OperationType::kSubscription:
            return policy::GraphqlOperation::kSubscription;
        case graphql::OperationType::kQuery:
            break;
    }
    return policy::GraphqlOperation::kQuery;
}

std::string_view named_by(std::string_view method) {
    if (method == "tools/call") return "tool";
    return method == "prompts/get" ? "prompt" : "resource";
}

}  // namespace

std::string denied_calls(const config::CallRoute& route, const JudgedCalls& judged, const policy::Verdict& verdict) {
    if (judged.calls.empty()) return jsonrpc::denied_error("null", verdict, route.code);
    std::vector<std::string> answers;
    for (const jsonrpc::Call& call : judged.calls) {
        if (call.kind != jsonrpc::CallKind::kRequest) continue;
        const bool tool = route.mcp && route.deny_as == config::DenyAs::kAuto && call.method == "tools/call";
        answers.push_back(tool ? jsonrpc::denied_tool_result(call.id_json, verdict)
                               : jsonrpc::denied_error(call.id_json, verdict, route.code));
    }
    if (answers.empty()) return {};
    return judged.batch ? jsonrpc::batch_answer(answers) : answers.front();
}

const JudgedGraphql& OperationJudge::judge(const config::GraphqlRoute& route, const GraphqlRequests& requests,
                                           const policy::LimitTable& limits, policy::TierId tier) {
    graphql_.uses.clear();
    graphql_.problem = nullptr;
    graphql_.batch = false;
    graphql_.requests = 1;
    graphql_.type = policy::GraphqlOperation::kQuery;
    if (!requests) {
        graphql_.problem = &requests.problem();
        return graphql_;
    }
    graphql_.batch = requests->batch;
    graphql_.requests = requests->all.size();
    for (const graphql::Request& request : requests->all) {
        judge_one(route, request, limits, tier);
        if (graphql_.problem != nullptr) break;
    }
    return graphql_;
}

void OperationJudge::judge_one(const config::GraphqlRoute& route, const graphql::Request& request,
                               const policy::LimitTable& limits, policy::TierId tier) {
    if (!request.has_document()) {
        const auto rule = route.rules.of_persisted(request.persisted_id, request.operation_name);
        graphql_.uses.push_back({rule ? *rule : route.rules.lists.strictest(limits, tier), 1,
                                 rule ? "persisted document" : "unknown persisted document", request.persisted_id});
        return;
    }
    const auto operation = analyser_.analyse(request.document, request.operation_name, route.bounds);
    if (!operation) {
        graphql_.problem = &operation.problem();
        return;
    }
    graphql_.type = kind_of(operation->type);
    for (const graphql::RootField& field : operation->root_fields) {
        graphql_.uses.push_back(
            {route.rules.of_field(graphql_.type, field.name), field.count, "root field", field.name});
    }
}

const JudgedCalls& OperationJudge::judge(const config::CallRoute& route, std::string_view body,
                                         const policy::LimitTable& limits, policy::TierId tier) {
    calls_ = {.uses = std::move(calls_.uses), .calls = {}, .batch = false, .refused = {}};
    calls_.uses.clear();
    const jsonrpc::Message message = messages_.read(body);
    if (const auto* refused = std::get_if<jsonrpc::Refused>(&message)) {
        calls_.refused = refused->error.detail;
    } else if (const auto* unclear = std::get_if<jsonrpc::Unjudgeable>(&message)) {
        calls_.uses.push_back({route.rules.lists.strictest(limits, tier),
                               static_cast<std::uint32_t>(unclear->calls_most), "can't be judged", unclear->reason});
    } else {
        const auto& calls = *std::get_if<jsonrpc::Calls>(&message);
        calls_.calls = calls.list;
        calls_.batch = calls.batch;
        for (const jsonrpc::Call& call : calls.list) add_call(route, call);
    }
    return calls_;
}

// An element that is no call is answered with an error by whoever reads it: that work is counted, too.
void OperationJudge::add_call(const config::CallRoute& route, const jsonrpc::Call& call) {
    if (call.kind == jsonrpc::CallKind::kResponse) return;
    if (route.mcp && jsonrpc::is_mcp_notification(call)) return;
    if (call.kind == jsonrpc::CallKind::kInvalid) {
        calls_.uses.push_back({route.rules.otherwise, 1, "no call", {}});
        return;
    }
    const auto name = route.mcp ? call.name : std::nullopt;
    const policy::RuleIndex rule = route.rules.of_call(call.method, name);
    calls_.uses.push_back({rule, 1, name ? named_by(call.method) : "method", name ? *name : call.method});
}

}  // namespace weir::gateway
