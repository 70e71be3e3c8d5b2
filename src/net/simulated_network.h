// A network in memory, for running the real gateway in one thread, in virtual time, from one seed. The same seed and
// the same calls give the same run, to the byte.
//
//   SimulatedNetwork network({.seed = 7});
//   std::unique_ptr<Reactor> reactor = network.make_reactor();    // what the gateway is given
//   ... the gateway listens on 127.0.0.1:8080 and relays to 10.0.0.1:80 ...
//   network.listen(*Endpoint::parse("10.0.0.1:80"), [](SimulatedPeer backend) {    // a backend that echoes
//       backend.on_change([](SimulatedPeer peer) { peer.send(peer.take_received()); });
//   });
//   SimulatedPeer client = network.connect(*Endpoint::parse("127.0.0.1:8080"));
//   client.send("hello");
//   ASSERT_TRUE(network.run_until([&] { return client.received() == "hello"; }));
//   network.advance(std::chrono::hours(1));       // idle time-outs fire
//   EXPECT_TRUE(client.ended() || client.was_reset());
//   EXPECT_EQ(reactor->blocks().blocks_out(), 0);
//   EXPECT_EQ(network.counters().opened, network.counters().closed);
//
// What it does to bytes: splits and joins them anywhere, delays them, reorders between connections and never within
// one; at most a window of bytes is under way each way, so that a peer that stops reading is felt. What it does to
// connections: refuses, ignores and resets them, as SimulatedFaults says. A turn delivers some of what is due, in any
// order.
//
// The rules of TCP that gateways trip over hold: who closes with unread bytes resets, who is sent to after it closed
// answers with a reset, and a reset takes the bytes that were not read yet.
//
// Time passes in `advance`, `run_until` and `settle` only. The network outlives its reactors, and these turn only
// through it (or by a `turn` of the test, which lets no time pass). One thread.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "net/reactor.h"

namespace weir::net {

class SimulatedPeer;
class SimulatedReactor;

// Once in so many; 0 is never.
struct SimulatedFaults {
    std::uint32_t reset_one_in = 0;   // of pieces that travel: resets their connection, both ends hear of it
    std::uint32_t refuse_one_in = 0;  // of connections from the reactor to a backend that listens
    std::uint32_t ignore_one_in = 0;  // of the same: never answered
    std::uint32_t delay_one_in = 20;  // of pieces: come up to twenty times later
};

struct SimulatedOptions {
    std::uint64_t seed = 1;
    SimulatedFaults faults = {};
    Nanos latency_max = std::chrono::milliseconds(2);
    // A connection draws its window between these: the bytes that are under way, or wait unread, each way.
    std::size_t window_bytes_min = 1024;
    std::size_t window_bytes_max = 256UL * 1024;
    // No splits, and all that is due is delivered: for tests of one behaviour.
    bool calm = false;

    // Weights and windows drawn from the seed: what a run over many seeds should use.
    [[nodiscard]] static SimulatedOptions hostile(std::uint64_t seed);
};

class SimulatedNetwork {
  public:
    explicit SimulatedNetwork(const SimulatedOptions& options);
    ~SimulatedNetwork();  // its reactors must be gone
    SimulatedNetwork(const SimulatedNetwork&) = delete;
    SimulatedNetwork& operator=(const SimulatedNetwork&) = delete;

    // Several may listen on one endpoint, as workers do.
    [[nodiscard]] std::unique_ptr<Reactor> make_reactor(const ReactorOptions& options = {});

    // A client. `from` is what the reactor sees as the peer; by default one of 198.51.100.0/24.
    SimulatedPeer connect(const Endpoint& to, std::optional<Endpoint> from = std::nullopt);
    // A backend: `accepted` is called for each connection that the reactor makes. What nobody listens on is refused.
    void listen(const Endpoint& endpoint, std::function<void(SimulatedPeer)> accepted);
    void stop_listening(const Endpoint& endpoint);
    // Connections to it are never answered, as by a firewall.
    void ignore(const Endpoint& endpoint);

    // Lets time pass, and delivers everything that becomes due.
    void advance(Nanos by);
    // Lets as much time pass as it takes for `done`, at most `limit`. False when it did not come.
    [[nodiscard]] bool run_until(const std::function<bool()>& done, Nanos limit = std::chrono::seconds(30));
    // Until nothing is under way any more; timers do not count, so that idle time-outs do not fire. At most a minute.
    void settle();

    [[nodiscard]] ManualClock& clock() { return clock_; }
    [[nodiscard]] Rng& random() { return random_; }

    struct Counters {
        std::uint64_t opened = 0;  // sockets that the reactors got
        std::uint64_t closed = 0;  // by `close`, an error or a refusal; each socket once
        std::uint64_t closed_again = 0;
        std::uint64_t events = 0;
        std::uint64_t turns = 0;
        std::uint64_t resets = 0;  // made by the faults
    };
    [[nodiscard]] const Counters& counters() const { return counters_; }
    // A digest of all events so far: equal in two runs of one seed.
    [[nodiscard]] std::uint64_t trace() const { return trace_; }

  private:
    friend class SimulatedPeer;
    friend class SimulatedReactor;

