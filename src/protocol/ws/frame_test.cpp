#include "protocol/ws/frame.h"

#include <gtest/gtest.h>
#include <numeric>
#include <vector>

namespace weir::protocol::ws {
namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr FrameExpectations kFromClient{.masked = true, .rsv1_allowed = false};
constexpr FrameExpectations kFromServer{.masked = false, .rsv1_allowed = false};

Bytes bytes_of(std::string_view text) {
    return {text.begin(), text.end()};
}
FrameHeader header_of(const Bytes& bytes, const FrameExpectations& expectations) {
    const auto parsed = parse_frame_header(bytes, expectations);
    EXPECT_TRUE(parsed && *parsed);
    return parsed && *parsed ? **parsed : FrameHeader{};
}
bool refuses(const Bytes& bytes, const FrameExpectations& expectations) {
    const auto parsed = parse_frame_header(bytes, expectations);
    return !parsed && parsed.error().code == ErrorCode::kMalformed;
}
std::string unmasked(const Bytes& frame, const FrameHeader& header) {
    Bytes payload(frame.begin() + static_cast<std::ptrdiff_t>(header.header_bytes), frame.end());
    apply_mask(payload, header.mask, 0, payload);
    return {payload.begin(), payload.end()};
}

// RFC 6455 5.7.
TEST(FrameHeader, ReadsTheExamplesOfTheStandard) {
    const FrameHeader hello = header_of({0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}, kFromServer);
    EXPECT_TRUE(hello.fin);
    EXPECT_EQ(hello.opcode, Opcode::kText);
    EXPECT_FALSE(hello.masked);
    EXPECT_EQ(hello.payload_bytes, 5U);
    EXPECT_EQ(hello.header_bytes, 2U);

    const Bytes masked{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
    const FrameHeader from_client = header_of(masked, kFromClient);
    EXPECT_EQ(from_client.header_bytes, 6U);
    EXPECT_EQ(from_client.mask, (MaskKey{0x37, 0xfa, 0x21, 0x3d}));
    EXPECT_EQ(unmasked(masked, from_client), "Hello");

    EXPECT_FALSE(header_of({0x01, 0x03, 0x48, 0x65, 0x6c}, kFromServer).fin);
    EXPECT_EQ(header_of({0x80, 0x02, 0x6c, 0x6f}, kFromServer).opcode, Opcode::kContinuation);
    EXPECT_EQ(header_of({0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}, kFromServer).opcode, Opcode::kPing);
    const Bytes pong{0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58};
    EXPECT_EQ(header_of(pong, kFromClient).opcode, Opcode::kPong);

    const FrameHeader medium = header_of({0x82, 0x7E, 0x01, 0x00}, kFromServer);
    EXPECT_EQ(medium.payload_bytes, 256U);
    EXPECT_EQ(medium.header_bytes, 4U);
    const FrameHeader large = header_of({0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0}, kFromServer);
    EXPECT_EQ(large.payload_bytes, 65536U);
    EXPECT_EQ(large.header_bytes, 10U);
}

TEST(FrameHeader, NeedsAllOfItsBytes) {
    for (const Bytes& header : {Bytes{0x81, 0x85, 1, 2, 3, 4}, Bytes{0x81, 0xFE, 1, 0, 1, 2, 3, 4},
                                Bytes{0x81, 0xFF, 0, 0, 0, 0, 0, 1, 0, 0, 1, 2, 3, 4}}) {
        for (std::size_t size = 0; size < header.size(); ++size) {
            const auto parsed = parse_frame_header(std::span(header).first(size), kFromClient);
            ASSERT_TRUE(parsed);
            EXPECT_FALSE(*parsed) << size;
        }
        EXPECT_EQ(header_of(header, kFromClient).header_bytes, header.size());
    }
}

TEST(FrameHeader, IsRefusedFromItsFirstTwoBytes) {
    for (unsigned opcode : {3U, 4U, 5U, 6U, 7U, 11U, 12U, 13U, 14U, 15U})
        EXPECT_TRUE(refuses({static_cast<std::uint8_t>(0x80U | opcode), 0x80}, kFromClient)) << opcode;
    EXPECT_TRUE(refuses({0xC1, 0x80}, kFromClient)) << "RSV1 that nobody negotiated";
    EXPECT_TRUE(refuses({0xA1, 0x80}, kFromClient)) << "RSV2";
    EXPECT_TRUE(refuses({0x91, 0x80}, kFromClient)) << "RSV3";
    EXPECT_TRUE(refuses({0x81, 0x05}, kFromClient)) << "no mask from a client";
    EXPECT_TRUE(refuses({0x81, 0x85}, kFromServer)) << "a mask from a server";
    EXPECT_TRUE(refuses({0x09, 0x80}, kFromClient)) << "a fragmented ping";
    EXPECT_TRUE(refuses({0x88, 0xFE}, kFromClient)) << "a long close";
    EXPECT_TRUE(refuses({0x8A, 0xFF}, kFromClient)) << "a very long pong";
}

TEST(FrameHeader, SaysWhoseFaultItIs) {
    EXPECT_EQ(parse_frame_header(Bytes{0x83, 0x80}, kFromClient).error().source, ErrorSource::kDownstream);
    EXPECT_EQ(parse_frame_header(Bytes{0x83, 0x00}, kFromServer).error().source, ErrorSource::kUpstream);
}

TEST(FrameHeader, TakesTheCompressionBitOnTheFirstDataFrameOnly) {
    const FrameExpectations compressed{.masked = true, .rsv1_allowed = true};
    EXPECT_TRUE(header_of({0xC1, 0x80, 1, 2, 3, 4}, compressed).rsv1);
    EXPECT_TRUE(header_of({0x42, 0x80, 1, 2, 3, 4}, compressed).rsv1);
    EXPECT_TRUE(refuses({0xC0, 0x80}, compressed));
    EXPECT_TRUE(refuses({0xC9, 0x80}, compressed));
    EXPECT_TRUE(refuses({0xA1, 0x80}, compressed));
}

TEST(FrameHeader, RefusesLengthsNotInTheirShortestForm) {
    EXPECT_TRUE(refuses({0x82, 0x7E, 0x00, 0x7D}, kFromServer));
    EXPECT_EQ(header_of({0x82, 0x7E, 0x00, 0x7E}, kFromServer).payload_bytes, 126U);
    EXPECT_TRUE(refuses({0x82, 0x7F, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF}, kFromServer));
    EXPECT_TRUE(refuses({0x82, 0x7F, 0x80, 0, 0, 0, 0, 0, 0, 0}, kFromServer));
    EXPECT_EQ(header_of({0x82, 0x7F, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}, kFromServer).payload_bytes,
              0x7FFFFFFFFFFFFFFFU);
}

TEST(ApplyMask, AgreesWithOneByteAtATimeAtEveryAlignment) {
    const MaskKey mask{0x37, 0xfa, 0x21, 0x3d};
    Bytes input(160);
    std::iota(input.begin(), input.end(), std::uint8_t{1});
    for (std::size_t start = 0; start < 9; ++start) {
        for (std::size_t size = 0; size + start <= input.size(); ++size) {
            for (const std::uint64_t offset : {start, start + 3, start + (std::size_t{1} << 40U) + 1}) {
                const auto part = std::span<const std::uint8_t>(input).subspan(start, size);
                Bytes out(size);
                apply_mask(part, mask, offset, out);
                for (std::size_t i = 0; i < size; ++i) ASSERT_EQ(out[i], part[i] ^ mask[(offset + i) % 4]);
            }
        }
    }
}

TEST(ApplyMask, WorksInPlaceAndInPieces) {
    const MaskKey mask{1, 2, 3, 4};
    const Bytes input(77, 0xAB);
    Bytes whole = input;
    apply_mask(whole, mask, 0, whole);
    for (std::size_t cut = 0; cut <= input.size(); ++cut) {
        Bytes pieces = input;
        const auto first = std::span(pieces).first(cut);
        const auto second = std::span(pieces).subspan(cut);
        apply_mask(first, mask, 0, first);
        apply_mask(second, mask, cut, second);
        ASSERT_EQ(pieces, whole) << cut;
    }
}

TEST(OwnFrames, AreThoseOfTheStandard) {
    EXPECT_EQ(bytes_of(server_frame(Opcode::kText, "Hello")), (Bytes{0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f}));
    EXPECT_EQ(bytes_of(client_frame(Opcode::kText, "Hello", {0x37, 0xfa, 0x21, 0x3d})),
              (Bytes{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}));
}

TEST(OwnFrames, ReadBackAtEveryLengthForm) {
    for (const std::size_t size : {0U, 1U, 125U, 126U, 65535U, 65536U, 70000U}) {
        const std::string payload(size, 'x');
        const Bytes from_server = bytes_of(server_frame(Opcode::kBinary, payload));
        const FrameHeader server = header_of(from_server, kFromServer);
        EXPECT_EQ(server.payload_bytes, size);
        EXPECT_EQ(server.header_bytes + size, from_server.size());
        const Bytes from_client = bytes_of(client_frame(Opcode::kBinary, payload, {9, 8, 7, 6}));
        const FrameHeader client = header_of(from_client, kFromClient);
        EXPECT_EQ(client.payload_bytes, size);
        EXPECT_EQ(unmasked(from_client, client), payload);
    }
}

TEST(ClosePayload, IsCutAtACharactersBorder) {
    EXPECT_EQ(close_payload(4029, "Rate limit exceeded: 30/minute"),
              "\x0F\xBD"
              "Rate limit exceeded: 30/minute");
    EXPECT_EQ(close_payload(1000, std::string(123, 'a')).size(), 125U);
    EXPECT_EQ(close_payload(1000, std::string(124, 'a')).size(), 125U);
    for (std::size_t lead = 0; lead < 4; ++lead) {
        std::string reason(lead, 'a');
        for (int i = 0; i < 50; ++i) reason += "\xE2\x82\xAC";
        const std::string payload = close_payload(1000, reason);
        EXPECT_LE(payload.size(), kControlPayloadBytesMax);
        EXPECT_GE(payload.size(), kControlPayloadBytesMax - 2);
        EXPECT_TRUE(parse_close_payload(payload)) << lead;
    }
}

TEST(ClosePayload, ReadsCodeAndReason) {
    EXPECT_EQ(parse_close_payload("")->code, 1005);
    EXPECT_EQ(parse_close_payload("\x03\xE8")->code, 1000);
    const auto status = parse_close_payload("\x0F\xBDno \xE2\x82\xAC");
    ASSERT_TRUE(status);
    EXPECT_EQ(status->code, 4029);
    EXPECT_EQ(status->reason, "no \xE2\x82\xAC");
}

TEST(ClosePayload, KnowsWhichCodesMayBeSent) {
    for (unsigned code = 0; code <= 0xFFFF; ++code) {
        const bool valid =
            (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
        const char payload[] = {static_cast<char>(code >> 8U), static_cast<char>(code & 0xFFU)};
        ASSERT_EQ(parse_close_payload({payload, 2}).has_value(), valid) << code;
    }
}

TEST(ClosePayload, IsRefusedWhenBroken) {
    EXPECT_FALSE(parse_close_payload("\x03"));
    EXPECT_FALSE(parse_close_payload("\x03\xE8\xC3"));
    EXPECT_FALSE(parse_close_payload("\x03\xE8\xED\xA0\x80"));
    EXPECT_FALSE(parse_close_payload("\x03\xE8" + std::string(124, 'a')));
}

}  // namespace
}  // namespace weir::protocol::ws
