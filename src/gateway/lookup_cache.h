// Answers of `identity.lookup`, kept per credential, and who waits for one: all workers of a process share it.
//
// Single flight: of all who need an answer that is not here, one is told to ask, and the others wait. An answer counts
// from the moment at which it was asked for, so that what the application revokes is noticed within `cache`. In the
// last tenth of that time one caller is told to ask ahead while all are still served, so that a caller who keeps coming
// never waits. A failure is kept for kLookupFailureKept, so that an application which is down is not hammered.
//
// Bounded by `max_entries` over all shards: what has expired leaves before what has not, and answers that name nobody
// before those that name a user, so that a flood of invented credentials drives out only its own. What waits is bounded
// by the connections that there may be. The credential itself is never kept: the key is its hash.
//
// A waiter is a slot of a worker's connections and the number of its request, never a pointer to it. A question whose
// asker does not come back (its worker ended) is given to the next caller after kLookupGiveUp beyond its time-out.
//
// Thread-safety: any thread. Time is an argument.
#pragma once

#include <array>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "config/config.h"
#include "identity/lookup.h"
#include "metrics/registry.h"

namespace weir::gateway {

inline constexpr Nanos kLookupFailureKept = std::chrono::seconds(1);
inline constexpr Nanos kLookupGiveUp = std::chrono::seconds(1);

struct LookupWaiter;

// Told of an answer on the thread of whoever asked; hands it over to its own.
class LookupListener {
  public:
    virtual void post_lookup(const LookupWaiter& waiter, const identity::LookupAnswer& answer) = 0;

  protected:
    ~LookupListener() = default;
};

struct LookupWaiter {
    LookupListener* worker = nullptr;  // lives as long as the process serves
    std::uint64_t slot = 0;
    std::uint64_t request = 0;  // unique in the process
    friend bool operator==(const LookupWaiter&, const LookupWaiter&) = default;
};

struct LookupCells {
    metrics::Cell hit, failure_kept, shared, user, anonymous, timeout, unreachable, unusable, seconds;
};

class LookupCache {
  public:
    LookupCache(const config::Lookup& options, std::shared_ptr<const policy::LimitTable> limits,
                metrics::Registry& registry);

    struct Found {
        std::optional<identity::LookupAnswer> answer;  // absent: the waiter is told later
        // Set: the caller has to ask, and to call `finish` with it whatever happens.
        std::optional<std::uint64_t> ticket;
    };
    [[nodiscard]] Found find(const Hash128& key, const LookupWaiter& waiter, MonoTime now);
    // Everyone to tell. Nobody, when the question was given to somebody else meanwhile.
    [[nodiscard]] std::vector<LookupWaiter> finish(const Hash128& key, std::uint64_t ticket,
                                                   const identity::LookupAnswer& answer, MonoTime asked, MonoTime now);
    // The waiter has gone.
    void forget(const Hash128& key, const LookupWaiter& waiter);

    // Whether a failure may be logged now, and how many were left out since the last one.
    [[nodiscard]] std::optional<std::uint64_t> may_log(MonoTime now, Nanos interval);

    [[nodiscard]] std::size_t size() const;  // answers kept
    [[nodiscard]] const config::Lookup& options() const { return options_; }
    [[nodiscard]] const policy::LimitTable& limits() const { return *limits_; }
    [[nodiscard]] const LookupCells& cells() const { return cells_; }
    // Whether what is kept is right under another configuration too: the same question, and the same tiers.
    [[nodiscard]] bool serves(const config::Lookup& options, const policy::LimitTable& limits) const;

  private:
    static constexpr std::size_t kShards = 16;
    static constexpr std::size_t kKinds = 3;  // of LookupAnswer
    static constexpr std::size_t kSweepPerAnswer = 4;

    struct Entry {
        identity::LookupAnswer answer;
        bool answered = false;
        MonoTime expires{};
        MonoTime refresh_at{};
        std::list<Hash128>::iterator place;  // in `order`, while answered
        bool asking = false;
        MonoTime asking_since{};
        std::uint64_t ticket = 0;
        std::vector<LookupWaiter> waiters;
    };
    struct KeyHash {
        std::size_t operator()(const Hash128& key) const { return static_cast<std::size_t>(key.low); }
    };
    using Entries = std::unordered_map<Hash128, Entry, KeyHash>;
    struct alignas(128) Shard {
        mutable std::mutex mutex;
        Entries entries;
        std::array<std::list<Hash128>, kKinds> order;  // by kind of answer; the oldest first, which expires first
        std::size_t answered = 0;
        std::uint64_t tickets = 0;
    };

    [[nodiscard]] Shard& shard_of(const Hash128& key) { return shards_[key.high % kShards]; }
    void keep(Shard& shard, const Hash128& key, Entry& entry, const identity::LookupAnswer& answer, MonoTime expires,
              MonoTime now);
    static void drop_answer(Shard& shard, Entry& entry);
    static bool drop_oldest(Shard& shard, identity::LookupAnswer::Kind kind, MonoTime now, bool only_expired);
    void make_room(Shard& shard, MonoTime now) const;

    const config::Lookup options_;
    const std::shared_ptr<const policy::LimitTable> limits_;
    const LookupCells cells_;
    const std::size_t entries_per_shard_;
    std::array<Shard, kShards> shards_;
    std::mutex log_mutex_;
    std::optional<MonoTime> logged_;
    std::uint64_t left_out_ = 0;
};

}  // namespace weir::gateway
