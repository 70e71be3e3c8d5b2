#include "net/epoll_reactor.h"

#include <algorithm>
#include <cerrno>
#include <limits>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <utility>

namespace weir::net {
namespace {

constexpr std::uint32_t kSocketEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;

// What epoll gives back with an event: a socket's id, or one of two even generations, which no living socket has.
constexpr std::uint32_t kListenerGeneration = 0;
constexpr std::uint32_t kWakeGeneration = 2;

constexpr std::uint64_t key_of(SocketId id) {
    return (static_cast<std::uint64_t>(id.generation) << 32U) | id.index;
}
constexpr SocketId id_of(std::uint64_t key) {
    return {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32U)};
}

}  // namespace

Result<std::unique_ptr<Reactor>> EpollReactor::make(Clock& clock, const ReactorOptions& options) {
    Descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
    Descriptor wake(epoll.valid() ? ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1);
    if (!wake.valid()) {
        const bool exhausted = is_exhaustion(errno);
        return Error{exhausted ? ErrorCode::kExhausted : ErrorCode::kUnsupported, ErrorSource::kInternal, false,
                     exhausted ? "no descriptor left for epoll" : "the system refuses epoll"};
    }
    std::unique_ptr<EpollReactor> reactor(new EpollReactor(clock, options, std::move(epoll), std::move(wake)));
    // Edge-triggered, so that the count never has to be read.
    const SocketId wake_id{0, kWakeGeneration};
    if (!reactor->watch(reactor->wake_.get(), key_of(wake_id), EPOLLIN | EPOLLET, false)) {
        return Error{ErrorCode::kUnsupported, ErrorSource::kInternal, false, "the system refuses epoll"};
    }
    return std::unique_ptr<Reactor>(std::move(reactor));
}

EpollReactor::EpollReactor(Clock& clock, const ReactorOptions& options, Descriptor epoll, Descriptor wake)
    : clock_(clock),
      options_(options),
      epoll_(std::move(epoll)),
      wake_(std::move(wake)),
      blocks_(options.blocks_max),
      timers_(clock.now()),
      now_(clock.now()) {}

EpollReactor::~EpollReactor() {
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        Socket& socket = sockets_.at(i);
        drop_queue(socket);
        if (socket.fd >= 0) ::close(socket.fd);
    }
    for (std::uint32_t i = 0; i < listeners_.size(); ++i) stop_listening(i);
}

// ---- Listening -----------------------------------------------------------------------------------------------------

Result<std::uint32_t> EpollReactor::listen(const Endpoint& endpoint, const ListenOptions& options) {
    auto fd = open_listener(endpoint, options);
    if (!fd) return fd.error();
    const auto index = static_cast<std::uint32_t>(listeners_.size());
    const bool armed = !accept_rests_;
    if (!watch(fd->get(), key_of({index, kListenerGeneration}), armed ? std::uint32_t{EPOLLIN} : 0U, false)) {
        return error_of_errno(errno, ErrorSource::kConfiguration);
    }
    Endpoint bound = local_endpoint(fd->get());
    listeners_.push_back({std::move(*fd), std::move(bound), armed});
    return index;
}

Endpoint EpollReactor::listener_endpoint(std::uint32_t listener) const {
    return listener < listeners_.size() ? listeners_[listener].endpoint : Endpoint{};
}

void EpollReactor::stop_listening(std::uint32_t listener) {
    if (listener >= listeners_.size() || !listeners_[listener].fd.valid()) return;
    remove_listener_file(listeners_[listener].endpoint);
    listeners_[listener].fd.reset();
}

void EpollReactor::accept_some(std::uint32_t listener) {
    for (int i = 0; i < kAcceptsPerTurn; ++i) {
        if (listener >= listeners_.size() || !listeners_[listener].fd.valid()) return;
        if (sockets_.live() >= options_.sockets_max) return rest_accepting(false);
        SocketAddress peer;
        peer.size = sizeof peer.storage;
        Descriptor fd(::accept4(listeners_[listener].fd.get(), peer.get(), &peer.size, SOCK_NONBLOCK | SOCK_CLOEXEC));
        if (fd.valid()) {
            accept_one(listener, std::move(fd), peer);
        } else if (errno == EAGAIN) {
            return;
        } else if (is_exhaustion(errno)) {
            return rest_accepting(true);
        }
        // Else the connection went away while it waited: the next one.
    }
}

