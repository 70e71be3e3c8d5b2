// Paths: normalising twice changes nothing, and what is normal has no empty, dot or badly escaped segments.
#include <cstdint>
#include <string_view>

#include "policy/path_pattern.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using weir::policy::normalised_path;
    using weir::policy::PathPattern;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    if (const auto path = normalised_path(text)) {
        WEIR_ASSERT(normalised_path(*path) == path);
        WEIR_ASSERT(path->find("//") == std::string::npos);
        WEIR_ASSERT((*path + "/").find("/./") == std::string::npos);
        WEIR_ASSERT((*path + "/").find("/../") == std::string::npos);
        // A path without stars is a pattern, of itself.
        if (path->find('*') == std::string::npos) {
            const auto pattern = PathPattern::parse(*path);
            WEIR_ASSERT(pattern && pattern->matches(*path));
        }
        WEIR_ASSERT(PathPattern::parse("/**")->matches(*path));
    }
    const std::size_t half = size / 2;
    if (const auto pattern = PathPattern::parse(text.substr(0, half)))
        static_cast<void>(pattern->matches(text.substr(half)));
    static_cast<void>(weir::policy::has_disputed_separator(text));
    return 0;
}
