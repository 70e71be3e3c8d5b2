#include "policy/answer.h"

#include <deque>
#include <gtest/gtest.h>
#include <simdjson.h>

namespace weir::policy {
namespace {

using std::chrono::seconds;

// Owns what verdicts point to.
class Verdicts {
  public:
    Verdict& add(std::string group, std::uint64_t count, seconds period, bool allowed, std::uint64_t remaining,
                 Nanos retry_after = Nanos{0}) {
        Limit& limit = limits_.emplace_back();
        limit.group = std::move(group);
        limit::BucketRule& rule = rules_.emplace_back();
        rule.rate = {count, period};
        Verdict& verdict = list_.emplace_back();
        verdict.limit = &limit;
        verdict.rule = &rule;
        verdict.decision = {allowed, count, remaining, Nanos{0}, retry_after, Nanos{0}};
        return verdict;
    }
    std::span<const Verdict> all() const { return list_; }

  private:
    std::deque<Limit> limits_;
    std::deque<limit::BucketRule> rules_;
    std::vector<Verdict> list_;
};

Verdict& denied_ai_query(Verdicts& verdicts) {
    return verdicts.add("ws_ai_query", 20, seconds(60), false, 0, std::chrono::milliseconds(36'001));
}

void expect_json(const std::string& text) {
    simdjson::dom::parser parser;
    EXPECT_EQ(parser.parse(text).error(), simdjson::SUCCESS) << text;
}

TEST(Answer, ToADeniedMessageIsTheDocumentedText) {
    Verdicts verdicts;
    const std::string text = rate_limited_text(denied_ai_query(verdicts));
    EXPECT_EQ(text, R"({"type": "RATE_LIMITED", "content": "Rate limit exceeded: Max 20 requests per minute. )"
                    R"(Please try again later.", "data": {"limit": 20, "remaining": 0, "retry_after": 37, )"
                    R"("group": "ws_ai_query"}})");
    expect_json(text);
}

TEST(Answer, EscapesAGroupOfTheConfiguration) {
    Verdicts verdicts;
    const Verdict& verdict = verdicts.add("a\"b\\\n\xFF", 5, seconds(10), false, 0, seconds(1));
    expect_json(rate_limited_text(verdict));
    expect_json(expand_answer(R"({"g": "{group}"})", verdict));
    expect_json(problem_details(verdicts.all()));
    EXPECT_NE(rate_limited_text(verdict).find(R"("group": "a\"b\\\n)"), std::string::npos);
}

TEST(CloseReason, NamesTheRate) {
    Verdicts verdicts;
    EXPECT_EQ(close_reason(verdicts.add("ws_connect", 30, seconds(60), false, 0)), "Rate limit exceeded: 30/minute");
    EXPECT_EQ(close_reason(verdicts.add("x", 5, seconds(10), false, 0)), "Rate limit exceeded: 5/10 seconds");
    EXPECT_LE(
        close_reason(verdicts.add("x", limit::kRateCountMax, limit::kRatePeriodMax - seconds(1), false, 0)).size(),
        123U);
}

TEST(BlockedSentence, SaysForHowLongAndWhy) {
    EXPECT_EQ(blocked_sentence(3600, "too many denied requests"), "Blocked for 3600 seconds: too many denied requests");
    EXPECT_EQ(blocked_sentence(1, "abuse"), "Blocked for 1 second: abuse");
    EXPECT_LE(blocked_sentence(UINT64_MAX, "too many denied requests").size(), 123U);
}

TEST(AnswerTemplate, ReplacesWhatItKnowsAndLeavesOtherBraces) {
    Verdicts verdicts;
    const Verdict& verdict = denied_ai_query(verdicts);
    EXPECT_EQ(expand_answer(R"({"type":"RATE_LIMITED","error":"Slow down","retry_after":{retry_after}})", verdict),
              R"({"type":"RATE_LIMITED","error":"Slow down","retry_after":37})");
    EXPECT_EQ(expand_answer("{limit}/{period} {remaining} {group}", verdict), "20/minute 0 ws_ai_query");
    EXPECT_EQ(expand_answer("{", verdict), "{");
    EXPECT_EQ(expand_answer("}{", verdict), "}{");
    EXPECT_EQ(expand_answer("{{limit}}", verdict), "{20}");
    EXPECT_EQ(expand_answer("{limit", verdict), "{limit");
    EXPECT_EQ(expand_answer("{}{ limit}{LIMIT}{limits}", verdict), "{}{ limit}{LIMIT}{limits}");
    EXPECT_EQ(expand_answer("{x{limit}", verdict), "{x20");
    EXPECT_EQ(expand_answer("", verdict), "");
}

TEST(Tightest, IsDeniedThenTheLongestWaitThenTheLeastLeft) {
    Verdicts verdicts;
    verdicts.add("a", 10, seconds(1), true, 0);
    EXPECT_EQ(tightest(verdicts.all()).limit->group, "a");
    verdicts.add("b", 10, seconds(1), true, 5);
    EXPECT_EQ(tightest(verdicts.all()).limit->group, "a");
    verdicts.add("c", 10, seconds(1), true, 9, seconds(2));
    EXPECT_EQ(tightest(verdicts.all()).limit->group, "c");
    verdicts.add("d", 10, seconds(1), false, 9, seconds(1));
    EXPECT_EQ(tightest(verdicts.all()).limit->group, "d");
    verdicts.add("e", 10, seconds(1), false, 0, seconds(3));
    EXPECT_EQ(tightest(verdicts.all()).limit->group, "e");
    verdicts.add("f", 10, seconds(1), false, 0, seconds(3));
    EXPECT_EQ(tightest(verdicts.all()).limit->group, "e");
}

TEST(RateLimitFields, OfAnAllowedEvent) {
    Verdicts verdicts;
    Verdict& verdict = verdicts.add("ws_connect", 30, seconds(60), true, 29);
    verdict.decision.reset_after = std::chrono::milliseconds(41'200);
    verdict.decision.more_after = std::chrono::milliseconds(11'001);
    std::string out = "Server: x\r\n";
    append_rate_limit_fields(out, verdicts.all());
    EXPECT_EQ(out,
              "Server: x\r\n"
              "X-RateLimit-Limit: 30\r\nX-RateLimit-Remaining: 29\r\nX-RateLimit-Reset: 42\r\n"
              "RateLimit-Policy: \"ws_connect\";q=30;w=60\r\nRateLimit: \"ws_connect\";r=29;t=12\r\n");
}

TEST(RateLimitFields, OfSeveralLimitsTheTightestSpeaksAndAllAreListed) {
    Verdicts verdicts;
    verdicts.add("ws_message", 60, seconds(60), true, 50);
    denied_ai_query(verdicts);
    std::string out;
    append_rate_limit_fields(out, verdicts.all());
    EXPECT_EQ(out,
              "X-RateLimit-Limit: 20\r\nX-RateLimit-Remaining: 0\r\nX-RateLimit-Reset: 0\r\n"
              "RateLimit-Policy: \"ws_message\";q=60;w=60, \"ws_ai_query\";q=20;w=60\r\n"
              "RateLimit: \"ws_message\";r=50, \"ws_ai_query\";r=0\r\n"
              "Retry-After: 37\r\n");
}

TEST(RateLimitFields, ListOneGroupOnce) {
    Verdicts verdicts;
    verdicts.add("g", 60, seconds(60), true, 50);
    verdicts.add("g", 10, seconds(60), true, 3);
    verdicts.add("g", 10, seconds(60), true, 3);
    std::string out;
    append_rate_limit_fields(out, verdicts.all());
    EXPECT_NE(out.find("RateLimit-Policy: \"g\";q=10;w=60\r\nRateLimit: \"g\";r=3\r\n"), std::string::npos) << out;
}

TEST(RateLimitFields, AGroupCannotBreakTheFields) {
    Verdicts verdicts;
    verdicts.add("a\"\\\r\nSet-Cookie: \xC3\xA9\x7F", 1, seconds(1), true, 0);
    std::string out;
    append_rate_limit_fields(out, verdicts.all());
    EXPECT_NE(out.find("RateLimit: \"a\\\"\\\\__Set-Cookie: ___\";r=0\r\n"), std::string::npos) << out;
}

TEST(RateLimitFields, OfNothingAreNone) {
    std::string out;
    append_rate_limit_fields(out, {});
    EXPECT_EQ(out, "");
}

TEST(ProblemDetails, NameTheViolatedPolicies) {
    Verdicts verdicts;
    verdicts.add("read_light", 200, seconds(60), true, 50);
    verdicts.add("site_wide", 5, seconds(1), false, 0, seconds(1));
    denied_ai_query(verdicts);
    const std::string text = problem_details(verdicts.all());
    EXPECT_EQ(text, R"({"type": "https://iana.org/assignments/http-problem-types#quota-exceeded", )"
                    R"("title": "Request cannot be satisfied as assigned quota has been exceeded", "status": 429, )"
                    R"("detail": "Rate limit exceeded: Max 20 requests per minute. Please try again later.", )"
                    R"("violated-policies": ["site_wide", "ws_ai_query"]})");
    expect_json(text);
}

}  // namespace
}  // namespace weir::policy
