// Whether the shared store answers, as seen by all workers together: for /readyz, and for one line in the log when it
// stops and one when it answers again, however many connections notice.
//
// A store that comes and goes is logged at most every kSayAgain. Thread-safety: any thread.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/error.h"
#include "log/logger.h"

namespace weir::store {

class StoreHealth {
  public:
    static constexpr Nanos kSayAgain = std::chrono::seconds(5);

    // `store` is the address without credentials.
    StoreHealth(log::Logger& log, std::string store) : log_(log), store_(std::move(store)) {}

    // One more server can't be asked by one worker, or one less.
    void on_failing(std::string_view server, const Error& why, MonoTime now);
    void on_recovered(MonoTime now);
    // It fails no longer, as it is not asked any more.
    void on_gone();

    // Why decisions fail now; nullopt when they don't.
    [[nodiscard]] std::optional<std::string> failing() const;
    [[nodiscard]] const std::string& store() const { return store_; }

  private:
    log::Logger& log_;
    std::string store_;
    mutable std::mutex mutex_;
    std::uint64_t failing_ = 0;
    std::string reason_;
    MonoTime since_{};
    std::optional<MonoTime> said_;
    bool said_this_ = false;  // that it fails, of the failure that lasts
};

}  // namespace weir::store
