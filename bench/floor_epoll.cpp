// floor_epoll: what a proxy in user space must pay with epoll. It copies bytes between client and upstream and looks at
// none of them. One thread, one level-triggered epoll.
//   --mode copy     recv(2) and send(2) through one shared buffer
//   --mode splice   splice(2) from socket to pipe to socket: nothing is copied to user space
//
// When one side takes no more, its peer is read no further: at most one buffer is kept for each direction.
#include <cerrno>
#include <csignal>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

#include "common.h"

namespace weir::bench {
namespace {

constexpr std::size_t kBuffer = 128 * 1024;

struct Pair;
struct Pipe {
    int r = -1, w = -1;
};

struct Side {
    int fd = -1;
    Pair* pair = nullptr;
    Side* peer = nullptr;
    std::uint32_t events = 0;
    bool eof = false;     // read end finished
    std::string pending;  // copy: bytes this socket would not take
    Pipe pipe;            // splice: pipe that holds such bytes
    std::size_t in_pipe = 0;
};

struct Pair {
    Side client, upstream;
    bool connected = false, dead = false;
};

class Proxy {
  public:
    Proxy(std::uint16_t port, sockaddr_in upstream, bool splice)
        : upstream_(upstream), splice_(splice), buffer_(kBuffer) {
        ep_ = epoll_create1(EPOLL_CLOEXEC);
        listen_ = listen_on_loopback(port, SOCK_NONBLOCK);
        epoll_event ev{EPOLLIN, {.ptr = nullptr}};
        epoll_ctl(ep_, EPOLL_CTL_ADD, listen_, &ev);
    }

    void run() {
        std::vector<epoll_event> events(512);
        std::vector<Pair*> dead;
        while (!stop_requested) {
            const int n = epoll_wait(ep_, events.data(), int(events.size()), -1);
            for (int i = 0; i < n; ++i) {
                Side* s = static_cast<Side*>(events[i].data.ptr);
                if (!s) {
                    accept_some();
                    continue;
                }
                Pair& p = *s->pair;
                if (p.dead) continue;
                const std::uint32_t e = events[i].events;
                bool ok = true;
                if (s == &p.upstream && !p.connected) {
                    int err = 0;
                    socklen_t len = sizeof err;
                    getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &err, &len);
                    ok = err == 0;
                    p.connected = ok;
                    if (ok) {
                        interest(p.client, EPOLLIN);
                        interest(p.upstream, EPOLLIN);
                    }
                } else {
                    if (e & EPOLLOUT) ok = drain(*s);
                    if (ok && (e & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !s->eof)
                        ok = splice_ ? relay_splice(*s) : relay_copy(*s);
                }
                if (!ok || (p.client.eof && p.upstream.eof)) {
                    p.dead = true;
                    dead.push_back(&p);
                }
            }
            for (Pair* p : dead) {
                for (Side* s : {&p->client, &p->upstream}) {
                    close(s->fd);
                    if (s->pipe.r >= 0) {
                        close(s->pipe.r);
                        close(s->pipe.w);
                    }
                }
                delete p;
            }
            dead.clear();
        }
    }