void EpollReactor::accept_one(std::uint32_t listener, Descriptor fd, const SocketAddress& peer) {
    const std::uint32_t index = sockets_.take();
    Socket& socket = sockets_.at(index);
    const SocketId id{index, socket.generation};
    if (!watch(fd.get(), key_of(id), kSocketEvents, false)) {
        sockets_.retire(index);
        sockets_.release(index);
        return rest_accepting(true);
    }
    socket.fd = fd.release();
    events_->on_accepted(id, listener, from_socket_address(peer));
    flush_dirty();
}

void EpollReactor::rest_accepting(bool exhausted) {
    accept_rests_ = true;
    accept_exhausted_ = exhausted;
    accept_again_ = now_ + kAcceptPause;
    for (std::uint32_t i = 0; i < listeners_.size(); ++i) {
        if (!listeners_[i].fd.valid() || !listeners_[i].armed) continue;
        listeners_[i].armed = !watch(listeners_[i].fd.get(), key_of({i, kListenerGeneration}), 0, true);
    }
}

void EpollReactor::resume_accepting() {
    if (!accept_rests_ || sockets_.live() >= options_.sockets_max) return;
    if (accept_exhausted_ && now_ < accept_again_) return;
    accept_rests_ = false;
    for (std::uint32_t i = 0; i < listeners_.size(); ++i) {
        if (!listeners_[i].fd.valid() || listeners_[i].armed) continue;
        listeners_[i].armed = watch(listeners_[i].fd.get(), key_of({i, kListenerGeneration}), EPOLLIN, true);
    }
}

bool EpollReactor::watch(int fd, std::uint64_t key, std::uint32_t events, bool known) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = key;
    return ::epoll_ctl(epoll_.get(), known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &event) == 0;
}

// ---- Connecting and closing ----------------------------------------------------------------------------------------

Result<SocketId> EpollReactor::connect(const Endpoint& endpoint) {
    auto address = to_socket_address(endpoint);
    if (!address) return address.error();
    auto fd = open_stream_socket(endpoint);
    if (!fd) return fd.error();
    const bool at_once = ::connect(fd->get(), address->get(), address->size) == 0;
    int number = at_once || errno == EINPROGRESS || errno == EINTR ? 0 : errno;

    const std::uint32_t index = sockets_.take();
    Socket& socket = sockets_.at(index);
    const SocketId id{index, socket.generation};
    socket.fd = fd->release();
    socket.connecting = true;
    socket.outgoing = true;
    if (number == 0) {
        // A Unix socket is connected at once. It is not asked for room to send yet: it would tell of every read.
        socket.watches_room = !at_once;
        const std::uint32_t events = kSocketEvents | (at_once ? 0U : static_cast<std::uint32_t>(EPOLLOUT));
        if (!watch(socket.fd, key_of(id), events, false)) number = errno;
    }
    if (number != 0 || at_once) finished_connects_.push_back({id, number});
    return id;
}

void EpollReactor::finish_connect(SocketId id, int number) {
    Socket* socket = sockets_.find(id);
    if (socket == nullptr || !socket->connecting) return;
    if (number != 0) {
        dispose(id.index);
        events_->on_connected(id, error_of_errno(number, ErrorSource::kUpstream));
        sockets_.release(id.index);
    } else {
        socket->connecting = false;
        if (socket->queue != nullptr || socket->shutdown_asked) mark_dirty(*socket, id);
        events_->on_connected(id, {});
    }
    flush_dirty();
}

void EpollReactor::close(SocketId id) {
    if (sockets_.find(id) == nullptr) return;
    dispose(id.index);
    sockets_.release(id.index);
}

void EpollReactor::fail(SocketId id, int number) {
    const Socket* socket = sockets_.find(id);
    if (socket == nullptr) return;
    const ErrorSource source = socket->outgoing ? ErrorSource::kUpstream : ErrorSource::kDownstream;
    dispose(id.index);
    events_->on_closed(id, error_of_errno(number == 0 ? ECONNRESET : number, source));
    sockets_.release(id.index);
    flush_dirty();
}

void EpollReactor::dispose(std::uint32_t index) {
    Socket& socket = sockets_.at(index);
    drop_queue(socket);
    ::close(socket.fd);  // which takes it out of epoll too: nothing else holds the description
    sockets_.retire(index);
    accept_exhausted_ = false;  // a descriptor came back
}

void EpollReactor::drop_queue(Socket& socket) {
    if (socket.queue != nullptr) queues_.put_back(std::exchange(socket.queue, nullptr));
}

// ---- Sending -------------------------------------------------------------------------------------------------------

