// From what a request or message says to what it is counted as: GraphQL operations by their root fields, JSON-RPC and
// MCP calls by method and name. The same for HTTP, WebSockets and `explain`.
//
// A judge is one worker's: it reuses its memory, and its results live until its next call.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "policy/answer.h"
#include "protocol/graphql/request.h"
#include "protocol/graphql/ws_message.h"
#include "protocol/jsonrpc/message.h"

namespace weir::gateway {

// So many events under a rule of the route, and why, for `explain`: "root field login", "tool search".
struct RuleUse {
    policy::RuleIndex rule = policy::kUncounted;  // kUncounted: no limit covers it
    std::uint32_t events = 1;
    std::string_view what;  // static text
    std::string_view name;  // of the field, method, tool; empty where there is none
};

struct JudgedGraphql {
    std::vector<RuleUse> uses;
    bool batch = false;
    std::size_t requests = 1;
    policy::GraphqlOperation type = policy::GraphqlOperation::kQuery;  // of the last one with a text
    const protocol::graphql::Problem* problem = nullptr;               // it must reach nobody
};

struct JudgedCalls {
    std::vector<RuleUse> uses;
    std::span<const protocol::jsonrpc::Call> calls;  // to be answered when they are denied; empty when not judgeable
    bool batch = false;
    std::string_view refused;  // why it must reach nobody; empty when it may
};

// The answer to calls that were denied, as the protocol has it: one, or an array of them; a tool of MCP gets a result
// that its model can read. Empty when nobody waits for one.
[[nodiscard]] std::string denied_calls(const config::CallRoute& route, const JudgedCalls& judged,
                                       const policy::Verdict& verdict);

class OperationJudge {
  public:
    using GraphqlRequests = protocol::graphql::Outcome<protocol::graphql::Requests>;

    // What a client asks for in a target's query part, in a body, in a WebSocket's payload. Bodies have
    // policy::kJsonPadding readable bytes behind.
    [[nodiscard]] protocol::graphql::RequestReader& requests() { return requests_; }

    // What a message of GraphQL inside a WebSocket is; an operation's payload then goes to `requests`.
    [[nodiscard]] protocol::graphql::WsMessageReader& websocket_messages() { return websocket_messages_; }

    [[nodiscard]] const JudgedGraphql& judge(const config::GraphqlRoute& route, const GraphqlRequests& requests,
                                             const policy::LimitTable& limits, policy::TierId tier);
    [[nodiscard]] const JudgedCalls& judge(const config::CallRoute& route, std::string_view body,
                                           const policy::LimitTable& limits, policy::TierId tier);

  private:
    void judge_one(const config::GraphqlRoute& route, const protocol::graphql::Request& request,
                   const policy::LimitTable& limits, policy::TierId tier);
    void add_call(const config::CallRoute& route, const protocol::jsonrpc::Call& call);

    protocol::graphql::RequestReader requests_;
    protocol::graphql::WsMessageReader websocket_messages_;
    protocol::graphql::Analyser analyser_;
    protocol::jsonrpc::MessageReader messages_;
    JudgedGraphql graphql_;
    JudgedCalls calls_;
};

}  // namespace weir::gateway
