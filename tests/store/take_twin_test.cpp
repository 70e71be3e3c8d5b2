// The script against limit/algorithm.h: the same random steps through both, every decision compared.
//
// WEIR_TWIN_SEED and WEIR_TWIN_STEPS repeat a run or make it longer; both are printed.
#include <array>
#include <cstdlib>
#include <deque>
#include <gtest/gtest.h>
#include <limits>

#include "base/random.h"
#include "limit/exact.h"
#include "limit/fixed_window.h"
#include "limit/gcra.h"
#include "limit/sliding_window.h"
#include "limit/test_rules.h"
#include "redis_server.h"
#include "store/take_script.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define WEIR_TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define WEIR_TEST_SANITIZED 1
#endif
#endif

namespace weir::store {
namespace {

using limit::Algorithm;
using limit::BucketRule;
using limit::BucketState;
using limit::Decision;
using limit::Take;

#ifdef WEIR_TEST_SANITIZED
constexpr std::uint64_t kSteps = 50'000;
#else
constexpr std::uint64_t kSteps = 1'000'000;
#endif
constexpr std::size_t kSubjects = 64;
constexpr std::size_t kGroups = 4;
constexpr std::int64_t kStart = 1'700'000'000'000'000'000;

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text != nullptr ? std::strtoull(text, nullptr, 10) : otherwise;
}

// What the script does to give back, said again with wide integers (there is no such step in limit/: the table decides
// on all buckets of an event at once). `state` was settled by `rule` at `now`.
void give_back(const BucketRule& rule, BucketState& state, std::int64_t now, std::uint64_t cost, std::int64_t taken) {
    const auto period = static_cast<std::int64_t>(limit::period_nanos(rule.rate.period));
    const auto less_cost = [cost](std::uint64_t events) { return events > cost ? events - cost : 0; };
    if (rule.algorithm != Algorithm::kGcra) {
        if (state.time <= taken) {
            state.current = less_cost(state.current);
        } else if (rule.algorithm == Algorithm::kSlidingWindow && state.time - period <= taken) {
            state.previous = less_cost(state.previous);
        }
        return;
    }
    using limit::SignedWide;
    const SignedWide count = rule.rate.count;
    const SignedWide backlog =
        (static_cast<SignedWide>(state.time) - now) * count + static_cast<SignedWide>(state.current);
    const SignedWide drained = now > taken ? (static_cast<SignedWide>(now) - taken) * count : 0;
    const SignedWide back = static_cast<SignedWide>(std::min(cost, limit::kRateCountMax + 1)) * period - drained;
    if (back <= 0) return;
    const SignedWide left = std::max<SignedWide>(backlog - back, 0);
    const SignedWide time = now + left / count;
    state.time = time > std::numeric_limits<std::int64_t>::max() ? std::numeric_limits<std::int64_t>::max()
                                                                 : static_cast<std::int64_t>(time);
    state.current = static_cast<std::uint64_t>(left % count);
}

struct Bucket {
    std::string group;
    BucketRule rule;
    BucketState state;
};

struct Subject {
    std::string name;
    std::int64_t now = kStart;
    std::int64_t taken = kStart;  // when its last event was
    std::array<Bucket, kGroups> buckets;
};

struct Step {
    bool give = false;
    std::vector<BucketRule> rules;  // as they were
    std::vector<BucketState> before;
    std::vector<Take> takes;
    std::vector<Decision> expected;
    std::int64_t now = 0;
};

class Twin {
  public:
    explicit Twin(std::uint64_t seed) : random_(seed) {
        for (std::size_t i = 0; i < kSubjects; ++i) {
            subjects_[i].name = "user:" + std::to_string(i);
            for (std::size_t j = 0; j < kGroups; ++j) {
                subjects_[i].buckets[j].group = "group_" + std::to_string(j);
                subjects_[i].buckets[j].rule = limit::random_rule(random_);
            }
        }
    }

