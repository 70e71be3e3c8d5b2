// What all workers of a process share: the store of buckets, metrics, log, counts of concurrent connections, the
// configuration in force. Everything else belongs to one worker.
//
// Thread-safety: every member may be used from any worker.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "gateway/byte_budget.h"
#include "gateway/penalty_box.h"
#include "gateway/snapshot.h"
#include "limit/store.h"
#include "limit/table.h"
#include "log/denial_log.h"
#include "log/logger.h"
#include "metrics/registry.h"
#include "store/store_address.h"
#include "store/store_health.h"

namespace weir::gateway {

// How many connections a subject has open on a route. Asked once a connection, not on the message path: one lock
// serves.
class ConnectionCounts {
  public:
    // Counts one more under `key` unless that would be more than `most` (0: no bound).
    bool acquire(std::string_view key, std::uint64_t most);
    void release(std::string_view key);

  private:
    std::mutex mutex_;
    std::unordered_map<std::string, std::uint64_t> counts_;
};

struct Shared {
    limit::Store& store;        // of workers that make none of their own
    limit::BucketTable* local;  // what `on_store_error: local` counts in; the store itself when it is the table
    metrics::Registry& metrics;
    log::Logger& log;
    HashKey hash_key;
    std::string store_name = "memory";  // for the log, without credentials

    // A store over the network: each worker has connections of its own to it, and does not use `store`.
    store::StoreAddress store_address;
    std::unique_ptr<store::StoreHealth> store_health;
    void use(const store::StoreAddress& address) {
        store_address = address;
        store_name = address.to_string();
        store_health = std::make_unique<store::StoreHealth>(log, store_name);
    }

    ConnectionCounts counts;
    ByteBudget held_bodies;
    PenaltyBox penalties;
    // One line for a subject and limit in an interval, whichever worker denies. Asked on the way of a denial only.
    std::mutex denials_mutex;
    log::DenialLog denials;
    log::DenialLog failures;  // decisions that the store could not make
    std::atomic<std::uint64_t> next_connection_id{1};
    std::atomic<std::uint64_t> connections{0};  // downstream, open

    [[nodiscard]] std::shared_ptr<const Snapshot> snapshot() const {
        const std::lock_guard lock(mutex_);
        return snapshot_;
    }
    void adopt(std::shared_ptr<const Snapshot> snapshot) {
        const std::lock_guard lock(mutex_);
        snapshot_ = std::move(snapshot);
    }

    Shared(limit::Store& bucket_store, limit::BucketTable* fallback, metrics::Registry& registry, log::Logger& logger,
           const HashKey& key)
        : store(bucket_store),
          local(fallback),
          metrics(registry),
          log(logger),
          hash_key(key),
          penalties({.hash_key = key}),
          denials({.hash_key = key}),
          failures({.hash_key = key}) {}

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const Snapshot> snapshot_;
};

}  // namespace weir::gateway
