#include "store/store_health.h"

namespace weir::store {

void StoreHealth::on_failing(std::string_view server, const Error& why, MonoTime now) {
    const std::lock_guard lock(mutex_);
    reason_ = why.detail;
    if (failing_++ > 0) return;
    since_ = now;
    said_this_ = !said_ || now - *said_ >= kSayAgain;
    if (!said_this_) return;
    said_ = now;
    log_.write(LogLevel::kWarning, "store unreachable",
               {{"store", store_}, {"server", server}, {"reason", why.detail}});
}

void StoreHealth::on_recovered(MonoTime now) {
    const std::lock_guard lock(mutex_);
    WEIR_ASSERT(failing_ > 0);
    if (--failing_ > 0 || !said_this_) return;
    log_.write(LogLevel::kInfo, "store answers again",
               {{"store", store_}, {"after_seconds", std::chrono::duration<double>(now - since_).count()}});
}

void StoreHealth::on_gone() {
    const std::lock_guard lock(mutex_);
    WEIR_ASSERT(failing_ > 0);
    --failing_;
}

std::optional<std::string> StoreHealth::failing() const {
    const std::lock_guard lock(mutex_);
    if (failing_ == 0) return std::nullopt;
    return reason_;
}

}  // namespace weir::store
