#include "limit/table.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdlib>

#include "base/error.h"
#include "base/limits.h"
#include "limit/shard.h"

namespace weir::limit {
namespace {

// Below this a shard is so small that chance fills one while others have room.
constexpr std::uint64_t kBucketsPerShardMin = 1024;
static_assert(kTableBucketsMin > kBucketsPerEventMax);

unsigned shards_for(std::uint64_t buckets_max, unsigned wanted) {
    const std::uint64_t sensible = std::max<std::uint64_t>(buckets_max / kBucketsPerShardMin, 1);
    return static_cast<unsigned>(std::bit_floor(std::min<std::uint64_t>(sensible, std::max(wanted, 1U))));
}

}  // namespace

struct BucketTable::Impl {
    explicit Impl(const TableOptions& options)
        : buckets_max(std::max(options.buckets_max, kTableBucketsMin)),
          shard_count(shards_for(buckets_max, options.shards)),
          shards(std::make_unique<Shard[]>(shard_count)) {
        for (unsigned i = 0; i < shard_count; ++i) slot_count += Shard::slots_for(share_of_shard(i));
        // calloc gives a large block as fresh pages of the system, which are zero and cost nothing until touched.
        const std::uint64_t bytes = memory_of_slots();
        memory = std::calloc(bytes / sizeof(Slot), sizeof(Slot));
        WEIR_ASSERT(memory != nullptr);
        void* aligned = memory;
        std::size_t space = bytes;
        WEIR_ASSERT(std::align(sizeof(Slot), slot_count * sizeof(Slot), aligned, space) != nullptr);
        auto* next = static_cast<Slot*>(aligned);
        for (unsigned i = 0; i < shard_count; ++i) {
            const std::uint64_t slots = Shard::slots_for(share_of_shard(i));
            shards[i].init({next, slots}, share_of_shard(i));
            next += slots;
        }
    }
    ~Impl() { std::free(memory); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    [[nodiscard]] std::uint64_t share_of_shard(unsigned shard) const {
        return buckets_max / shard_count + (shard < buckets_max % shard_count ? 1 : 0);
    }
    [[nodiscard]] std::uint64_t memory_of_slots() const { return (slot_count + 1) * sizeof(Slot); }
    [[nodiscard]] Shard& shard_of(const Hash128& bucket) const { return shards[bucket.high & (shard_count - 1)]; }

    bool take_one(const Take& take, MonoTime now, Decision& decision);
    bool take_all(std::span<const Take> takes, MonoTime now, std::span<Decision> decisions);

    std::uint64_t buckets_max;
    unsigned shard_count;
    std::unique_ptr<Shard[]> shards;
    std::uint64_t slot_count = 0;
    void* memory = nullptr;
};

namespace {

// The shards of an event, locked in ascending order of their addresses, each once.
class ShardLocks {
  public:
    template <typename ShardOf>
    ShardLocks(std::span<const Take> takes, ShardOf&& shard_of) {
        for (const Take& take : takes) shards_[count_++] = &shard_of(take.bucket);
        std::sort(shards_.begin(), shards_.begin() + count_);
        count_ = static_cast<std::size_t>(std::unique(shards_.begin(), shards_.begin() + count_) - shards_.begin());
        for (std::size_t i = 0; i < count_; ++i) shards_[i]->lock.lock();
    }
    ~ShardLocks() {
        for (std::size_t i = count_; i > 0; --i) shards_[i - 1]->lock.unlock();
    }
    ShardLocks(const ShardLocks&) = delete;
    ShardLocks& operator=(const ShardLocks&) = delete;

  private:
    std::array<Shard*, kBucketsPerEventMax> shards_{};
    std::size_t count_ = 0;
};

class ShardLock {
  public:
    explicit ShardLock(const Shard& shard) : shard_(shard) { shard_.lock.lock(); }
    ~ShardLock() { shard_.lock.unlock(); }
    ShardLock(const ShardLock&) = delete;
    ShardLock& operator=(const ShardLock&) = delete;

