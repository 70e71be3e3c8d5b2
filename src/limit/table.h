// The in-process bucket table: a Store that answers at once, shared by all workers.
//
// Shards, each an open-addressing block behind its own small lock; an event on several buckets locks its shards in
// order, so "all or none" is plain code. Bounded by `buckets_max`: what has expired is reused first, then what is
// fullest, since a nearly used-up bucket protects someone. No strings are kept.
//
// Thread-safety: every member may be called from any thread. Never allocates after construction.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/hash.h"
#include "limit/store.h"

namespace weir::limit {

struct TableOptions {
    std::uint64_t buckets_max = 1'000'000;
    unsigned shards = 64;  // a power of two
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
    [[nodiscard]] std::uint64_t evictions() const;     // buckets with something left to say that had to go
    [[nodiscard]] std::uint64_t memory_bytes() const;  // what the table occupies at most

    // Snapshot: the buckets in use as bytes (versioned, checksummed, wall time inside so that a restart's gap counts),
    // and back. The hash key must be the same in both processes: it is part of the snapshot, and restore returns it
    // before buckets are hashed. Format in limit/snapshot.h.
    struct Impl;
    Impl& impl() { return *impl_; }

  private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::limit
