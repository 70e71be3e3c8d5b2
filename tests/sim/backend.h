// The application behind the gateway: it speaks WebSocket and HTTP on each connection that it is given, and remembers
// what it heard and said.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "net/simulated_network.h"
#include "scenario.h"
#include "wire.h"

namespace weir::sim {

// A WebSocket at the backend.
struct BackendSocket {
    int client = -1;
    net::SimulatedPeer peer;
    std::string received;                 // frames of the client, as they came
    std::string sent;                     // behind the 101
    std::set<std::size_t> boundaries{0};  // of `sent`: no frame and no message is open there
    std::size_t read = 0;                 // of `received`: what has been looked at
    bool in_message = false;
    bool quiet = false;  // closed, finished or reset: nothing follows
    bool finished = false;
    bool reset = false;
};

// A request that reached the backend.
struct HeardRequest {
    int client = -1;
    int number = -1;
    std::string method;
    std::string body;
    bool marked = false;    // as limited
    bool answered = false;  // whole, as far as the backend can tell
};

// What the backend answers to a request: a function of who asks, so that a mixed-up answer is seen.
[[nodiscard]] std::string answer_body(int client, int number);

class Backend {
  public:
    Backend(net::SimulatedNetwork& network, const Scenario& scenario, Rng& random,
            std::function<void(const std::string&)> fail)
        : network_(network), scenario_(scenario), random_(random), fail_(std::move(fail)) {}

    void listen(const net::Endpoint& endpoint);
    // One thing that servers do unasked.
    void act();
    // Reads, all of it, and ends the messages that it has begun.
    void read_on();

    [[nodiscard]] const BackendSocket* socket_of(int client) const;
    [[nodiscard]] const std::vector<HeardRequest>& requests() const { return requests_; }
    [[nodiscard]] bool heard_handshake(int client) const { return handshakes_.contains(client); }
    [[nodiscard]] bool marked_handshake(int client) const { return marked_handshakes_.contains(client); }

  private:
    struct Connection {
        net::SimulatedPeer peer;
        std::string bytes;  // not read yet
        std::unique_ptr<BackendSocket> socket;
        bool gone = false;
    };
    void on_change(std::size_t index);
    void read_head(Connection& connection);
    bool read_request(Connection& connection);
    void answer_handshake(Connection& connection, int client, bool offered_deflate);
    void answer_request(Connection& connection, HeardRequest& request, bool http10);
    void read_frames(BackendSocket& socket);
    void say(BackendSocket& socket, const Frame& frame);
    void say_something(BackendSocket& socket);
    void say_close(BackendSocket& socket);

    net::SimulatedNetwork& network_;
    const Scenario& scenario_;
    Rng& random_;
    std::function<void(const std::string&)> fail_;
    std::deque<Connection> connections_;
    std::vector<HeardRequest> requests_;
    std::map<int, int> handshakes_;  // by client, how often
    std::set<int> marked_handshakes_;
};

}  // namespace weir::sim
