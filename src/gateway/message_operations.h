// What the messages of one WebSocket ask for where they are GraphQL operations or JSON-RPC calls: which rules a message
// counts under, what a client is told when it is denied or refused, and which subscriptions are active.
//
// One message at a time: `read`, then `passed` when it goes to the backend, `denied` when a limit keeps it from there.
// What must live until then is copied, since a store may answer when the message's bytes are long gone.
//
// No I/O. One worker's thread.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "gateway/active_subscriptions.h"
#include "gateway/operation_judge.h"

namespace weir::gateway {

enum class MessageKind : std::uint8_t {
    kOther,      // no operation: the route's rules on messages count
    kOperation,  // counts as `uses` says; nothing there: it is not limited
    kRefused     // must reach nobody; no limit denied it
};

class MessageOperations {
  public:
    // `route` has `graphql` or `jsonrpc`, and outlives this. `sees_server`: on_server_message will be told the
    // backend's messages, so that the end of a subscription is noticed; without, they have no bound.
    MessageOperations(const config::WebsocketRoute& route, std::string_view subprotocol, bool sees_server);
    // A reload.
    void set_route(const config::WebsocketRoute& route) { route_ = &route; }

    [[nodiscard]] const policy::RuleLists& lists() const;
    [[nodiscard]] std::uint64_t inspect_bytes() const;

    struct Reading {
        MessageKind kind = MessageKind::kOther;
        std::span<const RuleUse> uses = {};  // the judge's, until its next call
        std::string answer = {};             // of kRefused
    };
    [[nodiscard]] Reading read(const policy::MessageView& message, OperationJudge& judge,
                               const policy::LimitTable& limits, policy::TierId tier);

    // About the message that was read last.
    void passed();
    // False: it is made of notifications, nobody waits for an answer.
    [[nodiscard]] bool expects_answer() const;
    // nullopt: it has no id to be answered under, the answer of any message must do.
    [[nodiscard]] std::optional<std::string> denied(const policy::Verdict& verdict) const;
    // The answer to an operation that is refused for another reason.
    [[nodiscard]] std::string refused(std::string_view why) const;

    [[nodiscard]] bool watches_server() const { return sees_server_ && subscriptions_.any(); }
    // Whether a message of the backend may end an operation. Most don't, and would be parsed for nothing.
    [[nodiscard]] static bool may_end(std::string_view text);
    // `text` has policy::kJsonPadding readable bytes behind.
    void on_server_message(std::string_view text, OperationJudge& judge);
    [[nodiscard]] const ActiveSubscriptions& subscriptions() const { return subscriptions_; }

  private:
    using Dialect = protocol::graphql::WsDialect;
    enum class OnPass : std::uint8_t { kNothing, kBeginSubscription, kBeginOther, kEnd };

    Reading read_graphql(const policy::MessageView& message, OperationJudge& judge, const policy::LimitTable& limits,
                         policy::TierId tier);
    Reading read_operation(std::string_view payload_json, OperationJudge& judge, const policy::LimitTable& limits,
                           policy::TierId tier);
    Reading read_calls(const policy::MessageView& message, OperationJudge& judge, const policy::LimitTable& limits,
                       policy::TierId tier);
    Reading unjudgeable(const policy::LimitTable& limits, policy::TierId tier);
    [[nodiscard]] bool beyond_bound() const;
    [[nodiscard]] Reading too_many() const;
    void keep_calls(const JudgedCalls& judged);
    [[nodiscard]] std::string error_message(std::string_view error) const;

    const config::WebsocketRoute* route_;
    std::optional<Dialect> negotiated_;
    bool sees_server_;
    ActiveSubscriptions subscriptions_;

    // Of the message that was read last.
    OnPass on_pass_ = OnPass::kNothing;
    Dialect written_in_ = Dialect::kTransport;   // says what starts and what ends
    Dialect answered_in_ = Dialect::kTransport;  // what was negotiated; else the same
    std::string id_json_;
    std::string id_key_;
    std::vector<protocol::jsonrpc::Call> calls_;
    std::string call_ids_;  // what calls_ is a view of
    bool calls_batch_ = false;
    RuleUse strictest_;
};

}  // namespace weir::gateway