void EpollReactor::send(SocketId id, Slice bytes) {
    Socket* socket = sockets_.find(id);
    if (socket == nullptr || bytes.empty() || socket->shutdown_asked || socket->broken_errno != 0) return;
    if (socket->queue == nullptr) socket->queue = queues_.take();
    socket->queue->push(std::move(bytes));
    if (socket->queue->bytes() > kSendQueueHighBytes) socket->above_high = true;
    mark_dirty(*socket, id);
}

std::size_t EpollReactor::unsent_bytes(SocketId id) const {
    const Socket* socket = sockets_.find(id);
    return socket == nullptr || socket->queue == nullptr ? 0 : socket->queue->bytes();
}

void EpollReactor::shutdown_send(SocketId id) {
    Socket* socket = sockets_.find(id);
    if (socket == nullptr || socket->shutdown_asked) return;
    socket->shutdown_asked = true;
    mark_dirty(*socket, id);
}

void EpollReactor::mark_dirty(Socket& socket, SocketId id) {
    if (socket.dirty) return;
    socket.dirty = true;
    dirty_.push_back(id);
}

void EpollReactor::flush_dirty() {
    if (flushing_) return;  // called from an event that a flush delivered: the loop below goes on with it
    flushing_ = true;
    for (std::size_t i = 0; i < dirty_.size(); ++i) flush(dirty_[i]);
    dirty_.clear();
    flushing_ = false;
}

void EpollReactor::flush(SocketId id) {
    Socket* socket = sockets_.find(id);
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
        if (!socket->watches_room) socket->watches_room = watch(socket->fd, key_of(id), kSocketEvents | EPOLLOUT, true);
        if (!socket->watches_room) return send_failed(id, errno);
    } else {
        drop_queue(*socket);
        if (socket->shutdown_asked && !socket->shutdown_done) {
            socket->shutdown_done = true;
            static_cast<void>(::shutdown(socket->fd, SHUT_WR));  // fails only on a broken one, which receiving tells
        }
    }
    tell_drained(id);
}

void EpollReactor::tell_drained(SocketId id) {
    Socket* socket = sockets_.find(id);
    if (socket == nullptr || !socket->above_high || unsent_bytes(id) > kSendQueueLowBytes) return;
    socket->above_high = false;
    events_->on_drained(id);
}

// What the peer sent before it broke is still delivered, and then `on_closed`: an early answer of a backend that stops
// reading is an answer.
void EpollReactor::send_failed(SocketId id, int number) {
    Socket* socket = sockets_.find(id);
    if (socket->ended || socket->paused) return fail(id, number);
    drop_queue(*socket);
    socket->broken_errno = static_cast<std::uint16_t>(number);
    socket->readable = socket->hung_up = true;
    rest(*socket, id, ready_);
    tell_drained(id);
}

// ---- Receiving -----------------------------------------------------------------------------------------------------

void EpollReactor::pause_receiving(SocketId id) {
    if (Socket* socket = sockets_.find(id)) socket->paused = true;
}

void EpollReactor::resume_receiving(SocketId id) {
    Socket* socket = sockets_.find(id);
    if (socket == nullptr) return;
    socket->paused = false;
    if (socket->readable) rest(*socket, id, ready_);
}

void EpollReactor::rest(Socket& socket, SocketId id, std::vector<SocketId>& list) {
    if (socket.rests) return;
    socket.rests = true;
    list.push_back(id);
}

void EpollReactor::receive(SocketId id) {
    for (int i = 0; i < kReceivesPerTurn; ++i) {
        Socket* socket = sockets_.find(id);
        if (socket == nullptr || socket->paused || socket->ended || !socket->readable) return;
        Slice bytes = blocks_.try_take();
        if (bytes.empty()) return rest(*socket, id, starved_);
        const ssize_t size = ::recv(socket->fd, bytes.data(), bytes.size(), 0);
        if (size > 0) {
            if (static_cast<std::size_t>(size) < bytes.size() && !socket->hung_up) socket->readable = false;
            bytes.shrink(static_cast<std::size_t>(size));
            events_->on_received(id, std::move(bytes));
            flush_dirty();
        } else if (size == 0 || errno != EINTR) {
            return receive_stopped(id, size == 0 ? 0 : errno);
        }
    }
    if (Socket* socket = sockets_.find(id); socket != nullptr && socket->readable) rest(*socket, id, ready_);
}

