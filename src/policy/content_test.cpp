#include "policy/content.h"

#include <algorithm>
#include <gtest/gtest.h>

#include "base/limits.h"
#include "base/random.h"

namespace weir::policy {
namespace {

using namespace std::string_literals;

Condition has(std::string pointer) {
    return {Condition::JsonHas{std::move(pointer)}};
}
Condition equals(std::string pointer, JsonScalar value) {
    return {Condition::JsonEquals{std::move(pointer), std::move(value)}};
}
Condition larger_than(std::uint64_t bytes) {
    return {Condition::LargerThan{bytes}};
}
Condition negated(Condition condition) {
    return {Condition::Not{std::make_unique<Condition>(std::move(condition))}};
}
template <typename... Each>
Conditions list(Each... each) {
    Conditions conditions;
    (conditions.push_back(std::move(each)), ...);
    return conditions;
}
template <typename... Each>
Condition all(Each... each) {
    return {Condition::All{list(std::move(each)...)}};
}
template <typename... Each>
Condition any(Each... each) {
    return {Condition::Any{list(std::move(each)...)}};
}

// Content with nothing but zeros behind it, as the gateway's scratch has.
class Padded {
  public:
    explicit Padded(std::string_view content) : size_(content.size()), bytes_(content) {
        bytes_.append(kJsonPadding, '\0');
    }
    MessageView view(bool complete = true, bool binary = false) const {
        return {std::string_view(bytes_).substr(0, size_), complete, binary, size_};
    }

  private:
    std::size_t size_;
    std::string bytes_;
};

// By a parser, and by the rules, which look for a shorter way: both say the same.
Answer answer(Condition condition, std::string_view content) {
    ContentJudge judge;
    const Answer parsed = judge.evaluate(condition, Padded(content).view());
    std::vector<MessageRule> list(1);
    list[0].when = std::make_unique<Condition>(std::move(condition));
    const MessageRules rules(std::move(list), 1 << 20);
    const std::size_t judged = judge.judge(rules, Padded(content).view());
    const Answer by_rules = judged == 0                       ? Answer::kYes
                            : judged == MessageRules::kNoRule ? Answer::kNo
                                                              : Answer::kUnknown;
    EXPECT_EQ(by_rules, parsed) << content;
    return parsed;
}
Answer answer_cut(const Condition& condition, std::string_view content) {
    ContentJudge judge;
    return judge.evaluate(condition, Padded(content).view(false));
}

TEST(JsonHas, FindsATopLevelMember) {
    EXPECT_EQ(answer(has("query"), R"({"query": "hi", "x": 1})"), Answer::kYes);
    EXPECT_EQ(answer(has("query"), R"({"x": 1})"), Answer::kNo);
    EXPECT_EQ(answer(has("query"), R"({"x": {"query": 1}})"), Answer::kNo);
    EXPECT_EQ(answer(has("query"), R"(["query"])"), Answer::kNo);
    EXPECT_EQ(answer(has("query"), R"({})"), Answer::kNo);
    EXPECT_EQ(answer(has("query"), R"("query")"), Answer::kNo);
    EXPECT_EQ(answer(has("quer"), R"({"query": 1, "que": 1})"), Answer::kNo);
    EXPECT_EQ(answer(has("a/b"), R"({"a/b": 1})"), Answer::kYes);
    EXPECT_EQ(answer(has(""), R"({"": 1})"), Answer::kYes);
}

TEST(JsonHas, CountsAMemberThatIsNull) {
    EXPECT_EQ(answer(has("query"), R"({"query": null})"), Answer::kYes);
    EXPECT_EQ(answer(equals("query", nullptr), R"({"query": null})"), Answer::kYes);
    EXPECT_EQ(answer(equals("query", nullptr), R"({})"), Answer::kNo);
}

// RFC 6901, section 5.
TEST(JsonPointer, ReadsTheExamplesOfTheStandard) {
    const std::string document = R"({"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3, "g|h": 4,)"
                                 R"( "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8})";
    EXPECT_EQ(answer(equals("/foo/0", "bar"s), document), Answer::kYes);
    EXPECT_EQ(answer(equals("/", std::int64_t{0}), document), Answer::kYes);
    EXPECT_EQ(answer(equals("/a~1b", std::int64_t{1}), document), Answer::kYes);
    EXPECT_EQ(answer(equals("/c%d", std::int64_t{2}), document), Answer::kYes);
    EXPECT_EQ(answer(equals("/e^f", std::int64_t{3}), document), Answer::kYes);
    EXPECT_EQ(answer(equals("/g|h", std::int64_t{4}), document), Answer::kYes);
    EXPECT_EQ(answer(equals("/i\\j", std::int64_t{5}), document), Answer::kYes);
    EXPECT_EQ(answer(equals("/k\"l", std::int64_t{6}), document), Answer::kYes);
    EXPECT_EQ(answer(equals("/ ", std::int64_t{7}), document), Answer::kYes);
    EXPECT_EQ(answer(equals("/m~0n", std::int64_t{8}), document), Answer::kYes);
}

