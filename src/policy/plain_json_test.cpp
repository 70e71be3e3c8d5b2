#include "policy/plain_json.h"

#include <gtest/gtest.h>
#include <string>

namespace weir::policy {
namespace {

using namespace std::string_literals;

// What a scan for "a" and "query" says: "kind of a, kind of query", or "not plain".
std::string scan(std::string_view text) {
    std::array<PlainMember, 2> members{PlainMember{.name = "a"}, PlainMember{.name = "query"}};
    const std::string padded = std::string(text) + std::string(kPlainPadding, '"');
    if (!scan_plain_object(std::string_view(padded).substr(0, text.size()), members)) return "not plain";
    std::string out;
    for (const PlainMember& member : members) {
        static constexpr std::string_view kNames[]{"-", "string", "number", "true", "false", "null", "container"};
        out += (out.empty() ? "" : ", ") + std::string(kNames[static_cast<std::size_t>(member.kind)]);
        if (!member.value.empty()) out += " " + std::string(member.value);
    }
    return out;
}

TEST(PlainJson, FindsTheMembersOfAnObject) {
    EXPECT_EQ(scan("{}"), "-, -");
    EXPECT_EQ(scan(" \t\r\n{ } \n"), "-, -");
    EXPECT_EQ(scan(R"({"a":1})"), "number 1, -");
    EXPECT_EQ(scan(R"( { "b" : 1 , "query" : "what is it, and why?" , "a" : null } )"),
              "null, string what is it, and why?");
    EXPECT_EQ(scan(R"({"a":true,"query":false})"), "true, false");
    EXPECT_EQ(scan(R"({"a":-12.50,"query":0})"), "number -12.50, number 0");
    EXPECT_EQ(scan(R"({"b":{"a":1,"query":[]},"query":[[],{},{"x":[1,"]"]}]})"), "-, container");
    EXPECT_EQ(scan("{\"a\":\"" + std::string(1000, 'x') + "\"}"), "string " + std::string(1000, 'x') + ", -");
    EXPECT_EQ(scan("{\"a\":\"\x7F\"}"), "string \x7F, -");
}

TEST(PlainJson, LeavesToAParserWhatReadersMayDisagreeAbout) {
    for (const std::string& text :
         {R"({"a":1,"a":1})"s, R"({"A":1})"s, R"({"a":1,"QUERY":2})"s, R"({"\u0061":1})"s, R"({"b":"\n"})"s,
          "{\"b\":\"\xC3\xA9\"}"s, "{\"\xE2\x84\xAA\":1}"s, "\xEF\xBB\xBF{}"s, R"({"b":1e3})"s,
          R"({"b":1234567890123456})"s, R"([{"a":1}])"s, R"("a")"s, "7"s, ""s, " "s}) {
        EXPECT_EQ(scan(text), "not plain") << text;
    }
}

TEST(PlainJson, RefusesWhatIsNotJson) {
    for (const std::string& text : {"{"s,
                                    R"({"a")"s,
                                    R"({"a":)"s,
                                    R"({"a":})"s,
                                    R"({"a":1)"s,
                                    R"({"a":1,)"s,
                                    R"({"a":1,})"s,
                                    R"({"a":1 "b":2})"s,
                                    R"({,"a":1})"s,
                                    R"({a:1})"s,
                                    R"({"a":01})"s,
                                    R"({"a":-})"s,
                                    R"({"a":+1})"s,
                                    R"({"a":.5})"s,
                                    R"({"a":1.})"s,
                                    R"({"a":1.e})"s,
                                    R"({"a":tru})"s,
                                    R"({"a":truex})"s,
                                    R"({"a":nulL})"s,
                                    R"({"a":'x'})"s,
                                    R"({"a":"x})"s,
                                    R"({"a":[1,]})"s,
                                    R"({"a":[1}})"s,
                                    R"({"a":{"b":1]})"s,
                                    R"({"a":[}]})"s,
                                    R"({"a":{]})"s,
                                    R"({"a":{"b"}})"s,
                                    R"({"a":{"b":}})"s,
                                    R"({"a":{1:2}})"s,
                                    R"({"a":[1 2]})"s,
                                    R"({}{})"s,
                                    R"({}x)"s,
                                    R"({"a":1}})"s,
                                    "{\"a\":\"\n\"}"s,
                                    "{\"a\":1}\0"s,
                                    "{\0}"s,
                                    R"({"a":NaN})"s,
                                    R"({"a":1/**/})"s,
                                    R"({"a":[,1]})"s,
                                    R"({"a":{,}})"s}) {
        EXPECT_EQ(scan(text), "not plain") << text;
    }
}

TEST(PlainJson, StopsAtTheFirstCharacterOfAStringThatDoesNotStandForItselfWhereverItLies) {
    for (std::size_t at = 0; at < 40; ++at) {
        for (const char c : {'\0', '\x1F', '\\', '\x80', '\xFF'}) {
            std::string content(40, 'y');
            content[at] = c;
            EXPECT_EQ(scan("{\"a\":\"" + content + "\"}"), "not plain") << at;
        }
        EXPECT_EQ(scan("{\"a\":\"" + std::string(at, ' ') + "\"}").substr(0, 6), "string");
    }
}

TEST(PlainJson, BoundsTheDepth) {
    const auto nested = [](std::size_t depth) {
        return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
    };
    EXPECT_EQ(scan(nested(kPlainDepthMax)), "container, -");
    EXPECT_EQ(scan(nested(kPlainDepthMax + 1)), "not plain");
    EXPECT_EQ(scan("{\"a\":" + std::string(100'000, '[')), "not plain");
}

TEST(PlainJson, KnowsWhichNamesCanBeAskedFor) {
    EXPECT_TRUE(is_plain_name("query"));
    EXPECT_TRUE(is_plain_name(""));
    EXPECT_FALSE(is_plain_name("a\"b"));
    EXPECT_FALSE(is_plain_name("caf\xC3\xA9"));
}

}  // namespace
}  // namespace weir::policy
