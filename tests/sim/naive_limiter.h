// What limits admit, as straightforward as it can be written: whole lists of events, looked through each time. The
// gateway's decisions are compared with it.
//
// It shares nothing with src/limit: it knows limits by group, as the scenario wrote them.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/clock.h"

namespace weir::sim {

enum class Counting : std::uint8_t { kFixedWindow, kSlidingWindow, kGcra };

struct NaiveLimit {
    std::string name;
    std::uint64_t count = 1;
    std::uint64_t period_seconds = 1;
    Counting counting = Counting::kFixedWindow;
    std::uint64_t burst = 1;
    bool count_denied = false;
    bool shadow = false;
};

class NaiveLimiter {
  public:
    struct Bucket {
        const NaiveLimit* limit = nullptr;
        std::string subject;
    };
    struct Answer {
        bool allowed = true;          // of this bucket alone
        std::uint64_t remaining = 0;  // after the event
    };

    // An event on all of `buckets`: all or none.
    std::vector<Answer> take(const std::vector<Bucket>& buckets, MonoTime now);

  private:
    __extension__ using Wide = __int128;
    struct State {
        std::vector<std::int64_t> events;  // when what was taken was taken
        std::int64_t start = 0;            // of the window in force
        Wide full_at = 0;                  // GCRA, in nanoseconds times count
        std::uint64_t count = 0;           // GCRA, of the limit that wrote full_at
    };
    static std::uint64_t remaining(const NaiveLimit& limit, State& state, std::int64_t now);
    static void add(const NaiveLimit& limit, State& state, std::int64_t now);

    std::map<std::string, State> states_;
};

}  // namespace weir::sim
