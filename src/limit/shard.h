// One shard of the bucket table: an open-addressing block of slots and the order in which buckets leave it.
// Internal to limit/table.cpp. The caller holds `lock` around every call of the rest, but for `size` and `evictions`.
//
// Invariants: at most `used_max` slots are occupied, which is less than there are slots, so every probe ends at an
// empty one. All slots between a bucket's home and its place are occupied.
#pragma once

#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "limit/spin_lock.h"
#include "limit/table.h"

namespace weir::limit {

// All zero is an empty slot: `count` of an occupied one is at least 1.
struct Slot {
    Hash128 bucket;
    BucketState state;
    std::int64_t full_at = 0;  // MonoTime nanoseconds from which on nothing is left to remember
    std::uint32_t count = 0;
    std::uint32_t burst = 0;

    [[nodiscard]] bool occupied() const { return count != 0; }
    [[nodiscard]] BucketRule rule() const;  // as far as it matters to what is remembered
    // After a decision by `rule`, which said that the bucket is full after `reset_after`.
    void remember(const BucketRule& rule, MonoTime now, Nanos reset_after);
};
static_assert(sizeof(Slot) == 64);
static_assert(kRateCountMax <= UINT32_MAX);

// Aligned so that no two shards' locks share a line, nor a pair of lines that is fetched together.
class alignas(128) Shard {
  public:
    static constexpr unsigned kEvictionSample = 16;
    static constexpr unsigned kSweepPerInsertion = 2;

    // Slots for `used_max` buckets at a load of three quarters.
    [[nodiscard]] static std::uint64_t slots_for(std::uint64_t used_max) { return used_max + used_max / 3 + 1; }

    void init(std::span<Slot> zeroed, std::uint64_t used_max);

    [[nodiscard]] Slot* find(const Hash128& bucket) const;
    // A slot for a bucket that is not there yet; its state is all zero. Invalidates slots found before. None of
    // `kept` is evicted for it.
    [[nodiscard]] Slot& insert(const Hash128& bucket, MonoTime now, std::span<const Take> kept);
    void erase(Slot& slot);
    void copy_used(MonoTime now, std::vector<StoredBucket>& out) const;

    [[nodiscard]] std::uint64_t size() const { return used_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t evictions() const { return evictions_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t used_max() const { return used_max_; }

    mutable SpinLock lock;

  private:
    [[nodiscard]] std::uint64_t home(const Hash128& bucket) const;
    [[nodiscard]] std::uint64_t after(std::uint64_t index) const { return index + 1 == slots_.size() ? 0 : index + 1; }
    void set_used(std::uint64_t used) { used_.store(used, std::memory_order_relaxed); }
    void sweep(MonoTime now);
    void evict(MonoTime now, std::span<const Take> kept);

    std::span<Slot> slots_;
    std::uint64_t used_max_ = 0;
    std::uint64_t hand_ = 0;
    std::atomic<std::uint64_t> used_{0};  // written under the lock, read without
    std::atomic<std::uint64_t> evictions_{0};
};

}  // namespace weir::limit
