// Rules, gaps between events and a true log of events, for the tests of this folder.
#pragma once

#include <algorithm>
#include <deque>

#include "base/random.h"
#include "limit/algorithm.h"

namespace weir::limit {

inline BucketRule test_rule(Algorithm algorithm, std::uint64_t count, std::chrono::seconds period) {
    return {{count, period}, algorithm, count, false};
}

inline BucketRule random_rule(Rng& random) {
    BucketRule rule;
    rule.algorithm = static_cast<Algorithm>(random.below(kAlgorithms));
    const std::uint64_t counts[] = {1, 2, 3, random.between(1, 20), random.between(1, 1000), kRateCountMax};
    rule.rate.count = counts[random.below(6)];
    const std::uint64_t periods[] = {
        1, 7, 60, 3600, random.between(1, 100'000), static_cast<std::uint64_t>(kRatePeriodMax.count())};
    rule.rate.period = std::chrono::seconds(periods[random.below(6)]);
    rule.burst = random.one_in(2) ? rule.rate.count : random.between(1, rule.rate.count);
    rule.count_denied = random.one_in(5);
    return rule;
}

// From nothing to a little more than two periods.
inline Nanos random_gap(Rng& random, const BucketRule& rule) {
    const auto period = static_cast<std::uint64_t>(Nanos(rule.rate.period).count());
    switch (random.below(5)) {
        case 0:
            return Nanos(0);
        case 1:
            return Nanos(static_cast<std::int64_t>(random.below(1000)));
        case 2:
            return Nanos(static_cast<std::int64_t>(period / rule.rate.count + random.below(3)));
        case 3:
            return Nanos(static_cast<std::int64_t>(random.below(period / 4)));
        default:
            return Nanos(static_cast<std::int64_t>(random.below(2 * period + 1000)));
    }
}

// When each admitted event came: what the algorithms are measured against.
class EventLog {
  public:
    void add(MonoTime at) { events_.push_back(at); }
    // Events in (end - length, end].
    [[nodiscard]] std::uint64_t in_the_last(Nanos length, MonoTime end) const {
        return static_cast<std::uint64_t>(
            std::count_if(events_.begin(), events_.end(), [&](MonoTime at) { return at > end - length && at <= end; }));
    }
    [[nodiscard]] const std::deque<MonoTime>& events() const { return events_; }

  private:
    std::deque<MonoTime> events_;
};

}  // namespace weir::limit
