#include "gateway/operation_judge.h"

#include <gtest/gtest.h>
#include <string>

namespace weir::gateway {
namespace {

using policy::LimitId;
using policy::RuleIndex;

class OperationJudgeTest : public testing::Test {
  protected:
    OperationJudgeTest() : limits_(policy::LimitTable::build({}, problems_)) {
        read_ = graphql_.rules.lists.add({limits_.find("READ_MEDIUM")});
        write_ = graphql_.rules.lists.add({limits_.find("WRITE_MEDIUM")});
        login_ = graphql_.rules.lists.add({limits_.find("AUTH_LOGIN")});
        graphql_.rules.query = graphql_.rules.subscription = read_;
        graphql_.rules.mutation = write_;
        graphql_.rules.mutation_fields.add("login", login_);
        graphql_.rules.persisted.add("known", write_);
        calls_.mcp = true;
        calls_.rules.otherwise = calls_.rules.lists.add({limits_.find("READ_LIGHT")});
        call_ = calls_.rules.lists.add({limits_.find("AI_QUERY")});
        tool_ = calls_.rules.lists.add({limits_.find("READ_HEAVY")});
        calls_.rules.methods.add("tools/call", call_);
        calls_.rules.tools.add("search*", tool_);
    }
    // "rule x events (what name)" of each use; or what is wrong.
    std::string graphql(std::string body) {
        body.append(policy::kJsonPadding, '\0');
        const auto requests =
            judge_.requests().read_post(protocol::graphql::BodyKind::kJson,
                                        std::string_view(body).substr(0, body.size() - policy::kJsonPadding), {}, 10);
        const JudgedGraphql& judged = judge_.judge(graphql_, requests, limits_, policy::kAuthenticated);
        return judged.problem != nullptr ? judged.problem->message : text_of(judged.uses);
    }
    std::string calls(std::string body) {
        const std::size_t size = body.size();
        body.append(policy::kJsonPadding, '\0');
        const JudgedCalls& judged =
            judge_.judge(calls_, std::string_view(body).substr(0, size), limits_, policy::kAuthenticated);
        return judged.refused.empty() ? text_of(judged.uses) : std::string(judged.refused);
    }
    static std::string text_of(const std::vector<RuleUse>& uses) {
        std::string text;
        for (const RuleUse& use : uses) {
            text += (text.empty() ? "" : ", ") + std::to_string(use.rule) + " x " + std::to_string(use.events) + " (" +
                    std::string(use.what) + (use.name.empty() ? "" : " ") + std::string(use.name) + ")";
        }
        return text;
    }

    std::vector<std::string> problems_;
    policy::LimitTable limits_;
    config::GraphqlRoute graphql_;
    config::CallRoute calls_;
    RuleIndex read_ = 0, write_ = 0, login_ = 0, call_ = 0, tool_ = 0;
    OperationJudge judge_;
};

TEST_F(OperationJudgeTest, CountsEachRootFieldUnderItsLimit) {
    EXPECT_EQ(graphql(R"({"query": "{ a b: a c }"})"), "0 x 2 (root field a), 0 x 1 (root field c)");
    EXPECT_EQ(graphql(R"({"query": "mutation { login save }"})"), "2 x 1 (root field login), 1 x 1 (root field save)");
    EXPECT_EQ(graphql(R"([{"query": "{ a }"}, {"query": "mutation { login }"}])"),
              "0 x 1 (root field a), 2 x 1 (root field login)");
}

TEST_F(OperationJudgeTest, CountsPersistedDocumentsByTheirIdAndElseUnderTheStrictest) {
    EXPECT_EQ(graphql(R"({"documentId": "known"})"), "1 x 1 (persisted document known)");
    EXPECT_EQ(graphql(R"({"documentId": "other"})"), "2 x 1 (unknown persisted document other)");
}

TEST_F(OperationJudgeTest, SaysWhatIsWrongWithADocument) {
    EXPECT_NE(graphql(R"({"query": "{ a "})").find("expected"), std::string::npos);
    graphql_.bounds.root_fields = 2;
    EXPECT_NE(graphql(R"({"query": "{ a b c }"})").find('3'), std::string::npos);
}

TEST_F(OperationJudgeTest, CountsCallsByToolMethodAndDefault) {
    EXPECT_EQ(calls(R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search_corpus"}})"),
              "2 x 1 (tool search_corpus)");
    EXPECT_EQ(calls(R"({"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"other"}})"),
              "1 x 1 (tool other)");
    EXPECT_EQ(calls(R"({"jsonrpc":"2.0","id":1,"method":"tools/list"})"), "0 x 1 (method tools/list)");
    EXPECT_EQ(calls(R"([{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":2,"method":"b"}])"),
              "0 x 1 (method a), 0 x 1 (method b)");
}

TEST_F(OperationJudgeTest, LeavesNotificationsAndResponsesOfMcpUncountedButNoCallThatHidesAsOne) {
    EXPECT_EQ(calls(R"({"jsonrpc":"2.0","method":"notifications/initialized"})"), "");
    EXPECT_EQ(calls(R"({"jsonrpc":"2.0","id":1,"result":{}})"), "");
    EXPECT_EQ(calls(R"({"jsonrpc":"2.0","method":"tools/call","params":{"name":"search"}})"), "2 x 1 (tool search)");
    calls_.mcp = false;
    EXPECT_EQ(calls(R"({"jsonrpc":"2.0","method":"notifications/initialized"})"),
              "0 x 1 (method notifications/initialized)");
}

TEST_F(OperationJudgeTest, CountsWhatCannotBeJudgedUnderTheStrictest) {
    EXPECT_TRUE(calls(R"({"jsonrpc":"2.0","id":1,"method":"a","method":"b"})").starts_with("2 x 1 (can't be judged"));
    EXPECT_FALSE(calls("no JSON").empty());
    EXPECT_FALSE(calls("no JSON").starts_with("2 x"));
}

TEST_F(OperationJudgeTest, AnswersDeniedCallsAsTheirProtocolHasIt) {
    policy::Limit limit;
    limit.group = "ai_query";
    const limit::BucketRule rule{.rate = {20, std::chrono::seconds(60)}};
    const policy::Verdict verdict{&limit, &rule, {.allowed = false, .limit = 20, .remaining = 0}};
    const auto answer = [&](std::string body) {
        const std::size_t size = body.size();
        body.append(policy::kJsonPadding, '\0');
        return denied_calls(
            calls_, judge_.judge(calls_, std::string_view(body).substr(0, size), limits_, policy::kAuthenticated),
            verdict);
    };
    EXPECT_NE(answer(R"({"id":"x","method":"tools/call","params":{"name":"a"}})").find(R"("isError": true)"),
              std::string::npos);
    EXPECT_NE(answer(R"({"id":"x","method":"tools/list"})").find(R"("code": 429)"), std::string::npos);
    const std::string batch =
        answer(R"([{"id":1,"method":"a"},{"method":"b"},{"id":2,"method":"tools/call","params":{"name":"c"}}])");
    EXPECT_EQ(batch.front(), '[');
    EXPECT_NE(batch.find(R"("id": 2)"), std::string::npos);
    EXPECT_EQ(answer(R"({"method":"a"})"), "") << "nobody waits for an answer";
    calls_.deny_as = config::DenyAs::kError;
    EXPECT_EQ(answer(R"({"id":"x","method":"tools/call","params":{"name":"a"}})").find("isError"), std::string::npos);
}

}  // namespace
}  // namespace weir::gateway
