#include "load/worker.h"

#include <algorithm>
#include <cstdio>
#include <sys/epoll.h>
#include <unistd.h>

namespace weir::bench {
namespace {

constexpr std::size_t kReadSize = 256 * 1024;

}  // namespace

Worker::Worker(const Options& o, std::size_t index, std::barrier<>& barrier, std::atomic<std::size_t>& handshakes,
               std::atomic<std::size_t>& ready)
    : o_(o),
      index_(index),
      barrier_(barrier),
      handshakes_(handshakes),
      ready_(ready),
      rng_(std::random_device{}() + index) {
    const std::size_t n = o.connections / o.threads + (index < o.connections % o.threads ? 1 : 0);
    conns_.resize(n);
    for (std::size_t i = 0; i < n; ++i) conns_[i].id = index + i * o.threads;
    ep_ = epoll_create1(EPOLL_CLOEXEC);
    read_buf_.resize(kReadSize);
    make_frames();
    http_request_ =
        (o.body.empty() ? "GET " : "POST ") + o.path + " HTTP/1.1\r\nHost: " + o.host + "\r\nAccept: */*\r\n";
    if (!o.body.empty()) {
        http_request_ += "Content-Type: application/json\r\nContent-Length: " + std::to_string(o.body.size()) + "\r\n";
    }
    http_request_ += "\r\n" + o.body;
}

// ---- payloads

void Worker::make_frames() {
    const std::size_t at = o_.payload.find("%s");
    prefix_ = o_.payload.substr(0, at);
    const std::string suffix = at == std::string::npos ? "" : o_.payload.substr(at + 2);
    has_seq_ = at != std::string::npos && o_.size >= prefix_.size() + suffix.size() + kSeqDigits;
    plain_ = prefix_;
    if (has_seq_) plain_.append(kSeqDigits, '0');
    while (plain_.size() + suffix.size() < o_.size) plain_.push_back(char('a' + plain_.size() % 26));
    plain_ += suffix;
    if (plain_.size() > o_.size) plain_.resize(o_.size);
    if (plain_.size() < prefix_.size()) prefix_ = plain_;  // an answer is known by what it begins with
    const std::size_t variants = plain_.size() > 65536 ? 1 : 8;
    for (std::size_t i = 0; i < variants; ++i) {
        std::uint8_t mask[4], head[14];
        for (std::uint8_t& m : mask) m = std::uint8_t(rng_());
        const std::size_t n = put_header(head, true, kText, plain_.size(), mask);
        std::string frame(reinterpret_cast<char*>(head), n);
        frame.resize(n + plain_.size());
        apply_mask(reinterpret_cast<std::uint8_t*>(frame.data()) + n,
                   reinterpret_cast<const std::uint8_t*>(plain_.data()), plain_.size(), mask, 0);
        frames_.push_back(std::move(frame));
        std::array<std::uint8_t, kSeqDigits> seq_mask{};
        for (std::size_t k = 0; k < kSeqDigits; ++k) seq_mask[k] = mask[(prefix_.size() + k) & 3];
        seq_masks_.push_back(seq_mask);
        head_size_ = n;
    }
}

void Worker::append_message(Connection& c, std::uint64_t intended) {
    if (o_.mode == "http")
        c.out += http_request_;
    else
        append_frame(c);
    ++c.next_seq;
    ++c.in_flight;
    ++r_.sent;
    c.awaiting.push_back(intended);
}

void Worker::append_frame(Connection& c) {
    const std::size_t v = frame_turn_++ % frames_.size();
    const std::size_t at = c.out.size();
    c.out += frames_[v];
    if (has_seq_) {
        std::uint64_t n = c.next_seq;
        char* digits = c.out.data() + at + head_size_ + prefix_.size();
        for (std::size_t k = kSeqDigits; k-- > 0; n /= 10) digits[k] = char(('0' + n % 10) ^ seq_masks_[v][k]);
    }
}

// ---- sockets

bool Worker::start_connect(Connection& c) {
    const std::size_t id = c.id;
    c = Connection{};
    c.id = id;
    c.started = now_ns();
    c.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c.fd < 0) die(std::string("socket: ") + strerror(errno));
    const int one = 1;
    setsockopt(c.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (o_.source_count) {
        setsockopt(c.fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        sockaddr_in sa{};
        sa.sin_family = AF_INET;
        sa.sin_addr.s_addr = htonl(o_.source_first + std::uint32_t(turn(c) % o_.source_count));
        if (bind(c.fd, reinterpret_cast<sockaddr*>(&sa), sizeof sa) != 0) die(std::string("bind: ") + strerror(errno));
    }
    c.state = Connection::kConnecting;
    if (connect(c.fd, reinterpret_cast<const sockaddr*>(&o_.target), sizeof o_.target) != 0 && errno != EINPROGRESS) {
        ++r_.connect_errors;
        close(c.fd);
        c.fd = -1;
        c.state = Connection::kClosed;
        return false;
    }
    c.want_out = true;
    epoll_event ev{EPOLLIN | EPOLLOUT, {.ptr = &c}};
    epoll_ctl(ep_, EPOLL_CTL_ADD, c.fd, &ev);
    return true;
}

std::size_t Worker::turn(const Connection& c) const {
    return o_.mode == "connect" ? connect_turn_ * o_.threads + index_ : c.id;
}

std::string Worker::replace_all(std::string s, const std::string& what, const std::string& with) {
    for (std::size_t at = 0; (at = s.find(what, at)) != std::string::npos; at += with.size())
        s.replace(at, what.size(), with);
    return s;
}

// The connection can carry messages from now on.
void Worker::opened(Connection& c) {
    ++r_.opened;
    --opening_;
    c.state = Connection::kOpen;
}

void Worker::send_request(Connection& c) {
    std::uint8_t nonce[16];
    for (std::uint8_t& b : nonce) b = std::uint8_t(rng_());
    const std::string token = o_.tokens.empty() ? "" : o_.tokens[turn(c) % o_.tokens.size()];
    std::string path = o_.path;
    if (!token.empty() && o_.token_param != "Authorization")
        path += (path.find('?') == std::string::npos ? "?" : "&") + o_.token_param + "=" + token;
    c.out = "GET " + path + " HTTP/1.1\r\nHost: " + o_.host +
            "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
            base64(nonce, sizeof nonce) + "\r\n";
    if (!token.empty() && o_.token_param == "Authorization") c.out += "Authorization: Bearer " + token + "\r\n";
    for (const std::string& h : o_.headers)
        c.out += replace_all(replace_all(h, "%t", token), "%n", std::to_string(turn(c))) + "\r\n";
    c.out += "\r\n";
    c.state = Connection::kHandshake;
}

bool Worker::flush(Connection& c) {
    std::size_t done = 0;
    while (done < c.out.size()) {
        const ssize_t w = send(c.fd, c.out.data() + done, c.out.size() - done, MSG_NOSIGNAL);
        if (w > 0) {
            done += std::size_t(w);
            continue;
        }
        if (errno == EINTR) continue;
        if (errno != EAGAIN) return false;
        break;
    }
    c.out.erase(0, done);
    const bool want = !c.out.empty();
    if (want != c.want_out) {
        c.want_out = want;
        epoll_event ev{want ? std::uint32_t(EPOLLIN | EPOLLOUT) : std::uint32_t(EPOLLIN), {.ptr = &c}};
        epoll_ctl(ep_, EPOLL_CTL_MOD, c.fd, &ev);
    }
    return true;
}

void Worker::finish(Connection& c, bool reset) {
    if (c.fd >= 0) {
        if (reset) {
            const linger l{1, 0};
            setsockopt(c.fd, SOL_SOCKET, SO_LINGER, &l, sizeof l);
        }
        close(c.fd);
    }
    if (c.state == Connection::kConnecting || c.state == Connection::kHandshake) --opening_;
    r_.unanswered += c.in_flight;
    c.in_flight = 0;
    c.fd = -1;
    c.state = Connection::kClosed;
}

void Worker::lost(Connection& c, bool reset) {
    if (reset)
        ++r_.resets;
    else
        ++r_.eof;
    finish(c);
}

// ---- events

void Worker::poll(std::uint64_t until) {
    epoll_event events[512];
    const std::uint64_t now = now_ns();
    const std::uint64_t wait = until > now ? until - now : 0;
    const timespec ts{time_t(wait / kSecond), long(wait % kSecond)};
    const int n = epoll_pwait2(ep_, events, 512, &ts, nullptr);
    for (int i = 0; i < n; ++i) {
        Connection& c = *static_cast<Connection*>(events[i].data.ptr);
        if (c.fd < 0) continue;
        if (c.state == Connection::kConnecting) {
            int err = 0;
            socklen_t len = sizeof err;
            getsockopt(c.fd, SOL_SOCKET, SO_ERROR, &err, &len);
            if (err) {
                ++r_.connect_errors;
                finish(c);
                continue;
            }
            if (!(events[i].events & EPOLLOUT)) continue;
            if (o_.mode == "http")
                opened(c);
            else
                send_request(c);
            if (!flush(c)) lost(c, true);
            continue;
        }
        if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) readable(c);
        if (c.fd >= 0 && c.want_out && (events[i].events & EPOLLOUT) && !flush(c)) lost(c, true);
    }
}

void Worker::readable(Connection& c) {
    char* data = read_buf_.data();
    std::size_t have = 0;
    ssize_t n;
    if (c.in.empty()) {
        n = recv(c.fd, data, kReadSize, 0);
    } else {
        have = c.in.size();
        c.in.resize(have + kReadSize);
        n = recv(c.fd, c.in.data() + have, kReadSize, 0);
        c.in.resize(have + std::size_t(std::max<ssize_t>(n, 0)));
        data = c.in.data();
    }
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) lost(c, true);
        return;
    }
    if (n == 0) return lost(c, false);
    arrived_ = now_ns();
    const std::size_t total = have + std::size_t(n);
    const std::size_t used = o_.mode == "http" ? consume_http(c, data, total) : consume(c, data, total);
    if (c.fd < 0) return;
    if (have)
        c.in.erase(0, used);
    else if (used < total)
        c.in.assign(data + used, total - used);
    if (!c.out.empty() && !c.want_out && !flush(c)) lost(c, true);
}

