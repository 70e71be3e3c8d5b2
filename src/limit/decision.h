// What a bucket says about one event. A denial is a decision, not an error.
//
// Units: events and nanoseconds. On the wire durations are whole seconds, rounded up (`whole_seconds_up`).
// The numbers describe the bucket after the event: an admitted event is already taken from `remaining`.
#pragma once

#include <cstdint>

#include "base/clock.h"

namespace weir::limit {

struct Decision {
    bool allowed = true;
    std::uint64_t limit = 0;      // COUNT of the rate (of GCRA too; its burst shows in `remaining`)
    std::uint64_t remaining = 0;  // what could still be sent now, never negative
    Nanos reset_after{0};         // until the bucket is full again
    // Allowed: until one more event (of cost 1) would be admitted, 0 if it would be now. Denied: until this same event
    // would be, so never 0. An event that costs more than the bucket ever holds can't be admitted at all: it is told
    // to wait one period, so that no client tries again at once.
    Nanos retry_after{0};
    Nanos more_after{0};  // until `remaining` grows: the `t` of the RateLimit field; 0 when full

    friend bool operator==(const Decision&, const Decision&) = default;
};

[[nodiscard]] constexpr std::uint64_t whole_seconds_up(Nanos duration) {
    return duration.count() <= 0 ? 0 : (static_cast<std::uint64_t>(duration.count()) + 999'999'999U) / 1'000'000'000U;
}

}  // namespace weir::limit