  private:
    const Shard& shard_;
};

using StepFunction = Decision (*)(const BucketRule&, BucketState&, MonoTime, std::uint64_t);

// Runs `step` on the bucket of `take`, and keeps what it did. A bucket that stays full needs no slot.
Decision step_in(Shard& shard, const Take& take, MonoTime now, std::span<const Take> event, StepFunction step) {
    if (Slot* slot = shard.find(take.bucket); slot != nullptr) {
        const Decision decision = step(*take.rule, slot->state, now, take.cost);
        slot->remember(*take.rule, now, decision.reset_after);
        return decision;
    }
    BucketState fresh;
    const Decision decision = step(*take.rule, fresh, now, take.cost);
    if (decision.reset_after > Nanos(0)) {
        Slot& slot = shard.insert(take.bucket, now, event);
        slot.state = fresh;
        slot.remember(*take.rule, now, decision.reset_after);
    }
    return decision;
}

Decision look_in(const Shard& shard, const Take& take, MonoTime now) {
    const Slot* slot = shard.find(take.bucket);
    return would_take(*take.rule, slot != nullptr ? slot->state : BucketState{}, now, take.cost);
}

void check_event(std::span<const Take> takes, std::span<Decision> decisions) {
    WEIR_ASSERT(takes.size() == decisions.size() && takes.size() <= kBucketsPerEventMax);
    for (std::size_t i = 1; i < takes.size(); ++i) {
        for (std::size_t j = 0; j < i; ++j) WEIR_ASSERT(takes[i].bucket != takes[j].bucket);
    }
}

}  // namespace

bool BucketTable::Impl::take_one(const Take& take, MonoTime now, Decision& decision) {
    Shard& shard = shard_of(take.bucket);
    const ShardLock lock(shard);
    decision = step_in(shard, take, now, {&take, 1}, limit::take);
    return decision.allowed;
}

bool BucketTable::Impl::take_all(std::span<const Take> takes, MonoTime now, std::span<Decision> decisions) {
    const ShardLocks locks(takes, [this](const Hash128& bucket) -> Shard& { return shard_of(bucket); });
    bool all = true;
    for (std::size_t i = 0; i < takes.size(); ++i) {
        decisions[i] = look_in(shard_of(takes[i].bucket), takes[i], now);
        all = all && decisions[i].allowed;
    }
    const StepFunction step = all ? limit::take : limit::refuse;
    for (std::size_t i = 0; i < takes.size(); ++i) {
        decisions[i] = step_in(shard_of(takes[i].bucket), takes[i], now, takes, step);
    }
    return all;
}

BucketTable::BucketTable(TableOptions options) : impl_(std::make_unique<Impl>(options)) {}
BucketTable::~BucketTable() = default;

bool BucketTable::take_now(std::span<const Take> takes, MonoTime now, std::span<Decision> decisions) {
    check_event(takes, decisions);
    if (takes.size() == 1) return impl_->take_one(takes[0], now, decisions[0]);
    return impl_->take_all(takes, now, decisions);
}

bool BucketTable::peek_now(std::span<const Take> takes, MonoTime now, std::span<Decision> decisions) const {
    check_event(takes, decisions);
    const ShardLocks locks(takes, [this](const Hash128& bucket) -> Shard& { return impl_->shard_of(bucket); });
    bool all = true;
    for (std::size_t i = 0; i < takes.size(); ++i) {
        decisions[i] = look_in(impl_->shard_of(takes[i].bucket), takes[i], now);
        all = all && decisions[i].allowed;
    }
    return all;
}

std::optional<Result<void>> BucketTable::take(std::span<const Take> takes, MonoTime now, std::span<Decision> decisions,
                                              TakeWaiter&) {
    take_now(takes, now, decisions);
    return Result<void>{};
}

std::optional<Result<void>> BucketTable::peek(std::span<const Take> takes, MonoTime now, std::span<Decision> decisions,
                                              TakeWaiter&) {
    peek_now(takes, now, decisions);
    return Result<void>{};
}

void BucketTable::reset(const Hash128& bucket) {
    Shard& shard = impl_->shard_of(bucket);
    const ShardLock lock(shard);
    if (Slot* slot = shard.find(bucket); slot != nullptr) shard.erase(*slot);
}

std::uint64_t BucketTable::size() const {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < impl_->shard_count; ++i) sum += impl_->shards[i].size();
    return sum;
}

std::uint64_t BucketTable::buckets_max() const {
    return impl_->buckets_max;
}

std::uint64_t BucketTable::evictions() const {
    std::uint64_t sum = 0;
    for (unsigned i = 0; i < impl_->shard_count; ++i) sum += impl_->shards[i].evictions();
    return sum;
}

std::uint64_t BucketTable::memory_bytes() const {
    return impl_->memory_of_slots() + impl_->shard_count * sizeof(Shard) + sizeof(Impl);
}

unsigned BucketTable::shards() const {
    return impl_->shard_count;
}

void BucketTable::copy_shard(unsigned shard, MonoTime now, std::vector<StoredBucket>& out) const {
    WEIR_ASSERT(shard < impl_->shard_count);
    const Shard& source = impl_->shards[shard];
    out.reserve(out.size() + source.used_max());  // not while the lock is held
    const ShardLock lock(source);
    source.copy_used(now, out);
}

void BucketTable::put_back(const StoredBucket& stored, MonoTime now) {
    const BucketRule rule = {
        {stored.count, std::chrono::seconds(stored.state.period_seconds)}, stored.state.algorithm, stored.burst, false};
    const Decision decision = would_take(rule, stored.state, now, 1);
    if (decision.reset_after == Nanos(0)) return;
    Shard& shard = impl_->shard_of(stored.bucket);
    const ShardLock lock(shard);
    if (shard.find(stored.bucket) != nullptr) return;
    Slot& slot = shard.insert(stored.bucket, now, {});
    slot.state = stored.state;
    slot.remember(rule, now, decision.reset_after);
}

}  // namespace weir::limit
