#include "gateway/jwks_source.h"

#include <algorithm>

namespace weir::gateway {
namespace {

constexpr Nanos kGiveUp = kJwksTimeout + std::chrono::seconds(1);

JwksCells cells_in(metrics::Registry& registry) {
    const auto cell = [&](std::string_view outcome) { return registry.cell(metrics::Family::kJwksFetches, {outcome}); };
    return {.fetched = cell(metrics::label::kFetched),
            .timeout = cell(metrics::label::kTimeout),
            .unreachable = cell(metrics::label::kUnreachable),
            .unusable = cell(metrics::label::kUnusable)};
}

// Doubled with each failure in a row.
Nanos retry_after(unsigned failures) {
    constexpr unsigned kDoublingsMax = 6;
    const Nanos doubled = std::chrono::seconds(1) * (1U << std::min(failures - 1, kDoublingsMax));
    return std::min(doubled, kJwksRetryMost);
}

}  // namespace

JwksSource::JwksSource(const config::RemoteJwks& options, metrics::Registry& registry)
    : options_(options), cells_(cells_in(registry)) {}

bool JwksSource::serves(const config::RemoteJwks& options) const {
    return options.address == options_.address && options.target == options_.target;
}

std::shared_ptr<const protocol::jwt::KeySet> JwksSource::keys() const {
    const std::lock_guard lock(mutex_);
    return keys_;
}

bool JwksSource::fetching(MonoTime now) const {
    return fetching_ && now - *begun_ < kGiveUp;
}

void JwksSource::begin(MonoTime now) {
    fetching_ = true;
    begun_ = now;
}

bool JwksSource::claim(MonoTime now, Nanos refresh) {
    const std::lock_guard lock(mutex_);
    if (fetching(now)) return false;
    if (begun_) {
        const Nanos again = failures_ == 0     ? refresh
                            : keys_ != nullptr ? std::min(refresh, kJwksRetryMost)
                                               : retry_after(failures_);
        if (now - *begun_ < again) return false;
    }
    begin(now);
    return true;
}

JwksSource::Wait JwksSource::wait(const LookupWaiter& waiter, MonoTime now) {
    const std::lock_guard lock(mutex_);
    if (waiters_.size() >= kKeyWaitersMax) return {};
    const bool under_way = fetching(now);
    if (!under_way) {
        // Without any keys the fetches follow each other by their own schedule.
        if (keys_ == nullptr || (unknown_asked_ && now - *unknown_asked_ < kUnknownKeyApart)) return {};
        unknown_asked_ = now;
        begin(now);
    }
    waiters_.push_back(waiter);
    return {.waits = true, .claimed = !under_way};
}

std::vector<LookupWaiter> JwksSource::finish(std::shared_ptr<const protocol::jwt::KeySet> keys, std::string_view why) {
    const std::lock_guard lock(mutex_);
    fetching_ = false;
    if (keys != nullptr) {
        keys_ = std::move(keys);
        failures_ = 0;
        why_.clear();
    } else {
        ++failures_;
        why_ = why;
    }
    return std::exchange(waiters_, {});
}

std::optional<std::string> JwksSource::failing() const {
    const std::lock_guard lock(mutex_);
    if (failures_ > 0) return why_;
    return keys_ == nullptr ? std::optional<std::string>("it has not answered yet") : std::nullopt;
}

}  // namespace weir::gateway
