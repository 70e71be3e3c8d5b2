// Which denials are worth a line: one for each subject and limit in an interval, and how many like it were left out.
//
// Not a logger: it answers, the caller writes. Under attack most calls find their entry, add one and allocate nothing.
// Memory is bounded: `entries_max` entries of bounded texts. When they are used up the oldest entry goes; what it had
// left out is not lost but counted (`take_unattributed`), so that logged and left out always add up to what was denied.
//
//   oldest -> [ user:42 ws_message, since 10:00:00, left out 311 ] -> [ ip:203.0.113.7 ws_connect ... ] -> newest
//
// The list is in the order in which intervals began, so that `collect` looks only at what has ended. Time is the
// caller's. One thread: each worker has its own, so a subject on several workers is logged by each.
#pragma once

#include <cstdint>
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/clock.h"
#include "base/hash.h"

namespace weir::log {

struct Denial {
    std::string_view subject;  // "user:42"
    std::string_view limit;    // "WS_MESSAGE"
    std::string_view route;
    std::string_view rate;     // "60/m"
    std::string_view address;  // "203.0.113.7"
};

class DenialLog {
  public:
    struct Options {
        HashKey hash_key{};  // of the process, so that nobody can make subjects collide
        Nanos interval = std::chrono::seconds(10);
        std::size_t entries_max = 4096;
    };
    explicit DenialLog(const Options& options);

    struct Answer {
        bool log_now = false;
        std::uint64_t left_out = 0;  // denials like this one since its last line
    };
    [[nodiscard]] Answer on_denied(const Denial& denial, MonoTime now);

    // Forgets the entries whose interval has ended, and calls `visit` for those that left something out. With
    // `everything` (at the end of the process) also the others.
    using Visit = std::function<void(const Denial&, std::uint64_t left_out)>;
    void collect(MonoTime now, const Visit& visit, bool everything = false);

    // Denials left out whose entry had to go before its interval ended, since the last call.
    [[nodiscard]] std::uint64_t take_unattributed();

    // The interval may change with a reload; entries keep the start of theirs.
    void set_interval(Nanos interval) { options_.interval = interval; }
    [[nodiscard]] std::size_t size() const { return entries_.size(); }

  private:
    struct Entry {
        Hash128 key;
        MonoTime since;
        std::uint64_t left_out = 0;
        std::string subject, limit, route, rate, address;
    };
    struct KeyHash {
        std::size_t operator()(const Hash128& key) const { return static_cast<std::size_t>(key.low); }
    };

    [[nodiscard]] Hash128 key_of(const Denial& denial) const;
    [[nodiscard]] bool ended(const Entry& entry, MonoTime now) const { return now - entry.since >= options_.interval; }
    void forget_oldest();

    Options options_;
    std::list<Entry> entries_;  // oldest interval first
    std::unordered_map<Hash128, std::list<Entry>::iterator, KeyHash> by_key_;
    std::uint64_t unattributed_ = 0;
};

}  // namespace weir::log
