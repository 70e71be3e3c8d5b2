// Exact arithmetic of the algorithms: differences of times and products of counts and times, wide enough.
//
// Bounds: counts are at most kRateCountMax (< 2^30), periods at most 366 days (< 2^55 ns), differences of two times
// less than 2^64: every product of a count and a time is below 2^95.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "base/clock.h"
#include "base/random.h"
#include "limit/rate.h"

namespace weir::limit {

__extension__ using SignedWide = __int128;

static_assert(kRateCountMax < (std::uint64_t{1} << 30U));
static_assert(std::chrono::duration_cast<Nanos>(kRatePeriodMax).count() < (std::int64_t{1} << 55U));

inline std::uint64_t period_nanos(std::chrono::seconds period) {
    return static_cast<std::uint64_t>(std::chrono::duration_cast<Nanos>(period).count());
}

inline std::int64_t time_nanos(MonoTime time) {
    return time.time_since_epoch().count();
}

inline SignedWide elapsed(std::int64_t since, MonoTime now) {
    return static_cast<SignedWide>(time_nanos(now)) - since;
}

// Most quotients have small numerators: one 64-bit division is several times cheaper than the wide one.
inline Wide divide_down(Wide numerator, std::uint64_t denominator) {
    if ((numerator >> 64U) == 0) return static_cast<std::uint64_t>(numerator) / denominator;
    return numerator / denominator;
}
inline Wide divide_up(Wide numerator, std::uint64_t denominator) {
    return divide_down(numerator + (denominator - 1), denominator);
}

inline Nanos to_nanos(Wide value) {
    constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    return Nanos(static_cast<std::int64_t>(value < kMax ? static_cast<std::uint64_t>(value) : kMax));
}

// now + after, at most the last representable time.
inline std::int64_t time_after(MonoTime now, Nanos after) {
    std::int64_t sum = 0;
    if (__builtin_add_overflow(time_nanos(now), after.count(), &sum)) return std::numeric_limits<std::int64_t>::max();
    return sum;
}

}  // namespace weir::limit
