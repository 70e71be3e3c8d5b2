// MessageRules::strictest, over the built-in limits.
#include <gtest/gtest.h>

#include "policy/content.h"

namespace weir::policy {
namespace {

class StrictestRule : public testing::Test {
  protected:
    StrictestRule() {
        std::vector<std::string> problems;
        limits_ = LimitTable::build({}, problems);
        EXPECT_TRUE(problems.empty());
    }
    std::size_t of(const std::vector<std::vector<std::string_view>>& rules, TierId tier) const {
        std::vector<MessageRule> list;
        for (const auto& names : rules) {
            MessageRule& rule = list.emplace_back();
            rule.unlimited = names.empty();
            for (const std::string_view name : names) rule.limits.push_back(limits_.find(name));
        }
        return MessageRules(std::move(list), 1).strictest(limits_, tier);
    }
    LimitTable limits_;
};

TEST_F(StrictestRule, IsTheOneWithTheLowestRate) {
    EXPECT_EQ(of({{"WS_MESSAGE"}, {"WS_AI_QUERY"}, {"WS_CONNECT"}}, kAuthenticated), 1U);
    EXPECT_EQ(of({{}, {"WS_MESSAGE"}, {"WS_MESSAGE", "WS_AI_QUERY"}}, kAnonymous), 2U);
    // 3/h is less than 5/m, in the long run.
    EXPECT_EQ(of({{"AUTH_LOGIN"}, {"AUTH_PASSWORD_RESET"}}, kAuthenticated), 1U);
}

TEST_F(StrictestRule, HasMoreLimitsOnATie) {
    EXPECT_EQ(of({{"WS_AI_QUERY"}, {"WS_AI_QUERY", "WS_MESSAGE"}, {"WS_AI_QUERY"}}, kAuthenticated), 1U);
    EXPECT_EQ(of({{"WS_AI_QUERY"}, {"WS_AI_QUERY"}}, kAuthenticated), 0U);
}

TEST_F(StrictestRule, IsNoneWhenAllAreUnlimited) {
    EXPECT_EQ(of({}, kAuthenticated), MessageRules::kNoRule);
    EXPECT_EQ(of({{}, {}}, kAuthenticated), MessageRules::kNoRule);
}

}  // namespace
}  // namespace weir::policy
