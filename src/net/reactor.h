// The reactor: sockets and timers of one worker, by completion.
//
// Three implementations stand behind this interface: io_uring (io_uring_reactor.h), epoll (epoll_reactor.h) and
// simulated (simulated_reactor.h). Received bytes are lent as a Slice; `send` takes Slices and keeps them until the
// kernel has them. By completion, since io_uring works that way and epoll can (try at once, wait only when refused),
// while the opposite does not hold.
//
// Handles. A SocketId is {index, generation}; indexes are small and dense, so that the owner keeps its own table
// beside. A stale id is never mistaken: calls with one do nothing. After `on_closed` the id is dead.
//
// Order. `on_received` and `on_received_end` of one socket come in the order of its bytes. No event is delivered from
// inside a call into the reactor, but `on_received` may be delivered many times in a turn. `close` from inside an event
// is allowed.
//
// Back-pressure. `send` never refuses: the owner looks at `unsent_bytes` and pauses the other side; `on_drained` comes
// when a queue that was above kSendQueueHighBytes has fallen to kSendQueueLowBytes. A paused socket reads nothing and
// reports neither bytes nor end.
//
// Threads. Everything is called on the worker's own thread, but `wake` and `stop`, which any thread and a signal
// handler may call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "net/endpoint.h"
#include "net/slice.h"

namespace weir::net {

class TlsClient;  // tls.h
class TlsServer;

struct SocketId {
    std::uint32_t index = 0xFFFFFFFFU;
    std::uint32_t generation = 0;
    [[nodiscard]] bool valid() const { return index != 0xFFFFFFFFU; }
    friend bool operator==(const SocketId&, const SocketId&) = default;
};

struct TimerId {
    std::uint32_t index = 0xFFFFFFFFU;
    std::uint32_t generation = 0;
    [[nodiscard]] bool valid() const { return index != 0xFFFFFFFFU; }
};

// How the TLS handshake of a socket ended.
struct TlsHandshake {
    bool incoming = false;
    bool resumed = false;
    bool plain_text = false;        // the client spoke HTTP without TLS
    std::string_view version = {};  // "TLSv1.3"; empty when it failed
    std::string_view why = {};      // of a failure; static text
    [[nodiscard]] bool succeeded() const { return !version.empty(); }
};

// What the reactor tells its one owner (the gateway's worker).
class ReactorEvents {
  public:
    // `listener` is what `listen` returned. The socket already receives; `peer` is the TCP peer, or a unix path (often
    // empty).
    virtual void on_accepted(SocketId socket, std::uint32_t listener, const Endpoint& peer) = 0;
    // The outcome of `connect`. On an error the socket is closed already and no `on_closed` follows.
    virtual void on_connected(SocketId socket, Result<void> outcome) = 0;
    virtual void on_received(SocketId socket, Slice bytes) = 0;  // never empty
    virtual void on_received_end(SocketId socket) = 0;           // the peer sent its FIN; we may still send
    virtual void on_drained(SocketId socket) = 0;
    // The socket broke (reset, time-out of the kernel). Not called after our own `close`.
    virtual void on_closed(SocketId socket, Error why) = 0;
    // Beside `on_connected`, `on_closed` and what follows them, for who counts. The socket must not be closed in it.
    virtual void on_tls_handshake(SocketId /*socket*/, const TlsHandshake& /*handshake*/) {}
    virtual void on_timer(TimerId timer, std::uint64_t cookie) = 0;
    virtual void on_wake() = 0;    // some time after `wake`, once for any number of calls
    virtual void on_turn_end() {}  // all events of a turn were delivered; what is sent from here leaves at once

  protected:
    ~ReactorEvents() = default;
};

struct ListenOptions {
    bool reuse_port = true;  // each worker has a listening socket of its own
    int backlog = 4096;
    std::uint32_t unix_mode = 0660;
};

class Reactor {
  public:
    virtual ~Reactor() = default;

    virtual void set_events(ReactorEvents* events) = 0;

