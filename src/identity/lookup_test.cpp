#include "identity/lookup.h"

#include <gtest/gtest.h>

namespace weir::identity {
namespace {

namespace http = protocol::http;
using Kind = LookupAnswer::Kind;

constexpr HashKey kKey{1, 2};

std::vector<CredentialSource> sources(std::initializer_list<std::string_view> texts) {
    std::vector<CredentialSource> all;
    for (const std::string_view text : texts) {
        std::string reason;
        all.push_back(parse_credential_source(text, reason).value());
    }
    return all;
}

// A request with all that the tests look at; `bytes` outlives the views into it.
struct Request {
    explicit Request(std::string_view target, std::string_view fields = "") {
        bytes = "GET " + std::string(target) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
        EXPECT_TRUE(http::parse_request_head(bytes, head)) << bytes;
    }
    std::string bytes;
    http::RequestHead head;
};

std::string question(const Request& request, std::initializer_list<std::string_view> forward,
                     std::string_view target = "/who") {
    return lookup_request(target, "app:8000", credentials_of(request.head, sources(forward)));
}

Hash128 hash(const Request& request, std::initializer_list<std::string_view> forward) {
    return hash_of(credentials_of(request.head, sources(forward)), kKey);
}

TEST(CredentialSource, IsAFieldACookieOrAParameter) {
    std::string reason;
    using Source = CredentialSource::Kind;
    EXPECT_EQ(parse_credential_source("authorization", reason)->name, "Authorization");
    EXPECT_EQ(parse_credential_source("cookie:sessionid", reason), (CredentialSource{Source::kCookie, "sessionid"}));
    EXPECT_EQ(parse_credential_source("header:X-API-Key", reason), (CredentialSource{Source::kHeader, "X-API-Key"}));
    EXPECT_EQ(parse_credential_source("query:key", reason), (CredentialSource{Source::kQuery, "key"}));
    for (const char* bad : {"", "cookie", "cookie:", "body:x", "Authorization", "header:X Key", "cookie:a;b"}) {
        EXPECT_FALSE(parse_credential_source(bad, reason)) << bad;
    }
    EXPECT_EQ(reason, "");
}

TEST(CredentialSource, IsNoFieldThatFramesOrRoutesAMessage) {
    for (const char* bad : {"header:Host", "header:content_length", "header:Transfer-Encoding", "header:Connection",
                            "header:Upgrade", "header:TE", "header:Expect", "header:Accept", "header:Cookie"}) {
        std::string reason;
        EXPECT_FALSE(parse_credential_source(bad, reason)) << bad;
        EXPECT_NE(reason, "") << bad;
    }
}

TEST(LookupRequest, CarriesEachCredentialInItsPlace) {
    const Request request(
        "/page?x=1&key=a%20b&y=2&k%65y=c",
        "Cookie: theme=dark; sessionid=s1\r\nAuthorization: Bearer t\r\nX-API-Key: k\r\nAccept: */*\r\n");
    EXPECT_EQ(question(request, {"cookie:sessionid", "authorization", "query:key", "header:x-api-key"}),
              "GET /who?key=a%20b&k%65y=c HTTP/1.1\r\nHost: app:8000\r\nAccept: application/json\r\n"
              "Authorization: Bearer t\r\nX-API-Key: k\r\nCookie: sessionid=s1\r\n\r\n");
    EXPECT_EQ(question(request, {"query:key"}, "/who?from=weir"),
              "GET /who?from=weir&key=a%20b&k%65y=c HTTP/1.1\r\nHost: app:8000\r\nAccept: application/json\r\n\r\n");
}

TEST(LookupRequest, CarriesAllOfANameThatStandsTwiceAndEverySpellingThatAnApplicationFolds) {
    const Request request("/", "Cookie: s=1; s=2\r\nX-Key: a\r\nX_KEY: b\r\nCookie: s=3\r\n");
    EXPECT_EQ(question(request, {"cookie:s", "header:X-Key"}),
              "GET /who HTTP/1.1\r\nHost: app:8000\r\nAccept: application/json\r\nX-Key: a\r\nX_KEY: b\r\n"
              "Cookie: s=1; s=2; s=3\r\n\r\n");
}

TEST(LookupRequest, LeavesOutWhatEndsAtThisHop) {
    const Request request("/", "Connection: X-Key\r\nX-Key: a\r\n");
    EXPECT_TRUE(credentials_of(request.head, sources({"header:X-Key"})).empty());
}

TEST(Credentials, AreNoneWhereAllAreEmptyOrAbsent) {
    const Request request("/?key=&key", "Cookie: other=1; s=\r\nAuthorization:\r\n");
    EXPECT_TRUE(credentials_of(request.head, sources({"authorization", "cookie:s", "query:key"})).empty());
    EXPECT_EQ(credentials_of(request.head, sources({"cookie:other", "cookie:s"})).size(), 2U);
}

TEST(Credentials, HashTheSameOnlyWhenTheyAreTheSame) {
    const Request one("/?key=a", "Cookie: s=ab; t=c\r\nX-Key: a\r\n");
    const Request same("/other?z=1&key=a", "X-Key: a\r\nCookie: t=c; s=ab; u=d\r\nUser-Agent: x\r\n");
    EXPECT_EQ(hash(one, {"cookie:s", "query:key", "header:X-Key"}),
              hash(same, {"cookie:s", "query:key", "header:X-Key"}));
    const Request moved("/?key=a", "Cookie: s=a; t=bc\r\nX-Key: a\r\n");
    EXPECT_NE(hash(one, {"cookie:s", "cookie:t"}), hash(moved, {"cookie:s", "cookie:t"}));
    EXPECT_NE(hash(one, {"query:key"}), hash(one, {"header:X-Key"}));
    EXPECT_NE(hash(Request("/", "Cookie: s=1; s=2\r\n"), {"cookie:s"}),
              hash(Request("/", "Cookie: s=2; s=1\r\n"), {"cookie:s"}));
}

class LookupAnswers : public testing::Test {
  protected:
    LookupAnswers() {
        policy::LimitTable::Options options;
        options.tiers.push_back({.name = "partner", .multiplier = 5});
        std::vector<std::string> problems;
        limits_ = policy::LimitTable::build(options, problems);
    }
    Result<LookupAnswer> parse(std::string_view body) const { return parse_lookup_answer(body, limits_); }
    std::optional<policy::TierId> tier(std::string_view body) const {
        const auto answer = parse(body);
        return answer && answer->kind == Kind::kUser ? std::optional(answer->tier) : std::nullopt;
    }
    std::string_view why(std::string_view body) const {
        const auto answer = parse(body);
        return answer ? "" : answer.error().detail;
    }
    policy::LimitTable limits_;
};

TEST_F(LookupAnswers, NameAUserAsTextOrNumber) {
    EXPECT_EQ(parse(R"({"user": "42"})")->user, "42");
    EXPECT_EQ(parse(R"({"user": 42, "more": [1, {"user": 2}]})")->user, "42");
    EXPECT_EQ(parse(R"({"us\u0065r": 18446744073709551615})")->user, "18446744073709551615");
    EXPECT_EQ(parse(R"({"user": -1})")->user, "-1");
}

TEST_F(LookupAnswers, NameATierByNameOrFlags) {
    EXPECT_EQ(tier(R"({"user": "42"})"), policy::kAuthenticated);
    EXPECT_EQ(tier(R"({"user": "42", "tier": null})"), policy::kAuthenticated);
    EXPECT_EQ(tier(R"({"user": "42", "tier": "superuser"})"), policy::kSuperuser);
    EXPECT_EQ(tier(R"({"user": "42", "tier": "anonymous"})"), policy::kAnonymous);
    EXPECT_EQ(tier(R"({"user": "42", "tier": "partner", "usage_capped": true})"), limits_.find_tier("partner"));
    EXPECT_EQ(tier(R"({"user": "42", "usage_capped": "true"})"), policy::kUsageCapped);
    EXPECT_EQ(tier(R"({"user": "42", "tier": "authenticated", "usage_capped": 1})"), policy::kUsageCapped);
    EXPECT_EQ(tier(R"({"user": "42", "tier": "partner", "superuser": true, "usage_capped": true})"),
              policy::kSuperuser);
    EXPECT_EQ(tier(R"({"user": "42", "superuser": false, "usage_capped": "yes"})"), policy::kAuthenticated);
}

TEST_F(LookupAnswers, WithoutAUserAreAnonymous) {
    for (const char* body : {"{}", R"({"user": null})", R"({"user": ""})", R"({"superuser": true})",
                             R"({"user": null, "tier": "superuser"})"}) {
        ASSERT_TRUE(parse(body)) << body;
        EXPECT_EQ(parse(body)->kind, Kind::kAnonymous) << body;
        EXPECT_EQ(parse(body)->tier, policy::kAnonymous) << body;
    }
}

TEST_F(LookupAnswers, ThatAreNoneSayWhy) {
    for (const char* body : {"", "null", "42", "[]", "<html>", R"({"user": "42")", R"({"user": "42"} x)",
                             "{\"user\": \"\xFF\"}", R"({'user': 1})"}) {
        EXPECT_EQ(why(body), "it is no JSON object") << body;
    }
    EXPECT_EQ(why(R"({"user": "1", "us\u0065r": "2"})"), "it has a member twice");
    EXPECT_EQ(why(R"({"user": "1", "superuser": false, "superuser": true})"), "it has a member twice");
    EXPECT_EQ(why(R"({"user": "1", "tier": "prince"})"), "its 'tier' is none that the configuration has");
    EXPECT_EQ(why(R"({"user": "1", "tier": 3})"), "its 'tier' is no text");
    EXPECT_EQ(why(R"({"user": 1.5})"), "its 'user' is neither text nor a whole number");
    EXPECT_EQ(why(R"({"user": {"id": 1}})"), "its 'user' is neither text nor a whole number");
    EXPECT_EQ(why(R"({"user": ")" + std::string(257, 'x') + R"("})"), "its 'user' is longer than 256 bytes");
    EXPECT_EQ(why(std::string(kLookupBodyBytesMax, ' ') + "{}"), "it is longer than 64 KiB");
    EXPECT_EQ(why(std::string(2000, '[')), "it is no JSON object");
    EXPECT_NE(why(R"({"a": )" + std::string(2000, '[') + std::string(2000, ']') + "}"), "");
}

TEST(LookupStatus, SaysWhatTheBodyIsNotNeededFor) {
    EXPECT_FALSE(answer_of_status(200)->has_value());
    EXPECT_EQ((**answer_of_status(401)).kind, Kind::kAnonymous);
    EXPECT_EQ((**answer_of_status(403)).kind, Kind::kAnonymous);
    for (const unsigned status : {101U, 201U, 204U, 301U, 302U, 304U, 400U, 404U, 429U, 500U, 503U}) {
        EXPECT_FALSE(answer_of_status(status)) << status;
    }
}

Identified with_token() {
    Identified who;
    who.caller.user = "7";
    who.caller.tier = policy::kSuperuser;
    who.caller.attributes = {{"claim:org", "acme"}, {"header:x-org", "acme"}};
    return who;
}

TEST(ApplyLookup, AUserWinsOverTheToken) {
    Identified who = with_token();
    apply_lookup({.kind = Kind::kUser, .user = "42", .tier = policy::kUsageCapped}, OnLookupError::kToken, who);
    EXPECT_EQ(who.caller.user, "42");
    EXPECT_EQ(who.caller.tier, policy::kUsageCapped);
    EXPECT_EQ(who.caller.attributes.size(), 2U);
}

TEST(ApplyLookup, AnonymousLeavesNothingOfTheToken) {
    Identified who = with_token();
    apply_lookup({.kind = Kind::kAnonymous, .user = {}}, OnLookupError::kToken, who);
    EXPECT_EQ(who.caller.user, "");
    EXPECT_EQ(who.caller.tier, policy::kAnonymous);
    ASSERT_EQ(who.caller.attributes.size(), 1U);
    EXPECT_EQ(who.caller.attributes[0].first, "header:x-org");
}

TEST(ApplyLookup, AFailureIsAnsweredByTheConfiguration) {
    Identified token = with_token();
    apply_lookup({}, OnLookupError::kToken, token);
    EXPECT_EQ(token.caller.user, "7");
    EXPECT_EQ(token.caller.tier, policy::kSuperuser);
    Identified anonymous = with_token();
    apply_lookup({}, OnLookupError::kAnonymous, anonymous);
    EXPECT_EQ(anonymous.caller.user, "");
    EXPECT_EQ(anonymous.caller.tier, policy::kAnonymous);
}

TEST(ApplyLookup, TheTierOfATrustedProxyStays) {
    Identified who = with_token();
    who.tier_of_proxy = true;
    apply_lookup({.kind = Kind::kUser, .user = "42", .tier = policy::kAuthenticated}, OnLookupError::kToken, who);
    EXPECT_EQ(who.caller.user, "42");
    EXPECT_EQ(who.caller.tier, policy::kSuperuser);
}

}  // namespace
}  // namespace weir::identity