  private:
    void accept_some() {
        for (int i = 0; i < 64; ++i) {
            const int fd = accept4(listen_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
            if (fd < 0) return;
            Pair* p = new Pair;
            p->client.fd = fd;
            p->upstream.fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
            for (Side* s : {&p->client, &p->upstream}) {
                s->pair = p;
                s->peer = s == &p->client ? &p->upstream : &p->client;
                no_delay(s->fd);
            }
            connect(p->upstream.fd, reinterpret_cast<sockaddr*>(&upstream_), sizeof upstream_);
            epoll_event ev{0, {.ptr = &p->client}};
            epoll_ctl(ep_, EPOLL_CTL_ADD, p->client.fd, &ev);
            p->upstream.events = EPOLLOUT;
            ev = {EPOLLOUT, {.ptr = &p->upstream}};
            epoll_ctl(ep_, EPOLL_CTL_ADD, p->upstream.fd, &ev);
        }
    }

    void interest(Side& s, std::uint32_t events) {
        if (s.events == events) return;
        s.events = events;
        epoll_event ev{events, {.ptr = &s}};
        epoll_ctl(ep_, EPOLL_CTL_MOD, s.fd, &ev);
    }

    // `to` would not take everything: wait for it, and stop reading its peer meanwhile.
    void congested(Side& to) {
        interest(to, to.events | EPOLLOUT);
        interest(*to.peer, to.peer->events & ~std::uint32_t(EPOLLIN));
    }
    void uncongested(Side& to) {
        interest(to, to.events & ~std::uint32_t(EPOLLOUT));
        if (!to.peer->eof)
            interest(*to.peer, to.peer->events | EPOLLIN);
        else
            shutdown(to.fd, SHUT_WR);
    }

    bool ended(Side& from) {
        from.eof = true;
        interest(from, from.events & ~std::uint32_t(EPOLLIN));
        if (from.peer->pending.empty() && !from.peer->in_pipe) shutdown(from.peer->fd, SHUT_WR);
        return true;
    }

    bool relay_copy(Side& from) {
        const ssize_t n = recv(from.fd, buffer_.data(), kBuffer, 0);
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        if (n == 0) return ended(from);
        Side& to = *from.peer;
        const ssize_t w = send(to.fd, buffer_.data(), std::size_t(n), MSG_NOSIGNAL);
        if (w < 0 && errno != EAGAIN) return false;
        if (w < n) {
            const std::size_t sent = std::size_t(std::max<ssize_t>(w, 0));
            to.pending.append(buffer_.data() + sent, std::size_t(n) - sent);
            congested(to);
        }
        return true;
    }

    bool relay_splice(Side& from) {
        if (shared_.r < 0) {
            int fds[2];
            if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) return false;
            fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
            shared_ = {fds[0], fds[1]};
        }
        const ssize_t n = ::splice(from.fd, nullptr, shared_.w, nullptr, 1 << 20, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (n < 0) return errno == EAGAIN || errno == EINTR;
        if (n == 0) return ended(from);
        Side& to = *from.peer;
        const ssize_t w =
            ::splice(shared_.r, nullptr, to.fd, nullptr, std::size_t(n), SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
        if (w < 0 && errno != EAGAIN) return false;
        if (w < n) {  // the pipe keeps the rest: it now belongs to this direction
            to.pipe = shared_;
            to.in_pipe = std::size_t(n) - std::size_t(std::max<ssize_t>(w, 0));
            shared_ = {};
            congested(to);
        }
        return true;
    }

    bool drain(Side& to) {
        if (splice_) {
            while (to.in_pipe) {
                const ssize_t w =
                    ::splice(to.pipe.r, nullptr, to.fd, nullptr, to.in_pipe, SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
                if (w < 0) return errno == EAGAIN || errno == EINTR;
                to.in_pipe -= std::size_t(w);
            }
            if (to.pipe.r >= 0) {
                close(to.pipe.r);
                close(to.pipe.w);
                to.pipe = {};
            }
        } else {
            const ssize_t w = send(to.fd, to.pending.data(), to.pending.size(), MSG_NOSIGNAL);
            if (w < 0) return errno == EAGAIN || errno == EINTR;
            to.pending.erase(0, std::size_t(w));
            if (!to.pending.empty()) return true;
            to.pending.shrink_to_fit();
        }
        uncongested(to);
        return true;
    }

    sockaddr_in upstream_;
    bool splice_;
    std::vector<char> buffer_;
    Pipe shared_;
    int ep_ = -1, listen_ = -1;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
    using namespace weir::bench;
    const char usage[] = "usage: floor_epoll --upstream-port N [--port N] [--mode copy|splice]";
    std::uint16_t port = 0, upstream_port = 0;
    std::string mode = "copy";
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) die(usage);
        const std::string a = argv[i], v = argv[i + 1];
        if (a == "--port")
            port = std::uint16_t(number_argument(a, v, 65535));
        else if (a == "--upstream-port")
            upstream_port = std::uint16_t(number_argument(a, v, 65535));
        else if (a == "--mode" && (v == "copy" || v == "splice"))
            mode = v;
        else
            die(usage);
    }
    if (upstream_port == 0) die(usage);
    raise_fd_limit(1'000'000);
    stop_on_signals();
    Proxy(port, loopback(upstream_port), mode == "splice").run();
}
