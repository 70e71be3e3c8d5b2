#include "store/redis_connection.h"

#include <algorithm>
#include <utility>

#include "protocol/resp/error_reply.h"
#include "store/breaker.h"

namespace weir::store {

namespace resp = protocol::resp;

namespace {

// A connection that was ready for so long was of use: when it is lost, the next attempt comes at once.
constexpr Nanos kOfUse = std::chrono::milliseconds(500);
constexpr std::size_t kSpareMax = 64;

Error store_error(ErrorCode code, std::string_view detail) {
    return {code, ErrorSource::kStore, true, detail};
}

}  // namespace

RedisConnection::RedisConnection(net::SocketHost& host, ConnectionUser& user, Options options, std::uint64_t seed)
    : host_(host), user_(user), options_(std::move(options)), random_(seed) {
    host_.watch_turns(*this);
}

RedisConnection::~RedisConnection() {
    stop();
}

void RedisConnection::stop() {
    if (state_ == State::kStopped) return;
    state_ = State::kStopped;
    for (net::TimerId* timer : {&retry_timer_, &ready_by_timer_, &stall_timer_}) cancel(*timer);
    if (socket_.valid()) host_.close_for_owner(std::exchange(socket_, {}));
    waiting_.clear();
    sent_.clear();
    host_.forget_owner(*this);
}

void RedisConnection::connect_now() {
    if (state_ != State::kDown) return;
    resting_ = false;
    cancel(retry_timer_);
    const auto endpoint = user_.endpoint_of(*this);
    const auto socket =
        endpoint ? host_.connect_for(*this, *endpoint, user_.tls_of(*this)) : Result<net::SocketId>(endpoint.error());
    if (!socket) {
        note_error(socket.error());
        user_.on_down(*this, last_error_);
        if (may_retry()) retry_later();
        return;
    }
    state_ = State::kConnecting;
    socket_ = *socket;
    ready_by_timer_ = host_.set_timer_for(*this, options_.connect_timeout, kReadyBy);
}

Result<void> RedisConnection::ask(std::string_view command, std::uint64_t tag) {
    if (state_ == State::kDown || state_ == State::kStopped) {
        return store_error(ErrorCode::kStoreUnavailable, last_error_.detail);
    }
    if (asked() >= kAskedMax) return store_error(ErrorCode::kExhausted, "too many questions to the store are open");
    std::string memory;
    if (!spare_.empty()) {
        memory = std::move(spare_.back());
        spare_.pop_back();
    }
    memory.assign(command);
    waiting_.push_back({tag, std::move(memory)});
    return {};
}

void RedisConnection::on_turn_end() {
    if (state_ != State::kReady || waiting_.empty()) return;
    out_.clear();
    const bool idle = sent_.empty();
    for (Waiting& each : waiting_) {
        if (user_.still_wants(each.tag)) {
            out_.append(each.command);
            sent_.push_back(each.tag);
        }
        if (spare_.size() < kSpareMax) spare_.push_back(std::move(each.command));
    }
    waiting_.clear();
    if (out_.empty()) return;
    if (idle) progress_ = host_.reactor().now();
    host_.reactor().send(socket_, host_.reactor().blocks().copy(out_));
    watch_for_stall();
}

void RedisConnection::watch_for_stall() {
    if (stall_timer_.valid()) return;
    const Nanos waited = host_.reactor().now() - progress_;
    stall_timer_ = host_.set_timer_for(*this, std::max(options_.stall - waited, net::kTimerTick), kStall);
}

void RedisConnection::on_connected(net::SocketId socket, const Result<void>& outcome) {
    if (socket != socket_) return;
    if (!outcome) {
        lose(outcome.error(), true);
        return;
    }
    greet();
}

void RedisConnection::greet() {
    state_ = State::kGreeting;
    reader_.reset();
    out_.clear();
    for (const std::string& command : options_.greeting) out_.append(command);
    out_.append(options_.preload);
    greetings_left_ = options_.greeting.size() + (options_.preload.empty() ? 0 : 1);
    host_.reactor().send(socket_, host_.reactor().blocks().copy(out_));
}

// False: the connection is lost.
bool RedisConnection::take_greeting(const resp::Reply& reply) {
    const bool may_fail = greetings_left_ == 1 && !options_.preload.empty();
    if (reply.kind == resp::Reply::Kind::kError && !may_fail) {
        const resp::ErrorReply kind = resp::classify_error(reply.text);
        lose(kind == resp::ErrorReply::kOther
                 ? store_error(ErrorCode::kForbidden, "the store refuses our greeting: credentials, or the database")
                 : resp::error_of(kind),
             false);
        return false;
    }
    if (--greetings_left_ > 0) return true;
    cancel(ready_by_timer_);
    state_ = State::kReady;
    ready_since_ = host_.reactor().now();
    retry_ = kRetryFirst;
    user_.on_ready(*this);
    return true;
}

void RedisConnection::on_received(net::SocketId socket, net::Slice bytes) {
    if (socket != socket_) return;
    progress_ = host_.reactor().now();
    reader_.feed(bytes.text());
    // What the user does in between may end this connection.
    while (socket == socket_ && (state_ == State::kGreeting || state_ == State::kReady)) {
        auto next = reader_.next();
        if (!next) {
            lose(next.error(), false);
            return;
        }
        if (!next->has_value()) return;
        const resp::Reply& reply = **next;
        if (state_ == State::kGreeting) {
            if (!take_greeting(reply)) return;
            continue;
        }
        if (sent_.empty()) {
            lose(store_error(ErrorCode::kMalformed, "the store answers what nobody asked"), false);
            return;
        }
        const std::uint64_t tag = sent_.front();
        sent_.pop_front();
        user_.on_reply(*this, tag, reply);
    }
}

void RedisConnection::on_received_end(net::SocketId socket) {
    if (socket == socket_) lose(store_error(ErrorCode::kConnectionClosed, "the store closed the connection"), false);
}

void RedisConnection::on_closed(net::SocketId socket, const Error& why) {
    if (socket == socket_) lose(why, true);
}

void RedisConnection::rest(const Error& why) {
    resting_ = true;
    cancel(retry_timer_);
    reset(why);
}

void RedisConnection::reset(const Error& why) {
    if (state_ != State::kDown && state_ != State::kStopped) lose(why, false);
}

void RedisConnection::lose(const Error& why, bool closed_already) {
    const bool was_of_use = !resting_ && state_ == State::kReady && host_.reactor().now() - ready_since_ >= kOfUse;
    const net::SocketId socket = std::exchange(socket_, {});
    if (!closed_already) host_.close_for_owner(socket);
    cancel(ready_by_timer_);
    cancel(stall_timer_);
    state_ = State::kDown;
    note_error(why);
    std::deque<std::uint64_t> lost = std::exchange(sent_, {});
    for (const Waiting& each : waiting_) lost.push_back(each.tag);
    waiting_.clear();
    // Before anybody hears of it, so that who asks again waits for the new one.
    const Error told = last_error_;
    if (was_of_use) connect_now();
    for (const std::uint64_t tag : lost) user_.on_lost(*this, tag, told);
    if (state_ == State::kDown && !retry_timer_.valid()) {
        user_.on_down(*this, told);
        if (may_retry()) retry_later();
    }
}

void RedisConnection::note_error(const Error& why) {
    last_error_ = {why.code, ErrorSource::kStore, true, why.detail.empty() ? error_row(why.code).label : why.detail};
}

void RedisConnection::retry_later() {
    retry_timer_ = host_.set_timer_for(*this, jittered(retry_, random_), kRetry);
    retry_ = std::min(2 * retry_, kRetryMost);
}

void RedisConnection::cancel(net::TimerId& timer) {
    if (timer.valid()) host_.reactor().cancel_timer(std::exchange(timer, {}));
}

void RedisConnection::on_timer(std::uint64_t cookie) {
    switch (cookie) {
        case kRetry:
            retry_timer_ = {};
            connect_now();
            break;
        case kReadyBy:
            ready_by_timer_ = {};
            lose(store_error(ErrorCode::kTimeout, "the store did not take the connection in time"), false);
            break;
        case kStall:
            stall_timer_ = {};
            if (sent_.empty()) return;
            if (host_.reactor().now() - progress_ < options_.stall) return watch_for_stall();
            lose(store_error(ErrorCode::kTimeout, "the store stopped answering"), false);
            break;
        default:
            break;
    }
}

}  // namespace weir::store
