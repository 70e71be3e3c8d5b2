// What tests of reactors share: an owner that records every event, and bytes to send. Not part of the product.
#pragma once

#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "net/reactor.h"

namespace weir::net::testing_reactor {

struct Conn {
    std::string received;
    std::size_t received_bytes = 0;
    Endpoint peer;
    bool accepted = false;
    bool connected = false;
    bool ended = false;
    std::optional<Error> closed;
    std::optional<Error> refused;
    int drained = 0;
};

// Records every event by socket, checks that none comes after the last one, and lets a test act inside of one.
class Recorder : public ReactorEvents {
  public:
    explicit Recorder(Reactor& reactor) : reactor_(reactor) { reactor.set_events(this); }

    void on_accepted(SocketId socket, std::uint32_t, const Endpoint& peer) override {
        Guard guard(*this);
        Conn& conn = fresh(socket);
        conn.accepted = true;
        conn.peer = peer;
        accepted.push_back(socket);
        if (tls != nullptr) {
            EXPECT_TRUE(reactor_.start_tls(socket, tls, {}));
        }
        if (accepted_hook) accepted_hook(socket);
    }
    void on_connected(SocketId socket, Result<void> outcome) override {
        Guard guard(*this);
        Conn& conn = fresh(socket);
        EXPECT_FALSE(conn.connected || conn.refused);
        conn.connected = outcome.has_value();
        if (!outcome) conn.refused = outcome.error();
        if (connected_hook) connected_hook(socket);
    }
    void on_received(SocketId socket, Slice bytes) override {
        Guard guard(*this);
        Conn& conn = known(socket);
        EXPECT_FALSE(conn.ended);
        EXPECT_FALSE(bytes.empty());
        EXPECT_FALSE(paused.contains(socket.index)) << "received while paused";
        if (keep_bytes) conn.received += bytes.text();
        conn.received_bytes += bytes.size();
        if (received_hook) received_hook(socket, std::move(bytes));
    }
    void on_received_end(SocketId socket) override {
        Guard guard(*this);
        Conn& conn = known(socket);
        EXPECT_FALSE(conn.ended);
        conn.ended = true;
        if (ended_hook) ended_hook(socket);
    }
    void on_drained(SocketId socket) override {
        Guard guard(*this);
        ++known(socket).drained;
        EXPECT_LE(reactor_.unsent_bytes(socket), kSendQueueLowBytes);
        if (drained_hook) drained_hook(socket);
    }
    void on_closed(SocketId socket, Error why) override {
        Guard guard(*this);
        known(socket).closed = why;
    }
    void on_timer(TimerId, std::uint64_t cookie) override {
        Guard guard(*this);
        timers.push_back(cookie);
        if (timer_hook) timer_hook(cookie);
    }
    void on_wake() override { ++wakes; }
    void on_turn_end() override { ++turns; }

    Conn& operator[](SocketId id) { return conns_[key(id)]; }
    void close(SocketId id) {
        reactor_.close(id);
        gone_.insert({key(id), true});
    }
    void pause(SocketId id) {
        paused.insert({id.index, true});
        reactor_.pause_receiving(id);
    }
    void resume(SocketId id) {
        paused.erase(id.index);
        reactor_.resume_receiving(id);
    }
    // Turns until `done`; gives up after so many that something must be wrong.
    template <typename Done>
    [[nodiscard]] bool run_until(Done&& done, int turns_max = 500, Nanos wait = std::chrono::milliseconds(20)) {
        for (int i = 0; i < turns_max; ++i) {
            if (done()) return true;
            reactor_.turn(wait);
        }
        return done();
    }
    void run_turns(int count) {
        for (int i = 0; i < count; ++i) reactor_.turn(Nanos{0});
    }

    std::vector<SocketId> accepted;
    std::vector<std::uint64_t> timers;
    std::map<std::uint32_t, bool> paused;
    std::shared_ptr<const TlsServer> tls;  // for what is accepted; null: plain
    int wakes = 0;
    int turns = 0;
    bool keep_bytes = true;
    std::function<void(SocketId)> accepted_hook, connected_hook, ended_hook, drained_hook;
    std::function<void(SocketId, Slice)> received_hook;
    std::function<void(std::uint64_t)> timer_hook;

  private:
    struct Guard {  // no event inside of an event
        explicit Guard(Recorder& recorder) : depth(recorder.depth_) { EXPECT_EQ(++depth, 1); }
        ~Guard() { --depth; }
        int& depth;
    };
    static std::uint64_t key(SocketId id) { return (std::uint64_t{id.generation} << 32U) | id.index; }
    Conn& fresh(SocketId id) { return known(id); }
    Conn& known(SocketId id) {
        EXPECT_FALSE(gone_.contains(key(id))) << "an event after close";
        Conn& conn = conns_[key(id)];
        EXPECT_FALSE(conn.closed || conn.refused) << "an event after the last";
        return conn;
    }
    Reactor& reactor_;
    std::map<std::uint64_t, Conn> conns_;
    std::map<std::uint64_t, bool> gone_;
    int depth_ = 0;
};

inline std::string pattern(std::size_t size, std::uint64_t seed = 1) {
    Rng rng(seed);
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(rng.next() >> 56U);
    return text;
}

}  // namespace weir::net::testing_reactor
