#include "gateway/admission.h"

#include <algorithm>
#include <chrono>

namespace weir::gateway {
namespace {

// A decision takes some tens of nanoseconds, reading the clock twice as many again: one in so many is timed.
constexpr std::uint32_t kTimedDecisionEvery = 64;

bool all_allow(std::span<const limit::Decision> decisions) {
    return std::all_of(decisions.begin(), decisions.end(), [](const auto& decision) { return decision.allowed; });
}

}  // namespace

bool is_exempt(const config::Config& config, const policy::Caller& caller, std::string_view subject) {
    const auto allows = [&](const Cidr& range) { return caller.address_known && range.contains(caller.address); };
    return config.disabled || std::any_of(config.allow_addresses.begin(), config.allow_addresses.end(), allows) ||
           std::find(config.allow_subjects.begin(), config.allow_subjects.end(), subject) !=
               config.allow_subjects.end();
}

// An event under limits in shadow that the store answers later. Nobody waits for it, so that the caller may be gone by
// then: it has what it needs itself.
struct Admission::ShadowEvent {
    std::shared_ptr<const Snapshot> snapshot;
    CallerPlan plan;  // of one rule
    IpAddress address;
};

// A decision that the store answers later: what it writes to must stay where it is.
struct Admission::Pending final : limit::TakeWaiter {
    explicit Pending(Admission& owner) : admission(owner) {}
    void on_taken(Result<void> outcome) override { admission.on_late_answer(*this, outcome); }

