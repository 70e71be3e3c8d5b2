// Time is an argument. The pure layers take a `MonoTime` (or `WallTime`) from their caller; only main() makes a
// SystemClock, tests and the simulation a ManualClock.
//
// Monotonic inside; wall time only where the world sees it: token expiry, snapshots, log lines.
// Thread-safety: SystemClock any thread; ManualClock one thread.
#pragma once

#include <chrono>

namespace weir {

using Nanos = std::chrono::nanoseconds;
using MonoTime = std::chrono::time_point<std::chrono::steady_clock, Nanos>;
using WallTime = std::chrono::time_point<std::chrono::system_clock, Nanos>;

class Clock {
  public:
    virtual ~Clock() = default;
    [[nodiscard]] virtual MonoTime now() = 0;
    [[nodiscard]] virtual WallTime wall_now() = 0;
};

class SystemClock final : public Clock {
  public:
    MonoTime now() override { return std::chrono::steady_clock::now(); }
    WallTime wall_now() override { return std::chrono::system_clock::now(); }
};

// Starts far from zero, so that code which takes 0 for "never" is caught.
class ManualClock final : public Clock {
  public:
    MonoTime now() override { return mono_; }
    WallTime wall_now() override { return wall_; }
    void advance(Nanos by) {
        mono_ += by;
        wall_ += by;
    }

  private:
    MonoTime mono_{std::chrono::hours(24 * 365)};
    WallTime wall_{std::chrono::hours(24 * 365 * 55)};
};

}  // namespace weir
