// One connection to a Redis server: many questions under way at once (pipelining), answers matched by their order.
//
//   down -> connecting -> greeting (AUTH, SELECT, ... PING) -> ready -> down ...
//
// Everything that is asked in one turn of the reactor leaves in one write at the turn's end. What is asked while the
// connection is being made waits for it; while it is down, with a pause before the next attempt, nothing can be asked.
//
// Whose time is up is the asker's business: it forgets its tag. A question that nobody wants any more is not sent if it
// was still waiting, and its answer is read and dropped if it was sent: the order stays.
//
// Broken connections. One that is lost after it was of use is made anew at once; else the pause before the next attempt
// doubles from kRetryFirst to kRetryMost, with jitter. An answer that does not come for `stall` although questions are
// open means that nobody is there: the connection is given up. Nothing is asked twice by the connection itself.
//
// Bounds: kAskedMax questions are open (waiting or sent, wanted or not), answers are bounded by their reader.
// One worker's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "net/socket_owner.h"
#include "protocol/resp/reply.h"

namespace weir::store {

inline constexpr std::size_t kAskedMax = 8192;
inline constexpr Nanos kRetryFirst = std::chrono::milliseconds(50);
inline constexpr Nanos kRetryMost = std::chrono::seconds(2);

class RedisConnection;

// Whoever asks over a connection.
class ConnectionUser {
  public:
    // The answer to a question; the connection may be asked, reset and stopped from inside.
    virtual void on_reply(RedisConnection& connection, std::uint64_t tag, const protocol::resp::Reply& reply) = 0;
    // The question will not be answered any more.
    virtual void on_lost(RedisConnection& connection, std::uint64_t tag, const Error& why) = 0;
    // Whether the answer to a question that has not been sent yet is still wanted.
    [[nodiscard]] virtual bool still_wants(std::uint64_t tag) const = 0;
    virtual void on_ready(RedisConnection& connection) = 0;
    // It was ready, or an attempt to make it has failed; another follows by itself.
    virtual void on_down(RedisConnection& connection, const Error& why) = 0;
    // Where to connect to now. An error says why that is not known: it is asked again after a pause, or `connect_now`
    // is called when it is known.
    [[nodiscard]] virtual Result<net::Endpoint> endpoint_of(RedisConnection& connection) = 0;
    // How, right after that; null: without TLS.
    [[nodiscard]] virtual const net::TlsClient* tls_of(RedisConnection& /*connection*/) { return nullptr; }

  protected:
    ~ConnectionUser() = default;
};

class RedisConnection final : public net::SocketOwner {
  public:
    struct Options {
        // Encoded commands that must succeed before anything else is sent, and one that may fail.
        std::vector<std::string> greeting;
        std::string preload;
        Nanos connect_timeout = std::chrono::seconds(1);  // until it is ready
        Nanos stall = std::chrono::milliseconds(500);
    };
    // `seed` makes the jitter.
    RedisConnection(net::SocketHost& host, ConnectionUser& user, Options options, std::uint64_t seed);
    ~RedisConnection();
    RedisConnection(const RedisConnection&) = delete;
    RedisConnection& operator=(const RedisConnection&) = delete;

    // Begins, or does not wait any longer before the next attempt. Nothing happens when it is up or being made.
    void connect_now();
    // `command` is one encoded command. Errors, and then nothing will be told about `tag`: kExhausted (too many are
    // open), kStoreUnavailable (down; `detail` says why).
    [[nodiscard]] Result<void> ask(std::string_view command, std::uint64_t tag);
    // Gives up what there is: the server is not what it should be.
    void reset(const Error& why);
    // Gives up what there is, and makes no other attempt before `connect_now`.
    void rest(const Error& why);
    // Closes, and tells nobody anything any more.
    void stop();

    [[nodiscard]] bool ready() const { return state_ == State::kReady; }
    [[nodiscard]] bool down() const { return state_ == State::kDown; }
    [[nodiscard]] const Error& last_error() const { return last_error_; }
    [[nodiscard]] std::size_t asked() const { return waiting_.size() + sent_.size(); }
    void set_stall(Nanos stall) { options_.stall = stall; }

    // SocketOwner
    void on_connected(net::SocketId socket, const Result<void>& outcome) override;
    void on_received(net::SocketId socket, net::Slice bytes) override;
    void on_received_end(net::SocketId socket) override;
    void on_closed(net::SocketId socket, const Error& why) override;
    void on_timer(std::uint64_t cookie) override;
    void on_turn_end() override;

  private:
    enum class State : std::uint8_t { kDown, kConnecting, kGreeting, kReady, kStopped };
    enum Timer : std::uint64_t { kRetry, kReadyBy, kStall };
    struct Waiting {
        std::uint64_t tag;
        std::string command;
    };

    void greet();
    [[nodiscard]] bool may_retry() const { return state_ == State::kDown && !resting_ && !retry_timer_.valid(); }
    [[nodiscard]] bool take_greeting(const protocol::resp::Reply& reply);
    void lose(const Error& why, bool closed_already);
    void note_error(const Error& why);
    void retry_later();
    void cancel(net::TimerId& timer);
    void watch_for_stall();

    net::SocketHost& host_;
    ConnectionUser& user_;
    Options options_;
    Rng random_;
    State state_ = State::kDown;
    bool resting_ = false;
    net::SocketId socket_;
    protocol::resp::ReplyReader reader_;
    std::size_t greetings_left_ = 0;
    std::deque<Waiting> waiting_;     // in the order asked
    std::deque<std::uint64_t> sent_;  // tags, in the order of their answers
    std::vector<std::string> spare_;  // memory of commands, used again
    std::string out_;
    Nanos retry_{kRetryFirst};
    MonoTime ready_since_{};
    MonoTime progress_{};  // when an answer came, or a question was sent while none was open
    net::TimerId retry_timer_, ready_by_timer_, stall_timer_;
    Error last_error_{ErrorCode::kStoreUnavailable, ErrorSource::kStore, true, "the store has not been reached yet"};
};

}  // namespace weir::store