// Whole responses at the start of `data`, for --mode http. They need a Content-Length, as the echo server sends it.
std::size_t Worker::consume_http(Connection& c, const char* data, std::size_t n) {
    std::size_t used = 0, answered = 0;
    while (used < n && c.fd >= 0) {
        const std::string_view rest(data + used, n - used);
        const std::size_t end = rest.find("\r\n\r\n");
        if (end == std::string_view::npos) break;
        const std::string_view head = rest.substr(0, end + 2);
        const std::string_view length = header_value(head, "Content-Length");
        const std::size_t body = std::size_t(std::strtoul(std::string(length).c_str(), nullptr, 10));
        if (length.empty() || c.in_flight == 0) {
            ++r_.protocol_errors;
            finish(c);
            return used;
        }
        if (rest.size() < end + 4 + body) break;
        used += end + 4 + body;
        const int status = head.size() > 12 ? std::atoi(std::string(head.substr(9, 3)).c_str()) : 0;
        ++r_.http_status[status];
        if (status == 200 && rest.substr(end + 4, body) == "ok\n")
            r_.echoed += measuring();
        else
            r_.other += measuring();
        sample(r_.latency, c.awaiting.front(), arrived_);
        c.awaiting.pop_front();
        ++c.base_seq;
        --c.in_flight;
        ++answered;
    }
    if (answered && running_) refill(c, answered);
    return used;
}

