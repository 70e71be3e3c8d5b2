// Admission: from an event of a caller to "passes" or "is denied", with the verdict of each limit that covers it.
//
// A CallerPlan is made once a connection: the buckets of every rule, their names hashed. `decide` then takes from them
// in one step of the store, counts the metrics and logs a denial. Limits in shadow are taken from in a step of their
// own, so that what they say never keeps an enforced bucket from counting; nobody waits for what they say.
//
// The store may answer later: the asker is told by its AdmissionWaiter, and what it asked with stays where it is until
// then. A store that can't answer makes no decision: `on_store_error` does.
//
// One worker's thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "gateway/shared.h"
#include "policy/answer.h"
#include "policy/event.h"

namespace weir::gateway {

// The buckets of one rule: a range of CallerPlan::takes, enforced ones before those in shadow.
struct RulePlan {
    std::uint32_t begin = 0;
    std::uint8_t enforced = 0;
    std::uint8_t shadow = 0;
    bool by_runs = false;  // several events at once are the same as one by one: no shadow, no denied event counts
};
static_assert(kBucketsPerEventMax <= UINT8_MAX);

struct CallerPlan {
    std::vector<RulePlan> rules;
    std::vector<limit::Take> takes;
    std::vector<policy::LimitId> limits;  // of takes
    std::vector<std::unique_ptr<std::string>> subjects;
    std::string subject;  // who is logged
    policy::TierId tier = policy::kAnonymous;
    bool exempt = false;  // of `allow`, or limiting is disabled: nothing is counted
};

// So many events under one list of limits, or under one rule of a plan.
struct ListUse {
    const std::vector<policy::LimitId>* limits = nullptr;
    std::uint64_t events = 1;
};
struct PlanUse {
    std::size_t rule = 0;  // of CallerPlan::rules
    std::uint64_t events = 1;
};

struct AdmissionOutcome {
    bool passes = true;
    bool store_failed = false;
    bool of_run = false;  // of take_run; when it does not pass, each of its events is to be decided by itself
    std::array<policy::Verdict, kBucketsPerEventMax> verdicts;  // enforced ones
    std::size_t count = 0;
    [[nodiscard]] std::span<const policy::Verdict> all() const { return std::span(verdicts).first(count); }
};

// Whoever asked for a decision that comes later.
class AdmissionWaiter {
  public:
    virtual void on_admission(const AdmissionOutcome& outcome) = 0;

  protected:
    ~AdmissionWaiter() = default;
};

// Where an event belongs, for metrics and the log.
struct EventContext {
    const Snapshot* snapshot = nullptr;
    const RouteRuntime* route = nullptr;
    const CallerPlan* plan = nullptr;
    const IpAddress* address = nullptr;
    // An admitted event's verdicts are told too (for the rate-limit fields); those of a denied one always are.
    bool needs_verdicts = true;
    // Told when the answer comes later. All that is pointed to here must live until then.
    AdmissionWaiter* waiter = nullptr;
    // A denied event passes all the same (`on_limit: mark`), so that it is no denial to `penalty`.
    bool marks = false;
};

// Of `allow`, or limiting is disabled.
[[nodiscard]] bool is_exempt(const config::Config& config, const policy::Caller& caller, std::string_view subject);

class Admission {
  public:
    // `store` is this worker's: a shared one has its connections.
    Admission(Shared& shared, limit::Store& store, metrics::Shard& shard, const net::Reactor& reactor);
    ~Admission();

    // Plans of `rules` (each a list of limits) for one caller.
    [[nodiscard]] CallerPlan plan(const Snapshot& snapshot, const policy::Caller& caller, std::uint64_t connection_id,
                                  std::span<const std::vector<policy::LimitId>* const> rules) const;

