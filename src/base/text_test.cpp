#include "base/text.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

std::string escaped(std::string_view text) {
    std::string out;
    append_json_escaped(out, text);
    return out;
}

TEST(Text, EscapesForJson) {
    EXPECT_EQ(escaped("a\"b\\c\n\x01\x7f"), "a\\\"b\\\\c\\n\\u0001\\u007f");
    EXPECT_EQ(escaped("gr\xC3\xBC\xC3\x9F"), "gr\xC3\xBC\xC3\x9F");
}

TEST(Text, ReplacesWhatIsNotUtf8) {
    EXPECT_EQ(escaped("\xFF"), "\xEF\xBF\xBD");
    EXPECT_EQ(escaped("\xC0\xAF"), "\xEF\xBF\xBD\xEF\xBF\xBD");  // overlong
    EXPECT_EQ(escaped("\xED\xA0\x80x").back(), 'x');             // surrogate
    EXPECT_EQ(escaped("\xE2\x82"), "\xEF\xBF\xBD\xEF\xBF\xBD");  // cut short
}

TEST(Text, FoldsNamesAsApplicationsDo) {
    EXPECT_TRUE(equals_folded("X-API-Key", "x_api_key"));
    EXPECT_TRUE(equals_folded("", ""));
    EXPECT_FALSE(equals_folded("X-API-Key", "X-API-Ke"));
    EXPECT_FALSE(equals_folded("X-API-Key", "X.API.Key"));
}

TEST(Text, FindsTokensInLists) {
    EXPECT_TRUE(list_has_token("keep-alive, Upgrade", "upgrade"));
    EXPECT_TRUE(list_has_token(" ,Upgrade ,", "upgrade"));
    EXPECT_FALSE(list_has_token("upgraded", "upgrade"));
}

TEST(Text, ParsesDecimalsStrictly) {
    EXPECT_EQ(parse_decimal("18446744073709551615"), 18446744073709551615U);
    for (const char* text : {"", "+1", "-1", " 1", "1 ", "0x1", "18446744073709551616"})
        EXPECT_FALSE(parse_decimal(text)) << text;
}

}  // namespace
}  // namespace weir