TEST(JsonPointer, WalksArraysByPlainIndexesOnly) {
    EXPECT_EQ(answer(has("/a/1/b"), R"({"a": [0, {"b": 1}]})"), Answer::kYes);
    EXPECT_EQ(answer(has("/0"), R"([1])"), Answer::kYes);
    EXPECT_EQ(answer(has("/1"), R"([1])"), Answer::kNo);
    EXPECT_EQ(answer(has("/00"), R"([1])"), Answer::kNo);
    EXPECT_EQ(answer(has("/-"), R"([1])"), Answer::kNo);
    EXPECT_EQ(answer(has("/+0"), R"([1])"), Answer::kNo);
    EXPECT_EQ(answer(has("/99999999999999999999"), R"([1])"), Answer::kNo);
    EXPECT_EQ(answer(has("0"), R"([1])"), Answer::kNo);
    EXPECT_EQ(answer(has("/00"), R"({"00": 1})"), Answer::kYes);
    EXPECT_EQ(answer(has("/a/b/c"), R"({"a": {"b": 1}})"), Answer::kNo);
}

TEST(JsonPointer, IsCheckedForItsEscapes) {
    EXPECT_TRUE(is_member_pointer("a~2"));
    EXPECT_TRUE(is_member_pointer(""));
    EXPECT_TRUE(is_member_pointer("/a~0~1/b"));
    EXPECT_FALSE(is_member_pointer("/a~2"));
    EXPECT_FALSE(is_member_pointer("/a~"));
}

TEST(JsonEquals, ComparesNumbersByValue) {
    for (const std::string_view one : {"1", "1.0", "1e0", "10e-1", "1.000E+0"}) {
        const std::string document = R"({"n": )" + std::string(one) + "}";
        EXPECT_EQ(answer(equals("n", std::int64_t{1}), document), Answer::kYes) << one;
        EXPECT_EQ(answer(equals("n", 1.0), document), Answer::kYes) << one;
        EXPECT_EQ(answer(equals("n", 1.5), document), Answer::kNo) << one;
        EXPECT_EQ(answer(equals("n", true), document), Answer::kNo) << one;
        EXPECT_EQ(answer(equals("n", "1"s), document), Answer::kNo) << one;
    }
    EXPECT_EQ(answer(equals("n", std::int64_t{0}), R"({"n": -0.0})"), Answer::kYes);
    EXPECT_EQ(answer(equals("n", INT64_MAX), R"({"n": 9223372036854775807})"), Answer::kYes);
    EXPECT_EQ(answer(equals("n", INT64_MAX), R"({"n": 9223372036854775806})"), Answer::kNo);
    EXPECT_EQ(answer(equals("n", INT64_MAX), R"({"n": 9223372036854775808})"), Answer::kNo);
    EXPECT_EQ(answer(equals("n", INT64_MAX), R"({"n": 9.3e18})"), Answer::kNo);
    EXPECT_EQ(answer(equals("n", INT64_MIN), R"({"n": -9223372036854775808})"), Answer::kYes);
    EXPECT_EQ(answer(equals("n", 18446744073709551615.0), R"({"n": 18446744073709551615})"), Answer::kNo);
    EXPECT_EQ(answer(equals("n", 9223372036854775808.0), R"({"n": 9223372036854775808})"), Answer::kYes);
    EXPECT_EQ(answer(equals("n", 0.5), R"({"n": 5e-1})"), Answer::kYes);
    EXPECT_EQ(answer(equals("n", 0.5), R"({"n": 0})"), Answer::kNo);
}

