// What the reactors on epoll and on io_uring have in common: sockets with their send queues, timers, the time of a
// turn, and accepting that rests. How a socket is watched, connected and received from is theirs.
//
// Sending. Slices sent to one socket are collected and handed to the kernel with one sendmsg when the event that caused
// them is over (`flush_dirty`). What the kernel does not take waits in the queue until `await_room` has told that there
// is room.
//
// Socket: a slot of the table with at least the members that are used here. A reactor whose kernel still holds requests
// of a closed socket keeps it with `closing` set, and `find` no longer finds it. Threads: as Reactor.
#pragma once

#include <algorithm>
#include <cerrno>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include "net/reactor.h"
#include "net/send_queue.h"
#include "net/slot_table.h"
#include "net/socket.h"
#include "net/timer_wheel.h"

namespace weir::net {

template <typename Socket>
class KernelReactor : public Reactor {
  public:
    void set_events(ReactorEvents* events) override { events_ = events; }
    void cancel_timer(TimerId timer) override { static_cast<void>(timers_.cancel(timer)); }
    MonoTime now() const override { return now_; }
    BlockPool& blocks() override { return blocks_; }

    TimerId set_timer(Nanos delay, std::uint64_t cookie) override {
        return timers_.arm(in_turn_ ? now_ : clock_.now(), delay, cookie);
    }
    WallTime wall_now() const override {
        if (!wall_now_) wall_now_ = clock_.wall_now();
        return *wall_now_;
    }
    void wake() override {
        const std::uint64_t one = 1;
        static_cast<void>(
            !::write(wake_.get(), &one, sizeof one));  // fails only when the count is full: it wakes anyway
    }
    Endpoint listener_endpoint(std::uint32_t listener) const override {
        return listener < listeners_.size() ? listeners_[listener].endpoint : Endpoint{};
    }

    void send(SocketId id, Slice bytes) override {
        Socket* socket = find(id);
        if (socket == nullptr || bytes.empty() || socket->shutdown_asked || socket->broken_errno != 0) return;
        if (socket->queue == nullptr) socket->queue = queues_.take();
        socket->queue->push(std::move(bytes));
        if (socket->queue->bytes() > kSendQueueHighBytes) socket->above_high = true;
        mark_dirty(*socket, id);
    }
    std::size_t unsent_bytes(SocketId id) const override {
        const Socket* socket = find(id);
        return socket == nullptr || socket->queue == nullptr ? 0 : socket->queue->bytes();
    }
    void shutdown_send(SocketId id) override {
        Socket* socket = find(id);
        if (socket == nullptr || socket->shutdown_asked) return;
        socket->shutdown_asked = true;
        mark_dirty(*socket, id);
    }
    void close(SocketId id) override {
        if (find(id) == nullptr) return;
        begin_close(id);
        finish_close(id);
    }

  protected:
    static constexpr int kAcceptsPerTurn = 64;
    static constexpr Nanos kAcceptPause = std::chrono::milliseconds(100);

    struct Listener {
        Descriptor fd;
        Endpoint endpoint;
        bool armed = false;
    };

    KernelReactor(Clock& clock, const ReactorOptions& options, Descriptor wake)
        : clock_(clock),
          options_(options),
          wake_(std::move(wake)),
          blocks_(options.blocks_max),
          timers_(clock.now()),
          now_(clock.now()) {}

    // Asks to be told, by `room_came`, when the socket takes bytes again. False: errno says why not.
    [[nodiscard]] virtual bool await_room(SocketId id, Socket& socket) = 0;
    // Sending has failed, and what the peer sent before that is to be delivered first.
    virtual void deliver_before_broken(SocketId /*id*/, Socket& /*socket*/) {}
    // Dead for the owner from `begin_close` on; the index may be given out again after `finish_close`.
    virtual void begin_close(SocketId id) = 0;
    virtual void finish_close(SocketId id) = 0;

    [[nodiscard]] Socket* find(SocketId id) {
        Socket* socket = sockets_.find(id);
        return socket == nullptr || socket->closing ? nullptr : socket;
    }
    [[nodiscard]] const Socket* find(SocketId id) const { return const_cast<KernelReactor*>(this)->find(id); }

