// A store of buckets that is as bad as the scenario says: it answers late, fails, or counts and then fails to answer.
// Several messages that are asked about at once are an entry each when all are admitted, and none otherwise: then they
// are asked about again, one by one.
// Behind it is the real bucket table. Each question is written down with the client that it is about, and each answer
// compared with the naive limiter's.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "limit/table.h"
#include "naive_limiter.h"
#include "observed_reactor.h"

namespace weir::sim {

// Once in so many; 0 is never.
struct StoreFaults {
    std::uint32_t late_one_in = 0;  // answered later than asked
    std::uint32_t fail_one_in = 0;  // an error, nothing is counted
    std::uint32_t lose_one_in = 0;  // counted, and then an error
    Nanos late_max = std::chrono::milliseconds(20);
};

enum class OnError : std::uint8_t { kClosed, kOpen, kLocal };

class SimStore final : public limit::Store {
  public:
    struct Entry {
        int client = kNobody;
        std::string subject;              // of the first bucket
        std::vector<std::string> groups;  // in the order asked
        bool answered = false;
        bool failed = false;       // and the policy decided; not when the process counted by itself
        bool reloaded = false;     // under the limits that a reload brought
        bool allowed = false;      // what the gateway has to do
        std::vector<bool> allows;  // bucket by bucket, when not failed
    };
    SimStore(limit::BucketTable& table, Rng& random, Attention& attention, const StoreFaults& faults, OnError on_error,
             std::map<std::string, NaiveLimit> limits, std::uint64_t reload_factor,
             std::function<std::string(int)> subject_of, std::function<bool(const std::string&)> shadowed,
             std::function<void(const std::string&)> fail)
        : table_(table),
          random_(random),
          attention_(attention),
          faults_(faults),
          on_error_(on_error),
          limits_(std::move(limits)),
          reloaded_(limits_),
          subject_of_(std::move(subject_of)),
          shadowed_(std::move(shadowed)),
          fail_(std::move(fail)) {
        for (auto& [group, limit] : reloaded_) {
            limit.count *= reload_factor;
            limit.burst *= reload_factor;
        }
    }

    std::optional<Result<void>> take(std::span<const limit::Take> takes, MonoTime now,
                                     std::span<limit::Decision> decisions, limit::TakeWaiter& waiter) override;
    std::optional<Result<void>> peek(std::span<const limit::Take> takes, MonoTime now,
                                     std::span<limit::Decision> decisions, limit::TakeWaiter& waiter) override;

    [[nodiscard]] const std::vector<Entry>& entries() const { return entries_; }
    [[nodiscard]] std::size_t pending() const { return pending_; }

  private:
    [[nodiscard]] bool by_chance(std::uint32_t weight) { return weight != 0 && random_.one_in(weight); }
    Result<void> answer(std::size_t entry, std::span<const limit::Take> takes, MonoTime now,
                        std::span<limit::Decision> decisions, bool fails, bool loses);
    std::optional<Result<void>> take_shadow(std::span<const limit::Take> takes, MonoTime now,
                                            std::span<limit::Decision> decisions, limit::TakeWaiter& waiter);
    std::optional<Result<void>> take_run(std::span<const limit::Take> takes, MonoTime now,
                                         std::span<limit::Decision> decisions, limit::TakeWaiter& waiter);
    Result<void> answer_run(std::span<const limit::Take> takes, MonoTime now, std::span<limit::Decision> decisions);
    [[nodiscard]] bool under_reloaded(const limit::Take& take) const;
    void count_locally(std::size_t entry, std::span<const limit::Take> takes, MonoTime now);
    std::vector<NaiveLimiter::Answer> ask(NaiveLimiter& limiter, std::span<const limit::Take> takes, MonoTime now);

    limit::BucketTable& table_;
    Rng& random_;
    Attention& attention_;
    StoreFaults faults_;
    OnError on_error_;
    std::map<std::string, NaiveLimit> limits_;    // by group
    std::map<std::string, NaiveLimit> reloaded_;  // the same, as a reload changes them
    std::function<std::string(int)> subject_of_;
    std::function<bool(const std::string&)> shadowed_;
    std::function<void(const std::string&)> fail_;
    NaiveLimiter shared_;
    NaiveLimiter local_;  // what the process counts by itself while the store fails
    std::map<std::string, Hash128> hashes_;
    std::vector<Entry> entries_;
    std::size_t pending_ = 0;
};

}  // namespace weir::sim
