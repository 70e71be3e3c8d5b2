#include "protocol/ws/handshake.h"

#include <gtest/gtest.h>

namespace weir::protocol::ws {
namespace {

using Fields = std::vector<http::Field>;

constexpr std::string_view kExample =
    "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n"
    "Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

// The example with `from` replaced.
std::string example(std::string_view from = "", std::string_view to = "") {
    std::string head(kExample);
    if (!from.empty()) head.replace(head.find(from), from.size(), to);
    return head;
}
std::optional<ErrorCode> refusal(const std::string& head) {
    http::RequestHead parsed;
    EXPECT_TRUE(http::parse_request_head(head, parsed)) << head;
    const auto checked = check_handshake(parsed);
    if (checked) return std::nullopt;
    return checked.error().code;
}
bool wants(const std::string& head) {
    http::RequestHead parsed;
    EXPECT_TRUE(http::parse_request_head(head, parsed)) << head;
    return wants_websocket(parsed);
}
Fields extensions(std::string_view value) {
    return {{"Sec-WebSocket-Extensions", value}};
}

TEST(Handshake, AcceptsTheExampleOfTheStandard) {
    EXPECT_TRUE(wants(example()));
    EXPECT_EQ(refusal(example()), std::nullopt);
    EXPECT_EQ(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST(Handshake, IsWantedByGetAndUpgrade) {
    EXPECT_TRUE(wants(example("Upgrade: websocket", "upgrade: h2c, WebSocket")));
    EXPECT_FALSE(wants(example("Upgrade: websocket", "Upgrade: h2c")));
    EXPECT_FALSE(wants(example("GET", "POST")));
    EXPECT_TRUE(wants(example("Connection: Upgrade", "Connection: close"))) << "wanted, and then refused";
}

TEST(Handshake, IsRefusedWhenAnythingIsMissing) {
    EXPECT_EQ(refusal(example("Connection: Upgrade\r\n", "")), ErrorCode::kMalformed);
    EXPECT_EQ(refusal(example("HTTP/1.1", "HTTP/1.0")), ErrorCode::kMalformed);
    EXPECT_EQ(refusal(example("Upgrade: websocket", "Upgrade: x")), ErrorCode::kMalformed);
    EXPECT_EQ(refusal(example("Sec-WebSocket-Version: 13\r\n", "")), ErrorCode::kMalformed);
    EXPECT_EQ(refusal(example("Version: 13", "Version: 8")), ErrorCode::kUnsupported);
    EXPECT_EQ(refusal(example("Version: 13", "Version: 13, 8")), ErrorCode::kUnsupported);
    EXPECT_EQ(refusal(example("Origin", "Sec-WebSocket-Version: 13\r\nOrigin")), ErrorCode::kMalformed);
    EXPECT_EQ(refusal(example("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "")), ErrorCode::kMalformed);
    EXPECT_EQ(refusal(example("Origin", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin")),
              ErrorCode::kMalformed);
    EXPECT_EQ(refusal(example("Origin", "Content-Length: 4\r\nOrigin")), ErrorCode::kMalformed);
    EXPECT_EQ(refusal(example("Origin", "Transfer-Encoding: chunked\r\nOrigin")), ErrorCode::kMalformed);
    EXPECT_EQ(refusal(example("Origin", "Content-Length: 0\r\nOrigin")), std::nullopt);
    for (const char* key : {"", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQA=",
                            "dGhlIHNhbXBsZSBub25jZ*==", "dGhlIHNhbXBsZSBub25jZQAA", "dGhlIHNhbXBsZSBub25jZQQQ=="})
        EXPECT_EQ(refusal(example("dGhlIHNhbXBsZSBub25jZQ==", key)), ErrorCode::kMalformed) << key;
}

TEST(Handshake, ListsTheSubprotocolsInOrder) {
    const Fields fields{{"Sec-WebSocket-Protocol", "chat, , superchat"}, {"X", "y"}, {"sec-websocket-protocol", "z"}};
    EXPECT_EQ(offered_subprotocols(fields), (std::vector<std::string_view>{"chat", "superchat", "z"}));
    EXPECT_TRUE(offered_subprotocols({}).empty());
}

TEST(Extensions, OnlyDeflateIsOfferedOn) {
    EXPECT_EQ(filtered_extension_offer({}), "");
    EXPECT_EQ(filtered_extension_offer(extensions("x-webkit-deflate-frame, bbf-usp-protocol")), "");
    EXPECT_EQ(filtered_extension_offer(extensions("permessage-deflate; client_max_window_bits")),
              "permessage-deflate; client_max_window_bits");
    // RFC 7692 7.1.3: fallbacks in order of preference.
    EXPECT_EQ(filtered_extension_offer(extensions(
                  "permessage-deflate;server_max_window_bits=10,x; y=\"a, permessage-deflate\", permessage-deflate")),
              "permessage-deflate;server_max_window_bits=10, permessage-deflate");
    EXPECT_EQ(filtered_extension_offer({{"Sec-WebSocket-Extensions", "foo"},
                                        {"sec-websocket-extensions", "permessage-deflate; unknown=\"a\\\",b\""},
                                        {"Sec-WebSocket-Extensions", "permessage-deflate"}}),
              "permessage-deflate; unknown=\"a\\\",b\", permessage-deflate");
    EXPECT_EQ(filtered_extension_offer(extensions("permessage-deflate; x=\"open, permessage-deflate")), "");
    EXPECT_EQ(filtered_extension_offer(extensions("permessage-deflates, deflate")), "");
}

TEST(Extensions, AskTheServerToKeepNoContextOnce) {
    EXPECT_EQ(without_server_context(""), "");
    EXPECT_EQ(without_server_context("permessage-deflate; client_max_window_bits"),
              "permessage-deflate; client_max_window_bits; server_no_context_takeover");
    EXPECT_EQ(
        without_server_context("permessage-deflate;server_no_context_takeover, permessage-deflate; x=\"a,b\""),
        "permessage-deflate;server_no_context_takeover, permessage-deflate; x=\"a,b\"; server_no_context_takeover");
}

TEST(Extensions, ReadsWhatTheUpstreamAccepted) {
    EXPECT_FALSE(*accepted_deflate({}));
    EXPECT_FALSE(*accepted_deflate(extensions("")));
    const auto plain = accepted_deflate(extensions("permessage-deflate"));
    ASSERT_TRUE(plain && *plain);
    EXPECT_FALSE((*plain)->client_no_context_takeover || (*plain)->server_no_context_takeover);
    EXPECT_EQ((*plain)->client_window_bits, 15U);
    const auto full =
        accepted_deflate(extensions("permessage-deflate; client_no_context_takeover ;server_no_context_takeover; "
                                    "client_max_window_bits=\"10\"; server_max_window_bits = 8"));
    ASSERT_TRUE(full && *full);
    EXPECT_TRUE((*full)->client_no_context_takeover && (*full)->server_no_context_takeover);
    EXPECT_EQ((*full)->client_window_bits, 10U);
    EXPECT_EQ((*full)->server_window_bits, 8U);
}

TEST(Extensions, RefusesWhatNoUpstreamMayAccept) {
    for (const char* value :
         {"foo", "permessage-deflate, foo", "permessage-deflate, permessage-deflate", "Permessage-Deflate",
          "permessage-deflate; foo", "permessage-deflate;", "permessage-deflate;;server_no_context_takeover",
          "permessage-deflate; client_no_context_takeover=1",
          "permessage-deflate; client_no_context_takeover=", "permessage-deflate; server_max_window_bits",
          "permessage-deflate; server_max_window_bits=", "permessage-deflate; server_max_window_bits=7",
          "permessage-deflate; server_max_window_bits=16", "permessage-deflate; server_max_window_bits=08",
          "permessage-deflate; client_max_window_bits", "permessage-deflate; client_max_window_bits=\"1",
          "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
          "permessage-deflate; server_max_window_bits=10; server_max_window_bits=10"}) {
        const auto accepted = accepted_deflate(extensions(value));
        ASSERT_FALSE(accepted) << value;
        EXPECT_EQ(accepted.error().code, ErrorCode::kMalformed);
        EXPECT_EQ(accepted.error().source, ErrorSource::kUpstream);
    }
    EXPECT_FALSE(accepted_deflate(
        {{"Sec-WebSocket-Extensions", "permessage-deflate"}, {"Sec-WebSocket-Extensions", "permessage-deflate"}}));
}

TEST(Extensions, HoldsTheUpstreamToTheOffer) {
    EXPECT_FALSE(accepted_deflate(extensions("permessage-deflate"), ""));
    EXPECT_TRUE(accepted_deflate(extensions("permessage-deflate"), "permessage-deflate"));
    EXPECT_TRUE(*accepted_deflate(extensions("permessage-deflate; server_max_window_bits=10"), "permessage-deflate"));
    const Fields window = extensions("permessage-deflate; client_max_window_bits=10");
    EXPECT_FALSE(accepted_deflate(window, "permessage-deflate"));
    EXPECT_TRUE(accepted_deflate(window, "permessage-deflate, permessage-deflate; client_max_window_bits"));
    EXPECT_TRUE(accepted_deflate({}, ""));
}

TEST(Extensions, AddsNoContextTakeoverWhereMessagesAreDropped) {
    EXPECT_EQ(relayed_extensions({}, true), "");
    EXPECT_EQ(relayed_extensions(extensions("permessage-deflate"), false), "permessage-deflate");
    EXPECT_EQ(relayed_extensions(extensions("permessage-deflate"), true),
              "permessage-deflate; client_no_context_takeover");
    EXPECT_EQ(relayed_extensions(extensions("permessage-deflate;client_no_context_takeover; x"), true),
              "permessage-deflate;client_no_context_takeover; x");
    const std::string relayed = relayed_extensions(extensions("permessage-deflate; server_no_context_takeover"), true);
    const auto read_back = accepted_deflate(extensions(relayed));
    ASSERT_TRUE(read_back && *read_back);
    EXPECT_TRUE((*read_back)->client_no_context_takeover && (*read_back)->server_no_context_takeover);
}

TEST(SwitchingProtocols, IsAHeadOfOurOwn) {
    EXPECT_EQ(switching_protocols("dGhlIHNhbXBsZSBub25jZQ==", "", ""),
              "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
              "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    const std::string head = switching_protocols("dGhlIHNhbXBsZSBub25jZQ==", "chat", "X-RateLimit-Limit: 30\r\n");
    http::ResponseHead parsed;
    ASSERT_TRUE(http::parse_response_head(head, "GET", parsed));
    EXPECT_EQ(parsed.status, 101U);
    EXPECT_TRUE(parsed.upgrade);
    EXPECT_EQ(parsed.field("sec-websocket-protocol"), "chat");
    EXPECT_EQ(parsed.field("x-ratelimit-limit"), "30");
}

}  // namespace
}  // namespace weir::protocol::ws
