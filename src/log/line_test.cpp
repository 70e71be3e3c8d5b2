#include "log/line.h"

#include <gtest/gtest.h>
#include <limits>
#include <string>

namespace weir::log {
namespace {

using namespace std::chrono_literals;
using namespace std::string_literals;

// 2026-01-31T12:00:00.123456789Z
constexpr WallTime kTime{std::chrono::seconds(1769860800) + 123'456'789ns};

std::string json(std::string_view message, std::initializer_list<LogField> fields) {
    return format_line(Format::kJson, kTime, LogLevel::kInfo, message, fields);
}
std::string text(std::string_view message, std::initializer_list<LogField> fields) {
    return format_line(Format::kText, kTime, LogLevel::kInfo, message, fields);
}

TEST(LogLine, IsOneJsonObjectWithTimeLevelMessageAndFields) {
    EXPECT_EQ(json("denied", {{"subject", "user:42"}, {"left_out", std::int64_t{3}}, {"seconds", 0.25}}),
              R"({"time":"2026-01-31T12:00:00.123Z","level":"info","message":"denied","subject":"user:42",)"
              R"("left_out":3,"seconds":0.25})");
}

TEST(LogLine, IsKeysAndValuesInTheTextForm) {
    EXPECT_EQ(text("denied", {{"subject", "user:42"}, {"left_out", std::int64_t{-3}}}),
              "time=2026-01-31T12:00:00.123Z level=info message=denied subject=user:42 left_out=-3");
}

TEST(LogLine, QuotesWhatCouldBeReadAsAnotherFieldInTheTextForm) {
    EXPECT_EQ(text("two words", {{"a", "x level=error"}, {"b", ""}, {"c", "say \"hi\""}, {"d", "k=v"}}).substr(29),
              R"( level=info message="two words" a="x level=error" b="" c="say \"hi\"" d="k=v")");
}

TEST(LogLine, NeverHoldsALineFeedOrAControlCharacter) {
    const std::string hostile = "a\nb\r\x1b[31m\x7f\0c"s;
    for (const std::string& line : {json(hostile, {{"f", hostile}}), text(hostile, {{"f", hostile}})}) {
        for (const char c : line) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) << line;
    }
    EXPECT_NE(json(hostile, {}).find(R"("a\nb\r\u001b[31m\u007f\u0000c")"), std::string::npos) << json(hostile, {});
}

TEST(LogLine, CutsLongValuesAtACharactersBorderAndMarksTheCut) {
    const std::string exact(kValueBytesMax, 'x');
    EXPECT_EQ(text("m", {{"f", exact}}).substr(50), " f=" + exact);
    EXPECT_EQ(text("m", {{"f", exact + "y"}}).substr(50), " f=\"" + exact + "...\"");
    // The border falls inside a sequence of three bytes: it goes whole.
    const std::string euro = "\xE2\x82\xAC";
    EXPECT_EQ(text("m", {{"f", exact.substr(2) + euro + euro}}).substr(50), " f=\"" + exact.substr(2) + "...\"");
}

TEST(LogLine, BytesThatAreNoUtf8AreReplaced) {
    EXPECT_NE(json("\xFF", {}).find("\"message\":\"\xEF\xBF\xBD\""), std::string::npos);
}

TEST(LogLine, ANumberThatJsonCannotSayIsNull) {
    EXPECT_NE(json("m", {{"f", std::numeric_limits<double>::infinity()}}).find("\"f\":null}"), std::string::npos);
}

TEST(LogLine, WritesTimesBeforeTheEpochAndAtMidnight) {
    EXPECT_NE(format_line(Format::kText, WallTime{-1ns}, LogLevel::kError, "m", {}).find("1969-12-31T23:59:59.999Z"),
              std::string::npos);
    EXPECT_NE(format_line(Format::kText, WallTime{0ns}, LogLevel::kError, "m", {}).find("1970-01-01T00:00:00.000Z"),
              std::string::npos);
}

}  // namespace
}  // namespace weir::log
