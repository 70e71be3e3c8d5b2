// The in-process bucket table: a Store that answers at once, shared by all workers.
//
// Layout. A bucket is one cache line, keyed by its 128-bit hash; no strings are kept:
//
//     | hash 16 | state 32 | full again at 8 | COUNT 4 | burst 4 |
//
// Whoever looks at a slot later (eviction, snapshot) knows from it alone what is left to remember, so a slot points to
// no rule. Slots lie in shards, each an open-addressing block (linear probing, at most three quarters full,
// erased by shifting back: no tombstones) behind its own spin lock. An event on several buckets locks its shards in
// ascending order, decides on all, then takes from all or from none.
//
// Bounds. Never more than `buckets_max` buckets, divided evenly among the shards; hashes spread keys so evenly that a
// shard is full when the table is some percent short of it. Small tables get fewer shards for that reason. Memory is
// reserved zeroed and costs nothing until touched.
//
// What has to go when a shard is full: a new bucket takes the place of an expired one that it passes, each insertion
// erases expired ones at a hand that goes round, and when neither helps the hand looks at kEvictionSample buckets and
// evicts an expired one, else the fullest: a nearly used-up bucket protects someone, while what a key flood makes
// is full but for one event. A bucket of the event being decided is never evicted for another of the same event.
//
// Thread-safety: every member may be called from any thread. Never allocates after construction, but for
// `copy_shard`.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/hash.h"
#include "limit/store.h"

namespace weir::limit {

inline constexpr std::uint64_t kTableBucketsMin = 64;

struct TableOptions {
    std::uint64_t buckets_max = 1'000'000;  // at least kTableBucketsMin is made of it
    unsigned shards = 64;                   // a power of two; at most this many
};

// A bucket as the table keeps it, for snapshots. `count` and `burst` are those of the rule that last decided.
struct StoredBucket {
    Hash128 bucket;
    BucketState state;
    std::uint32_t count = 0;
    std::uint32_t burst = 0;
};

class BucketTable final : public Store {
  public:
    explicit BucketTable(TableOptions options);
    ~BucketTable() override;
    BucketTable(const BucketTable&) = delete;
    BucketTable& operator=(const BucketTable&) = delete;

    std::optional<Result<void>> take(std::span<const Take> takes, MonoTime now, std::span<Decision> decisions,
                                     TakeWaiter& waiter) override;
    std::optional<Result<void>> peek(std::span<const Take> takes, MonoTime now, std::span<Decision> decisions,
                                     TakeWaiter& waiter) override;

    // The same, for callers that know they have the table: no waiter, cannot fail. Returns true when all admit.
    bool take_now(std::span<const Take> takes, MonoTime now, std::span<Decision> decisions);
    bool peek_now(std::span<const Take> takes, MonoTime now, std::span<Decision> decisions) const;

    // Forgets one bucket.
    void reset(const Hash128& bucket);

    [[nodiscard]] std::uint64_t size() const;          // buckets in use, an instant's estimate
    [[nodiscard]] std::uint64_t buckets_max() const;   // the bound of size()
    [[nodiscard]] std::uint64_t evictions() const;     // buckets with something left to say that had to go
    [[nodiscard]] std::uint64_t memory_bytes() const;  // what the table occupies at most

    // For limit/snapshot.h. Appends the buckets of one shard that are not full at `now`; puts one back, unless a
    // bucket of that name is there already or it is full at `now`.
    [[nodiscard]] unsigned shards() const;
    void copy_shard(unsigned shard, MonoTime now, std::vector<StoredBucket>& out) const;
    void put_back(const StoredBucket& stored, MonoTime now);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::limit
