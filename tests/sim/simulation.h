// One run: the real gateway on the simulated network, peers that do what one seed tells them, and at the end the
// questions that must have one answer whatever happened (oracles.cpp).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend.h"
#include "config/load.h"
#include "gateway/worker.h"
#include "http_client.h"
#include "net/test_names.h"
#include "observed_reactor.h"
#include "scenario.h"
#include "sim_store.h"
#include "websocket_client.h"

namespace weir::sim {

class Simulation {
  public:
    explicit Simulation(const Scenario& scenario);
    ~Simulation();
    Simulation(const Simulation&) = delete;
    Simulation& operator=(const Simulation&) = delete;

    void run();
    // What went wrong; empty when nothing did.
    [[nodiscard]] const std::vector<std::string>& failures() const { return failures_; }
    [[nodiscard]] std::uint64_t trace() const { return network_.trace(); }
    struct Tally {
        std::uint64_t opened = 0, messages = 0, allowed = 0, denied = 0, failed = 0, requests = 0, settled = 0;
        std::uint64_t marked = 0, shadow_denied = 0, known_users = 0, rejected = 0, proxied = 0, preflights = 0,
                      reloaded = 0;
    };
    [[nodiscard]] const Tally& tally() const { return tally_; }

  private:
    class NoLog final : public log::Logger {
        bool enabled(LogLevel) const override { return true; }
        void write(LogLevel, std::string_view, std::initializer_list<log::LogField>) override {}
        void set_level(LogLevel) override {}
        void flush() override {}
    };

    void fail(const std::string& what);
    void start_workers();
    void connect_clients();
    void step();
    void reload();
    void look();  // at what may never be, at any time

    // Oracles
    void check_settled();
    void check_end();
    void check_metrics();
    void check_client(const WebsocketClient& client);
    void check_client_itself(const WebsocketClient& client);
    void explain(const WebsocketClient& client);
    void check_refused(const WebsocketClient& client);
    void check_http_client(const HttpClient& client, bool settled);
    struct Fate {
        std::vector<std::optional<bool>> passed;  // by item; empty: can't be told
    };
    Fate check_upstream_bytes(const WebsocketClient& client, const BackendSocket& socket);
    void check_verdicts(const WebsocketClient& client, const Fate& fate);
    struct Heard {
        std::size_t answers = 0;     // RATE_LIMITED ones
        std::size_t of_backend = 0;  // bytes
        unsigned close_code = 0;     // of Weir's Close
    };
    Heard check_downstream_bytes(const WebsocketClient& client, const BackendSocket& socket);
    void check_close_code(const WebsocketClient& client, unsigned code);
    // The groups that a message counts in; by the rules, asked about the whole message.
    [[nodiscard]] std::vector<std::string> groups_of(const Item& item) const;
    [[nodiscard]] std::vector<const SimStore::Entry*> entries_of(const WebsocketClient& client) const;

    Scenario scenario_;
    std::vector<std::string> failures_;
    Rng random_;
    net::SimulatedNetwork network_;
    Attention attention_;
    net::NoNames names_;
    NoLog log_;
    metrics::Registry metrics_;
    limit::BucketTable table_;
    limit::BucketTable local_table_;
    SimStore store_;
    gateway::Shared shared_;
    std::shared_ptr<const config::Config> config_;
    std::shared_ptr<const config::Config> reloaded_config_;
    bool reloaded_ = false;
    std::vector<std::unique_ptr<gateway::Worker>> workers_;
    std::vector<ObservedReactor*> reactors_;
    Backend backend_;
    std::vector<std::unique_ptr<WebsocketClient>> clients_;
    std::vector<std::unique_ptr<HttpClient>> http_clients_;
    std::uint64_t generation_ = 1;
    bool drained_ = false;
    Tally tally_;
};

}  // namespace weir::sim
