// One downstream connection, from accept to end: heads are read, callers identified and admitted, requests and
// responses proxied one after the other, until it becomes a WebSocket and its relay takes over.
//
//   kProxyHeader -> kHead -> kIdentifying -> kReadingBody -> kAdmitting -> kConnecting -> kExchange -> kHead ...
//                                                                             `-> kRelay       (WebSocket)
//   from anywhere -> kLingering (an answer was sent, the peer's end is awaited) -> kClosed
//                 -> kClosing (a handshake was completed to be refused, the client's Close is awaited) -> kClosed
//
// One worker's thread; owned by the Worker, which frees it at the end of a turn.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "gateway/admission.h"
#include "gateway/exchange.h"
#include "gateway/head_writer.h"
#include "gateway/operation_judge.h"
#include "gateway/websocket_relay.h"

namespace weir::gateway {

class Worker;

class Connection final : public AdmissionWaiter, public RelayHost {
  public:
    // `tls`: null, or what the client is to find.
    Connection(Worker& worker, net::SocketId downstream, const net::Endpoint& peer, std::uint64_t slot,
               std::shared_ptr<const net::TlsServer> tls);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // Once the worker knows it.
    void begin();
    void on_downstream(net::Slice bytes);
    void on_downstream_end();
    void on_downstream_drained();
    void on_downstream_closed(const Error& why);
    void on_upstream_connected(const Result<void>& outcome);
    void on_upstream(net::Slice bytes);
    void on_upstream_end();
    void on_upstream_drained();
    void on_upstream_closed(const Error& why);
    void on_timer();
    void on_tick();

    // SIGTERM: between requests the connection ends now, in the middle of one after its answer. `now`: the time to
    // drain is up.
    void drain(bool now);
    // Ends at once, whatever it was doing.
    void abort();
    // Refused at accept: the process has as many as it may have.
    void refuse_exhausted();

    // AdmissionWaiter
    void on_admission(const AdmissionOutcome& outcome) override;
    // What the application says about the caller of this request; any other is let go.
    void on_lookup(std::uint64_t request, const identity::LookupAnswer& answer);
    // RelayHost
    void relay_ended() override;
    void relay_wants_timer(Nanos delay) override;

    [[nodiscard]] bool closed() const { return state_ == State::kClosed; }
    [[nodiscard]] bool awaits_decision() const;
    [[nodiscard]] std::uint64_t slot() const { return slot_; }
    [[nodiscard]] net::SocketId downstream() const { return downstream_; }
    [[nodiscard]] net::SocketId upstream() const { return upstream_; }

  private:
    enum class State : std::uint8_t {
        kProxyHeader,
        kHead,
        kIdentifying,
        kReadingBody,
        kAdmitting,
        kConnecting,
        kExchange,
        kRelay,
        kClosing,
        kLingering,
        kClosed
    };
    enum class Timer : std::uint8_t {
        kNone,
        kHandshake,
        kKeepAlive,
        kLookup,
        kKeys,
        kConnect,
        kResponse,
        kBody,
        kRelay,
        kClose
    };

    // Heads (connection.cpp)
    [[nodiscard]] bool start_tls(net::Slice received);
    void read_proxy_header(net::Slice bytes);
    void read_head(net::Slice bytes);
    void take_bytes(net::Slice bytes);
    void take_stash();
    [[nodiscard]] bool takes_bytes() const;
    void handle_request();
    [[nodiscard]] identity::Peer peer() const;

    // Admission (connection_admission.cpp)
    void identify_and_admit(const protocol::http::RequestHead& request);
    [[nodiscard]] std::string subject() const;
    [[nodiscard]] bool refuse_blocked();
    [[nodiscard]] bool refuse_penalised();
    [[nodiscard]] bool await_keys();
    [[nodiscard]] bool look_up(const protocol::http::RequestHead& request);
    [[nodiscard]] bool believe(const identity::LookupAnswer& answer);
    void lookup_ended(const identity::LookupAnswer& answer);
    void forget_lookup();
    void refuse_unidentified();
    void admit(const protocol::http::RequestHead& request);
    void on_decided(const AdmissionOutcome& outcome, const protocol::http::RequestHead& request);
    void reject_token(std::string_view subject);
    void deny_connection(const std::string& reason);
    void deny_websocket(std::uint16_t code, std::string_view reason);
    void proceed(const protocol::http::RequestHead& request);
    void log_refusal(std::string_view what, std::string_view subject);
    void count_connection(metrics::Cell RouteCells::*outcome);

