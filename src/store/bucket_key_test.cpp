#include "store/bucket_key.h"

#include <gtest/gtest.h>

namespace weir::store {
namespace {

TEST(BucketKey, IsWhatTheManualNames) {
    std::string key;
    append_bucket_key(key, "rl", "user:42", "ws_ai_query");
    EXPECT_EQ(key, "rl:{user:42}:ws_ai_query");
}

TEST(BucketKey, IsTheSameAsAnArgument) {
    std::string argument;
    append_bucket_key_argument(argument, "rl", "user:42", "ws_ai_query");
    EXPECT_EQ(argument, "$24\r\nrl:{user:42}:ws_ai_query\r\n");
}

}  // namespace
}  // namespace weir::store
