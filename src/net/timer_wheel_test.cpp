#include "net/timer_wheel.h"

#include <gtest/gtest.h>
#include <map>

#include "base/random.h"

namespace weir::net {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

constexpr MonoTime kStart{hours(24 * 365)};

std::vector<std::uint64_t> take_all(TimerWheel& wheel) {
    std::vector<std::uint64_t> cookies;
    while (const auto fired = wheel.take_due()) cookies.push_back(fired->cookie);
    return cookies;
}

TEST(TimerWheel, FiresAtTheFirstTickThatIsNotEarly) {
    TimerWheel wheel(kStart);
    static_cast<void>(wheel.arm(kStart, milliseconds(15), 1));
    wheel.advance(kStart + milliseconds(19));
    EXPECT_TRUE(take_all(wheel).empty());
    wheel.advance(kStart + milliseconds(20));
    EXPECT_EQ(take_all(wheel), std::vector<std::uint64_t>{1});
    EXPECT_EQ(wheel.armed(), 0U);
    EXPECT_FALSE(wheel.next_due());
}

TEST(TimerWheel, ZeroDelayFiresAtTheNextTickAndNotAtOnce) {
    TimerWheel wheel(kStart);
    static_cast<void>(wheel.arm(kStart, Nanos{0}, 1));
    static_cast<void>(wheel.arm(kStart, Nanos{-5}, 2));
    wheel.advance(kStart);
    EXPECT_TRUE(take_all(wheel).empty());
    wheel.advance(kStart + kTimerTick);
    EXPECT_EQ(take_all(wheel).size(), 2U);
}

TEST(TimerWheel, StaleIdsCancelNothing) {
    TimerWheel wheel(kStart);
    const TimerId first = wheel.arm(kStart, milliseconds(10), 1);
    EXPECT_TRUE(wheel.cancel(first));
    EXPECT_FALSE(wheel.cancel(first));
    const TimerId second = wheel.arm(kStart, milliseconds(10), 2);
    EXPECT_EQ(second.index, first.index);
    EXPECT_FALSE(wheel.cancel(first));
    EXPECT_FALSE(wheel.cancel(TimerId{}));
    EXPECT_TRUE(wheel.cancel(second));
}

TEST(TimerWheel, DueTimerCanStillBeCancelled) {
    TimerWheel wheel(kStart);
    static_cast<void>(wheel.arm(kStart, milliseconds(10), 1));
    const TimerId second = wheel.arm(kStart, milliseconds(10), 2);
    wheel.advance(kStart + hours(1));
    ASSERT_TRUE(wheel.take_due());
    EXPECT_TRUE(wheel.cancel(second));
    EXPECT_FALSE(wheel.take_due());
}

TEST(TimerWheel, HoldsDelaysOfYearsAndClampsWhatIsBeyond) {
    TimerWheel wheel(kStart);
    static_cast<void>(wheel.arm(kStart, hours(24 * 3000), 1));
    static_cast<void>(wheel.arm(kStart, Nanos::max(), 2));
    wheel.advance(kStart + hours(24 * 3000) - milliseconds(10));
    EXPECT_TRUE(take_all(wheel).empty());
    wheel.advance(kStart + hours(24 * 3000));
    EXPECT_EQ(take_all(wheel), std::vector<std::uint64_t>{1});
    wheel.advance(kStart + hours(24 * 3660));
    EXPECT_EQ(take_all(wheel), std::vector<std::uint64_t>{2});
}

TEST(TimerWheel, TimeThatStepsBackChangesNothing) {
    TimerWheel wheel(kStart);
    wheel.advance(kStart + hours(1));
    wheel.advance(kStart);
    static_cast<void>(wheel.arm(kStart, milliseconds(10), 1));  // long past: the next tick
    wheel.advance(kStart + hours(1) + kTimerTick);
    EXPECT_EQ(take_all(wheel).size(), 1U);
}

// Against a sorted map of deadlines, which is plainly right.
TEST(TimerWheel, AgreesWithASortedListUnderRandomUse) {
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        SCOPED_TRACE(seed);
        Rng rng(seed);
        TimerWheel wheel(kStart);
        MonoTime now = kStart;
        struct Naive {
            TimerId id;
            MonoTime at;
        };
        std::map<std::uint64_t, Naive> naive;
        std::uint64_t cookie = 0;
        const auto random_delay = [&] {
            const std::uint64_t magnitude = rng.below(50);  // up to 2^49 ns: six days
            return Nanos{static_cast<Nanos::rep>(rng.below(std::uint64_t{1} << magnitude))};
        };
        for (int step = 0; step < 3000; ++step) {
            if (rng.below(3) != 0) {
                const Nanos delay = random_delay();
                const TimerId id = wheel.arm(now, delay, ++cookie);
                naive[cookie] = {id, now + delay};
            }
            if (!naive.empty() && rng.one_in(4)) {
                auto victim = naive.lower_bound(rng.below(cookie) + 1);
                if (victim == naive.end()) victim = naive.begin();
                EXPECT_TRUE(wheel.cancel(victim->second.id));
                naive.erase(victim);
            }
            if (rng.one_in(3)) {
                now += random_delay() / 8;
                wheel.advance(now);
                MonoTime latest_tick{};
                for (const std::uint64_t fired : take_all(wheel)) {
                    ASSERT_TRUE(naive.contains(fired));
                    const MonoTime at = naive[fired].at;
                    EXPECT_LE(at, now) << "early";
                    EXPECT_GE(at + kTimerTick, latest_tick) << "out of order";
                    latest_tick = at;
                    naive.erase(fired);
                }
                for (const auto& [left, timer] : naive) EXPECT_GT(timer.at + kTimerTick, now) << "late";
            }
            ASSERT_EQ(wheel.armed(), naive.size());
            const auto next = wheel.next_due();
            ASSERT_EQ(next.has_value(), !naive.empty());
            if (next) {
                for (const auto& [left, timer] : naive) ASSERT_LE(*next, std::max(timer.at, now) + kTimerTick);
            }
        }
    }
}

}  // namespace
}  // namespace weir::net
