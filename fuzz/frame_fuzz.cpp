// Frames: a header that was read, written again, is the same bytes; every prefix of it says "more"; a refusal stays;
// masks agree with the plain loop; a Close payload that was read, written again, is the same.
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "protocol/ws/frame.h"

using namespace weir::protocol::ws;

namespace {

std::vector<std::uint8_t> written_again(const FrameHeader& header) {
    std::vector<std::uint8_t> bytes;
    const unsigned flags = (header.fin ? 0x80U : 0U) | (header.rsv1 ? 0x40U : 0U);
    bytes.push_back(static_cast<std::uint8_t>(flags | static_cast<unsigned>(header.opcode)));
    const unsigned form = header.payload_bytes < 126 ? 0 : header.payload_bytes <= 0xFFFF ? 2 : 8;
    const std::uint64_t length = form == 0 ? header.payload_bytes : form == 2 ? 126 : 127;
    bytes.push_back(static_cast<std::uint8_t>((header.masked ? 0x80U : 0U) | length));
    for (unsigned i = form; i-- > 0;) bytes.push_back(static_cast<std::uint8_t>(header.payload_bytes >> (8 * i)));
    if (header.masked) bytes.insert(bytes.end(), header.mask.begin(), header.mask.end());
    return bytes;
}

void check_mask(std::span<const std::uint8_t> payload, const MaskKey& mask, std::uint64_t offset) {
    std::vector<std::uint8_t> out(payload.size());
    apply_mask(payload, mask, offset, out);
    for (std::size_t i = 0; i < out.size(); ++i) WEIR_ASSERT(out[i] == (payload[i] ^ mask[(offset + i) % 4]));
    apply_mask(out, mask, offset, out);
    WEIR_ASSERT(std::equal(out.begin(), out.end(), payload.begin()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const FrameExpectations expectations{.masked = (data[0] & 1) != 0, .rsv1_allowed = (data[0] & 2) != 0};
    const std::span<const std::uint8_t> bytes(data + 1, size - 1);

    const auto parsed = parse_frame_header(bytes, expectations);
    for (std::size_t end = 0; end < std::min<std::size_t>(bytes.size(), 16); ++end) {
        const auto prefix = parse_frame_header(bytes.first(end), expectations);
        if (!prefix) WEIR_ASSERT(!parsed && parsed.error() == prefix.error());
        if (prefix && parsed && *parsed) WEIR_ASSERT(prefix->has_value() == (end >= (*parsed)->header_bytes));
    }
    if (parsed && *parsed) {
        const FrameHeader& header = **parsed;
        WEIR_ASSERT(header.header_bytes <= weir::kFrameHeaderBytesMax);
        const auto again = written_again(header);
        WEIR_ASSERT(again.size() == header.header_bytes && std::equal(again.begin(), again.end(), bytes.begin()));
        check_mask(bytes.subspan(header.header_bytes), header.mask, data[0]);
    }

    const std::string_view payload(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    if (const auto status = parse_close_payload(payload); status && !payload.empty())
        WEIR_ASSERT(close_payload(status->code, status->reason) == payload);
    static_cast<void>(close_payload(4029, payload));
    WEIR_ASSERT(parse_frame_header(
        std::span(reinterpret_cast<const std::uint8_t*>(server_frame(Opcode::kText, payload).data()), 2),
        {.masked = false}));
    return 0;
}