std::size_t Worker::consume(Connection& c, const char* data, std::size_t n) {
    std::size_t used = 0;
    if (c.state == Connection::kHandshake) {
        const std::size_t end = std::string_view(data, n).find("\r\n\r\n");
        if (end == std::string_view::npos) return 0;
        const int status = n > 12 ? std::atoi(std::string(data + 9, 3).c_str()) : 0;
        ++r_.http_status[status];
        used = end + 4;
        if (status != 101) {
            finish(c);
            return used;
        }
        r_.handshake.add(arrived_ - c.started);
        opened(c);
        if (o_.mode == "connect") after_handshake(c);
        if (c.fd < 0) return used;
    }
    std::size_t answered = 0;
    while (used < n) {
        Frame f;
        const int head = parse_header(reinterpret_cast<const std::uint8_t*>(data) + used, n - used, f);
        if (head < 0 || (head > 0 && (f.masked || f.rsv))) {
            ++r_.protocol_errors;
            finish(c);
            return used;
        }
        if (head == 0 || n - used < std::size_t(head) + f.len) break;
        const std::string_view body(data + used + head, f.len);
        used += std::size_t(head) + f.len;
        if (f.opcode == kClose) {
            const int code = body.size() >= 2 ? (std::uint8_t(body[0]) << 8 | std::uint8_t(body[1])) : 1005;
            ++r_.close_codes[code];
            if (c.state != Connection::kClosing) {
                append_control(c, kClose, body.substr(0, 2));
                flush(c);
            }
            finish(c);
            return used;
        }
        if (f.opcode == kPing) {
            ++r_.pings;
            append_control(c, kPong, body);
            continue;
        }
        if (f.opcode == kPong) continue;
        answered += data_frame(c, f, body);
    }
    if (answered && running_) refill(c, answered);
    return used;
}

