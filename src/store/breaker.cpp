#include "store/breaker.h"

#include <algorithm>

namespace weir::store {

Nanos jittered(Nanos interval, Rng& random) {
    const auto quarter = static_cast<std::uint64_t>(interval.count()) / 4;
    return interval - Nanos(static_cast<Nanos::rep>(random.below(quarter + 1)));
}

bool Breaker::on_success() {
    const bool was_closed = closed();
    state_ = State::kClosed;
    failures_ = 0;
    interval_ = options_.probe_first;
    return !was_closed;
}

bool Breaker::on_failure(MonoTime now, Rng& random) {
    switch (state_) {
        case State::kClosed:
            if (++failures_ < options_.failures_max) return false;
            state_ = State::kOpen;
            wait(now, random);
            return true;
        case State::kProbing:
            state_ = State::kOpen;
            interval_ = std::min(2 * interval_, options_.probe_most);
            wait(now, random);
            return false;
        case State::kOpen:  // of what was asked before it opened
            return false;
    }
    return false;
}

void Breaker::wait(MonoTime now, Rng& random) {
    probe_due_ = now + jittered(interval_, random);
}

bool Breaker::begin_probe(MonoTime now) {
    if (state_ != State::kOpen || now < probe_due_) return false;
    state_ = State::kProbing;
    return true;
}

}  // namespace weir::store
