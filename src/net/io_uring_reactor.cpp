#include "net/io_uring_reactor.h"

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdlib>
#include <liburing.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

namespace weir::net {
namespace {

constexpr std::uint16_t kBufferGroup = 0;
constexpr std::uint32_t kGenerationMask = 0xFFFFFF;

struct FreeMemory {
    void operator()(void* memory) const { std::free(memory); }
};

// A page for a ring of provided buffers; null without memory.
io_uring_buf_ring* new_buffer_ring() {
    constexpr std::size_t kPage = 4096;
    auto* ring = static_cast<io_uring_buf_ring*>(std::aligned_alloc(kPage, kPage));
    if (ring != nullptr) io_uring_buf_ring_init(ring);
    return ring;
}

int register_buffer_ring(io_uring* ring, io_uring_buf_ring* buffers, std::uint32_t entries) {
    io_uring_buf_reg registration{};
    registration.ring_addr = reinterpret_cast<std::uint64_t>(buffers);
    registration.ring_entries = entries;
    registration.bgid = kBufferGroup;
    return io_uring_register_buf_ring(ring, &registration, 0);
}

// Receives one byte the way the reactor does: the sure sign that kernel and sandbox let us. 0, or an errno.
int try_multishot_receive(io_uring* ring) {
    const std::unique_ptr<io_uring_buf_ring, FreeMemory> buffers(new_buffer_ring());
    if (buffers == nullptr) return ENOMEM;
    if (const int error = register_buffer_ring(ring, buffers.get(), 1); error < 0) return -error;
    std::array<std::uint8_t, 16> bytes{};
    io_uring_buf_ring_add(buffers.get(), bytes.data(), bytes.size(), 0, 0, 0);
    io_uring_buf_ring_advance(buffers.get(), 1);

    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return errno;
    const Descriptor reader(ends[0]);
    const Descriptor writer(ends[1]);
    io_uring_sqe* request = io_uring_get_sqe(ring);
    io_uring_prep_recv_multishot(request, reader.get(), nullptr, 0, 0);
    request->flags |= IOSQE_BUFFER_SELECT;
    request->buf_group = kBufferGroup;
    if (::send(writer.get(), "x", 1, MSG_NOSIGNAL) != 1) return errno;
    io_uring_cqe* completion = nullptr;
    __kernel_timespec second{1, 0};
    if (const int error = io_uring_submit_and_wait_timeout(ring, &completion, 1, &second, nullptr); error < 0) {
        return -error;
    }
    const bool works = completion != nullptr && completion->res == 1 && (completion->flags & IORING_CQE_F_MORE) != 0 &&
                       (completion->flags & IORING_CQE_F_BUFFER) != 0;
    return works ? 0 : ENOSYS;
}

int probe() {
    io_uring ring{};
    if (const int error = io_uring_queue_init(4, &ring, 0); error < 0) return -error;
    const int number = try_multishot_receive(&ring);
    io_uring_queue_exit(&ring);
    return number;
}

Error set_up_error(int number) {
    const bool exhausted = is_exhaustion(number);
    return Error{exhausted ? ErrorCode::kExhausted : ErrorCode::kUnsupported, ErrorSource::kInternal, false,
                 exhausted ? "no descriptor or memory left for io_uring" : "the system refuses io_uring or is too old"};
}

}  // namespace

Result<std::unique_ptr<Reactor>> IoUringReactor::make(Clock& clock, const ReactorOptions& options) {
    if (const int number = probe(); number != 0) return set_up_error(number);
    Descriptor wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (!wake.valid()) return set_up_error(errno);
    std::unique_ptr<IoUringReactor> reactor(new IoUringReactor(clock, options, std::move(wake)));
    if (const int number = reactor->set_up(); number != 0) return set_up_error(number);
    return std::unique_ptr<Reactor>(std::move(reactor));
}

IoUringReactor::IoUringReactor(Clock& clock, const ReactorOptions& options, Descriptor wake)
    : KernelReactor(clock, options, std::move(wake)) {}

int IoUringReactor::set_up() {
    // The best that the kernel takes. The ring starts disabled, since it is to belong to the thread that turns.
    constexpr std::uint32_t kAlways = IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED | IORING_SETUP_SUBMIT_ALL;
    constexpr std::array<std::uint32_t, 3> kFlags{kAlways | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
                                                  kAlways | IORING_SETUP_COOP_TASKRUN, kAlways};
    auto ring = std::make_unique<io_uring>();
    int error = -EINVAL;
    for (const std::uint32_t flags : kFlags) {
        io_uring_params parameters{};
        parameters.flags = flags;
        parameters.cq_entries = kCompletions;
        error = io_uring_queue_init_params(kSubmissions, ring.get(), &parameters);
        if (error != -EINVAL) break;
    }
    if (error < 0) return -error;
    ring_ = std::move(ring);

    buffers_ = new_buffer_ring();
    if (buffers_ == nullptr) return ENOMEM;
    ring_blocks_ =
        std::bit_floor(static_cast<std::uint32_t>(std::clamp<std::size_t>(options_.blocks_max / 2, 1, kRingBlocks)));
    if (error = register_buffer_ring(ring_.get(), buffers_, ring_blocks_); error < 0) return -error;
    for (std::uint32_t i = 0; i < ring_blocks_; ++i) missing_.push_back(static_cast<std::uint16_t>(i));
    io_uring_prep_poll_multishot(next_request(Kind::kWake, {0, 0}), wake_.get(), POLLIN);
    return 0;
}

IoUringReactor::~IoUringReactor() {
    for (std::uint32_t i = 0; i < listeners_.size(); ++i) stop_listening(i);
    // Closing the ring cancels what the kernel still has; after it no block of the ring is written to.
    if (ring_ != nullptr) io_uring_queue_exit(ring_.get());
    for (std::uint32_t i = 0; i < sockets_.size(); ++i) {
        IoUringSocket& socket = sockets_.at(i);
        drop_queues(socket);
        if (socket.fd >= 0) ::close(socket.fd);
    }
    for (Slice& block : parked_) {
        if (block.empty()) continue;
        block = Slice{};
        blocks_.note_unparked();
    }
    std::free(buffers_);
}

// ---- The ring ------------------------------------------------------------------------------------------------------

std::uint64_t IoUringReactor::user_data(Kind kind, SocketId id) {
    return (static_cast<std::uint64_t>(kind) << 56U) |
           (static_cast<std::uint64_t>(id.generation & kGenerationMask) << 32U) | id.index;
}

// To be filled by one of the io_uring_prep functions: these leave user_data alone.
io_uring_sqe* IoUringReactor::next_request(Kind kind, SocketId id) {
    io_uring_sqe* request = io_uring_get_sqe(ring_.get());
    while (request == nullptr) {
        enable();
        static_cast<void>(io_uring_submit(ring_.get()));
        request = io_uring_get_sqe(ring_.get());
    }
    io_uring_sqe_set_data64(request, user_data(kind, id));
    return request;
}

void IoUringReactor::enable() {
    if (enabled_) return;
    // liburing 2.3 declares io_uring_enable_rings and does not export it.
    const long result = ::syscall(__NR_io_uring_register, ring_->ring_fd, IORING_REGISTER_ENABLE_RINGS, nullptr, 0);
    WEIR_ASSERT(result == 0);
    enabled_ = true;
}

void IoUringReactor::enter(Nanos wait) {
    enable();
    if (wait <= Nanos{0}) {
        static_cast<void>(io_uring_submit_and_get_events(ring_.get()));
    } else {
        __kernel_timespec until{wait.count() / 1'000'000'000, wait.count() % 1'000'000'000};
        io_uring_cqe* completion = nullptr;
        static_cast<void>(io_uring_submit_and_wait_timeout(ring_.get(), &completion, 1, &until, nullptr));
    }
    if (io_uring_sq_ready(ring_.get()) == 0) addresses_.clear();

    // Taken out before any is delivered: what the events cause may submit.
    completions_.clear();
    std::array<io_uring_cqe*, 256> batch;
    while (completions_.size() < kCompletions) {
        const unsigned count = io_uring_peek_batch_cqe(ring_.get(), batch.data(), batch.size());
        if (count == 0) break;
        for (unsigned i = 0; i < count; ++i)
            completions_.push_back({batch[i]->user_data, batch[i]->res, batch[i]->flags});
        io_uring_cq_advance(ring_.get(), count);
    }
}

void IoUringReactor::park_blocks() {
    int added = 0;
    while (!missing_.empty()) {
        Slice block = blocks_.try_take();
        if (block.empty()) break;
        const std::uint16_t place = missing_.back();
        missing_.pop_back();
        io_uring_buf_ring_add(buffers_, block.data(), kBlockBytes, place, static_cast<int>(ring_blocks_ - 1), added++);
        parked_[place] = std::move(block);
        blocks_.note_parked();
    }
    if (added > 0) io_uring_buf_ring_advance(buffers_, added);
    if (missing_.size() == ring_blocks_) return;
    for (const SocketId id : starved_) {
        if (IoUringSocket* socket = find(id)) unsettle(*socket, id);
    }
    starved_.clear();
}

Slice IoUringReactor::take_block(const Completion& completion) {
    if ((completion.flags & IORING_CQE_F_BUFFER) == 0) return {};
    const auto place = static_cast<std::uint16_t>(completion.flags >> IORING_CQE_BUFFER_SHIFT);
    Slice block = std::move(parked_[place]);
    blocks_.note_unparked();
    missing_.push_back(place);
    block.shrink(static_cast<std::size_t>(std::max(completion.result, 0)));
    return block;
}

// ---- The turn ------------------------------------------------------------------------------------------------------

void IoUringReactor::turn(Nanos wait) {
    in_turn_ = true;
    now_ = clock_.now();
    flush_dirty();
    resume_accepting();
    park_blocks();
    settle_sockets();

    enter(unsettled_.empty() ? bounded(wait) : Nanos{0});
    now_ = clock_.now();
    wall_now_.reset();
    for (const Completion& completion : completions_) deliver(completion);
    deliver_timers();
    settle_sockets();
    flush_dirty();
    events_->on_turn_end();
    flush_dirty();  // what was sent at the end of the turn leaves with it
    in_turn_ = false;
}

void IoUringReactor::deliver(const Completion& completion) {
    const auto kind = static_cast<Kind>(completion.user_data >> 56U);
    const auto index = static_cast<std::uint32_t>(completion.user_data);
    const bool more = (completion.flags & IORING_CQE_F_MORE) != 0;
    if (kind == Kind::kIgnored) return;
    if (kind == Kind::kWake) {
        if (!more) io_uring_prep_poll_multishot(next_request(Kind::kWake, {0, 0}), wake_.get(), POLLIN);
        events_->on_wake();
        return flush_dirty();
    }
    if (kind == Kind::kListener) {
        listeners_[index].armed = false;
        return accept_some(index);
    }
    IoUringSocket& socket = sockets_.at(index);
    const SocketId id{index, socket.generation};
    WEIR_ASSERT(user_data(kind, id) == completion.user_data && socket.requests > 0);
    if (!more) --socket.requests;
    if (kind == Kind::kReceive) return on_receive(id, socket, completion);
    if (socket.closing) return finish_close(id);
    if (kind == Kind::kConnect) return on_connect(id, completion.result);
    if (kind == Kind::kBroken) return on_broken(id);
    room_came(id, socket);
}

// ---- Listening -----------------------------------------------------------------------------------------------------

Result<std::uint32_t> IoUringReactor::listen(const Endpoint& endpoint, const ListenOptions& options) {
    auto fd = open_listener(endpoint, options);
    if (!fd) return fd.error();
    Endpoint bound = local_endpoint(fd->get());
    listeners_.push_back({std::move(*fd), std::move(bound)});
    const auto index = static_cast<std::uint32_t>(listeners_.size() - 1);
    arm_listener(index);
    return index;
}

void IoUringReactor::stop_listening(std::uint32_t listener) {
    if (listener >= listeners_.size() || !listeners_[listener].fd.valid()) return;
    remove_listener_file(listeners_[listener].endpoint);
    // The poll holds the socket open until it completes, so that closing alone would go on listening.
    static_cast<void>(::shutdown(listeners_[listener].fd.get(), SHUT_RDWR));
    listeners_[listener].fd.reset();
}

void IoUringReactor::arm_listener(std::uint32_t listener) {
    Listener& each = listeners_[listener];
    if (!each.fd.valid() || each.armed || accept_rests_) return;
    each.armed = true;
    io_uring_prep_poll_add(next_request(Kind::kListener, {listener, 0}), each.fd.get(), POLLIN);
}

// Plain accept4: unlike a multishot accept it tells the peer's address, and stops when it should.
void IoUringReactor::accept_some(std::uint32_t listener) {
    for (int i = 0; i < kAcceptsPerTurn && listeners_[listener].fd.valid(); ++i) {
        if (sockets_.live() >= options_.sockets_max) return note_rest(false);
        SocketAddress peer;
        peer.size = sizeof peer.storage;
        const int fd = ::accept4(listeners_[listener].fd.get(), peer.get(), &peer.size, SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN) break;
        if (fd < 0 && is_exhaustion(errno)) return note_rest(true);
        if (fd < 0) continue;  // it went away while it waited
        const std::uint32_t index = sockets_.take();
        IoUringSocket& socket = sockets_.at(index);
        const SocketId id{index, socket.generation};
        socket.fd = fd;
        unsettle(socket, id);
        events_->on_accepted(id, listener, from_socket_address(peer));
        flush_dirty();
    }
    arm_listener(listener);
}

void IoUringReactor::resume_accepting() {
    if (!rest_is_over()) return;
    for (std::uint32_t i = 0; i < listeners_.size(); ++i) arm_listener(i);
}

// ---- Connecting and closing ----------------------------------------------------------------------------------------

Result<SocketId> IoUringReactor::connect(const Endpoint& endpoint, const TlsClient* tls) {
    if (tls != nullptr) return kNoTlsHere;
    auto address = to_socket_address(endpoint);
    if (!address) return address.error();
    auto fd = open_stream_socket(endpoint, true);
    if (!fd) return fd.error();
    const std::uint32_t index = sockets_.take();
    IoUringSocket& socket = sockets_.at(index);
    const SocketId id{index, socket.generation};
    socket.fd = fd->release();
    socket.connecting = socket.outgoing = true;
    ++socket.requests;
    const SocketAddress& kept = addresses_.emplace_back(*address);
    io_uring_prep_connect(next_request(Kind::kConnect, id), socket.fd, kept.get(), kept.size);
    return id;
}

void IoUringReactor::on_connect(SocketId id, int result) {
    IoUringSocket* socket = find(id);
    if (result < 0) {
        begin_close(id);
        events_->on_connected(id, error_of_errno(-result, ErrorSource::kUpstream));
        finish_close(id);
    } else {
        socket->connecting = false;
        if (socket->queue != nullptr || socket->shutdown_asked) mark_dirty(*socket, id);
        unsettle(*socket, id);
        events_->on_connected(id, {});
    }
    flush_dirty();
}

void IoUringReactor::begin_close(SocketId id) {
    IoUringSocket* socket = find(id);
    drop_queues(*socket);
    socket->closing = true;
    ++closing_;
    if (socket->requests > 0) {
        io_uring_prep_cancel_fd(next_request(Kind::kIgnored, id), socket->fd, IORING_ASYNC_CANCEL_ALL);
    }
}

void IoUringReactor::finish_close(SocketId id) {
    IoUringSocket& socket = sockets_.at(id.index);
    if (socket.requests > 0) return;
    ::close(socket.fd);
    --closing_;
    accept_exhausted_ = false;  // a descriptor came back
    sockets_.retire(id.index);
    sockets_.release(id.index);
}

void IoUringReactor::drop_queues(IoUringSocket& socket) {
    drop_send_queue(socket);
    if (socket.held != nullptr) queues_.put_back(std::exchange(socket.held, nullptr));
}

// ---- Sending -------------------------------------------------------------------------------------------------------

bool IoUringReactor::await_room(SocketId id, IoUringSocket& socket) {
    io_uring_prep_poll_add(next_request(Kind::kRoom, id), socket.fd, POLLOUT);
    ++socket.requests;
    return true;
}

// ---- Receiving -----------------------------------------------------------------------------------------------------

void IoUringReactor::pause_receiving(SocketId id) {
    IoUringSocket* socket = find(id);
    if (socket == nullptr || socket->paused) return;
    socket->paused = true;
    unsettle(*socket, id);
}

void IoUringReactor::resume_receiving(SocketId id) {
    IoUringSocket* socket = find(id);
    if (socket == nullptr || !socket->paused) return;
    socket->paused = false;
    unsettle(*socket, id);
}

void IoUringReactor::unsettle(IoUringSocket& socket, SocketId id) {
    if (socket.unsettled) return;
    socket.unsettled = true;
    unsettled_.push_back(id);
}

void IoUringReactor::settle_sockets() {
    // Once over those that are on the list now: what they cause is for the next time.
    settling_.clear();
    settling_.swap(unsettled_);
    for (const SocketId id : settling_) settle(id);
}

void IoUringReactor::settle(SocketId id) {
    IoUringSocket* socket = find(id);
    if (socket == nullptr) return;
    socket->unsettled = false;
    if (socket->connecting) return;
    if (!socket->paused) {
        deliver_held(id);
        socket = find(id);
        if (socket == nullptr) return;
    }
    const bool stopped = socket->end_came || socket->receive_errno != 0;
    if (socket->paused && socket->receiving && !socket->cancelling) {
        socket->cancelling = true;
        io_uring_prep_cancel64(next_request(Kind::kIgnored, id), user_data(Kind::kReceive, id), 0);
    } else if (!socket->paused && !socket->receiving && !stopped) {
        arm_receive(*socket, id);
    }
}

void IoUringReactor::arm_receive(IoUringSocket& socket, SocketId id) {
    io_uring_sqe* request = next_request(Kind::kReceive, id);
    io_uring_prep_recv_multishot(request, socket.fd, nullptr, 0, 0);
    request->flags |= IOSQE_BUFFER_SELECT;
    request->buf_group = kBufferGroup;
    socket.receiving = true;
    ++socket.requests;
}

void IoUringReactor::on_receive(SocketId id, IoUringSocket& socket, const Completion& completion) {
    Slice bytes = take_block(completion);
    if ((completion.flags & IORING_CQE_F_MORE) == 0) socket.receiving = socket.cancelling = false;
    if (socket.closing) return finish_close(id);
    // The receive may have ended for a reason that is no end of the socket.
    if (!socket.receiving && completion.result != -ENOBUFS) unsettle(socket, id);
    if (completion.result > 0) return on_received_bytes(id, socket, std::move(bytes));
    switch (completion.result) {
        case -ENOBUFS:
            starved_.push_back(id);
            return;
        case -ECANCELED:
        case -EINTR:
        case -EAGAIN:
            return;
        case 0:
            socket.end_came = true;
            break;
        default:
            socket.receive_errno = static_cast<std::uint16_t>(-completion.result);
    }
    tell_stop(id);
}

void IoUringReactor::on_received_bytes(SocketId id, IoUringSocket& socket, Slice bytes) {
    if (socket.paused || socket.held != nullptr) {
        if (socket.held == nullptr) socket.held = queues_.take();
        socket.held->push(std::move(bytes));
        return;
    }
    events_->on_received(id, std::move(bytes));
    flush_dirty();
}

void IoUringReactor::deliver_held(SocketId id) {
    while (true) {
        IoUringSocket* socket = find(id);
        if (socket == nullptr || socket->paused) return;
        if (socket->held == nullptr) break;
        Slice bytes = socket->held->pop();
        if (socket->held->empty()) queues_.put_back(std::exchange(socket->held, nullptr));
        events_->on_received(id, std::move(bytes));
        flush_dirty();
    }
    tell_stop(id);
}

// Tells of an end or an error of receiving, when nothing that came before it is held.
void IoUringReactor::tell_stop(SocketId id) {
    IoUringSocket* socket = find(id);
    if (socket == nullptr || socket->paused || socket->held != nullptr || socket->ended) return;
    if (!socket->end_came && socket->receive_errno == 0) return;
    if (socket->broken_errno != 0) return fail(id, socket->broken_errno);
    if (socket->receive_errno != 0) return fail(id, socket->receive_errno);
    socket->ended = true;
    // Nobody receives any more who would hear of a reset. By edges, since the end that is there now is one itself.
    io_uring_prep_poll_multishot(next_request(Kind::kBroken, id), socket->fd, 0);
    ++socket->requests;
    events_->on_received_end(id);
    flush_dirty();
}

void IoUringReactor::on_broken(SocketId id) {
    // The end of both directions is no error.
    if (const int number = take_socket_error(find(id)->fd); number != 0) fail(id, number);
}

}  // namespace weir::net
