#include "identity/identity.h"

#include <gtest/gtest.h>
#include <openssl/hmac.h>

#include "protocol/jwt/base64url.h"

namespace weir::identity {
namespace {

namespace http = protocol::http;
namespace jwt = protocol::jwt;

const WallTime kNow{std::chrono::seconds(1'700'000'000)};
constexpr std::string_view kSecret = "a secret of the tests";

std::string token(std::string_view payload, std::string_view header = R"({"alg":"HS256"})") {
    const std::string signed_bytes = jwt::encode_base64url(header) + "." + jwt::encode_base64url(payload);
    unsigned char mac[32];
    unsigned length = 0;
    HMAC(EVP_sha256(), kSecret.data(), static_cast<int>(kSecret.size()),
         reinterpret_cast<const unsigned char*>(signed_bytes.data()), signed_bytes.size(), mac, &length);
    return signed_bytes + "." + jwt::encode_base64url({reinterpret_cast<char*>(mac), length});
}

IpAddress ip(std::string_view text) {
    return IpAddress::parse(text).value();
}
Peer peer_at(std::string_view text) {
    return {ip(text), std::nullopt};
}
const Peer kStranger = peer_at("203.0.113.7");
const Peer kProxy = peer_at("10.0.0.1");

using Fields = std::vector<std::pair<std::string, std::string>>;

// The tests' configuration: proxies in 10.0.0.0/8 and 2001:db8:aa::/48, tokens from everywhere, trusted headers.
class IdentityTest : public testing::Test {
  protected:
    IdentityTest() {
        std::vector<std::string> problems;
        policy::LimitTable::Options limits;
        limits.tiers.push_back({"gold", 5});
        limits_ = policy::LimitTable::build(limits, problems);
        EXPECT_TRUE(problems.empty());
        gold_ = limits_.find_tier("gold").value();
        options_.trusted_proxies = {*Cidr::parse("10.0.0.0/8"), *Cidr::parse("2001:db8:aa::/48")};
        options_.limits = &limits_;
        options_.jwt.emplace();
        for (const std::string_view source : {"authorization", "query:token", "cookie:jwt", "subprotocol:app.jwt.v1"})
            options_.jwt->from.push_back(parse_token_source(source).value());
        options_.jwt->keys = std::make_shared<const jwt::KeySet>(std::move(jwt::KeySet::from_secret(kSecret)).value());
        options_.trusted_headers = {"X-Weir-User", "X-Weir-Tier"};
        options_.attributes = {"claim:org_id", "claim:org.id", "header:X-Org"};
    }

    // Views of the result point into `fields_` and `target_`.
    Identified identify(Fields fields, const Peer& peer = kStranger, std::string target = "/ws/") {
        fields_ = std::move(fields);
        target_ = std::move(target);
        http::RequestHead head;
        head.method = "GET";
        head.target = target_;
        for (const auto& [name, value] : fields_) head.fields.push_back({name, value});
        return Identifier(options_).identify(head, peer, kNow);
    }
    std::string address(Fields fields, const Peer& peer) {
        const Identified identified = identify(std::move(fields), peer);
        return identified.caller.address_known ? identified.caller.address.to_string() : "unknown";
    }
    policy::TierId tier(std::string_view payload) {
        return identify({{"Authorization", "Bearer " + token(payload)}}).caller.tier;
    }

    policy::LimitTable limits_;
    policy::TierId gold_ = 0;
    Options options_;
    Fields fields_;
    std::string target_;
};

TEST_F(IdentityTest, TheAddressIsThePeersUnlessThePeerIsTrusted) {
    EXPECT_EQ(address({{"X-Forwarded-For", "1.1.1.1"}}, kStranger), "203.0.113.7");
    EXPECT_EQ(address({{"X-Forwarded-For", "1.1.1.1"}}, kProxy), "1.1.1.1");
    EXPECT_EQ(address({}, kProxy), "10.0.0.1");
    EXPECT_EQ(address({{"X-Forwarded-For", "1.1.1.1"}}, peer_at("::ffff:10.0.0.1")), "1.1.1.1");
    EXPECT_EQ(address({{"Forwarded", "for=1.1.1.1"}}, kProxy), "10.0.0.1");
}

TEST_F(IdentityTest, TheAddressIsTheRightMostThatIsNotTrusted) {
    EXPECT_EQ(address({{"X-Forwarded-For", "6.6.6.6, 1.1.1.1, 10.0.0.2, 2001:db8:aa::1"}}, kProxy), "1.1.1.1");
    EXPECT_EQ(address({{"X-Forwarded-For", "6.6.6.6, 1.1.1.1"}, {"x-forwarded-for", "10.0.0.2"}}, kProxy), "1.1.1.1");
    EXPECT_EQ(address({{"X-Forwarded-For", "10.0.0.9, 10.0.0.8"}}, kProxy), "10.0.0.9");
    EXPECT_EQ(address({{"X-Forwarded-For", "::ffff:1.1.1.1"}}, kProxy), "1.1.1.1");
}

TEST_F(IdentityTest, AnEntryThatIsNoAddressEndsTheWalk) {
    EXPECT_EQ(address({{"X-Forwarded-For", "6.6.6.6, garbage, 10.0.0.2"}}, kProxy), "10.0.0.2");
    EXPECT_EQ(address({{"X-Forwarded-For", "6.6.6.6, garbage"}}, kProxy), "10.0.0.1");
    EXPECT_EQ(address({{"X-Forwarded-For", "garbage, 1.1.1.1"}}, kProxy), "1.1.1.1");
}

TEST_F(IdentityTest, TheSourceOfTheAddressIsConfigured) {
    const Fields both{{"X-Forwarded-For", "1.1.1.1"}, {"Forwarded", "for=\"[2001:db8::2]:1\", for=10.0.0.2"}};
    options_.address_source = AddressSource::kForwarded;
    EXPECT_EQ(address(both, kProxy), "2001:db8::2");
    options_.address_source = AddressSource::kPeer;
    EXPECT_EQ(address(both, kProxy), "10.0.0.1");
    options_.address_source = AddressSource::kProxyProtocol;
    EXPECT_EQ(address(both, {ip("10.0.0.1"), ip("3.3.3.3")}), "3.3.3.3");
    EXPECT_EQ(address(both, {ip("10.0.0.1"), std::nullopt}), "10.0.0.1");
    EXPECT_EQ(address(both, {ip("203.0.113.7"), ip("3.3.3.3")}), "203.0.113.7");
}

TEST_F(IdentityTest, APeerOnAUnixSocketIsALocalProxy) {
    const Peer local{};
    EXPECT_EQ(address({{"X-Forwarded-For", "1.1.1.1"}}, local), "1.1.1.1");
    EXPECT_EQ(address({}, local), "unknown");
    EXPECT_EQ(address({{"X-Forwarded-For", "garbage"}}, local), "unknown");
    options_.trust_unix_peers = false;
    EXPECT_EQ(address({{"X-Forwarded-For", "1.1.1.1"}}, local), "unknown");
    EXPECT_FALSE(Identifier(options_).trusts(local));
}

TEST_F(IdentityTest, ATokenIsFoundInEveryConfiguredPlace) {
    const std::string good = token(R"({"sub":"42"})");
    for (const std::string_view scheme : {"Bearer ", "bearer ", "JWT ", "jwt   "}) {
        const Identified identified = identify({{"authorization", std::string(scheme) + good}});
        EXPECT_EQ(identified.token, TokenStatus::kValid) << scheme;
        EXPECT_EQ(identified.caller.user, "42");
        EXPECT_EQ(identified.caller.tier, policy::kAuthenticated);
        EXPECT_FALSE(identified.rejected);
        EXPECT_EQ(identified.subprotocol_marker, "");
    }
    EXPECT_EQ(identify({}, kStranger, "/ws/?a=b&token=" + good).caller.user, "42");
    std::string escaped = good;
    escaped.replace(escaped.find('.'), 1, "%2E");
    EXPECT_EQ(identify({}, kStranger, "/ws/?token=" + escaped).caller.user, "42");
    EXPECT_EQ(identify({{"Cookie", "a=b; jwt=" + good}}).caller.user, "42");
}

TEST_F(IdentityTest, ASubprotocolTokenStandsBehindItsMarker) {
    const std::string good = token(R"({"sub":"42"})");
    const Identified identified = identify({{"Sec-WebSocket-Protocol", "chat, app.jwt.v1, " + good}});
    EXPECT_EQ(identified.caller.user, "42");
    EXPECT_EQ(identified.subprotocol_marker, "app.jwt.v1");
    EXPECT_EQ(identify({{"Sec-WebSocket-Protocol", "app.jwt.v1"}, {"Sec-WebSocket-Protocol", good}}).caller.user, "42");
    EXPECT_EQ(identify({{"Sec-WebSocket-Protocol", good + ", app.jwt.v1"}}).token, TokenStatus::kNone);
    EXPECT_EQ(identify({{"Sec-WebSocket-Protocol", "chat, " + good}}).token, TokenStatus::kNone);
    const Identified invalid = identify({{"Sec-WebSocket-Protocol", "app.jwt.v1, nonsense"}});
    EXPECT_EQ(invalid.token, TokenStatus::kInvalid);
    EXPECT_EQ(invalid.subprotocol_marker, "app.jwt.v1");
}

TEST_F(IdentityTest, TheSourceThatHoldsATokenBeforeOthersSpeaks) {
    const std::string good = token(R"({"sub":"42"})");
    const std::string other = token(R"({"sub":"7"})");
    EXPECT_EQ(identify({{"Authorization", "Bearer " + good}}, kStranger, "/?token=" + other).caller.user, "42");
    EXPECT_EQ(identify({{"Authorization", "Bearer broken"}}, kStranger, "/?token=" + other).token,
              TokenStatus::kInvalid);
    EXPECT_EQ(identify({{"Authorization", "Basic " + good}}, kStranger, "/?token=" + other).caller.user, "7");
    EXPECT_EQ(identify({{"Authorization", "Bearer "}}, kStranger, "/?token=" + other).caller.user, "7");
    EXPECT_EQ(identify({{"Cookie", "jwt=" + good}}, kStranger, "/?token=").caller.user, "42");
    // Two credentials: nobody knows which the upstream takes.
    EXPECT_EQ(identify({{"Authorization", "Bearer " + good}, {"authorization", "Bearer " + other}}).token,
              TokenStatus::kNone);
}

TEST_F(IdentityTest, TwoDifferentTokensInOnePlaceAreAnInvalidOne) {
    const std::string good = token(R"({"sub":"42"})");
    const std::string other = token(R"({"sub":"7"})");
    for (const bool reject : {false, true}) {
        options_.jwt->reject_invalid = reject;
        for (const auto& [fields, target] : std::vector<std::pair<Fields, std::string>>{
                 {{}, "/?token=" + good + "&token=" + other},
                 {{}, "/?token=" + good + "&token="},
                 {{}, "/?token=&token=" + good},
                 {{}, "/?token=%&token=" + good},
                 {{{"Cookie", "jwt=" + good + "; jwt=" + other}}, "/"},
                 {{{"Cookie", "jwt=" + good}, {"Cookie", "jwt="}}, "/"},
                 {{{"Cookie", "jwt=" + good}}, "/?token=" + good + "&token=" + other}}) {
            const Identified identified = identify(fields, kStranger, target);
            EXPECT_EQ(identified.token, TokenStatus::kInvalid) << target;
            EXPECT_EQ(identified.caller.user, "") << target;
            EXPECT_EQ(identified.caller.tier, policy::kAnonymous);
            EXPECT_EQ(identified.rejected, reject);
        }
        EXPECT_EQ(identify({}, kStranger, "/?token=" + good + "&token=" + good).caller.user, "42");
        EXPECT_EQ(identify({{"Cookie", "jwt=" + good + "; jwt=" + good}}).caller.user, "42");
        // An earlier place has spoken.
        EXPECT_EQ(identify({{"Authorization", "Bearer " + good}}, kStranger, "/?token=a&token=b").caller.user, "42");
    }
}

TEST_F(IdentityTest, ATokenThatDoesNotVerifyMakesTheCallerAnonymousOrIsRejected) {
    const std::string expired = token(R"({"sub":"42","exp":1,"is_superuser":true})");
    for (const bool reject : {false, true}) {
        options_.jwt->reject_invalid = reject;
        const Identified old = identify({{"Authorization", "Bearer " + expired}});
        EXPECT_EQ(old.token, TokenStatus::kExpired);
        EXPECT_EQ(old.caller.user, "");
        EXPECT_EQ(old.caller.tier, policy::kAnonymous);
        EXPECT_EQ(old.rejected, reject);
        const Identified broken = identify({{"Authorization", "Bearer a.b.c"}});
        EXPECT_EQ(broken.token, TokenStatus::kInvalid);
        EXPECT_EQ(broken.rejected, reject);
        EXPECT_FALSE(identify({}).rejected);
        EXPECT_EQ(identify({}).token, TokenStatus::kNone);
    }
}

TEST_F(IdentityTest, WithoutKeysOrWithoutTokensConfiguredNobodyIsKnown) {
    const Fields fields{{"Authorization", "Bearer " + token(R"({"sub":"42"})")}};
    options_.jwt->keys = nullptr;
    EXPECT_EQ(identify(fields).token, TokenStatus::kInvalid);
    options_.jwt.reset();
    EXPECT_EQ(identify(fields).token, TokenStatus::kNone);
    EXPECT_EQ(identify(fields).caller.user, "");
}

TEST_F(IdentityTest, ATokenWhoseKeyMayComeYetSaysSoAndNoOtherDoes) {
    struct Fetched final : RemoteKeys {
        std::shared_ptr<const jwt::KeySet> keys() const override { return now; }
        std::shared_ptr<const jwt::KeySet> now;
    };
    const auto fetched = std::make_shared<Fetched>();
    options_.jwt->keys = nullptr;
    options_.jwt->remote = fetched;
    const auto with_key = [&](const std::string& kid) {
        const std::string header = R"({"alg":"HS256","kid":")" + kid + "\"}";
        return identify({{"Authorization", "Bearer " + token(R"({"sub":"ann"})", header)}});
    };
    EXPECT_TRUE(with_key("one").key_missing);
    EXPECT_EQ(with_key("one").token, TokenStatus::kInvalid);
    EXPECT_FALSE(identify({}).key_missing);
    EXPECT_FALSE(identify({{"Cookie", "jwt=a; jwt=b"}}).key_missing);  // no key would help
    const std::string jwks = R"({"keys":[{"kty":"oct","kid":"one","k":")" + jwt::encode_base64url(kSecret) + "\"}]}";
    fetched->now = std::make_shared<const jwt::KeySet>(std::move(jwt::KeySet::from_jwks(jwks)).value());
    EXPECT_EQ(with_key("one").caller.user, "ann");
    EXPECT_FALSE(with_key("one").key_missing);
    EXPECT_TRUE(with_key("two").key_missing);
    EXPECT_FALSE(identify({{"Authorization", "Bearer no.token.atall"}}).key_missing);
}

TEST_F(IdentityTest, ClaimsAreListsAndPaths) {
    options_.jwt->claims.user = {"sub", "user.name", "username"};
    const auto user = [&](std::string_view payload) {
        return identify({{"Authorization", "Bearer " + token(payload)}}).caller.user;
    };
    EXPECT_EQ(user(R"({"username":"u","sub":"s"})"), "s");
    EXPECT_EQ(user(R"({"username":"u","user":{"name":"n"}})"), "n");
    EXPECT_EQ(user(R"({"username":"u","sub":""})"), "u");
    EXPECT_EQ(user(R"({"sub":42})"), "42");
    EXPECT_EQ(user(R"({"sub":["42"]})"), "");
    EXPECT_EQ(user("{\"sub\":\"" + std::string(kNameBytesMax, 'x') + "\"}"), std::string(kNameBytesMax, 'x'));
    EXPECT_EQ(user("{\"sub\":\"" + std::string(kNameBytesMax + 1, 'x') + "\"}"), "");
}

TEST_F(IdentityTest, TheTierFollowsFromFlagsAndClaim) {
    EXPECT_EQ(tier(R"({"sub":"1"})"), policy::kAuthenticated);
    EXPECT_EQ(tier(R"({"sub":"1","is_superuser":true})"), policy::kSuperuser);
    EXPECT_EQ(tier(R"({"sub":"1","is_superuser":"true","is_usage_capped":true})"), policy::kSuperuser);
    EXPECT_EQ(tier(R"({"sub":"1","is_superuser":false,"is_usage_capped":1})"), policy::kUsageCapped);
    EXPECT_EQ(tier(R"({"sub":"1","tier":"gold"})"), gold_);
    EXPECT_EQ(tier(R"({"sub":"1","tier":"gold","is_superuser":1})"), policy::kSuperuser);
    EXPECT_EQ(tier(R"({"sub":"1","tier":"gold","is_usage_capped":1})"), gold_);
    EXPECT_EQ(tier(R"({"sub":"1","tier":"superuser","is_usage_capped":1})"), policy::kSuperuser);
    EXPECT_EQ(tier(R"({"sub":"1","tier":"authenticated","is_usage_capped":1})"), policy::kUsageCapped);
    EXPECT_EQ(tier(R"({"sub":"1","tier":"usage_capped"})"), policy::kUsageCapped);
    EXPECT_EQ(tier(R"({"sub":"1","tier":"platinum"})"), policy::kAuthenticated);
    EXPECT_EQ(tier(R"({"sub":"1","tier":7})"), policy::kAuthenticated);
}

TEST_F(IdentityTest, TrustedHeadersNameTheCallerOnlyFromATrustedPeer) {
    const Fields fields{{"X-Weir-User", "alice"}, {"X-Weir-Tier", "gold"}};
    const Identified stranger = identify(fields, kStranger);
    EXPECT_FALSE(stranger.peer_trusted);
    EXPECT_EQ(stranger.caller.user, "");
    EXPECT_EQ(stranger.caller.tier, policy::kAnonymous);
    const Identified proxied = identify(fields, kProxy);
    EXPECT_TRUE(proxied.peer_trusted);
    EXPECT_EQ(proxied.caller.user, "alice");
    EXPECT_EQ(proxied.caller.tier, gold_);
    EXPECT_EQ(identify({{"x-weir-user", "alice"}}, kProxy).caller.tier, policy::kAuthenticated);
    EXPECT_EQ(identify({{"X-Weir-User", "alice"}, {"X-Weir-Tier", "platinum"}}, kProxy).caller.tier,
              policy::kAuthenticated);
    EXPECT_EQ(identify({{"X-Weir-User", "alice"}, {"X-Weir-User", "bob"}}, kProxy).caller.user, "");
    EXPECT_EQ(identify({{"X_Weir_User", "alice"}}, kProxy).caller.user, "");
    EXPECT_EQ(identify({{"X-Weir-User", std::string(kNameBytesMax + 1, 'a')}}, kProxy).caller.user, "");
}

TEST_F(IdentityTest, TrustedHeadersWinOverTokens) {
    options_.jwt->reject_invalid = true;
    const std::string other = "Bearer " + token(R"({"sub":"42","is_superuser":true,"org_id":"acme"})");
    const Identified named = identify({{"X-Weir-User", "alice"}, {"Authorization", other}}, kProxy);
    EXPECT_EQ(named.caller.user, "alice");
    EXPECT_EQ(named.caller.tier, policy::kAuthenticated);
    EXPECT_TRUE(named.caller.attributes.empty());
    EXPECT_FALSE(identify({{"X-Weir-User", "alice"}, {"Authorization", "Bearer x"}}, kProxy).rejected);
    const Identified tier_only = identify({{"X-Weir-Tier", "gold"}, {"Authorization", other}}, kProxy);
    EXPECT_EQ(tier_only.caller.user, "42");
    EXPECT_EQ(tier_only.caller.tier, gold_);
}

TEST_F(IdentityTest, IdentityHeadersOfStrangersAreStrippedUnderEverySpelling) {
    const Identifier identifier(options_);
    for (const std::string_view name : {"X-Weir-User", "x-weir-user", "X_Weir_User", "x-weir_tier", "X-WEIR-TIER"})
        EXPECT_TRUE(identifier.strip_field(name, false)) << name;
    for (const std::string_view name : {"X-Weir-Users", "X-Weir", "XWeirUser", "Authorization", ""})
        EXPECT_FALSE(identifier.strip_field(name, false)) << name;
    EXPECT_FALSE(identifier.strip_field("x-weir-user", true));
    EXPECT_TRUE(identifier.strip_field("X_Weir_User", true));
    EXPECT_TRUE(identifier.strip_field("x-weir_tier", true));
    options_.trusted_headers.reset();
    EXPECT_FALSE(Identifier(options_).strip_field("X-Weir-User", false));
    options_.trusted_headers = {"X-Weir-User", ""};
    EXPECT_FALSE(Identifier(options_).strip_field("", false));
}

TEST_F(IdentityTest, AttributesAreWhatLimitsAskFor) {
    const Identified identified =
        identify({{"Authorization", "Bearer " + token(R"({"sub":"1","org_id":7,"org":{"id":"acme"},"other":"x"})")},
                  {"x-org", "blue"},
                  {"X-Other", "y"}});
    const std::vector<std::pair<std::string, std::string>> expected{
        {"claim:org_id", "7"}, {"claim:org.id", "acme"}, {"header:X-Org", "blue"}};
    EXPECT_EQ(identified.caller.attributes, expected);
    EXPECT_TRUE(identify({{"X-Org", ""}}).caller.attributes.empty());
    EXPECT_TRUE(identify({{"X-Org", std::string(kNameBytesMax + 1, 'x')}}).caller.attributes.empty());
    EXPECT_TRUE(
        identify({{"Authorization", "Bearer " + token(R"({"exp":1,"org_id":"acme"})")}}).caller.attributes.empty());
}

TEST(TokenSource, IsParsed) {
    EXPECT_EQ(parse_token_source("authorization")->kind, TokenSource::Kind::kAuthorization);
    EXPECT_EQ(parse_token_source("query:token")->kind, TokenSource::Kind::kQuery);
    EXPECT_EQ(parse_token_source("query:token")->name, "token");
    EXPECT_EQ(parse_token_source("cookie:a")->kind, TokenSource::Kind::kCookie);
    EXPECT_EQ(parse_token_source("subprotocol:a.jwt:v1")->name, "a.jwt:v1");
    for (const std::string_view bad : {"", "Authorization", "authorization:x", "query", "query:", ":x", "header:x"})
        EXPECT_FALSE(parse_token_source(bad)) << bad;
}

}  // namespace
}  // namespace weir::identity
