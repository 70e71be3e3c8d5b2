#include "gateway/lookup_cache.h"

#include <algorithm>

namespace weir::gateway {
namespace {

using identity::LookupAnswer;
using Kind = LookupAnswer::Kind;
using metrics::Family;

constexpr std::array<Kind, 3> kKindsByWorth{Kind::kFailed, Kind::kAnonymous, Kind::kUser};

LookupCells cells_of(metrics::Registry& registry) {
    const auto cell = [&](std::string_view outcome) { return registry.cell(Family::kLookups, {outcome}); };
    return {.hit = cell(metrics::label::kHit),
            .failure_kept = cell(metrics::label::kFailureKept),
            .shared = cell(metrics::label::kShared),
            .user = cell(metrics::label::kUser),
            .anonymous = cell(metrics::label::kAnonymous),
            .timeout = cell(metrics::label::kTimeout),
            .unreachable = cell(metrics::label::kUnreachable),
            .unusable = cell(metrics::label::kUnusable),
            .seconds = registry.cell(Family::kLookupSeconds, {})};
}

}  // namespace

LookupCache::LookupCache(const config::Lookup& options, std::shared_ptr<const policy::LimitTable> limits,
                         metrics::Registry& registry)
    : options_(options),
      limits_(std::move(limits)),
      cells_(cells_of(registry)),
      entries_per_shard_(std::max<std::size_t>(1, static_cast<std::size_t>(options.entries_max) / kShards)) {}

bool LookupCache::serves(const config::Lookup& options, const policy::LimitTable& limits) const {
    return options == options_ &&
           std::ranges::equal(limits.tiers(), limits_->tiers(), {}, &policy::TierSpec::name, &policy::TierSpec::name);
}

LookupCache::Found LookupCache::find(const Hash128& key, const LookupWaiter& waiter, MonoTime now) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    Entry& entry = shard.entries[key];
    const bool asked = entry.asking && now - entry.asking_since < options_.timeout + kLookupGiveUp;
    const auto begin = [&] {
        entry.asking = true;
        entry.asking_since = now;
        entry.ticket = ++shard.tickets;
        return entry.ticket;
    };
    if (entry.answered && now < entry.expires) {
        Found found{.answer = entry.answer, .ticket = std::nullopt};
        if (!asked && now >= entry.refresh_at) found.ticket = begin();
        return found;
    }
    if (entry.answered) drop_answer(shard, entry);
    entry.waiters.push_back(waiter);
    if (asked) return {};
    return {.answer = std::nullopt, .ticket = begin()};
}

std::vector<LookupWaiter> LookupCache::finish(const Hash128& key, std::uint64_t ticket, const LookupAnswer& answer,
                                              MonoTime asked, MonoTime now) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto at = shard.entries.find(key);
    if (at == shard.entries.end() || !at->second.asking || at->second.ticket != ticket) return {};
    Entry& entry = at->second;
    entry.asking = false;
    std::vector<LookupWaiter> waiters = std::move(entry.waiters);
    entry.waiters.clear();
    if (answer.kind == Kind::kFailed && entry.answered && now < entry.expires) {
        entry.refresh_at = now + kLookupFailureKept;  // what was known holds to its end
        return waiters;
    }
    const MonoTime expires = answer.kind == Kind::kFailed ? now + kLookupFailureKept : asked + options_.cache;
    if (entry.answered) drop_answer(shard, entry);
    if (expires > now) {
        keep(shard, key, entry, answer, expires, now);
    } else {
        shard.entries.erase(at);
    }
    return waiters;
}

void LookupCache::keep(Shard& shard, const Hash128& key, Entry& entry, const LookupAnswer& answer, MonoTime expires,
                       MonoTime now) {
    entry.answer = answer;
    entry.answered = true;
    entry.expires = expires;
    // A failure is not asked for ahead: that is what it is kept for.
    entry.refresh_at = answer.kind == Kind::kFailed ? expires : expires - options_.cache / 10;
    auto& order = shard.order[static_cast<std::size_t>(answer.kind)];
    entry.place = order.insert(order.end(), key);
    ++shard.answered;
    make_room(shard, now);
}

void LookupCache::make_room(Shard& shard, MonoTime now) const {
    for (const Kind kind : kKindsByWorth) {
        for (std::size_t i = 0; i < kSweepPerAnswer && drop_oldest(shard, kind, now, true); ++i) {
        }
    }
    for (const Kind kind : kKindsByWorth) {
        while (shard.answered > entries_per_shard_ && drop_oldest(shard, kind, now, false)) {
        }
    }
}

bool LookupCache::drop_oldest(Shard& shard, Kind kind, MonoTime now, bool only_expired) {
    const auto& order = shard.order[static_cast<std::size_t>(kind)];
    if (order.empty()) return false;
    const auto at = shard.entries.find(order.front());
    WEIR_ASSERT(at != shard.entries.end());
    if (only_expired && now < at->second.expires) return false;
    drop_answer(shard, at->second);
    if (!at->second.asking && at->second.waiters.empty()) shard.entries.erase(at);
    return true;
}

void LookupCache::drop_answer(Shard& shard, Entry& entry) {
    shard.order[static_cast<std::size_t>(entry.answer.kind)].erase(entry.place);
    entry.answered = false;
    entry.answer = {};
    --shard.answered;
}

void LookupCache::forget(const Hash128& key, const LookupWaiter& waiter) {
    Shard& shard = shard_of(key);
    const std::lock_guard lock(shard.mutex);
    const auto at = shard.entries.find(key);
    if (at != shard.entries.end()) std::erase(at->second.waiters, waiter);
}

std::optional<std::uint64_t> LookupCache::may_log(MonoTime now, Nanos interval) {
    const std::lock_guard lock(log_mutex_);
    if (logged_ && now - *logged_ < interval) {
        ++left_out_;
        return std::nullopt;
    }
    logged_ = now;
    return std::exchange(left_out_, 0);
}

std::size_t LookupCache::size() const {
    std::size_t sum = 0;
    for (const Shard& shard : shards_) {
        const std::lock_guard lock(shard.mutex);
        sum += shard.answered;
    }
    return sum;
}

}  // namespace weir::gateway