TEST(JsonEquals, ComparesBooleansAndStrings) {
    EXPECT_EQ(answer(equals("b", true), R"({"b": true})"), Answer::kYes);
    EXPECT_EQ(answer(equals("b", false), R"({"b": true})"), Answer::kNo);
    EXPECT_EQ(answer(equals("b", true), R"({"b": "true"})"), Answer::kNo);
    EXPECT_EQ(answer(equals("s", "a\0b"s), R"({"s": "a\u0000b"})"), Answer::kYes);
    EXPECT_EQ(answer(equals("s", "a"s), R"({"s": "a\u0000b"})"), Answer::kNo);
    EXPECT_EQ(answer(equals("s", "\xF0\x9F\x98\x80"s), R"({"s": "\uD83D\uDE00"})"), Answer::kYes);
    EXPECT_EQ(answer(equals("s", ""s), R"({"s": ["", ""]})"), Answer::kNo);
}

// Random texts near the grammar: the scan of plain objects never says anything else than a parse does.
TEST(JsonEquals, SaysTheSameHoweverATextIsRead) {
    Rng random(20);
    const std::vector<std::string_view> pieces{"{",
                                               "}",
                                               "[",
                                               "]",
                                               ":",
                                               ",",
                                               "\"a\"",
                                               "\"b\"",
                                               "\"A\"",
                                               "\"type\"",
                                               "1",
                                               "-0",
                                               "0.50",
                                               "1e1",
                                               "01",
                                               "true",
                                               "null",
                                               "fals",
                                               "\"pi\\u006eg\"",
                                               "\"ping\"",
                                               "\"\"",
                                               " ",
                                               "\n",
                                               "\"\xC3\xA9\"",
                                               "7}",
                                               "{\"a\":",
                                               "\"a\":",
                                               "[1,2]",
                                               "\\",
                                               "\"x\":1,",
                                               "\"type\":\"ping\"",
                                               "{}"};
    for (int i = 0; i < 20'000; ++i) {
        std::string text = random.one_in(10) ? "" : "{";
        for (std::uint64_t n = random.between(0, 9); n > 0; --n) text += pieces[random.below(pieces.size())];
        if (!random.one_in(10)) text += "}";
        static_cast<void>(answer(has("a"), text));
        static_cast<void>(answer(equals("type", "ping"s), text));
        static_cast<void>(answer(any(equals("a", std::int64_t{1}), equals("/b", 0.5), equals("type", nullptr)), text));
    }
}

TEST(Dodge, EscapesDoNotHideAName) {
    EXPECT_EQ(answer(has("type"), R"({"\u0074ype": 1})"), Answer::kYes);
    EXPECT_EQ(answer(has("type"), R"({"\u0074\u0079\u0070\u0065": 1})"), Answer::kYes);
    EXPECT_EQ(answer(equals("type", "ping"s), R"({"type": "pin\u0067"})"), Answer::kYes);
    EXPECT_EQ(answer(has("a/b"), R"({"a\/b": 1})"), Answer::kYes);
}

TEST(Dodge, DuplicateMembersWithDifferentAnswersAreUnknown) {
    EXPECT_EQ(answer(equals("type", "ping"s), R"({"type": "ping", "type": "query"})"), Answer::kUnknown);
    EXPECT_EQ(answer(equals("type", "ping"s), R"({"type": "query", "type": "ping"})"), Answer::kUnknown);
    EXPECT_EQ(answer(equals("type", "ping"s), R"({"type": "ping", "x": 0, "t\u0079pe": 7})"), Answer::kUnknown);
    EXPECT_EQ(answer(has("/a/b"), R"({"a": {"b": 1}, "a": {}})"), Answer::kUnknown);
    EXPECT_EQ(answer(has("/a/b"), R"({"a": {"b": 1}, "a": 5})"), Answer::kUnknown);
}

