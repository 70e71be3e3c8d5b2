// Counters, gauges and histograms: many writers without a lock, summed when scraped.
//
// A Cell is one time series. Each worker writes to its own Shard (plain relaxed atomics that only it writes); `text`
// sums over shards. What exists is in list.h, once. Label values are closed sets (routes, limits, tiers, outcomes),
// never a user or an address. Thread-safety: Registry from any thread (a lock); a Shard's add/set from its own thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "metrics/list.h"

namespace weir::metrics {

using Cell =
    std::uint32_t;  // stable for the life of the registry; cells are never removed, so that counters survive a reload

class Registry;

class Shard {
  public:
    void add(Cell cell, std::int64_t by = 1);
    void observe(Cell histogram, double seconds);  // a histogram's cell is the first of its buckets

  private:
    friend class Registry;
    struct Chunk;
    explicit Shard(Registry* registry);
    Registry* registry_;
    std::vector<std::unique_ptr<Chunk>> chunks_;
    std::mutex grow_;
};

class Registry {
  public:
    // The cell of a family and its label values, in the order of list.h; the same again for the same labels. A cell
    // that was asked for shows in `text` even at 0.
    [[nodiscard]] Cell cell(Family family, std::initializer_list<std::string_view> labels);
    [[nodiscard]] Shard& new_shard();
    // Prometheus text exposition format 0.0.4.
    [[nodiscard]] std::string text() const;
    // Sum over shards of one cell.
    [[nodiscard]] std::int64_t value(Cell cell) const;
    // Families whose value is computed at scrape time (buckets in the table, evictions).
    void set(Cell cell, std::int64_t value);

    struct Series;

  private:
    friend class Shard;
    mutable std::mutex mutex_;
    std::vector<std::unique_ptr<Series>> series_;
    std::vector<std::unique_ptr<Shard>> shards_;
};

}  // namespace weir::metrics
