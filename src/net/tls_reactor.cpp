#include "net/tls_reactor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

namespace weir::net {
namespace {

constexpr std::string_view kNoMemory = "no memory for a TLS session";
constexpr std::size_t kRecordBytes = SSL3_RT_MAX_PLAIN_LENGTH;
// Slices that one socket gets in a row; then it is the others' turn.
constexpr int kReceivesInARow = 16;
// What a peer may make us say without our owner having a part in it (answers to KeyUpdate), while it reads nothing.
constexpr std::size_t kUnaskedBytesMax = 16 * 1024;
// Beyond so many, sockets that should linger are closed at once.
constexpr std::size_t kLingeringMax = 1024;
// What is held longer than its event, and is small against its block, is copied out of it.
constexpr std::size_t kPinnedSliceLeast = kBlockBytes / 4;

// Static text for the reason of a failed handshake.
std::string_view failure_of(const SSL* session) {
    if (const long verified = SSL_get_verify_result(session); verified != X509_V_OK) {
        return X509_verify_cert_error_string(verified);
    }
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason != nullptr ? reason : "the peer broke the protocol";
}

}  // namespace

// The BIO of a session: nothing but the two queues.
struct TlsBio {
    static TlsReactor::TlsSocket& socket_of(BIO* bio) {
        return *static_cast<TlsReactor::TlsSocket*>(BIO_get_data(bio));
    }

    static int read(BIO* bio, char* to, std::size_t room, std::size_t* size) {
        BIO_clear_retry_flags(bio);
        auto& received = socket_of(bio).received;
        *size = 0;
        std::size_t used = 0;
        while (*size < room && used < received.size()) {
            Slice& front = received[used];
            const std::size_t part = std::min(room - *size, front.size());
            std::memcpy(to + *size, front.data(), part);
            *size += part;
            front.remove_prefix(part);
            if (front.empty()) ++used;
        }
        received.erase(received.begin(), received.begin() + static_cast<std::ptrdiff_t>(used));
        if (*size > 0) return 1;
        BIO_set_retry_read(bio);
        return 0;
    }

    static int write(BIO* bio, const char* from, std::size_t size, std::size_t* written) {
        TlsReactor::TlsSocket& socket = socket_of(bio);
        socket.reactor->put_record(socket, reinterpret_cast<const std::uint8_t*>(from), size);
        *written = size;
        return 1;
    }

    static long control(BIO* /*bio*/, int command, long /*number*/, void* /*pointer*/) {
        return command == BIO_CTRL_FLUSH ? 1 : 0;
    }

    static int create(BIO* bio) {
        BIO_set_init(bio, 1);
        return 1;
    }

