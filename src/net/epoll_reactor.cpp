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
    : KernelReactor(clock, options, std::move(wake)), epoll_(std::move(epoll)) {}

EpollReactor::~EpollReactor() {
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        EpollSocket& socket = sockets_.at(i);
        drop_send_queue(socket);
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
    EpollSocket& socket = sockets_.at(index);
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
    note_rest(exhausted);
    for (std::uint32_t i = 0; i < listeners_.size(); ++i) {
        if (!listeners_[i].fd.valid() || !listeners_[i].armed) continue;
        listeners_[i].armed = !watch(listeners_[i].fd.get(), key_of({i, kListenerGeneration}), 0, true);
    }
}

void EpollReactor::resume_accepting() {
    if (!rest_is_over()) return;
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

Result<SocketId> EpollReactor::connect(const Endpoint& endpoint, const TlsClient* tls) {
    if (tls != nullptr) return kNoTlsHere;
    auto address = to_socket_address(endpoint);
    if (!address) return address.error();
    auto fd = open_stream_socket(endpoint);
    if (!fd) return fd.error();
    const bool at_once = ::connect(fd->get(), address->get(), address->size) == 0;
    int number = at_once || errno == EINPROGRESS || errno == EINTR ? 0 : errno;

    const std::uint32_t index = sockets_.take();
    EpollSocket& socket = sockets_.at(index);
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
    EpollSocket* socket = sockets_.find(id);
    if (socket == nullptr || !socket->connecting) return;
    if (number != 0) {
        begin_close(id);
        events_->on_connected(id, error_of_errno(number, ErrorSource::kUpstream));
        finish_close(id);
    } else {
        socket->connecting = false;
        if (socket->queue != nullptr || socket->shutdown_asked) mark_dirty(*socket, id);
        events_->on_connected(id, {});
    }
    flush_dirty();
}

void EpollReactor::begin_close(SocketId id) {
    EpollSocket& socket = sockets_.at(id.index);
    drop_send_queue(socket);
    ::close(socket.fd);  // which takes it out of epoll too: nothing else holds the description
    sockets_.retire(id.index);
    accept_exhausted_ = false;  // a descriptor came back
}

// ---- Sending -------------------------------------------------------------------------------------------------------

bool EpollReactor::await_room(SocketId id, EpollSocket& socket) {
    if (!socket.watches_room) socket.watches_room = watch(socket.fd, key_of(id), kSocketEvents | EPOLLOUT, true);
    return socket.watches_room;
}

void EpollReactor::deliver_before_broken(SocketId id, EpollSocket& socket) {
    socket.readable = socket.hung_up = true;
    rest(socket, id, ready_);
}

// ---- Receiving -----------------------------------------------------------------------------------------------------

void EpollReactor::pause_receiving(SocketId id) {
    if (EpollSocket* socket = sockets_.find(id)) socket->paused = true;
}

void EpollReactor::resume_receiving(SocketId id) {
    EpollSocket* socket = sockets_.find(id);
    if (socket == nullptr) return;
    socket->paused = false;
    if (socket->readable) rest(*socket, id, ready_);
}

void EpollReactor::rest(EpollSocket& socket, SocketId id, std::vector<SocketId>& list) {
    if (socket.rests) return;
    socket.rests = true;
    list.push_back(id);
}

void EpollReactor::receive(SocketId id) {
    for (int i = 0; i < kReceivesPerTurn; ++i) {
        EpollSocket* socket = sockets_.find(id);
        if (socket == nullptr || socket->paused || socket->ended || !socket->readable) return;
        Slice bytes = blocks_.try_take();
        if (bytes.empty()) return rest(*socket, id, starved_);
        const ssize_t size = receive_bytes(socket->fd, bytes.data(), bytes.size());
        if (size > 0) {
            if (static_cast<std::size_t>(size) < bytes.size() && !socket->hung_up) socket->readable = false;
            bytes.shrink(static_cast<std::size_t>(size));
            events_->on_received(id, std::move(bytes));
            flush_dirty();
        } else if (size == 0 || errno != EINTR) {
            return receive_stopped(id, size == 0 ? 0 : errno);
        }
    }
    if (EpollSocket* socket = sockets_.find(id); socket != nullptr && socket->readable) rest(*socket, id, ready_);
}

void EpollReactor::receive_stopped(SocketId id, int number) {
    EpollSocket* socket = sockets_.find(id);
    socket->readable = false;
    if (socket->broken_errno != 0) return fail(id, socket->broken_errno);
    if (number == EAGAIN) return;
    if (number != 0) return fail(id, number);
    socket->ended = true;
    events_->on_received_end(id);
    flush_dirty();
}

// ---- The turn ------------------------------------------------------------------------------------------------------

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
    flush_dirty();  // what was sent at the end of the turn leaves with it
    in_turn_ = false;
}

bool EpollReactor::has_work() const {
    return !ready_.empty() || !finished_connects_.empty() || (!starved_.empty() && !blocks_.at_bound());
}

int EpollReactor::wait_milliseconds(Nanos wait) {
    return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(bounded(wait)).count());
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
    if (EpollSocket* socket = sockets_.find(id); socket != nullptr && socket->connecting) {
        if ((mask & (EPOLLOUT | EPOLLHUP | EPOLLERR)) == 0) return;
        finish_connect(id, take_socket_error(socket->fd));
    }
    EpollSocket* socket = sockets_.find(id);
    if (socket == nullptr) return;
    if ((mask & kHangUp) != 0) socket->hung_up = true;
    if ((mask & (EPOLLIN | kHangUp)) != 0) socket->readable = true;
    // Nobody is going to receive, so nobody would hear of the error.
    if ((mask & EPOLLERR) != 0 && (socket->paused || socket->ended)) return fail(id, take_socket_error(socket->fd));
    if ((mask & EPOLLOUT) != 0 && socket->waits_for_room) {
        room_came(id, *socket);
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
        EpollSocket* socket = sockets_.find(id);
        if (socket == nullptr) continue;
        socket->rests = false;
        receive(id);
    }
}

}  // namespace weir::net
