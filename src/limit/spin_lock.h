// A lock for critical sections of some tens of nanoseconds: one byte, one atomic exchange when it is free.
//
// Waits by reading, so that waiters don't take the line from the holder, and gives the processor away when the
// holder seems to have lost it. Not fair, not recursive. Satisfies BasicLockable.
#pragma once

#include <atomic>
#include <thread>

namespace weir::limit {

class SpinLock {
  public:
    void lock() {
        for (unsigned spins = 0; held_.exchange(true, std::memory_order_acquire); ++spins) {
            while (held_.load(std::memory_order_relaxed)) {
                if (++spins < kSpinsBeforeYield) {
                    relax();
                } else {
                    std::this_thread::yield();
                }
            }
        }
    }
    void unlock() { held_.store(false, std::memory_order_release); }

  private:
    static constexpr unsigned kSpinsBeforeYield = 128;

    static void relax() {
#if defined(__x86_64__) || defined(__i386__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        __asm__ __volatile__("yield");
#endif
    }

    std::atomic<bool> held_{false};
};

}  // namespace weir::limit