    static const BIO_METHOD* method() {
        static const BIO_METHOD* const kMethod = [] {
            BIO_METHOD* made = BIO_meth_new(BIO_TYPE_SOURCE_SINK | BIO_get_new_index(), "weir slices");
            WEIR_ASSERT(made != nullptr);
            BIO_meth_set_read_ex(made, read);
            BIO_meth_set_write_ex(made, write);
            BIO_meth_set_ctrl(made, control);
            BIO_meth_set_create(made, create);
            return made;
        }();
        return kMethod;
    }
};

TlsReactor::TlsReactor(std::unique_ptr<Reactor> below, const TlsReactorOptions& options)
    : below_(std::move(below)), options_(options) {
    below_->set_events(this);
}

TlsReactor::~TlsReactor() {
    end_lingering(true);
    out_ = {};
    for (auto& socket : table_) {
        if (socket != nullptr) drop_queue(*socket);
    }
    table_.clear();
}

// ---- Sockets -------------------------------------------------------------------------------------------------------

TlsReactor::TlsSocket* TlsReactor::add(SocketId id, SslSession session, State state) {
    BIO* bio = session == nullptr ? nullptr : BIO_new(TlsBio::method());
    if (bio == nullptr) return nullptr;
    if (id.index >= table_.size()) table_.resize(id.index + 1);
    auto socket = std::make_unique<TlsSocket>();
    socket->reactor = this;
    socket->id = id;
    socket->session = std::move(session);
    socket->state = state;
    BIO_set_data(bio, socket.get());
    SSL_set_bio(socket->session.get(), bio, bio);
    WEIR_ASSERT(table_[id.index] == nullptr);
    table_[id.index] = std::move(socket);
    return table_[id.index].get();
}

// Gone below, or about to be. Who is in the middle of something with it still may look, until the turn ends.
void TlsReactor::forget(TlsSocket& socket) {
    socket.state = State::kGone;
    socket.received.clear();
    drop_queue(socket);
    graveyard_.push_back(std::move(table_[socket.id.index]));
}

Result<SocketId> TlsReactor::connect(const Endpoint& endpoint, const TlsClient* tls) {
    auto id = below_->connect(endpoint, nullptr);
    if (!id || tls == nullptr) return id;
    if (add(*id, tls->new_session(), State::kConnecting) != nullptr) return id;
    below_->close(*id);
    return Error{ErrorCode::kExhausted, ErrorSource::kUpstream, true, kNoMemory};
}

void TlsReactor::on_accepted(SocketId id, std::uint32_t listener, const Endpoint& peer) {
    const Event event(*this);
    events_->on_accepted(id, listener, peer);
}

Result<void> TlsReactor::start_tls(SocketId id, std::shared_ptr<const TlsServer> tls, Slice received) {
    WEIR_ASSERT(find(id) == nullptr);
    TlsSocket* const socket = add(id, tls->new_session(), State::kHandshaking);
    if (socket == nullptr) return Error{ErrorCode::kExhausted, ErrorSource::kDownstream, true, kNoMemory};
    socket->incoming = true;
    socket->server = std::move(tls);
    SSL_set_app_data(socket->session.get(), static_cast<TicketSource*>(socket));
    if (!received.empty()) {
        socket->received.push_back(std::move(received));
        make_ready(*socket);
    }
    return {};
}

void TlsReactor::on_connected(SocketId id, Result<void> outcome) {
    const Event event(*this);
    TlsSocket* const socket = find(id);
    if (socket == nullptr) return events_->on_connected(id, outcome);
    if (!outcome) {
        forget(*socket);
        return events_->on_connected(id, outcome);
    }
    socket->state = State::kHandshaking;
    handshake(*socket);
}

void TlsReactor::on_closed(SocketId id, Error why) {
    const Event event(*this);
    TlsSocket* const socket = find(id);
    if (socket == nullptr) return events_->on_closed(id, why);
    const State was = socket->state;
    if (was == State::kHandshaking) {
        events_->on_tls_handshake(id, {.incoming = socket->incoming, .why = "the connection broke"});
    }
    const bool connecting = !socket->incoming && was != State::kOpen;
    if (was == State::kLingering) std::erase(lingering_, id);
    forget(*socket);
    if (was == State::kLingering) return;
    if (connecting) {
        events_->on_connected(id, why);
    } else {
        events_->on_closed(id, why);
    }
}

void TlsReactor::close(SocketId id) {
    TlsSocket* const socket = find(id);
    if (socket == nullptr) return below_->close(id);
    if (socket->state == State::kLingering) return;
    if (socket->state == State::kOpen && socket->shutdown_asked && !socket->broken) {
        seal(*socket);
        linger(*socket, false);
        return;
    }
    forget(*socket);
    below_->close(id);
}

// Dead for the owner, while the last bytes go out: at most for kLinger. `await_peer`: closing with unread bytes would
// reset the connection, and they with it.
void TlsReactor::linger(TlsSocket& socket, bool await_peer) {
    if (lingering_.size() >= kLingeringMax) {
        const SocketId id = socket.id;
        forget(socket);
        below_->close(id);
        return;
    }
    socket.state = State::kLingering;
    socket.received.clear();
    drop_queue(socket);
    socket.awaits_peer = await_peer && !socket.ended_below;
    socket.linger_until = now() + kLinger;
    below_->shutdown_send(socket.id);
    below_->resume_receiving(socket.id);
    lingering_.push_back(socket.id);
}

void TlsReactor::end_lingering(bool all) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < lingering_.size(); ++i) {
        const SocketId id = lingering_[i];
        TlsSocket* const socket = find(id);
        if (socket == nullptr) continue;
        const bool waits = socket->awaits_peer || below_->unsent_bytes(id) > 0;
        if (!all && waits && now() < socket->linger_until) {
            lingering_[kept++] = id;
            continue;
        }
        forget(*socket);
        below_->close(id);
    }
    lingering_.resize(kept);
}

Error TlsReactor::error(const TlsSocket& socket, ErrorCode code, std::string_view why) const {
    return {code, socket.incoming ? ErrorSource::kDownstream : ErrorSource::kUpstream, !socket.incoming, why};
}

// The connection is of no more use: the peer has been told by an alert, the owner is told now.
void TlsReactor::fail(TlsSocket& socket, ErrorCode code, std::string_view why) {
    const bool connecting = !socket.incoming && socket.state != State::kOpen;
    const SocketId id = socket.id;
    const Error what = error(socket, code, why);
    emit(socket);
    linger(socket, true);
    if (connecting) {
        events_->on_connected(id, what);
    } else {
        events_->on_closed(id, what);
    }
}

