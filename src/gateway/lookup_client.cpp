#include "gateway/lookup_client.h"

#include "gateway/worker.h"

namespace weir::gateway {

using identity::LookupAnswer;

namespace {

constexpr AddressRef kAddress{0, 0};

double seconds_between(MonoTime begin, MonoTime end) {
    return std::chrono::duration<double>(end - begin).count();
}

}  // namespace

void LookupClient::adopt(const Snapshot& snapshot) {
    if (origin_ != nullptr && origin_->cache == snapshot.lookup) return;
    close_idle(true);
    origin_.reset();
    if (snapshot.lookup == nullptr) return;
    const config::Upstream upstream{.name = "lookup", .addresses = {snapshot.lookup->options().address}};
    origin_ =
        std::make_shared<Origin>(Origin{snapshot.lookup, UpstreamPool(std::vector{upstream}, names_, kLookupsAtOnce)});
}

void LookupClient::close_idle(bool all) {
    if (origin_ == nullptr) return;
    origin_->pool.expire(worker_.reactor().now(), all, [&](net::SocketId socket) { worker_.close_for_owner(socket); });
}

void LookupClient::abandon() {
    close_idle(true);
    for (std::uint32_t i = 0; i < questions_.size(); ++i) {
        Question* question = questions_.find(i, questions_.at(i).generation);
        if (question != nullptr && question->socket.valid()) worker_.close_for_owner(question->socket);
    }
}

void LookupClient::ask(const Hash128& key, std::uint64_t ticket, std::string request) {
    const std::uint32_t index = questions_.take();
    WEIR_ASSERT(index < kQuestionsMax);
    Question& question = questions_.at(index);
    question.origin = origin_;
    question.key = key;
    question.ticket = ticket;
    question.begun = worker_.reactor().now();
    question.request = std::move(request);
    const std::uint64_t cookie = std::uint64_t{index} << 32U | question.generation;
    question.timer = worker_.set_timer_for(*this, origin_->cache->options().timeout, cookie);
    line_.push_back({index, question.generation});
    start_next();
}

void LookupClient::start_next() {
    if (starting_) return;  // what can't be started ends at once, and would nest
    starting_ = true;
    while (!line_.empty() && by_socket_.size() < kLookupsAtOnce) {
        const Id next = line_.front();
        line_.pop_front();
        if (questions_.find(next) != nullptr) start(next.index);  // else its time was up
    }
    starting_ = false;
}

void LookupClient::start(std::uint32_t index) {
    Question& question = questions_.at(index);
    UpstreamPool& pool = question.origin->pool;
    if (!question.retried) {
        const net::SocketId kept = pool.take_idle(kAddress, kPooledIdleMax, worker_.reactor().now());
        if (kept.valid()) {
            question.socket = kept;
            question.pooled = true;
            by_socket_[kept.index] = index;
            send(index);
            return;
        }
    }
    question.pooled = false;
    const auto endpoint = pool.endpoint_of(kAddress);
    if (!endpoint) {
        fail(index, {ErrorCode::kUnreachable, ErrorSource::kUpstream, true, "its name has no address"});
        return;
    }
    const auto socket = worker_.connect_for(*this, *endpoint, pool.tls_of(kAddress));
    if (!socket) {
        fail(index, socket.error());
        return;
    }
    question.socket = *socket;
    by_socket_[socket->index] = index;
}

void LookupClient::send(std::uint32_t index) {
    Question& question = questions_.at(index);
    worker_.reactor().send(question.socket, worker_.reactor().blocks().copy(question.request));
}

void LookupClient::forget_idle(net::SocketId socket) {
    if (origin_ != nullptr) origin_->pool.forget_idle(socket);
}

std::optional<std::uint32_t> LookupClient::question_of(net::SocketId socket) const {
    const auto found = by_socket_.find(socket.index);
    return found == by_socket_.end() ? std::nullopt : std::optional(found->second);
}

void LookupClient::on_connected(net::SocketId socket, const Result<void>& outcome) {
    const auto index = question_of(socket);
    if (!index) return;
    if (outcome) {
        send(*index);
        return;
    }
    by_socket_.erase(socket.index);
    questions_.at(*index).socket = {};
    fail(*index, outcome.error());
}

void LookupClient::on_received(net::SocketId socket, net::Slice bytes) {
    const auto index = question_of(socket);
    if (!index) {
        forget_idle(socket);  // unasked: not to be believed
        worker_.close_for_owner(socket);
        return;
    }
    read(*index, bytes.text());
}

void LookupClient::read(std::uint32_t index, std::string_view bytes) {
    using enum ResponseReader::Progress;
    ResponseReader& response = questions_.at(index).response;
    auto progress = response.read(bytes, worker_.response_scratch());
    if (progress && *progress == kHead) {
        const auto answer = identity::answer_of_status(response.status());
        if (!answer) {
            fail(index, answer.error(), response.status());
            return;
        }
        if (answer->has_value()) {
            // Its body says nothing; what follows of it is not waited for.
            finish(index, **answer, response.reusable() && bytes.empty());
            return;
        }
        progress = response.read(bytes, worker_.response_scratch());
    }
    if (!progress) {
        fail(index, progress.error());
    } else if (*progress == kDone) {
        take_body(index, response.reusable() && bytes.empty());
    }
}

void LookupClient::take_body(std::uint32_t index, bool reusable) {
    const Question& question = questions_.at(index);
    const auto answer = identity::parse_lookup_answer(question.response.body(), question.origin->cache->limits());
    if (answer) {
        finish(index, *answer, reusable);
    } else {
        fail(index, answer.error(), 200);
    }
}

void LookupClient::on_received_end(net::SocketId socket) {
    const auto index = question_of(socket);
    if (!index) {
        forget_idle(socket);
        worker_.close_for_owner(socket);
        return;
    }
    if (questions_.at(*index).response.ended_whole()) {
        take_body(*index, false);
    } else {
        failed(*index, {ErrorCode::kConnectionClosed, ErrorSource::kUpstream, true, "it closed the connection"});
    }
}

void LookupClient::on_closed(net::SocketId socket, const Error& why) {
    const auto index = question_of(socket);
    if (!index) {
        forget_idle(socket);
        return;
    }
    by_socket_.erase(socket.index);
    questions_.at(*index).socket = {};
    failed(*index, why);
}

void LookupClient::on_timer(std::uint64_t cookie) {
    const auto index = static_cast<std::uint32_t>(cookie >> 32U);
    Question* question = questions_.find(index, static_cast<std::uint32_t>(cookie));
    if (question == nullptr) return;
    question->timer = {};
    fail(index, {ErrorCode::kTimeout, ErrorSource::kUpstream, true, "it did not answer in time"});
}

void LookupClient::failed(std::uint32_t index, const Error& why) {
    Question& question = questions_.at(index);
    if (question.pooled && !question.retried && !question.response.begun()) {
        release_socket(question, false);
        question.retried = true;
        start(index);
        return;
    }
    fail(index, why);
}

void LookupClient::fail(std::uint32_t index, const Error& why, unsigned status) {
    LookupCache& cache = *questions_.at(index).origin->cache;
    const LookupCells& cells = cache.cells();
    worker_.shard().add(why.code == ErrorCode::kTimeout ? cells.timeout
                        : is_unreachable(why.code)      ? cells.unreachable
                                                        : cells.unusable);
    log_failure(cache, why, status);
    finish(index, {}, false);
}

void LookupClient::log_failure(LookupCache& cache, const Error& why, unsigned status) {
    const auto left_out = cache.may_log(worker_.reactor().now(), worker_.snapshot()->config->log_denial_interval);
    if (!left_out) return;
    constexpr std::string_view kMessage = "the application could not be asked who a caller is";
    log::Logger& log = worker_.shared().log;
    const log::LogField address{"address", cache.options().address.url};
    const log::LogField reason{"reason", why.detail};
    const log::LogField others{"left_out", static_cast<std::int64_t>(*left_out)};
    if (status == 0) {
        log.write(LogLevel::kWarning, kMessage, {address, reason, others});
    } else {
        log.write(LogLevel::kWarning, kMessage,
                  {address, reason, {"status", static_cast<std::int64_t>(status)}, others});
    }
}

void LookupClient::release_socket(Question& question, bool reusable) {
    if (!question.socket.valid()) return;
    const net::SocketId socket = std::exchange(question.socket, {});
    by_socket_.erase(socket.index);
    const bool current = question.origin == origin_ && !worker_.draining();
    if (reusable && current && origin_->pool.put_idle(kAddress, socket, worker_.reactor().now())) return;
    worker_.close_for_owner(socket);
}

void LookupClient::finish(std::uint32_t index, const LookupAnswer& answer, bool reusable) {
    Question& question = questions_.at(index);
    const MonoTime now = worker_.reactor().now();
    if (question.timer.valid()) worker_.reactor().cancel_timer(question.timer);
    release_socket(question, reusable);
    LookupCache& cache = *question.origin->cache;
    const LookupCells& cells = cache.cells();
    if (answer.kind != LookupAnswer::Kind::kFailed) {
        worker_.shard().add(answer.kind == LookupAnswer::Kind::kUser ? cells.user : cells.anonymous);
        worker_.shard().observe(cells.seconds, seconds_between(question.begun, now));
    }
    const auto waiters = cache.finish(question.key, question.ticket, answer, question.begun, now);
    questions_.retire(index);
    questions_.release(index);
    for (const LookupWaiter& waiter : waiters) waiter.worker->post_lookup(waiter, answer);
    start_next();
}

}  // namespace weir::gateway
