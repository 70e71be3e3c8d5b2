// PROXY protocol: what is complete does not change with more bytes behind it, and each shorter prefix either asks for
// more or has already been refused.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "protocol/forwarded/forwarded.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace forwarded = weir::protocol::forwarded;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto whole = forwarded::parse_proxy_header(bytes);
    const bool complete = whole && *whole;
    if (complete) {
        WEIR_ASSERT((*whole)->header_bytes <= bytes.size());
        WEIR_ASSERT((*whole)->header_bytes <= forwarded::kProxyHeaderBytesMax);
    }
    for (std::size_t i = 0; i < std::min<std::size_t>(size, 300); ++i) {
        const auto part = forwarded::parse_proxy_header(bytes.substr(0, i));
        if (!part) {
            WEIR_ASSERT(!whole);
            break;
        }
        if (complete) WEIR_ASSERT(part->has_value() == (i >= (*whole)->header_bytes));
    }
    return 0;
}