void Worker::append_control(Connection& c, std::uint8_t opcode, std::string_view body) {
    std::uint8_t mask[4], buf[14 + 125];
    for (std::uint8_t& m : mask) m = std::uint8_t(rng_());
    const std::size_t n = put_header(buf, true, opcode, body.size(), mask);
    apply_mask(buf + n, reinterpret_cast<const std::uint8_t*>(body.data()), body.size(), mask, 0);
    c.out.append(reinterpret_cast<char*>(buf), n + body.size());
}

// Returns 1 when a message is complete.
std::size_t Worker::data_frame(Connection& c, const Frame& f, std::string_view body) {
    r_.bytes += measuring() ? body.size() : 0;
    if (f.opcode != kContinuation) {
        c.reply_is_echo = false;
        c.reply_is_limited = false;
        if (body.size() >= prefix_.size() && (f.fin ? body.size() == plain_.size() : true) &&
            std::memcmp(body.data(), prefix_.data(), prefix_.size()) == 0) {
            c.reply_is_echo = true;
            c.reply_seq = c.base_seq;
            if (has_seq_ && body.size() >= prefix_.size() + kSeqDigits) {
                c.reply_seq = 0;
                for (std::size_t k = 0; k < kSeqDigits; ++k)
                    c.reply_seq = c.reply_seq * 10 + std::uint64_t(body[prefix_.size() + k] - '0');
            }
            const std::size_t checked = prefix_.size() + (has_seq_ ? kSeqDigits : 0);
            if (o_.verify && f.fin &&
                std::memcmp(body.data() + checked, plain_.data() + checked, body.size() - checked) != 0)
                ++r_.mismatched;
        } else if (body.substr(0, 4096).find("RATE_LIMITED") != std::string_view::npos) {
            c.reply_is_limited = true;
        }
    }
    c.in_fragments = !f.fin;
    if (!f.fin) return 0;
    if (c.reply_is_limited) {
        r_.limited += measuring();
        c.limited.push_back(arrived_);
        if (c.in_flight) --c.in_flight;
        if (c.in_flight == 0) settle(c, c.next_seq);
        return 1;
    }
    if (!c.reply_is_echo) {
        r_.other += measuring();
        return 0;
    }
    if (c.reply_seq < c.base_seq || c.reply_seq >= c.next_seq) {
        ++r_.mismatched;
        return 0;
    }
    r_.echoed += measuring();
    settle(c, c.reply_seq);  // what was sent before it and has no echo was limited, or dropped in silence
    sample(r_.latency, c.awaiting.front(), arrived_);
    c.awaiting.pop_front();
    ++c.base_seq;
    if (c.in_flight) --c.in_flight;
    return 1;
}

// Messages before `seq` got no echo: give them the RATE_LIMITED answers in the order they came.
void Worker::settle(Connection& c, std::uint64_t seq) {
    for (; c.base_seq < seq; ++c.base_seq) {
        if (!c.limited.empty()) {
            sample(r_.limited_latency, c.awaiting.front(), c.limited.front());
            c.limited.pop_front();
        } else {
            ++r_.dropped;
            if (c.in_flight) --c.in_flight;
        }
        c.awaiting.pop_front();
    }
}

bool Worker::measuring() const {
    return arrived_ >= measure_from_ && arrived_ < measure_to_;
}
void Worker::sample(Histogram& h, std::uint64_t intended, std::uint64_t arrived) {
    if (intended >= measure_from_ && intended < measure_to_) h.add(arrived - intended);
}

void Worker::refill(Connection& c, std::size_t answered) {
    if (o_.rate > 0) {
        while (!c.backlog.empty() && c.in_flight < o_.pipeline) {
            append_message(c, c.backlog.front());
            c.backlog.pop_front();
        }
    } else {
        for (; answered > 0 && c.in_flight < o_.pipeline; --answered) append_message(c, arrived_);
    }
}

}  // namespace weir::bench