    // One direction of a connection.
    struct Pipe {
        struct Piece {
            MonoTime at;
            std::size_t size;
        };
        std::string bytes;  // those from `taken` on: first `due` that have arrived, then the pieces
        std::size_t taken = 0;
        std::size_t due = 0;
        std::deque<Piece> pieces;
        std::size_t window = 0;
        MonoTime latest{};  // nothing arrives before what was sent earlier
        std::optional<MonoTime> end_at;

        [[nodiscard]] std::size_t held() const { return bytes.size() - taken; }
        [[nodiscard]] std::size_t room() const { return window > held() ? window - held() : 0; }
        void arrive(MonoTime now);
        [[nodiscard]] bool end_due(MonoTime now) const;
        [[nodiscard]] std::string_view front(std::size_t size) const;
        void take(std::size_t size);
        void drop();
    };

    enum class Stage : std::uint8_t { kUnderWay, kWaiting, kOpen, kGone };  // of the reactor's end

    struct Connection {
        Pipe in;   // to the reactor
        Pipe out;  // from it
        Endpoint to;
        Endpoint from;
        bool outgoing = false;  // the reactor connects
        Stage stage = Stage::kUnderWay;
        SimulatedReactor* reactor = nullptr;
        SocketId socket;
        std::uint32_t listener = 0;
        std::optional<MonoTime> decided_at;  // when the attempt to connect is answered
        std::optional<ErrorCode> refusal;    // for the reactor
        std::optional<MonoTime> reset_in_at;
        std::optional<MonoTime> reset_out_at;
        bool reset_waits = false;  // a paused reactor's end hears of it only when it resumes

        std::string outbox;
        std::string received;
        std::function<void(SimulatedPeer)> hook;
        bool reading = true;
        bool finish_asked = false;
        bool closed = false;
        bool connected = false;
        bool refused = false;
        bool ended = false;
        bool was_reset = false;
        bool active = true;
    };
    struct Backend {
        Endpoint endpoint;
        std::function<void(SimulatedPeer)> accepted;  // empty: ignored
    };

    [[nodiscard]] MonoTime arrival(Pipe& pipe);
    [[nodiscard]] std::uint32_t add_connection();
    void put(Connection& connection, Pipe& pipe, std::string_view bytes);
    void put_piece(Connection& connection, Pipe& pipe, std::string_view bytes);
    void schedule_reset(Connection& connection, bool to_reactor, bool to_peer);
    void start_connect(std::uint32_t index, SimulatedReactor* reactor, SocketId socket, const Endpoint& to);
    void reactor_closed(std::uint32_t index);
    void reactor_stopped_listening(SimulatedReactor* reactor, std::uint32_t listener);
    void detach(SimulatedReactor* reactor);

    void pump();
    void decide(std::uint32_t index);
    void decide_outgoing(std::uint32_t index);
    void pump_peer(std::uint32_t index);
    void notify(std::uint32_t index);
    [[nodiscard]] bool is_over(const Connection& connection) const;
    [[nodiscard]] std::optional<MonoTime> next_arrival() const;
    [[nodiscard]] std::optional<MonoTime> next_event(bool timers) const;
    void run_due();
    void note(std::uint64_t what, std::uint64_t detail);

    SimulatedOptions options_;
    Rng random_;
    mutable ManualClock clock_;           // its reading functions are not const
    std::deque<Connection> connections_;  // peers stay to be asked
    std::vector<std::uint32_t> active_;
    std::vector<Backend> backends_;
    std::vector<SimulatedReactor*> reactors_;
    Counters counters_;
    std::uint64_t trace_ = 0;
    std::uint16_t next_port_ = 40'000;
    bool hook_ran_ = false;
};

// One end of a connection that the test drives: a client, or what a backend accepted. A small handle, to be copied. One
// that was not assigned yet may be asked (nothing has come), but not told anything.
class SimulatedPeer {
  public:
    SimulatedPeer() = default;

    void send(std::string_view bytes);  // never refused: what does not fit the window waits
    void finish();                      // FIN after what was sent
    void close();                       // both ways; with unread bytes a reset
    void reset();
    void stop_reading();
    void start_reading();
    // Called after each change that the network makes: connected, bytes, end, reset, refused.
    void on_change(std::function<void(SimulatedPeer)> hook);

    [[nodiscard]] const std::string& received() const;
    [[nodiscard]] std::string take_received();
    [[nodiscard]] std::size_t unsent_bytes() const;  // of `send`, not yet in the window
    [[nodiscard]] bool connected() const;            // accepted by the other side's system
    [[nodiscard]] bool refused() const;
    [[nodiscard]] bool ended() const;  // the reactor's FIN came, after all its bytes
    [[nodiscard]] bool was_reset() const;
    [[nodiscard]] bool over() const { return refused() || ended() || was_reset(); }
    [[nodiscard]] std::uint32_t index() const { return index_; }

  private:
    friend class SimulatedNetwork;
    [[nodiscard]] const SimulatedNetwork::Connection& connection() const;
    SimulatedPeer(SimulatedNetwork* network, std::uint32_t index) : network_(network), index_(index) {}
    SimulatedNetwork* network_ = nullptr;
    std::uint32_t index_ = 0;
};

}  // namespace weir::net
