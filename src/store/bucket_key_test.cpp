#include "store/bucket_key.h"

#include <gtest/gtest.h>

namespace weir::store {
namespace {

TEST(BucketKey, IsWhatTheManualNames) {
    std::string key;
    append_bucket_key(key, "rl", "user:42", "ws_ai_query");
    EXPECT_EQ(key, "rl:{user:42}:ws_ai_query");
}

}  // namespace
}  // namespace weir::store