    // Decides one event with limit/, and writes it as a command.
    void step(std::string& out, Step& step) {
        Subject& subject = subjects_[random_.below(kSubjects)];
        for (Bucket& bucket : subject.buckets) change_rule(bucket.rule);
        pass_time(subject);
        const TakeOperation operation = random_.one_in(8)   ? TakeOperation::kPeek
                                        : random_.one_in(8) ? TakeOperation::kRefuse
                                                            : TakeOperation::kTake;
        step.give = random_.one_in(12);
        step.now = subject.now;
        choose_buckets(subject, step);
        std::vector<BucketState*> states;
        for (const Take& take : step.takes) {
            for (Bucket& bucket : subject.buckets) {
                if (bucket.group == take.group) states.push_back(&bucket.state);
            }
        }
        for (const BucketState* state : states) step.before.push_back(*state);
        if (step.give) {
            append_take_at(out, operation, "rl", step.takes, {subject.now}, StoreTime{subject.taken});
            decide_give_back(step, states, subject.taken);
        } else {
            append_take_at(out, operation, "rl", step.takes, {subject.now});
            decide(step, states, operation);
            if (operation == TakeOperation::kTake) subject.taken = subject.now;
        }
    }

  private:
    void change_rule(BucketRule& rule) {
        if (random_.one_in(300)) rule = limit::random_rule(random_);
        if (random_.one_in(300)) rule.rate.count = random_.between(1, 2 * rule.rate.count) % limit::kRateCountMax + 1;
        if (random_.one_in(300)) rule.burst = random_.between(1, 2 * rule.burst) % limit::kRateCountMax + 1;
        if (random_.one_in(300)) rule.algorithm = static_cast<Algorithm>(random_.below(limit::kAlgorithms));
    }