    // One event that is counted under several rules of `plan`, as often as `uses` says: all of it is admitted, or
    // nothing. Written to `event`, as its one rule. Buckets that are the same are taken from once, by the sum, and of
    // their limits the strictest speaks. False when they are more than kBucketsPerEventMax.
    [[nodiscard]] static bool combine(const CallerPlan& plan, std::span<const PlanUse> uses, CallerPlan& event);
    // The same for one request: plans what it uses, and nothing else.
    [[nodiscard]] std::optional<CallerPlan> plan_event(const Snapshot& snapshot, const policy::Caller& caller,
                                                       std::uint64_t connection_id,
                                                       std::span<const ListUse> uses) const;

    // nullptr: the answer comes by `context.waiter`. Otherwise valid until the next call.
    [[nodiscard]] const AdmissionOutcome* decide(const EventContext& context, const RulePlan& rule, MonoTime now);

    // Several events of the same rule at the same time, in one step. kSingly: not all of them are admitted, or that
    // can't be said; nothing was taken, and each is to be decided by itself. kLater: the answer comes by
    // `context.waiter`.
    enum class Run : std::uint8_t { kAdmitted, kSingly, kLater };
    [[nodiscard]] Run take_run(const EventContext& context, const RulePlan& rule, std::uint32_t events, MonoTime now);

    // The block that keeps this caller out now: a penalty, unless the configuration exempts it or has none any more.
    [[nodiscard]] std::optional<PenaltyBox::Block> block_of(const config::Config& config, const policy::Caller& caller,
                                                            std::string_view subject, MonoTime now);

    // Now and then: writes what the denial log left out; with `everything` also what is not due yet.
    void tick(MonoTime now, bool everything = false);
    // A refusal that no limit made ("blocked"): logged as denials are, under `what` in place of a limit.
    void log_refusal(std::string_view what, std::string_view subject, std::string_view route, std::string_view address,
                     MonoTime now);
    [[nodiscard]] std::size_t pending() const { return waiting_.size(); }

  private:
    struct Pending;
    struct ShadowEvent;
    void finish(const EventContext& context, const RulePlan& rule, std::span<const limit::Decision> decisions,
                const Result<void>& outcome, MonoTime now);
    void take_shadow(const EventContext& context, const RulePlan& rule, MonoTime now);
    void take_shadow_later(const EventContext& context, const RulePlan& rule, MonoTime now);
    void finish_shadow(const EventContext& context, const RulePlan& rule, std::span<limit::Decision> decisions,
                       const Result<void>& answer, MonoTime now);
    void wait_for(const EventContext& context, const RulePlan& rule);
    void count(const EventContext& context, policy::LimitId limit, metrics::Cell LimitCells::ByTier::*outcome,
               std::int64_t events = 1);
    // The step itself, one in so many of them timed.
    [[nodiscard]] std::optional<Result<void>> take(std::span<const limit::Take> takes,
                                                   std::span<limit::Decision> decisions, MonoTime now);
    [[nodiscard]] log::DenialLog::Answer ask_denial_log(const log::Denial& denial, MonoTime now);
    void log_denial(const EventContext& context, const policy::Verdict& verdict, MonoTime now, bool shadow);
    void log_failure(const EventContext& context, const policy::Verdict& verdict, const Error& why,
                     std::string_view outcome, MonoTime now);
    void write_failure(const log::Denial& denial, std::string_view outcome, std::uint64_t left_out);
    void write_denial(const log::Denial& denial, std::uint64_t left_out, std::string_view message);
    void count_denial(const EventContext& context, bool shadow, MonoTime now);
    void finish_run(Pending& pending, const Result<void>& answer);
    void on_late_answer(Pending& pending, const Result<void>& outcome);

    Shared& shared_;
    limit::Store& store_;
    metrics::Shard& shard_;
    const net::Reactor& reactor_;
    metrics::Cell decision_seconds_;
    std::unique_ptr<Pending> spare_;
    std::vector<std::unique_ptr<Pending>> waiting_;
    AdmissionOutcome outcome_;
    std::uint32_t sample_ = 0;
};

}  // namespace weir::gateway
