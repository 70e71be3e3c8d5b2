#include "policy/caller.h"

#include <gtest/gtest.h>
#include <set>

namespace weir::policy {
namespace {

Caller user(std::string name) {
    Caller caller;
    caller.user = std::move(name);
    caller.tier = kAuthenticated;
    caller.address = IpAddress::parse("203.0.113.7").value();
    return caller;
}

Caller stranger(std::string_view address) {
    Caller caller;
    caller.address = IpAddress::parse(address).value();
    return caller;
}

std::string subject(const Caller& caller, std::vector<std::string> per = {}, unsigned ipv6_prefix_bits = 64) {
    std::vector<SubjectPart> parts;
    for (const std::string& part : per) parts.push_back(parse_subject_part(part).value());
    return subject_of(caller, parts, 17, {ipv6_prefix_bits});
}

TEST(Subject, IsTheUserIfThereIsOneElseTheAddress) {
    EXPECT_EQ(subject(user("42")), "user:42");
    EXPECT_EQ(subject(stranger("203.0.113.7")), "ip:203.0.113.7");
    EXPECT_EQ(subject(stranger("::ffff:203.0.113.7")), "ip:203.0.113.7");
    EXPECT_EQ(subject(stranger("2001:db8:1:2:3:4:5:6")), "ip:2001:db8:1:2::/64");
}

TEST(Subject, GroupsIpv6ByTheConfiguredPrefix) {
    EXPECT_EQ(subject(stranger("2001:db8:1:2:3:4:5:6"), {}, 48), "ip:2001:db8:1::/48");
    EXPECT_EQ(subject(stranger("2001:db8:1:2:3:4:5:6"), {}, 128), "ip:2001:db8:1:2:3:4:5:6");
    EXPECT_EQ(subject(stranger("2001:db8::1"), {}, 0), "ip:::/0");
    EXPECT_EQ(subject(stranger("203.0.113.7"), {}, 0), "ip:203.0.113.7");
}

TEST(Subject, OfAPeerWithoutAddressIsUnix) {
    Caller caller;
    caller.address_known = false;
    EXPECT_EQ(subject(caller), "ip:unix");
}

TEST(Subject, FollowsWhatTheLimitCountsPer) {
    EXPECT_EQ(subject(user("42"), {"ip"}), "ip:203.0.113.7");
    EXPECT_EQ(subject(user("42"), {"user"}), "user:42");
    EXPECT_EQ(subject(stranger("203.0.113.7"), {"user"}), "ip:203.0.113.7");
    EXPECT_EQ(subject(user("42"), {"connection"}), "connection:17");
    EXPECT_EQ(subject(user("42"), {"global"}), "global");
    EXPECT_EQ(subject(user("42"), {"user", "ip"}), "user:42|ip:203.0.113.7");
    EXPECT_EQ(subject(stranger("203.0.113.7"), {"user", "ip"}), "ip:203.0.113.7");
}

TEST(Subject, TakesClaimsAndHeadersAndFallsBackToTheCaller) {
    Caller caller = user("42");
    caller.attributes = {{"claim:org_id", "acme"}, {"header:X-Org", "b"}, {"claim:empty", ""}};
    EXPECT_EQ(subject(caller, {"claim:org_id"}), "claim:org_id:acme");
    EXPECT_EQ(subject(caller, {"header:x-org"}), "header:x-org:b");
    EXPECT_EQ(subject(caller, {"header:X-ORG"}), "header:x-org:b");
    EXPECT_EQ(subject(caller, {"claim:ORG_ID"}), "user:42");
    EXPECT_EQ(subject(caller, {"claim:empty"}), "user:42");
    EXPECT_EQ(subject(stranger("203.0.113.7"), {"claim:org_id"}), "ip:203.0.113.7");
}

TEST(Subject, OfANameWithSeparatorsIsNobodyElses) {
    EXPECT_EQ(subject(user("a:b@example.com")), "user:a:b@example.com");
    EXPECT_EQ(subject(user("auth0|7")), "user:auth0%7C7");
    EXPECT_EQ(subject(user("x}:ws_message{")), "user:x%7D:ws_message%7B");
    EXPECT_EQ(subject(user("100%7C")), "user:100%257C");
    EXPECT_EQ(subject(user(std::string("a\0\n\x7f", 4))), "user:a%00%0A%7F");
    EXPECT_EQ(user_subject("auth0|7"), subject(user("auth0|7")));

    std::set<std::string> seen;
    for (const char* name : {"a", "a|ip:203.0.113.7", "a%7Cip:203.0.113.7", "a}", "a%7D", "a{", "a:", ":a", "a|"}) {
        EXPECT_TRUE(seen.insert(subject(user(name), {"user", "ip"})).second) << name;
    }
    // A claim's name that has a colon does not run into its value.
    Caller caller = user("1");
    caller.attributes = {{"claim:a:b", "c"}, {"claim:a", "b:c"}};
    EXPECT_NE(subject(caller, {"claim:a:b"}), subject(caller, {"claim:a"}));
}

TEST(SubjectPart, RefusesUnknownWords) {
    for (const char* text : {"", "IP", "users", "claim", "claim:", "header:", "ip ", "caller", "cookie:x"}) {
        EXPECT_FALSE(parse_subject_part(text)) << text;
    }
}

}  // namespace
}  // namespace weir::policy
