#include "store/breaker.h"

#include <gtest/gtest.h>
#include <vector>

namespace weir::store {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class BreakerTest : public testing::Test {
  protected:
    void open() {
        for (unsigned i = 0; i < options_.failures_max; ++i) breaker_.on_failure(clock_.now(), random_);
        ASSERT_EQ(breaker_.state(), Breaker::State::kOpen);
    }
    void wait_for_probe() { clock_.advance(breaker_.probe_due() - clock_.now()); }

    ManualClock clock_;
    Rng random_{7};
    BreakerOptions options_;
    Breaker breaker_{options_};
};

TEST_F(BreakerTest, OpensWithTheLastOfSoManyFailuresInARow) {
    for (unsigned i = 1; i < options_.failures_max; ++i) {
        EXPECT_FALSE(breaker_.on_failure(clock_.now(), random_));
        EXPECT_TRUE(breaker_.closed());
    }
    EXPECT_TRUE(breaker_.on_failure(clock_.now(), random_));
    EXPECT_FALSE(breaker_.closed());
    EXPECT_FALSE(breaker_.on_failure(clock_.now(), random_));
}

TEST_F(BreakerTest, ASuccessInBetweenBeginsTheCountAnew) {
    for (int round = 0; round < 3; ++round) {
        for (unsigned i = 1; i < options_.failures_max; ++i) breaker_.on_failure(clock_.now(), random_);
        EXPECT_FALSE(breaker_.on_success());
    }
    EXPECT_TRUE(breaker_.closed());
}

TEST_F(BreakerTest, IsNotProbedBeforeItsTimeAndOnlyOnceThen) {
    open();
    EXPECT_FALSE(breaker_.begin_probe(clock_.now()));
    clock_.advance(breaker_.probe_due() - clock_.now() - Nanos(1));
    EXPECT_FALSE(breaker_.begin_probe(clock_.now()));
    clock_.advance(Nanos(1));
    EXPECT_TRUE(breaker_.begin_probe(clock_.now()));
    EXPECT_FALSE(breaker_.begin_probe(clock_.now()));
}

TEST_F(BreakerTest, ProbesComeLessAndLessOftenUpToABound) {
    open();
    std::vector<Nanos> waits;
    for (int i = 0; i < 12; ++i) {
        waits.push_back(breaker_.probe_due() - clock_.now());
        wait_for_probe();
        ASSERT_TRUE(breaker_.begin_probe(clock_.now()));
        EXPECT_FALSE(breaker_.on_failure(clock_.now(), random_));
    }
    Nanos expected = options_.probe_first;
    for (const Nanos wait : waits) {
        EXPECT_LE(wait, expected);
        EXPECT_GE(wait, expected - expected / 4);
        expected = std::min(2 * expected, options_.probe_most);
    }
    EXPECT_GE(waits.back(), seconds(3));
}

TEST_F(BreakerTest, AProbeThatSucceedsClosesItAndTheNextOutageBeginsWithShortWaits) {
    open();
    for (int i = 0; i < 5; ++i) {
        wait_for_probe();
        ASSERT_TRUE(breaker_.begin_probe(clock_.now()));
        breaker_.on_failure(clock_.now(), random_);
    }
    wait_for_probe();
    ASSERT_TRUE(breaker_.begin_probe(clock_.now()));
    EXPECT_TRUE(breaker_.on_success());
    EXPECT_TRUE(breaker_.closed());
    open();
    EXPECT_LE(breaker_.probe_due() - clock_.now(), options_.probe_first);
}

TEST_F(BreakerTest, AnAnswerToWhatWasAskedBeforeClosesIt) {
    open();
    EXPECT_TRUE(breaker_.on_success());
    EXPECT_TRUE(breaker_.closed());
}

TEST_F(BreakerTest, FailuresOfWhatWasAskedBeforeDoNotPutOffTheProbe) {
    open();
    const MonoTime due = breaker_.probe_due();
    clock_.advance(milliseconds(20));
    breaker_.on_failure(clock_.now(), random_);
    EXPECT_EQ(breaker_.probe_due(), due);
}

TEST(Jitter, TakesOffUpToAQuarter) {
    Rng random(3);
    bool differ = false;
    for (int i = 0; i < 100; ++i) {
        const Nanos one = jittered(seconds(1), random);
        EXPECT_LE(one, Nanos(seconds(1)));
        EXPECT_GE(one, Nanos(milliseconds(750)));
        differ = differ || one != jittered(seconds(1), random);
    }
    EXPECT_TRUE(differ);
    EXPECT_EQ(jittered(Nanos(0), random), Nanos(0));
}

}  // namespace
}  // namespace weir::store
