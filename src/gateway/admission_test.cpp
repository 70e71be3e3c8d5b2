// Admission: all or none, shadow, exemption, a store that fails or answers later, and what is counted of it.
#include "gateway/admission.h"

#include <deque>
#include <functional>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

#include "net/simulated_network.h"

namespace weir::gateway {
namespace {

using limit::Decision;
using policy::LimitId;

struct Line {
    std::string message;
    std::string text;  // "subject=user:42 left_out=3 ..."
    LogLevel level = LogLevel::kInfo;
};

class LogSpy final : public log::Logger {
  public:
    bool enabled(LogLevel) const override { return true; }
    void write(LogLevel level, std::string_view message, std::initializer_list<log::LogField> fields) override {
        Line line{std::string(message), {}, level};
        for (const log::LogField& field : fields) {
            line.text += std::string(field.name) + "=";
            if (const auto* text = std::get_if<std::string_view>(&field.value)) line.text += *text;
            if (const auto* number = std::get_if<std::int64_t>(&field.value)) line.text += std::to_string(*number);
            line.text += " ";
        }
        lines.push_back(std::move(line));
    }
    void set_level(LogLevel) override {}
    void flush() override {}
    std::vector<Line> lines;
};

// Answers as the table does, fails, or waits until it is told to.
class FakeStore final : public limit::Store {
  public:
    enum class Mood { kAnswers, kFails, kWaits };
    std::optional<Result<void>> take(std::span<const limit::Take> takes, MonoTime now, std::span<Decision> decisions,
                                     limit::TakeWaiter& waiter) override {
        ++asked;
        if (mood == Mood::kFails) return Result<void>(Error{ErrorCode::kTimeout, ErrorSource::kInternal, true, "slow"});
        if (mood == Mood::kAnswers) {
            table.take_now(takes, now, decisions);
            return Result<void>();
        }
        waiting.push_back({{takes.begin(), takes.end()}, now, decisions, &waiter});
        return std::nullopt;
    }
    std::optional<Result<void>> peek(std::span<const limit::Take> takes, MonoTime now, std::span<Decision> decisions,
                                     limit::TakeWaiter&) override {
        table.peek_now(takes, now, decisions);
        return Result<void>();
    }
    // The oldest question is answered.
    void answer_one(bool fails = false) {
        const Waiting one = waiting.front();
        waiting.pop_front();
        if (fails) {
            one.waiter->on_taken(Error{ErrorCode::kTimeout, ErrorSource::kInternal, true, "slow"});
            return;
        }
        table.take_now(one.takes, one.now, one.decisions);
        one.waiter->on_taken({});
    }
    struct Waiting {
        std::vector<limit::Take> takes;
        MonoTime now;
        std::span<Decision> decisions;
        limit::TakeWaiter* waiter;
    };
    Mood mood = Mood::kAnswers;
    std::size_t asked = 0;
    std::deque<Waiting> waiting;
    limit::BucketTable table{{.buckets_max = 1000, .shards = 1}};
};

class Waiter final : public AdmissionWaiter {
  public:
    void on_admission(const AdmissionOutcome& outcome) override {
        outcomes.push_back(outcome);
        if (then) std::exchange(then, nullptr)();
    }
    std::vector<AdmissionOutcome> outcomes;
    std::function<void()> then;
};

class AdmissionTest : public testing::Test {
  protected:
    // Limits A: 3/m, B: 1/m, S: 2/m in shadow, D: 3/m where denied events count.
    AdmissionTest() {
        policy::LimitTable::Options options;
        for (const auto& [name, count] : {std::pair{"A", 3}, {"B", 1}, {"S", 2}, {"D", 3}}) {
            policy::LimitSpec spec;
            spec.name = name;
            for (const char* tier : {"anonymous", "authenticated"}) {
                spec.by_tier[tier] = {static_cast<std::uint64_t>(count), std::chrono::seconds(60)};
            }
            spec.base = limit::Rate{static_cast<std::uint64_t>(count), std::chrono::seconds(60)};
            spec.algorithm = limit::Algorithm::kFixedWindow;
            if (spec.name == "S") spec.shadow = true;
            if (spec.name == "D") spec.count_denied = true;
            options.specs.push_back(spec);
        }
        std::vector<std::string> problems;
        config_.limits = std::make_shared<policy::LimitTable>(policy::LimitTable::build(options, problems));
        EXPECT_TRUE(problems.empty()) << problems.front();
        config_.identity.limits = config_.limits.get();
        config_.upstreams.push_back({.name = "app", .addresses = {}});
        config::Route route;
        route.name = "chat";
        route.path = *policy::PathPattern::parse("/**");
        route.http.limits = {id("A"), id("B"), id("S")};
        config_.routes.push_back(std::move(route));
        caller_.user = "42";
        caller_.tier = policy::kAuthenticated;
        caller_.address = *IpAddress::parse("203.0.113.7");
    }
    // After config_ is as the test wants it.
    void start() { start_on(store_); }
    void start_on(limit::Store& store) {
        shared_ = std::make_unique<Shared>(store, &local_, registry_, log_, HashKey{1, 2});
        snapshot_ = std::make_shared<Snapshot>(std::make_shared<config::Config>(std::move(config_)), shared_->hash_key,
                                               1, registry_);
        reactor_ = network_.make_reactor();
        admission_ = std::make_unique<Admission>(*shared_, shared_->store, registry_.new_shard(), *reactor_);
    }
    LimitId id(std::string_view name) const { return config_.limits->find(name); }
    // The plan of one rule of these limits.
    CallerPlan plan(const std::vector<std::string_view>& names) {
        std::vector<LimitId> limits;
        for (const auto name : names) limits.push_back(snapshot_->config->limits->find(name));
        const std::vector<LimitId>* rule = &limits;
        return admission_->plan(*snapshot_, caller_, 7, std::span(&rule, 1));
    }
    Admission::Run take_run(const CallerPlan& plan, std::uint32_t events) {
        const EventContext context{snapshot_.get(), &snapshot_->routes[0], &plan, &caller_.address, false, &waiter_};
        return admission_->take_run(context, plan.rules[0], events, now_);
    }
    const AdmissionOutcome* decide(const CallerPlan& plan) {
        return admission_->decide(
            {snapshot_.get(), &snapshot_->routes.front(), &plan, &caller_.address, true, &waiter_}, plan.rules.front(),
            now_);
    }
    // A penalty after three denials in a minute.
    void set_penalty() {
        config_.penalty = config::Penalty{.after = {.count = 3, .period = std::chrono::seconds(60)},
                                          .block_for = std::chrono::hours(1)};
    }
    void deny(const CallerPlan& plan, int times) {
        for (int i = 0; i < times; ++i) EXPECT_FALSE(decide(plan)->passes);
    }
    std::optional<PenaltyBox::Block> block() {
        return admission_->block_of(*snapshot_->config, caller_, "user:42", now_);
    }
    std::vector<Line> lines_of(std::string_view message) {
        std::vector<Line> found;
        for (const Line& line : log_.lines) {
            if (line.message == message) found.push_back(line);
        }
        return found;
    }
    std::int64_t penalties(std::string_view outcome) {
        return registry_.value(registry_.cell(metrics::Family::kPenalties, {"chat", outcome}));
    }
    std::int64_t counted(std::string_view limit, std::string_view outcome) {
        return registry_.value(registry_.cell(metrics::Family::kDecisions, {"chat", limit, "authenticated", outcome}));
    }

