#include "gateway/connection.h"

#include "base/text.h"
#include "gateway/head_writer.h"
#include "gateway/worker.h"
#include "protocol/forwarded/forwarded.h"
#include "protocol/ws/frame.h"
#include "protocol/ws/handshake.h"

namespace weir::gateway {

namespace http = protocol::http;

namespace {

// What waits for its turn is copied when it is small, so that a few bytes do not pin a block that the reactor could
// receive into.
constexpr std::size_t kPinnedSliceLeast = kBlockBytes / 4;

}  // namespace

Connection::Connection(Worker& worker, net::SocketId downstream, const net::Endpoint& peer, std::uint64_t slot,
                       std::shared_ptr<const net::TlsServer> tls)
    : worker_(worker),
      slot_(slot),
      downstream_(downstream),
      tls_(std::move(tls)),
      last_activity_(worker.reactor().now()) {
    if (!peer.is_unix() && peer.port != 0) peer_address_ = peer.address;
    const Snapshot& snapshot = *worker_.snapshot();
    const bool proxy_header = snapshot.config->identity.address_source == identity::AddressSource::kProxyProtocol &&
                              snapshot.identifier.trusts({peer_address_, std::nullopt});
    if (proxy_header) state_ = State::kProxyHeader;
}

Connection::~Connection() {
    WEIR_ASSERT(state_ == State::kClosed);
}

// The timer needs the slot that the worker has given out after the constructor ran.
void Connection::begin() {
    if (state_ != State::kProxyHeader && !start_tls({})) return;
    arm(Timer::kHandshake, worker_.snapshot()->config->timeouts.handshake);
}

// False: it has ended. A PROXY header stands before the handshake.
bool Connection::start_tls(net::Slice received) {
    if (tls_ == nullptr || worker_.reactor().start_tls(downstream_, tls_, std::move(received))) return true;
    retire();
    return false;
}

identity::Peer Connection::peer() const {
    return {.address = peer_address_, .proxy_protocol = proxy_address_};
}

void Connection::on_downstream(net::Slice bytes) {
    last_activity_ = worker_.reactor().now();
    take_bytes(std::move(bytes));
}

void Connection::take_bytes(net::Slice bytes) {
    switch (state_) {
        case State::kProxyHeader:
            read_proxy_header(std::move(bytes));
            break;
        case State::kHead:
            read_head(std::move(bytes));
            break;
        case State::kRelay:
            relay_->on_downstream(std::move(bytes));
            break;
        case State::kExchange:
            if (!exchange_->request_done) {
                send_request_body(std::move(bytes));
                break;
            }
            [[fallthrough]];
        case State::kReadingBody:
            if (!exchange_->request_done) {
                hold_request_body(std::move(bytes));
                break;
            }
            [[fallthrough]];
        case State::kIdentifying:
        case State::kAdmitting:
        case State::kConnecting:
            if (bytes.size() < kPinnedSliceLeast || worker_.reactor().blocks().scarce())
                bytes = worker_.reactor().blocks().copy(bytes.bytes());
            stash_.push_back(std::move(bytes));
            settle_receiving();
            break;
        case State::kClosing:
            read_close_reply(bytes);
            break;
        case State::kLingering:
        case State::kClosed:
            break;
    }
}

// Bytes that came before their turn, in order; what a step does not take goes back into the stash by itself. A loop, as
// the requests that lie in one block may each be answered at once, and would nest otherwise.
void Connection::take_stash() {
    if (taking_stash_) return;
    taking_stash_ = true;
    while (!stash_.empty() && takes_bytes()) {
        net::Slice bytes = std::move(stash_.front());
        stash_.erase(stash_.begin());
        take_bytes(std::move(bytes));
    }
    taking_stash_ = false;
    if (downstream_end_ && stash_.empty() && state_ != State::kClosed) on_downstream_end();
}

// Bytes that are to be taken before all that wait.
void Connection::put_back(net::Slice bytes) {
    if (bytes.size() < kPinnedSliceLeast || worker_.reactor().blocks().scarce())
        bytes = worker_.reactor().blocks().copy(bytes.bytes());
    stash_.insert(stash_.begin(), std::move(bytes));
    take_stash();
}

bool Connection::takes_bytes() const {
    return state_ == State::kHead || state_ == State::kRelay ||
           ((state_ == State::kReadingBody || state_ == State::kExchange) && !exchange_->request_done);
}

void Connection::read_proxy_header(net::Slice bytes) {
    head_.append(bytes.text());
    const auto parsed = protocol::forwarded::parse_proxy_header(head_);
    if (!parsed) {
        worker_.shared().log.write(LogLevel::kInfo, "PROXY header refused", {{"reason", parsed.error().detail}});
        retire();
        return;
    }
    if (!parsed->has_value()) return;
    proxy_address_ = (*parsed)->source;
    const std::size_t used = (*parsed)->header_bytes;
    net::Slice rest = worker_.reactor().blocks().copy(std::string_view(head_).substr(used));
    head_.clear();
    state_ = State::kHead;
    if (tls_ != nullptr) {
        static_cast<void>(start_tls(std::move(rest)));
    } else if (!rest.empty()) {
        read_head(std::move(rest));
    }
}

void Connection::read_head(net::Slice bytes) {
    if (timer_kind_ == Timer::kKeepAlive) arm(Timer::kHandshake, worker_.snapshot()->config->timeouts.handshake);
    const std::size_t searched = head_.size();
    head_.append(bytes.text());
    const std::size_t length = http::head_length(head_, searched);
    if (length == 0) {
        if (head_.size() > kHeaderBytesMax) {
            answer(431, "the request head is longer than 32 KiB");
        } else if (http::head_hopeless(head_, searched)) {
            answer(400, "this is not an HTTP/1.1 request");
        }
        return;
    }
    if (length > kHeaderBytesMax) {
        answer(431, "the request head is longer than 32 KiB");
        return;
    }
    const std::size_t rest = head_.size() - length;
    head_.resize(length);
    if (rest > 0) {
        bytes.remove_prefix(bytes.size() - rest);
        if (bytes.size() < kPinnedSliceLeast) bytes = worker_.reactor().blocks().copy(bytes.bytes());
        stash_.insert(stash_.begin(), std::move(bytes));
    }
    keys_awaited_ = false;
    handle_request();
}

void Connection::handle_request() {
    http::RequestHead& request = worker_.request_scratch();
    if (const auto parsed = http::parse_request_head(head_, request); !parsed) {
        answer_error(parsed.error());
        return;
    }
    disarm();
    exchange_ = std::make_unique<Exchange>();
    exchange_->snapshot = worker_.snapshot();
    exchange_->cors_fields = cors_fields(exchange_->snapshot->config->cors_origins, request);
    exchange_->method = request.method;
    exchange_->http10 = request.version_minor == 0;
    exchange_->keep_alive = request.keep_alive && !worker_.draining();
    exchange_->request_framing = request.framing;
    exchange_->request_body =
        http::BodyReader(request.framing, request.content_length, {.refuse_chunk_extensions = true});
    exchange_->request_done = exchange_->request_body.done();
    const auto route = exchange_->snapshot->route_of_target(request.target);
    if (!route) {
        answer_error(route.error());
        return;
    }
    exchange_->route = *route;
    identify_and_admit(request);
}

void Connection::on_downstream_end() {
    downstream_end_ = true;
    switch (state_) {
        case State::kRelay:
            relay_->on_downstream_end();
            break;
        case State::kProxyHeader:
        case State::kHead:
        case State::kClosing:
        case State::kLingering:
            retire();
            break;
        case State::kReadingBody:
            retire();  // it can't be completed any more
            break;
        case State::kIdentifying:
        case State::kAdmitting:
        case State::kConnecting:
            break;  // seen again when the stash is taken
        case State::kExchange:
            if (!exchange_->request_done) {
                retire();  // it can't be completed any more
            } else {
                exchange_->keep_alive = false;  // a half-close: the answer is still wanted
            }
            break;
        case State::kClosed:
            break;
    }
}

void Connection::on_downstream_drained() {
    last_activity_ = worker_.reactor().now();  // a slow reader is not a silent one
    if (state_ == State::kRelay) {
        relay_->on_downstream_drained();
    } else {
        settle_receiving();
    }
}

void Connection::on_upstream_drained() {
    last_activity_ = worker_.reactor().now();
    if (state_ == State::kRelay) {
        relay_->on_upstream_drained();
    } else {
        settle_receiving();
    }
}

void Connection::on_downstream_closed(const Error& /*why*/) {
    downstream_end_ = true;
    downstream_ = {};
    if (state_ == State::kRelay) {
        relay_->on_downstream_closed();
    } else {
        retire();
    }
}

void Connection::on_timer() {
    const config::Timeouts& timeouts = worker_.snapshot()->config->timeouts;
    const Timer kind = timer_kind_;
    timer_ = {};
    timer_kind_ = Timer::kNone;
    switch (kind) {
        case Timer::kNone:
            break;
        case Timer::kHandshake:
            if (state_ == State::kHead && !head_.empty()) {
                answer(408, "the request head did not arrive in time");
            } else {
                retire();
            }
            break;
        case Timer::kKeepAlive:
            worker_.reactor().shutdown_send(downstream_);  // over TLS: an end, and not something cut off
            retire();
            break;
        case Timer::kLookup:
            forget_lookup();
            lookup_ended({});
            break;
        case Timer::kKeys:
            handle_request();
            break;
        case Timer::kConnect:
            upstream_failed(
                {ErrorCode::kTimeout, ErrorSource::kUpstream, true, "connecting to the upstream timed out"});
            break;
        case Timer::kResponse:
            upstream_failed(
                {ErrorCode::kTimeout, ErrorSource::kUpstream, false, "the upstream did not answer in time"});
            break;
        case Timer::kBody: {
            const Nanos quiet = worker_.reactor().now() - last_activity_;
            if (quiet < timeouts.body) {
                arm(Timer::kBody, timeouts.body - quiet);
            } else if (!exchange_->response_begun && !exchange_->request_done) {
                answer(408, "the request body did not arrive in time");
            } else {
                retire();
            }
            break;
        }
        case Timer::kRelay:
            if (const Nanos next = relay_->on_timer(); state_ == State::kRelay && timer_kind_ == Timer::kNone) {
                arm(Timer::kRelay, next);
            }
            break;
        case Timer::kClose:
            retire();
            break;
    }
}

void Connection::on_tick() {
    if (state_ == State::kRelay) relay_->on_tick();
}

void Connection::drain(bool now) {
    switch (state_) {
        case State::kRelay:
            if (now) relay_->close(protocol::ws::close_code::kGoingAway, "going away");
            break;
        case State::kHead:
            if (now || head_.empty()) retire();
            break;
        case State::kExchange:
        case State::kIdentifying:
        case State::kReadingBody:
        case State::kAdmitting:
        case State::kConnecting:
            if (now) {
                retire();
            } else {
                exchange_->keep_alive = false;
            }
            break;
        case State::kProxyHeader:
        case State::kClosing:
        case State::kLingering:
            if (now) retire();
            break;
        case State::kClosed:
            break;
    }
}

void Connection::abort() {
    if (state_ != State::kClosed) retire();
}

void Connection::refuse_exhausted() {
    if (tls_ != nullptr) return retire();  // a handshake for it would cost more than it says
    answer_error({ErrorCode::kExhausted, ErrorSource::kDownstream, true, "too many connections"});
}

bool Connection::awaits_decision() const {
    return awaiting_ || (relay_ != nullptr && relay_->awaits_decision());
}

void Connection::relay_ended() {
    retire();
}

void Connection::relay_wants_timer(Nanos delay) {
    arm(Timer::kRelay, delay);
}

void Connection::answer(unsigned status, std::string_view text) {
    std::string body(text);
    body.push_back('\n');
    const bool head_request = exchange_ != nullptr && exchange_->method == "HEAD";
    const std::string extra = exchange_ != nullptr ? exchange_->cors_fields : std::string();
    send_answer(
        {.status = status, .body = body, .extra_fields = extra, .keep_alive = false, .head_request = head_request});
}

void Connection::answer_error(const Error& error) {
    unsigned status = error_row(error.code).http_status;
    // A head that is too large has a status of its own; a version that is not spoken too.
    if (error.code == ErrorCode::kTooLarge && exchange_ == nullptr) status = 431;
    if (error.detail == http::kVersionNotSupported) status = 505;
    answer(status, error.detail.empty() ? error_row(error.code).label : error.detail);
}

// An answer of Weir's own in place of a response. The connection goes on only when the request is wholly read.
void Connection::send_answer(const OwnAnswer& answer) {
    OwnAnswer whole = answer;
    whole.date = worker_.date();
    whole.keep_alive = answer.keep_alive && exchange_ != nullptr && exchange_->request_done && exchange_->keep_alive &&
                       !worker_.draining();
    to_downstream(own_answer(whole));
    if (upstream_.valid()) release_upstream(false);
    if (!whole.keep_alive) {
        linger();
        return;
    }
    finish_exchange();
}

// Sends FIN and reads on for a while: closing with unread bytes would reset the connection, and the answer with it.
void Connection::linger() {
    if (!leave_exchange(State::kLingering)) return;
    worker_.reactor().shutdown_send(downstream_);
}

// A Close frame has gone out. RFC 6455 7.1.1: the client answers with its own, and then the server ends the connection.
void Connection::await_close_reply() {
    static_cast<void>(leave_exchange(State::kClosing));
}

void Connection::read_close_reply(const net::Slice& bytes) {
    const auto frame = protocol::ws::parse_frame_header(bytes.bytes(), {.masked = true, .rsv1_allowed = false});
    const bool is_close = frame && *frame && (*frame)->opcode == protocol::ws::Opcode::kClose &&
                          bytes.size() == (*frame)->header_bytes + (*frame)->payload_bytes;
    if (is_close) {
        retire();
    } else {
        linger();  // messages that were on their way, a Close in pieces, or no WebSocket at all
    }
}

// Nothing more will be exchanged; the peer's end is awaited, for as long as `timeouts.close` says. False: there is
// nobody to wait for.
bool Connection::leave_exchange(State next) {
    if (state_ == State::kClosed) return false;
    state_ = next;
    stash_.clear();
    exchange_.reset();
    if (upstream_.valid()) release_upstream(false);
    if (!downstream_.valid() || downstream_end_) {
        // The peer has ended: what it is owed is sent, then the socket goes.
        if (!downstream_.valid() || worker_.reactor().unsent_bytes(downstream_) == 0) {
            retire();
            return false;
        }
    }
    settle_receiving();
    arm(Timer::kClose, worker_.snapshot()->config->timeouts.close);
    return true;
}

void Connection::retire() {
    if (state_ == State::kClosed) return;
    disarm();
    forget_lookup();
    state_ = State::kClosed;
    if (upstream_.valid()) {
        worker_.detach_upstream(upstream_);
        worker_.reactor().close(upstream_);
        upstream_ = {};
    }
    if (!count_key_.empty()) worker_.shared().counts.release(count_key_);
    stash_.clear();
    worker_.retire(*this);
    if (downstream_.valid()) worker_.reactor().close(downstream_);
}

void Connection::arm(Timer kind, Nanos delay) {
    disarm();
    timer_kind_ = kind;
    timer_ = worker_.set_timer(*this, delay);
}

void Connection::disarm() {
    if (timer_.valid()) worker_.reactor().cancel_timer(timer_);
    timer_ = {};
    timer_kind_ = Timer::kNone;
}

void Connection::to_downstream(std::string_view text) {
    to_downstream(worker_.reactor().blocks().copy(text));
}

void Connection::to_downstream(net::Slice bytes) {
    if (downstream_.valid() && !bytes.empty()) worker_.reactor().send(downstream_, std::move(bytes));
}

}  // namespace weir::gateway