    Admission& admission;
    std::array<limit::Decision, kBucketsPerEventMax> decisions{};
    RulePlan rule;
    EventContext context;
    std::uint32_t run_events = 0;  // of take_run, whose takes these are
    std::array<limit::Take, kBucketsPerEventMax> run_takes;
    std::unique_ptr<ShadowEvent> shadow;
};

Admission::Admission(Shared& shared, limit::Store& store, metrics::Shard& shard, const net::Reactor& reactor)
    : shared_(shared),
      store_(store),
      shard_(shard),
      reactor_(reactor),
      decision_seconds_(shared.metrics.cell(metrics::Family::kDecisionSeconds, {})),
      spare_(std::make_unique<Pending>(*this)) {}

Admission::~Admission() = default;

CallerPlan Admission::plan(const Snapshot& snapshot, const policy::Caller& caller, std::uint64_t connection_id,
                           std::span<const std::vector<policy::LimitId>* const> rules) const {
    CallerPlan plan;
    const config::Config& config = *snapshot.config;
    plan.tier = caller.tier;
    plan.subject = policy::subject_of(caller, {}, connection_id, config.subject);
    plan.exempt = is_exempt(config, caller, plan.subject);
    for (const auto* limits : rules) {
        RulePlan rule;
        rule.begin = static_cast<std::uint32_t>(plan.takes.size());
        if (!plan.exempt && !limits->empty()) {
            auto planned = snapshot.planner.plan(caller, connection_id, *limits, plan.subjects);
            const auto shadowed = [&](const policy::PlannedTake& take) {
                return config.shadow || config.limits->at(take.limit).shadow;
            };
            const auto first_shadow = std::stable_partition(planned.begin(), planned.end(),
                                                            [&](const auto& take) { return !shadowed(take); });
            rule.enforced = static_cast<std::uint8_t>(first_shadow - planned.begin());
            rule.shadow = static_cast<std::uint8_t>(planned.end() - first_shadow);
            rule.by_runs = rule.shadow == 0 && std::none_of(planned.begin(), planned.end(), [](const auto& take) {
                               return take.take.rule->count_denied;
                           });
            for (const policy::PlannedTake& take : planned) {
                plan.takes.push_back(take.take);
                plan.limits.push_back(take.limit);
            }
        }
        plan.rules.push_back(rule);
    }
    plan.takes.shrink_to_fit();
    plan.limits.shrink_to_fit();
    plan.rules.shrink_to_fit();
    return plan;
}

bool Admission::combine(const CallerPlan& plan, std::span<const PlanUse> uses, CallerPlan& event) {
    event.takes.clear();
    event.limits.clear();
    event.rules.assign(1, {});
    event.tier = plan.tier;
    event.subject = plan.subject;
    event.exempt = plan.exempt;
    RulePlan& rule = event.rules.front();
    const auto add = [&](std::size_t from, std::uint64_t events, bool shadow) {
        const limit::Take& take = plan.takes[from];
        for (std::size_t i = 0; i < event.takes.size(); ++i) {
            if (event.takes[i].bucket != take.bucket) continue;
            if (shadow && i < rule.enforced) return true;  // an enforced limit counts there already
            event.takes[i].cost += take.cost * events;
            if (limit::stricter(take.rule->rate, event.takes[i].rule->rate)) {
                event.takes[i].rule = take.rule;
                event.limits[i] = plan.limits[from];
            }
            return true;
        }
        if (event.takes.size() == kBucketsPerEventMax) return false;
        event.takes.push_back(take);
        event.takes.back().cost *= events;
        event.limits.push_back(plan.limits[from]);
        ++(shadow ? rule.shadow : rule.enforced);
        return true;
    };
    for (const bool shadow : {false, true}) {
        for (const PlanUse& use : uses) {
            const RulePlan& used = plan.rules[use.rule];
            const std::size_t begin = used.begin + (shadow ? used.enforced : 0U);
            const std::size_t end = begin + (shadow ? used.shadow : used.enforced);
            for (std::size_t from = begin; from < end; ++from) {
                if (!add(from, use.events, shadow)) return false;
            }
        }
    }
    return true;
}

std::optional<CallerPlan> Admission::plan_event(const Snapshot& snapshot, const policy::Caller& caller,
                                                std::uint64_t connection_id, std::span<const ListUse> uses) const {
    // Lists are few: what is used twice is planned once.
    std::vector<const std::vector<policy::LimitId>*> lists;
    std::vector<PlanUse> of_lists;
    for (const ListUse& use : uses) {
        const auto known = std::find(lists.begin(), lists.end(), use.limits);
        const auto at = static_cast<std::size_t>(known - lists.begin());
        if (known == lists.end()) {
            lists.push_back(use.limits);
            of_lists.push_back({at, 0});
        }
        of_lists[at].events += use.events;
    }
    CallerPlan planned = plan(snapshot, caller, connection_id, lists);
    if (lists.size() == 1 && of_lists[0].events == 1) return planned;
    CallerPlan event;
    if (!combine(planned, of_lists, event)) return std::nullopt;
    event.subjects = std::move(planned.subjects);
    return event;
}

const AdmissionOutcome* Admission::decide(const EventContext& context, const RulePlan& rule, MonoTime now) {
    const CallerPlan& plan = *context.plan;
    outcome_.passes = true;
    outcome_.store_failed = outcome_.of_run = false;
    outcome_.count = 0;
    if (rule.enforced > 0) {
        const auto takes = std::span(plan.takes).subspan(rule.begin, rule.enforced);
        const auto decisions = std::span(spare_->decisions).first(takes.size());
        const auto answer = take(takes, decisions, now);
        if (!answer) {
            wait_for(context, rule);
            return nullptr;
        }
        const bool plain = answer->has_value() && !context.needs_verdicts && all_allow(decisions);
        if (plain) {
            for (std::size_t i = 0; i < rule.enforced; ++i) {
                count(context, plan.limits[rule.begin + i], &LimitCells::ByTier::allowed);
            }
        } else {
            finish(context, rule, decisions, *answer, now);
        }
    }
    if (rule.shadow > 0 && outcome_.passes) take_shadow(context, rule, now);
    return &outcome_;
}

void Admission::wait_for(const EventContext& context, const RulePlan& rule) {
    spare_->rule = rule;
    spare_->context = context;
    waiting_.push_back(std::move(spare_));
    spare_ = std::make_unique<Pending>(*this);
}

Admission::Run Admission::take_run(const EventContext& context, const RulePlan& rule, std::uint32_t events,
                                   MonoTime now) {
    if (!rule.by_runs || rule.enforced == 0) return Run::kSingly;
    // A store that answers later would be asked twice for the one event that it does not admit.
    if (&store_ != shared_.local && events == 1) return Run::kSingly;
    const CallerPlan& plan = *context.plan;
    auto& takes = spare_->run_takes;
    for (std::size_t i = 0; i < rule.enforced; ++i) {
        takes[i] = plan.takes[rule.begin + i];
        takes[i].cost *= events;
    }
    const auto decisions = std::span(spare_->decisions).first(rule.enforced);
    const auto answer = take(std::span(takes).first(rule.enforced), decisions, now);
    if (!answer) {
        spare_->run_events = events;
        wait_for(context, rule);
        return Run::kLater;
    }
    if (!answer->has_value() || !all_allow(decisions)) return Run::kSingly;
    for (std::size_t i = 0; i < rule.enforced; ++i) {
        count(context, plan.limits[rule.begin + i], &LimitCells::ByTier::allowed, events);
    }
    return Run::kAdmitted;
}

std::optional<Result<void>> Admission::take(std::span<const limit::Take> takes, std::span<limit::Decision> decisions,
                                            MonoTime now) {
    if (++sample_ % kTimedDecisionEvery != 0) return store_.take(takes, now, decisions, *spare_);
    const auto before = std::chrono::steady_clock::now();
    const auto answer = store_.take(takes, now, decisions, *spare_);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - before;
    if (answer) shard_.observe(decision_seconds_, took.count());
    return answer;
}

void Admission::finish(const EventContext& context, const RulePlan& rule, std::span<const limit::Decision> decisions,
                       const Result<void>& answer, MonoTime now) {
    const CallerPlan& plan = *context.plan;
    const config::Config& config = *context.snapshot->config;
    std::array<limit::Decision, kBucketsPerEventMax> local;
    bool by_policy = !answer.has_value();
    bool admitted = true;
    if (by_policy && config.on_store_error == config::OnStoreError::kLocal && shared_.local != nullptr) {
        const auto takes = std::span(plan.takes).subspan(rule.begin, rule.enforced);
        shared_.local->take_now(takes, now, std::span(local).first(takes.size()));
        decisions = std::span(local).first(takes.size());
        by_policy = false;
    }
    outcome_.store_failed = by_policy;
    const bool open = config.on_store_error == config::OnStoreError::kOpen;
    for (std::size_t i = 0; i < rule.enforced; ++i) {
        const policy::LimitId id = plan.limits[rule.begin + i];
        policy::Verdict& verdict = outcome_.verdicts[i];
        verdict.limit = &config.limits->at(id);
        verdict.rule = plan.takes[rule.begin + i].rule;
        if (by_policy) {
            verdict.decision = {.allowed = open,
                                .limit = verdict.rule->rate.count,
                                .remaining = 0,
                                .reset_after = verdict.rule->rate.period,
                                .retry_after = open ? Nanos{0} : Nanos(std::chrono::seconds(1)),
                                .more_after = Nanos{0}};
        } else {
            verdict.decision = decisions[i];
        }
        admitted = admitted && verdict.decision.allowed;
    }
    outcome_.count = rule.enforced;
    outcome_.passes = admitted;
    for (std::size_t i = 0; i < rule.enforced; ++i) {
        const policy::Verdict& verdict = outcome_.verdicts[i];
        const policy::LimitId id = plan.limits[rule.begin + i];
        if (!answer) {
            log_failure(context, verdict, answer.error(),
                        !by_policy ? "counted here"
                        : open     ? "allowed"
                                   : "denied",
                        now);
        }
        if (by_policy) {
            count(context, id, open ? &LimitCells::ByTier::error_open : &LimitCells::ByTier::error_closed);
        } else if (!verdict.decision.allowed) {
            count(context, id, &LimitCells::ByTier::denied);
            log_denial(context, verdict, now, false);
        } else if (admitted) {
            count(context, id, &LimitCells::ByTier::allowed);
        }
    }
    // What a store that fails denies is not the caller's doing.
    if (!admitted && !by_policy) count_denial(context, false, now);
}

void Admission::take_shadow(const EventContext& context, const RulePlan& rule, MonoTime now) {
    if (&store_ != shared_.local) {
        take_shadow_later(context, rule, now);
        return;
    }
    std::array<limit::Decision, kBucketsPerEventMax> memory;
    const auto decisions = std::span(memory).first(rule.shadow);
    shared_.local->take_now(std::span(context.plan->takes).subspan(rule.begin + rule.enforced, rule.shadow), now,
                            decisions);
    finish_shadow(context, rule, decisions, {}, now);
}

// A shadow decision changes nothing for the caller, so nobody waits for it.
void Admission::take_shadow_later(const EventContext& context, const RulePlan& rule, MonoTime now) {
    const CallerPlan& of_caller = *context.plan;
    auto event = std::make_unique<ShadowEvent>();
    event->snapshot = context.snapshot->shared_from_this();
    event->address = *context.address;
    CallerPlan& plan = event->plan;
    plan.subject = of_caller.subject;
    plan.tier = of_caller.tier;
    for (std::size_t i = rule.begin + rule.enforced; plan.takes.size() < rule.shadow; ++i) {
        limit::Take take = of_caller.takes[i];
        plan.subjects.push_back(std::make_unique<std::string>(take.subject));
        take.subject = *plan.subjects.back();
        plan.takes.push_back(take);
        plan.limits.push_back(of_caller.limits[i]);
    }
    RulePlan own;
    own.shadow = rule.shadow;
    EventContext later = context;
    later.plan = &plan;
    later.address = &event->address;
    later.waiter = nullptr;
    const auto decisions = std::span(spare_->decisions).first(own.shadow);
    spare_->shadow = std::move(event);
    if (const auto answer = store_.take(plan.takes, now, decisions, *spare_)) {
        finish_shadow(later, own, decisions, *answer, now);
        spare_->shadow.reset();
    } else {
        wait_for(later, own);
    }
}

void Admission::finish_shadow(const EventContext& context, const RulePlan& rule, std::span<limit::Decision> decisions,
                              const Result<void>& answer, MonoTime now) {
    const CallerPlan& plan = *context.plan;
    const std::size_t begin = rule.begin + rule.enforced;
    const auto takes = std::span(plan.takes).subspan(begin, rule.shadow);
    const bool local = context.snapshot->config->on_store_error == config::OnStoreError::kLocal;
    if (!answer && local && shared_.local != nullptr) shared_.local->take_now(takes, now, decisions);
    bool would_deny = false;
    for (std::size_t i = 0; i < rule.shadow; ++i) {
        const policy::LimitId id = plan.limits[begin + i];
        if (!answer && !local) {
            count(context, id, &LimitCells::ByTier::error_open);
            continue;
        }
        if (decisions[i].allowed) {
            count(context, id, &LimitCells::ByTier::allowed);
            continue;
        }
        const policy::Limit& limit = context.snapshot->config->limits->at(id);
        count(context, id, &LimitCells::ByTier::shadow_denied);
        log_denial(context, {&limit, takes[i].rule, decisions[i]}, now, true);
        would_deny = would_deny || !limit.shadow;
    }
    // With `shadow` for everything, what would be denied counts for the penalty that would follow; a limit that is in
    // shadow by itself denies nothing.
    if (would_deny) count_denial(context, true, now);
}

// The caller's own subject pays, whoever the limit counts.
void Admission::count_denial(const EventContext& context, bool shadow, MonoTime now) {
    const std::optional<config::Penalty>& penalty = context.snapshot->config->penalty;
    if (!penalty || context.marks) return;
    const std::string& subject = context.plan->subject;
    if (!shared_.penalties.count_denial(subject, *penalty, shadow, now)) return;
    shard_.add(shadow ? context.route->cells.shadow_penalties : context.route->cells.penalties);
    const std::string address = context.address->to_string();
    shared_.log.write(LogLevel::kWarning, shadow ? "subject would be blocked (shadow)" : "subject blocked",
                      {{"subject", subject},
                       {"route", context.route->route->name},
                       {"address", address},
                       {"denials", static_cast<std::int64_t>(penalty->after.count + 1)},
                       {"seconds", static_cast<std::int64_t>(limit::whole_seconds_up(penalty->block_for))}});
}

std::optional<PenaltyBox::Block> Admission::block_of(const config::Config& config, const policy::Caller& caller,
                                                     std::string_view subject, MonoTime now) {
    if (shared_.penalties.empty()) return std::nullopt;
    auto block = shared_.penalties.find(subject, now);
    const bool by_penalty = block && block->origin == PenaltyBox::Origin::kPenalty;
    if (by_penalty && (!config.penalty || config.shadow || is_exempt(config, caller, subject))) return std::nullopt;
    return block;
}

void Admission::count(const EventContext& context, policy::LimitId limit, metrics::Cell LimitCells::ByTier::*outcome,
                      std::int64_t events) {
    const LimitCells& cells = context.route->cells.limits[limit];
    if (context.plan->tier < cells.tiers.size()) shard_.add(cells.tiers[context.plan->tier].*outcome, events);
}

void Admission::on_late_answer(Pending& pending, const Result<void>& answer) {
    const auto is_this = [&](const auto& other) { return other.get() == &pending; };
    const auto found = std::find_if(waiting_.begin(), waiting_.end(), is_this);
    WEIR_ASSERT(found != waiting_.end());
    const std::unique_ptr<Pending> owned = std::move(*found);
    waiting_.erase(found);
    const MonoTime now = reactor_.now();
    outcome_.passes = true;
    outcome_.of_run = pending.run_events > 0;
    if (pending.shadow != nullptr) {
        finish_shadow(pending.context, pending.rule, std::span(pending.decisions).first(pending.rule.shadow), answer,
                      now);
        return;
    }
    if (outcome_.of_run) {
        finish_run(pending, answer);
        return;
    }
    finish(pending.context, pending.rule, std::span(pending.decisions).first(pending.rule.enforced), answer, now);
    if (pending.rule.shadow > 0 && outcome_.passes) take_shadow(pending.context, pending.rule, now);
    // The waiter may ask again from inside: its outcome is a copy.
    const AdmissionOutcome outcome = outcome_;
    pending.context.waiter->on_admission(outcome);
}

void Admission::finish_run(Pending& pending, const Result<void>& answer) {
    const CallerPlan& plan = *pending.context.plan;
    const RulePlan& rule = pending.rule;
    outcome_.count = 0;
    outcome_.store_failed = !answer;
    outcome_.passes = answer && all_allow(std::span(pending.decisions).first(rule.enforced));
    for (std::size_t i = 0; outcome_.passes && i < rule.enforced; ++i) {
        count(pending.context, plan.limits[rule.begin + i], &LimitCells::ByTier::allowed, pending.run_events);
    }
    const AdmissionOutcome outcome = outcome_;
    pending.context.waiter->on_admission(outcome);
}

log::DenialLog::Answer Admission::ask_denial_log(const log::Denial& denial, MonoTime now) {
    const std::lock_guard lock(shared_.denials_mutex);
    return shared_.denials.on_denied(denial, now);
}

void Admission::log_denial(const EventContext& context, const policy::Verdict& verdict, MonoTime now, bool shadow) {
    const std::string rate = limit::format_rate(verdict.rule->rate);
    const std::string address = context.address->to_string();
    const log::Denial denial{.subject = context.plan->subject,
                             .limit = verdict.limit->name,
                             .route = context.route->route->name,
                             .rate = rate,
                             .address = address};
    const auto answer = ask_denial_log(denial, now);
    if (answer.log_now) write_denial(denial, answer.left_out, shadow ? "limit exceeded (shadow)" : "limit exceeded");
}

// One line for a subject and limit in an interval, as denials have.
void Admission::log_failure(const EventContext& context, const policy::Verdict& verdict, const Error& why,
                            std::string_view outcome, MonoTime now) {
    const std::string address = context.address->to_string();
    const log::Denial failure{.subject = context.plan->subject,
                              .limit = verdict.limit->name,
                              .route = context.route->route->name,
                              .rate = why.detail,
                              .address = address};
    log::DenialLog::Answer answer;
    {
        const std::lock_guard lock(shared_.denials_mutex);
        answer = shared_.failures.on_denied(failure, now);
    }
    if (answer.log_now) write_failure(failure, outcome, answer.left_out);
}

void Admission::write_failure(const log::Denial& failure, std::string_view outcome, std::uint64_t left_out) {
    shared_.log.write(LogLevel::kWarning, "the store could not decide",
                      {{"subject", failure.subject},
                       {"route", failure.route},
                       {"limit", failure.limit},
                       {"address", failure.address},
                       {"store", shared_.store_name},
                       {"reason", failure.rate},
                       {"outcome", outcome},
                       {"left_out", static_cast<std::int64_t>(left_out)}});
}

void Admission::log_refusal(std::string_view what, std::string_view subject, std::string_view route,
                            std::string_view address, MonoTime now) {
    const log::Denial denial{.subject = subject, .limit = what, .route = route, .rate = {}, .address = address};
    const auto answer = ask_denial_log(denial, now);
    if (!answer.log_now) return;
    shared_.log.write(LogLevel::kInfo, what,
                      {{"subject", subject},
                       {"route", route},
                       {"address", address},
                       {"left_out", static_cast<std::int64_t>(answer.left_out)}});
}

void Admission::write_denial(const log::Denial& denial, std::uint64_t left_out, std::string_view message) {
    shared_.log.write(LogLevel::kInfo, message,
                      {{"subject", denial.subject},
                       {"route", denial.route},
                       {"limit", denial.limit},
                       {"rate", denial.rate},
                       {"address", denial.address},
                       {"left_out", static_cast<std::int64_t>(left_out)}});
}

void Admission::tick(MonoTime now, bool everything) {
    const std::lock_guard lock(shared_.denials_mutex);
    shared_.denials.collect(
        now,
        [&](const log::Denial& denial, std::uint64_t left_out) {
            write_denial(denial, left_out, "limit exceeded, left out");
        },
        everything);
    shared_.failures.collect(
        now, [&](const log::Denial& failure, std::uint64_t left_out) { write_failure(failure, "left out", left_out); },
        everything);
    static_cast<void>(shared_.failures.take_unattributed());  // metrics count them all
    if (const std::uint64_t lost = shared_.denials.take_unattributed(); lost > 0) {
        shared_.log.write(LogLevel::kInfo, "limit exceeded, left out",
                          {{"subject", "_other"}, {"left_out", static_cast<std::int64_t>(lost)}});
    }
}

}  // namespace weir::gateway
