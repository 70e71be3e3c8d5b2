// TLS above any reactor: its owner sees plain text, the reactor below sees records.
//
//   owner (gateway)   <- plain text ->   TlsReactor   <- records ->   io_uring, epoll or simulated
//
// Socket ids, timers and time are those of the reactor below. A socket without TLS passes through: a look into a table
// of TLS sockets by index is what it pays. One with TLS has an OpenSSL session whose BIO is this file's: it reads
// straight from the slices that were received, and writes records into a block from which they are sent.
//
// Sending. What one event sends is collected and sealed when the event is over, in records of 16 KiB where it is that
// much: many small slices make one record. The reactor below owes the same bytes and a little more, so that its marks
// for back-pressure serve here too.
//
// Receiving. Records are opened into a block of their own, up to 64 KiB at once. A paused socket keeps at most the one
// slice that came before the pause, and one record.
//
// Ends. `shutdown_send` sends close_notify and then FIN. A close_notify of the peer is `on_received_end`. Its FIN
// without one is no end: bytes may have been cut off by anybody on the way (RFC 8446 6.1), so it is `on_closed`.
// `close` without `shutdown_send` sends no close_notify, so that the peer sees the same.
//
// After `close` or a failure an alert, or close_notify, may still have to go out: the socket below lingers for at most
// kLinger, dead for the owner. Threads: as Reactor.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "net/reactor.h"
#include "net/send_queue.h"
#include "net/tls.h"

namespace weir::net {

struct TlsReactorOptions {
    TicketKeys* tickets = nullptr;  // of all workers; outlives the reactor. Null: no resumption
    // What a client gets that speaks HTTP without TLS; static.
    std::string_view plain_text_answer = {};
};

class TlsReactor final : public Reactor, private ReactorEvents {
  public:
    static constexpr Nanos kLinger = std::chrono::seconds(1);

    TlsReactor(std::unique_ptr<Reactor> below, const TlsReactorOptions& options);
    ~TlsReactor() override;

    void set_events(ReactorEvents* events) override { events_ = events; }
    Result<std::uint32_t> listen(const Endpoint& endpoint, const ListenOptions& options) override {
        return below_->listen(endpoint, options);
    }
    Endpoint listener_endpoint(std::uint32_t listener) const override { return below_->listener_endpoint(listener); }
    void stop_listening(std::uint32_t listener) override { below_->stop_listening(listener); }
    Result<SocketId> connect(const Endpoint& endpoint, const TlsClient* tls) override;
    Result<void> start_tls(SocketId id, std::shared_ptr<const TlsServer> tls, Slice received) override;
    void send(SocketId id, Slice bytes) override;
    std::size_t unsent_bytes(SocketId id) const override;
    void shutdown_send(SocketId id) override;
    void close(SocketId id) override;
    void pause_receiving(SocketId id) override;
    void resume_receiving(SocketId id) override;
    TimerId set_timer(Nanos delay, std::uint64_t cookie) override { return below_->set_timer(delay, cookie); }
    void cancel_timer(TimerId timer) override { below_->cancel_timer(timer); }
    MonoTime now() const override { return below_->now(); }
    WallTime wall_now() const override { return below_->wall_now(); }
    BlockPool& blocks() override { return below_->blocks(); }
    std::size_t open_sockets() const override { return below_->open_sockets() - lingering_.size(); }
    void turn(Nanos wait) override { below_->turn(wait); }
    void wake() override { below_->wake(); }
    std::string_view name() const override { return below_->name(); }

  private:
    enum class State : std::uint8_t {
        kConnecting,   // the socket below
        kHandshaking,  // and for a server from the start
        kOpen,
        kLingering,  // dead for the owner
        kGone,       // for the reactor below too
    };
    struct TlsSocket final : TicketSource {
        TlsReactor* reactor = nullptr;
        SocketId id;
        std::shared_ptr<const TlsServer> server;  // of an incoming one: its callbacks look into it
        SslSession session;
        std::vector<Slice> received;  // records, in order; few
        SendQueue* queue = nullptr;   // plain text; from the pool while there is any
        std::size_t unasked_bytes = 0;
        MonoTime linger_until{};
        State state = State::kConnecting;
        bool incoming = false;
        bool spoke = false;  // its first byte was looked at
        bool paused = false;
        bool ended_below = false;
        bool end_told = false;
        bool shutdown_asked = false;
        bool shutdown_done = false;
        bool above_high = false;
        bool dirty = false;
        bool ready = false;
        bool broken = false;   // sealing failed
        bool stopped = false;  // nothing more can be received: `stopped_by` says why, and the owner may not know yet
        int stopped_by = 0;    // SSL_ERROR_...
        std::string_view stopped_why = {};
        bool awaits_peer = false;