    config::Config config_;
    policy::Caller caller_;
    metrics::Registry registry_;
    LogSpy log_;
    FakeStore store_;
    limit::BucketTable local_{{.buckets_max = 1000, .shards = 1}};
    net::SimulatedNetwork network_{{}};
    std::unique_ptr<Shared> shared_;
    std::shared_ptr<Snapshot> snapshot_;
    std::unique_ptr<net::Reactor> reactor_;
    std::unique_ptr<Admission> admission_;
    Waiter waiter_;
    MonoTime now_{std::chrono::hours(1000)};
};

TEST_F(AdmissionTest, TakesFromAllOrFromNone) {
    start();
    const CallerPlan both = plan({"A", "B"});
    const CallerPlan only_a = plan({"A"});
    EXPECT_TRUE(decide(both)->passes);
    for (int i = 0; i < 5; ++i) {
        const AdmissionOutcome* denied = decide(both);
        ASSERT_FALSE(denied->passes);
        ASSERT_EQ(denied->count, 2U);
        EXPECT_EQ(policy::tightest(denied->all()).limit->name, "B");
    }
    // What B denied has taken nothing from A.
    EXPECT_TRUE(decide(only_a)->passes);
    EXPECT_TRUE(decide(only_a)->passes);
    EXPECT_FALSE(decide(only_a)->passes);
    EXPECT_EQ(counted("A", "allowed"), 3);
    EXPECT_EQ(counted("A", "denied"), 1);
    EXPECT_EQ(counted("B", "allowed"), 1);
    EXPECT_EQ(counted("B", "denied"), 5);
}

TEST_F(AdmissionTest, TakesARunOfEventsAtOnceOrNothingOfIt) {
    start_on(local_);
    const CallerPlan a = plan({"A"});
    EXPECT_EQ(take_run(a, 2), Admission::Run::kAdmitted);
    EXPECT_EQ(take_run(a, 2), Admission::Run::kSingly) << "one is left of three";
    EXPECT_EQ(take_run(plan({"A", "B"}), 2), Admission::Run::kSingly) << "B has one";
    EXPECT_TRUE(decide(a)->passes);
    EXPECT_FALSE(decide(a)->passes);
    EXPECT_EQ(counted("A", "allowed"), 3);
    EXPECT_EQ(counted("A", "denied"), 1) << "a run that is not admitted is no denial: its events are asked for again";
    EXPECT_EQ(counted("B", "allowed"), 0);
    EXPECT_EQ(take_run(plan({"A", "S"}), 1), Admission::Run::kSingly) << "a shadow takes and logs for each event";
}

TEST_F(AdmissionTest, ARunWaitsForAStoreThatAnswersLaterAndIsAdmittedWholeOrNotAtAll) {
    start();
    store_.mood = FakeStore::Mood::kWaits;
    const CallerPlan a = plan({"A"});
    EXPECT_EQ(take_run(a, 1), Admission::Run::kSingly) << "it would be asked twice";
    EXPECT_EQ(store_.asked, 0U);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(take_run(a, 2), Admission::Run::kLater);
    store_.answer_one();
    store_.answer_one();
    store_.answer_one(true);
    ASSERT_EQ(waiter_.outcomes.size(), 3U);
    for (const AdmissionOutcome& outcome : waiter_.outcomes) EXPECT_TRUE(outcome.of_run);
    EXPECT_TRUE(waiter_.outcomes[0].passes);
    EXPECT_FALSE(waiter_.outcomes[1].passes) << "one is left of three";
    EXPECT_FALSE(waiter_.outcomes[2].passes);
    EXPECT_EQ(counted("A", "allowed"), 2);
    EXPECT_EQ(counted("A", "denied"), 0) << "its events are asked for again";
    EXPECT_EQ(counted("A", "error_closed"), 0);
    EXPECT_EQ(admission_->pending(), 0U);
    EXPECT_TRUE(log_.lines.empty());
}

TEST_F(AdmissionTest, NobodyWaitsForAShadowThatIsAnsweredLater) {
    start();
    store_.mood = FakeStore::Mood::kWaits;
    {
        const CallerPlan shadowed = plan({"S"});  // is gone when the answers come
        for (int i = 0; i < 3; ++i) EXPECT_TRUE(decide(shadowed)->passes);
        decide(shadowed);
    }
    EXPECT_EQ(admission_->pending(), 4U);
    for (int i = 0; i < 3; ++i) store_.answer_one();
    store_.answer_one(true);
    EXPECT_EQ(admission_->pending(), 0U);
    EXPECT_TRUE(waiter_.outcomes.empty());
    EXPECT_EQ(counted("S", "allowed"), 2);
    EXPECT_EQ(counted("S", "shadow_denied"), 1);
    EXPECT_EQ(counted("S", "error_open"), 1);
    ASSERT_EQ(lines_of("limit exceeded (shadow)").size(), 1U);
    EXPECT_NE(lines_of("limit exceeded (shadow)")[0].text.find("subject=user:42"), std::string::npos);
}

TEST_F(AdmissionTest, SaysWhichDecisionsTheStoreCouldNotMakeOnceInAnInterval) {
    start();
    store_.mood = FakeStore::Mood::kFails;
    const CallerPlan a = plan({"A"});
    for (int i = 0; i < 5; ++i) EXPECT_FALSE(decide(a)->passes);
    ASSERT_EQ(log_.lines.size(), 1U);
    EXPECT_EQ(log_.lines[0].message, "the store could not decide");
    EXPECT_EQ(log_.lines[0].text,
              "subject=user:42 route=chat limit=A address=203.0.113.7 store=memory reason=slow outcome=denied "
              "left_out=0 ");
    admission_->tick(now_ + std::chrono::seconds(60));
    ASSERT_EQ(log_.lines.size(), 2U);
    EXPECT_NE(log_.lines[1].text.find("left_out=4"), std::string::npos) << log_.lines[1].text;
}

TEST_F(AdmissionTest, TakesNoRunWhereDeniedEventsCount) {
    start_on(local_);
    EXPECT_EQ(take_run(plan({"D"}), 1), Admission::Run::kSingly);
}

TEST_F(AdmissionTest, AdmitsAnEventUnderSeveralRulesWholeOrNotAtAll) {
    start();
    const std::vector<LimitId> a{snapshot_->config->limits->find("A")};
    const std::vector<LimitId> b{snapshot_->config->limits->find("B")};
    const auto event = [&](std::uint64_t of_a, std::uint64_t of_b) {
        const std::vector<ListUse> uses{{&a, of_a}, {&b, of_b}, {&a, 1}};
        return *admission_->plan_event(*snapshot_, caller_, 7, uses);
    };
    EXPECT_FALSE(decide(event(1, 2))->passes) << "B has one";
    EXPECT_FALSE(decide(event(3, 1))->passes) << "A has three, and four are asked";
    EXPECT_TRUE(decide(event(2, 1))->passes);
    EXPECT_FALSE(decide(plan({"A"}))->passes) << "all three were taken";
    EXPECT_FALSE(decide(plan({"B"}))->passes);
}

TEST_F(AdmissionTest, RefusesAnEventThatCountsInTooManyBuckets) {
    policy::LimitTable::Options options;
    for (std::size_t i = 0; i <= kBucketsPerEventMax; ++i) {
        policy::LimitSpec spec;
        spec.name = "L" + std::to_string(i);
        spec.base = limit::Rate{3, std::chrono::seconds(60)};
        options.specs.push_back(spec);
    }
    std::vector<std::string> problems;
    config_.limits = std::make_shared<policy::LimitTable>(policy::LimitTable::build(options, problems));
    config_.identity.limits = config_.limits.get();
    config_.routes[0].http.limits = {id("L0")};
    start();
    std::vector<std::vector<LimitId>> lists;
    for (std::size_t i = 0; i <= kBucketsPerEventMax; ++i)
        lists.push_back({snapshot_->config->limits->find("L" + std::to_string(i))});
    std::vector<ListUse> uses;
    for (const auto& list : lists) uses.push_back({&list, 1});
    EXPECT_FALSE(admission_->plan_event(*snapshot_, caller_, 7, uses).has_value());
    uses.pop_back();
    EXPECT_TRUE(admission_->plan_event(*snapshot_, caller_, 7, uses).has_value());
}

TEST_F(AdmissionTest, LogsADenialOnceAndThenHowManyWereLeftOut) {
    start();
    const CallerPlan b = plan({"B"});
    for (int i = 0; i < 5; ++i) (void)decide(b);
    ASSERT_EQ(log_.lines.size(), 1U);
    EXPECT_EQ(log_.lines[0].message, "limit exceeded");
    EXPECT_EQ(log_.lines[0].text, "subject=user:42 route=chat limit=B rate=1/m address=203.0.113.7 left_out=0 ");
    admission_->tick(now_ + std::chrono::seconds(60));
    ASSERT_EQ(log_.lines.size(), 2U);
    EXPECT_NE(log_.lines[1].text.find("left_out=3"), std::string::npos) << log_.lines[1].text;
}

TEST_F(AdmissionTest, LetsPassWhatOnlyAShadowWouldDeny) {
    start();
    const CallerPlan shadowed = plan({"S", "A"});
    for (int i = 0; i < 3; ++i) {
        const AdmissionOutcome* outcome = decide(shadowed);
        ASSERT_TRUE(outcome->passes);
        ASSERT_EQ(outcome->count, 1U) << "a shadow has no word in the answer";
    }
    EXPECT_FALSE(decide(shadowed)->passes) << "A, which is enforced";
    EXPECT_EQ(counted("S", "allowed"), 2);
    EXPECT_EQ(counted("S", "shadow_denied"), 1) << "what is denied anyway is not asked of a shadow";
    EXPECT_EQ(counted("S", "denied"), 0);
    ASSERT_EQ(log_.lines.size(), 2U);
    EXPECT_EQ(log_.lines[0].message, "limit exceeded (shadow)");
}

TEST_F(AdmissionTest, EnforcesNothingWhenAllIsShadow) {
    config_.shadow = true;
    start();
    const CallerPlan b = plan({"B"});
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(decide(b)->passes);
    EXPECT_EQ(counted("B", "allowed"), 1);
    EXPECT_EQ(counted("B", "shadow_denied"), 2);
}

TEST_F(AdmissionTest, CountsNothingOfTheExempt) {
    config_.allow_subjects = {"user:42"};
    config_.allow_addresses = {*Cidr::parse("198.51.100.0/24")};
    start();
    const CallerPlan by_subject = plan({"B"});
    EXPECT_TRUE(by_subject.exempt);
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(decide(by_subject)->passes);
    caller_.user = "43";
    EXPECT_FALSE(plan({"B"}).exempt);
    caller_.address = *IpAddress::parse("198.51.100.9");
    EXPECT_TRUE(plan({"B"}).exempt);
    caller_.address_known = false;
    EXPECT_FALSE(plan({"B"}).exempt) << "an address that nobody told is in no range";
    EXPECT_EQ(store_.asked, 0U);
    EXPECT_EQ(counted("B", "allowed"), 0);
}

TEST_F(AdmissionTest, CountsNothingWhenItIsDisabled) {
    config_.disabled = true;
    start();
    const CallerPlan b = plan({"B"});
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(decide(b)->passes);
    EXPECT_EQ(store_.asked, 0U);
}

TEST_F(AdmissionTest, DeniesWhenTheStoreFailsAndThePolicyIsClosed) {
    start();
    store_.mood = FakeStore::Mood::kFails;
    const CallerPlan both = plan({"A", "B"});
    const AdmissionOutcome* outcome = decide(both);
    EXPECT_FALSE(outcome->passes);
    EXPECT_TRUE(outcome->store_failed);
    ASSERT_EQ(outcome->count, 2U);
    EXPECT_GT(outcome->all()[0].decision.retry_after, Nanos{0});
    EXPECT_EQ(counted("A", "error_closed"), 1);
    EXPECT_EQ(counted("B", "error_closed"), 1);
    EXPECT_EQ(counted("B", "denied"), 0);
}

TEST_F(AdmissionTest, AllowsWhenTheStoreFailsAndThePolicyIsOpen) {
    config_.on_store_error = config::OnStoreError::kOpen;
    start();
    store_.mood = FakeStore::Mood::kFails;
    const CallerPlan b = plan({"B"});
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(decide(b)->passes);
    EXPECT_EQ(counted("B", "error_open"), 3);
    store_.mood = FakeStore::Mood::kAnswers;
    EXPECT_TRUE(decide(b)->passes);
    EXPECT_FALSE(decide(b)->passes);
}

TEST_F(AdmissionTest, CountsInThisProcessWhenThePolicyIsLocal) {
    config_.on_store_error = config::OnStoreError::kLocal;
    start();
    store_.mood = FakeStore::Mood::kFails;
    const CallerPlan b = plan({"B"});
    EXPECT_TRUE(decide(b)->passes);
    const AdmissionOutcome* denied = decide(b);
    EXPECT_FALSE(denied->passes);
    EXPECT_FALSE(denied->store_failed) << "somebody has counted";
    EXPECT_EQ(counted("B", "allowed"), 1);
    EXPECT_EQ(counted("B", "denied"), 1);
}

TEST_F(AdmissionTest, TellsItsWaiterWhatComesLater) {
    start();
    store_.mood = FakeStore::Mood::kWaits;
    const CallerPlan b = plan({"B"});
    EXPECT_EQ(decide(b), nullptr);
    EXPECT_EQ(decide(b), nullptr);
    EXPECT_EQ(admission_->pending(), 2U);
    EXPECT_TRUE(waiter_.outcomes.empty());
    store_.answer_one();
    store_.answer_one();
    ASSERT_EQ(waiter_.outcomes.size(), 2U);
    EXPECT_TRUE(waiter_.outcomes[0].passes);
    EXPECT_FALSE(waiter_.outcomes[1].passes);
    EXPECT_EQ(waiter_.outcomes[1].all()[0].limit->name, "B");
    EXPECT_EQ(admission_->pending(), 0U);
    EXPECT_EQ(counted("B", "allowed"), 1);
    EXPECT_EQ(counted("B", "denied"), 1);
}

TEST_F(AdmissionTest, MayBeAskedAgainFromInsideALateAnswer) {
    start();
    store_.mood = FakeStore::Mood::kWaits;
    const CallerPlan b = plan({"B"});
    EXPECT_EQ(decide(b), nullptr);
    waiter_.then = [&] {
        store_.mood = FakeStore::Mood::kAnswers;
        const AdmissionOutcome* outcome = decide(b);
        ASSERT_NE(outcome, nullptr);
        EXPECT_FALSE(outcome->passes);
    };
    store_.answer_one();
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_TRUE(waiter_.outcomes[0].passes);
}

TEST_F(AdmissionTest, AppliesThePolicyToALateFailure) {
    start();
    store_.mood = FakeStore::Mood::kWaits;
    const CallerPlan b = plan({"B"});
    EXPECT_EQ(decide(b), nullptr);
    store_.answer_one(true);
    ASSERT_EQ(waiter_.outcomes.size(), 1U);
    EXPECT_FALSE(waiter_.outcomes[0].passes);
    EXPECT_TRUE(waiter_.outcomes[0].store_failed);
    EXPECT_EQ(counted("B", "error_closed"), 1);
}

TEST_F(AdmissionTest, BlocksASubjectThatIsDeniedTooOftenWhicheverLimitDenies) {
    set_penalty();
    start();
    const CallerPlan a = plan({"A"});
    const CallerPlan b = plan({"B"});
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(decide(a)->passes);
    EXPECT_TRUE(decide(b)->passes);
    deny(a, 1);
    deny(b, 2);
    EXPECT_FALSE(block());
    EXPECT_EQ(penalties("blocked"), 0);
    deny(a, 10);
    const auto blocked = block();
    ASSERT_TRUE(blocked);
    EXPECT_EQ(blocked->until, now_ + std::chrono::hours(1));
    EXPECT_EQ(penalties("blocked"), 1);
    const auto lines = lines_of("subject blocked");
    ASSERT_EQ(lines.size(), 1U);
    EXPECT_EQ(lines[0].level, LogLevel::kWarning);
    EXPECT_EQ(lines[0].text, "subject=user:42 route=chat address=203.0.113.7 denials=4 seconds=3600 ");
    now_ += std::chrono::hours(1);
    EXPECT_FALSE(block());
}

TEST_F(AdmissionTest, AnEventThatSeveralLimitsDenyIsOneDenial) {
    set_penalty();
    start();
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(decide(plan({"A"}))->passes);
    EXPECT_TRUE(decide(plan({"B"}))->passes);
    deny(plan({"A", "B"}), 3);
    EXPECT_FALSE(block());
    deny(plan({"A", "B"}), 1);
    EXPECT_TRUE(block());
}

TEST_F(AdmissionTest, WithoutAPenaltyNobodyIsBlocked) {
    start();
    const CallerPlan b = plan({"B"});
    EXPECT_TRUE(decide(b)->passes);
    deny(b, 100);
    EXPECT_FALSE(block());
    EXPECT_TRUE(shared_->penalties.empty());
}

TEST_F(AdmissionTest, ABlockHoldsOnlyAsLongAsTheConfigurationHasPenaltiesAndEnforcesThem) {
    set_penalty();
    start();
    const CallerPlan b = plan({"B"});
    EXPECT_TRUE(decide(b)->passes);
    deny(b, 4);
    ASSERT_TRUE(block());
    const auto holds = [&](auto&& change) {
        config::Config other;
        other.penalty = snapshot_->config->penalty;
        change(other);
        return admission_->block_of(other, caller_, "user:42", now_).has_value();
    };
    EXPECT_TRUE(holds([](config::Config& config) { config.penalty->after.count = 1000; }));
    EXPECT_FALSE(holds([](config::Config& config) { config.penalty.reset(); }));
    EXPECT_FALSE(holds([](config::Config& config) { config.shadow = true; }));
    EXPECT_FALSE(holds([](config::Config& config) { config.allow_subjects = {"user:42"}; }));
    EXPECT_FALSE(holds([](config::Config& config) { config.allow_addresses = {*Cidr::parse("203.0.113.0/24")}; }));
    EXPECT_FALSE(holds([](config::Config& config) { config.disabled = true; }));
    // What an operator blocks stays blocked, as what `block` lists does.
    ASSERT_TRUE(shared_->penalties.block("user:42", now_ + std::chrono::hours(1), "abuse", now_));
    EXPECT_TRUE(holds([](config::Config& config) { config.penalty.reset(); }));
    EXPECT_TRUE(holds([](config::Config& config) { config.allow_subjects = {"user:42"}; }));
}

TEST_F(AdmissionTest, ALimitInShadowDeniesNothingThatAPenaltyCounts) {
    set_penalty();
    start();
    const CallerPlan shadowed = plan({"S"});
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(decide(shadowed)->passes);
    EXPECT_GE(counted("S", "shadow_denied"), 18);
    EXPECT_TRUE(shared_->penalties.list(now_).empty());
}

TEST_F(AdmissionTest, WithShadowForEverythingAPenaltyIsToldOnceAndHoldsForNobody) {
    set_penalty();
    config_.shadow = true;
    start();
    const CallerPlan b = plan({"B"});
    const CallerPlan shadowed = plan({"S"});
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(decide(shadowed)->passes);
    EXPECT_EQ(penalties("shadow_blocked"), 0) << "S denies nothing even without `shadow` for everything";
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(decide(b)->passes);
    EXPECT_FALSE(block());
    EXPECT_EQ(lines_of("subject would be blocked (shadow)").size(), 1U);
    EXPECT_TRUE(lines_of("subject blocked").empty());
    EXPECT_EQ(penalties("shadow_blocked"), 1);
    EXPECT_EQ(penalties("blocked"), 0);
}

TEST_F(AdmissionTest, WhatAFailedStoreDeniesIsNoDenialToAPenalty) {
    set_penalty();
    start();
    store_.mood = FakeStore::Mood::kFails;
    const CallerPlan b = plan({"B"});
    deny(b, 20);
    EXPECT_FALSE(block());
    store_.mood = FakeStore::Mood::kAnswers;
    EXPECT_TRUE(decide(b)->passes);
    deny(b, 4);
    EXPECT_TRUE(block());
}

TEST_F(AdmissionTest, ADenialThatComesLaterCountsToo) {
    set_penalty();
    start();
    store_.mood = FakeStore::Mood::kWaits;
    const CallerPlan b = plan({"B"});
    for (int i = 0; i < 5; ++i) EXPECT_EQ(decide(b), nullptr);
    for (int i = 0; i < 4; ++i) store_.answer_one();
    EXPECT_FALSE(block());
    store_.answer_one();
    EXPECT_TRUE(block());
}

TEST_F(AdmissionTest, WhatIsMarkedAndPassesIsNoDenialToAPenalty) {
    set_penalty();
    start();
    const CallerPlan b = plan({"B"});
    EventContext context{snapshot_.get(), &snapshot_->routes.front(), &b, &caller_.address, true, &waiter_};
    context.marks = true;
    for (int i = 0; i < 20; ++i) (void)admission_->decide(context, b.rules.front(), now_);
    EXPECT_EQ(counted("B", "denied"), 19);
    EXPECT_FALSE(block());
}

TEST_F(AdmissionTest, LetsARuleWithoutLimitsPassWithoutAsking) {
    start();
    const CallerPlan none = plan({});
    EXPECT_TRUE(decide(none)->passes);
    EXPECT_EQ(decide(none)->count, 0U);
    EXPECT_EQ(store_.asked, 0U);
}

}  // namespace
}  // namespace weir::gateway
