#include "limit/rate.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "limit/decision.h"

namespace weir::limit {
namespace {

using std::chrono::seconds;

TEST(Rate, ReadsEachUnitWithAndWithoutANumber) {
    EXPECT_EQ(parse_rate("30/m").value(), (Rate{30, seconds(60)}));
    EXPECT_EQ(parse_rate("5/10s").value(), (Rate{5, seconds(10)}));
    EXPECT_EQ(parse_rate("3/h").value(), (Rate{3, seconds(3600)}));
    EXPECT_EQ(parse_rate("1000/d").value(), (Rate{1000, seconds(86400)}));
    EXPECT_EQ(parse_rate("1/s").value(), (Rate{1, seconds(1)}));
    EXPECT_EQ(parse_rate("1000000000/366d").value(), (Rate{kRateCountMax, kRatePeriodMax}));
}

TEST(Rate, RefusesWhatIsNotCountOverPeriod) {
    for (const char* text : {"",
                             "/",
                             "30",
                             "30/",
                             "/m",
                             "0/m",
                             "-1/m",
                             "+1/m",
                             "1.5/m",
                             " 1/m",
                             "1/m ",
                             "1 / m",
                             "1/M",
                             "1/0s",
                             "1/-1s",
                             "1/60",
                             "1/ms",
                             "1/w",
                             "1/1d1",
                             "1/m/s",
                             "x/m",
                             "1//m",
                             "1000000001/s",
                             "18446744073709551617/s",
                             "1/367d",
                             "1/18446744073709551616s",
                             "1/18446744073709551615d",
                             "30/minute"}) {
        const auto rate = parse_rate(text);
        ASSERT_FALSE(rate) << text;
        EXPECT_EQ(rate.error().code, ErrorCode::kInvalidArgument);
        EXPECT_NE(rate.error().detail.find("30/m"), std::string_view::npos);
    }
}

TEST(Rate, IsWrittenInItsShortestForm) {
    EXPECT_EQ(format_rate({30, seconds(60)}), "30/m");
    EXPECT_EQ(format_rate({30, seconds(120)}), "30/2m");
    EXPECT_EQ(format_rate({30, seconds(90)}), "30/90s");
    EXPECT_EQ(format_rate({1, seconds(1)}), "1/s");
    EXPECT_EQ(format_rate({7, seconds(7 * 86400)}), "7/7d");
    EXPECT_EQ(format_rate({7, seconds(36 * 3600)}), "7/36h");
}

TEST(Rate, IsReadBackAsItWasWritten) {
    Rng random(1);
    for (int i = 0; i < 10'000; ++i) {
        const auto period_max = static_cast<std::uint64_t>(kRatePeriodMax.count());
        std::uint64_t period = random.between(1, period_max);
        if (random.one_in(2)) period = std::max<std::uint64_t>(period / 3600 * 3600, 60);
        const Rate rate{random.between(1, kRateCountMax), seconds(period)};
        ASSERT_EQ(parse_rate(format_rate(rate)).value(), rate) << format_rate(rate);
    }
}

TEST(Rate, NamesItsPeriodInWords) {
    EXPECT_EQ(period_words(seconds(1)), "second");
    EXPECT_EQ(period_words(seconds(10)), "10 seconds");
    EXPECT_EQ(period_words(seconds(60)), "minute");
    EXPECT_EQ(period_words(seconds(90)), "90 seconds");
    EXPECT_EQ(period_words(seconds(3600)), "hour");
    EXPECT_EQ(period_words(seconds(7200)), "2 hours");
    EXPECT_EQ(period_words(seconds(86400)), "day");
}

TEST(Rate, IsStricterWhenItAdmitsLessInTheLongRun) {
    EXPECT_TRUE(stricter({10, seconds(60)}, {20, seconds(60)}));
    EXPECT_FALSE(stricter({20, seconds(60)}, {10, seconds(60)}));
    EXPECT_TRUE(stricter({100, seconds(3600)}, {5, seconds(60)}));
    EXPECT_TRUE(stricter({1, seconds(1)}, {60, seconds(60)}));  // a tie: the smaller burst
    EXPECT_FALSE(stricter({60, seconds(60)}, {1, seconds(1)}));
    EXPECT_FALSE(stricter({5, seconds(60)}, {5, seconds(60)}));
    EXPECT_TRUE(stricter({1, kRatePeriodMax}, {kRateCountMax, seconds(1)}));
}

TEST(Decision, RoundsDurationsUpToWholeSeconds) {
    EXPECT_EQ(whole_seconds_up(Nanos(-1)), 0U);
    EXPECT_EQ(whole_seconds_up(Nanos(0)), 0U);
    EXPECT_EQ(whole_seconds_up(Nanos(1)), 1U);
    EXPECT_EQ(whole_seconds_up(Nanos(1'000'000'000)), 1U);
    EXPECT_EQ(whole_seconds_up(Nanos(1'000'000'001)), 2U);
    EXPECT_EQ(whole_seconds_up(Nanos::max()), 9'223'372'037U);
}

}  // namespace
}  // namespace weir::limit