// ---- The handshake -------------------------------------------------------------------------------------------------

void TlsReactor::handshake(TlsSocket& socket) {
    if (socket.incoming && !socket.spoke && speaks_plain_text(socket)) return;
    ERR_clear_error();
    const int done = SSL_do_handshake(socket.session.get());
    if (done == 1) return handshake_succeeded(socket);
    const int problem = SSL_get_error(socket.session.get(), done);
    if (problem == SSL_ERROR_WANT_READ) {
        emit(socket);
        if (socket.ended_below) {
            handshake_failed(socket, ErrorCode::kConnectionClosed, "the peer closed during the TLS handshake");
        }
        return;
    }
    const bool certificate = SSL_get_verify_result(socket.session.get()) != X509_V_OK;
    handshake_failed(socket, certificate ? ErrorCode::kUnauthorized : ErrorCode::kMalformed,
                     failure_of(socket.session.get()));
    ERR_clear_error();
}

// A record of a handshake begins with 22 (RFC 8446 5.1), a request of HTTP with a letter.
bool TlsReactor::speaks_plain_text(TlsSocket& socket) {
    if (socket.received.empty()) return false;
    socket.spoke = true;
    const std::uint8_t first = *socket.received.front().data();
    if (first < 'A' || first > 'Z') return false;
    if (!options_.plain_text_answer.empty()) below_->send(socket.id, Slice::of_static(options_.plain_text_answer));
    handshake_failed(socket, ErrorCode::kMalformed, "the client spoke HTTP without TLS", true);
    return true;
}

void TlsReactor::handshake_succeeded(TlsSocket& socket) {
    emit(socket);
    socket.state = State::kOpen;
    SSL* const session = socket.session.get();
    const SocketId id = socket.id;
    events_->on_tls_handshake(id, {.incoming = socket.incoming,
                                   .resumed = SSL_session_reused(session) == 1,
                                   .version = SSL_get_version(session)});
    if (socket.paused) below_->pause_receiving(id);
    if (socket.queue != nullptr || socket.shutdown_asked) mark_dirty(socket);
    if (!socket.incoming) events_->on_connected(id, {});
    receive(socket);
}

void TlsReactor::handshake_failed(TlsSocket& socket, ErrorCode code, std::string_view why, bool plain_text) {
    events_->on_tls_handshake(socket.id, {.incoming = socket.incoming, .plain_text = plain_text, .why = why});
    fail(socket, code, why);
}

// ---- Receiving -----------------------------------------------------------------------------------------------------

void TlsReactor::on_received(SocketId id, Slice bytes) {
    const Event event(*this);
    TlsSocket* const socket = find(id);
    if (socket == nullptr) return events_->on_received(id, std::move(bytes));
    if (socket->state == State::kLingering) return;
    if (socket->stopped) return;
    socket->received.push_back(std::move(bytes));
    process(*socket);
    if (!socket->received.empty()) hold(*socket, std::exchange(socket->received.back(), {}));
}

// What was not taken waits for the owner: it must not keep a block that others could receive into.
void TlsReactor::hold(TlsSocket& socket, Slice bytes) {
    if (bytes.size() < kPinnedSliceLeast || blocks().scarce()) bytes = blocks().copy(bytes.bytes());
    socket.received.back() = std::move(bytes);
}

void TlsReactor::on_received_end(SocketId id) {
    const Event event(*this);
    TlsSocket* const socket = find(id);
    if (socket == nullptr) return events_->on_received_end(id);
    socket->ended_below = true;
    socket->awaits_peer = false;
    if (socket->state != State::kLingering) process(*socket);
}

void TlsReactor::process(TlsSocket& socket) {
    if (socket.state == State::kHandshaking) {
        handshake(socket);
    } else if (socket.state == State::kOpen) {
        receive(socket);
    }
}

// Records, or a part of an opened one, that the owner has not got.
bool TlsReactor::holds_bytes(const TlsSocket& socket) {
    return !socket.received.empty() || SSL_pending(socket.session.get()) > 0;
}

void TlsReactor::receive(TlsSocket& socket) {
    const SocketId id = socket.id;
    for (int i = 0; socket.state == State::kOpen && !socket.paused && !socket.end_told; ++i) {
        if (socket.broken) return fail(socket, ErrorCode::kMalformed, "the TLS session broke");
        if (socket.stopped) return tell_stopped(socket);
        if (!holds_bytes(socket)) {
            // A FIN that no close_notify went before.
            if (socket.ended_below) fail(socket, ErrorCode::kConnectionReset, "ended without TLS close_notify");
            return;
        }
        if (i == kReceivesInARow) return make_ready(socket);
        if (Slice plain_text = open_records(socket); !plain_text.empty()) {
            events_->on_received(id, std::move(plain_text));
        }
    }
}