    // Forward mostly, by whole microseconds, as the server's clock counts; at the end of time back to the start.
    void pass_time(Subject& subject) {
        const BucketRule& rule = subject.buckets[random_.below(kGroups)].rule;
        std::int64_t gap = limit::random_gap(random_, rule).count();
        if (random_.one_in(3)) gap = static_cast<std::int64_t>(random_.below(2)) * 1000;
        gap -= gap % 1000;
        if (random_.one_in(40)) gap = -gap;
        if (random_.one_in(20'000)) gap = std::numeric_limits<std::int64_t>::max() - subject.now - 1'000'000;
        gap -= gap % 1000;
        if (__builtin_add_overflow(subject.now, gap, &subject.now) || subject.now < kStart / 2) subject.now = kStart;
    }

    void choose_buckets(Subject& subject, Step& step) {
        const std::size_t first = random_.below(kGroups);
        const std::size_t count = random_.one_in(2) ? 1 : random_.between(1, kGroups);
        step.rules.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            Bucket& bucket = subject.buckets[(first + i) % kGroups];
            step.rules.push_back(bucket.rule);
            step.takes.push_back({.bucket = {},
                                  .rule = &step.rules.back(),
                                  .cost = cost_for(bucket.rule),
                                  .subject = subject.name,
                                  .group = bucket.group});
        }
    }

    std::uint64_t cost_for(const BucketRule& rule) {
        const std::uint64_t most = limit::capacity(rule);
        switch (random_.below(8)) {
            case 0:
                return random_.between(1, most);
            case 1:
                return random_.between(1, std::max<std::uint64_t>(most / 3, 1));
            case 2:
                return random_.one_in(5) ? std::numeric_limits<std::uint64_t>::max() : most;
            case 3:
                return random_.one_in(5) ? most + random_.below(3) : 1;
            default:
                return 1;
        }
    }

    static void decide(Step& step, const std::vector<BucketState*>& states, TakeOperation operation) {
        const MonoTime now{Nanos(step.now)};
        bool all = true;
        for (std::size_t i = 0; i < states.size(); ++i) {
            step.expected.push_back(would_take(step.rules[i], *states[i], now, step.takes[i].cost));
            all = all && step.expected[i].allowed;
        }
        if (operation == TakeOperation::kPeek) return;
        const auto change = all && operation == TakeOperation::kTake ? limit::take : limit::refuse;
        for (std::size_t i = 0; i < states.size(); ++i) {
            step.expected[i] = change(step.rules[i], *states[i], now, step.takes[i].cost);
            forget_if_full(*states[i], step.expected[i]);
        }
    }

    static void decide_give_back(Step& step, const std::vector<BucketState*>& states, std::int64_t taken) {
        const MonoTime now{Nanos(step.now)};
        for (std::size_t i = 0; i < states.size(); ++i) {
            BucketRule rule = step.rules[i];
            BucketState& state = *states[i];
            const bool same = state.period_seconds == rule.rate.period.count() && state.algorithm == rule.algorithm;
            // Settles, and takes nothing.
            rule.count_denied = false;
            (void)refuse(rule, state, now, 1);
            if (same && !step.rules[i].count_denied) give_back(rule, state, step.now, step.takes[i].cost, taken);
            step.expected.push_back(would_take(rule, state, now, step.takes[i].cost));
            forget_if_full(state, step.expected[i]);
        }
    }

    // As the script does: a bucket that is full is deleted.
    static void forget_if_full(BucketState& state, const Decision& decision) {
        if (decision.reset_after == Nanos(0)) state = {};
    }

    Rng random_;
    std::array<Subject, kSubjects> subjects_;
};

std::string text_of(const Decision& decision) {
    std::string text = decision.allowed ? "allowed" : "denied";
    for (const std::uint64_t number : {decision.limit, decision.remaining}) text += " " + std::to_string(number);
    for (const Nanos time : {decision.reset_after, decision.retry_after, decision.more_after})
        text += " " + std::to_string(time.count());
    return text;
}

std::string text_of(const Step& step, std::size_t i) {
    const BucketRule& rule = step.rules[i];
    const BucketState& state = step.before[i];
    return "algorithm " + std::to_string(static_cast<int>(rule.algorithm)) + ", rate " + format_rate(rule.rate) +
           ", burst " + std::to_string(rule.burst) + ", count_denied " + std::to_string(rule.count_denied) + ", cost " +
           std::to_string(step.takes[i].cost) + ", give " + std::to_string(step.give) + ", now " +
           std::to_string(step.now) + ", state " + std::to_string(state.time) + " " + std::to_string(state.current) +
           " " + std::to_string(state.previous) + " " + std::to_string(state.period_seconds) + " " +
           std::to_string(static_cast<int>(state.algorithm));
}

TEST(TakeScript, DecidesAsLimitDoesStepByStep) {
    const std::uint64_t seed = number_from_environment("WEIR_TWIN_SEED", 1);
    const std::uint64_t steps = number_from_environment("WEIR_TWIN_STEPS", kSteps);
    std::printf("WEIR_TWIN_SEED=%llu WEIR_TWIN_STEPS=%llu\n", static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(steps));
    RedisServer server;
    BlockingClient connection(server);
    std::string out;
    take_script().append_load(out);
    ASSERT_EQ(connection.ask(out).text, take_script().sha1());

    Twin twin(seed);
    std::deque<std::deque<Step>> sent;  // batches whose replies are not read yet
    std::uint64_t written = 0;
    std::uint64_t compared = 0;
    std::uint64_t allowed = 0;
    while (written < steps || !sent.empty()) {
        // One batch is on the server while the next is made.
        if (written < steps && sent.size() < 2) {
            out.clear();
            std::deque<Step>& batch = sent.emplace_back();
            for (int i = 0; i < 200 && written < steps; ++i, ++written) twin.step(out, batch.emplace_back());
            connection.send(out);
            continue;
        }
        for (const Step& step : sent.front()) {
            const protocol::resp::Reply reply = connection.receive();
            std::vector<Decision> decisions(step.takes.size());
            const auto at = read_decisions(reply, step.takes, decisions);
            ASSERT_TRUE(at) << "step " << compared << ": " << at.error().detail << ": " << reply.text;
            ASSERT_EQ(at->nanos, step.now);
            for (std::size_t i = 0; i < decisions.size(); ++i) {
                ASSERT_EQ(decisions[i], step.expected[i])
                    << "step " << compared << ", bucket " << i << " of " << decisions.size() << "\n  script "
                    << text_of(decisions[i]) << "\n  limit  " << text_of(step.expected[i]) << "\n  "
                    << text_of(step, i);
                allowed += decisions[i].allowed ? 1 : 0;
            }
            ++compared;
        }
        sent.pop_front();
    }
    EXPECT_EQ(compared, steps);
    // The steps are of a kind that says something: many of both.
    EXPECT_GT(allowed, steps / 4);
    EXPECT_LT(allowed, 2 * steps);
}

}  // namespace
}  // namespace weir::store
