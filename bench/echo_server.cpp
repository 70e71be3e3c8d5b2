// wsecho: a minimal, fast WebSocket echo server for benchmarks. One thread, one epoll.
//
// Every data frame is echoed as it streams through (same opcode and FIN, so fragmented messages come
// back with the same fragmentation), pings are ponged, Close is answered and the socket closed.
// Nothing is buffered per connection unless the peer stops reading. A request without Upgrade is
// answered 200 "ok", so that the same process serves as a plain HTTP backend. With --corrupt-every N the last byte of
// every Nth frame is wrong, by which the tests know that the load generator would notice.
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <memory>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "common.h"

namespace weir::bench {
namespace {

constexpr std::size_t kReadSize = 128 * 1024;
constexpr std::size_t kMaxHead = 16 * 1024;

struct Connection {
    enum State : std::uint8_t { kHttp, kWs };
    int fd;
    State state = kHttp;
    bool in_message = false;      // between the first and the last fragment of a message
    bool closing = false;         // close the socket once `out` is flushed
    bool waiting_out = false;     // EPOLLOUT armed, reads paused
    std::uint8_t header_len = 0;  // bytes of a frame header that is not complete yet
    std::uint8_t header[14];
    unsigned phase = 0;           // position in the mask of the frame that is streaming
    Frame frame;                  // the frame that is streaming
    std::uint64_t remaining = 0;  // payload bytes of it still to come
    std::uint64_t skip_body = 0;  // HTTP request body still to be thrown away
    std::string pending;          // HTTP head or control payload that is not complete yet
    std::string out;              // what the socket would not take
    explicit Connection(int f) : fd(f) {}
};

struct Stats {
    std::uint64_t accepted = 0, open = 0, frames = 0, bytes = 0, errors = 0;
};

class Server {
  public:
    Server(std::uint16_t port, unsigned corrupt_every) : corrupt_every_(corrupt_every) {
        ep_ = epoll_create1(EPOLL_CLOEXEC);
        listen_ = listen_on_loopback(port, SOCK_NONBLOCK);
        epoll_event ev{EPOLLIN, {.ptr = nullptr}};
        epoll_ctl(ep_, EPOLL_CTL_ADD, listen_, &ev);
        in_.resize(kReadSize);
        out_.resize(kReadSize + 65536);
    }

