#include "log/logger.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <string>
#include <thread>
#include <vector>

namespace weir::log {
namespace {

TEST(Logger, WritesALineToStandardErrorThatIsThereAfterAFlush) {
    testing::internal::CaptureStderr();
    const auto logger = make_logger(LogLevel::kInfo, Format::kText);
    logger->write(LogLevel::kWarning, "hello", {{"n", std::int64_t{1}}});
    logger->flush();
    const std::string out = testing::internal::GetCapturedStderr();
    EXPECT_TRUE(out.ends_with(" level=warning message=hello n=1\n")) << out;
}

TEST(Logger, WritesWhatIsLeftWhenItEnds) {
    testing::internal::CaptureStderr();
    make_logger(LogLevel::kInfo, Format::kJson)->write(LogLevel::kError, "bye", {});
    const std::string out = testing::internal::GetCapturedStderr();
    EXPECT_TRUE(out.ends_with("\"level\":\"error\",\"message\":\"bye\"}\n")) << out;
}

TEST(Logger, LeavesOutWhatIsBelowItsLevelUntilTheLevelChanges) {
    testing::internal::CaptureStderr();
    const auto logger = make_logger(LogLevel::kWarning, Format::kText);
    EXPECT_FALSE(logger->enabled(LogLevel::kInfo));
    EXPECT_TRUE(logger->enabled(LogLevel::kWarning));
    logger->write(LogLevel::kInfo, "hidden", {});
    logger->set_level(LogLevel::kDebug);
    logger->write(LogLevel::kDebug, "shown", {});
    logger->flush();
    const std::string out = testing::internal::GetCapturedStderr();
    EXPECT_EQ(out.find("hidden"), std::string::npos);
    EXPECT_NE(out.find("message=shown"), std::string::npos);
}

// Every line is whole and either written or counted as dropped, however many threads write more than the queue holds.
TEST(Logger, WritesWholeLinesAndSaysHowManyItDropped) {
    constexpr int kThreads = 4;
    constexpr int kLines = 10'000;
    testing::internal::CaptureStderr();
    {
        const auto logger = make_logger(LogLevel::kInfo, Format::kText);
        std::vector<std::thread> threads;
        for (int t = 0; t < kThreads; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < kLines; ++i) logger->write(LogLevel::kInfo, "line", {{"i", std::int64_t{i}}});
            });
        }
        for (std::thread& thread : threads) thread.join();
    }
    const std::string out = testing::internal::GetCapturedStderr();
    std::int64_t written = 0;
    std::int64_t dropped = 0;
    for (std::size_t start = 0; start < out.size();) {
        const std::size_t end = out.find('\n', start);
        ASSERT_NE(end, std::string::npos);
        const std::string line = out.substr(start, end - start);
        ASSERT_TRUE(line.starts_with("time=")) << line;
        if (const std::size_t at = line.find("dropped="); at != std::string::npos) {
            dropped += std::stoll(line.substr(at + 8));
        } else {
            ASSERT_NE(line.find(" message=line i="), std::string::npos) << line;
            ++written;
        }
        start = end + 1;
    }
    // The flush at the end may itself have pushed a line out of the full queue.
    EXPECT_GE(written + dropped, kThreads * kLines);
    EXPECT_LE(written + dropped, kThreads * kLines + 1);
}

}  // namespace
}  // namespace weir::log
