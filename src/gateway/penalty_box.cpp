#include "gateway/penalty_box.h"

#include <algorithm>

#include "base/error.h"

namespace weir::gateway {
namespace {

constexpr std::size_t kShardsMax = 16;
// Below this a shard is so small that chance fills one while others have room.
constexpr std::size_t kBlocksPerShardMin = 256;

std::size_t index_of(PenaltyBox::Origin origin) {
    return static_cast<std::size_t>(origin);
}

// Later than any block may end, and not so late that the clock's arithmetic overflows.
MonoTime end_of(MonoTime now, Nanos block_for) {
    return block_for > MonoTime::max() - now ? MonoTime::max() : now + block_for;
}

std::string shortened(std::string_view subject) {
    if (subject.size() <= kBlockedSubjectBytesMax) return std::string(subject);
    std::size_t end = kBlockedSubjectBytesMax;
    while (end > 0 && (static_cast<unsigned char>(subject[end]) & 0xC0U) == 0x80U) --end;
    return std::string(subject.substr(0, end));
}

}  // namespace

PenaltyBox::PenaltyBox(const Options& options)
    : hash_key_(options.hash_key),
      shard_count_(std::clamp<std::size_t>(options.blocks_max / kBlocksPerShardMin, 1, kShardsMax)),
      blocks_of_shard_(std::max<std::size_t>(options.blocks_max / shard_count_, 1)),
      shards_(std::make_unique<Shard[]>(shard_count_)),
      counters_({.buckets_max = options.counters_max}) {}

bool PenaltyBox::count_denial(std::string_view subject, const config::Penalty& penalty, bool shadow, MonoTime now) {
    const Hash128 hash = hash_of(subject);
    Shard& shard = shard_of(hash);
    // Held while the counter is asked too, so that of many threads' denials one is the last.
    const std::lock_guard lock(shard.mutex);
    if (const auto known = shard.blocks.find(hash); known != shard.blocks.end()) {
        const bool holds = known->second.until > now && (known->second.origin != Origin::kShadow || shadow);
        if (holds) return false;
        erase(shard, known);
    }
    limit::BucketRule rule;
    rule.rate = penalty.after;
    rule.algorithm = limit::Algorithm::kFixedWindow;
    rule.burst = penalty.after.count;
    const limit::Take take{.bucket = hash, .rule = &rule};
    limit::Decision decision;
    if (counters_.take_now(std::span(&take, 1), now, std::span(&decision, 1))) return false;
    const bool entered = enter(shard, hash,
                               {.subject = shortened(subject),
                                .until = end_of(now, penalty.block_for),
                                .reason = "too many denied requests",
                                .origin = shadow ? Origin::kShadow : Origin::kPenalty},
                               now);
    if (entered) counters_.reset(hash);
    return entered;
}

bool PenaltyBox::block(std::string_view subject, MonoTime until, std::string_view reason, MonoTime now) {
    const Hash128 hash = hash_of(subject);
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    return enter(
        shard, hash,
        {.subject = shortened(subject), .until = until, .reason = std::string(reason), .origin = Origin::kOperator},
        now);
}

bool PenaltyBox::unblock(std::string_view subject) {
    const Hash128 hash = hash_of(subject);
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    const auto known = shard.blocks.find(hash);
    if (known == shard.blocks.end()) return false;
    erase(shard, known);
    return true;
}

std::optional<PenaltyBox::Block> PenaltyBox::find(std::string_view subject, MonoTime now) {
    if (empty()) return std::nullopt;
    const Hash128 hash = hash_of(subject);
    Shard& shard = shard_of(hash);
    const std::lock_guard lock(shard.mutex);
    const auto known = shard.blocks.find(hash);
    if (known == shard.blocks.end() || known->second.origin == Origin::kShadow) return std::nullopt;
    if (known->second.until > now) return known->second;
    erase(shard, known);
    return std::nullopt;
}

std::vector<PenaltyBox::Block> PenaltyBox::list(MonoTime now) const {
    std::vector<Block> all;
    for (std::size_t i = 0; i < shard_count_; ++i) {
        const std::lock_guard lock(shards_[i].mutex);
        for (const auto& [hash, block] : shards_[i].blocks) {
            if (block.until > now) all.push_back(block);
        }
    }
    return all;
}

void PenaltyBox::expire(MonoTime now) {
    for (std::size_t i = 0; i < shard_count_; ++i) {
        const std::lock_guard lock(shards_[i].mutex);
        expire(shards_[i], now);
    }
}

void PenaltyBox::lift_penalties() {
    for (std::size_t i = 0; i < shard_count_; ++i) {
        Shard& shard = shards_[i];
        const std::lock_guard lock(shard.mutex);
        for (const Origin origin : {Origin::kShadow, Origin::kPenalty}) {
            const std::set<End>& ends = shard.ends[index_of(origin)];
            while (!ends.empty()) {
                const auto& [until, low, high] = *ends.begin();
                erase(shard, shard.blocks.find({low, high}));
            }
        }
    }
}

void PenaltyBox::erase(Shard& shard, Blocks::iterator block) {
    WEIR_ASSERT(block != shard.blocks.end());
    const auto& [hash, what] = *block;
    shard.ends[index_of(what.origin)].erase({what.until, hash.low, hash.high});
    if (what.origin != Origin::kShadow) enforced_.fetch_sub(1, std::memory_order_release);
    shard.blocks.erase(block);
}

void PenaltyBox::expire(Shard& shard, MonoTime now) {
    for (const std::set<End>& ends : shard.ends) {
        while (!ends.empty() && std::get<MonoTime>(*ends.begin()) <= now) {
            const auto& [until, low, high] = *ends.begin();
            erase(shard, shard.blocks.find({low, high}));
        }
    }
}

// What is in shadow never displaces what holds.
bool PenaltyBox::make_room(Shard& shard, Origin origin, MonoTime now) {
    if (shard.blocks.size() < blocks_of_shard_) return true;
    expire(shard, now);
    for (const Origin weaker : {Origin::kShadow, Origin::kPenalty}) {
        if (shard.blocks.size() < blocks_of_shard_) return true;
        const std::set<End>& ends = shard.ends[index_of(weaker)];
        if (weaker > origin || ends.empty()) continue;
        const auto& [until, low, high] = *ends.begin();
        erase(shard, shard.blocks.find({low, high}));
    }
    return shard.blocks.size() < blocks_of_shard_;
}

bool PenaltyBox::enter(Shard& shard, const Hash128& hash, Block block, MonoTime now) {
    if (const auto known = shard.blocks.find(hash); known != shard.blocks.end()) erase(shard, known);
    if (!make_room(shard, block.origin, now)) return false;
    const bool enforced = block.origin != Origin::kShadow;
    shard.ends[index_of(block.origin)].insert({block.until, hash.low, hash.high});
    shard.blocks.emplace(hash, std::move(block));
    if (enforced) {
        // Whoever sees the new generation finds the block: its lock is ours until it stands there.
        enforced_.fetch_add(1, std::memory_order_release);
        generation_.fetch_add(1, std::memory_order_release);
    }
    return true;
}

}  // namespace weir::gateway
