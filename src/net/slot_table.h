// Slots with small dense indexes and generations: what SocketId and TimerId point into. A slot that is freed gets
// another generation, so an id from before finds nothing.
//
// Not thread-safe. References into the table do not survive `take`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/error.h"

namespace weir::net {

// Slot: default-constructible, with a public `std::uint32_t generation`, which belongs to the table.
template <typename Slot>
class SlotTable {
  public:
    static constexpr std::uint32_t kNone = 0xFFFFFFFFU;

    [[nodiscard]] std::uint32_t take() {
        std::uint32_t index = 0;
        if (free_.empty()) {
            index = static_cast<std::uint32_t>(slots_.size());
            WEIR_ASSERT(index != kNone);
            slots_.emplace_back();
            slots_[index].generation = 1;
        } else {
            index = free_.back();
            free_.pop_back();
        }
        ++live_;
        return index;
    }

    // Nothing finds the slot from here on, but its index is not given out before `release`: an owner that keeps a table
    // of its own beside clears its row first.
    void retire(std::uint32_t index) {
        const std::uint32_t generation = slots_[index].generation + 1;
        slots_[index] = Slot{};
        // Odd numbers are living generations, so that neither a retired slot nor a wrapped one can be found.
        slots_[index].generation = generation;
        --live_;
    }
    void release(std::uint32_t index) {
        ++slots_[index].generation;
        free_.push_back(index);
    }

    [[nodiscard]] Slot* find(std::uint32_t index, std::uint32_t generation) {
        if (index >= slots_.size() || slots_[index].generation != generation || generation % 2 == 0) return nullptr;
        return &slots_[index];
    }
    template <typename Id>
    [[nodiscard]] Slot* find(const Id& id) {
        return find(id.index, id.generation);
    }
    template <typename Id>
    [[nodiscard]] const Slot* find(const Id& id) const {
        return const_cast<SlotTable*>(this)->find(id.index, id.generation);
    }
    [[nodiscard]] Slot& at(std::uint32_t index) { return slots_[index]; }
    [[nodiscard]] std::size_t live() const { return live_; }
    [[nodiscard]] std::size_t size() const { return slots_.size(); }

  private:
    std::vector<Slot> slots_;
    std::vector<std::uint32_t> free_;
    std::size_t live_ = 0;
};

}  // namespace weir::net
