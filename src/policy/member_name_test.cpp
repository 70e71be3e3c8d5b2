#include "policy/member_name.h"

#include <gtest/gtest.h>

namespace weir::policy {
namespace {

TEST(MemberName, IsExactFoldedOrAnother) {
    EXPECT_EQ(match_name("method", "method"), NameMatch::kExact);
    EXPECT_EQ(match_name("Method", "method"), NameMatch::kFolded);
    EXPECT_EQ(match_name("param\xC5\xBF", "params"), NameMatch::kFolded);
    EXPECT_EQ(match_name("methods", "method"), NameMatch::kNone);
    EXPECT_EQ(match_name("metho", "method"), NameMatch::kNone);
    EXPECT_EQ(match_name("", ""), NameMatch::kExact);
}

TEST(MemberName, ReadsTheEscapesOfAPointerInWhatIsWantedOnly) {
    EXPECT_EQ(match_name("a/b~", "a~1b~0", true), NameMatch::kExact);
    EXPECT_EQ(match_name("a~1b", "a~1b", true), NameMatch::kNone);
    EXPECT_EQ(match_name("a~1b", "a~1b"), NameMatch::kExact);
}

}  // namespace
}  // namespace weir::policy