// Opens what there is, up to a block.
Slice TlsReactor::open_records(TlsSocket& socket) {
    std::array<std::uint8_t, kRecordBytes> small;
    Slice block = blocks().try_take();
    // At the pool's bound one record at a time is opened, and copied: records hold their own block until then.
    std::uint8_t* const to = block.empty() ? small.data() : block.data();
    const std::size_t room = block.empty() ? small.size() : block.size();
    std::size_t size = 0;
    ERR_clear_error();
    while (size < room && holds_bytes(socket)) {
        std::size_t part = 0;
        const int done = SSL_read_ex(socket.session.get(), to + size, room - size, &part);
        if (done == 1) {
            size += part;
            continue;
        }
        const int problem = SSL_get_error(socket.session.get(), done);
        if (problem != SSL_ERROR_WANT_READ) stop_receiving(socket, problem);
        break;
    }
    // Answers to the peer's post-handshake messages.
    if (const std::size_t unasked = out_end_ - out_begin_; unasked > 0) {
        if (below_->unsent_bytes(socket.id) == 0) socket.unasked_bytes = 0;
        socket.unasked_bytes += unasked;
        if (socket.unasked_bytes > kUnaskedBytesMax) stop_receiving(socket, SSL_ERROR_SSL);
        emit(socket);
    }
    if (size == 0) return {};
    if (block.empty()) return blocks().copy(std::span(small).first(size));
    block.shrink(size);
    return block;
}

// The owner hears of it when it has what came before, which it may have paused.
void TlsReactor::stop_receiving(TlsSocket& socket, int problem) {
    socket.stopped = true;
    socket.stopped_by = problem;
    socket.received.clear();  // what a peer says after its close_notify is nothing
    const char* reason = ERR_reason_error_string(ERR_peek_last_error());
    socket.stopped_why = reason != nullptr ? reason : "the peer broke TLS";
    ERR_clear_error();
}

void TlsReactor::tell_stopped(TlsSocket& socket) {
    if (socket.stopped_by != SSL_ERROR_ZERO_RETURN) return fail(socket, ErrorCode::kMalformed, socket.stopped_why);
    socket.end_told = true;
    events_->on_received_end(socket.id);
}

void TlsReactor::pause_receiving(SocketId id) {
    TlsSocket* const socket = find(id);
    if (socket == nullptr) return below_->pause_receiving(id);
    if (socket->state == State::kLingering) return;
    socket->paused = true;
    if (socket->state == State::kOpen) below_->pause_receiving(id);  // a handshake goes on
}

void TlsReactor::resume_receiving(SocketId id) {
    TlsSocket* const socket = find(id);
    if (socket == nullptr) return below_->resume_receiving(id);
    if (socket->state == State::kLingering || !socket->paused) return;
    socket->paused = false;
    below_->resume_receiving(id);
    if (holds_bytes(*socket) || socket->ended_below || socket->stopped) make_ready(*socket);
}

void TlsReactor::make_ready(TlsSocket& socket) {
    if (socket.ready) return;
    socket.ready = true;
    ready_.push_back(socket.id);
    // The end of this turn sees to it; where there is none, that of the next.
    if (ready_.size() == 1 && (depth_ == 0 || turn_ends_)) below_->wake();
}

// ---- Sending -------------------------------------------------------------------------------------------------------

void TlsReactor::send(SocketId id, Slice bytes) {
    TlsSocket* const socket = find(id);
    if (socket == nullptr) return below_->send(id, std::move(bytes));
    if (socket->state == State::kLingering || socket->shutdown_asked || socket->broken || bytes.empty()) return;
    if (socket->queue == nullptr) socket->queue = queues_.take();
    socket->queue->push(std::move(bytes));
    mark_dirty(*socket);
}

std::size_t TlsReactor::unsent_bytes(SocketId id) const {
    const std::size_t unsent = below_->unsent_bytes(id);
    const TlsSocket* const socket = find(id);
    if (socket == nullptr) return unsent;
    if (socket->state == State::kLingering) return 0;
    return unsent + (socket->queue == nullptr ? 0 : socket->queue->bytes());
}

void TlsReactor::shutdown_send(SocketId id) {
    TlsSocket* const socket = find(id);
    if (socket == nullptr) return below_->shutdown_send(id);
    if (socket->state == State::kLingering || socket->shutdown_asked) return;
    socket->shutdown_asked = true;
    mark_dirty(*socket);
}