TEST(Dodge, DuplicateMembersWithOneAnswerHaveIt) {
    EXPECT_EQ(answer(equals("type", "ping"s), R"({"type": "ping", "type": "ping"})"), Answer::kYes);
    EXPECT_EQ(answer(equals("type", "ping"s), R"({"type": "a", "type": "b"})"), Answer::kNo);
    EXPECT_EQ(answer(has("query"), R"({"query": 1, "query": null})"), Answer::kYes);
    EXPECT_EQ(answer(has("/a/b"), R"({"a": {"b": 1}, "a": {"b": 2}})"), Answer::kYes);
}

TEST(Dodge, ANameThatDiffersInCaseIsUnknown) {
    EXPECT_EQ(answer(has("query"), R"({"Query": 1})"), Answer::kUnknown);
    EXPECT_EQ(answer(has("/a/query"), R"({"a": {"QUERY": 1}})"), Answer::kUnknown);
    EXPECT_EQ(answer(has("/a/query"), R"({"A": {"query": 1}})"), Answer::kUnknown);
    EXPECT_EQ(answer(has("/a/query"), R"({"A": {"x": 1}})"), Answer::kNo);
    EXPECT_EQ(answer(equals("type", "ping"s), R"({"type": "ping", "Type": "query"})"), Answer::kUnknown);
    EXPECT_EQ(answer(equals("type", "ping"s), R"({"type": "query", "Type": "query"})"), Answer::kNo);
    EXPECT_EQ(answer(equals("type", "ping"s), R"({"Type": "query"})"), Answer::kNo);
    // Letters that fold to ASCII: U+017F (s), U+212A (k), U+0130 and U+0131 (i).
    EXPECT_EQ(answer(has("tasks"), "{\"ta\xC5\xBFks\": 1}"), Answer::kUnknown);
    EXPECT_EQ(answer(has("tasks"), "{\"tas\\u212as\": 1}"), Answer::kUnknown);
    EXPECT_EQ(answer(has("ids"), "{\"\xC4\xB0\x64s\": 1}"), Answer::kUnknown);
    EXPECT_EQ(answer(has("tasks"), "{\"ta\xC5\xBE\x6Bs\": 1}"), Answer::kNo);
    EXPECT_EQ(answer(has("query"), R"({"query": 1, "Query": 2})"), Answer::kYes);
}

TEST(Dodge, WhiteSpaceDoesNotHideAMember) {
    EXPECT_EQ(answer(has("query"), " \t\r\n{ \n \"query\" \t:\r\n1 } \n"), Answer::kYes);
    // White space that JSON does not have is not JSON, and lenient readers skip it.
    EXPECT_EQ(answer(has("query"), "\v{\"query\": 1}"), Answer::kUnknown);
    EXPECT_EQ(answer(has("query"), "\xC2\xA0{\"query\": 1}"), Answer::kUnknown);
    EXPECT_EQ(answer(has("query"), "\xE2\x80\x83{\"query\": 1}"), Answer::kUnknown);
    EXPECT_EQ(answer(has("query"), "\x1E{\"query\": 1}"), Answer::kUnknown);
    EXPECT_EQ(answer(has("query"), "\x01\x1F\x7F{\"query\": 1}"), Answer::kUnknown);
}

