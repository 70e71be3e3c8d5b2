// Stops the waiting for a store that does not answer: after so many failures in a row the breaker is open, and events
// fail at once instead of after `store_timeout`. Meanwhile the store is probed, less and less often; the first probe
// that succeeds closes it.
//
//                  failures_max in a row              probe due
//   +----------+ ------------------------> +--------+ ----------> +---------+
//   |  closed  |                           |  open  |             | probing |
//   +----------+ <------------------------ +--------+ <---------- +---------+
//                  anything that succeeds             it failed: twice as long till the next
//
// No event is spent on a probe: whoever asks the store sends it a question of its own. An answer that comes too late is
// no success, or a store that is slow would be waited for again and again.
//
// Intervals are jittered downwards by up to a quarter, so that many gateways do not probe in step. Pure; time and
// chance are arguments. Not thread-safe.
#pragma once

#include <cstdint>

#include "base/clock.h"
#include "base/random.h"

namespace weir::store {

struct BreakerOptions {
    unsigned failures_max = 5;
    Nanos probe_first = std::chrono::milliseconds(100);
    Nanos probe_most = std::chrono::seconds(5);
};

class Breaker {
  public:
    enum class State : std::uint8_t { kClosed, kOpen, kProbing };

    explicit Breaker(const BreakerOptions& options) : options_(options), interval_(options.probe_first) {}

    [[nodiscard]] State state() const { return state_; }
    [[nodiscard]] bool closed() const { return state_ == State::kClosed; }

    // Something was asked and answered. True: this closed the breaker.
    bool on_success();
    // Something was asked and failed. True: this opened it.
    bool on_failure(MonoTime now, Rng& random);

    // Meaningful while open.
    [[nodiscard]] MonoTime probe_due() const { return probe_due_; }
    // True when it is time: the caller sends a probe, and reports its outcome as any other.
    [[nodiscard]] bool begin_probe(MonoTime now);

    // There is reason to try at once.
    void hurry(MonoTime now) { probe_due_ = now; }

  private:
    void wait(MonoTime now, Rng& random);

    BreakerOptions options_;
    State state_ = State::kClosed;
    unsigned failures_ = 0;
    Nanos interval_;
    MonoTime probe_due_{};
};

// `interval`, less up to a quarter of it.
[[nodiscard]] Nanos jittered(Nanos interval, Rng& random);

}  // namespace weir::store