void EpollReactor::receive_stopped(SocketId id, int number) {
    Socket* socket = sockets_.find(id);
    socket->readable = false;
    if (socket->broken_errno != 0) return fail(id, socket->broken_errno);
    if (number == EAGAIN) return;
    if (number != 0) return fail(id, number);
    socket->ended = true;
    events_->on_received_end(id);
    flush_dirty();
}

// ---- The turn ------------------------------------------------------------------------------------------------------

TimerId EpollReactor::set_timer(Nanos delay, std::uint64_t cookie) {
    return timers_.arm(in_turn_ ? now_ : clock_.now(), delay, cookie);
}

WallTime EpollReactor::wall_now() const {
    if (!wall_now_) wall_now_ = clock_.wall_now();
    return *wall_now_;
}

void EpollReactor::wake() {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(wake_.get(), &one, sizeof one));  // fails only when the count is full: it wakes anyway
}

void EpollReactor::turn(Nanos wait) {
    in_turn_ = true;
    now_ = clock_.now();
    flush_dirty();
    resume_accepting();

    std::array<epoll_event, kEventsPerTurn> events;
    const int count =
        ::epoll_wait(epoll_.get(), events.data(), events.size(), has_work() ? 0 : wait_milliseconds(wait));
    now_ = clock_.now();
    wall_now_.reset();
    deliver_finished_connects();
    for (int i = 0; i < count; ++i) deliver_event(events[static_cast<std::size_t>(i)]);
    deliver_rested();
    deliver_timers();
    flush_dirty();
    events_->on_turn_end();
    in_turn_ = false;
}

bool EpollReactor::has_work() const {
    return !ready_.empty() || !finished_connects_.empty() || (!starved_.empty() && !blocks_.at_bound());
}

int EpollReactor::wait_milliseconds(Nanos wait) {
    if (const auto due = timers_.next_due()) wait = std::min(wait, *due - now_);
    if (accept_rests_ && accept_exhausted_) wait = std::min(wait, accept_again_ - now_);
    wait = std::clamp<Nanos>(wait, Nanos{0}, std::chrono::hours(1));
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(wait).count());
}

void EpollReactor::deliver_event(const epoll_event& event) {
    const SocketId id = id_of(event.data.u64);
    if (id.generation == kListenerGeneration) {
        accept_some(id.index);
    } else if (id.generation == kWakeGeneration) {
        events_->on_wake();
        flush_dirty();
    } else {
        on_socket_event(id, event.events);
    }
}

void EpollReactor::on_socket_event(SocketId id, std::uint32_t mask) {
    constexpr std::uint32_t kHangUp = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (Socket* socket = sockets_.find(id); socket != nullptr && socket->connecting) {
        if ((mask & (EPOLLOUT | EPOLLHUP | EPOLLERR)) == 0) return;
        finish_connect(id, take_socket_error(socket->fd));
    }
    Socket* socket = sockets_.find(id);
    if (socket == nullptr) return;
    if ((mask & kHangUp) != 0) socket->hung_up = true;
    if ((mask & (EPOLLIN | kHangUp)) != 0) socket->readable = true;
    // Nobody is going to receive, so nobody would hear of the error.
    if ((mask & EPOLLERR) != 0 && (socket->paused || socket->ended)) return fail(id, take_socket_error(socket->fd));
    if ((mask & EPOLLOUT) != 0 && socket->waits_for_room) {
        socket->waits_for_room = false;
        mark_dirty(*socket, id);
        flush_dirty();
        socket = sockets_.find(id);
    }
    if (socket != nullptr && !socket->rests) receive(id);
}

void EpollReactor::deliver_finished_connects() {
    // Those that the events below start are told in the next turn.
    std::vector<FinishedConnect> finished;
    finished.swap(finished_connects_);
    for (const FinishedConnect& connect : finished) finish_connect(connect.id, connect.number);
}

void EpollReactor::deliver_rested() {
    // The starved go before the ready, so that a socket which always has more does not take every block.
    resting_.clear();
    if (!blocks_.at_bound()) resting_.swap(starved_);
    resting_.insert(resting_.end(), ready_.begin(), ready_.end());
    ready_.clear();
    for (const SocketId id : resting_) {
        Socket* socket = sockets_.find(id);
        if (socket == nullptr) continue;
        socket->rests = false;
        receive(id);
    }
}

void EpollReactor::deliver_timers() {
    timers_.advance(now_);
    while (const auto fired = timers_.take_due()) {
        events_->on_timer(fired->id, fired->cookie);
        flush_dirty();
    }
}

}  // namespace weir::net
