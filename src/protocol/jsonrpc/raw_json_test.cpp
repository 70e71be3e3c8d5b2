#include "protocol/jsonrpc/raw_json.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace weir::protocol::jsonrpc {
namespace {

std::vector<std::string> values_of(std::string_view container) {
    std::vector<std::string> values;
    RawValues walk(container);
    for (std::string_view value = walk.next(); !value.empty(); value = walk.next()) values.emplace_back(value);
    return values;
}

using Values = std::vector<std::string>;

TEST(RawJson, GivesValuesAsTheyWereWritten) {
    EXPECT_EQ(values_of(R"( { "a" : 1.0 , "b\"}":"x\\" ,"c": {"d":[1,"]"]}, "e":null } )"),
              (Values{"1.0", R"("x\\")", R"({"d":[1,"]"]})", "null"}));
    EXPECT_EQ(values_of("[1,\t[ 2 ] , {\"a\":3}\n, \"\"]"), (Values{"1", "[ 2 ]", R"({"a":3})", R"("")"}));
    EXPECT_EQ(values_of("{}"), Values{});
    EXPECT_EQ(values_of("[ ]"), Values{});
}

TEST(RawJson, StaysWithinATextThatBreaksOff) {
    const std::string whole = R"({"a\"b":[{"c":"d\\"}, 1.5],"e":"f"})";
    for (std::size_t size = 0; size < whole.size(); ++size) {
        const std::string cut = whole.substr(0, size);  // of its own, so that a sanitizer sees a read behind it
        for (const std::string& value : values_of(cut)) EXPECT_NE(cut.find(value), std::string::npos);
    }
}

}  // namespace
}  // namespace weir::protocol::jsonrpc
