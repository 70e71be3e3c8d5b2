#include "net/timer_wheel.h"

#include <algorithm>
#include <bit>

namespace weir::net {
namespace {

constexpr Nanos kDelayMax = std::chrono::hours(24 * 3652);

}  // namespace

TimerWheel::TimerWheel(MonoTime start) : start_(start) {}

TimerId TimerWheel::arm(MonoTime now, Nanos delay, std::uint64_t cookie) {
    const Nanos since_start = std::max(now - start_, Nanos{0}) + std::clamp(delay, Nanos{0}, kDelayMax);
    const auto ticks = static_cast<std::uint64_t>((since_start + kTimerTick - Nanos{1}) / kTimerTick);
    const std::uint32_t index = nodes_.take();
    Node& node = nodes_.at(index);
    node.tick = std::max(ticks, current_ + 1);
    node.cookie = cookie;
    place(index);
    return {index, node.generation};
}

bool TimerWheel::cancel(TimerId id) {
    if (nodes_.find(id) == nullptr) return false;
    unlink(id.index);
    nodes_.retire(id.index);
    nodes_.release(id.index);
    return true;
}

void TimerWheel::advance(MonoTime now) {
    if (now < start_) return;
    const auto target = static_cast<std::uint64_t>((now - start_) / kTimerTick);
    for (auto next = next_slot(); next && next->tick <= target; next = next_slot()) {
        current_ = next->tick;
        while (lists_[next->list].head != kNone) {
            const std::uint32_t index = lists_[next->list].head;
            unlink(index);
            place(index);
        }
    }
    current_ = std::max(current_, target);
}

std::optional<TimerWheel::Fired> TimerWheel::take_due() {
    const std::uint32_t index = lists_[kDueList].head;
    if (index == kNone) return std::nullopt;
    const Node& node = nodes_.at(index);
    const Fired fired{{index, node.generation}, node.cookie};
    static_cast<void>(cancel(fired.id));
    return fired;
}

std::optional<MonoTime> TimerWheel::next_due() const {
    if (lists_[kDueList].head != kNone) return start_;
    const auto next = next_slot();
    if (!next) return std::nullopt;
    return start_ + kTimerTick * static_cast<Nanos::rep>(next->tick);
}

std::optional<TimerWheel::Next> TimerWheel::next_slot() const {
    for (std::uint32_t level = 0; level < kLevels; ++level) {
        if (occupied_[level] == 0) continue;
        const auto slot = static_cast<std::uint32_t>(std::countr_zero(occupied_[level]));
        const std::uint32_t shift = level * kDigitBits;
        // The digits above stay, this one becomes the slot's, those below become zero.
        const std::uint32_t above = shift + kDigitBits;
        const std::uint64_t kept = above >= 64 ? 0 : current_ >> above << above;
        return Next{kept | (static_cast<std::uint64_t>(slot) << shift), level * kSlots + slot};
    }
    return std::nullopt;
}

void TimerWheel::place(std::uint32_t index) {
    const std::uint64_t tick = nodes_.at(index).tick;
    if (tick <= current_) {
        append(index, kDueList);
        return;
    }
    const auto highest_bit = 63U - static_cast<std::uint32_t>(std::countl_zero(tick ^ current_));
    const std::uint32_t level = highest_bit / kDigitBits;
    const auto slot = static_cast<std::uint32_t>(tick >> (level * kDigitBits)) & (kSlots - 1);
    append(index, level * kSlots + slot);
    occupied_[level] |= std::uint64_t{1} << slot;
}

void TimerWheel::append(std::uint32_t index, std::uint32_t list) {
    Node& node = nodes_.at(index);
    node.list = list;
    node.next = kNone;
    node.previous = lists_[list].tail;
    (node.previous == kNone ? lists_[list].head : nodes_.at(node.previous).next) = index;
    lists_[list].tail = index;
}

void TimerWheel::unlink(std::uint32_t index) {
    const Node& node = nodes_.at(index);
    List& list = lists_[node.list];
    (node.previous == kNone ? list.head : nodes_.at(node.previous).next) = node.next;
    (node.next == kNone ? list.tail : nodes_.at(node.next).previous) = node.previous;
    if (list.head == kNone && node.list != kDueList) {
        occupied_[node.list / kSlots] &= ~(std::uint64_t{1} << (node.list % kSlots));
    }
}

}  // namespace weir::net
