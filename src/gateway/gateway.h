// The gateway as a whole: its workers' threads, reload, drain. What main() owns.
//
// Thread-safety: every member from any thread; `request_*` also from a signal handler's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gateway/resolved_names.h"
#include "gateway/shared.h"
#include "gateway/worker.h"
#include "limit/table.h"
#include "net/tls.h"

namespace weir::gateway {

struct Dependencies {
    Clock& clock;
    log::Logger& log;
    metrics::Registry& metrics;
};

class Gateway {
  public:
    // Listens, restores the snapshot if there is one, and starts the workers. The error names what failed.
    [[nodiscard]] static Result<std::unique_ptr<Gateway>> start(std::shared_ptr<const config::Config> config,
                                                                const Dependencies& dependencies);
    ~Gateway();  // stops; connections that are open are cut
    Gateway(const Gateway&) = delete;
    Gateway& operator=(const Gateway&) = delete;

    // Puts another configuration in force. Connections and counters survive; what can't change while running (listen,
    // workers, reactor, store) stays.
    void reload(std::shared_ptr<const config::Config> config);
    // Stops accepting and lets connections end; at the end of `timeouts.drain` the rest is closed with 1001.
    void drain();
    // The time to drain is up now.
    void hurry();
    [[nodiscard]] bool draining() const { return draining_.load(std::memory_order_acquire); }
    [[nodiscard]] bool finished() const;
    // Waits until all workers have ended, then saves the snapshot.
    void wait();
    // Saves the snapshot now, if one is configured: called now and then, so that a crash costs little.
    void save_buckets();

    [[nodiscard]] const std::vector<net::Endpoint>& endpoints() const { return endpoints_; }
    [[nodiscard]] std::string_view reactor_name() const { return reactor_name_; }
    [[nodiscard]] std::shared_ptr<const config::Config> config() const { return shared_->snapshot()->config; }
    // Why the shared store can't decide now; nullopt when it can, or there is none.
    [[nodiscard]] std::optional<std::string> store_failing() const {
        return shared_->store_health == nullptr ? std::nullopt : shared_->store_health->failing();
    }
    // Why the key set of `identity.jwt.jwks` is not there, or not the newest; nullopt when it is, or there is none.
    [[nodiscard]] std::optional<std::string> keys_failing() const {
        const auto snapshot = shared_->snapshot();
        return snapshot->jwks == nullptr ? std::nullopt : snapshot->jwks->failing();
    }
    [[nodiscard]] std::uint64_t connections() const { return shared_->connections.load(std::memory_order_relaxed); }
    // Brings the metrics that are computed when asked for up to date.
    void refresh_metrics();

  private:
    Gateway(std::shared_ptr<const config::Config> config, const Dependencies& dependencies);
    Result<void> open(const config::Config& config);
    void report_unusable(const net::Endpoint& endpoint, const Error& why);
    void restore_buckets(const config::Config& config);

    Dependencies dependencies_;
    HashKey hash_key_;
    std::unique_ptr<limit::BucketTable> table_;
    std::unique_ptr<ResolvedNames> names_;
    net::TicketKeys ticket_keys_;
    std::unique_ptr<Shared> shared_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::vector<std::thread> threads_;
    std::vector<net::Endpoint> endpoints_;
    std::string reactor_name_;
    std::string snapshot_path_;
    std::atomic<bool> draining_{false};
    std::uint64_t generation_ = 1;
};

}  // namespace weir::gateway
