#include "config/document.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "config/test_load.h"
#include "config/tree.h"

namespace weir::config {
namespace {

std::string problems_of(std::string_view text, const Environment& environment = {}) {
    Report report("f");
    (void)parse_document(text, environment, report);
    std::vector<Problem> problems;
    std::vector<Problem> warnings;
    report.finish(problems, warnings);
    return messages(problems);
}

Node parsed(std::string_view text, const Environment& environment = {}) {
    Report report("f");
    auto node = parse_document(text, environment, report);
    EXPECT_TRUE(report.clean()) << text;
    return node.value_or(Node{});
}

TEST(Document, EveryNodeKnowsItsPlace) {
    const Node root = parsed("a: 1\nb:\n  - x\n  - {c: y}\n");
    ASSERT_EQ(root.entries.size(), 2U);
    EXPECT_EQ(root.entries[1].place.line, 2);
    EXPECT_EQ(root.entries[1].place.column, 1);
    const Node& item = root.find("b")->items[1];
    EXPECT_EQ(item.entries[0].place.line, 4);
    EXPECT_EQ(item.entries[0].place.column, 6);
    EXPECT_EQ(item.entries[0].value.place.column, 9);
}

TEST(Document, QuotesMakeText) {
    const Node root = parsed("[1, '1', \"1\", null, ~, '', !!str 1]");
    EXPECT_TRUE(root.items[0].plain);
    EXPECT_FALSE(root.items[1].plain);
    EXPECT_FALSE(root.items[2].plain);
    EXPECT_TRUE(root.items[3].is(Node::Kind::kNull));
    EXPECT_TRUE(root.items[4].is(Node::Kind::kNull));
    EXPECT_TRUE(root.items[5].is(Node::Kind::kScalar));
    EXPECT_FALSE(root.items[6].plain);
}

TEST(Document, RefusesWhatAConfigurationHasNoUseFor) {
    EXPECT_EQ(problems_of("a: 1\nb: 2\na: 3\n"), "f:3:1: duplicate key 'a', already set on line 1\n");
    EXPECT_EQ(problems_of("x: &x {a: 1}\ny:\n  <<: *x\n"), "f:3:3: merge keys ('<<') are not supported\n");
    EXPECT_EQ(problems_of("a: !thing 1\n"), "f:1:4: tags ('!thing') are not supported\n");
    EXPECT_EQ(problems_of("a: !!set {b}\n"), "f:1:4: tags ('tag:yaml.org,2002:set') are not supported\n");
    EXPECT_EQ(problems_of("? [a]\n: b\n"), "f:1:3: a key must be a name\n");
    EXPECT_EQ(problems_of("a: 1\n---\nb: 2\n"), "f:3:1: a second document; a configuration is one\n");
    EXPECT_EQ(problems_of("a: &a [*a]\n"), "f:1:8: an alias can't stand inside what it refers to\n");
    EXPECT_EQ(problems_of("a:\n\tb: 1\n"), "f:2:1: a tab in the indentation; YAML wants spaces\n");
    EXPECT_EQ(problems_of("a: \xC3\x28\n"), "f:1:4: the file is not UTF-8 text\n");
    EXPECT_EQ(problems_of(std::string_view("a: \0b", 5)), "f:1:4: the file has a control character\n");
    EXPECT_EQ(problems_of("\xFF\xFE"
                          "a"),
              "f:1:1: the file is not UTF-8 text\n");
    EXPECT_EQ(problems_of("a: \xED\xA0\x80"), "f:1:4: the file is not UTF-8 text\n");
    EXPECT_EQ(problems_of("a: \xC0\xAF"), "f:1:4: the file is not UTF-8 text\n");
    EXPECT_EQ(problems_of(std::string(kFileBytesMax + 1, '#')),
              "f: the file has 1048577 bytes; at most 1048576 are read\n");
    EXPECT_TRUE(problems_of("a: [1\n").starts_with("f:2:1: not valid YAML: ")) << problems_of("a: [1\n");
    EXPECT_TRUE(problems_of("a: *b\n").starts_with("f:1:4: not valid YAML: "));
}

TEST(Document, AByteOrderMarkIsNoProblem) {
    EXPECT_EQ(parsed("\xEF\xBB\xBF"
                     "a: 1\n")
                  .entries[0]
                  .key,
              "a");
}

TEST(Document, AliasesCopyWithinBounds) {
    const Node root = parsed("a: &a {b: [1, 2]}\nc: *a\n");
    EXPECT_EQ(root.find("c")->find("b")->items[1].text, "2");

    std::string laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n";
    for (int i = 1; i < 12; ++i) {
        const std::string above = "*a" + std::to_string(i - 1);
        laughs += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [" + above;
        for (int j = 1; j < 10; ++j) laughs += ", " + above;
        laughs += "]\n";
    }
    EXPECT_TRUE(problems_of(laughs).find("too many values") != std::string::npos) << problems_of(laughs);
}

TEST(Document, DeepNestingIsRefusedAndNotFollowed) {
    EXPECT_NE(problems_of("a: " + std::string(100'000, '[')), "");
    EXPECT_NE(problems_of(std::string(100'000, '{')), "");
}

TEST(Document, ReplacesVariablesInValuesOnly) {
    const Environment environment{{"NAME", "value"}, {"EMPTY", ""}, {"N", "8"}};
    const Node root = parsed(
        "${NAME}: ${NAME}\nb: x${NAME}y${EMPTY}z\nc: ${NONE:-d}\nd: ${EMPTY:-d}\n"
        "e: $$ {$$NAME} $NAME\nf: ${N}\ng: ${NONE:-}\n",
        environment);
    EXPECT_EQ(root.entries[0].key, "${NAME}");
    EXPECT_EQ(root.entries[0].value.text, "value");
    EXPECT_EQ(root.find("b")->text, "xvalueyz");
    EXPECT_EQ(root.find("c")->text, "d");
    EXPECT_EQ(root.find("d")->text, "d");
    EXPECT_EQ(root.find("e")->text, "$ {$NAME} $NAME");
    EXPECT_TRUE(root.find("f")->substituted);
    EXPECT_EQ(root.find("g")->text, "");
}

TEST(Document, AVariableThatIsNotSetIsAnErrorAtItsPlace) {
    EXPECT_EQ(
        problems_of("a:\n  b: ${NONE}\n"),
        "f:2:6: the environment variable NONE is not set, and ${NONE} has no default; expected ${NONE:-default} or "
        "a variable that is set\n");
    EXPECT_EQ(problems_of("a: ${NONE\n"), "f:1:4: '${' has no '}'; a literal '$' is written '$$'\n");
    EXPECT_EQ(problems_of("a: ${1x}\n"),
              "f:1:4: '${1x}' names no environment variable, expected ${NAME} or ${NAME:-default}\n");
}

TEST(Document, WhatAVariableHoldsIsNeverReadAsYaml) {
    const Node root = parsed("a: ${X}\n", {{"X", "b: [1, 2]\nc: ${Y}"}});
    EXPECT_EQ(root.find("a")->text, "b: [1, 2]\nc: ${Y}");
}

TEST(Document, AnyChangeOfAFileIsReadOrRefused) {
    const std::string seeds[] = {tree_file("examples/weir.yaml"), tree_file("src/config/presets/opencontracts.yaml"),
                                 std::string(kUpstream)};
    Rng rng(20240607);
    constexpr std::string_view kMarks = "{}[]:,-&*!|>'\"%@`#?\t\n $~<\\\x00\xC3\xFF";
    for (int round = 0; round < 600; ++round) {
        std::string text = seeds[rng.below(3)];
        for (std::uint64_t change = rng.between(1, 6); change > 0 && !text.empty(); --change) {
            const std::size_t at = rng.below(text.size());
            switch (rng.below(4)) {
                case 0:
                    text[at] = kMarks[rng.below(kMarks.size())];
                    break;
                case 1:
                    text.erase(at, rng.between(1, 20));
                    break;
                case 2:
                    text.insert(at, 1, kMarks[rng.below(kMarks.size())]);
                    break;
                default:
                    text.insert(at, text.substr(rng.below(text.size()), rng.between(1, 60)));
                    break;
            }
        }
        const Loaded loaded = load_text(text, {"JWT_SECRET=0123456789abcdef0123456789abcdef"});
        EXPECT_EQ(loaded.config == nullptr, !loaded.problems.empty()) << text;
        for (const Problem& problem : loaded.problems) EXPECT_FALSE(problem.message.empty());
    }
}

}  // namespace
}  // namespace weir::config
