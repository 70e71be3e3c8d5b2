#include "base/error.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(ErrorTable, HasARowForEachCodeInTheOrderOfTheEnumeration) {
    for (int i = 0; i < static_cast<int>(ErrorCode::kCount_); ++i) {
        const auto code = static_cast<ErrorCode>(i);
        EXPECT_EQ(error_row(code).code, code);
        EXPECT_FALSE(error_row(code).label.empty());
        EXPECT_GE(error_row(code).http_status, 400);
        EXPECT_GE(error_row(code).websocket_close, 1001);
    }
}

}  // namespace
}  // namespace weir