    void run() {
        std::vector<epoll_event> events(512);
        while (!stop_requested) {
            const int n = epoll_wait(ep_, events.data(), int(events.size()), -1);
            for (int i = 0; i < n; ++i) {
                Connection* c = static_cast<Connection*>(events[i].data.ptr);
                if (!c) {
                    accept_some();
                    continue;
                }
                bool alive = true;
                if (events[i].events & EPOLLOUT) alive = drain(*c);
                if (alive && !c->waiting_out && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
                    alive = readable(*c);
                if (!alive) destroy(c);
            }
        }
    }

    const Stats& stats() const { return stats_; }

  private:
    void accept_some() {
        for (int i = 0; i < 256; ++i) {
            const int fd = accept4(listen_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            no_delay(fd);
            epoll_event ev{EPOLLIN, {.ptr = new Connection(fd)}};
            epoll_ctl(ep_, EPOLL_CTL_ADD, fd, &ev);
            ++stats_.accepted;
            ++stats_.open;
        }
    }

    void destroy(Connection* c) {
        close(c->fd);
        delete c;
        --stats_.open;
    }

    void arm(Connection& c, bool out) {
        if (c.waiting_out == out) return;
        c.waiting_out = out;
        epoll_event ev{out ? std::uint32_t(EPOLLOUT) : std::uint32_t(EPOLLIN), {.ptr = &c}};
        epoll_ctl(ep_, EPOLL_CTL_MOD, c.fd, &ev);
    }

    bool readable(Connection& c) {
        const ssize_t n = recv(c.fd, in_.data(), kReadSize, 0);
        if (n == 0) return false;
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        fill_ = 0;
        consume(c, in_.data(), std::size_t(n));
        return flush(c);
    }

    bool flush(Connection& c) {
        std::size_t done = 0;
        while (done < fill_) {
            const ssize_t w = send(c.fd, out_.data() + done, fill_ - done, MSG_NOSIGNAL);
            if (w > 0) {
                done += std::size_t(w);
                continue;
            }
            if (errno == EINTR) continue;
            if (errno != EAGAIN) return false;
            c.out.assign(reinterpret_cast<char*>(out_.data()) + done, fill_ - done);
            arm(c, true);
            return true;
        }
        return !c.closing;
    }

    bool drain(Connection& c) {
        const ssize_t w = send(c.fd, c.out.data(), c.out.size(), MSG_NOSIGNAL);
        if (w < 0) return errno == EAGAIN || errno == EINTR;
        c.out.erase(0, std::size_t(w));
        if (!c.out.empty()) return true;
        c.out.shrink_to_fit();
        if (c.closing) return false;
        arm(c, false);
        return true;
    }

    std::uint8_t* room(std::size_t n) {
        if (fill_ + n > out_.size()) out_.resize((fill_ + n) * 2);
        return out_.data() + fill_;
    }
    void put(std::string_view s) {
        std::memcpy(room(s.size()), s.data(), s.size());
        fill_ += s.size();
    }
    void put_close(Connection& c, std::uint16_t code) {
        std::uint8_t* p = room(4);
        p[0] = 0x88;
        p[1] = 2;
        p[2] = std::uint8_t(code >> 8);
        p[3] = std::uint8_t(code);
        fill_ += 4;
        c.closing = true;
        if (code == 1002) ++stats_.errors;
    }

    void consume(Connection& c, const std::uint8_t* p, std::size_t n) {
        while (n > 0 && !c.closing) {
            const std::size_t used = c.state == Connection::kHttp ? http(c, p, n)
                                     : c.remaining                ? payload(c, p, n)
                                                                  : header(c, p, n);
            p += used;
            n -= used;
        }
    }

    std::size_t http(Connection& c, const std::uint8_t* p, std::size_t n) {
        if (c.skip_body) {
            const std::size_t k = std::size_t(std::min<std::uint64_t>(c.skip_body, n));
            c.skip_body -= k;
            return k;
        }
        const std::size_t before = c.pending.size();
        c.pending.append(reinterpret_cast<const char*>(p), n);
        const std::size_t end = c.pending.find("\r\n\r\n", before < 3 ? 0 : before - 3);
        if (end == std::string::npos) {
            if (c.pending.size() > kMaxHead) {
                put("HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n");
                c.closing = true;
            }
            return n;
        }
        const std::string_view head(c.pending.data(), end + 2);
        const std::string_view key = header_value(head, "Sec-WebSocket-Key");
        if (strcasecmp(std::string(header_value(head, "Upgrade")).c_str(), "websocket") == 0 && !key.empty()) {
            put("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                "Upgrade\r\nSec-WebSocket-Accept: ");
            put(accept_key(key));
            if (std::string_view proto = header_value(head, "Sec-WebSocket-Protocol"); !proto.empty()) {
                put("\r\nSec-WebSocket-Protocol: ");
                put(proto.substr(0, proto.find(',')));
            }
            put("\r\n\r\n");
            c.state = Connection::kWs;
        } else {
            if (std::string_view len = header_value(head, "Content-Length"); !len.empty())
                c.skip_body = std::strtoull(std::string(len).c_str(), nullptr, 10);
            put("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\n\r\nok\n");
            if (strcasecmp(std::string(header_value(head, "Connection")).c_str(), "close") == 0) c.closing = true;
        }
        const std::size_t used = end + 4 - before;
        std::string().swap(c.pending);
        return used;
    }

    std::size_t header(Connection& c, const std::uint8_t* p, std::size_t n) {
        int size;
        std::size_t used;
        if (c.header_len == 0) {
            size = parse_header(p, n, c.frame);
            used = std::size_t(size > 0 ? size : 0);
            if (size == 0) {
                std::memcpy(c.header, p, n);
                c.header_len = std::uint8_t(n);
                return n;
            }
        } else {
            c.header[c.header_len++] = *p;
            used = 1;
            size = parse_header(c.header, c.header_len, c.frame);
            if (size == 0) return used;
            c.header_len = 0;
        }
        const Frame& f = c.frame;
        const bool bad =
            size < 0 || f.rsv || !f.masked || (f.opcode < 8 && (f.opcode == kContinuation) != c.in_message);
        if (bad) {
            put_close(c, 1002);
            return n;
        }
        c.remaining = f.len;
        c.phase = 0;
        if (f.opcode < 8) {
            c.in_message = !f.fin;
            fill_ += put_header(room(14), f.fin, f.opcode, f.len, nullptr);
            ++stats_.frames;
            stats_.bytes += f.len;
        } else if (f.len == 0) {
            control(c, {});
        }
        return used;
    }

    std::size_t payload(Connection& c, const std::uint8_t* p, std::size_t n) {
        const std::size_t k = std::size_t(std::min<std::uint64_t>(c.remaining, n));
        if (c.frame.opcode < 8) {
            apply_mask(room(k), p, k, c.frame.mask, c.phase);
            fill_ += k;
            if (corrupt_every_ && k == c.remaining && stats_.frames % corrupt_every_ == 0) out_[fill_ - 1] ^= 1;
        } else {
            std::uint8_t plain[125];
            apply_mask(plain, p, k, c.frame.mask, c.phase);
            c.pending.append(reinterpret_cast<char*>(plain), k);
        }
        c.phase = (c.phase + unsigned(k & 3)) & 3;
        c.remaining -= k;
        if (c.remaining == 0 && c.frame.opcode >= 8) {
            std::string whole;
            whole.swap(c.pending);
            control(c, whole);
        }
        return k;
    }

    void control(Connection& c, std::string_view body) {
        if (c.frame.opcode == kPong) return;
        fill_ += put_header(room(14), true, c.frame.opcode == kPing ? kPong : kClose, body.size(), nullptr);
        put(body);
        if (c.frame.opcode == kClose) c.closing = true;
    }

    int ep_ = -1, listen_ = -1;
    std::vector<std::uint8_t> in_, out_;
    unsigned corrupt_every_;
    Stats stats_;
    std::size_t fill_ = 0;  // bytes of out_ in use
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
    using namespace weir::bench;
    std::uint16_t port = 0;
    unsigned corrupt_every = 0;
    for (int i = 1; i < argc; i += 2) {
        const std::string a = argv[i];
        if (i + 1 == argc) die("usage: wsecho [--port N] [--corrupt-every N]");
        if (a == "--port")
            port = std::uint16_t(number_argument(a, argv[i + 1], 65535));
        else if (a == "--corrupt-every")
            corrupt_every = number_argument(a, argv[i + 1], 1'000'000);
        else
            die("unknown option " + a);
    }
    raise_fd_limit(1'000'000);
    stop_on_signals();
    Server server(port, corrupt_every);
    server.run();
    const Stats& s = server.stats();
    std::printf("accepted %llu, frames %llu, payload bytes %llu, protocol errors %llu\n",
                (unsigned long long)s.accepted, (unsigned long long)s.frames, (unsigned long long)s.bytes,
                (unsigned long long)s.errors);
}
