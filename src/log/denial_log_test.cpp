#include "log/denial_log.h"

#include <gtest/gtest.h>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"

namespace weir::log {
namespace {

using namespace std::chrono_literals;

Denial denial(std::string_view subject, std::string_view limit = "WS_MESSAGE") {
    return {.subject = subject, .limit = limit, .route = "chat", .rate = "60/m", .address = "203.0.113.7"};
}

struct Collected {
    std::vector<std::pair<std::string, std::uint64_t>> lines;
    DenialLog::Visit visit() {
        return [this](const Denial& d, std::uint64_t n) {
            lines.emplace_back(std::string(d.subject) + " " + std::string(d.limit) + " " + std::string(d.route) + " " +
                                   std::string(d.rate) + " " + std::string(d.address),
                               n);
        };
    }
};

class DenialLogTest : public testing::Test {
  protected:
    ManualClock clock_;
    DenialLog log_{{.hash_key = {1, 2}, .interval = 10s, .entries_max = 3}};
};

TEST_F(DenialLogTest, LogsTheEarliestDenialAndLeavesOutItsLikeUntilTheIntervalEnds) {
    EXPECT_TRUE(log_.on_denied(denial("user:42"), clock_.now()).log_now);
    clock_.advance(10s - 1ns);
    EXPECT_FALSE(log_.on_denied(denial("user:42"), clock_.now()).log_now);
    EXPECT_FALSE(log_.on_denied(denial("user:42"), clock_.now()).log_now);
    clock_.advance(1ns);
    const auto answer = log_.on_denied(denial("user:42"), clock_.now());
    EXPECT_TRUE(answer.log_now);
    EXPECT_EQ(answer.left_out, 2U);
    clock_.advance(10s);
    EXPECT_EQ(log_.on_denied(denial("user:42"), clock_.now()).left_out, 0U);
}

TEST_F(DenialLogTest, KeepsSubjectsAndLimitsApart) {
    EXPECT_TRUE(log_.on_denied(denial("user:4", "2X"), clock_.now()).log_now);
    EXPECT_TRUE(log_.on_denied(denial("user:42", "X"), clock_.now()).log_now);
    EXPECT_TRUE(log_.on_denied(denial("user:42", "Y"), clock_.now()).log_now);
    EXPECT_FALSE(log_.on_denied(denial("user:42", "X"), clock_.now()).log_now);
}

TEST_F(DenialLogTest, TellsWhatWasLeftOutWhenTheIntervalEndsWithoutAnotherDenial) {
    Collected collected;
    static_cast<void>(log_.on_denied(denial("user:1"), clock_.now()));
    static_cast<void>(log_.on_denied(denial("user:1"), clock_.now()));
    clock_.advance(5s);
    static_cast<void>(log_.on_denied(denial("user:2"), clock_.now()));
    log_.collect(clock_.now(), collected.visit());
    EXPECT_TRUE(collected.lines.empty());
    clock_.advance(5s);
    log_.collect(clock_.now(), collected.visit());
    ASSERT_EQ(collected.lines.size(), 1U);
    EXPECT_EQ(collected.lines[0].first, "user:1 WS_MESSAGE chat 60/m 203.0.113.7");
    EXPECT_EQ(collected.lines[0].second, 1U);
    EXPECT_EQ(log_.size(), 1U);
    clock_.advance(5s);
    log_.collect(clock_.now(), collected.visit());  // user:2 left nothing out
    EXPECT_EQ(collected.lines.size(), 1U);
    EXPECT_EQ(log_.size(), 0U);
}

TEST_F(DenialLogTest, ARestartedIntervalIsCollectedAtItsOwnEnd) {
    Collected collected;
    static_cast<void>(log_.on_denied(denial("a"), clock_.now()));
    clock_.advance(1s);
    static_cast<void>(log_.on_denied(denial("b"), clock_.now()));
    clock_.advance(9s);
    static_cast<void>(log_.on_denied(denial("a"), clock_.now()));  // a again, now newer than b
    static_cast<void>(log_.on_denied(denial("a"), clock_.now()));
    clock_.advance(1s);
    log_.collect(clock_.now(), collected.visit());
    EXPECT_EQ(log_.size(), 1U);
    EXPECT_TRUE(collected.lines.empty());
    clock_.advance(9s);
    log_.collect(clock_.now(), collected.visit());
    ASSERT_EQ(collected.lines.size(), 1U);
}

TEST_F(DenialLogTest, ForgetsTheOldestBeyondItsBoundAndCountsWhatThatLeftOut) {
    for (const char* subject : {"a", "a", "a", "b", "c", "d"}) {
        static_cast<void>(log_.on_denied(denial(subject), clock_.now()));
    }
    EXPECT_EQ(log_.size(), 3U);
    EXPECT_EQ(log_.take_unattributed(), 2U);
    EXPECT_EQ(log_.take_unattributed(), 0U);
    EXPECT_TRUE(log_.on_denied(denial("a"), clock_.now()).log_now);
}

TEST_F(DenialLogTest, TellsEverythingAtTheEnd) {
    Collected collected;
    static_cast<void>(log_.on_denied(denial("a"), clock_.now()));
    static_cast<void>(log_.on_denied(denial("a"), clock_.now()));
    log_.collect(clock_.now(), collected.visit(), true);
    EXPECT_EQ(collected.lines.size(), 1U);
    EXPECT_EQ(log_.size(), 0U);
}

TEST_F(DenialLogTest, KeepsNoMoreOfAHostileNameThanALineShows) {
    const std::string name(100'000, 'x');
    std::size_t bytes = 0;
    static_cast<void>(log_.on_denied(denial(name), clock_.now()));
    static_cast<void>(log_.on_denied(denial(name), clock_.now()));
    EXPECT_TRUE(log_.on_denied(denial(name + "y"), clock_.now()).log_now);  // told apart all the same
    log_.collect(
        clock_.now(), [&](const Denial& d, std::uint64_t) { bytes = d.subject.size(); }, true);
    EXPECT_EQ(bytes, 257U);
}

TEST(DenialLog, LinesAndWhatWasLeftOutAddUpToWhatWasDenied) {
    Rng rng(7);
    ManualClock clock;
    DenialLog log({.hash_key = {3, 4}, .interval = 2s, .entries_max = 16});
    std::uint64_t lines = 0;
    std::uint64_t left_out = 0;
    const auto visit = [&](const Denial&, std::uint64_t n) { left_out += n; };
    constexpr std::uint64_t kDenied = 20'000;
    for (std::uint64_t i = 0; i < kDenied; ++i) {
        const std::string subject = std::to_string(rng.below(rng.one_in(4) ? 100 : 5));
        const auto answer = log.on_denied(denial(subject), clock.now());
        lines += answer.log_now ? 1 : 0;
        left_out += answer.left_out;
        if (rng.one_in(20)) clock.advance(std::chrono::milliseconds(rng.below(1000)));
        if (rng.one_in(50)) log.collect(clock.now(), visit);
        ASSERT_LE(log.size(), 16U);
    }
    log.collect(clock.now(), visit, true);
    EXPECT_EQ(lines + left_out + log.take_unattributed(), kDenied);
}

}  // namespace
}  // namespace weir::log
