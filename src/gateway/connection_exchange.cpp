// The exchange with the upstream: connect, send the request, relay the response, and use the connection again.
#include <fmt/format.h>

#include "gateway/back_pressure.h"
#include "gateway/connection.h"
#include "gateway/head_writer.h"
#include "gateway/worker.h"
#include "protocol/ws/handshake.h"

namespace weir::gateway {

namespace http = protocol::http;
namespace ws = protocol::ws;

namespace {

Error upstream_error(ErrorCode code, std::string_view detail) {
    return {code, ErrorSource::kUpstream, false, detail};
}

// Sends `content`, a view into `bytes`, as it is or as one chunk (RFC 9112 7.1). An empty chunk would end the body.
void send_piece(net::Reactor& reactor, net::SocketId to, const net::Slice& bytes, std::string_view content,
                bool chunked) {
    if (content.empty()) return;
    const auto offset = static_cast<std::size_t>(content.data() - bytes.text().data());
    if (chunked) reactor.send(to, reactor.blocks().copy(fmt::format("{:x}\r\n", content.size())));
    reactor.send(to, bytes.sub(offset, content.size()));
    if (chunked) reactor.send(to, net::Slice::of_static("\r\n"));
}

}  // namespace

void Connection::connect_upstream() {
    Exchange& exchange = *exchange_;
    UpstreamPool& pool = worker_.pool();
    const config::Timeouts& timeouts = exchange.snapshot->config->timeouts;
    if (exchange.snapshot->generation != worker_.generation()) {
        // A reload between admission and here: the pool has other upstreams now.
        answer(503, "the configuration changed, try again");
        return;
    }
    while (const auto ref = pool.next(exchange.route->route->upstream, exchange.tried, worker_.reactor().now())) {
        exchange.address = *ref;
        exchange.tried |= std::uint64_t{1} << (ref->address & 63U);
        // A connection that has waited may be dead without our knowing. What can't be sent again goes only over one
        // that was used just now.
        // A handshake must not reach a backend twice.
        if (!exchange.retried && !exchange.websocket) {
            const Nanos idle_most = exchange.idempotent ? kPooledIdleMax : kPooledFresh;
            if (const net::SocketId idle = pool.take_idle(*ref, idle_most, worker_.reactor().now()); idle.valid()) {
                upstream_ = idle;
                exchange.pooled = true;
                worker_.attach_upstream(idle, *this);
                send_request();
                return;
            }
        }
        exchange.pooled = false;
        Error last;
        if (const auto endpoint = pool.endpoint_of(*ref)) {
            const auto socket = worker_.reactor().connect(*endpoint, pool.tls_of(*ref));
            if (socket) {
                upstream_ = *socket;
                worker_.attach_upstream(upstream_, *this);
                state_ = State::kConnecting;
                arm(Timer::kConnect, timeouts.upstream_connect);
                settle_receiving();
                return;
            }
            last = socket.error();
        } else {
            last = upstream_error(ErrorCode::kUnreachable, "its name has no address");
        }
        count_upstream_error(last.code);
        log_upstream(last);
        pool.failed(*ref, worker_.reactor().now());
    }
    count_connection(&RouteCells::upstream_error);
    const bool timed_out = exchange.last_error == ErrorCode::kTimeout;
    answer(timed_out ? 504 : 502, timed_out ? "the upstream did not answer in time" : "the upstream can't be reached");
}

void Connection::count_upstream_error(ErrorCode code) {
    const auto& cells = exchange_->snapshot->upstream_errors[exchange_->route->route->upstream];
    worker_.shard().add(cells[static_cast<std::size_t>(code)]);
}

void Connection::on_upstream_connected(const Result<void>& outcome) {
    if (state_ != State::kConnecting) return;
    if (!outcome) {
        worker_.detach_upstream(upstream_);
        upstream_ = {};
        upstream_failed(outcome.error());
        return;
    }
    if (exchange_->snapshot->generation == worker_.generation()) worker_.pool().succeeded(exchange_->address);
    send_request();
}

// The upstream failed before its response's head was complete.
void Connection::upstream_failed(const Error& why) {
    Exchange& exchange = *exchange_;
    exchange.last_error = why.code;
    const bool connecting = state_ == State::kConnecting;
    const bool stale = exchange.pooled && exchange.response_head.empty() && why.code != ErrorCode::kTimeout;
    if (upstream_.valid()) release_upstream(false);
    if (exchange.response_begun) {
        count_upstream_error(why.code);
        // Its head has gone out: the missing end is all that can be said. Where the end of the connection is the end of
        // the body, an orderly one would say that nothing is missing.
        if (tls_ != nullptr && exchange.body_until_close) {
            retire();
        } else {
            linger();
        }
        return;
    }
    if (connecting || (stale && exchange.idempotent && !exchange.retried)) {
        if (connecting) {
            count_upstream_error(why.code);
            log_upstream(why);
            if (exchange.snapshot->generation == worker_.generation()) {
                worker_.pool().failed(exchange.address, worker_.reactor().now());
            }
        } else {
            exchange.retried = true;
            exchange.tried &= ~(std::uint64_t{1} << (exchange.address.address & 63U));
        }
        connect_upstream();
        return;
    }
    count_upstream_error(why.code);
    log_upstream(why);
    count_connection(&RouteCells::upstream_error);
    answer(why.code == ErrorCode::kTimeout ? 504 : 502, why.code == ErrorCode::kTimeout
                                                            ? "the upstream did not answer in time"
                                                            : "the upstream's answer was cut off or broken");
}

void Connection::log_upstream(const Error& why) {
    const config::Upstream& upstream = exchange_->snapshot->config->upstreams[exchange_->route->route->upstream];
    worker_.shared().log.write(LogLevel::kWarning, "upstream failed",
                               {{"upstream", upstream.name},
                                {"address", upstream.addresses[exchange_->address.address].url},
                                {"kind", error_row(why.code).label},
                                {"reason", why.detail}});
}

void Connection::send_request() {
    Exchange& exchange = *exchange_;
    state_ = State::kExchange;
    receiving_upstream_ = true;
    worker_.reactor().send(upstream_, worker_.reactor().blocks().copy(exchange.upstream_head));
    send_held_body();
    if (exchange.request_done) {
        request_finished();
    } else {
        arm(Timer::kBody, exchange.snapshot->config->timeouts.body);
    }
    settle_receiving();
    if (!stash_.empty() && !exchange.request_done) take_stash();
}

// What came before the request was admitted, byte for byte; its chunks may be cut elsewhere.
void Connection::send_held_body() {
    Exchange& exchange = *exchange_;
    if (exchange.inspection == Inspection::kNone) return;
    const bool chunked = exchange.request_framing == http::BodyFraming::kChunked;
    if (!exchange.held_body.empty()) {
        const net::Slice bytes = worker_.reactor().blocks().copy(exchange.held_body);
        send_piece(worker_.reactor(), upstream_, bytes, bytes.text(), chunked);
        exchange.held_body = {};
        exchange.held_share.give_back();
    }
    if (chunked && exchange.request_done) worker_.reactor().send(upstream_, net::Slice::of_static("0\r\n\r\n"));
}

void Connection::request_finished() {
    Exchange& exchange = *exchange_;
    exchange.request_done = true;
    const config::Timeouts& timeouts = exchange.snapshot->config->timeouts;
    if (exchange.response_begun) return;
    arm(Timer::kResponse, exchange.websocket ? timeouts.handshake : timeouts.upstream_response);
}

void Connection::send_request_body(net::Slice bytes) {
    Exchange& exchange = *exchange_;
    net::Reactor& reactor = worker_.reactor();
    while (!bytes.empty() && !exchange.request_done) {
        const auto piece = exchange.request_body.next(bytes.text());
        if (!piece) {
            worker_.shared().log.write(LogLevel::kInfo, "request body refused", {{"reason", piece.error().detail}});
            answer_error(piece.error());
            return;
        }
        const bool chunked = exchange.request_framing == http::BodyFraming::kChunked;
        exchange.body_bytes += piece->content.size();
        const std::uint64_t most = exchange.route->route->http.body_bytes_max;
        if (most > 0 && exchange.body_bytes > most) {
            answer(413, "the request body is longer than this route allows");
            return;
        }
        if (!watch_upload(piece->content, piece->done)) return;
        send_piece(reactor, upstream_, bytes, piece->content, chunked);
        bytes.remove_prefix(piece->consumed);
        if (piece->done) {
            if (chunked) reactor.send(upstream_, net::Slice::of_static("0\r\n\r\n"));
            request_finished();
        }
    }
    if (!bytes.empty()) put_back(std::move(bytes));  // of the next request: waits
    settle_receiving();
}

void Connection::on_upstream(net::Slice bytes) {
    last_activity_ = worker_.reactor().now();
    if (state_ == State::kRelay) {
        relay_->on_upstream(std::move(bytes));
        return;
    }
    if (state_ != State::kExchange) return;
    if (exchange_->response_begun) {
        send_response_body(std::move(bytes));
    } else {
        read_response(std::move(bytes));
    }
}

void Connection::read_response(net::Slice bytes) {
    Exchange& exchange = *exchange_;
    std::size_t searched = exchange.response_head.size();
    exchange.response_head.append(bytes.text());
    while (true) {
        const std::size_t length = http::head_length(exchange.response_head, searched);
        if (length == 0 || length > kHeaderBytesMax) {
            if (length > 0 || exchange.response_head.size() > kHeaderBytesMax) {
                upstream_failed(
                    upstream_error(ErrorCode::kTooLarge, "the upstream's response head is longer than 32 KiB"));
            }
            return;
        }
        http::ResponseHead& response = worker_.response_scratch();
        const std::string_view head = std::string_view(exchange.response_head).substr(0, length);
        if (const auto parsed = http::parse_response_head(head, exchange.method, response); !parsed) {
            upstream_failed({parsed.error().code, ErrorSource::kUpstream, false, parsed.error().detail});
            return;
        }
        const std::size_t behind = exchange.response_head.size() - length;
        bytes.remove_prefix(bytes.size() - std::min(behind, bytes.size()));
        if (response.status == 101) {
            switch_to_websocket(response, std::move(bytes));
            return;
        }
        if (response.status < 200) {
            if (!exchange.http10)
                to_downstream(downstream_response_head(response, {.rate_limit_fields = {}, .interim = true}));
            exchange.response_head.erase(0, length);
            searched = 0;
            continue;
        }
        begin_response(response);
        if (!bytes.empty() || exchange.response_body.done()) send_response_body(std::move(bytes));
        return;
    }
}

void Connection::begin_response(const http::ResponseHead& response) {
    Exchange& exchange = *exchange_;
    exchange.response_begun = true;
    exchange.response_body = http::BodyReader(response.framing, response.content_length,
                                              {.refuse_chunk_extensions = false, .source = ErrorSource::kUpstream});
    exchange.upstream_keep_alive = response.keep_alive && response.framing != http::BodyFraming::kUntilClose;
    const bool until_close = response.framing == http::BodyFraming::kUntilClose;
    const bool chunked = response.framing == http::BodyFraming::kChunked;
    exchange.chunk_body = (until_close || chunked) && !exchange.http10;
    exchange.body_until_close = (until_close || chunked) && exchange.http10;
    if (exchange.body_until_close) exchange.keep_alive = false;
    if (!exchange.request_done) exchange.keep_alive = false;
    if (worker_.draining()) exchange.keep_alive = false;
    to_downstream(downstream_response_head(response, {.rate_limit_fields = exchange.rate_limit_fields,
                                                      .keep_alive = exchange.keep_alive,
                                                      .client_is_http10 = exchange.http10,
                                                      .chunk_body = exchange.chunk_body}));
    exchange.response_head = {};
    arm(Timer::kBody, exchange.snapshot->config->timeouts.body);
}

void Connection::send_response_body(net::Slice bytes) {
    Exchange& exchange = *exchange_;
    while (!bytes.empty() && !exchange.response_body.done()) {
        const auto piece = exchange.response_body.next(bytes.text());
        if (!piece) {
            upstream_failed({piece.error().code, ErrorSource::kUpstream, false, piece.error().detail});
            return;
        }
        send_piece(worker_.reactor(), downstream_, bytes, piece->content, exchange.chunk_body);
        bytes.remove_prefix(piece->consumed);
    }
    if (!bytes.empty()) exchange.upstream_keep_alive = false;  // it sends more than its response
    if (exchange.response_body.done()) {
        response_finished();
        return;
    }
    settle_receiving();
}

void Connection::response_finished() {
    Exchange& exchange = *exchange_;
    if (exchange.chunk_body) to_downstream(net::Slice::of_static("0\r\n\r\n"));
    // A response that comes before the request's end ends the connection: nobody will read the rest.
    finish_exchange();
}

void Connection::finish_exchange() {
    Exchange& exchange = *exchange_;
    const bool keep_alive = exchange.keep_alive && exchange.request_done && !downstream_end_;
    if (upstream_.valid()) release_upstream(exchange.upstream_keep_alive && exchange.request_done);
    if (!keep_alive) {
        linger();
        return;
    }
    exchange_.reset();
    head_.clear();
    state_ = State::kHead;
    arm(Timer::kKeepAlive, worker_.snapshot()->config->timeouts.keep_alive);
    if (!count_key_.empty()) {
        worker_.shared().counts.release(count_key_);
        count_key_.clear();
    }
    settle_receiving();
    if (!stash_.empty()) take_stash();
}

void Connection::release_upstream(bool reusable) {
    const bool same_pool = exchange_ != nullptr && exchange_->snapshot->generation == worker_.generation();
    const net::SocketId socket = upstream_;
    upstream_ = {};
    worker_.pool_upstream(exchange_ != nullptr ? exchange_->address : AddressRef{}, socket,
                          reusable && same_pool && worker_.reactor().unsent_bytes(socket) == 0);
}

void Connection::on_upstream_end() {
    if (state_ == State::kRelay) {
        relay_->on_upstream_end();
        return;
    }
    if (state_ != State::kExchange) return;
    if (exchange_->response_begun && exchange_->response_body.end().has_value()) {
        exchange_->upstream_keep_alive = false;
        response_finished();
        return;
    }
    upstream_failed(upstream_error(ErrorCode::kConnectionClosed, "the upstream closed the connection"));
}

void Connection::on_upstream_closed(const Error& why) {
    worker_.detach_upstream(upstream_);
    upstream_ = {};
    if (state_ == State::kRelay) {
        relay_->on_upstream_closed();
    } else if (state_ == State::kExchange || state_ == State::kConnecting) {
        upstream_failed({why.code, ErrorSource::kUpstream, why.retryable, why.detail});
    }
}

void Connection::switch_to_websocket(const http::ResponseHead& response, net::Slice behind) {
    Exchange& exchange = *exchange_;
    const auto deflate = ws::accepted_deflate(response.fields);
    if (!exchange.websocket || response.field("sec-websocket-accept") != ws::accept_key(exchange.key) || !deflate) {
        upstream_failed(upstream_error(ErrorCode::kMalformed, "the upstream's 101 is no answer to this handshake"));
        return;
    }
    const bool drops = exchange.route->route->websocket.has_value();
    const std::string extensions =
        deflate->has_value() ? ws::relayed_extensions(response.fields, drops) : std::string();
    const bool keeps_context = deflate->has_value() && !(*deflate)->server_no_context_takeover;
    to_downstream(downstream_switching_head(response, extensions, exchange.rate_limit_fields));
    count_connection(&RouteCells::accepted);
    disarm();
    relay_ = std::make_unique<WebsocketRelay>(
        WebsocketRelay::Setup{.worker = &worker_,
                              .host = this,
                              .downstream = downstream_,
                              .upstream = upstream_,
                              .snapshot = exchange.snapshot,
                              .route = exchange.route,
                              .caller = std::move(exchange.who.caller),
                              .connection_id = exchange.connection_id,
                              .subprotocol = std::string(response.field("sec-websocket-protocol")),
                              .compressed = deflate->has_value(),
                              .server_keeps_context = keeps_context});
    exchange_.reset();
    head_ = {};
    state_ = State::kRelay;
    set_receiving(worker_.reactor(), downstream_, receiving_downstream_, true);
    set_receiving(worker_.reactor(), upstream_, receiving_upstream_, true);
    arm(Timer::kRelay, relay_->on_timer());
    // Bytes behind either head belong to the first frames.
    if (!behind.empty()) relay_->on_upstream(std::move(behind));
    if (state_ == State::kRelay && !stash_.empty()) take_stash();
}

// What is received when: nothing that can't be passed on, and never more of a pipelined request than has come already.
void Connection::settle_receiving() {
    if (state_ == State::kRelay || state_ == State::kClosed || !downstream_.valid()) return;
    net::Reactor& reactor = worker_.reactor();
    bool want_downstream = true;
    bool want_upstream = true;
    if (state_ == State::kIdentifying || state_ == State::kAdmitting || state_ == State::kConnecting) {
        want_downstream = stash_.empty();
    } else if (state_ == State::kExchange) {
        Exchange& exchange = *exchange_;
        exchange.upstream_full = upstream_.valid() && is_full(exchange.upstream_full, reactor.unsent_bytes(upstream_));
        exchange.downstream_full = is_full(exchange.downstream_full, reactor.unsent_bytes(downstream_));
        want_downstream = exchange.request_done ? stash_.empty() : !exchange.upstream_full;
        want_upstream = !exchange.downstream_full;
    }
    set_receiving(reactor, downstream_, receiving_downstream_, want_downstream);
    if (upstream_.valid()) set_receiving(reactor, upstream_, receiving_upstream_, want_upstream);
}

}  // namespace weir::gateway
