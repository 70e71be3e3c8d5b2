#include "policy/event.h"

#include <gtest/gtest.h>

#include "limit/table.h"

namespace weir::policy {
namespace {

LimitSpec spec(const char* name, std::uint64_t count, const char* group, std::vector<SubjectPart> per = {}) {
    LimitSpec limit;
    limit.name = name;
    limit.base = limit::Rate{count, std::chrono::seconds(60)};
    limit.group = group;
    if (!per.empty()) limit.per = std::move(per);
    return limit;
}

struct Plan : testing::Test {
    void build(std::vector<LimitSpec> specs) {
        std::vector<std::string> problems;
        table = LimitTable::build({.specs = std::move(specs)}, problems);
        ASSERT_TRUE(problems.empty()) << problems[0];
        caller.user = "42";
        caller.tier = kAuthenticated;
        caller.address = IpAddress::parse("203.0.113.7").value();
    }
    std::vector<PlannedTake> plan(const std::vector<const char*>& names) {
        std::vector<LimitId> ids;
        for (const char* name : names) ids.push_back(table.find(name));
        return planner().plan(caller, 17, ids, subjects);
    }
    [[nodiscard]] Planner planner() const { return Planner({.limits = &table, .hash_key = {1, 2}}); }

    LimitTable table;
    Caller caller;
    std::vector<std::unique_ptr<std::string>> subjects;
};

TEST_F(Plan, NamesBucketsAsTheManualDoes) {
    build({});
    EXPECT_EQ(planner().bucket_name("user:42", "ws_ai_query"), "rl:{user:42}:ws_ai_query");
    EXPECT_EQ(planner().bucket_hash("user:42", "ws_ai_query"), siphash128({1, 2}, "rl:{user:42}:ws_ai_query"));
}

TEST_F(Plan, TakesFromEachLimitInTheOrderOfTheRule) {
    build({});
    const auto takes = plan({"WS_AI_QUERY", "WS_MESSAGE"});
    ASSERT_EQ(takes.size(), 2U);
    EXPECT_EQ(takes[0].limit, table.find("WS_AI_QUERY"));
    EXPECT_EQ(takes[0].take.subject, "user:42");
    EXPECT_EQ(takes[0].take.group, "ws_ai_query");
    EXPECT_EQ(takes[0].take.cost, 1U);
    EXPECT_EQ(takes[0].take.rule->rate.count, 20U);
    EXPECT_EQ(takes[0].take.bucket, planner().bucket_hash("user:42", "ws_ai_query"));
    EXPECT_EQ(takes[1].take.group, "ws_message");
    EXPECT_EQ(takes[1].take.rule->rate.count, 60U);
    EXPECT_EQ(subjects.size(), 1U);  // one subject, written once
}

TEST_F(Plan, FollowsTheTierAndTheAddressOfAStranger) {
    build({});
    caller.user.clear();
    caller.tier = kAnonymous;
    const auto takes = plan({"WS_MESSAGE"});
    EXPECT_EQ(takes[0].take.subject, "ip:203.0.113.7");
    EXPECT_EQ(takes[0].take.rule->rate.count, 20U);
}

TEST_F(Plan, LetsTheStrictestSpeakForABucketThatLimitsShare) {
    build({spec("WIDE", 100, "shared"), spec("NARROW", 5, "shared")});
    for (const auto& names : {std::vector{"WIDE", "NARROW"}, std::vector{"NARROW", "WIDE"}}) {
        const auto takes = plan(names);
        ASSERT_EQ(takes.size(), 1U);
        EXPECT_EQ(takes[0].limit, table.find("NARROW"));
        EXPECT_EQ(takes[0].take.rule->rate.count, 10U);
    }
}

TEST_F(Plan, NeverLetsALimitInShadowSpeakForAnEnforcedOne) {
    LimitSpec watched = spec("WATCHED", 1, "shared");
    watched.shadow = true;
    build({spec("ENFORCED", 5, "shared"), watched});
    for (const auto& names : {std::vector{"WATCHED", "ENFORCED"}, std::vector{"ENFORCED", "WATCHED"}}) {
        const auto takes = plan(names);
        ASSERT_EQ(takes.size(), 1U);
        EXPECT_EQ(takes[0].limit, table.find("ENFORCED"));
    }
}

TEST_F(Plan, KeepsBucketsApartWhoseSubjectsDiffer) {
    build({spec("ME", 100, "shared"), spec("MY_ADDRESS", 5, "shared", {{SubjectKind::kIp, {}}}),
           spec("MY_CONNECTION", 5, "shared", {{SubjectKind::kConnection, {}}}),
           spec("EVERYONE", 5, "shared", {{SubjectKind::kGlobal, {}}})});
    const auto takes = plan({"ME", "MY_ADDRESS", "MY_CONNECTION", "EVERYONE"});
    ASSERT_EQ(takes.size(), 4U);
    EXPECT_EQ(takes[1].take.subject, "ip:203.0.113.7");
    EXPECT_EQ(takes[2].take.subject, "connection:17");
    EXPECT_EQ(takes[3].take.subject, "global");
    for (std::size_t i = 1; i < 4; ++i) EXPECT_NE(takes[0].take.bucket, takes[i].take.bucket);
}

TEST_F(Plan, SurvivesTheGrowthOfItsSubjects) {
    build({});
    const auto first = plan({"WS_MESSAGE"});
    for (int i = 0; i < 100; ++i) {
        caller.user = std::to_string(i);
        (void)plan({"WS_MESSAGE"});
    }
    EXPECT_EQ(first[0].take.subject, "user:42");
}

TEST_F(Plan, IsWhatTheTableTakes) {
    build({});
    const auto planned = plan({"WS_AI_QUERY", "WS_MESSAGE"});
    const std::vector<limit::Take> takes{planned[0].take, planned[1].take};
    limit::BucketTable buckets({.buckets_max = 100, .shards = 1});
    std::vector<limit::Decision> decisions(2);
    const MonoTime now = ManualClock().now();
    for (int i = 0; i < 20; ++i) EXPECT_TRUE(buckets.take_now(takes, now, decisions));
    EXPECT_FALSE(buckets.take_now(takes, now, decisions));
    EXPECT_EQ(decisions[1].remaining, 40U);
}

}  // namespace
}  // namespace weir::policy
