// A rate: COUNT events in a PERIOD, as people write it: "30/m", "5/10s", "3/h", "1000/d".
//
// Units: `count` is events, 1 to kRateCountMax; `period` whole seconds, 1 s to kRatePeriodMax.
// Pure and thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::limit {

inline constexpr std::uint64_t kRateCountMax = 1'000'000'000;
inline constexpr std::chrono::seconds kRatePeriodMax = std::chrono::hours(24 * 366);

struct Rate {
    std::uint64_t count = 1;
    std::chrono::seconds period{1};
    friend bool operator==(const Rate&, const Rate&) = default;
};

// "COUNT/PERIOD"; PERIOD is [N]s, [N]m, [N]h or [N]d. kInvalidArgument with the expected form otherwise.
[[nodiscard]] Result<Rate> parse_rate(std::string_view text);

// The shortest form that parse_rate reads back: 60 s is "m", 120 s is "2m", 90 s is "90s".
[[nodiscard]] std::string format_rate(const Rate& rate);

// The period in words, as a limited client reads it: "second", "minute", "hour", "day", else "10 seconds", "2 hours".
[[nodiscard]] std::string period_words(std::chrono::seconds period);

// True when `a` admits less than `b` in the long run (count / period; on a tie, the smaller count).
[[nodiscard]] bool stricter(const Rate& a, const Rate& b);

}  // namespace weir::limit
