#include "naive_limiter.h"

#include <algorithm>

namespace weir::sim {
namespace {

std::uint64_t count_between(const std::vector<std::int64_t>& events, std::int64_t from, std::int64_t to) {
    return static_cast<std::uint64_t>(
        std::count_if(events.begin(), events.end(), [&](std::int64_t at) { return at >= from && at < to; }));
}

}  // namespace

std::uint64_t NaiveLimiter::remaining(const NaiveLimit& limit, State& state, std::int64_t now) {
    const auto period = static_cast<std::int64_t>(limit.period_seconds) * 1'000'000'000;
    std::uint64_t used = 0;
    switch (limit.counting) {
        case Counting::kFixedWindow:
            // A window opens with the event that finds none.
            if (state.events.empty() || now - state.start >= period) {
                state.events.clear();
                state.start = now;
            }
            used = state.events.size();
            return used < limit.count ? limit.count - used : 0;
        case Counting::kSlidingWindow: {
            // Windows lie side by side from the event that found nothing left of the last period.
            while (now - state.start >= period && !state.events.empty()) {
                state.start += period;
                std::erase_if(state.events, [&](std::int64_t at) { return at < state.start - period; });
            }
            if (state.events.empty()) state.start = now;
            const std::uint64_t before = count_between(state.events, state.start - period, state.start);
            const std::uint64_t here = count_between(state.events, state.start, state.start + period);
            const Wide overlap = static_cast<Wide>(before) * (period - (now - state.start));
            used = here + static_cast<std::uint64_t>((overlap + period - 1) / period);
            return used < limit.count ? limit.count - used : 0;
        }
        case Counting::kGcra: {
            // A limit that has another count keeps the events, and drains them at its own pace.
            if (state.count != 0 && state.count != limit.count) {
                const Wide events =
                    std::max<Wide>(0, state.full_at - static_cast<Wide>(now) * static_cast<Wide>(state.count));
                const Wide most = static_cast<Wide>(limit.burst) * period;
                state.full_at = static_cast<Wide>(now) * static_cast<Wide>(limit.count) + std::min(events, most);
            }
            state.count = limit.count;
            const Wide scaled = static_cast<Wide>(now) * static_cast<Wide>(limit.count);
            const Wide behind = std::max<Wide>(0, state.full_at - scaled);
            const Wide room = static_cast<Wide>(limit.burst) * period - behind;
            return room <= 0 ? 0 : static_cast<std::uint64_t>(room / period);
        }
    }
    return 0;
}

void NaiveLimiter::add(const NaiveLimit& limit, State& state, std::int64_t now) {
    if (limit.counting == Counting::kGcra) {
        const Wide scaled = static_cast<Wide>(now) * static_cast<Wide>(limit.count);
        const Wide period = static_cast<Wide>(limit.period_seconds) * 1'000'000'000;
        const Wide most = scaled + period * static_cast<Wide>(limit.burst);
        state.full_at = std::min(std::max(state.full_at, scaled) + period, most);
    } else if (count_between(state.events, state.start, now + 1) < limit.count) {
        state.events.push_back(now);
    }
}

std::vector<NaiveLimiter::Answer> NaiveLimiter::take(const std::vector<Bucket>& buckets, MonoTime time) {
    const std::int64_t now = time.time_since_epoch().count();
    std::vector<Answer> answers;
    bool all = true;
    for (const Bucket& bucket : buckets) {
        const std::uint64_t left = remaining(*bucket.limit, states_[bucket.limit->name + " " + bucket.subject], now);
        answers.push_back({left > 0, left});
        all = all && left > 0;
    }
    for (std::size_t i = 0; i < buckets.size(); ++i) {
        const NaiveLimit& limit = *buckets[i].limit;
        if (!all && !limit.count_denied) continue;
        State& state = states_[limit.name + " " + buckets[i].subject];
        add(limit, state, now);
        answers[i].remaining = remaining(limit, state, now);
    }
    return answers;
}

}  // namespace weir::sim
