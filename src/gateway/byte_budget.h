// How many bytes all workers together hold for requests that are not admitted yet: nothing of those is counted by a
// limit, so their sum needs a bound of its own.
//
// Any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace weir::gateway {

class ByteBudget {
  public:
    // What one request holds; given back when it goes.
    class Share {
      public:
        Share() = default;
        ~Share() { give_back(); }
        Share(const Share&) = delete;
        Share& operator=(const Share&) = delete;

        // False: all together would hold more than `most`, and nothing was taken.
        [[nodiscard]] bool grow(ByteBudget& budget, std::uint64_t bytes, std::uint64_t most) {
            if (budget.held_.fetch_add(bytes, std::memory_order_relaxed) + bytes > most) {
                budget.held_.fetch_sub(bytes, std::memory_order_relaxed);
                return false;
            }
            budget_ = &budget;
            bytes_ += bytes;
            return true;
        }
        void give_back() {
            if (budget_ != nullptr) budget_->held_.fetch_sub(bytes_, std::memory_order_relaxed);
            budget_ = nullptr;
            bytes_ = 0;
        }

      private:
        ByteBudget* budget_ = nullptr;  // outlives the share
        std::uint64_t bytes_ = 0;
    };

    [[nodiscard]] std::uint64_t held() const { return held_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> held_{0};
};

}  // namespace weir::gateway