        TicketKeys* ticket_keys() override { return reactor->options_.tickets; }
        MonoTime ticket_time() override { return reactor->now(); }
    };
    friend struct TlsBio;

    // ReactorEvents, of the reactor below
    void on_accepted(SocketId id, std::uint32_t listener, const Endpoint& peer) override;
    void on_connected(SocketId id, Result<void> outcome) override;
    void on_received(SocketId id, Slice bytes) override;
    void on_received_end(SocketId id) override;
    void on_drained(SocketId id) override;
    void on_closed(SocketId id, Error why) override;
    void on_timer(TimerId timer, std::uint64_t cookie) override;
    void on_wake() override;
    void on_turn_end() override;

    // The TLS socket of an id, alive below; null: plain or gone.
    [[nodiscard]] TlsSocket* find(SocketId id) const {
        if (id.index >= table_.size()) return nullptr;
        TlsSocket* const socket = table_[id.index].get();
        return socket != nullptr && socket->id.generation == id.generation ? socket : nullptr;
    }
    [[nodiscard]] TlsSocket* add(SocketId id, SslSession session, State state);
    void forget(TlsSocket& socket);

    void handshake(TlsSocket& socket);
    [[nodiscard]] bool speaks_plain_text(TlsSocket& socket);
    void handshake_succeeded(TlsSocket& socket);
    void handshake_failed(TlsSocket& socket, ErrorCode code, std::string_view why, bool plain_text = false);
    void receive(TlsSocket& socket);
    [[nodiscard]] Slice open_records(TlsSocket& socket);
    static void stop_receiving(TlsSocket& socket, int problem);
    void tell_stopped(TlsSocket& socket);
    [[nodiscard]] static bool holds_bytes(const TlsSocket& socket);
    void hold(TlsSocket& socket, Slice bytes);
    void fail(TlsSocket& socket, ErrorCode code, std::string_view why);
    void linger(TlsSocket& socket, bool await_peer);
    void end_lingering(bool all);
    void process(TlsSocket& socket);
    void make_ready(TlsSocket& socket);

    void mark_dirty(TlsSocket& socket);
    void flush_dirty();
    void flush(TlsSocket& socket);
    void seal(TlsSocket& socket);
    void put_record(TlsSocket& socket, const std::uint8_t* bytes, std::size_t size);
    void emit(TlsSocket& socket);
    void drop_queue(TlsSocket& socket);
    [[nodiscard]] Error error(const TlsSocket& socket, ErrorCode code, std::string_view why) const;

    // Around what the reactor below tells: what the owner sent meanwhile is sealed at its end.
    class Event {
      public:
        explicit Event(TlsReactor& reactor) : reactor_(reactor) { ++reactor_.depth_; }
        ~Event() {
            reactor_.flush_dirty();
            --reactor_.depth_;
        }
        Event(const Event&) = delete;
        Event& operator=(const Event&) = delete;

      private:
        TlsReactor& reactor_;
    };

    std::unique_ptr<Reactor> below_;
    TlsReactorOptions options_;
    ReactorEvents* events_ = nullptr;
    std::vector<std::unique_ptr<TlsSocket>> table_;  // by index; empty without TLS
    std::vector<std::unique_ptr<TlsSocket>> graveyard_;
    std::vector<SocketId> dirty_;
    std::vector<SocketId> ready_;
    std::vector<SocketId> lingering_;
    SendQueuePool queues_;
    std::vector<std::uint8_t> scratch_;  // small slices become one record here
    Slice out_;                          // records of this event: [out_begin_, out_end_) was not sent yet
    std::size_t out_begin_ = 0;
    std::size_t out_end_ = 0;
    int depth_ = 0;  // of events that are being told
    bool turn_ends_ = false;
};

}  // namespace weir::net