    [[nodiscard]] const std::vector<policy::LimitId>& http_limits(const protocol::http::RequestHead& request) const;
    [[nodiscard]] std::uint64_t http_cost(const protocol::http::RequestHead& request) const;
    void admit_event(const protocol::http::RequestHead& request, std::span<const ListUse> operations);
    void decide(const protocol::http::RequestHead& request);

    // What the content says (connection_operations.cpp)
    [[nodiscard]] bool inspect(const protocol::http::RequestHead& request);
    [[nodiscard]] bool inspect_graphql(const protocol::http::RequestHead& request);
    void hold_body(const protocol::http::RequestHead& request, Inspection inspection, std::uint64_t most);
    void hold_request_body(net::Slice bytes);
    [[nodiscard]] bool watch_upload(std::string_view content, bool last);
    [[nodiscard]] protocol::http::RequestHead& reread_head();
    void body_held();
    [[nodiscard]] std::string_view padded_body();
    void admit_graphql(const protocol::http::RequestHead& request, const OperationJudge::GraphqlRequests& asked);
    void admit_calls(const protocol::http::RequestHead& request, std::string_view body);
    void admit_uses(const protocol::http::RequestHead& request, std::span<const RuleUse> uses,
                    const policy::RuleLists& lists);
    void refuse_graphql(unsigned status, const protocol::http::RequestHead& request,
                        const protocol::graphql::Problem& problem);
    void refuse_for_memory();
    void refuse_too_long(const protocol::http::RequestHead& request);
    void deny_graphql(const policy::Verdict& verdict, const protocol::http::RequestHead& request);
    [[nodiscard]] bool deny_calls(const policy::Verdict& verdict, const protocol::http::RequestHead& request);

    // The exchange with the upstream (connection_exchange.cpp)
    void connect_upstream();
    void upstream_failed(const Error& why);
    void count_upstream_error(ErrorCode code);
    void log_upstream(const Error& why);
    void send_request();
    void send_held_body();
    void send_request_body(net::Slice bytes);
    void put_back(net::Slice bytes);
    void request_finished();
    void read_response(net::Slice bytes);
    void switch_to_websocket(const protocol::http::ResponseHead& response, net::Slice behind);
    void begin_response(const protocol::http::ResponseHead& response);
    void send_response_body(net::Slice bytes);
    void response_finished();
    void finish_exchange();
    void release_upstream(bool reusable);
    void settle_receiving();

    // Answers of our own and ends
    void answer(unsigned status, std::string_view text);
    void answer_error(const Error& error);
    void send_answer(const OwnAnswer& answer);
    void linger();
    void await_close_reply();
    void read_close_reply(const net::Slice& bytes);
    [[nodiscard]] bool leave_exchange(State next);
    void retire();
    void arm(Timer kind, Nanos delay);
    void disarm();
    void to_downstream(std::string_view text);
    void to_downstream(net::Slice bytes);

    Worker& worker_;
    std::uint64_t slot_;
    net::SocketId downstream_;
    net::SocketId upstream_;
    std::shared_ptr<const net::TlsServer> tls_;
    std::optional<IpAddress> peer_address_;
    std::optional<IpAddress> proxy_address_;
    State state_ = State::kHead;
    Timer timer_kind_ = Timer::kNone;
    net::TimerId timer_;
    MonoTime last_activity_;
    bool receiving_downstream_ = true;
    bool receiving_upstream_ = true;
    bool downstream_end_ = false;
    bool taking_stash_ = false;
    bool awaiting_ = false;      // a decision about its request
    bool keys_awaited_ = false;  // by its request, once: what is there afterwards counts
    std::string head_;
    std::vector<net::Slice> stash_;  // bytes that wait for their turn
    std::unique_ptr<Exchange> exchange_;
    std::unique_ptr<WebsocketRelay> relay_;
    std::string count_key_;  // holds a place in Shared::counts
};

}  // namespace weir::gateway
