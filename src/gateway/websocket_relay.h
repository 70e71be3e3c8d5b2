// An open WebSocket: the client's stream through admission to the backend, the backend's stream to the client, and
// Weir's own messages and closes between them at the boundaries where they may stand.
//
// Life: open -> (client's Close, backend's Close, an end of either side, or Weir's own close) -> closing, bounded by
// `timeouts.close` without progress -> closed. Weir's own Close goes to the client at the next message boundary of the
// backend's stream, and to the backend (1001) at the next frame boundary of the client's; where a frame is cut in the
// middle no Close can stand, and the connection just ends.
//
// One worker's thread. Owned by its Connection, whose sockets it uses.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/admission.h"
#include "gateway/client_stream.h"
#include "gateway/message_operations.h"
#include "gateway/server_stream.h"
#include "limit/algorithm.h"
#include "net/reactor.h"

namespace weir::gateway {

class Worker;

// What the relay needs of its connection.
class RelayHost {
  public:
    virtual void relay_ended() = 0;                   // both sides may be closed now
    virtual void relay_wants_timer(Nanos delay) = 0;  // call `on_timer` then, and not as arranged before

  protected:
    ~RelayHost() = default;
};

class WebsocketRelay final : public ClientStreamSink, public ServerMessageSink, public AdmissionWaiter {
  public:
    struct Setup {
        Worker* worker = nullptr;
        RelayHost* host = nullptr;
        net::SocketId downstream;
        net::SocketId upstream;
        std::shared_ptr<const Snapshot> snapshot;
        const RouteRuntime* route = nullptr;
        policy::Caller caller;
        std::uint64_t connection_id = 0;
        std::string subprotocol;  // of the 101
        bool compressed = false;
        bool server_keeps_context = false;  // a compressed message of the backend can't be read without those before it
    };
    explicit WebsocketRelay(Setup setup);
    ~WebsocketRelay();

    void on_downstream(net::Slice bytes);
    void on_downstream_end();
    void on_downstream_drained();
    void on_upstream(net::Slice bytes);
    void on_upstream_end();
    void on_upstream_drained();
    // The socket is gone (reset); the other side is ended.
    void on_downstream_closed();
    void on_upstream_closed();

    // Weir ends the connection: Close to both sides where it can stand.
    void close(std::uint16_t code, std::string_view reason);
    // Returns when to call again. Idle, ping and close time-outs.
    [[nodiscard]] Nanos on_timer();
    // A second has passed: a held message with a control frame behind it must not wait for ever, and a caller that was
    // blocked meanwhile may be silent.
    void on_tick();
    [[nodiscard]] bool ended() const { return ended_; }
    [[nodiscard]] bool awaits_decision() const { return stream_.pending(); }

    // ClientStreamSink
    Verdict on_message(std::size_t rule) override;
    Verdict on_content(const policy::MessageView& message) override;
    Verdict on_run(std::size_t rule, std::uint32_t messages) override;
    void forward(net::Slice bytes) override;
    void refuse(std::uint16_t close_code, std::string_view reason) override;
    void on_client_close() override;
    // ServerMessageSink
    void on_server_message(std::span<const std::uint8_t> payload, bool compressed) override;
    // AdmissionWaiter
    void on_admission(const AdmissionOutcome& outcome) override;

  private:
    // What a message of a rule takes from; nullptr: it is not limited.
    [[nodiscard]] const RulePlan* buckets_of(std::size_t rule) const;
    [[nodiscard]] EventContext event_context(const CallerPlan& plan);
    // nullptr: not limited.
    [[nodiscard]] Verdict decide(const CallerPlan& plan, const RulePlan* buckets);
    [[nodiscard]] Verdict decide_operation(std::span<const RuleUse> uses);
    void count_messages(std::uint64_t passed_before);
    void adopt_snapshot();
    void plan();
    [[nodiscard]] StreamRules stream_rules() const;
    void on_denied(const AdmissionOutcome& outcome);
    void look_for_block();
    void close_when_denied_too_often();
    void answer(const AdmissionOutcome& outcome);
    [[nodiscard]] bool may_answer();
    void say(std::string_view text);
    void send_answers();
    void to_downstream(net::Slice bytes);
    void begin_closing();
    void flush_own_close();
    void settle_receiving();
    void check_ended();
    void end();
    [[nodiscard]] Nanos next_closing_check();
    [[nodiscard]] MonoTime now() const;

    Worker& worker_;
    RelayHost& host_;
    net::SocketId downstream_;
    net::SocketId upstream_;
    std::shared_ptr<const Snapshot> snapshot_;
    const RouteRuntime* route_;
    policy::Caller caller_;
    std::uint64_t connection_id_;
    std::string subprotocol_;
    bool compressed_;
    bool server_keeps_context_;
    std::uint64_t snapshot_seen_;  // generation; newer than snapshot_ when a reload took the route away

    // Of a route whose messages are operations.
    struct Operations {
        MessageOperations messages;
        std::size_t first_rule = 0;  // of plan_: behind the rules on messages stand those on operations
        bool deciding = false;       // the message that is being decided is one
        std::vector<PlanUse> uses;   // what it takes, and
        CallerPlan event;            // all of it as one event
    };

    CallerPlan plan_;
    std::unique_ptr<Operations> operations_;
    ClientStream stream_;
    ServerStream server_;
    std::vector<net::Slice> answers_;  // of Weir's own, waiting for a boundary
    std::string own_close_;            // Close frame for the client, waiting for a boundary
    std::string too_often_;            // why: it was denied more often than `close_after` or `penalty` allows
    std::uint64_t blocks_seen_ = 0;    // PenaltyBox::generation() when its caller was last looked for there
    limit::BucketState notify_{};
    limit::BucketState close_after_{};
    limit::BucketRule notify_rule_{};
    limit::BucketRule close_after_rule_{};

    MonoTime last_activity_;  // a byte in either direction
    MonoTime last_client_;    // a byte of the client
    MonoTime last_ping_;
    std::size_t unsent_last_ = 0;  // at the last check while closing: less is progress
    bool held_last_tick_ = false;
    bool closing_ = false;                                  // somebody has begun to close
    bool own_closing_ = false;                              // Weir has: client bytes are discarded, backend bytes too
    bool downstream_end_ = false, upstream_end_ = false;    // FIN or reset seen
    bool downstream_shut_ = false, upstream_shut_ = false;  // FIN sent
    bool upstream_full_ = false, downstream_full_ = false;  // above the high watermark
    bool receiving_downstream_ = true, receiving_upstream_ = true;
    bool ended_ = false;
};

}  // namespace weir::gateway