    void mark_dirty(Socket& socket, SocketId id) {
        if (socket.dirty) return;
        socket.dirty = true;
        dirty_.push_back(id);
    }
    void flush_dirty() {
        if (flushing_) return;  // called from an event that a flush delivered: the loop below goes on with it
        flushing_ = true;
        for (std::size_t i = 0; i < dirty_.size(); ++i) flush(dirty_[i]);
        dirty_.clear();
        flushing_ = false;
    }
    void room_came(SocketId id, Socket& socket) {
        socket.waits_for_room = false;
        mark_dirty(socket, id);
        flush_dirty();
    }
    void drop_send_queue(Socket& socket) {
        if (socket.queue != nullptr) queues_.put_back(std::exchange(socket.queue, nullptr));
    }

    // The socket broke: the owner is told, and it is closed.
    void fail(SocketId id, int number) {
        const Socket* socket = find(id);
        if (socket == nullptr) return;
        const ErrorSource source = socket->outgoing ? ErrorSource::kUpstream : ErrorSource::kDownstream;
        begin_close(id);
        events_->on_closed(id, error_of_errno(number == 0 ? ECONNRESET : number, source));
        finish_close(id);
        flush_dirty();
    }

    void deliver_timers() {
        timers_.advance(now_);
        while (const auto fired = timers_.take_due()) {
            events_->on_timer(fired->id, fired->cookie);
            flush_dirty();
        }
    }
    // How long a turn may wait, as something of ours is due.
    [[nodiscard]] Nanos bounded(Nanos wait) {
        if (const auto due = timers_.next_due()) wait = std::min(wait, *due - now_);
        if (accept_rests_ && accept_exhausted_) wait = std::min(wait, accept_again_ - now_);
        return std::clamp<Nanos>(wait, Nanos{0}, std::chrono::hours(1));
    }

    // Accepting rests until a socket closes, or, without descriptors (`exhausted`), for kAcceptPause.
    void note_rest(bool exhausted) {
        accept_rests_ = true;
        accept_exhausted_ = exhausted;
        accept_again_ = now_ + kAcceptPause;
    }
    // True once, when the rest is over.
    [[nodiscard]] bool rest_is_over() {
        if (!accept_rests_ || sockets_.live() >= options_.sockets_max) return false;
        if (accept_exhausted_ && now_ < accept_again_) return false;
        accept_rests_ = false;
        return true;
    }

    Clock& clock_;
    ReactorOptions options_;
    ReactorEvents* events_ = nullptr;
    Descriptor wake_;
    BlockPool blocks_;
    SendQueuePool queues_;
    TimerWheel timers_;
    SlotTable<Socket> sockets_;
    std::vector<Listener> listeners_;
    MonoTime now_;
    mutable std::optional<WallTime> wall_now_;
    bool accept_rests_ = false;
    bool accept_exhausted_ = false;
    bool in_turn_ = false;

  private:
    void flush(SocketId id) {
        Socket* socket = find(id);
        if (socket == nullptr) return;
        socket->dirty = false;
        if (socket->connecting || socket->waits_for_room) {
            if (socket->queue != nullptr) socket->queue->settle(blocks_);
            return;
        }
        const auto written = socket->queue == nullptr ? SendQueue::Written{} : socket->queue->write_to(socket->fd);
        if (written.number != 0) return send_failed(id, written.number);
        if (written.full) {
            socket->waits_for_room = true;
            socket->queue->settle(blocks_);
            if (!await_room(id, *socket)) return send_failed(id, errno);
        } else {
            drop_send_queue(*socket);
            if (socket->shutdown_asked && !socket->shutdown_done) {
                socket->shutdown_done = true;
                static_cast<void>(
                    ::shutdown(socket->fd, SHUT_WR));  // fails only on a broken one, which receiving tells
            }
        }
        tell_drained(id);
    }
    // What the peer sent before it broke is still delivered, and then `on_closed`: an early answer of a backend that
    // stops reading is an answer.
    void send_failed(SocketId id, int number) {
        Socket* socket = find(id);
        if (socket->ended || socket->paused) return fail(id, number);
        drop_send_queue(*socket);
        socket->broken_errno = static_cast<std::uint16_t>(number);
        deliver_before_broken(id, *socket);
        tell_drained(id);
    }
    void tell_drained(SocketId id) {
        Socket* socket = find(id);
        if (socket == nullptr || !socket->above_high || unsent_bytes(id) > kSendQueueLowBytes) return;
        socket->above_high = false;
        events_->on_drained(id);
    }

    std::vector<SocketId> dirty_;  // have something to hand to the kernel
    MonoTime accept_again_{};
    bool flushing_ = false;
};

}  // namespace weir::net
