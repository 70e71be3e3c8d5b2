// WebSocket frames (RFC 6455 5.2): headers as values, masks, and frames of our own.
//
//    0                   1                   2                   3
//    0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//   |F|R|R|R|opcode |M| length (7)  | 16 or 64 bits of length, if 126 or 127 ...
//   ... | masking key (32), if M | payload
//
// Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/limits.h"
#include "base/result.h"

namespace weir::protocol::ws {

enum class Opcode : std::uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

[[nodiscard]] constexpr bool is_control(Opcode opcode) {
    return static_cast<std::uint8_t>(opcode) >= 8;
}

// Codes of a Close frame that Weir sends (RFC 6455 7.4.1; 4000 to 4999 are an application's own, 7.4.2).
namespace close_code {
inline constexpr std::uint16_t kGoingAway = 1001;
inline constexpr std::uint16_t kProtocolError = 1002;
inline constexpr std::uint16_t kMessageTooBig = 1009;
inline constexpr std::uint16_t kTokenExpired = 4001;
inline constexpr std::uint16_t kTokenInvalid = 4002;
inline constexpr std::uint16_t kRateLimited = 4029;
}  // namespace close_code

using MaskKey = std::array<std::uint8_t, 4>;

struct FrameHeader {
    bool fin = true;
    bool rsv1 = false;  // permessage-deflate: the message is compressed (first frame only)
    Opcode opcode = Opcode::kText;
    bool masked = false;
    MaskKey mask{};
    std::uint64_t payload_bytes = 0;
    std::size_t header_bytes = 0;  // 2 to 14
};

struct FrameExpectations {
    bool masked = true;         // frames from a client are, frames from a server are not
    bool rsv1_allowed = false;  // permessage-deflate was negotiated
};

// The header at the start of `bytes`; nullopt when more bytes are needed. kMalformed: an unknown opcode, RSV bits that
// nobody negotiated, a length not in its shortest form or with its top bit set, a control frame that is fragmented or
// longer than 125, a mask where none must be or the reverse. What can be seen in the first two bytes is reported from
// the first two bytes.
[[nodiscard]] Result<std::optional<FrameHeader>> parse_frame_header(std::span<const std::uint8_t> bytes,
                                                                    const FrameExpectations& expectations);

// Nearly all messages are these: one frame of text or binary data, at most 125 bytes, no extension. Bytes of the whole
// frame when `bytes` begin with one and hold all of it, else 0, and parse_frame_header says more. Inline, because
// walking over a batch of them is nothing but this.
[[nodiscard]] inline std::size_t short_message_bytes(std::span<const std::uint8_t> bytes, bool masked) {
    if (bytes.size() < 2) return 0;
    const unsigned fin_and_opcode = bytes[0];
    const unsigned length = bytes[1] - (masked ? 0x80U : 0U);  // wraps when the mask bit is not as it must be
    if ((fin_and_opcode != 0x81 && fin_and_opcode != 0x82) || length > kControlPayloadBytesMax) return 0;
    const std::size_t whole = (masked ? 6U : 2U) + length;
    return whole <= bytes.size() ? whole : 0;
}

// XORs `bytes`, which start at `offset` of the payload, into `out` (same size; may be the same memory).
void apply_mask(std::span<const std::uint8_t> bytes, const MaskKey& mask, std::uint64_t offset,
                std::span<std::uint8_t> out);

// Unmasked, as a server sends it.
[[nodiscard]] std::string server_frame(Opcode opcode, std::string_view payload);
// Masked, as a client sends it.
[[nodiscard]] std::string client_frame(Opcode opcode, std::string_view payload, const MaskKey& mask);
// The payload of a Close frame: the code, and the reason cut to 123 bytes at a character's border.
[[nodiscard]] std::string close_payload(std::uint16_t code, std::string_view reason);

// What a Close frame's payload says. kMalformed: one byte, a code that must not be on the wire (RFC 6455 7.4.1), a
// reason that is not UTF-8.
struct CloseStatus {
    std::uint16_t code = 1005;  // 1005: none was given
    std::string_view reason;
};
[[nodiscard]] Result<CloseStatus> parse_close_payload(std::string_view payload);

}  // namespace weir::protocol::ws
