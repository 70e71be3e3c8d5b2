#include "policy/operation_rules.h"

#include <gtest/gtest.h>

namespace weir::policy {
namespace {

LimitTable builtin() {
    std::vector<std::string> problems;
    LimitTable table = LimitTable::build({}, problems);
    EXPECT_TRUE(problems.empty());
    return table;
}

TEST(NameRules, AnExactNameWinsOverEveryPattern) {
    NameRules rules;
    EXPECT_TRUE(rules.empty());
    rules.add("search*", 1);
    rules.add("searchDocuments", 2);
    rules.add("*", 3);
    EXPECT_FALSE(rules.empty());
    EXPECT_EQ(rules.find("searchDocuments"), 2);
    EXPECT_EQ(rules.find("searchDocument"), 1);
    EXPECT_EQ(rules.find("search"), 1);
    EXPECT_EQ(rules.find("SearchDocuments"), 3);
    EXPECT_EQ(rules.find(""), 3);
}

TEST(NameRules, OfPatternsTheLongestWinsAndOfEqualsTheFirst) {
    NameRules rules;
    rules.add("a*", 1);
    rules.add("*z", 2);
    rules.add("ab*", 3);
    rules.add("*yz", 4);
    EXPECT_EQ(rules.find("az"), 1);
    EXPECT_EQ(rules.find("ayz"), 4);
    EXPECT_EQ(rules.find("abyz"), 3);
    EXPECT_EQ(rules.find("bz"), 2);
    EXPECT_EQ(rules.find("b"), std::nullopt);
}

TEST(NameRules, AStarStandsForAnyCharactersWhereverItIs) {
    NameRules rules;
    rules.add("a*a", 1);
    EXPECT_EQ(rules.find("aa"), 1);
    EXPECT_EQ(rules.find("abca"), 1);
    EXPECT_EQ(rules.find("a*a"), 1);
    EXPECT_EQ(rules.find("a"), std::nullopt);
    EXPECT_EQ(rules.find("ab"), std::nullopt);
}

TEST(NameRules, FindsEachOfManyNames) {
    NameRules rules;
    const auto name = [](int i) { return "field" + std::to_string(i * 7919 % 1000); };
    for (int i = 0; i < 1000; ++i) EXPECT_TRUE(rules.add(name(i), static_cast<RuleIndex>(i)));
    for (int i = 0; i < 1000; ++i) EXPECT_EQ(rules.find(name(i)), i);
    EXPECT_EQ(rules.find("field"), std::nullopt);
    EXPECT_EQ(rules.find("field1000"), std::nullopt);
}

TEST(NameRules, ANameStandsOnce) {
    NameRules rules;
    EXPECT_TRUE(rules.add("a", 1));
    EXPECT_FALSE(rules.add("a", 2));
    EXPECT_TRUE(rules.add("a*", 3));
    EXPECT_FALSE(rules.add("a*", 4));
    EXPECT_EQ(rules.find("a"), 1);
    EXPECT_EQ(rules.find("ab"), 3);
    EXPECT_EQ(rules.pattern_count(), 1U);
}

TEST(NameRules, AStarAloneCoversAll) {
    NameRules rules;
    EXPECT_FALSE(rules.covers_all());
    rules.add("a*", 1);
    EXPECT_FALSE(rules.covers_all());
    rules.add("*", 2);
    rules.add("b*", 3);
    EXPECT_TRUE(rules.covers_all());
}

TEST(NameRules, MoreThanOneStarIsNoPattern) {
    EXPECT_TRUE(NameRules::is_pattern("a"));
    EXPECT_TRUE(NameRules::is_pattern("*"));
    EXPECT_FALSE(NameRules::is_pattern("**"));
    EXPECT_FALSE(NameRules::is_pattern("*a*"));
    EXPECT_FALSE(NameRules::is_pattern(""));
}

TEST(RuleLists, EqualListsAreOneRuleAndAnEmptyOneIsNone) {
    RuleLists lists;
    EXPECT_EQ(lists.add({}), kUncounted);
    EXPECT_EQ(lists.add({1, 2}), 0);
    EXPECT_EQ(lists.add({2}), 1);
    EXPECT_EQ(lists.add({1, 2}), 0);
    EXPECT_EQ(lists.all().size(), 2U);
}

TEST(RuleLists, TheStrictestAdmitsLeastForTheTier) {
    const LimitTable limits = builtin();
    const LimitId ai = limits.find("WS_AI_QUERY");      // 20/m, anonymous 5/m
    const LimitId message = limits.find("WS_MESSAGE");  // 60/m, anonymous 20/m
    const LimitId heavy = limits.find("READ_HEAVY");    // 20/m, anonymous 10/m
    RuleLists lists;
    EXPECT_EQ(lists.strictest(limits, kAnonymous), kUncounted);
    const RuleIndex one = lists.add({message});
    EXPECT_EQ(lists.strictest(limits, kAnonymous), one);
    const RuleIndex two = lists.add({heavy});
    EXPECT_EQ(lists.strictest(limits, kAnonymous), two);
    const RuleIndex three = lists.add({message, ai});
    EXPECT_EQ(lists.strictest(limits, kAnonymous), three);
    // At equal rates the rule with more limits.
    EXPECT_EQ(lists.strictest(limits, kAuthenticated), three);
}

TEST(GraphqlRules, AFieldsOwnRuleWinsOverItsOperationTypes) {
    GraphqlRules rules;
    rules.query = 0;
    rules.mutation = 1;
    rules.subscription = 2;
    rules.mutation_fields.add("login", 3);
    rules.query_fields.add("__*", kUncounted);
    EXPECT_EQ(rules.of_field(GraphqlOperation::kMutation, "login"), 3);
    EXPECT_EQ(rules.of_field(GraphqlOperation::kMutation, "Login"), 1);
    EXPECT_EQ(rules.of_field(GraphqlOperation::kQuery, "login"), 0);
    EXPECT_EQ(rules.of_field(GraphqlOperation::kQuery, "__schema"), kUncounted);
    EXPECT_EQ(rules.of_field(GraphqlOperation::kSubscription, "__schema"), 2);
}

TEST(GraphqlRules, APersistedDocumentGoesByIdThenByNameThenByPattern) {
    GraphqlRules rules;
    const std::string hash = "sha256:" + std::string(62, '0') + "ab";
    rules.persisted.add(GraphqlRules::persisted_key(hash), 1);
    rules.persisted.add("GetUser", 2);
    rules.persisted.add("Get*", 3);
    rules.persisted.add("doc-*", 4);
    EXPECT_EQ(rules.of_persisted(hash, "GetUser"), 1);
    EXPECT_EQ(rules.of_persisted("SHA256:" + std::string(62, '0') + "AB", std::nullopt), 1);
    EXPECT_EQ(rules.of_persisted("doc-1", "GetUser"), 2);
    EXPECT_EQ(rules.of_persisted("doc-1", "GetAll"), 4);  // both patterns match, the longer counts
    EXPECT_EQ(rules.of_persisted("other", "GetAll"), 3);
    EXPECT_EQ(rules.of_persisted("GetUser", std::nullopt), 2);
    EXPECT_EQ(rules.of_persisted("other", "getUser"), std::nullopt);
    EXPECT_EQ(rules.of_persisted("other", std::nullopt), std::nullopt);
    EXPECT_EQ(rules.of_persisted(hash + "00", std::nullopt), std::nullopt);
}

TEST(GraphqlRules, OnlyHashesAreKeptInLowerCase) {
    EXPECT_EQ(GraphqlRules::persisted_key("SHA256:AB"), "sha256:ab");
    EXPECT_EQ(GraphqlRules::persisted_key("sha256:*F"), "sha256:*f");
    EXPECT_EQ(GraphqlRules::persisted_key("GetUser"), "GetUser");
    EXPECT_EQ(GraphqlRules::persisted_key("sha"), "sha");
}

TEST(CallRules, ACallGoesByWhatItNamesThenByMethodThenByDefault) {
    CallRules rules;
    rules.otherwise = 0;
    rules.methods.add("tools/call", 1);
    rules.methods.add("resources/*", 2);
    rules.tools.add("search_corpus", 3);
    rules.prompts.add("summary", 4);
    rules.resources.add("file:///a*", 5);
    EXPECT_EQ(rules.of_call("tools/call", "search_corpus"), 3);
    EXPECT_EQ(rules.of_call("tools/call", "other"), 1);
    EXPECT_EQ(rules.of_call("tools/call", std::nullopt), 1);
    EXPECT_EQ(rules.of_call("prompts/get", "summary"), 4);
    EXPECT_EQ(rules.of_call("prompts/get", "search_corpus"), 0);
    for (const char* method : {"resources/read", "resources/subscribe", "resources/unsubscribe"}) {
        EXPECT_EQ(rules.of_call(method, "file:///a/b"), 5);
        EXPECT_EQ(rules.of_call(method, "file:///b"), 2);
    }
    EXPECT_EQ(rules.of_call("resources/list", "file:///a"), 2);
    EXPECT_EQ(rules.of_call("tools/list", "search_corpus"), 0);
    EXPECT_EQ(rules.of_call("Tools/call", "search_corpus"), 0);
}

}  // namespace
}  // namespace weir::policy