void TlsReactor::on_drained(SocketId id) {
    const Event event(*this);
    if (const TlsSocket* socket = find(id); socket == nullptr || socket->state == State::kOpen) events_->on_drained(id);
}

// Outside of events there is nothing to wait for.
void TlsReactor::mark_dirty(TlsSocket& socket) {
    if (depth_ == 0) return flush(socket);
    if (socket.dirty) return;
    socket.dirty = true;
    dirty_.push_back(socket.id);
}

void TlsReactor::flush_dirty() {
    if (depth_ > 1) return;
    for (std::size_t i = 0; i < dirty_.size(); ++i) {
        TlsSocket* const socket = find(dirty_[i]);
        if (socket == nullptr) continue;
        socket->dirty = false;
        flush(*socket);
    }
    dirty_.clear();
}

void TlsReactor::flush(TlsSocket& socket) {
    if (socket.state == State::kOpen) {
        seal(socket);
    } else if (socket.queue != nullptr) {
        socket.queue->settle(blocks());  // it waits for the handshake
    }
}

// Makes records of all that is queued, and of the end.
void TlsReactor::seal(TlsSocket& socket) {
    SSL* const session = socket.session.get();
    ERR_clear_error();
    while (socket.queue != nullptr && !socket.queue->empty() && !socket.broken) {
        std::array<iovec, 64> slices;
        const std::size_t count = socket.queue->fill(slices);
        const void* from = slices[0].iov_base;
        std::size_t size = std::min(slices[0].iov_len, kRecordBytes);
        if (size < kRecordBytes && count > 1) {
            if (scratch_.empty()) scratch_.resize(kRecordBytes);
            size = 0;
            for (std::size_t i = 0; i < count && size < kRecordBytes; ++i) {
                const std::size_t part = std::min(slices[i].iov_len, kRecordBytes - size);
                std::memcpy(scratch_.data() + size, slices[i].iov_base, part);
                size += part;
            }
            from = scratch_.data();
        }
        std::size_t written = 0;
        if (SSL_write_ex(session, from, size, &written) != 1 || written != size) socket.broken = true;
        socket.queue->consume(size);
    }
    if (socket.queue != nullptr) drop_queue(socket);
    if (socket.broken) {
        ERR_clear_error();
        return make_ready(socket);  // the owner is told in an event
    }
    if (socket.shutdown_asked && !socket.shutdown_done) {
        socket.shutdown_done = true;
        static_cast<void>(SSL_shutdown(session));
        emit(socket);
        below_->shutdown_send(socket.id);
        return;
    }
    emit(socket);
}

// Called by OpenSSL with each record.
void TlsReactor::put_record(TlsSocket& socket, const std::uint8_t* bytes, std::size_t size) {
    if (out_.size() - out_end_ < size) {
        emit(socket);
        out_ = blocks().try_take();
        out_begin_ = out_end_ = 0;
    }
    if (out_.size() < size) {  // the pool is at its bound
        below_->send(socket.id, blocks().copy(std::span(bytes, size)));
        return;
    }
    std::memcpy(out_.data() + out_end_, bytes, size);
    out_end_ += size;
}

void TlsReactor::emit(TlsSocket& socket) {
    if (out_end_ == out_begin_) return;
    below_->send(socket.id, out_.sub(out_begin_, out_end_ - out_begin_));
    out_begin_ = out_end_;
}

void TlsReactor::drop_queue(TlsSocket& socket) {
    if (socket.queue != nullptr) queues_.put_back(std::exchange(socket.queue, nullptr));
}

// ---- The rest ------------------------------------------------------------------------------------------------------

void TlsReactor::on_timer(TimerId timer, std::uint64_t cookie) {
    const Event event(*this);
    events_->on_timer(timer, cookie);
}

void TlsReactor::on_wake() {
    const Event event(*this);
    events_->on_wake();
}

void TlsReactor::on_turn_end() {
    {
        const Event event(*this);
        turn_ends_ = true;
        if (!lingering_.empty()) end_lingering(false);
        if (!ready_.empty()) {
            std::vector<SocketId> ready;
            ready.swap(ready_);
            for (const SocketId id : ready) {
                TlsSocket* const socket = find(id);
                if (socket == nullptr) continue;
                socket->ready = false;
                process(*socket);
            }
        }
        events_->on_turn_end();
    }
    turn_ends_ = false;
    out_ = {};
    out_begin_ = out_end_ = 0;
    graveyard_.clear();
}

}  // namespace weir::net
