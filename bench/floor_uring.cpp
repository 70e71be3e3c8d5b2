// floor_uring: what a proxy in user space must pay on io_uring. It copies bytes between client and upstream and looks
// at none of them: multishot accept and receive, a ring of provided buffers, sends straight from the received buffer,
// one io_uring_enter(2) a turn.
//
// A Pair lives until its last completion (`refs`): the kernel owns its sockets and buffers until then. One thread.
#include <cerrno>
#include <csignal>
#include <deque>
#include <liburing.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

namespace weir::bench {
namespace {

enum Op : std::uint64_t { kAccept, kConnect, kRecv, kSend };

struct Pair;
struct Chunk {
    unsigned bid;
    unsigned len;
    unsigned off;
};
struct Side {
    int fd = -1;
    Pair* pair = nullptr;
    Side* peer = nullptr;
    bool eof = false, sending = false, receiving = false, shut = false;
    std::deque<Chunk> queue;  // buffers to send to this socket, oldest first
};
struct Pair {
    Side client, upstream;
    bool dead = false;
    unsigned refs = 0;
};

class Proxy {
  public:
    Proxy(std::uint16_t port, sockaddr_in up, unsigned buffers, unsigned size) : up_(up), count_(buffers), size_(size) {
        io_uring_params p{};
        p.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE;
        p.cq_entries = 32768;
        if (int e = io_uring_queue_init_params(4096, &ring_, &p); e < 0) die("io_uring: " + std::string(strerror(-e)));
        void* mem =
            mmap(nullptr, count_ * sizeof(io_uring_buf), PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
        br_ = static_cast<io_uring_buf_ring*>(mem);
        io_uring_buf_reg reg{};
        reg.ring_addr = reinterpret_cast<std::uint64_t>(br_);
        reg.ring_entries = count_;
        if (int e = io_uring_register_buf_ring(&ring_, &reg, 0); e < 0) die("buf_ring: " + std::string(strerror(-e)));
        io_uring_buf_ring_init(br_);
        base_ = static_cast<char*>(
            mmap(nullptr, std::size_t(count_) * size_, PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_PRIVATE, -1, 0));
        for (unsigned i = 0; i < count_; ++i) give(i);
        listen_ = listen_on_loopback(port, 0);
    }

    void run() {
        io_uring_sqe* s = sqe();
        io_uring_prep_multishot_accept(s, listen_, nullptr, nullptr, SOCK_CLOEXEC);
        s->user_data = kAccept;
        while (!stop_requested) {
            const int e = io_uring_submit_and_wait(&ring_, 1);
            if (e < 0 && e != -EINTR && e != -EBUSY) die("submit: " + std::string(strerror(-e)));
            unsigned head, n = 0;
            io_uring_cqe* c;
            io_uring_for_each_cqe(&ring_, head, c) {
                ++n;
                handle(c);
            }
            io_uring_cq_advance(&ring_, n);
        }
    }

  private:
    io_uring_sqe* sqe() {
        io_uring_sqe* s = io_uring_get_sqe(&ring_);
        while (!s) {
            io_uring_submit(&ring_);
            s = io_uring_get_sqe(&ring_);
        }
        return s;
    }
    char* at(unsigned bid) const { return base_ + std::size_t(bid) * size_; }
    void give(unsigned bid) {
        io_uring_buf_ring_add(br_, at(bid), size_, (unsigned short)bid, int(count_ - 1), 0);
        io_uring_buf_ring_advance(br_, 1);
    }
    static std::uint64_t tag(Side& s, Op op) { return reinterpret_cast<std::uint64_t>(&s) | op; }

    void recv(Side& s) {
        if (s.receiving || s.eof || s.pair->dead) return;
        io_uring_sqe* q = sqe();
        io_uring_prep_recv_multishot(q, s.fd, nullptr, 0, 0);
        q->flags |= IOSQE_BUFFER_SELECT;
        q->buf_group = 0;
        q->user_data = tag(s, kRecv);
        s.receiving = true;
        ++s.pair->refs;
    }
    void send(Side& to) {
        if (to.sending || to.queue.empty() || to.pair->dead) return;
        const Chunk& c = to.queue.front();
        io_uring_sqe* q = sqe();
        io_uring_prep_send(q, to.fd, at(c.bid) + c.off, c.len - c.off, MSG_NOSIGNAL | MSG_WAITALL);
        q->user_data = tag(to, kSend);
        to.sending = true;
        ++to.pair->refs;
    }

    void handle(io_uring_cqe* c) {
        const Op op = Op(c->user_data & 7);
        if (op == kAccept) {
            if (c->res >= 0) accepted(c->res);
            return;
        }
        Side& s = *reinterpret_cast<Side*>(c->user_data & ~std::uint64_t(7));
        Pair& p = *s.pair;
        if (op == kConnect) {
            --p.refs;
            if (c->res < 0)
                kill(p);
            else {
                recv(p.client);
                recv(p.upstream);
            }
        } else if (op == kRecv) {
            if (!(c->flags & IORING_CQE_F_MORE)) {
                s.receiving = false;
                --p.refs;
            }
            if (c->res > 0) {
                s.peer->queue.push_back({c->flags >> IORING_CQE_BUFFER_SHIFT, unsigned(c->res), 0});
                send(*s.peer);
                if (!s.receiving) recv(s);
            } else if (c->res == -ENOBUFS) {
                recv(s);
            } else {
                if (c->flags & IORING_CQE_F_BUFFER) give(c->flags >> IORING_CQE_BUFFER_SHIFT);
                s.eof = true;
                if (c->res < 0)
                    kill(p);
                else
                    half_close(*s.peer);
            }
        } else if (op == kSend) {
            --p.refs;
            s.sending = false;
            if (c->res < 0) {
                kill(p);
            } else if (!s.queue.empty()) {
                Chunk& q = s.queue.front();
                q.off += unsigned(c->res);
                if (q.off == q.len) {
                    give(q.bid);
                    s.queue.pop_front();
                }
                send(s);
                if (s.queue.empty() && s.peer->eof) half_close(s);
            }
        }
        if (p.dead && p.refs == 0) {
            for (Side* x : {&p.client, &p.upstream}) {
                for (const Chunk& q : x->queue) give(q.bid);
                close(x->fd);
            }
            delete &p;
        }
    }

    void half_close(Side& to) {
        if (!to.queue.empty() || to.shut) return;
        to.shut = true;
        shutdown(to.fd, SHUT_WR);
        if (to.pair->client.shut && to.pair->upstream.shut) kill(*to.pair);
    }
    void kill(Pair& p) {
        if (p.dead) return;
        p.dead = true;
        shutdown(p.client.fd, SHUT_RDWR);
        shutdown(p.upstream.fd, SHUT_RDWR);
    }

    void accepted(int fd) {
        Pair* p = new Pair;
        p->client.fd = fd;
        p->upstream.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        for (Side* s : {&p->client, &p->upstream}) {
            s->pair = p;
            s->peer = s == &p->client ? &p->upstream : &p->client;
            no_delay(s->fd);
        }
        io_uring_sqe* q = sqe();
        io_uring_prep_connect(q, p->upstream.fd, reinterpret_cast<sockaddr*>(&up_), sizeof up_);
        q->user_data = tag(p->upstream, kConnect);
        ++p->refs;
    }

    sockaddr_in up_;
    unsigned count_, size_;
    io_uring ring_{};
    io_uring_buf_ring* br_ = nullptr;
    char* base_ = nullptr;
    int listen_ = -1;
};

}  // namespace
}  // namespace weir::bench

int main(int argc, char** argv) {
    using namespace weir::bench;
    const char usage[] = "usage: floor_uring --upstream-port N [--port N] [--buffers 2^K] [--buffer-size B]";
    std::uint16_t port = 0, upstream_port = 0;
    unsigned buffers = 1024, size = 4096;
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) die(usage);
        const std::string a = argv[i], v = argv[i + 1];
        if (a == "--port")
            port = std::uint16_t(number_argument(a, v, 65535));
        else if (a == "--upstream-port")
            upstream_port = std::uint16_t(number_argument(a, v, 65535));
        else if (a == "--buffers")
            buffers = number_argument(a, v, 32768);
        else if (a == "--buffer-size")
            size = number_argument(a, v, 1 << 20);
        else
            die(usage);
    }
    if (upstream_port == 0 || size == 0 || !std::has_single_bit(buffers)) die(usage);
    raise_fd_limit(1'000'000);
    stop_on_signals();
    Proxy(port, loopback(upstream_port), buffers, size).run();
}
