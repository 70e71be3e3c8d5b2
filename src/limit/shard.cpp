#include "limit/shard.h"

#include <algorithm>

#include "base/error.h"
#include "limit/exact.h"

namespace weir::limit {
namespace {

bool expired(const Slot& slot, MonoTime now) {
    return slot.full_at <= time_nanos(now);
}

// How much of a bucket is used up, as a fraction that is compared without dividing.
struct Share {
    std::uint64_t used = 0;
    std::uint64_t of = 1;
    std::int64_t full_at = 0;

    friend bool operator<(const Share& a, const Share& b) {
        const Wide left = static_cast<Wide>(a.used) * b.of;
        const Wide right = static_cast<Wide>(b.used) * a.of;
        return left != right ? left < right : a.full_at < b.full_at;
    }
};

Share share_of(const Slot& slot, MonoTime now) {
    return {used(slot.state, now), capacity(slot.rule()), slot.full_at};
}

}  // namespace

BucketRule Slot::rule() const {
    return {{count, std::chrono::seconds(state.period_seconds)}, state.algorithm, burst, false};
}

void Slot::remember(const BucketRule& rule, MonoTime now, Nanos reset_after) {
    full_at = time_after(now, reset_after);
    count = static_cast<std::uint32_t>(rule.rate.count);
    burst = static_cast<std::uint32_t>(rule.burst);
}

void Shard::init(std::span<Slot> zeroed, std::uint64_t used_max) {
    WEIR_ASSERT(used_max < zeroed.size());
    slots_ = zeroed;
    used_max_ = used_max;
}

std::uint64_t Shard::home(const Hash128& bucket) const {
    return static_cast<std::uint64_t>((static_cast<Wide>(bucket.low) * slots_.size()) >> 64U);
}

Slot* Shard::find(const Hash128& bucket) const {
    for (std::uint64_t i = home(bucket); slots_[i].occupied(); i = after(i)) {
        if (slots_[i].bucket == bucket) return &slots_[i];
    }
    return nullptr;
}

Slot& Shard::insert(const Hash128& bucket, MonoTime now, std::span<const Take> kept) {
    sweep(now);
    std::uint64_t at = home(bucket);
    while (slots_[at].occupied() && !expired(slots_[at], now)) at = after(at);
    if (!slots_[at].occupied()) {
        if (size() == used_max_) {
            evict(now, kept);
            // Slots have moved: what was reachable before may now be closer to its home.
            for (at = home(bucket); slots_[at].occupied(); at = after(at)) {
            }
        }
        set_used(size() + 1);
    }
    slots_[at] = Slot{};
    slots_[at].bucket = bucket;
    return slots_[at];
}

void Shard::erase(Slot& slot) {
    auto hole = static_cast<std::uint64_t>(&slot - slots_.data());
    // Each bucket behind the hole, up to the end of the run, moves into it unless its home lies between.
    for (std::uint64_t i = after(hole); slots_[i].occupied(); i = after(i)) {
        const std::uint64_t start = home(slots_[i].bucket);
        const bool home_between = hole < i ? hole < start && start <= i : hole < start || start <= i;
        if (home_between) continue;
        slots_[hole] = slots_[i];
        hole = i;
    }
    slots_[hole] = Slot{};
    set_used(size() - 1);
}

void Shard::sweep(MonoTime now) {
    for (unsigned i = 0; i < kSweepPerInsertion; ++i) {
        Slot& slot = slots_[hand_];
        // An erased slot may have been filled from behind: the hand looks at it again.
        if (slot.occupied() && expired(slot, now)) {
            erase(slot);
        } else {
            hand_ = after(hand_);
        }
    }
}

void Shard::evict(MonoTime now, std::span<const Take> kept) {
    const auto is_kept = [&](const Slot& slot) {
        return std::any_of(kept.begin(), kept.end(), [&](const Take& take) { return take.bucket == slot.bucket; });
    };
    Slot* fullest = nullptr;
    Share least;
    unsigned seen = 0;
    for (std::uint64_t looked = 0; looked < slots_.size() && seen < kEvictionSample; ++looked) {
        Slot& slot = slots_[hand_];
        hand_ = after(hand_);
        if (!slot.occupied() || is_kept(slot)) continue;
        if (expired(slot, now)) {
            erase(slot);
            return;
        }
        ++seen;
        if (const Share share = share_of(slot, now); fullest == nullptr || share < least) {
            fullest = &slot;
            least = share;
        }
    }
    WEIR_ASSERT(fullest != nullptr);  // a shard holds more buckets than an event has
    erase(*fullest);
    evictions_.store(evictions() + 1, std::memory_order_relaxed);
}

void Shard::copy_used(MonoTime now, std::vector<StoredBucket>& out) const {
    for (const Slot& slot : slots_) {
        if (!slot.occupied() || expired(slot, now)) continue;
        out.push_back({slot.bucket, slot.state, slot.count, slot.burst});
    }
}

}  // namespace weir::limit
