#include "gateway/shared.h"

namespace weir::gateway {

bool ConnectionCounts::acquire(std::string_view key, std::uint64_t most) {
    const std::lock_guard lock(mutex_);
    std::uint64_t& count = counts_[std::string(key)];
    if (most > 0 && count >= most) return false;
    ++count;
    return true;
}

void ConnectionCounts::release(std::string_view key) {
    const std::lock_guard lock(mutex_);
    const auto found = counts_.find(std::string(key));
    WEIR_ASSERT(found != counts_.end() && found->second > 0);
    if (--found->second == 0) counts_.erase(found);
}

}  // namespace weir::gateway
