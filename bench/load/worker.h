// One thread's share of the load: its connections, what it sends on them and what came back.
//
// An answer carries the number of the message it echoes, so it is matched to its own message and not to the oldest one.
// worker.cpp holds sockets and replies; modes.cpp the loops that decide when to send. One thread each; the atomics
// count over all of them.
#pragma once

#include <array>
#include <atomic>
#include <barrier>
#include <cstdint>
#include <deque>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "common.h"
#include "load/options.h"
#include "load/results.h"

namespace weir::bench {

inline constexpr std::uint64_t kSecond = 1'000'000'000ull;

struct Connection {
    enum State : std::uint8_t { kClosed, kConnecting, kHandshake, kOpen, kClosing };
    int fd = -1;
    State state = kClosed;
    bool want_out = false;
    bool in_fragments = false;
    bool reply_is_limited = false, reply_is_echo = false;  // of the fragmented message under way
    std::size_t id = 0;
    std::uint64_t started = 0;   // when the handshake began
    std::uint64_t base_seq = 0;  // sequence number of awaiting.front()
    std::uint64_t next_seq = 0;
    std::uint64_t reply_seq = 0;
    std::size_t in_flight = 0;
    std::deque<std::uint64_t> awaiting;  // intended send time per unanswered message, 0: answered
    std::deque<std::uint64_t> limited;   // arrival of RATE_LIMITED answers not yet matched to a message
    std::deque<std::uint64_t> backlog;   // open loop with a bounded pipeline: intended times not yet sent
    std::string in, out;
};
class Worker {
  public:
    Worker(const Options& o, std::size_t index, std::barrier<>& barrier, std::atomic<std::size_t>& handshakes,
           std::atomic<std::size_t>& ready);

    void run();
    const Results& results() const { return r_; }

  private:
    static constexpr std::size_t kSeqDigits = 12;

    void make_frames();
    void append_frame(Connection& c);
    void append_message(Connection& c, std::uint64_t intended);
    bool start_connect(Connection& c);
    std::size_t turn(const Connection& c) const;
    static std::string replace_all(std::string s, const std::string& what, const std::string& with);
    void opened(Connection& c);
    void send_request(Connection& c);
    bool flush(Connection& c);
    void finish(Connection& c, bool reset = false);
    void lost(Connection& c, bool reset);
    void poll(std::uint64_t until);
    void readable(Connection& c);
    std::size_t consume_http(Connection& c, const char* data, std::size_t n);
    std::size_t consume(Connection& c, const char* data, std::size_t n);
    void append_control(Connection& c, std::uint8_t opcode, std::string_view body);
    std::size_t data_frame(Connection& c, const Frame& f, std::string_view body);
    void settle(Connection& c, std::uint64_t seq);
    bool measuring() const;
    void sample(Histogram& h, std::uint64_t intended, std::uint64_t arrived);
    void refill(Connection& c, std::size_t answered);
    void open_all();
    void run_idle();
    void run_echo();
    void closed_loop(const std::vector<Connection*>& live);
    void open_loop(const std::vector<Connection*>& live, std::uint64_t start);
    void after_handshake(Connection& c);
    void run_connect();

    const Options& o_;
    const std::size_t index_;
    std::barrier<>& barrier_;
    std::atomic<std::size_t>& handshakes_;
    std::atomic<std::size_t>& ready_;
    std::mt19937 rng_;
    int ep_ = -1;
    std::vector<Connection> conns_;
    std::vector<char> read_buf_;
    std::string prefix_, plain_, http_request_;
    bool has_seq_ = false;
    std::vector<std::string> frames_;
    std::vector<std::array<std::uint8_t, kSeqDigits>> seq_masks_;
    std::size_t head_size_ = 0, frame_turn_ = 0, opening_ = 0, connect_turn_ = 0;
    std::uint64_t arrived_ = 0, measure_from_ = 0, measure_to_ = 0;
    bool running_ = false, exhausted_ = false;
    Results r_;
};

}  // namespace weir::bench
