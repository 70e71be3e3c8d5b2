// Who asks, whether it may, and what it hears when it may not.
#include <algorithm>

#include "base/text.h"
#include "gateway/connection.h"
#include "gateway/head_writer.h"
#include "gateway/worker.h"
#include "policy/answer.h"
#include "protocol/ws/frame.h"
#include "protocol/ws/handshake.h"

namespace weir::gateway {

namespace http = protocol::http;
namespace ws = protocol::ws;

namespace {

bool is_preflight(const http::RequestHead& request) {
    return request.method == "OPTIONS" && request.count("origin") > 0 &&
           request.count("access-control-request-method") > 0;
}

bool is_idempotent(std::string_view method) {
    constexpr std::string_view kMethods[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
    return std::find(std::begin(kMethods), std::end(kMethods), method) != std::end(kMethods);
}

bool is_blocked(const config::Config& config, const policy::Caller& caller, std::string_view subject) {
    const auto covers = [&](const Cidr& range) { return caller.address_known && range.contains(caller.address); };
    return std::any_of(config.block_addresses.begin(), config.block_addresses.end(), covers) ||
           std::find(config.block_subjects.begin(), config.block_subjects.end(), subject) !=
               config.block_subjects.end();
}

}  // namespace

void Connection::identify_and_admit(const http::RequestHead& request) {
    Exchange& exchange = *exchange_;
    exchange.who = exchange.snapshot->identifier.identify(request, peer(), worker_.reactor().wall_now());
    exchange.connection_id = worker_.shared().next_connection_id.fetch_add(1, std::memory_order_relaxed);
    exchange.websocket = ws::wants_websocket(request);
    exchange.idempotent = is_idempotent(request.method) && request.framing == http::BodyFraming::kNone;
    if (refuse_blocked()) return;
    if (exchange.websocket) {
        if (const auto valid = ws::check_handshake(request); !valid) {
            const bool version = valid.error().code == ErrorCode::kUnsupported;
            send_answer(
                {.status = version ? 426U : 400U,
                 .body = version ? "WebSocket version 13 is spoken here\n" : "this is not a WebSocket handshake\n",
                 .extra_fields = version ? "Sec-WebSocket-Version: 13\r\n" : ""});
            return;
        }
        exchange.key = request.field("sec-websocket-key");
        // A browser that offers sub-protocols takes a 101 only if one of them is selected. It is never the token.
        exchange.subprotocol = exchange.who.subprotocol_marker;
        if (exchange.subprotocol.empty()) {
            const auto offered = ws::offered_subprotocols(request.fields);
            if (!offered.empty()) exchange.subprotocol = offered.front();
        }
    }
    if (await_keys()) return;
    if (exchange.who.rejected) {
        reject_token(subject());
        return;
    }
    if (!look_up(request)) admit(request);
}

std::string Connection::subject() const {
    return policy::subject_of(exchange_->who.caller, {}, exchange_->connection_id,
                              exchange_->snapshot->config->subject);
}

bool Connection::refuse_blocked() {
    const std::string who = subject();
    if (!is_blocked(*exchange_->snapshot->config, exchange_->who.caller, who)) return false;
    log_refusal("blocked", who);
    count_connection(&RouteCells::blocked);
    answer(403, "blocked");
    return true;
}

// Told until when, where a browser's page can read it: on a WebSocket in a Close, as limits are.
bool Connection::refuse_penalised() {
    const config::Route& route = *exchange_->route->route;
    const std::string who = subject();
    const MonoTime now = worker_.reactor().now();
    const auto block = worker_.admission().block_of(*exchange_->snapshot->config, exchange_->who.caller, who, now);
    if (!block) return false;
    log_refusal("blocked", who);
    count_connection(&RouteCells::blocked);
    const std::uint64_t seconds = limit::whole_seconds_up(block->until - now);
    const std::string why = policy::blocked_sentence(seconds, block->reason);
    const bool as_websocket = exchange_->websocket && route.websocket.has_value();
    if (as_websocket && route.websocket->on_connect_limit != config::OnLimit::kHttp429) {
        deny_websocket(ws::close_code::kRateLimited, why);
        return true;
    }
    const std::string body = why + "\n";
    const std::string fields = "Retry-After: " + std::to_string(seconds) + "\r\n" + exchange_->cors_fields;
    send_answer({.status = 403,
                 .body = body,
                 .extra_fields = fields,
                 .keep_alive = false,
                 .head_request = exchange_->method == "HEAD"});
    return true;
}

// Whether the caller is to be known before the request goes on, and is not yet: then it waits, or was refused.
bool Connection::look_up(const http::RequestHead& request) {
    Exchange& exchange = *exchange_;
    LookupCache* cache = exchange.snapshot->lookup.get();
    const bool matters = exchange.route->limited || !exchange.snapshot->config->block_subjects.empty() ||
                         !worker_.shared().penalties.empty();
    if (cache == nullptr || !matters || exchange.who.user_of_proxy || is_preflight(request)) return false;
    const auto credentials = identity::credentials_of(request, cache->options().forward);
    if (credentials.empty()) return false;
    const Hash128 key = identity::hash_of(credentials, worker_.shared().hash_key);
    const auto found = cache->find(key, {&worker_, slot_, exchange.connection_id}, worker_.reactor().now());
    if (found.ticket) {
        const config::Lookup& options = cache->options();
        worker_.lookups().ask(key, *found.ticket,
                              identity::lookup_request(options.target, options.address.host_header, credentials));
    }
    if (found.answer) {
        const bool failure = found.answer->kind == identity::LookupAnswer::Kind::kFailed;
        worker_.shard().add(failure ? cache->cells().failure_kept : cache->cells().hit);
        return !believe(*found.answer);
    }
    if (!found.ticket) worker_.shard().add(cache->cells().shared);
    exchange.lookup_key = key;
    state_ = State::kIdentifying;
    arm(Timer::kLookup, cache->options().timeout);
    settle_receiving();
    return true;
}

// A token that names a key which is not here, just after its issuer has changed keys or Weir has started, is worth a
// moment: a WebSocket keeps for its whole life what is found now.
bool Connection::await_keys() {
    Exchange& exchange = *exchange_;
    if (!exchange.who.key_missing || keys_awaited_) return false;
    const LookupWaiter waiter{&worker_, slot_, exchange.connection_id};
    if (!worker_.jwks().wait(*exchange.snapshot->jwks, waiter)) return false;
    keys_awaited_ = true;
    state_ = State::kIdentifying;
    arm(Timer::kKeys, kKeysWait);
    settle_receiving();
    return true;
}

void Connection::on_lookup(std::uint64_t request, const identity::LookupAnswer& answer) {
    if (state_ != State::kIdentifying || exchange_->connection_id != request) return;
    if (timer_kind_ == Timer::kKeys) {
        handle_request();  // anew, with the keys that are there now
    } else {
        lookup_ended(answer);
    }
}

void Connection::lookup_ended(const identity::LookupAnswer& answer) {
    disarm();
    exchange_->lookup_key.reset();
    if (exchange_->snapshot->generation != worker_.generation()) {
        handle_request();  // anew, under the configuration that is in force now
        return;
    }
    if (!believe(answer)) return;
    admit(reread_head());
}

void Connection::forget_lookup() {
    if (exchange_ == nullptr || !exchange_->lookup_key) return;
    exchange_->snapshot->lookup->forget(*exchange_->lookup_key, {&worker_, slot_, exchange_->connection_id});
    exchange_->lookup_key.reset();
}

// False when the request was answered.
bool Connection::believe(const identity::LookupAnswer& answer) {
    const identity::OnLookupError on_error = exchange_->snapshot->config->lookup->on_error;
    if (answer.kind == identity::LookupAnswer::Kind::kFailed && on_error == identity::OnLookupError::kReject) {
        refuse_unidentified();
        return false;
    }
    identity::apply_lookup(answer, on_error, exchange_->who);
    return !refuse_blocked();
}

void Connection::refuse_unidentified() {
    log_refusal("caller could not be looked up", subject());
    count_connection(&RouteCells::rejected);
    const std::string fields = "Retry-After: 1\r\n" + exchange_->cors_fields;
    send_answer({.status = 503,
                 .content_type = "application/problem+json",
                 .body = "{\"type\": \"about:blank\", \"title\": \"Service Unavailable\", \"status\": 503, "
                         "\"detail\": \"The caller could not be identified. Please try again later.\"}\n",
                 .extra_fields = fields,
                 .keep_alive = true,
                 .head_request = exchange_->method == "HEAD"});
}

void Connection::admit(const http::RequestHead& request) {
    Exchange& exchange = *exchange_;
    const config::Route& route = *exchange.route->route;
    const config::Config& config = *exchange.snapshot->config;
    // A preflight passes: without it a page could not read the 403 of the request that follows.
    if (!is_preflight(request) && refuse_penalised()) return;
    const bool limited_as_websocket = exchange.websocket && route.websocket.has_value();
    if (!limited_as_websocket) {
        if (is_preflight(request) || !inspect(request)) admit_event(request, {});
        return;
    }
    const std::vector<policy::LimitId>* limits = &route.websocket->connect;
    exchange.plan = worker_.admission().plan(*exchange.snapshot, exchange.who.caller, exchange.connection_id,
                                             std::span(&limits, 1));
    if (route.websocket->connections_max_per_subject > 0 && !exchange.plan.exempt) {
        const std::string who = subject();
        const std::string key = route.name + '\0' + who;
        if (worker_.shared().counts.acquire(key, route.websocket->connections_max_per_subject)) {
            count_key_ = key;
        } else {
            log_refusal("too many connections of this subject", who);
            if (!config.shadow) {
                count_connection(&RouteCells::refused);
                deny_connection("Too many connections: " +
                                std::to_string(route.websocket->connections_max_per_subject));
                return;
            }
        }
    }
    decide(request);
}

// A request, counted by the limits of its route and method and by what its content says.
void Connection::admit_event(const http::RequestHead& request, std::span<const ListUse> operations) {
    Exchange& exchange = *exchange_;
    std::vector<ListUse> uses;
    uses.reserve(operations.size() + 1);
    uses.push_back({&http_limits(request), http_cost(request)});
    uses.insert(uses.end(), operations.begin(), operations.end());
    auto plan = worker_.admission().plan_event(*exchange.snapshot, exchange.who.caller, exchange.connection_id, uses);
    if (!plan) {
        answer(400, "the request counts under more limits than one request may");
        return;
    }
    exchange.plan = std::move(*plan);
    decide(request);
}

const std::vector<policy::LimitId>& Connection::http_limits(const http::RequestHead& request) const {
    static const std::vector<policy::LimitId> kNone;
    if (is_preflight(request)) return kNone;
    const config::HttpRoute& route = exchange_->route->route->http;
    for (const auto& [method, limits] : route.by_method) {
        if (method == request.method) return limits;
    }
    return route.limits;
}

// One for each begun `cost_bytes` of the body.
std::uint64_t Connection::http_cost(const http::RequestHead& request) const {
    const std::uint64_t unit = exchange_->route->route->http.cost_bytes;
    if (unit == 0) return 1;
    const bool known = request.framing == http::BodyFraming::kLength;
    const std::uint64_t bytes = known ? request.content_length : exchange_->body_bytes;
    constexpr std::uint64_t kCostMax = std::uint64_t{1} << 32U;  // beyond every limit
    return std::clamp<std::uint64_t>(bytes / unit + (bytes % unit > 0 ? 1 : 0), 1, kCostMax);
}

void Connection::decide(const http::RequestHead& request) {
    Exchange& exchange = *exchange_;
    state_ = State::kAdmitting;
    EventContext context{exchange.snapshot.get(),      exchange.route, &exchange.plan,
                         &exchange.who.caller.address, true,           this};
    const config::Route& route = *exchange.route->route;
    const bool as_websocket = exchange.websocket && route.websocket.has_value();
    context.marks = (as_websocket ? route.websocket->on_connect_limit : route.http.on_limit) == config::OnLimit::kMark;
    const AdmissionOutcome* outcome =
        worker_.admission().decide(context, exchange.plan.rules.front(), worker_.reactor().now());
    if (outcome == nullptr) {
        awaiting_ = true;
        settle_receiving();
        return;
    }
    on_decided(*outcome, request);
}

void Connection::on_admission(const AdmissionOutcome& outcome) {
    awaiting_ = false;
    if (state_ != State::kAdmitting) return;  // it has ended meanwhile
    on_decided(outcome, reread_head());
}

void Connection::on_decided(const AdmissionOutcome& outcome, const http::RequestHead& request) {
    Exchange& exchange = *exchange_;
    const config::Route& route = *exchange.route->route;
    if (outcome.count > 0) policy::append_rate_limit_fields(exchange.rate_limit_fields, outcome.all());
    if (outcome.passes) {
        proceed(request);
        return;
    }
    const bool as_websocket = exchange.websocket && route.websocket.has_value();
    const config::OnLimit on_limit = as_websocket ? route.websocket->on_connect_limit : route.http.on_limit;
    if (on_limit == config::OnLimit::kMark) {
        for (const policy::Verdict& verdict : outcome.all()) {
            if (verdict.decision.allowed) continue;
            if (!exchange.limited_groups.empty()) exchange.limited_groups.append(", ");
            exchange.limited_groups.append(verdict.limit->group);
        }
        proceed(request);
        return;
    }
    count_connection(&RouteCells::denied);
    if (as_websocket && on_limit == config::OnLimit::kClose) {
        deny_websocket(ws::close_code::kRateLimited, policy::close_reason(policy::tightest(outcome.all())));
        return;
    }
    const policy::Verdict& speaker = policy::tightest(outcome.all());
    if (exchange.inspection == Inspection::kGraphql) {
        deny_graphql(speaker, request);
        return;
    }
    if (exchange.inspection == Inspection::kCalls && deny_calls(speaker, request)) return;
    const std::string body = policy::problem_details(outcome.all()) + "\n";
    const std::string fields = exchange.rate_limit_fields + exchange.cors_fields;
    send_answer({.status = 429,
                 .content_type = "application/problem+json",
                 .body = body,
                 .extra_fields = fields,
                 .keep_alive = true,
                 .head_request = exchange.method == "HEAD"});
}

void Connection::reject_token(std::string_view subject) {
    const bool expired = exchange_->who.token == identity::TokenStatus::kExpired;
    log_refusal(expired ? "token expired" : "token invalid", subject);
    count_connection(&RouteCells::rejected);
    if (exchange_->websocket && exchange_->route->route->websocket) {
        deny_websocket(expired ? ws::close_code::kTokenExpired : ws::close_code::kTokenInvalid,
                       expired ? "Token expired" : "Token invalid");
        return;
    }
    const std::string fields = std::string("WWW-Authenticate: Bearer error=\"invalid_token\", error_description=\"") +
                               (expired ? "token expired" : "token invalid") + "\"\r\n" + exchange_->cors_fields;
    send_answer({.status = 401,
                 .body = expired ? "token expired\n" : "token invalid\n",
                 .extra_fields = fields,
                 .keep_alive = true,
                 .head_request = exchange_->method == "HEAD"});
}

void Connection::deny_connection(const std::string& reason) {
    if (exchange_->route->route->websocket->on_connect_limit == config::OnLimit::kHttp429) {
        const std::string body = reason + "\n";
        const std::string fields = "Retry-After: 1\r\n" + exchange_->cors_fields;
        send_answer({.status = 429, .body = body, .extra_fields = fields, .keep_alive = true});
    } else {
        deny_websocket(ws::close_code::kRateLimited, reason);
    }
}

// The handshake is completed only to be closed with a code that a browser's page can read. The upstream hears nothing.
void Connection::deny_websocket(std::uint16_t code, std::string_view reason) {
    std::string out = ws::switching_protocols(exchange_->key, exchange_->subprotocol, exchange_->rate_limit_fields);
    out += ws::server_frame(ws::Opcode::kClose, ws::close_payload(code, reason));
    to_downstream(out);
    await_close_reply();
}

void Connection::proceed(const http::RequestHead& request) {
    Exchange& exchange = *exchange_;
    const std::string peer = peer_address_ ? peer_address_->to_string() : std::string();
    std::string offer = exchange.websocket ? ws::filtered_extension_offer(request.fields) : std::string();
    const auto& websocket = exchange.route->route->websocket;
    const bool watches_server = websocket && websocket->graphql && websocket->graphql->subscriptions_max > 0;
    if (watches_server) offer = ws::without_server_context(offer);
    exchange.upstream_head = upstream_request_head(
        request,
        {.identifier = &exchange.snapshot->identifier,
         .who = &exchange.who,
         .peer_address = peer,
         .default_host =
             exchange.snapshot->config->upstreams[exchange.route->route->upstream].addresses.front().host_header,
         .secure = tls_ != nullptr,
         .websocket = exchange.websocket,
         .extension_offer = offer,
         .limited_groups = exchange.limited_groups,
         .body_is_here = exchange.inspection != Inspection::kNone});
    connect_upstream();
}

void Connection::log_refusal(std::string_view what, std::string_view subject) {
    const policy::Caller& caller = exchange_->who.caller;
    const std::string address = caller.address_known ? caller.address.to_string() : "unix";
    worker_.admission().log_refusal(what, subject, exchange_->route->route->name, address, worker_.reactor().now());
}

void Connection::count_connection(metrics::Cell RouteCells::*outcome) {
    if (exchange_->websocket) worker_.shard().add(exchange_->route->cells.*outcome);
}

}  // namespace weir::gateway
