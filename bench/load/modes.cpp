// The loops of each mode: closed and open loop, handshakes, idle connections.
#include <algorithm>
#include <cstdio>
#include <sys/prctl.h>

#include "load/worker.h"

namespace weir::bench {

void Worker::run() {
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);
    if (o_.mode == "connect") return run_connect();
    open_all();
    ready_.fetch_add(r_.opened);
    barrier_.arrive_and_wait();
    if (index_ == 0 && !o_.quiet && o_.mode == "idle") {
        std::printf("READY %zu\n", ready_.load());
        std::fflush(stdout);
    }
    o_.mode == "idle" ? run_idle() : run_echo();
    for (Connection& c : conns_)
        if (c.fd >= 0) finish(c);
}

void Worker::open_all() {
    const std::uint64_t start = now_ns(), give_up = start + std::uint64_t(o_.connect_timeout * 1e9);
    std::size_t next = 0;
    while ((next < conns_.size() || opening_ > 0) && now_ns() < give_up && !stop_requested) {
        while (next < conns_.size() && opening_ < std::max<std::size_t>(1, o_.connecting / o_.threads)) {
            ++opening_;
            if (!start_connect(conns_[next++])) --opening_;
        }
        poll(std::min(give_up, now_ns() + kSecond / 10));
    }
    r_.open_s = double(now_ns() - start) / 1e9;
    for (Connection& c : conns_)
        if (c.state == Connection::kConnecting || c.state == Connection::kHandshake) {
            ++r_.connect_errors;
            finish(c);
        }
}

void Worker::run_idle() {
    const std::uint64_t end = now_ns() + std::uint64_t(o_.duration * 1e9);
    while (now_ns() < end && !stop_requested) poll(std::min(end, now_ns() + kSecond / 10));
    r_.measured_s = o_.duration;
}

void Worker::run_echo() {
    const std::uint64_t start = now_ns();
    measure_from_ = start + std::uint64_t(o_.warmup * 1e9);
    measure_to_ = measure_from_ + std::uint64_t(o_.duration * 1e9);
    r_.measured_s = o_.duration;
    r_.from_ns = measure_from_;
    r_.to_ns = measure_to_;
    running_ = true;
    std::vector<Connection*> live;
    for (Connection& c : conns_)
        if (c.state == Connection::kOpen) live.push_back(&c);
    if (live.empty()) return;
    if (o_.rate > 0)
        open_loop(live, start);
    else
        closed_loop(live);
    running_ = false;
    // late answers still count for the latency of what was due inside the measured time
    const std::uint64_t drain_end = now_ns() + std::uint64_t(o_.drain * 1e9);
    auto waiting = [&] {
        for (Connection* c : live)
            if (c->in_flight || !c->out.empty()) return true;
        return false;
    };
    while (waiting() && now_ns() < drain_end && !stop_requested) poll(now_ns() + kSecond / 100);
}

void Worker::closed_loop(const std::vector<Connection*>& live) {
    for (Connection* c : live) {
        const std::uint64_t now = now_ns();
        for (std::size_t i = 0; i < o_.pipeline; ++i) append_message(*c, now);
        if (!flush(*c)) lost(*c, true);
    }
    while (now_ns() < measure_to_ && !stop_requested) poll(std::min(measure_to_, now_ns() + kSecond / 10));
}

void Worker::open_loop(const std::vector<Connection*>& live, std::uint64_t start) {
    const double interval = 1e9 * double(o_.threads) / o_.rate;
    const double offset = interval * double(index_) / double(o_.threads);
    std::uint64_t k = 0;
    std::size_t turn = 0;
    std::vector<Connection*> touched;
    while (!stop_requested) {
        std::uint64_t now = now_ns();
        if (now >= measure_to_) break;
        std::uint64_t due = start + std::uint64_t(offset + interval * double(k));
        touched.clear();
        while (due <= now) {
            Connection& c = *live[turn++ % live.size()];
            if (c.state == Connection::kOpen) {
                if (c.in_flight < o_.pipeline) {
                    if (c.out.empty()) touched.push_back(&c);
                    append_message(c, due);
                } else {
                    c.backlog.push_back(due);
                }
            }
            due = start + std::uint64_t(offset + interval * double(++k));
        }
        for (Connection* c : touched)
            if (c->fd >= 0 && !c->want_out && !flush(*c)) lost(*c, true);
        poll(std::min(due, measure_to_));
    }
    for (Connection* c : live) r_.unanswered += c->backlog.size();
}

void Worker::after_handshake(Connection& c) {
    if (o_.close_how == "rst") {
        finish(c, true);
        return;
    }
    c.state = Connection::kClosing;
    const char normal[2] = {char(1000 >> 8), char(1000 & 255)};
    append_control(c, kClose, {normal, 2});
}

void Worker::run_connect() {
    barrier_.arrive_and_wait();
    const std::uint64_t start = now_ns(), measure = start + std::uint64_t(o_.warmup * 1e9),
                        end = measure + std::uint64_t(o_.duration * 1e9);
    bool warm = o_.warmup > 0;
    std::uint64_t begun = start, now = start;
    while (!stop_requested && (now = now_ns()) < end) {
        if (warm && now >= measure) {
            r_ = Results{};
            warm = false;
            begun = now;
        }
        for (Connection& c : conns_) {
            if (c.fd >= 0) continue;
            if (o_.count && handshakes_.fetch_add(1) >= o_.count) {
                exhausted_ = true;
                break;
            }
            ++connect_turn_;
            ++opening_;
            if (!start_connect(c)) --opening_;
        }
        if (exhausted_ && std::none_of(conns_.begin(), conns_.end(), [](const Connection& c) { return c.fd >= 0; }))
            break;
        poll(std::min(end, now_ns() + kSecond / 100));
    }
    r_.measured_s = double(now_ns() - begun) / 1e9;
    r_.from_ns = begun;
    r_.to_ns = now_ns();
    for (Connection& c : conns_)
        if (c.fd >= 0) finish(c, true);
}

}  // namespace weir::bench
