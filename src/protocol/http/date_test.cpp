#include "protocol/http/date.h"

#include <gtest/gtest.h>

namespace weir::protocol::http {
namespace {

TEST(HttpDate, IsWrittenAsTheStandardDoes) {
    const auto at = [](std::int64_t second) { return http_date(WallTime(std::chrono::seconds(second))); };
    EXPECT_EQ(at(784'111'777), "Sun, 06 Nov 1994 08:49:37 GMT") << "RFC 9110 5.6.7";
    EXPECT_EQ(at(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    EXPECT_EQ(at(951'827'696), "Tue, 29 Feb 2000 12:34:56 GMT");
    EXPECT_EQ(at(4'102'444'799), "Thu, 31 Dec 2099 23:59:59 GMT");
    EXPECT_EQ(http_date(WallTime(std::chrono::nanoseconds(1'999'999'999))), "Thu, 01 Jan 1970 00:00:01 GMT");
}

}  // namespace
}  // namespace weir::protocol::http
