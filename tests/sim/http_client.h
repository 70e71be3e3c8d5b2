// A client that sends plain requests over one connection, some of them before the answers to earlier ones have come.
#pragma once

#include <string>
#include <vector>

#include "net/simulated_network.h"
#include "scenario.h"

namespace weir::sim {

struct SentRequest {
    std::string method;
    std::string body;
    bool preflight = false;
};

// What came back: the mark of the backend's answer, or none for one of Weir's own.
struct HeardResponse {
    unsigned status = 0;
    std::string mark;
    std::string body;
    bool whole = false;
};

class HttpClient {
  public:
    HttpClient(int id, net::SimulatedPeer peer, const Scenario& scenario, Rng& random)
        : id_(id), peer_(peer), scenario_(scenario), random_(random), rest_(scenario.proxy_header(id)) {}

    void act();
    void read_on();
    void wind_up();

    [[nodiscard]] int id() const { return id_; }
    [[nodiscard]] const net::SimulatedPeer& peer() const { return peer_; }
    [[nodiscard]] const std::vector<SentRequest>& requests() const { return requests_; }
    // In the order in which they came, read as the answers to `requests`; `error` says what can't be read.
    [[nodiscard]] std::vector<HeardResponse> responses(std::string& error) const;

  private:
    void send_request();

    int id_;
    net::SimulatedPeer peer_;
    const Scenario& scenario_;
    Rng& random_;
    std::string rest_;
    bool quiet_ = false;
    std::vector<SentRequest> requests_;
};

}  // namespace weir::sim