    // Errors: kExhausted, kForbidden (permission), kUnreachable (no such address here), kInvalidArgument (address in
    // use).
    [[nodiscard]] virtual Result<std::uint32_t> listen(const Endpoint& endpoint, const ListenOptions& options) = 0;
    // The endpoint that a listener got: its port when 0 was asked for.
    [[nodiscard]] virtual Endpoint listener_endpoint(std::uint32_t listener) const = 0;
    virtual void stop_listening(std::uint32_t listener) = 0;

    // Starts to connect; `on_connected` follows in a later event. The id may be sent to and closed at once. kExhausted
    // without a descriptor.
    // With `tls`, `on_connected` tells of the end of the TLS handshake too, and what is sent and received is plain
    // text. `tls` is needed during the call only. kUnsupported from a reactor that is no TlsReactor (tls_reactor.h).
    [[nodiscard]] virtual Result<SocketId> connect(const Endpoint& endpoint, const TlsClient* tls = nullptr) = 0;

    // What an accepted socket receives from here on is TLS, `received` being the first of it: from inside
    // `on_accepted`, or after what was said in plain text before (a PROXY header). Nothing was sent yet. The
    // handshake's end is told by `on_tls_handshake`; when it fails, `on_closed` follows. On an error nothing changed.
    [[nodiscard]] virtual Result<void> start_tls(SocketId socket, std::shared_ptr<const TlsServer> tls, Slice received);
    virtual void send(SocketId socket, Slice bytes) = 0;
    [[nodiscard]] virtual std::size_t unsent_bytes(SocketId socket) const = 0;
    // FIN after everything that is queued.
    virtual void shutdown_send(SocketId socket) = 0;
    // Closes now; queued bytes are dropped and no event of this socket follows. With unread bytes the peer may see a
    // reset. Over TLS the peer sees that something is missing, unless `shutdown_send` went before.
    virtual void close(SocketId socket) = 0;

    virtual void pause_receiving(SocketId socket) = 0;  // not counted: the owner counts its reasons
    virtual void resume_receiving(SocketId socket) = 0;

    // One-shot; coarse: at or up to kTimerTick after. A timer that fired or was cancelled is dead.
    [[nodiscard]] virtual TimerId set_timer(Nanos delay, std::uint64_t cookie) = 0;
    virtual void cancel_timer(TimerId timer) = 0;

    // The time of the current turn: read once a turn, so that a decision costs no system call.
    [[nodiscard]] virtual MonoTime now() const = 0;
    [[nodiscard]] virtual WallTime wall_now() const = 0;
    [[nodiscard]] virtual BlockPool& blocks() = 0;
    [[nodiscard]] virtual std::size_t open_sockets() const = 0;  // listeners not counted

    // Waits at most `wait` for events and delivers them.
    virtual void turn(Nanos wait) = 0;
    virtual void wake() = 0;
    virtual std::string_view name() const = 0;  // "io_uring", "epoll", "simulated"
};

// Of the reactors that know sockets: TLS is the layer above them.
inline constexpr Error kNoTlsHere{ErrorCode::kUnsupported, ErrorSource::kInternal, false, "this reactor has no TLS"};

inline Result<void> Reactor::start_tls(SocketId /*socket*/, std::shared_ptr<const TlsServer> /*tls*/,
                                       Slice /*received*/) {
    return kNoTlsHere;
}

inline constexpr Nanos kTimerTick = std::chrono::milliseconds(10);

enum class ReactorKind : std::uint8_t { kAuto, kIoUring, kEpoll };

struct ReactorOptions {
    std::size_t blocks_max = 1024;        // 64 MiB a worker
    std::size_t sockets_max = 1'000'000;  // `accept` stops at it and goes on below
};

// kAuto tries io_uring and takes epoll when the kernel or a sandbox refuses it. kUnsupported when the named kind is
// refused.
[[nodiscard]] Result<std::unique_ptr<Reactor>> make_reactor(ReactorKind kind, Clock& clock,
                                                            const ReactorOptions& options);

}  // namespace weir::net
