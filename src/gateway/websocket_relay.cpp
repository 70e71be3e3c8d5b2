#include "gateway/websocket_relay.h"

#include <algorithm>

#include "gateway/back_pressure.h"
#include "gateway/worker.h"
#include "protocol/ws/frame.h"

namespace weir::gateway {

namespace ws = protocol::ws;

namespace {

// Answers that wait for a boundary of a backend that is in the middle of a long message. `notify` bounds their rate,
// this their memory.
constexpr std::size_t kAnswersWaitingMax = 64;
constexpr std::string_view kPingPayload = "weir";

limit::BucketRule window(const std::optional<limit::Rate>& rate) {
    limit::BucketRule rule;
    rule.algorithm = limit::Algorithm::kFixedWindow;
    if (rate) rule.rate = *rate;
    rule.burst = rule.rate.count;
    return rule;
}

}  // namespace

WebsocketRelay::WebsocketRelay(Setup setup)
    : worker_(*setup.worker),
      host_(*setup.host),
      downstream_(setup.downstream),
      upstream_(setup.upstream),
      snapshot_(std::move(setup.snapshot)),
      route_(setup.route),
      caller_(std::move(setup.caller)),
      connection_id_(setup.connection_id),
      subprotocol_(std::move(setup.subprotocol)),
      compressed_(setup.compressed),
      server_keeps_context_(setup.server_keeps_context),
      snapshot_seen_(snapshot_->generation),
      stream_({}),
      server_(setup.compressed),
      last_activity_(now()),
      last_client_(now()),
      last_ping_(now()) {
    plan();
    worker_.shard().add(route_->cells.connections, 1);
}

WebsocketRelay::~WebsocketRelay() {
    worker_.shard().add(route_->cells.connections, -1);
}

MonoTime WebsocketRelay::now() const {
    return worker_.reactor().now();
}

void WebsocketRelay::plan() {
    std::vector<const std::vector<policy::LimitId>*> rules;
    const bool reads =
        route_->route->websocket && (route_->route->websocket->graphql || route_->route->websocket->jsonrpc);
    if (!reads) operations_.reset();
    if (route_->route->websocket) {
        for (const auto& rule : route_->route->websocket->messages.rules()) rules.push_back(&rule.limits);
        notify_rule_ = window(route_->route->websocket->notify);
        close_after_rule_ = window(route_->route->websocket->close_after);
    }
    if (reads) {
        const config::WebsocketRoute& websocket = *route_->route->websocket;
        if (operations_ == nullptr) {
            operations_ = std::make_unique<Operations>(
                Operations{.messages = {websocket, subprotocol_, !server_keeps_context_}, .uses = {}, .event = {}});
        }
        operations_->messages.set_route(websocket);
        operations_->first_rule = rules.size();
        for (const auto& list : operations_->messages.lists().all()) rules.push_back(&list);
    }
    plan_ = worker_.admission().plan(*snapshot_, caller_, connection_id_, rules);
    stream_.set_rules(stream_rules());
}

StreamRules WebsocketRelay::stream_rules() const {
    StreamRules rules;
    rules.compressed = compressed_;
    if (!route_->route->websocket) return rules;
    const config::WebsocketRoute& websocket = *route_->route->websocket;
    rules.message_bytes_max = websocket.message_bytes_max;
    // Nobody is counted: nothing needs to be looked into.
    if (plan_.exempt) return rules;
    rules.by_sink = operations_ != nullptr;
    if (rules.by_sink) rules.inspect_bytes = operations_->messages.inspect_bytes();
    rules.rules = &websocket.messages;
    rules.text_rule = route_->text_rule;
    rules.binary_rule = route_->binary_rule;
    return rules;
}

// A reload has put another configuration in force: open connections follow it, under the route of the same name.
void WebsocketRelay::adopt_snapshot() {
    const auto current = worker_.snapshot();
    const RouteRuntime* route = current->route_named(route_->route->name);
    if (route == nullptr) {
        snapshot_seen_ = current->generation;
        return;
    }
    worker_.shard().add(route_->cells.connections, -1);
    worker_.shard().add(route->cells.connections, 1);
    snapshot_ = current;
    snapshot_seen_ = current->generation;
    route_ = route;
    plan();
}

void WebsocketRelay::on_downstream(net::Slice bytes) {
    if (own_closing_ || ended_) return;  // nothing may follow our Close but its echo, which nobody needs
    last_client_ = now();
    if (!upstream_end_) last_activity_ = last_client_;
    worker_.shard().add(route_->cells.bytes_in, static_cast<std::int64_t>(bytes.size()));
    if (snapshot_seen_ != worker_.generation() && stream_.between_messages()) adopt_snapshot();
    look_for_block();
    if (!too_often_.empty()) {
        close_when_denied_too_often();
        return;
    }
    const std::uint64_t messages_before = stream_.messages_passed();
    stream_.receive(std::move(bytes), *this, worker_.tools(), worker_.reactor().blocks());
    count_messages(messages_before);
    close_when_denied_too_often();
    settle_receiving();
}

void WebsocketRelay::count_messages(std::uint64_t passed_before) {
    worker_.shard().add(route_->cells.messages_in,
                        static_cast<std::int64_t>(stream_.messages_passed() - passed_before));
}

void WebsocketRelay::forward(net::Slice bytes) {
    if (upstream_end_ || upstream_shut_ || ended_) return;  // nobody is there to read it
    worker_.reactor().send(upstream_, std::move(bytes));
}

const RulePlan* WebsocketRelay::buckets_of(std::size_t rule) const {
    if (rule == policy::MessageRules::kUnjudgeable) rule = route_->strictest[caller_.tier];
    if (plan_.exempt || rule == policy::MessageRules::kNoRule) return nullptr;
    const RulePlan& buckets = plan_.rules[rule];
    return buckets.enforced + buckets.shadow > 0 ? &buckets : nullptr;
}

EventContext WebsocketRelay::event_context(const CallerPlan& plan) {
    return {snapshot_.get(), route_, &plan, &caller_.address, false, this};
}

Verdict WebsocketRelay::on_run(std::size_t rule, std::uint32_t messages) {
    if (own_closing_ || ended_) return Verdict::kDrop;
    const RulePlan* buckets = buckets_of(rule);
    if (buckets == nullptr) return Verdict::kPass;
    if (!too_often_.empty()) return Verdict::kDrop;
    const auto answer = worker_.admission().take_run(event_context(plan_), *buckets, messages, now());
    if (answer == Admission::Run::kLater) return Verdict::kPending;
    return answer == Admission::Run::kAdmitted ? Verdict::kPass : Verdict::kDrop;
}

Verdict WebsocketRelay::on_message(std::size_t rule) {
    if (own_closing_ || ended_) return Verdict::kDrop;
    return decide(plan_, buckets_of(rule));
}

Verdict WebsocketRelay::on_content(const policy::MessageView& message) {
    if (own_closing_ || ended_) return Verdict::kDrop;
    MessageOperations& messages = operations_->messages;
    const auto reading = messages.read(message, worker_.judge(), *snapshot_->config->limits, caller_.tier);
    operations_->deciding = reading.kind == MessageKind::kOperation;
    if (reading.kind == MessageKind::kRefused) {
        if (may_answer()) say(reading.answer);
        return Verdict::kDrop;
    }
    const Verdict verdict =
        operations_->deciding
            ? decide_operation(reading.uses)
            : decide(plan_, buckets_of(worker_.tools().judge.judge(route_->route->websocket->messages, message)));
    if (verdict == Verdict::kPass) messages.passed();
    return verdict;
}

// All that an operation takes is one event: it is admitted whole, or takes nothing.
Verdict WebsocketRelay::decide_operation(std::span<const RuleUse> uses) {
    std::vector<PlanUse>& planned = operations_->uses;
    planned.clear();
    for (const RuleUse& use : uses) {
        if (use.rule != policy::kUncounted) planned.push_back({operations_->first_rule + use.rule, use.events});
    }
    if (planned.empty()) return Verdict::kPass;
    if (planned.size() == 1 && planned.front().events == 1) return decide(plan_, buckets_of(planned.front().rule));
    if (!Admission::combine(plan_, planned, operations_->event)) {
        if (may_answer()) say(operations_->messages.refused("it counts under more limits than one operation may"));
        return Verdict::kDrop;
    }
    return decide(operations_->event, &operations_->event.rules.front());
}

Verdict WebsocketRelay::decide(const CallerPlan& plan, const RulePlan* buckets) {
    if (buckets == nullptr || buckets->enforced + buckets->shadow == 0) return Verdict::kPass;
    if (!too_often_.empty()) return Verdict::kDrop;  // our Close follows
    const AdmissionOutcome* outcome = worker_.admission().decide(event_context(plan), *buckets, now());
    if (outcome == nullptr) return Verdict::kPending;
    if (!outcome->passes) on_denied(*outcome);
    return outcome->passes ? Verdict::kPass : Verdict::kDrop;
}

void WebsocketRelay::on_admission(const AdmissionOutcome& outcome) {
    if (ended_ || own_closing_) {
        stream_.decided(false, *this, worker_.tools(), worker_.reactor().blocks());
        check_ended();
        return;
    }
    if (!outcome.passes && !outcome.of_run) on_denied(outcome);
    if (outcome.passes && operations_ != nullptr) operations_->messages.passed();
    const std::uint64_t messages_before = stream_.messages_passed();
    stream_.decided(outcome.passes, *this, worker_.tools(), worker_.reactor().blocks());
    count_messages(messages_before);
    close_when_denied_too_often();
    settle_receiving();
    if (downstream_end_ && !stream_.pending()) on_downstream_end();
}

void WebsocketRelay::on_denied(const AdmissionOutcome& outcome) {
    const config::WebsocketRoute& websocket = *route_->route->websocket;
    look_for_block();
    if (!too_often_.empty()) return;
    if (websocket.close_after) {
        if (!limit::take(close_after_rule_, close_after_, now(), 1).allowed) {
            too_often_ = policy::close_reason(policy::tightest(outcome.all()));
            return;
        }
    }
    answer(outcome);
}

// Somebody was blocked since the last look, by any worker: perhaps this caller.
void WebsocketRelay::look_for_block() {
    const std::uint64_t generation = worker_.shared().penalties.generation();
    if (generation == blocks_seen_) return;
    blocks_seen_ = generation;
    const MonoTime time = now();
    const auto block = worker_.admission().block_of(*worker_.snapshot()->config, caller_, plan_.subject, time);
    if (block) too_often_ = policy::blocked_sentence(limit::whole_seconds_up(block->until - time), block->reason);
}

// Not from inside the stream's walk: what passed before the denied message has not been forwarded yet, and would be cut
// by our Close.
void WebsocketRelay::close_when_denied_too_often() {
    if (!too_often_.empty()) close(ws::close_code::kRateLimited, too_often_);
}

void WebsocketRelay::answer(const AdmissionOutcome& outcome) {
    const bool operation = operations_ != nullptr && operations_->deciding;
    if (operation && !operations_->messages.expects_answer()) return;
    if (!may_answer()) return;
    const policy::Verdict& verdict = policy::tightest(outcome.all());
    const std::string& own = route_->route->websocket->answer;
    std::optional<std::string> text;
    if (operation) text = operations_->messages.denied(verdict);
    if (!text) text = own.empty() ? policy::rate_limited_text(verdict) : policy::expand_answer(own, verdict);
    say(*text);
}

bool WebsocketRelay::may_answer() {
    if (route_->route->websocket->notify && !limit::take(notify_rule_, notify_, now(), 1).allowed) return false;
    // A client that does not read is not written to: answers must not become the load that they announce.
    if (downstream_full_ || answers_.size() >= kAnswersWaitingMax || server_.opaque()) return false;
    return !server_.close_seen() && !downstream_shut_;  // nothing may follow a Close
}

void WebsocketRelay::say(std::string_view text) {
    answers_.push_back(worker_.reactor().blocks().copy(ws::server_frame(ws::Opcode::kText, text)));
    if (server_.at_message_boundary()) send_answers();
}

void WebsocketRelay::send_answers() {
    for (net::Slice& waiting : answers_) to_downstream(std::move(waiting));
    answers_.clear();
    if (!own_close_.empty()) flush_own_close();
}

void WebsocketRelay::to_downstream(net::Slice bytes) {
    if (downstream_end_ && downstream_shut_) return;
    worker_.reactor().send(downstream_, std::move(bytes));
}

void WebsocketRelay::on_upstream(net::Slice bytes) {
    if (ended_) return;
    if (!own_closing_) last_activity_ = now();
    worker_.shard().add(route_->cells.bytes_out, static_cast<std::int64_t>(bytes.size()));
    if (own_closing_ && own_close_.empty()) return;  // our Close was sent: nothing may follow it
    const std::uint64_t messages_before = server_.messages();
    ServerMessageSink* const shown = operations_ != nullptr && operations_->messages.watches_server() ? this : nullptr;
    if (!answers_.empty() || !own_close_.empty()) {
        const std::size_t part = server_.walk(bytes.bytes(), true, shown);
        to_downstream(bytes.sub(0, part));
        bytes.remove_prefix(part);
        if (server_.at_message_boundary()) send_answers();
    }
    if (!bytes.empty() && !own_closing_) {
        server_.walk(bytes.bytes(), false, shown);
        to_downstream(std::move(bytes));
    }
    worker_.shard().add(route_->cells.messages_out, static_cast<std::int64_t>(server_.messages() - messages_before));
    if (server_.close_seen()) begin_closing();
    settle_receiving();
}

// While subscriptions are active: the backend may say that one has ended.
void WebsocketRelay::on_server_message(std::span<const std::uint8_t> payload, bool compressed) {
    StreamTools& tools = worker_.tools();
    std::size_t size = payload.size();
    if (compressed) {
        const auto inflated = tools.inflate(payload, kShownBytesMax);
        if (inflated.malformed || inflated.beyond) return;
        size = inflated.bytes;
    } else {
        if (!MessageOperations::may_end({reinterpret_cast<const char*>(payload.data()), size})) return;
        if (tools.content.size() < size + policy::kJsonPadding) tools.content.resize(size + policy::kJsonPadding);
        std::copy(payload.begin(), payload.end(), tools.content.begin());
    }
    const std::string_view text(reinterpret_cast<const char*>(tools.content.data()), size);
    if (MessageOperations::may_end(text)) operations_->messages.on_server_message(text, worker_.judge());
}

void WebsocketRelay::refuse(std::uint16_t close_code, std::string_view reason) {
    close(close_code, reason);
}

void WebsocketRelay::on_client_close() {
    begin_closing();
}

void WebsocketRelay::close(std::uint16_t code, std::string_view reason) {
    if (own_closing_ || ended_) return;
    own_closing_ = true;
    begin_closing();
    own_close_ = ws::server_frame(ws::Opcode::kClose, ws::close_payload(code, reason));
    if (server_.close_seen() || server_.opaque())
        own_close_.clear();  // it has closed already, or no place for ours can be known
    if (!upstream_end_ && !upstream_shut_) {
        if (stream_.at_frame_boundary() && !stream_.client_closed()) {
            const auto key = worker_.random_mask();
            worker_.reactor().send(upstream_,
                                   worker_.reactor().blocks().copy(ws::client_frame(
                                       ws::Opcode::kClose, ws::close_payload(ws::close_code::kGoingAway, ""), key)));
        }
        worker_.reactor().shutdown_send(upstream_);
        upstream_shut_ = true;
    }
    if (server_.at_message_boundary()) send_answers();
    if (own_close_.empty() || server_.at_message_boundary()) flush_own_close();
    settle_receiving();
}

// At a boundary, or when the backend will bring none any more.
void WebsocketRelay::flush_own_close() {
    if (!own_closing_ || downstream_shut_) return;
    if (!own_close_.empty() && server_.at_message_boundary() && !server_.close_seen())
        to_downstream(worker_.reactor().blocks().copy(own_close_));
    own_close_.clear();
    worker_.reactor().shutdown_send(downstream_);
    downstream_shut_ = true;
    check_ended();
}

void WebsocketRelay::begin_closing() {
    if (closing_) return;
    closing_ = true;
    unsent_last_ = worker_.reactor().unsent_bytes(downstream_);
    host_.relay_wants_timer(snapshot_->config->timeouts.close);
}

void WebsocketRelay::on_downstream_end() {
    downstream_end_ = true;
    begin_closing();
    if (stream_.pending()) return;  // what it has said so far is still being decided
    if (!upstream_shut_ && !upstream_end_) {
        worker_.reactor().shutdown_send(upstream_);
        upstream_shut_ = true;
    }
    check_ended();
}

void WebsocketRelay::on_upstream_end() {
    upstream_end_ = true;
    begin_closing();
    if (!downstream_shut_) {
        // The backend has ended without its Close: what waits for a boundary has one now, if no frame is cut in the
        // middle.
        if (server_.at_message_boundary()) send_answers();
        worker_.reactor().shutdown_send(downstream_);
        downstream_shut_ = true;
    }
    check_ended();
}

void WebsocketRelay::on_downstream_closed() {
    downstream_end_ = downstream_shut_ = true;
    end();
}

void WebsocketRelay::on_upstream_closed() {
    upstream_end_ = upstream_shut_ = true;
    begin_closing();
    on_upstream_end();
}

void WebsocketRelay::on_downstream_drained() {
    settle_receiving();
}
void WebsocketRelay::on_upstream_drained() {
    settle_receiving();
}

// A reader that is slow stops the other side's reads: above the high watermark it pauses, and `on_drained` (at half of
// it) resumes.
void WebsocketRelay::settle_receiving() {
    if (ended_) return;
    net::Reactor& reactor = worker_.reactor();
    upstream_full_ = !upstream_end_ && is_full(upstream_full_, reactor.unsent_bytes(upstream_));
    downstream_full_ = is_full(downstream_full_, reactor.unsent_bytes(downstream_));
    const bool want_downstream = !stream_.pending() && (!upstream_full_ || own_closing_);
    set_receiving(reactor, downstream_, receiving_downstream_, want_downstream);
    if (!upstream_end_) set_receiving(reactor, upstream_, receiving_upstream_, !downstream_full_);
}

void WebsocketRelay::check_ended() {
    if (!stream_.pending() && downstream_end_ && upstream_end_) end();
}

void WebsocketRelay::end() {
    if (ended_) return;
    ended_ = true;
    answers_.clear();
    host_.relay_ended();
}

Nanos WebsocketRelay::on_timer() {
    const config::Timeouts& timeouts = snapshot_->config->timeouts;
    const Nanos quiet = now() - last_activity_;
    if (closing_) return next_closing_check();
    if (quiet >= timeouts.idle) {
        close(ws::close_code::kGoingAway, "idle");
        return timeouts.close;
    }
    Nanos next = timeouts.idle - quiet;
    const Nanos ping = route_->route->websocket ? route_->route->websocket->ping_interval : Nanos{0};
    if (ping > Nanos{0}) {
        if (now() - last_client_ >= 2 * ping && last_ping_ > last_client_) {
            close(ws::close_code::kGoingAway, "ping timeout");
            return timeouts.close;
        }
        if (now() - last_ping_ >= ping && now() - last_client_ >= ping) {
            last_ping_ = now();
            if (!downstream_full_ && !server_.opaque()) {
                answers_.push_back(worker_.reactor().blocks().copy(ws::server_frame(ws::Opcode::kPing, kPingPayload)));
                if (server_.at_message_boundary()) send_answers();
            }
        }
        next = std::min(next, ping);
    }
    return std::max<Nanos>(next, net::kTimerTick);
}

// A peer that still takes what it is owed has not timed out.
Nanos WebsocketRelay::next_closing_check() {
    const Nanos limit = snapshot_->config->timeouts.close;
    const std::size_t unsent = worker_.reactor().unsent_bytes(downstream_) + worker_.reactor().unsent_bytes(upstream_);
    if (unsent < unsent_last_) last_activity_ = now();
    unsent_last_ = unsent;
    const Nanos quiet = now() - last_activity_;
    if (quiet >= limit) {
        end();
        return Nanos{0};
    }
    return std::max<Nanos>(limit - quiet, net::kTimerTick);
}

void WebsocketRelay::on_tick() {
    if (!own_closing_ && !ended_) look_for_block();
    close_when_denied_too_often();
    const bool holds = stream_.holds_control_frames();
    if (holds && held_last_tick_ && !ended_) stream_.let_controls_pass(*this, worker_.reactor().blocks());
    held_last_tick_ = holds;
}

}  // namespace weir::gateway
