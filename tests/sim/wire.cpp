#include "wire.h"

#include <zlib.h>

#include "base/error.h"

namespace weir::sim {

std::string encode(const Frame& frame, Rng* random) {
    std::string out;
    out.push_back(static_cast<char>((frame.fin ? 0x80U : 0U) | (frame.rsv1 ? 0x40U : 0U) | frame.opcode));
    const unsigned mask_bit = random != nullptr ? 0x80U : 0U;
    const std::uint64_t size = frame.payload.size();
    int length_bytes = 0;
    if (size < 126) {
        out.push_back(static_cast<char>(mask_bit | size));
    } else if (size < 65536) {
        out.push_back(static_cast<char>(mask_bit | 126U));
        length_bytes = 2;
    } else {
        out.push_back(static_cast<char>(mask_bit | 127U));
        length_bytes = 8;
    }
    for (int i = length_bytes - 1; i >= 0; --i)
        out.push_back(static_cast<char>(size >> (8U * static_cast<unsigned>(i))));
    if (random == nullptr) return out + frame.payload;
    std::string mask;
    for (int i = 0; i < 4; ++i) mask.push_back(static_cast<char>(random->below(256)));
    out += mask;
    for (std::size_t i = 0; i < frame.payload.size(); ++i)
        out.push_back(static_cast<char>(frame.payload[i] ^ mask[i % 4]));
    return out;
}

std::optional<Decoded> decode(std::string_view bytes) {
    const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(bytes[at]); };
    if (bytes.size() < 2) return std::nullopt;
    Decoded result;
    result.frame.fin = (byte(0) & 0x80U) != 0;
    result.frame.rsv1 = (byte(0) & 0x40U) != 0;
    result.frame.opcode = byte(0) & 0x0FU;
    const bool masked = (byte(1) & 0x80U) != 0;
    std::uint64_t size = byte(1) & 0x7FU;
    std::size_t at = 2;
    const std::size_t length_bytes = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (bytes.size() < at + length_bytes + (masked ? 4 : 0)) return std::nullopt;
    if (length_bytes > 0) {
        size = 0;
        for (std::size_t i = 0; i < length_bytes; ++i) size = size << 8U | byte(at + i);
        at += length_bytes;
    }
    const std::string_view mask = masked ? bytes.substr(at, 4) : std::string_view();
    at += mask.size();
    if (bytes.size() - at < size) return std::nullopt;
    result.frame.payload = bytes.substr(at, static_cast<std::size_t>(size));
    if (masked) {
        for (std::size_t i = 0; i < result.frame.payload.size(); ++i)
            result.frame.payload[i] = static_cast<char>(result.frame.payload[i] ^ mask[i % 4]);
    }
    result.size = at + static_cast<std::size_t>(size);
    return result;
}

std::string deflate_message(std::string_view text) {
    z_stream stream{};
    WEIR_ASSERT(deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    std::string out(deflateBound(&stream, text.size()) + 16, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
    stream.avail_in = static_cast<uInt>(text.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    WEIR_ASSERT(deflate(&stream, Z_SYNC_FLUSH) == Z_OK && stream.avail_in == 0);
    out.resize(stream.total_out);
    deflateEnd(&stream);
    WEIR_ASSERT(out.ends_with(std::string_view("\0\0\xFF\xFF", 4)));
    out.resize(out.size() - 4);  // RFC 7692 7.2.1
    if (out.empty()) out.push_back('\0');
    return out;
}

std::string close_payload(unsigned code) {
    return {static_cast<char>(code >> 8U), static_cast<char>(code & 0xFFU)};
}

unsigned close_code(std::string_view payload) {
    if (payload.size() < 2) return 0;
    return static_cast<unsigned>(static_cast<unsigned char>(payload[0])) << 8U | static_cast<unsigned char>(payload[1]);
}

std::string random_text(Rng& random, std::size_t size) {
    std::string out;
    while (out.size() < size) out.push_back(static_cast<char>('a' + random.below(26)));
    return out;
}

std::string random_bytes(Rng& random, std::size_t size) {
    std::string out;
    while (out.size() < size) out.push_back(static_cast<char>(random.below(256)));
    return out;
}

}  // namespace weir::sim
