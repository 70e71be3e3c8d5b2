#include "log/denial_log.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "log/line.h"

namespace weir::log {
namespace {

// What a line would not show anyway is not kept. One byte more, so that the line marks the cut.
std::string kept(std::string_view text) {
    return std::string(text.substr(0, kValueBytesMax + 1));
}

}  // namespace

DenialLog::DenialLog(const Options& options) : options_(options) {
    WEIR_ASSERT(options.entries_max > 0);
    by_key_.reserve(options.entries_max);
}

Hash128 DenialLog::key_of(const Denial& denial) const {
    // Each part is hashed alone, so that no writing of one can look like a part of the other.
    const Hash128 subject = siphash128(options_.hash_key, denial.subject);
    const HashKey next{options_.hash_key[0] ^ subject.low, options_.hash_key[1] ^ subject.high};
    return siphash128(next, denial.limit);
}

DenialLog::Answer DenialLog::on_denied(const Denial& denial, MonoTime now) {
    const Hash128 key = key_of(denial);
    if (const auto found = by_key_.find(key); found != by_key_.end()) {
        Entry& entry = *found->second;
        if (!ended(entry, now)) {
            ++entry.left_out;
            return {};
        }
        const std::uint64_t left_out = std::exchange(entry.left_out, 0);
        entry.since = now;
        entries_.splice(entries_.end(), entries_, found->second);
        return {.log_now = true, .left_out = left_out};
    }
    if (entries_.size() >= options_.entries_max) forget_oldest();
    entries_.push_back({.key = key,
                        .since = now,
                        .left_out = 0,
                        .subject = kept(denial.subject),
                        .limit = kept(denial.limit),
                        .route = kept(denial.route),
                        .rate = kept(denial.rate),
                        .address = kept(denial.address)});
    by_key_.emplace(key, std::prev(entries_.end()));
    return {.log_now = true, .left_out = 0};
}

void DenialLog::forget_oldest() {
    unattributed_ += entries_.front().left_out;
    by_key_.erase(entries_.front().key);
    entries_.pop_front();
}

void DenialLog::collect(MonoTime now, const Visit& visit, bool everything) {
    while (!entries_.empty() && (everything || ended(entries_.front(), now))) {
        const Entry entry = std::move(entries_.front());
        by_key_.erase(entry.key);
        entries_.pop_front();
        if (entry.left_out == 0) continue;
        visit({.subject = entry.subject,
               .limit = entry.limit,
               .route = entry.route,
               .rate = entry.rate,
               .address = entry.address},
              entry.left_out);
    }
}

std::uint64_t DenialLog::take_unattributed() {
    return std::exchange(unattributed_, 0);
}

}  // namespace weir::log
