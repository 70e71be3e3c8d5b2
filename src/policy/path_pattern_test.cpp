#include "policy/path_pattern.h"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include "base/limits.h"

namespace weir::policy {
namespace {

using namespace std::string_literals;

bool matches(std::string_view pattern, std::string_view path) {
    const auto parsed = PathPattern::parse(pattern);
    EXPECT_TRUE(parsed) << pattern;
    return parsed && parsed->matches(path);
}

std::string normalised(std::string_view target) {
    return normalised_path(target).value_or("-");
}

TEST(PathPattern, MatchesExactly) {
    EXPECT_TRUE(matches("/ws/agent-chat/", "/ws/agent-chat/"));
    EXPECT_TRUE(matches("/", "/"));
    EXPECT_FALSE(matches("/ws/agent-chat/", "/ws/agent-chat"));
    EXPECT_FALSE(matches("/ws/agent-chat", "/ws/agent-chat/"));
    EXPECT_FALSE(matches("/ws/agent-chat/", "/ws/agent-chat/x"));
    EXPECT_FALSE(matches("/ws/agent-chat/", "/ws/"));
    EXPECT_FALSE(matches("/ws/", "/WS/"));
    EXPECT_FALSE(matches("/", "/x"));
    EXPECT_FALSE(matches("/x", "/"));
    EXPECT_FALSE(matches("/", ""));
    EXPECT_FALSE(matches("/", "x"));
}

TEST(PathPattern, AStarIsOneSegmentThatIsNotEmpty) {
    EXPECT_TRUE(matches("/ws/document/*/query/", "/ws/document/17/query/"));
    EXPECT_TRUE(matches("/ws/document/*/query/corpus/*/", "/ws/document/17/query/corpus/a%2Fb/"));
    EXPECT_TRUE(matches("/a/*", "/a/b"));
    EXPECT_FALSE(matches("/ws/document/*/query/", "/ws/document/17/18/query/"));
    EXPECT_FALSE(matches("/ws/document/*/query/", "/ws/document/query/"));
    EXPECT_FALSE(matches("/a/*", "/a/"));
    EXPECT_FALSE(matches("/a/*", "/a/b/"));
    EXPECT_FALSE(matches("/a/*/", "/a/b"));
}

TEST(PathPattern, TwoStarsAreEverythingBelow) {
    EXPECT_TRUE(matches("/ws/**", "/ws/"));
    EXPECT_TRUE(matches("/ws/**", "/ws/a/b/c"));
    EXPECT_FALSE(matches("/ws/**", "/ws"));
    EXPECT_FALSE(matches("/ws/**", "/wsx/"));
    EXPECT_TRUE(matches("/**", "/"));
    EXPECT_TRUE(matches("/**", "/a/b"));
    EXPECT_TRUE(matches("/a/*/**", "/a/b/"));
    EXPECT_FALSE(matches("/a/*/**", "/a/b"));
}

TEST(PathPattern, IsNormalisedAsPathsAre) {
    EXPECT_TRUE(matches("/caf\xC3\xA9/%7euser/%2f/@me", normalised("/caf%c3%a9/~user/%2F/%40me")));
}

TEST(PathPattern, RefusesWhatCouldNeverMatch) {
    for (const std::string& bad :
         {""s, "ws/"s, "*"s, "/a**"s, "/**/a"s, "/**/"s, "/a*b"s, "/***"s, "/a?x=1"s, "/a#b"s, "/a//b"s, "/a/./b"s,
          "/a/../b"s, "/a/%2e%2E"s, "/a/%"s, "/a/%zz"s, "/a/%00"s, "/a\0b"s}) {
        const auto parsed = PathPattern::parse(bad);
        ASSERT_FALSE(parsed) << bad;
        EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
        EXPECT_FALSE(parsed.error().detail.empty());
    }
}

TEST(NormalisedPath, CutsQueryFragmentAndAuthority) {
    EXPECT_EQ(normalised("/a/b?c=/d"), "/a/b");
    EXPECT_EQ(normalised("/a#b"), "/a");
    EXPECT_EQ(normalised("/?"), "/");
    EXPECT_EQ(normalised("http://example.com/a/b?c"), "/a/b");
    EXPECT_EQ(normalised("HTTP://example.com:80"), "/");
    EXPECT_EQ(normalised("http://example.com?x=/y"), "/");
    EXPECT_EQ(normalised("ws://[::1]:80//a"), "/a");
}

TEST(NormalisedPath, DecodesWhatMayStandInASegment) {
    EXPECT_EQ(normalised("/%77s/%61gent%2dchat/%7E%5f%2E"), "/ws/agent-chat/~_.");
    EXPECT_EQ(normalised("/%40%3a%21%2a"), "/@:!*");
    EXPECT_EQ(normalised("/%25%3F%23%20%5c%c3%A9"), "/%25%3F%23%20%5C%C3%A9");
    EXPECT_EQ(normalised("/a b\xC3\xA9\\"), "/a%20b%C3%A9%5C");
}

TEST(NormalisedPath, AnEscapedSlashSeparatesNothing) {
    EXPECT_EQ(normalised("/a%2fb"), "/a%2Fb");
    EXPECT_EQ(normalised("/a%2f..%2Fb/"), "/a%2F..%2Fb/");
    EXPECT_EQ(normalised("/a%252fb"), "/a%252fb");
}

TEST(NormalisedPath, MergesSlashesAndRemovesDotSegments) {
    EXPECT_EQ(normalised("//a///b//"), "/a/b/");
    EXPECT_EQ(normalised("/a/./b/."), "/a/b/");
    EXPECT_EQ(normalised("/a/b/../c"), "/a/c");
    EXPECT_EQ(normalised("/a/b/.."), "/a/");
    EXPECT_EQ(normalised("/a/.."), "/");
    EXPECT_EQ(normalised("/a/b/%2e%2E/%2e/c"), "/a/c");
    EXPECT_EQ(normalised("/a//../b"), "/b");
    EXPECT_EQ(normalised("/.../..a/a.."), "/.../..a/a..");
    // RFC 3986 5.2.4.
    EXPECT_EQ(normalised("/a/b/c/./../../g"), "/a/g");
}

TEST(NormalisedPath, RefusesWhatNoUpstreamAgreesOn) {
    for (const std::string& bad :
         {""s, "*"s, "a/b"s, "example.com:443"s, "://a/b"s, "ht_tp://a/b"s, "/.."s, "/a/../.."s, "/%2e%2e/a"s, "//../"s,
          "/%"s, "/%4"s, "/%zz"s, "/%00"s, "/a\0"s, "/" + std::string(kTargetBytesMax, 'a')}) {
        EXPECT_EQ(normalised_path(bad), std::nullopt) << bad;
    }
}

TEST(NormalisedPath, IsNormalAlready) {
    rc::check([](const std::string& text) {
        const auto once = normalised_path("/" + text);
        if (!once) return;
        RC_ASSERT(normalised_path(*once) == once);
    });
}

TEST(DisputedSeparator, IsAnEscapedSlashOrAnyBackslashInThePath) {
    EXPECT_TRUE(has_disputed_separator("/ws%2fchat/"));
    EXPECT_TRUE(has_disputed_separator("http://h/ws%2Fchat/"));
    EXPECT_TRUE(has_disputed_separator("/ws%5Cchat/"));
    EXPECT_TRUE(has_disputed_separator("/ws\\chat/"));
    EXPECT_FALSE(has_disputed_separator("/ws/chat/?next=%2F\\"));
    EXPECT_FALSE(has_disputed_separator("/ws%252Fchat/%2"));
    EXPECT_FALSE(has_disputed_separator("/ws%3gchat/"));
}

TEST(NormalisedPath, ReadsEscapedSeparatorsAsADecodingUpstreamDoes) {
    EXPECT_EQ(with_decoded_separators("/ws%2Fchat%5c\\x%2"), "/ws/chat//x%2");
}

}  // namespace
}  // namespace weir::policy
