// What one seed stands for: the configuration, the faults of network and store, and how peers behave.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "net/simulated_network.h"
#include "sim_store.h"

namespace weir::sim {

enum class Rules : std::uint8_t { kOne, kByOpcode, kByContent };

enum class Token : std::uint8_t { kNone, kValid, kExpired, kInvalid };
// How a trusted proxy in front names the client, if it does: a PROXY header of version 1 or 2.
enum class Proxy : std::uint8_t { kV1, kV2, kV1Unknown, kV2Local };

struct Scenario {
    std::uint64_t seed = 1;
    net::SimulatedOptions network;
    StoreFaults store;
    OnError on_error = OnError::kClosed;
    std::map<std::string, NaiveLimit> limits;  // by group
    std::uint64_t reload_factor = 1;  // every limit's count and burst times this: what a reload changes to and from
    bool shadow = false;              // all limits; some have it by themselves
    bool http_mark = false;           // a denied request passes and is marked
    bool connect_mark = false;        // so does a denied handshake
    bool tokens = false;              // some clients have one
    bool reject_invalid = false;
    bool proxy_protocol = false;
    bool cors = false;  // pages ask before they send
    Rules rules = Rules::kOne;
    unsigned workers = 1;
    unsigned users = 1;
    unsigned clients = 1;
    unsigned steps = 50;
    std::uint64_t message_bytes_max = 1 << 20;
    std::uint64_t inspect_bytes = 65536;
    std::uint64_t connections_max = 0;
    std::uint64_t connections_max_in_all = 1000;
    unsigned idle_seconds = 3600;
    unsigned ping_seconds = 0;
    bool connect_limited = false;
    bool connect_answers_429 = false;
    bool http_limited = false;
    bool notify = false;
    bool close_after = false;
    bool drain = false;             // in the middle of the run
    bool reload = false;            // the same configuration again, now and then
    bool peers_behave = false;      // no resets, no broken frames, no half-closes
    bool second_backend = false;    // another address of the upstream, where nobody listens
    Nanos pause_max{0};             // between two steps
    std::uint32_t jump_one_in = 0;  // of them: long ones, of up to a period

    [[nodiscard]] static Scenario from_seed(std::uint64_t seed);
    // `factor` 1, or what a reload changes to.
    [[nodiscard]] std::string yaml(std::uint64_t factor = 1) const;
    [[nodiscard]] bool shadowed(const std::string& group) const { return shadow || limits.at(group).shadow; }
    // Who a client is, as the gateway and its backend are to see it.
    [[nodiscard]] Token token_of(int client) const;
    [[nodiscard]] bool rejected(int client) const;
    [[nodiscard]] std::string query_of(int client) const;  // "&token=...", or nothing
    [[nodiscard]] std::string subject_of(int client) const;
    [[nodiscard]] std::string proxy_header(int client) const;
    [[nodiscard]] IpAddress peer_address(int client) const;
    [[nodiscard]] std::string forwarded_for(int client) const;
    [[nodiscard]] std::string summary() const;
    // Nothing but limits keeps a byte from arriving.
    [[nodiscard]] bool network_is_sound() const;

  private:
    [[nodiscard]] IpAddress client_address(int client) const;
    [[nodiscard]] bool named_by_proxy(int client) const;
};

}  // namespace weir::sim
