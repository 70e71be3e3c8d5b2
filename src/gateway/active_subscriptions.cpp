#include "gateway/active_subscriptions.h"

#include <algorithm>

namespace weir::gateway {

bool ActiveSubscriptions::has_room(std::string_view id_key, std::uint64_t most) const {
    if (count() < most) return true;
    const auto found = entries_.find(id_key);
    return found != entries_.end() && found->second.active;
}

void ActiveSubscriptions::begin(std::string_view id_key, Dialect dialect) {
    if (id_key.empty()) {
        ++unnamed_;
        return;
    }
    const auto [place, added] = entries_.try_emplace(std::string(id_key));
    Entry& entry = place->second;
    if (entry.active) {
        ++entry.ends_due;
    } else {
        ++named_;
        if (!added) ended_.erase(std::find(ended_.begin(), ended_.end(), id_key));
    }
    entry.active = true;
    entry.dialect = dialect;
}

void ActiveSubscriptions::begin_other(std::string_view id_key) {
    const auto found = entries_.find(id_key);
    if (found != entries_.end()) ++found->second.ends_due;
}

void ActiveSubscriptions::ended_by_client(std::string_view id_key, Dialect dialect) {
    const auto found = entries_.find(id_key);
    if (found == entries_.end() || !found->second.active || found->second.dialect != dialect) return;
    found->second.active = false;
    ++found->second.ends_due;
    --named_;
    ended_.emplace_back(id_key);
    if (ended_.size() > kEndedIdsMax) forget(entries_.find(ended_.front()));
}

void ActiveSubscriptions::ended_by_server(std::string_view id_key) {
    const auto found = entries_.find(id_key);
    if (found == entries_.end()) return;
    Entry& entry = found->second;
    if (entry.ends_due > 0) {
        --entry.ends_due;
        if (!entry.active && entry.ends_due == 0) forget(found);
        return;
    }
    --named_;
    entries_.erase(found);
}

void ActiveSubscriptions::forget(Entries::iterator ended) {
    ended_.erase(std::find(ended_.begin(), ended_.end(), ended->first));
    entries_.erase(ended);
}

}  // namespace weir::gateway
