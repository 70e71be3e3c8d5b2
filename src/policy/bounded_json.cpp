#include "policy/bounded_json.h"

#include <algorithm>
#include <bit>

#include "base/limits.h"

namespace weir::policy {

simdjson::error_code parse_bounded(simdjson::dom::parser& parser, std::string_view text, simdjson::dom::element& root) {
    if (text.empty()) return simdjson::EMPTY;
    if (parser.capacity() < text.size()) {
        // In powers of two, so that texts that grow byte by byte do not allocate each time.
        constexpr std::size_t kCapacityMin = 4096;
        const std::size_t capacity = std::bit_ceil(std::max(text.size(), kCapacityMin));
        if (const auto error = parser.allocate(capacity, kJsonDepthMax); error != simdjson::SUCCESS) return error;
    }
    return parser.parse(text.data(), text.size(), false).get(root);
}

}  // namespace weir::policy
