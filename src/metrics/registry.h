// Counters, gauges and histograms: many writers without a lock, summed when scraped.
//
// A Cell is one time series. Each worker writes to its own Shard; `text` sums over shards. What exists is in list.h,
// once. Label values are closed sets (routes, limits, tiers, outcomes), never a user or an address.
//
//   Cell:   [ family (8) | index (24) ]       index 0 is a sink: a Cell that nobody asked for counts nothing
//   Shard:  chunks_[ index / kChunkCells ] -> Chunk{ values[ index % kChunkCells ] }
//   Series: a counter or gauge has one value; a histogram has one for each bound, one for +Inf and its sum (ns)
//
// Why no lock is needed. A value is written by one thread only, so that "read, add, write" loses nothing, and the
// scraper reads it whole. Chunks are made by the registry, under its lock, in every shard, before `cell` returns an
// index in them; they never move and live as long as the registry. So a cell that a thread has got is there, also
// after a reload has added others.
//
// Bound. At most kCellsMax values; a series asked for beyond them is counted in the series of its family whose labels
// are all `_other`.
//
// Thread-safety: Registry from any thread (a lock). A Shard's add and observe from its own thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "metrics/list.h"

namespace weir::metrics {

// Stable for the life of the registry; cells are never removed, so that counters survive a reload.
using Cell = std::uint32_t;

inline constexpr std::size_t kChunkCells = 1024;
inline constexpr std::size_t kChunksMax = 256;
inline constexpr std::size_t kCellsMax = kChunkCells * kChunksMax;

class Registry;

class Shard {
  public:
    Shard(const Shard&) = delete;
    Shard& operator=(const Shard&) = delete;
    ~Shard();

    // Two loads and a store, none of them locked.
    void add(Cell cell, std::int64_t by = 1) {
        std::atomic<std::int64_t>& value = at(cell & kIndexMask);
        value.store(value.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
    }
    // Of a histogram. What is no duration (negative, NaN) counts as 0, and what is absurdly long as a day.
    void observe(Cell histogram, double seconds);

  private:
    friend class Registry;
    static constexpr std::uint32_t kIndexMask = 0x00FFFFFFU;
    static constexpr unsigned kFamilyShift = 24;
    static_assert(kCellsMax <= kIndexMask);

    struct alignas(64) Chunk {  // whole cache lines: workers do not share one
        std::array<std::atomic<std::int64_t>, kChunkCells> values{};
    };

    Shard();
    void grow(std::size_t cells);  // the registry's lock is held
    std::atomic<std::int64_t>& at(std::uint32_t index) {
        // Acquire pairs with grow's release; it costs nothing on x86, and the order that makes it needless (the cell
        // came from another thread) need not be argued.
        return chunks_[index / kChunkCells].load(std::memory_order_acquire)->values[index % kChunkCells];
    }
    [[nodiscard]] std::int64_t read(std::uint32_t index) const {
        return chunks_[index / kChunkCells]
            .load(std::memory_order_acquire)
            ->values[index % kChunkCells]
            .load(std::memory_order_relaxed);
    }

    std::array<std::atomic<Chunk*>, kChunksMax> chunks_{};
};

class Registry {
  public:
    Registry();
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    // The cell of a family and its label values, in the order of list.h; the same again for the same labels. A cell
    // that was asked for shows in `text` even at 0.
    [[nodiscard]] Cell cell(Family family, std::initializer_list<std::string_view> labels);
    // A worker's own; lives as long as the registry, so that what a worker counted outlives it.
    [[nodiscard]] Shard& new_shard();

    // Prometheus text exposition format 0.0.4.
    [[nodiscard]] std::string text() const;
    // Sum over shards of one cell; of a histogram the number of observations.
    [[nodiscard]] std::int64_t value(Cell cell) const;

    // For values that are computed at scrape time (buckets in the table, evictions), and for rare events on threads
    // without a shard (reloads).
    void set(Cell cell, std::int64_t value);
    void add(Cell cell, std::int64_t by = 1);

  private:
    struct Series {
        std::string labels;  // as they stand between the braces
        Cell cell = 0;
        bool shown = false;  // somebody asked for it
    };

    [[nodiscard]] bool has_room(const FamilyRow& row) const;
    std::size_t new_series(const FamilyRow& row, std::string labels);  // its place in series_[family]
    [[nodiscard]] std::int64_t sum(std::uint32_t index) const;
    void append_series(std::string& out, const FamilyRow& row, const Series& series) const;

    mutable std::mutex mutex_;
    std::array<std::vector<Series>, kFamilies> series_;    // by family; the one at 0 is `_other`
    std::unordered_map<std::string, std::size_t> places_;  // by family and labels: where in series_[family]
    std::size_t cells_used_ = 1;
    std::vector<std::unique_ptr<Shard>> shards_;
    std::unique_ptr<Shard> own_;  // `set` and `add` write here, atomically, from any thread
};

}  // namespace weir::metrics
