#include "protocol/ws/frame.h"

#include <cstring>
#include <simdjson.h>

namespace weir::protocol::ws {
namespace {

constexpr std::uint8_t kFinBit = 0x80;
constexpr std::uint8_t kRsv1Bit = 0x40;
constexpr std::uint8_t kRsv23Bits = 0x30;
constexpr std::uint8_t kOpcodeBits = 0x0F;
constexpr std::uint8_t kMaskBit = 0x80;
constexpr std::uint8_t kLengthBits = 0x7F;
constexpr std::uint8_t kLength16 = 126;
constexpr std::uint8_t kLength64 = 127;

bool known_opcode(unsigned opcode) {
    return opcode <= 2 || (opcode >= 8 && opcode <= 10);
}

std::uint64_t big_endian(std::span<const std::uint8_t> bytes) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : bytes) value = value << 8U | byte;
    return value;
}

void append_big_endian(std::string& out, std::uint64_t value, unsigned bytes) {
    for (unsigned i = bytes; i-- > 0;) out.push_back(static_cast<char>(value >> (8 * i) & 0xFFU));
}

void append_header(std::string& out, Opcode opcode, std::size_t payload_bytes, const MaskKey* mask) {
    WEIR_ASSERT(!is_control(opcode) || payload_bytes <= kControlPayloadBytesMax);
    const unsigned mask_bit = mask != nullptr ? kMaskBit : 0;
    out.push_back(static_cast<char>(kFinBit | static_cast<std::uint8_t>(opcode)));
    if (payload_bytes < kLength16) {
        out.push_back(static_cast<char>(mask_bit | payload_bytes));
    } else if (payload_bytes <= 0xFFFF) {
        out.push_back(static_cast<char>(mask_bit | kLength16));
        append_big_endian(out, payload_bytes, 2);
    } else {
        out.push_back(static_cast<char>(mask_bit | kLength64));
        append_big_endian(out, payload_bytes, 8);
    }
    if (mask != nullptr) out.append(mask->begin(), mask->end());
}

// RFC 6455 7.4 and the registry of close codes: 1004 is reserved; 1005, 1006 and 1015 are for a program's own use.
bool may_be_on_the_wire(unsigned code) {
    if (code >= 3000) return code <= 4999;
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014);
}

}  // namespace

Result<std::optional<FrameHeader>> parse_frame_header(std::span<const std::uint8_t> bytes,
                                                      const FrameExpectations& expectations) {
    if (bytes.size() < 2) return std::optional<FrameHeader>{};
    const auto malformed = [&expectations](std::string_view detail) {
        const ErrorSource source = expectations.masked ? ErrorSource::kDownstream : ErrorSource::kUpstream;
        return Error{.code = ErrorCode::kMalformed, .source = source, .detail = detail};
    };

    const unsigned opcode = bytes[0] & kOpcodeBits;
    if (!known_opcode(opcode)) return malformed("an unknown opcode");
    FrameHeader header;
    header.fin = (bytes[0] & kFinBit) != 0;
    header.rsv1 = (bytes[0] & kRsv1Bit) != 0;
    header.opcode = static_cast<Opcode>(opcode);
    header.masked = (bytes[1] & kMaskBit) != 0;
    const std::uint8_t length = bytes[1] & kLengthBits;

    if ((bytes[0] & kRsv23Bits) != 0) return malformed("a reserved bit that nobody negotiated");
    if (header.rsv1) {
        // RFC 7692 6: only on the first frame of a data message.
        const bool begins_message = header.opcode == Opcode::kText || header.opcode == Opcode::kBinary;
        if (!expectations.rsv1_allowed || !begins_message) return malformed("a compression bit that must not be there");
    }
    if (header.masked != expectations.masked)
        return malformed(expectations.masked ? "a frame without a mask" : "a frame with a mask");
    if (is_control(header.opcode)) {
        if (!header.fin) return malformed("a fragmented control frame");
        if (length > kControlPayloadBytesMax) return malformed("a control frame beyond 125 bytes");
    }

    const std::size_t length_bytes = length == kLength64 ? 8 : length == kLength16 ? 2 : 0;
    const std::size_t mask_at = 2 + length_bytes;
    if (bytes.size() < mask_at) return std::optional<FrameHeader>{};
    header.payload_bytes = length_bytes == 0 ? length : big_endian(bytes.subspan(2, length_bytes));
    if (length_bytes == 2 && header.payload_bytes < kLength16) return malformed("a length not in its shortest form");
    if (length_bytes == 8) {
        if (header.payload_bytes <= 0xFFFF) return malformed("a length not in its shortest form");
        if (header.payload_bytes >> 63U != 0) return malformed("a length with its top bit set");
    }

    header.header_bytes = mask_at + (header.masked ? header.mask.size() : 0);
    if (bytes.size() < header.header_bytes) return std::optional<FrameHeader>{};
    if (header.masked) std::memcpy(header.mask.data(), &bytes[mask_at], header.mask.size());
    return std::optional<FrameHeader>{header};
}

