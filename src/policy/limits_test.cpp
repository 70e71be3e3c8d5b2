#include "policy/limits.h"

#include <cmath>
#include <gtest/gtest.h>

#include "policy/builtin.h"

namespace weir::policy {
namespace {

using limit::Algorithm;
using limit::parse_rate;
using limit::Rate;
using Problems = std::vector<std::string>;

Rate rate(const char* text) {
    return parse_rate(text).value();
}

LimitSpec named(const char* name) {
    LimitSpec spec;
    spec.name = name;
    return spec;
}
LimitSpec with_base(const char* name, const char* base) {
    LimitSpec spec = named(name);
    spec.base = rate(base);
    return spec;
}
LimitSpec with_tiers(const char* name, const std::vector<std::pair<std::string, const char*>>& tiers) {
    LimitSpec spec = named(name);
    for (const auto& [tier, text] : tiers) spec.by_tier[tier] = rate(text);
    return spec;
}

LimitTable built(std::vector<LimitSpec> specs, std::vector<TierSpec> tiers = builtin_tiers()) {
    Problems problems;
    LimitTable table = LimitTable::build({.tiers = std::move(tiers), .specs = std::move(specs)}, problems);
    EXPECT_EQ(problems, Problems{});
    return table;
}
Problems problems_of(LimitTable::Options options) {
    Problems problems;
    (void)LimitTable::build(options, problems);
    return problems;
}
Problems problems_of(std::vector<LimitSpec> specs) {
    return problems_of(LimitTable::Options{.specs = std::move(specs)});
}
void expect_problem(const Problems& problems, std::string_view what) {
    ASSERT_EQ(problems.size(), 1U) << (problems.empty() ? "" : problems.back());
    EXPECT_NE(problems[0].find(what), std::string::npos) << problems[0];
}

std::string rate_of(const LimitTable& table, const char* limit, std::string_view tier) {
    const LimitId id = table.find(limit);
    EXPECT_NE(id, kNoLimit) << limit;
    return limit::format_rate(table.at(id).rules[table.find_tier(tier).value()].rate);
}
std::string rates_of(const LimitTable& table, const char* limit) {
    std::string all;
    for (const TierSpec& tier : table.tiers()) all += (all.empty() ? "" : " ") + rate_of(table, limit, tier.name);
    return all;
}

// The tables of the manual, in full: anonymous, authenticated, superuser, usage_capped.
TEST(BuiltinLimits, AreThoseOfTheManual) {
    const LimitTable table = built({});
    const std::vector<std::pair<const char*, const char*>> expected{
        {"WS_CONNECT", "10/m 30/m 300/m 15/m"},     {"WS_MESSAGE", "20/m 60/m 600/m 30/m"},
        {"WS_AI_QUERY", "5/m 20/m 200/m 10/m"},     {"AUTH_LOGIN", "5/m 10/m 50/m 5/m"},
        {"AUTH_REGISTER", "3/m 6/m 30/m 3/m"},      {"AUTH_PASSWORD_RESET", "3/h 6/h 30/h 3/h"},
        {"READ_LIGHT", "100/m 200/m 1000/m 100/m"}, {"READ_MEDIUM", "30/m 60/m 300/m 30/m"},
        {"READ_HEAVY", "10/m 20/m 100/m 10/m"},     {"WRITE_LIGHT", "30/m 60/m 300/m 30/m"},
        {"WRITE_MEDIUM", "10/m 20/m 100/m 10/m"},   {"WRITE_HEAVY", "5/m 10/m 50/m 5/m"},
        {"AI_ANALYSIS", "5/m 10/m 50/m 5/m"},       {"AI_EXTRACT", "10/m 20/m 100/m 10/m"},
        {"AI_QUERY", "20/m 40/m 200/m 20/m"},       {"EXPORT", "5/h 10/h 50/h 5/h"},
        {"IMPORT", "10/h 20/h 100/h 10/h"},         {"ADMIN_OPERATION", "100/m 200/m 1000/m 100/m"},
    };
    EXPECT_EQ(table.size(), expected.size());
    for (const auto& [name, rates] : expected) EXPECT_EQ(rates_of(table, name), rates) << name;
    const Limit& message = table.at(table.find("WS_MESSAGE"));
    EXPECT_EQ(message.group, "ws_message");
    EXPECT_TRUE(message.per.empty());
    EXPECT_EQ(message.rules[kAnonymous].algorithm, Algorithm::kSlidingWindow);
    EXPECT_FALSE(message.rules[kAnonymous].count_denied);
    EXPECT_FALSE(message.shadow);
}

TEST(BuiltinTiers, HaveTheirFixedIds) {
    const LimitTable table = built({});
    EXPECT_EQ(table.find_tier("anonymous"), kAnonymous);
    EXPECT_EQ(table.find_tier("authenticated"), kAuthenticated);
    EXPECT_EQ(table.find_tier("superuser"), kSuperuser);
    EXPECT_EQ(table.find_tier("usage_capped"), kUsageCapped);
    EXPECT_EQ(table.find_tier("gold"), std::nullopt);
    EXPECT_EQ(table.find("ws_message"), kNoLimit);
}

TEST(Limits, TakeTheirBaseFromTheLastSpec) {
    const LimitTable table = built({with_base("READ_MEDIUM", "7/m"), with_base("READ_MEDIUM", "9/10s")});
    EXPECT_EQ(rates_of(table, "READ_MEDIUM"), "9/10s 18/10s 90/10s 9/10s");
}

TEST(Limits, GiveAnExplicitRatePrecedenceOverTheMultiplier) {
    const LimitTable table =
        built({with_tiers("READ_MEDIUM", {{"superuser", "1/h"}}), with_base("READ_MEDIUM", "10/m")});
    EXPECT_EQ(rates_of(table, "READ_MEDIUM"), "10/m 20/m 1/h 10/m");
    const Limit& limit = table.at(table.find("READ_MEDIUM"));
    EXPECT_EQ(limit.why[kAuthenticated], "base 10/m x 2 (tier authenticated)");
    EXPECT_EQ(limit.why[kSuperuser], "explicit rate of tier superuser");
}

TEST(Limits, OfWebSocketsDeriveOtherTiersFromTheAuthenticatedRate) {
    const LimitTable table = built({with_tiers("WS_MESSAGE", {{"authenticated", "7/m"}}),
                                    with_tiers("WS_CONNECT", {{"authenticated", "1/m"}, {"superuser", "5/m"}})});
    EXPECT_EQ(rates_of(table, "WS_MESSAGE"), "20/m 7/m 70/m 3/m");
    EXPECT_EQ(rates_of(table, "WS_CONNECT"), "10/m 1/m 5/m 1/m");
    const Limit& message = table.at(table.find("WS_MESSAGE"));
    EXPECT_EQ(message.why[kAnonymous], "built-in rate of tier anonymous");
    EXPECT_EQ(message.why[kSuperuser], "7/m of tier authenticated x 10 (tier superuser)");
    EXPECT_EQ(message.why[kUsageCapped], "7/m of tier authenticated x 1/2 (tier usage_capped)");
}

TEST(Limits, OfWebSocketsTakeABaseAsTheAuthenticatedRate) {
    EXPECT_EQ(rates_of(built({with_base("WS_MESSAGE", "100/m")}), "WS_MESSAGE"), "20/m 100/m 1000/m 50/m");
}

TEST(Limits, MultiplyExactlyRoundDownAndNeverGoBelowOne) {
    std::vector<TierSpec> tiers = builtin_tiers();
    tiers.push_back({"tiny", 0.000001});
    tiers.push_back({"odd", 0.29});  // as a double a little less: 100 times it must be 29, not 28
    tiers.push_back({"third", 0.333333});
    const LimitTable table = built({}, tiers);
    EXPECT_EQ(rate_of(table, "READ_LIGHT", "tiny"), "1/m");
    EXPECT_EQ(rate_of(table, "READ_LIGHT", "odd"), "29/m");
    EXPECT_EQ(rate_of(table, "READ_LIGHT", "third"), "33/m");
    // 60/m of WS_MESSAGE, scaled by 0.29 to 2.
    EXPECT_EQ(rate_of(table, "WS_MESSAGE", "odd"), "8/m");
}

TEST(Limits, ServeTiersThatTheConfigurationAdds) {
    std::vector<TierSpec> tiers = builtin_tiers();
    tiers.push_back({"gold", 4});
    const LimitTable table = built({with_tiers("EXPORT", {{"gold", "1/d"}})}, tiers);
    EXPECT_EQ(rate_of(table, "READ_HEAVY", "gold"), "40/m");
    EXPECT_EQ(rate_of(table, "WS_MESSAGE", "gold"), "120/m");
    EXPECT_EQ(rate_of(table, "EXPORT", "gold"), "1/d");
    EXPECT_EQ(table.at(table.find("WS_MESSAGE")).why[4], "60/m of tier authenticated x 4/2 (tier gold)");
}

TEST(Limits, FollowTheConfiguredMultipliers) {
    std::vector<TierSpec> tiers = builtin_tiers();
    tiers[kAuthenticated].multiplier = 3;
    tiers[kUsageCapped].multiplier = 0.5;
    const LimitTable table = built({}, tiers);
    EXPECT_EQ(rates_of(table, "READ_MEDIUM"), "30/m 90/m 300/m 15/m");
    EXPECT_EQ(rates_of(table, "WS_MESSAGE"), "20/m 60/m 600/m 30/m");
}

TEST(Limits, CarryEverythingElseThatASpecSays) {
    LimitSpec spec = with_base("SITE_WIDE", "5000/s");
    spec.algorithm = Algorithm::kGcra;
    spec.burst = 17;
    spec.group = "everyone";
    spec.per = std::vector<SubjectPart>{{SubjectKind::kGlobal, {}}};
    spec.count_denied = true;
    spec.shadow = true;
    const LimitTable table = built({spec});
    const Limit& limit = table.at(table.find("SITE_WIDE"));
    EXPECT_EQ(limit.group, "everyone");
    EXPECT_EQ(limit.per, *spec.per);
    EXPECT_TRUE(limit.shadow);
    for (const auto& rule : limit.rules) {
        EXPECT_EQ(rule.algorithm, Algorithm::kGcra);
        EXPECT_EQ(rule.burst, 17U);
        EXPECT_TRUE(rule.count_denied);
    }
}

TEST(Limits, BurstIsCountUnlessGiven) {
    Problems problems;
    const LimitTable table = LimitTable::build({.default_algorithm = Algorithm::kGcra}, problems);
    EXPECT_TRUE(problems.empty());
    const Limit& limit = table.at(table.find("WS_MESSAGE"));
    EXPECT_EQ(limit.rules[kAnonymous].burst, 20U);
    EXPECT_EQ(limit.rules[kAuthenticated].burst, 60U);
}

TEST(Limits, RefuseWhatMakesNoSenseAndNameTheLimit) {
    expect_problem(problems_of({named("NEW")}), "limit NEW: has no rate");
    expect_problem(problems_of({with_base("A b", "1/s")}), "limit A b: a name is");
    expect_problem(problems_of({with_base("DISABLE", "1/s")}), "reserved");
    expect_problem(problems_of({with_base("none", "1/s")}), "reserved");
    expect_problem(problems_of({with_base("X_ANONYMOUS", "1/s")}), "_ANONYMOUS");
    expect_problem(problems_of({with_tiers("READ_LIGHT", {{"gold", "1/s"}})}),
                   "limit READ_LIGHT: there is no tier gold; expected one of anonymous, authenticated");
    expect_problem(problems_of({with_tiers("NEW", {{"authenticated", "1/s"}})}),
                   "limit NEW: tier anonymous has no rate");

    LimitSpec spec = named("READ_LIGHT");
    spec.group = "a}b";
    expect_problem(problems_of({spec}), "a group is");
    spec = named("READ_LIGHT");
    spec.burst = 5;
    expect_problem(problems_of({spec}), "burst has a meaning only with algorithm gcra");
    spec.algorithm = Algorithm::kGcra;
    EXPECT_TRUE(problems_of({spec}).empty());
    spec.algorithm = static_cast<Algorithm>(9);
    spec.burst.reset();
    expect_problem(problems_of({spec}), "unknown algorithm");
    spec = named("READ_LIGHT");
    spec.per = std::vector<SubjectPart>{};
    expect_problem(problems_of({spec}), "per");
}

TEST(Limits, RefuseABurstThatTakesTooLongToComeBack) {
    LimitSpec spec = with_tiers("SLOW", {{"anonymous", "1/d"}, {"authenticated", "1000/d"}});
    spec.algorithm = Algorithm::kGcra;
    spec.burst = 1000;
    expect_problem(problems_of({spec}),
                   "a burst of 1000 needs more than 366 days to come back at 1/d (tier anonymous)");
    spec.burst = 0;
    EXPECT_NE(problems_of({spec})[0].find("burst is out of range"), std::string::npos);
}

TEST(Limits, RefuseARateThatGrowsBeyondItsBound) {
    const Problems problems = problems_of({with_base("READ_LIGHT", "500000000/s")});
    expect_problem(problems, "limit READ_LIGHT: base 500000000/s x 10 (tier superuser) is more than 1000000000");
}

TEST(Limits, ThatShareAGroupMustCountAlike) {
    LimitSpec a = with_base("A", "30/m");
    LimitSpec b = with_base("B", "10/m");
    a.group = b.group = "shared";
    EXPECT_TRUE(problems_of({a, b}).empty());
    b.base = rate("10/h");
    expect_problem(problems_of({a, b}), "limit B: shares the group shared with A");
    b.base = rate("10/m");
    b.algorithm = Algorithm::kFixedWindow;
    expect_problem(problems_of({a, b}), "limit B: shares the group shared with A");
}

TEST(Limits, WhoseBucketsAreSharedByTiersOfSeveralPeriodsCountEachTierByItself) {
    std::vector<std::string> problems;
    LimitSpec spec = with_tiers("READ_LIGHT", {{"anonymous", "5/h"}});
    LimitTable table = LimitTable::build({.specs = {spec}}, problems);
    EXPECT_EQ(table.at(table.find("READ_LIGHT")).bucket_group(kAnonymous), "read_light");
    spec.per = std::vector<SubjectPart>{{SubjectKind::kIp, {}}};
    table = LimitTable::build({.specs = {spec}}, problems);
    EXPECT_TRUE(problems.empty());
    EXPECT_EQ(table.at(table.find("READ_LIGHT")).bucket_group(kAnonymous), "read_light.anonymous");
    EXPECT_EQ(table.at(table.find("READ_LIGHT")).bucket_group(kSuperuser), "read_light.superuser");
    EXPECT_EQ(table.at(table.find("READ_LIGHT")).group, "read_light");
}

TEST(Limits, OfOneBucketForAllOrForAConnectionAreTheSameForEachTier) {
    std::vector<std::string> problems;
    LimitSpec spec = with_base("SITE_WIDE", "5000/s");
    spec.per = std::vector<SubjectPart>{{SubjectKind::kGlobal, {}}};
    LimitSpec auth = with_base("WS_AUTH", "60/m");
    auth.per = std::vector<SubjectPart>{{SubjectKind::kConnection, {}}};
    const LimitTable table = LimitTable::build({.specs = {spec, auth}}, problems);
    EXPECT_TRUE(problems.empty());
    for (const TierId tier : {kAnonymous, kAuthenticated, kSuperuser, kUsageCapped}) {
        EXPECT_EQ(table.at(table.find("SITE_WIDE")).rules[tier].rate, rate("5000/s"));
        EXPECT_EQ(table.at(table.find("WS_AUTH")).rules[tier].rate, rate("60/m"));
    }
}

TEST(Limits, CollectAllProblemsAtOnce) {
    const Problems problems =
        problems_of({with_tiers("READ_LIGHT", {{"gold", "1/s"}}), named("NEW"), with_base("A b", "1/s")});
    EXPECT_EQ(problems.size(), 3U);
}

TEST(Tiers, RefuseWhatMakesNoSense) {
    const auto with = [](TierSpec tier) {
        std::vector<TierSpec> tiers = builtin_tiers();
        tiers.push_back(std::move(tier));
        return problems_of(LimitTable::Options{.tiers = std::move(tiers)});
    };
    for (const double multiplier : {0.0, -1.0, 1e7, 0.0000001, 1.1234567, 1.0 / 3, 1e300, std::nan(""), 1.0 / 0.0}) {
        expect_problem(with({"gold", multiplier}), "tier gold: expected a multiplier");
    }
    expect_problem(with({"superuser", 3}), "tier superuser: named twice");
    expect_problem(with({"", 3}), "a name is");
    EXPECT_TRUE(with({"gold", 1e6}).empty());
    expect_problem(problems_of(LimitTable::Options{.tiers = {{"anonymous", 1}}}), "can't be left out");
}

TEST(Environment, WinsOverTheFileWhichWinsOverWhatIsBuiltIn) {
    std::vector<LimitSpec> specs{with_base("READ_MEDIUM", "7/m"), with_tiers("WS_MESSAGE", {{"authenticated", "8/m"}}),
                                 with_base("own-limit", "1/s"), with_tiers("READ_HEAVY", {{"superuser", "9/m"}})};
    const LimitTable file = built(specs);
    Problems problems;
    const auto from_environment = limits_from_environment(
        {"RATELIMIT_READ_MEDIUM=50/m", "RATELIMIT_WS_MESSAGE=100/m", "RATELIMIT_WS_MESSAGE_ANONYMOUS=1/m",
         "RATELIMIT_WS_AI_QUERY_ANONYMOUS=2/m", "RATELIMIT_OWN_LIMIT=3/s", "RATELIMIT_READ_HEAVY=11/m",
         "RATELIMIT_READ_LIGHT_ANONYMOUS=13/m"},
        file, problems);
    EXPECT_EQ(problems, Problems{});
    specs.insert(specs.end(), from_environment.begin(), from_environment.end());
    const LimitTable table = built(specs);
    EXPECT_EQ(rates_of(table, "READ_MEDIUM"), "50/m 100/m 500/m 50/m");
    EXPECT_EQ(rates_of(table, "WS_MESSAGE"), "1/m 100/m 1000/m 50/m");
    EXPECT_EQ(rates_of(table, "WS_AI_QUERY"), "2/m 20/m 200/m 10/m");
    EXPECT_EQ(rates_of(table, "own-limit"), "3/s 6/s 30/s 3/s");
    EXPECT_EQ(rates_of(table, "READ_HEAVY"), "11/m 22/m 9/m 11/m");
    EXPECT_EQ(rates_of(table, "READ_LIGHT"), "13/m 200/m 1000/m 100/m");
}

TEST(Environment, IsTheAuthenticatedRateOfAConfiguredLimitThatOnlyNamesTiers) {
    std::vector<LimitSpec> specs{with_tiers("CHAT", {{"authenticated", "8/m"}, {"anonymous", "2/m"}})};
    Problems problems;
    const auto over = limits_from_environment({"RATELIMIT_CHAT=20/m"}, built(specs), problems);
    specs.insert(specs.end(), over.begin(), over.end());
    EXPECT_EQ(rates_of(built(specs), "CHAT"), "2/m 20/m 200/m 10/m");
}

TEST(Environment, NamesTheVariableTheValueAndTheExpectedForm) {
    const LimitTable table = built({});
    for (const char* value : {"abc", "", "30", "30/minute", "0/m"}) {
        Problems problems;
        EXPECT_TRUE(limits_from_environment({std::string("RATELIMIT_WS_MESSAGE=") + value}, table, problems).empty());
        expect_problem(problems, std::string("RATELIMIT_WS_MESSAGE=") + value + ": expected COUNT/PERIOD");
    }
}

TEST(Environment, LeavesOtherNamesAlone) {
    Problems problems;
    EXPECT_TRUE(limits_from_environment({"RATELIMIT_DISABLE=true", "RATELIMIT_FAIL_OPEN=1", "RATELIMIT_NOBODY=x",
                                         "RATELIMIT_=x", "RATELIMIT_WS_MESSAGE", "WS_MESSAGE=1/s", "PATH=/bin", "",
                                         "XRATELIMIT_WS_MESSAGE=x", "ratelimit_ws_message=x"},
                                        built({}), problems)
                    .empty());
    EXPECT_TRUE(problems.empty());
}

}  // namespace
}  // namespace weir::policy