TEST(Dodge, NestingBeyondTheBoundIsUnknown) {
    const auto nested = [](std::size_t depth) {
        return R"({"query": 1, "x": )" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
    };
    EXPECT_EQ(answer(has("query"), nested(kJsonDepthMax)), Answer::kYes);
    EXPECT_EQ(answer(has("query"), nested(kJsonDepthMax + 1)), Answer::kUnknown);
    EXPECT_EQ(answer(has("query"), nested(100'000)), Answer::kUnknown);
}

TEST(Dodge, PaddingBeyondWhatIsInspectedIsUnknown) {
    EXPECT_EQ(answer_cut(has("query"), R"({"pad": "aaaaaaaaaaaaaa)"), Answer::kUnknown);
    EXPECT_EQ(answer_cut(has("query"), R"({"query": 1})"), Answer::kUnknown);
    EXPECT_EQ(answer_cut(has("query"), std::string(5'000, ' ')), Answer::kUnknown);
    EXPECT_EQ(answer_cut(has("query"), "\"" + std::string(5'000, 'x')), Answer::kUnknown);
    EXPECT_EQ(answer_cut(has("query"), "// " + std::string(5'000, 'x')), Answer::kUnknown);
    EXPECT_EQ(answer_cut(has("query"), ""), Answer::kUnknown);
    EXPECT_EQ(answer_cut(has("query"), "tru"), Answer::kUnknown);
    EXPECT_EQ(answer_cut(has("query"), ")]"), Answer::kUnknown);
    EXPECT_EQ(answer_cut(has("query"), "/"), Answer::kUnknown);
    EXPECT_EQ(answer_cut(has("query"), "\xEF\xBB"), Answer::kUnknown);
}

TEST(Dodge, AByteOrderMarkIsNeverNo) {
    EXPECT_NE(answer(has("query"), "\xEF\xBB\xBF{\"query\": 1}"), Answer::kNo);
    EXPECT_EQ(answer(has("query"), "\xEF\xBB\xBF \xEF\xBB\xBF{\"query\": 1}"), Answer::kUnknown);
}

TEST(Dodge, WhatOnlyLenientReadersAcceptIsUnknown) {
    for (const std::string_view text : {
             R"({"query": NaN})",
             R"({"query": Infinity})",
             R"({query: 1})",
             R"({'query': 1})",
             R"({"query": 1,})",
             R"({"query": 1}/**/)",
             R"({"query": 1} {"x": 2})",
             R"({"query": 1)",
             R"({"query": 01})",
             R"({"query": 0x10})",
             R"({"query": +1})",
             R"({"query": "\x41"})",
             R"({"query": "\ud800"})",
             R"({"query": 1e999})",
             R"({"query": 99999999999999999999})",
             R"([{"query": 1},])",
             "{\"query\": \"a\nb\"}",
             "{\"query\": \"\xFF\"}",
             "{\"query\": 1}\x1E",
             "// x\n{\"query\": 1}",
             "/* { */ {\"query\": 1}",
             "# x\n{\"query\": 1}",
             ")]}',\n{\"query\": 1}",
             R"(1 {"query": 1})",
             R"(null{"query": 1})",
             R"("" {"query": 1})",
             R"('' {"query": 1})",
             R"("\"" NaN -1.5e3 {"query": 1})",
             R"(True {"query": 1})",
         }) {
        EXPECT_EQ(answer(has("query"), text), Answer::kUnknown) << text;
        EXPECT_EQ(answer(negated(has("query")), text), Answer::kUnknown) << text;
    }
}

TEST(Dodge, WideEncodingsAreUnknown) {
    const std::string text = R"( {"query": 1})";
    const auto widened = [&](std::string before, std::string after) {
        std::string wide;
        for (const char c : text) wide += before + c + after;
        return wide;
    };
    const std::string zero("\0", 1);
    const std::string zeros("\0\0\0", 3);
    for (const std::string& wide :
         {widened("", zero), widened(zero, ""), widened("", zeros), widened(zeros, ""), "\xFF\xFE" + widened("", zero),
          "\xFE\xFF" + widened(zero, ""), "\xFF\xFE\0\0"s + widened("", zeros), "\0\0\xFE\xFF"s + widened(zeros, "")}) {
        EXPECT_EQ(answer(has("query"), wide), Answer::kUnknown);
    }
}

TEST(PlainText, IsNoJson) {
    for (const std::string& text : {
             ""s,
             " "s,
             "ping"s,
             "hello {\"query\": 1}"s,
             "trueish {}"s,
             "/help {x}"s,
             "42"s,
             "// only a comment"s,
             "\"open"s,
             "it's {fine}"s,
             "\xE6\x97\xA5\xE6\x9C\xAC {x}"s,
             "\x81\xA5query\x01{"s,
             "\x00\x00\x00\x00"s,
             "\x01\x00\x02\x00<{}"s,
             "<xml>{}</xml>"s,
             "=1{}"s,
         }) {
        EXPECT_EQ(answer(has("query"), text), Answer::kNo) << text;
        EXPECT_EQ(answer(negated(has("query")), text), Answer::kYes) << text;
    }
    EXPECT_EQ(answer_cut(has("query"), "hello {\"query\": 1}, and more"), Answer::kNo);
    EXPECT_EQ(answer_cut(has("query"), "\x81\xA5" + std::string(100, '{')), Answer::kNo);
}

TEST(Conditions, OnOpcodeAndSize) {
    ContentJudge judge;
    const Padded padded("12345");
    EXPECT_EQ(judge.evaluate({Condition::Binary{true}}, padded.view(true, true)), Answer::kYes);
    EXPECT_EQ(judge.evaluate({Condition::Binary{true}}, padded.view(true, false)), Answer::kNo);
    EXPECT_EQ(judge.evaluate({Condition::Binary{false}}, padded.view(true, false)), Answer::kYes);
    EXPECT_EQ(judge.evaluate(larger_than(4), padded.view()), Answer::kYes);
    EXPECT_EQ(judge.evaluate(larger_than(5), padded.view()), Answer::kNo);
    EXPECT_EQ(judge.evaluate(larger_than(4), padded.view(false)), Answer::kYes);
    EXPECT_EQ(judge.evaluate(larger_than(5), padded.view(false)), Answer::kUnknown);
}

TEST(Conditions, JoinInThreeValuedLogic) {
    // On cut content `has` is unknown; the size answers yes and no.
    const auto unknown = [] { return has("x"); };
    const auto yes = [] { return larger_than(0); };
    const auto no = [] { return negated(larger_than(0)); };
    const auto cut = [](const Condition& condition) { return answer_cut(condition, "{  "); };
    EXPECT_EQ(cut(all(yes(), yes())), Answer::kYes);
    EXPECT_EQ(cut(all(yes(), unknown())), Answer::kUnknown);
    EXPECT_EQ(cut(all(unknown(), no())), Answer::kNo);
    EXPECT_EQ(cut(all(unknown(), yes())), Answer::kUnknown);
    EXPECT_EQ(cut(all()), Answer::kYes);
    EXPECT_EQ(cut(any(no(), no())), Answer::kNo);
    EXPECT_EQ(cut(any(no(), unknown())), Answer::kUnknown);
    EXPECT_EQ(cut(any(unknown(), yes())), Answer::kYes);
    EXPECT_EQ(cut(any()), Answer::kNo);
    EXPECT_EQ(cut(negated(unknown())), Answer::kUnknown);
    EXPECT_EQ(cut(negated(yes())), Answer::kNo);
}

MessageRule rule(std::optional<Condition> when, std::vector<LimitId> limits) {
    MessageRule result;
    if (when) result.when = std::make_unique<Condition>(std::move(*when));
    result.unlimited = limits.empty();
    result.limits = std::move(limits);
    return result;
}

MessageRules chat_rules() {
    std::vector<MessageRule> rules;
    rules.push_back(rule(equals("type", "ping"s), {}));
    rules.push_back(rule(has("approval_decision"), {1}));
    rules.push_back(rule(has("query"), {2, 1}));
    rules.push_back(rule(std::nullopt, {1}));
    return MessageRules(std::move(rules), 4096);
}

TEST(ContentJudge, TakesTheRuleThatSaysYesBeforeAllOthers) {
    const MessageRules rules = chat_rules();
    ContentJudge judge;
    const auto judged = [&](std::string_view content) { return judge.judge(rules, Padded(content).view()); };
    EXPECT_EQ(judged(R"({"type": "ping", "query": "x"})"), 0U);
    EXPECT_EQ(judged(R"({"approval_decision": true, "query": "x"})"), 1U);
    EXPECT_EQ(judged(R"({"query": "x"})"), 2U);
    EXPECT_EQ(judged(R"({})"), 3U);
    EXPECT_EQ(judged("hello"), 3U);
}

TEST(ContentJudge, StopsAtTheRuleThatCannotBeJudged) {
    std::vector<MessageRule> list;
    list.push_back(rule(Condition{Condition::Binary{true}}, {1}));
    list.push_back(rule(has("query"), {2}));
    const MessageRules rules(std::move(list), 64);
    ContentJudge judge;
    const Padded hostile(R"({"query": NaN})");
    EXPECT_EQ(judge.judge(rules, hostile.view(true, true)), 0U);
    EXPECT_EQ(judge.judge(rules, hostile.view(true, false)), MessageRules::kUnjudgeable);
    EXPECT_EQ(judge.judge(rules, hostile.view(false, false)), MessageRules::kUnjudgeable);
    EXPECT_EQ(judge.judge(rules, Padded("{}").view()), MessageRules::kNoRule);
    EXPECT_EQ(judge.judge(MessageRules(), hostile.view()), MessageRules::kNoRule);
}

TEST(ContentJudge, ForgetsTheMessageBefore) {
    const MessageRules rules = chat_rules();
    ContentJudge judge;
    EXPECT_EQ(judge.judge(rules, Padded(R"({"query": 1})").view()), 2U);
    EXPECT_EQ(judge.judge(rules, Padded(R"({"x": 1})").view()), 3U);
    EXPECT_EQ(judge.judge(rules, Padded(R"({"query": )").view()), MessageRules::kUnjudgeable);
    EXPECT_EQ(judge.judge(rules, Padded(R"({"x": ")" + std::string(100'000, 'x') + "\"}").view()), 3U);
    EXPECT_EQ(judge.judge(rules, Padded(R"({"query": 1})").view()), 2U);
}

TEST(MessageRules, NeedContentOnlyWhenAReachableRuleLooksAtIt) {
    const auto needs = [](auto... rules) {
        std::vector<MessageRule> list;
        (list.push_back(std::move(rules)), ...);
        return MessageRules(std::move(list), 1).needs_content();
    };
    EXPECT_FALSE(needs());
    EXPECT_FALSE(needs(rule(std::nullopt, {1})));
    EXPECT_FALSE(needs(rule(std::nullopt, {1}), rule(has("x"), {2})));
    EXPECT_FALSE(needs(rule(negated(all(Condition{Condition::Binary{}})), {1})));
    EXPECT_TRUE(needs(rule(has("x"), {2}), rule(std::nullopt, {1})));
    EXPECT_TRUE(needs(rule(larger_than(1), {2})));
    EXPECT_TRUE(needs(rule(any(Condition{Condition::Binary{}}, negated(equals("x", true))), {2})));
}

// Random documents, written in random ways; the answer must be that of the value, not of its writing. Names may repeat:
// then a definite answer must be that of a reader to whom the first counts, and of one to whom the last counts.
struct Value {
    enum class Kind : std::uint8_t { kNull, kTrue, kNumber, kText, kArray, kObject };
    Kind kind = Kind::kNull;
    std::int64_t number = 0;
    std::string text;
    std::vector<std::pair<std::string, Value>> members;  // of an array: without names
};

constexpr std::string_view kNames[]{"a", "b", "type", "que/ry", "\xC3\xA9~"};

Value random_value(Rng& rng, unsigned depth, bool& duplicates) {
    Value value;
    value.kind = static_cast<Value::Kind>(rng.below(depth == 0 ? 4 : 6));
    value.number = static_cast<std::int64_t>(rng.below(3));
    value.text = kNames[rng.below(std::size(kNames))];
    if (value.kind < Value::Kind::kArray) return value;
    for (std::uint64_t count = rng.below(4); count > 0; --count) {
        const std::string name(kNames[rng.below(std::size(kNames))]);
        for (const auto& member : value.members)
            duplicates = duplicates || (value.kind == Value::Kind::kObject && member.first == name);
        value.members.emplace_back(name, random_value(rng, depth - 1, duplicates));
    }
    return value;
}

void write_space(Rng& rng, std::string& out) {
    constexpr std::string_view kSpaces = " \t\r\n";
    while (rng.one_in(3)) out += kSpaces[rng.below(kSpaces.size())];
}

void write_text(Rng& rng, std::string& out, std::string_view text) {
    constexpr std::string_view kHex = "0123456789aBcDeF";
    out += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '/' && rng.one_in(2)) {
            out += "\\/";
        } else if (byte < 0x80 && rng.one_in(3)) {
            (out += "\\u00") += {kHex[byte >> 4U], kHex[byte & 0xFU]};
        } else {
            out += c;
        }
    }
    out += '"';
}

void write(Rng& rng, std::string& out, const Value& value) {
    constexpr std::string_view kForms[]{"", ".0", "e0", ".00E+0"};
    write_space(rng, out);
    switch (value.kind) {
        case Value::Kind::kNull:
            out += "null";
            break;
        case Value::Kind::kTrue:
            out += "true";
            break;
        case Value::Kind::kNumber:
            (out += std::to_string(value.number)) += kForms[rng.below(std::size(kForms))];
            break;
        case Value::Kind::kText:
            write_text(rng, out, value.text);
            break;
        default:
            const bool object = value.kind == Value::Kind::kObject;
            out += object ? '{' : '[';
            for (std::size_t i = 0; i < value.members.size(); ++i) {
                if (i > 0) out += ',';
                write_space(rng, out);
                if (object) write_text(rng, out, value.members[i].first);
                if (object) (write_space(rng, out), out += ':');
                write(rng, out, value.members[i].second);
            }
            write_space(rng, out);
            out += object ? '}' : ']';
    }
    write_space(rng, out);
}

const Value* member(const Value& value, const std::string& name, bool last_counts) {
    const Value* found = nullptr;
    for (std::size_t i = 0; i < value.members.size(); ++i) {
        const bool same = value.kind == Value::Kind::kObject
                              ? value.members[i].first == name
                              : value.kind == Value::Kind::kArray && std::to_string(i) == name;
        if (same && (found == nullptr || last_counts)) found = &value.members[i].second;
    }
    return found;
}

const Value* at(const Value& value, const std::vector<std::string>& path, bool last_counts) {
    const Value* current = &value;
    for (const std::string& name : path) {
        if (current != nullptr) current = member(*current, name, last_counts);
    }
    return current;
}

void shuffle_members(Rng& rng, Value& value) {
    if (value.kind == Value::Kind::kObject) {
        for (std::size_t i = value.members.size(); i > 1; --i)
            std::swap(value.members[i - 1], value.members[rng.below(i)]);
    }
    for (auto& [name, inner] : value.members) shuffle_members(rng, inner);
}

std::string pointer_of(const std::vector<std::string>& path) {
    std::string pointer;
    for (const std::string& name : path) {
        pointer += '/';
        for (const char c : name) pointer += c == '~' ? "~0"s : c == '/' ? "~1"s : std::string(1, c);
    }
    return pointer;
}

TEST(ContentJudge, AnswersByTheValueAndNotByItsWriting) {
    ContentJudge judge;
    unsigned definite = 0;
    for (std::uint64_t seed = 1; seed <= 20'000; ++seed) {
        Rng rng(seed);
        bool duplicates = false;
        Value value = random_value(rng, 4, duplicates);
        std::vector<std::string> path;
        do path.emplace_back(rng.one_in(4) ? std::to_string(rng.below(3)) : kNames[rng.below(std::size(kNames))]);
        while (rng.one_in(2));
        const Condition present = has(pointer_of(path));
        const Condition is_one = equals(pointer_of(path), std::int64_t{1});
        const Condition is_type = equals(pointer_of(path), "type"s);
        for (int round = 0; round < 3; ++round) {
            std::string text;
            write(rng, text, value);
            const Padded padded(text);
            const auto check = [&](const Condition& condition, auto&& truth) {
                const Answer answer = judge.evaluate(condition, padded.view());
                EXPECT_TRUE(duplicates || answer != Answer::kUnknown) << seed << ": " << text;
                if (answer == Answer::kUnknown) return;
                ++definite;
                for (const bool last_counts : {false, true})
                    EXPECT_EQ(answer == Answer::kYes, truth(at(value, path, last_counts))) << seed << ": " << text;
            };
            check(present, [](const Value* found) { return found != nullptr; });
            check(is_one, [](const Value* found) {
                return found != nullptr && found->kind == Value::Kind::kNumber && found->number == 1;
            });
            check(is_type, [](const Value* found) {
                return found != nullptr && found->kind == Value::Kind::kText && found->text == "type";
            });
            shuffle_members(rng, value);
        }
    }
    EXPECT_GT(definite, 100'000U);
}

}  // namespace
}  // namespace weir::policy