void apply_mask(std::span<const std::uint8_t> bytes, const MaskKey& mask, std::uint64_t offset,
                std::span<std::uint8_t> out) {
    WEIR_ASSERT(bytes.size() == out.size());
    // The key, turned so that it begins at `offset`, twice: a word of it fits every eighth byte.
    std::array<std::uint8_t, 8> turned;
    for (std::size_t i = 0; i < turned.size(); ++i) turned[i] = mask[(offset + i) % mask.size()];
    std::uint64_t key = 0;
    std::memcpy(&key, turned.data(), sizeof key);

    const std::uint8_t* from = bytes.data();
    std::uint8_t* to = out.data();
    std::size_t left = bytes.size();
    std::array<std::uint64_t, 4> words;  // four at a time: compilers make vector instructions of it
    for (; left >= sizeof words; left -= sizeof words, from += sizeof words, to += sizeof words) {
        std::memcpy(words.data(), from, sizeof words);
        for (std::uint64_t& word : words) word ^= key;
        std::memcpy(to, words.data(), sizeof words);
    }
    for (; left >= sizeof key; left -= sizeof key, from += sizeof key, to += sizeof key) {
        std::uint64_t word = 0;
        std::memcpy(&word, from, sizeof word);
        word ^= key;
        std::memcpy(to, &word, sizeof word);
    }
    for (std::size_t i = 0; i < left; ++i) to[i] = from[i] ^ turned[i];
}

std::string server_frame(Opcode opcode, std::string_view payload) {
    std::string frame;
    frame.reserve(kFrameHeaderBytesMax + payload.size());
    append_header(frame, opcode, payload.size(), nullptr);
    frame += payload;
    return frame;
}

std::string client_frame(Opcode opcode, std::string_view payload, const MaskKey& mask) {
    std::string frame;
    frame.reserve(kFrameHeaderBytesMax + payload.size());
    append_header(frame, opcode, payload.size(), &mask);
    const std::size_t header_bytes = frame.size();
    frame += payload;
    const std::span<std::uint8_t> masked(reinterpret_cast<std::uint8_t*>(frame.data()) + header_bytes, payload.size());
    apply_mask(masked, mask, 0, masked);
    return frame;
}

std::string close_payload(std::uint16_t code, std::string_view reason) {
    WEIR_ASSERT(may_be_on_the_wire(code));
    if (reason.size() > kCloseReasonBytesMax) {
        std::size_t end = kCloseReasonBytesMax;
        while (end > 0 && (static_cast<unsigned char>(reason[end]) & 0xC0U) == 0x80U) --end;
        reason = reason.substr(0, end);
    }
    std::string payload;
    append_big_endian(payload, code, 2);
    payload += reason;
    return payload;
}

Result<CloseStatus> parse_close_payload(std::string_view payload) {
    const auto malformed = [](std::string_view detail) {
        return Error{.code = ErrorCode::kMalformed, .source = ErrorSource::kDownstream, .detail = detail};
    };
    if (payload.empty()) return CloseStatus{};
    if (payload.size() == 1) return malformed("a close code of one byte");
    if (payload.size() > kControlPayloadBytesMax) return malformed("a control frame beyond 125 bytes");
    const auto byte = [payload](std::size_t i) { return static_cast<unsigned char>(payload[i]); };
    const unsigned code = byte(0) * 256U + byte(1);
    if (!may_be_on_the_wire(code)) return malformed("a close code that must not be sent");
    const std::string_view reason = payload.substr(2);
    if (!simdjson::validate_utf8(reason.data(), reason.size())) return malformed("a close reason that is not UTF-8");
    return CloseStatus{.code = static_cast<std::uint16_t>(code), .reason = reason};
}

}  // namespace weir::protocol::ws
