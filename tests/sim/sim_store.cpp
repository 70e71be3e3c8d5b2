#include "sim_store.h"

#include <algorithm>

namespace weir::sim {

std::optional<Result<void>> SimStore::take(std::span<const limit::Take> takes, MonoTime now,
                                           std::span<limit::Decision> decisions, limit::TakeWaiter& waiter) {
    if (shadowed_(std::string(takes.front().group))) return take_shadow(takes, now, decisions, waiter);
    if (takes.front().cost > 1) return take_run(takes, now, decisions, waiter);
    const std::size_t index = entries_.size();
    Entry& entry = entries_.emplace_back();
    entry.client = attention_.client;
    entry.subject = takes.front().subject;
    for (const limit::Take& take : takes) {
        entry.groups.emplace_back(take.group);
        const std::string name = std::string(take.subject) + " " + std::string(take.group);
        const auto known = hashes_.emplace(name, take.bucket).first;
        if (!(known->second == take.bucket)) fail_("two buckets under one name: " + name);
    }
    if (entry.client != kNobody && entry.subject != subject_of_(entry.client)) {
        fail_("client " + std::to_string(entry.client) + " is counted as " + entry.subject + ", not as " +
              subject_of_(entry.client));
    }
    entry.reloaded = under_reloaded(takes.front());
    const bool fails = by_chance(faults_.fail_one_in);
    const bool loses = !fails && by_chance(faults_.lose_one_in);
    if (!loses && !by_chance(faults_.late_one_in)) {
        const Result<void> outcome = answer(index, takes, now, decisions, fails, loses);
        if (!outcome) count_locally(index, takes, now);
        return outcome;
    }
    const Nanos delay{static_cast<Nanos::rep>(random_.below(static_cast<std::uint64_t>(faults_.late_max.count())))};
    const bool counts_at_once = random_.one_in(2);
    std::optional<Result<void>> early;
    if (counts_at_once) early = answer(index, takes, now, decisions, fails, loses);
    ++pending_;
    entries_[index].answered = false;
    const Attention asked = attention_;
    asked.reactor->later(delay, [this, index, takes, decisions, fails, loses, early, asked, &waiter] {
        attention_ = asked;
        --pending_;
        const Result<void> outcome =
            early ? *early : answer(index, takes, asked.reactor->now(), decisions, fails, loses);
        entries_[index].answered = true;
        if (!outcome) count_locally(index, takes, asked.reactor->now());
        waiter.on_taken(outcome);
    });
    return std::nullopt;
}

// What is in shadow decides nothing for a client, so that no entry of its is compared; the asker may be gone when the
// answer comes.
std::optional<Result<void>> SimStore::take_shadow(std::span<const limit::Take> takes, MonoTime now,
                                                  std::span<limit::Decision> decisions, limit::TakeWaiter& waiter) {
    (void)table_.take_now(takes, now, decisions);
    if (!by_chance(faults_.late_one_in)) return Result<void>{};
    const Nanos delay{static_cast<Nanos::rep>(random_.below(static_cast<std::uint64_t>(faults_.late_max.count())))};
    ++pending_;
    attention_.reactor->later(delay, [this, &waiter] {
        --pending_;
        waiter.on_taken({});
    });
    return std::nullopt;
}

std::optional<Result<void>> SimStore::take_run(std::span<const limit::Take> takes, MonoTime now,
                                               std::span<limit::Decision> decisions, limit::TakeWaiter& waiter) {
    if (by_chance(faults_.fail_one_in)) {
        return Error{ErrorCode::kTimeout, ErrorSource::kInternal, true, "the simulated store does not answer"};
    }
    if (!by_chance(faults_.late_one_in)) return answer_run(takes, now, decisions);
    const Nanos delay{static_cast<Nanos::rep>(random_.below(static_cast<std::uint64_t>(faults_.late_max.count())))};
    ++pending_;
    const Attention asked = attention_;
    asked.reactor->later(delay, [this, takes, decisions, asked, &waiter] {
        attention_ = asked;
        --pending_;
        waiter.on_taken(answer_run(takes, asked.reactor->now(), decisions));
    });
    return std::nullopt;
}

Result<void> SimStore::answer_run(std::span<const limit::Take> takes, MonoTime now,
                                  std::span<limit::Decision> decisions) {
    if (!table_.take_now(takes, now, decisions)) return {};
    for (std::uint64_t i = 0; i < takes.front().cost; ++i) {
        Entry& entry = entries_.emplace_back();
        entry.client = attention_.client;
        entry.subject = takes.front().subject;
        entry.reloaded = under_reloaded(takes.front());
        entry.answered = entry.allowed = true;
        for (const auto& expected : ask(shared_, takes, now)) {
            entry.groups.emplace_back(takes[entry.allows.size()].group);
            entry.allows.push_back(expected.allowed);
            if (!expected.allowed) fail_("a run is admitted of which the naive log denies a message");
        }
    }
    return {};
}

bool SimStore::under_reloaded(const limit::Take& take) const {
    const auto found = limits_.find(std::string(take.group));
    return found == limits_.end() || found->second.count != take.rule->rate.count;
}

Result<void> SimStore::answer(std::size_t index, std::span<const limit::Take> takes, MonoTime now,
                              std::span<limit::Decision> decisions, bool fails, bool loses) {
    bool allowed = true;
    std::vector<bool> allows;
    if (!fails) {
        (void)table_.take_now(takes, now, decisions);
        const auto expected = ask(shared_, takes, now);
        for (std::size_t i = 0; i < takes.size(); ++i) {
            allowed = allowed && expected[i].allowed;
            allows.push_back(expected[i].allowed);
            if (decisions[i].allowed == expected[i].allowed && decisions[i].remaining == expected[i].remaining)
                continue;
            fail_("limit " + std::string(takes[i].group) + " of " + std::string(takes[i].subject) + " says " +
                  (decisions[i].allowed ? "allowed" : "denied") + ", remaining " +
                  std::to_string(decisions[i].remaining) + "; the naive log says " +
                  (expected[i].allowed ? "allowed" : "denied") + ", remaining " +
                  std::to_string(expected[i].remaining));
        }
    }
    Entry& entry = entries_[index];
    entry.answered = true;
    entry.failed = fails || loses;
    entry.allows = std::move(allows);
    entry.allowed = allowed;
    if (!entry.failed) return {};
    entry.allowed = on_error_ == OnError::kOpen;
    return Error{ErrorCode::kTimeout, ErrorSource::kInternal, true, "the simulated store does not answer"};
}

// The gateway counts by itself in the moment in which it hears of the failure.
void SimStore::count_locally(std::size_t index, std::span<const limit::Take> takes, MonoTime now) {
    if (on_error_ != OnError::kLocal) return;
    Entry& entry = entries_[index];
    entry.failed = false;
    entry.allows.clear();
    entry.allowed = true;
    for (const auto& answer : ask(local_, takes, now)) {
        entry.allows.push_back(answer.allowed);
        entry.allowed = entry.allowed && answer.allowed;
    }
}

std::vector<NaiveLimiter::Answer> SimStore::ask(NaiveLimiter& limiter, std::span<const limit::Take> takes,
                                                MonoTime now) {
    std::vector<NaiveLimiter::Bucket> buckets;
    for (const limit::Take& take : takes) {
        const auto& limits = under_reloaded(take) ? reloaded_ : limits_;
        const auto found = limits.find(std::string(take.group));
        const bool known = found != limits.end() && found->second.count == take.rule->rate.count &&
                           (found->second.counting != Counting::kGcra || found->second.burst == take.rule->burst);
        if (!known) {
            fail_("a limit that the scenario does not have: " + std::string(take.group));
            return std::vector<NaiveLimiter::Answer>(takes.size());
        }
        buckets.push_back({&found->second, std::string(take.subject)});
    }
    return limiter.take(buckets, now);
}

std::optional<Result<void>> SimStore::peek(std::span<const limit::Take> takes, MonoTime now,
                                           std::span<limit::Decision> decisions, limit::TakeWaiter&) {
    (void)table_.peek_now(takes, now, decisions);
    return Result<void>{};
}

}  // namespace weir::sim
