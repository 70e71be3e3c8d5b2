// Heads as they travel on: what is taken away, what is added, and for whom.
#include "gateway/head_writer.h"

#include <gtest/gtest.h>
#include <string>

namespace weir::gateway {
namespace {

namespace http = protocol::http;

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

class UpstreamHead : public testing::Test {
  protected:
    UpstreamHead() {
        identity::Options options;
        options.trusted_proxies = {*Cidr::parse("10.0.0.0/8")};
        options.trusted_headers = identity::TrustedHeaderNames{.user = "X-Weir-User", .tier = "X-Weir-Tier"};
        identifier_ = std::make_unique<identity::Identifier>(std::move(options));
    }
    // The head that goes on for a request from `peer`. `fields` are whole lines.
    std::string from(std::string_view peer, const std::string& fields, ForwardedFacts facts = {},
                     const std::string& line = "GET /a?b=%20 HTTP/1.1") {
        head_ = line + "\r\n" + fields + "\r\n";
        http::RequestHead request;
        const auto parsed = http::parse_request_head(head_, request);
        EXPECT_TRUE(parsed.has_value()) << head_;
        const auto address = IpAddress::parse(peer);
        const auto who = identifier_->identify(request, {.address = address, .proxy_protocol = std::nullopt}, {});
        facts.identifier = identifier_.get();
        facts.who = &who;
        facts.peer_address = peer;
        if (facts.default_host.empty()) facts.default_host = "app:8000";
        return upstream_request_head(request, facts);
    }
    std::unique_ptr<identity::Identifier> identifier_;
    std::string head_;
};

constexpr const char* kStranger = "203.0.113.7";
constexpr const char* kProxy = "10.0.0.1";

TEST_F(UpstreamHead, KeepsTargetAndFieldsInOrderAndSaysWhoAsks) {
    EXPECT_EQ(from(kStranger, "Host: app.example\r\nX-B: 1\r\nX-A: 2\r\nX-B: 3\r\n"),
              "GET /a?b=%20 HTTP/1.1\r\nHost: app.example\r\nX-B: 1\r\nX-A: 2\r\nX-B: 3\r\n"
              "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: app.example\r\n\r\n");
}

TEST_F(UpstreamHead, TakesHopByHopFieldsAway) {
    const std::string head = from(kStranger,
                                  "Host: a\r\nConnection: keep-alive, X-Private\r\nX-Private: 1\r\nKeep-Alive: 5\r\n"
                                  "TE: trailers\r\nTrailer: x\r\nProxy-Authorization: b\r\nX-Kept: 1\r\n");
    for (const char* gone : {"Connection", "Private", "Keep-Alive", "TE:", "Trailer", "Proxy-"}) {
        EXPECT_FALSE(contains(head, gone)) << gone;
    }
    EXPECT_TRUE(contains(head, "X-Kept: 1\r\n"));
}

TEST_F(UpstreamHead, LetsConnectionNotNameAwayWhatItMustSay) {
    const std::string head = from(kStranger,
                                  "Host: a\r\nConnection: host, content-length, x-forwarded-for, x-forwarded-host\r\n"
                                  "Content-Length: 3\r\n",
                                  {}, "POST / HTTP/1.1");
    EXPECT_TRUE(contains(head, "\r\nHost: a\r\n"));
    EXPECT_TRUE(contains(head, "\r\nContent-Length: 3\r\n"));
    EXPECT_TRUE(contains(head, "\r\nX-Forwarded-For: 203.0.113.7\r\n"));
    EXPECT_TRUE(contains(head, "\r\nX-Forwarded-Host: a\r\n"));
}

TEST_F(UpstreamHead, SaysTheLengthOfABodyAsItIsFramed) {
    EXPECT_TRUE(contains(from(kStranger, "Host: a\r\nContent-Length: 0\r\n", {}, "POST / HTTP/1.1"),
                         "\r\nContent-Length: 0\r\n"));
    const std::string chunked = from(kStranger, "Host: a\r\nTransfer-Encoding: chunked\r\n", {}, "POST / HTTP/1.1");
    EXPECT_TRUE(contains(chunked, "\r\nTransfer-Encoding: chunked\r\n"));
    EXPECT_FALSE(contains(chunked, "Content-Length"));
    const std::string none = from(kStranger, "Host: a\r\n");
    EXPECT_FALSE(contains(none, "Content-Length"));
    EXPECT_FALSE(contains(none, "Transfer-Encoding"));
}

TEST_F(UpstreamHead, BelievesNoStrangerWhereHeComesFrom) {
    const std::string head =
        from(kStranger,
             "Host: a\r\nX-Forwarded-For: 198.51.100.1\r\nX-Forwarded-Proto: https\r\n"
             "X-Forwarded-Host: evil\r\nForwarded: for=198.51.100.1\r\nX-Real-IP: 198.51.100.1\r\n");
    EXPECT_TRUE(
        contains(head, "\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: a\r\n"));
    EXPECT_FALSE(contains(head, "198.51.100.1"));
    EXPECT_FALSE(contains(head, "evil"));
}

TEST_F(UpstreamHead, BelievesNoStrangerUnderAnySpellingThatAnUpstreamFolds) {
    for (const char* spelling : {"X_Forwarded_For", "x-forwarded_for", "X-FORWARDED-FOR", "X_Real_IP", "forwarded",
                                 "X_Forwarded_Host", "X-Forwarded_Proto", "x_weir_limited", "X-Weir-Limited",
                                 "X-Weir-User", "x_weir_user", "X-WEIR_USER", "X_Weir-Tier"}) {
        const std::string head = from(kStranger, std::string("Host: a\r\n") + spelling + ": 198.51.100.1\r\n");
        EXPECT_FALSE(contains(head, "198.51.100.1")) << spelling;
    }
    for (const char* spelling : {"x_weir_user", "X_Forwarded_For", "X_Forwarded_Host"}) {
        const std::string head = from(kProxy, std::string("Host: a\r\n") + spelling + ": 198.51.100.1\r\n");
        EXPECT_FALSE(contains(head, "198.51.100.1")) << spelling << " went through the proxy unseen";
    }
}

TEST_F(UpstreamHead, PassesOnWhatATrustedProxySays) {
    const std::string head = from(kProxy,
                                  "Host: a\r\nX-Forwarded-For: 192.0.2.66, 198.51.100.1, 10.0.0.2\r\n"
                                  "X-Forwarded-Proto: https\r\nX-Forwarded-Host: www\r\nX-Weir-User: 42\r\n");
    // What stands left of the client is only its own word.
    EXPECT_TRUE(contains(head, "\r\nX-Forwarded-For: 198.51.100.1, 10.0.0.2, 10.0.0.1\r\n")) << head;
    EXPECT_TRUE(contains(head, "\r\nX-Forwarded-Proto: https\r\n"));
    EXPECT_TRUE(contains(head, "\r\nX-Forwarded-Host: www\r\n"));
    EXPECT_TRUE(contains(head, "\r\nX-Weir-User: 42\r\n"));
}

TEST_F(UpstreamHead, NamesAHostForAClientThatNamesNone) {
    const std::string head = from(kStranger, "", {}, "GET / HTTP/1.0");
    EXPECT_TRUE(contains(head, "GET / HTTP/1.1\r\nHost: app:8000\r\n"));
    EXPECT_FALSE(contains(head, "X-Forwarded-Host"));
}

TEST_F(UpstreamHead, OffersTheExtensionsThatAreLeftAndTheUpgrade) {
    const std::string fields =
        "Host: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n"
        "Sec-WebSocket-Extensions: x-unknown, permessage-deflate\r\n";
    ForwardedFacts facts;
    facts.websocket = true;
    facts.extension_offer = "permessage-deflate";
    const std::string head = from(kStranger, fields, facts);
    EXPECT_TRUE(contains(head, "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"));
    EXPECT_TRUE(contains(head, "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n"));
    EXPECT_TRUE(contains(head, "\r\nSec-WebSocket-Key: k\r\n"));
    EXPECT_FALSE(contains(head, "x-unknown"));
    EXPECT_FALSE(contains(from(kStranger, fields), "Upgrade"));
}

TEST_F(UpstreamHead, TellsWhatIsMarked) {
    ForwardedFacts facts;
    facts.limited_groups = "read_light";
    const std::string head = from(kStranger, "Host: a\r\nX-Weir-Limited: none\r\n", facts);
    EXPECT_TRUE(contains(head, "\r\nX-Weir-Limited: read_light\r\n"));
    EXPECT_FALSE(contains(head, "none"));
}

http::ResponseHead response_of(std::string_view head, std::string_view method = "GET") {
    http::ResponseHead response;
    EXPECT_TRUE(http::parse_response_head(head, method, response).has_value());
    return response;
}

TEST(DownstreamHead, KeepsEndToEndFieldsAndAddsTheLimits) {
    const auto response = response_of(
        "HTTP/1.1 200 Fine\r\nConnection: X-Private, content-length\r\nX-Private: 1\r\nContent-Length: 2\r\n"
        "Set-Cookie: a\r\nSet-Cookie: b\r\nRateLimit: of the backend\r\nKeep-Alive: 3\r\n\r\n");
    EXPECT_EQ(downstream_response_head(response, {.rate_limit_fields = "RateLimit: ours\r\n"}),
              "HTTP/1.1 200 Fine\r\nContent-Length: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nRateLimit: ours\r\n\r\n");
    EXPECT_TRUE(contains(downstream_response_head(response, {.rate_limit_fields = {}}), "RateLimit: of the backend"))
        << "a route without limits has nothing to say in its place";
}

TEST(DownstreamHead, KeepsAContentLengthOfNothing) {
    const auto response = response_of("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(downstream_response_head(response, {.rate_limit_fields = {}}),
              "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

TEST(DownstreamHead, SaysHowItGoesOn) {
    const auto response = response_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    EXPECT_EQ(downstream_response_head(response, {.rate_limit_fields = {}, .chunk_body = true}),
              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    EXPECT_EQ(downstream_response_head(response, {.rate_limit_fields = {}, .keep_alive = false}),
              "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n");
    EXPECT_EQ(downstream_response_head(response, {.rate_limit_fields = {}, .client_is_http10 = true}),
              "HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n");
}

TEST(DownstreamHead, AddsNothingToAnInterimResponse) {
    const auto response = response_of("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    EXPECT_EQ(downstream_response_head(response, {.rate_limit_fields = {}, .keep_alive = false, .interim = true}),
              "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
}

TEST(DownstreamHead, SwitchesWithTheExtensionsAsNegotiated) {
    const auto response = response_of(
        "HTTP/1.1 101 Web Socket\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: abc\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\nX-RateLimit-Limit: 9\r\n\r\n");
    EXPECT_EQ(downstream_switching_head(response, "permessage-deflate; client_no_context_takeover",
                                        "X-RateLimit-Limit: 30\r\n"),
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: abc\r\nSec-WebSocket-Protocol: chat\r\n"
              "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
              "X-RateLimit-Limit: 30\r\n\r\n");
    EXPECT_FALSE(contains(downstream_switching_head(response, "", ""), "Extensions"));
}

TEST(OwnAnswer, HasALengthAndSaysWhetherItIsTheLast) {
    EXPECT_EQ(own_answer({.status = 429,
                          .date = "Sun, 06 Nov 1994 08:49:37 GMT",
                          .body = "no\n",
                          .extra_fields = "Retry-After: 3\r\n",
                          .keep_alive = true}),
              "HTTP/1.1 429 Too Many Requests\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; "
              "charset=utf-8\r\nContent-Length: 3\r\n"
              "Server: weir\r\nRetry-After: 3\r\n\r\nno\n");
    const std::string head = own_answer({.status = 404, .body = "no\n", .extra_fields = {}, .head_request = true});
    EXPECT_TRUE(head.starts_with("HTTP/1.1 404 Not Found\r\nContent-Type: "));
    EXPECT_TRUE(contains(head, "Content-Length: 3\r\n"));
    EXPECT_TRUE(head.ends_with("Connection: close\r\n\r\n")) << "an answer to HEAD has no body";
}

TEST(OwnAnswer, HasAPhraseForEveryErrorsStatus) {
    for (int code = 0; code < static_cast<int>(ErrorCode::kCount_); ++code) {
        const unsigned status = error_row(static_cast<ErrorCode>(code)).http_status;
        EXPECT_NE(reason_phrase(status), "Error") << status;
    }
}

TEST(CorsFields, LetPagesOfConfiguredOriginsReadOurAnswers) {
    http::RequestHead request;
    request.fields = {{"Origin", "https://app.example"}};
    EXPECT_TRUE(cors_fields({}, request).empty());
    EXPECT_TRUE(cors_fields({"https://other.example"}, request).empty());
    const std::string named = cors_fields({"https://app.example"}, request);
    EXPECT_TRUE(named.starts_with(
        "Access-Control-Allow-Origin: https://app.example\r\nAccess-Control-Allow-Credentials: true\r\n"));
    const std::string any = cors_fields({"*"}, request);
    EXPECT_TRUE(any.starts_with("Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: "));
    EXPECT_EQ(any.find("Credentials"), std::string::npos);
    request.fields.clear();
    EXPECT_TRUE(cors_fields({"*"}, request).empty());
}

}  // namespace
}  // namespace weir::gateway
