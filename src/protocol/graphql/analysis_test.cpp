#include "protocol/graphql/analysis.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <limits>
#include <string>

#include "base/limits.h"

namespace weir::protocol::graphql {
namespace {

constexpr Bounds kWide{1'000'000, 1'000'000, 1'000'000, 1'000'000};

std::string text_of(const Outcome<Operation>& outcome) {
    if (!outcome) {
        const Problem& problem = outcome.problem();
        return fmt::format("{}:{}: {}", problem.at.line, problem.at.column, problem.message);
    }
    std::string out = fmt::format("{} {}:", operation_type_name(outcome->type), outcome->name);
    for (const RootField& field : outcome->root_fields) out += fmt::format(" {}={}", field.name, field.count);
    return out;
}

// "query NAME: field=count ...", or "line:column: what is wrong".
std::string analysed(std::string_view document, std::optional<std::string_view> name = std::nullopt,
                     const Bounds& bounds = kWide) {
    Analyser analyser;
    return text_of(analyser.analyse(document, name, bounds));
}

ProblemKind kind_of(std::string_view document, std::optional<std::string_view> name = std::nullopt,
                    const Bounds& bounds = kWide) {
    Analyser analyser;
    const Outcome<Operation> outcome = analyser.analyse(document, name, bounds);
    EXPECT_FALSE(outcome) << document;
    return outcome ? ProblemKind::kRequest : outcome.problem().kind;
}

TEST(GraphqlAnalysis, CountsTheRootFieldsOfTheSpecificationsExamples) {
    EXPECT_EQ(analysed("mutation { likeStory(storyID: 12345) { story { likeCount } } }"), "mutation : likeStory=1");
    EXPECT_EQ(analysed("{ field }"), "query : field=1");
    EXPECT_EQ(analysed("{ user(id: 4) { id, smallPic: profilePic(size: 64), bigPic: profilePic(size: 1024) } }"),
              "query : user=1");
    EXPECT_EQ(analysed("{ zuck: user(id: 4) { id name } }"), "query : user=1");
    EXPECT_EQ(analysed("query withNestedFragments { user(id: 4) { friends(first: 10) { ...friendFields } } }"
                       "fragment friendFields on User { id name ...standardProfilePic }"
                       "fragment standardProfilePic on User { profilePic(size: 50) }"),
              "query withNestedFragments: user=1");
    EXPECT_EQ(analysed("query inlineFragmentNoType($expandedInfo: Boolean) { user(handle: \"zuck\") { id name "
                       "... @include(if: $expandedInfo) { firstName lastName birthday } } }"),
              "query inlineFragmentNoType: user=1");
    EXPECT_EQ(analysed("subscription sub { newMessage { body sender } }"), "subscription sub: newMessage=1");
    EXPECT_EQ(analysed("{ field(arg: { a: [1, {b: $v}], c: ENUM, d: null, e: \"\"\"\n block \"\"\" }) }"),
              "query : field=1");
    EXPECT_EQ(analysed("query ($devicePicSize: Int = 50 @d, $x: [[T!]!]! = {a: [true]}) { __typename __schema { a } }"),
              "query : __typename=1 __schema=1");
}

TEST(GraphqlAnalysis, ReadsDescriptionsOfExecutableDefinitions) {
    EXPECT_EQ(analysed("\"\"\"Why.\"\"\" query Q(\"the id\" $id: ID \"b\" $b: B) { a } \"f\" fragment F on T { b }"),
              "query Q: a=1");
    EXPECT_EQ(analysed("\"why\" { a }"),
              "1:7: Syntax error: expected \"query\", since a description does not go before \"{\", found \"{\"");
}

TEST(GraphqlAnalysis, CountsAliasesAsTheFieldsTheyStandFor) {
    EXPECT_EQ(analysed("mutation { a: login b: login c: login logout: login }"), "mutation : login=4");
    EXPECT_EQ(analysed("mutation { login: ping ping: login }"), "mutation : ping=1 login=1");
}

TEST(GraphqlAnalysis, CountsOneResponseKeyOfAFieldOnceAsExecutionMergesIt) {
    EXPECT_EQ(analysed("{ a a b: a b: a ... { a } ...f } fragment f on Q { a b: a }"), "query : a=2");
    EXPECT_EQ(analysed("{ x: a x: b }"), "query : a=1 b=1");
}

TEST(GraphqlAnalysis, CollectsThroughNestedFragmentsAndDirectives) {
    EXPECT_EQ(analysed("mutation { ...f @skip(if: true) ... on M @include(if: false) { ... { one: login } } }"
                       "fragment f on M { ...g two: login logout @skip(if: true) }"
                       "fragment g on Other { three: login deep { login } }"),
              "mutation : login=3 logout=1 deep=1");
    EXPECT_EQ(analysed("{ ...f a } fragment f on Q { b a2: a }"), "query : a=2 b=1");
}

TEST(GraphqlAnalysis, EntersAFragmentOnceHoweverOftenItIsSpread) {
    std::string document = "{ ...f0 ...f0 }";
    for (int i = 0; i < 100; ++i)
        document += fmt::format("fragment f{} on Q {{ ...f{} ...f{} k{}: a }}", i, i + 1, i + 1, i);
    document += "fragment f100 on Q { x: b }";
    constexpr std::uint64_t kNoBound = std::numeric_limits<std::uint64_t>::max();
    EXPECT_EQ(analysed(document, {}, {kNoBound, kNoBound, kNoBound, kNoBound}), "query : a=100 b=1");
    EXPECT_EQ(analysed(document),
              "1:1: The number of aliases of the operation is 18446744073709551615; "
              "the bound is 1000000");
}

TEST(GraphqlAnalysis, TextInCommentsAndStringsIsNoField) {
    EXPECT_EQ(analysed("{ a # } mutation { b }\n}"), "query : a=1");
    EXPECT_EQ(analysed("{ a(x: \"} mutation { b }\") }"), "query : a=1");
    EXPECT_EQ(analysed("{ a(x: \"\"\"\n} mutation { b } \"\n \\\"\"\" \"\"\") }"), "query : a=1");
    EXPECT_EQ(analysed("#{ b }\r{ a }"), "query : a=1");
    EXPECT_EQ(analysed("\xEF\xBB\xBF{ a\xEF\xBB\xBF"
                       "b }"),
              "query : a=1 b=1");
}

TEST(GraphqlAnalysis, KeywordsAreNamesElsewhere) {
    EXPECT_EQ(analysed("query query { on fragment query mutation true null ... on on { type } }"),
              "query query: on=1 fragment=1 query=1 mutation=1 true=1 null=1 type=1");
    EXPECT_EQ(analysed("{ ...on } "), "1:9: Syntax error: expected the name of a type, found \"}\"");
}

TEST(GraphqlAnalysis, PicksTheOperationThatRuns) {
    constexpr std::string_view kTwo = "query A { a } mutation B { b }";
    EXPECT_EQ(analysed(kTwo, "A"), "query A: a=1");
    EXPECT_EQ(analysed(kTwo, "B"), "mutation B: b=1");
    EXPECT_EQ(kind_of(kTwo, "C"), ProblemKind::kUnknownOperation);
    EXPECT_EQ(kind_of(kTwo, "a"), ProblemKind::kUnknownOperation);
    EXPECT_EQ(kind_of(kTwo), ProblemKind::kAmbiguous);
    EXPECT_EQ(kind_of(kTwo, ""), ProblemKind::kAmbiguous);
    EXPECT_EQ(analysed("query A { a }", ""), "query A: a=1");
    EXPECT_EQ(analysed("{ a }", ""), "query : a=1");
    EXPECT_EQ(kind_of("{ a }", "A"), ProblemKind::kUnknownOperation);
    EXPECT_EQ(kind_of("fragment f on Q { a }"), ProblemKind::kNoOperation);
}

TEST(GraphqlAnalysis, RefusesNamesThatAreThereTwice) {
    EXPECT_EQ(analysed("query A { a } query A { b }", "A"), "1:15: There can be only one operation named \"A\"");
    EXPECT_EQ(analysed("{ ...f } fragment f on Q { a } fragment f on Q { b }"),
              "1:32: There can be only one fragment named \"f\"");
    EXPECT_EQ(analysed("query A { a } { b }", "A"),
              "1:15: An operation without a name must be the only one of its document");
}

TEST(GraphqlAnalysis, RefusesCyclesAndUnknownFragmentsOfTheOperationThatRuns) {
    EXPECT_EQ(analysed("{ ...a } fragment a on Q { x { ...b } } fragment b on Q { ...c } fragment c on Q { ...a }"),
              "1:87: The fragment \"a\" spreads itself through \"b\", \"c\"");
    EXPECT_EQ(analysed("{ ...a } fragment a on Q { ...a }"), "1:31: The fragment \"a\" spreads itself");
    EXPECT_EQ(analysed("{\n  x { ...nowhere } }"), "2:10: The document has no fragment \"nowhere\"");
    EXPECT_EQ(analysed("{ x } fragment a on Q { ...a ...nowhere }"), "query : x=1");
}

TEST(GraphqlAnalysis, RefusesWhatIsNoExecutableDocument) {
    for (const char* document : {"",
                                 " #",
                                 "{",
                                 "{}",
                                 "{ a",
                                 "{ a }}",
                                 "{ a {} }",
                                 "{ a() }",
                                 "{ a(b) }",
                                 "{ a(b:) }",
                                 "{ a(b: [1) }",
                                 "{ a: }",
                                 "{ a: b: c }",
                                 "{ ... }",
                                 "{ ...@d }",
                                 "{ ...f",
                                 "{ a @ }",
                                 "{ a @d() }",
                                 "{ & }",
                                 "{ a | b }",
                                 "query",
                                 "query A",
                                 "query A() { a }",
                                 "query ($a) { a }",
                                 "query ($a: ) { a }",
                                 "query ($a: [T) { a }",
                                 "query ($a: T]) { a }",
                                 "query ($a: T!!) { a }",
                                 "query ($a: T = $b) { a }",
                                 "query ($a: T = [{x: $b}]) { a }",
                                 "query ($a: T @d(x: $b)) { a }",
                                 "query A B { a }",
                                 "fragment on on Q { a }",
                                 "fragment f { a }",
                                 "fragment f on { a }",
                                 "fragment f($a: T) on Q { a }",
                                 "fragment f on Q",
                                 "Query { a }",
                                 "a { b }",
                                 "{ a } b",
                                 "type Q { a: Int }",
                                 "{ a } extend type Q { b: Int }",
                                 "schema { query: Q }",
                                 "\"d\" type Q { a: Int }",
                                 "\"d\"",
                                 "\"d\" \"d\" query Q { a }",
                                 "{ \"d\" a }",
                                 "{ a(b: {c 1}) }",
                                 "{ a(b: {1: 1}) }",
                                 "{ $a }",
                                 "{ 1 }",
                                 "{ a(b: 1c) }"}) {
        Analyser analyser;
        const Outcome<Operation> outcome = analyser.analyse(document, std::nullopt, kWide);
        ASSERT_FALSE(outcome) << document;
        EXPECT_EQ(outcome.problem().kind, ProblemKind::kSyntax) << document;
        EXPECT_GE(outcome.problem().at.line, 1U) << document;
        EXPECT_EQ(outcome.problem().error().code, ErrorCode::kMalformed);
    }
}

TEST(GraphqlAnalysis, PointsToTheLineAndTheCodePoint) {
    EXPECT_EQ(analysed("{\r\n  a\r  b\n  # \xC3\xA9\n  c(x: \"\xC3\xA9\") 1"),
              "5:13: Syntax error: expected a field, \"...\" or \"}\", found a number");
    EXPECT_EQ(analysed("{ a ? }"), "1:5: Syntax error: expected a name, a number, a string or a punctuator, found '?'");
    EXPECT_EQ(analysed("{ a"), "1:4: Syntax error: expected a field, \"...\" or \"}\", found the end of the document");
    EXPECT_EQ(analysed("type Q { a: Int }"),
              "1:1: Syntax error: expected an operation or a fragment, since definitions "
              "of types can't be executed, found the name \"type\"");
}

TEST(GraphqlAnalysis, HoldsEachBoundAndAdmitsWhatJustFits) {
    constexpr std::string_view kDocument = "{ a: x { ...f } b: y } fragment f on T { c { d: e } }";
    EXPECT_EQ(analysed(kDocument, {}, {24, 3, 3, 2}), "query : x=1 y=1");
    EXPECT_EQ(analysed(kDocument, {}, {23, 3, 3, 2}), "1:53: The document has more than 23 tokens");
    EXPECT_EQ(analysed(kDocument, {}, {24, 2, 3, 2}), "1:1: The depth of the operation is 3; the bound is 2");
    EXPECT_EQ(analysed(kDocument, {}, {24, 3, 2, 2}),
              "1:1: The number of aliases of the operation is 3; the bound is 2");
    EXPECT_EQ(analysed(kDocument, {}, {24, 3, 3, 1}),
              "1:1: The number of root fields of the operation is 2; the bound is 1");
    EXPECT_EQ(kind_of(kDocument, {}, {23, 3, 3, 2}), ProblemKind::kBoundExceeded);
}

TEST(GraphqlAnalysis, CountsAliasesOfAFragmentAsOftenAsItIsSpread) {
    constexpr std::string_view kDocument =
        "{ p { ...f } q { ...f ...f } } fragment f on T { a: x ...g ...g } fragment g on T { b: y }";
    Analyser analyser;
    const Outcome<Operation> outcome = analyser.analyse(kDocument, std::nullopt, kWide);
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->aliases, 9U);
    EXPECT_EQ(outcome->depth, 2U);
}

TEST(GraphqlAnalysis, AdmitsTheIntrospectionQueryOfGraphqlJsByDefault) {
    std::string type = "kind name";
    for (int i = 0; i < 9; ++i) type = "kind name ofType { " + type + " }";
    const std::string document =
        "query IntrospectionQuery { __schema { queryType { name } types { ...FullType } directives { args { "
        "...InputValue } } } }"
        "fragment FullType on __Type { fields(includeDeprecated: true) { name args { ...InputValue } type { ...TypeRef "
        "} } }"
        "fragment InputValue on __InputValue { name type { ...TypeRef } defaultValue }"
        "fragment TypeRef on __Type { " +
        type + " }";
    EXPECT_EQ(analysed(document, "IntrospectionQuery", Bounds{}), "query IntrospectionQuery: __schema=1");
}

std::string nested(std::string_view open, std::string_view inner, std::string_view close, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += open;
    out += inner;
    for (std::size_t i = 0; i < times; ++i) out += close;
    return out;
}

TEST(GraphqlAnalysis, BoundsNestingOfSelectionsValuesAndTypes) {
    EXPECT_EQ(analysed(nested("{a", "", "}", kGraphqlNestingMax)), "query : a=1");
    EXPECT_EQ(kind_of(nested("{a", "", "}", kGraphqlNestingMax + 1)), ProblemKind::kBoundExceeded);
    EXPECT_EQ(analysed(nested("{...", "{a}", "}", kGraphqlNestingMax - 1)), "query : a=1");
    EXPECT_EQ(kind_of(nested("{...", "{a}", "}", kGraphqlNestingMax)), ProblemKind::kBoundExceeded);
    for (const auto& [open, close] : {std::pair{"[", "]"}, std::pair{"{a:", "}"}}) {
        EXPECT_EQ(analysed("{a(b:" + nested(open, "1", close, kGraphqlNestingMax) + ")}"), "query : a=1");
        EXPECT_EQ(kind_of("{a(b:" + nested(open, "1", close, kGraphqlNestingMax + 1) + ")}"),
                  ProblemKind::kBoundExceeded);
    }
    EXPECT_EQ(analysed("query($a:" + nested("[", "T", "]", kGraphqlNestingMax) + "){a}"), "query : a=1");
    EXPECT_EQ(kind_of("query($a:" + nested("[", "T", "]", kGraphqlNestingMax + 1) + "){a}"),
              ProblemKind::kBoundExceeded);
    EXPECT_EQ(kind_of(nested("{a", "", "", 1'000'000)), ProblemKind::kBoundExceeded);
    EXPECT_EQ(kind_of("{a(b:" + nested("[", "", "", 1'000'000)), ProblemKind::kBoundExceeded);
}

TEST(GraphqlAnalysis, FollowsALongChainOfFragmentsWithoutAStackOfCalls) {
    constexpr int kFragments = 100'000;
    std::string document = "{ ...f0 }";
    for (int i = 0; i < kFragments; ++i) document += fmt::format("fragment f{} on Q {{ a {{ ...f{} }} }}", i, i + 1);
    document += fmt::format("fragment f{} on Q {{ a }}", kFragments);
    Analyser analyser;
    const Outcome<Operation> outcome = analyser.analyse(document, std::nullopt, {10'000'000, 1'000'000, 1, 1});
    ASSERT_TRUE(outcome);
    EXPECT_EQ(outcome->depth, kFragments + 1U);
    EXPECT_EQ(kind_of(document), ProblemKind::kBoundExceeded);
}

TEST(GraphqlAnalysis, AnAnalyserForgetsTheDocumentBefore) {
    Analyser analyser;
    EXPECT_EQ(text_of(analyser.analyse("{ ...f ...g } fragment f on Q { a } fragment g on Q { b }", {}, kWide)),
              "query : a=1 b=1");
    EXPECT_EQ(text_of(analyser.analyse("{ ...f ", {}, kWide)),
              "1:8: Syntax error: expected a field, \"...\" or \"}\", found the end of the document");
    EXPECT_EQ(text_of(analyser.analyse("{ ...f } fragment f on Q { c }", {}, kWide)), "query : c=1");
    EXPECT_EQ(text_of(analyser.analyse("{ ...f }", {}, kWide)), "1:6: The document has no fragment \"f\"");
    EXPECT_EQ(text_of(analyser.analyse("mutation M { d }", "M", kWide)), "mutation M: d=1");
}

TEST(GraphqlAnalysis, NamesInMessagesAreCut) {
    const std::string name(1000, 'n');
    EXPECT_EQ(analysed("{ ..." + name + " }"), "1:6: The document has no fragment \"" + name.substr(0, 40) + "\"");
    EXPECT_EQ(analysed("{ a(" + name + " }"), "1:1006: Syntax error: expected \":\" and a value, found \"}\"");
}

}  // namespace
}  // namespace weir::protocol::graphql
