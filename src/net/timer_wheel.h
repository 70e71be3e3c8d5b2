// Timers: a hierarchical wheel (Varghese and Lauck 1987) with ticks of kTimerTick. Arm and cancel are O(1).
//
// A tick number has eleven digits of six bits; a timer lies at the level of the highest digit in which its tick differs
// from the current one, in the slot of that digit:
//
//   level 0:  64 slots of 10 ms     level 1:  64 slots of 640 ms     level 2:  64 slots of 41 s   ...
//
// So every occupied slot lies ahead of the current digit of its level, a lower level always comes before a higher one,
// and the next thing to do is the lowest bit of the lowest level's bitmap that is not empty. Nothing wraps. When the
// current tick reaches a slot above level 0, its timers move to lower levels.
//
// A timer never fires early, and due ones fire in order of their ticks. Pure: time is an argument. Not thread-safe.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "net/reactor.h"
#include "net/slot_table.h"

namespace weir::net {

class TimerWheel {
  public:
    struct Fired {
        TimerId id;
        std::uint64_t cookie;
    };

    explicit TimerWheel(MonoTime start);

    // Fires at the first tick that is not before now + delay, and not at once: at a later tick than the current one. A
    // delay is at most ten years.
    [[nodiscard]] TimerId arm(MonoTime now, Nanos delay, std::uint64_t cookie);
    // False when the timer has fired or was cancelled before.
    bool cancel(TimerId id);

    // Goes on to `now`; what became due is then taken one by one with `take_due`, so that a timer which is due can
    // still be cancelled by what an earlier one caused. A time before an earlier one changes nothing.
    void advance(MonoTime now);
    [[nodiscard]] std::optional<Fired> take_due();

    // Not later than the next timer: when to call `advance` again. nullopt without timers.
    [[nodiscard]] std::optional<MonoTime> next_due() const;
    [[nodiscard]] std::size_t armed() const { return nodes_.live(); }

  private:
    static constexpr std::uint32_t kDigitBits = 6;
    static constexpr std::uint32_t kSlots = 1U << kDigitBits;
    static constexpr std::uint32_t kLevels = 11;
    static constexpr std::uint32_t kDueList = kLevels * kSlots;  // the list after the slots' own
    static constexpr std::uint32_t kNone = SlotTable<int>::kNone;

    struct Node {
        std::uint64_t tick = 0;
        std::uint64_t cookie = 0;
        std::uint32_t generation = 0;
        std::uint32_t next = kNone;
        std::uint32_t previous = kNone;
        std::uint32_t list = 0;
    };
    struct List {
        std::uint32_t head = kNone;
        std::uint32_t tail = kNone;
    };
    struct Next {
        std::uint64_t tick;
        std::uint32_t list;
    };

    [[nodiscard]] std::optional<Next> next_slot() const;
    void place(std::uint32_t index);
    void append(std::uint32_t index, std::uint32_t list);
    void unlink(std::uint32_t index);

    MonoTime start_;
    std::uint64_t current_ = 0;
    SlotTable<Node> nodes_;
    std::array<List, kDueList + 1> lists_{};
    std::array<std::uint64_t, kLevels> occupied_{};
};

}  // namespace weir::net
