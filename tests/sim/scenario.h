// What one seed stands for: the configuration, the faults of network and store, and how peers behave.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "net/simulated_network.h"
#include "sim_store.h"

namespace weir::sim {

enum class Rules : std::uint8_t { kOne, kByOpcode, kByContent };

struct Scenario {
    std::uint64_t seed = 1;
    net::SimulatedOptions network;
    StoreFaults store;
    OnError on_error = OnError::kClosed;
    std::map<std::string, NaiveLimit> limits;  // by group
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
    [[nodiscard]] std::string yaml() const;
    [[nodiscard]] std::string summary() const;
    // Nothing but limits keeps a byte from arriving.
    [[nodiscard]] bool network_is_sound() const;
};

}  // namespace weir::sim
