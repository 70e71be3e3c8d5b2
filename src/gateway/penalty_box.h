// Who is blocked for a time: subjects that were denied too often, and (later) those that an operator names.
//
// Denials are counted in a bucket table of their own, in a fixed window: the first denial opens it, and one more than
// the rate says within a period blocks. A fixed window never blocks for fewer denials in a period than that; a sliding
// one estimates, and might. The counter is forgotten as the block begins, and nothing is counted while it lasts, so
// that a block neither grows nor leaves anything behind.
//
// In shadow a penalty is entered, so that it is told of once and then not for `block_for`, and holds for nobody.
//
// Bounds. At most `counters_max` counters (limit/table.h says which go: expired ones, then those that have counted
// least) and `blocks_max` blocks, divided evenly among the shards. When a shard is full, expired blocks go, then the
// penalty that ends soonest makes room, so that a block ends early rather than another never beginning. An operator's
// block never goes; where nothing else is left, a new block is not entered.
//
// Cost. Nobody is blocked: one atomic load. Somebody is: a lookup in one shard for a handshake or request; an open
// WebSocket compares `generation` and looks only when a block was entered since.
//
// Thread-safety: every member may be called from any thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/hash.h"
#include "base/limits.h"
#include "config/config.h"
#include "limit/table.h"

namespace weir::gateway {

class PenaltyBox {
  public:
    struct Options {
        HashKey hash_key{};
        std::uint64_t counters_max = kDenialCountersMax;
        std::size_t blocks_max = kBlocksMax;
    };
    // In the order in which they make room.
    enum class Origin : std::uint8_t { kShadow, kPenalty, kOperator };
    struct Block {
        std::string subject;  // its beginning, if it is longer than kBlockedSubjectBytesMax
        MonoTime until;
        std::string reason;  // "too many denied requests": what the blocked one is told
        Origin origin = Origin::kPenalty;
    };

    explicit PenaltyBox(const Options& options);

    // Nobody is blocked (in shadow does not count).
    [[nodiscard]] bool empty() const { return enforced_.load(std::memory_order_acquire) == 0; }
    [[nodiscard]] std::size_t size() const { return enforced_.load(std::memory_order_acquire); }
    // Changes whenever somebody is blocked; 0: nobody ever was.
    [[nodiscard]] std::uint64_t generation() const { return generation_.load(std::memory_order_acquire); }

    // An event of `subject` was denied. True for exactly the denial that makes it blocked (or that would, in shadow).
    [[nodiscard]] bool count_denial(std::string_view subject, const config::Penalty& penalty, bool shadow,
                                    MonoTime now);

    // Blocks until `until` whatever was said before. False: there is no room.
    bool block(std::string_view subject, MonoTime until, std::string_view reason, MonoTime now);
    // False: it was not blocked.
    bool unblock(std::string_view subject);
    // The block of `subject` that holds at `now`.
    [[nodiscard]] std::optional<Block> find(std::string_view subject, MonoTime now);
    // All that hold at `now`, and those in shadow; in no order.
    [[nodiscard]] std::vector<Block> list(MonoTime now) const;

    // Forgets what has ended: called now and then, so that the last one's end makes the box empty.
    void expire(MonoTime now);
    // Lifts what penalties have blocked, for a configuration without them.
    void lift_penalties();

  private:
    static constexpr std::size_t kOrigins = 3;
    struct HashOf {
        std::size_t operator()(const Hash128& hash) const { return static_cast<std::size_t>(hash.low); }
    };
    using Blocks = std::unordered_map<Hash128, Block, HashOf>;
    using End = std::tuple<MonoTime, std::uint64_t, std::uint64_t>;  // until, and the hash
    struct Shard {
        mutable std::mutex mutex;
        Blocks blocks;
        std::array<std::set<End>, kOrigins> ends;  // of blocks, by origin, the soonest first
    };

    [[nodiscard]] Hash128 hash_of(std::string_view subject) const { return siphash128(hash_key_, subject); }
    [[nodiscard]] Shard& shard_of(const Hash128& hash) const { return shards_[hash.high % shard_count_]; }
    // The lock of the shard is held.
    void erase(Shard& shard, Blocks::iterator block);
    void expire(Shard& shard, MonoTime now);
    [[nodiscard]] bool make_room(Shard& shard, Origin origin, MonoTime now);
    [[nodiscard]] bool enter(Shard& shard, const Hash128& hash, Block block, MonoTime now);

    HashKey hash_key_;
    std::size_t shard_count_;
    std::size_t blocks_of_shard_;
    std::unique_ptr<Shard[]> shards_;
    limit::BucketTable counters_;
    std::atomic<std::size_t> enforced_{0};
    std::atomic<std::uint64_t> generation_{0};
};

}  // namespace weir::gateway
