// Whether a JSON member's name is the one looked for: exactly, or to readers without regard to case (Go's, .NET's).
//
// Those readers fold more than ASCII: U+017F is an "s" to them, U+212A a "k", U+0130 and U+0131 an "i".
//
// Pure.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::policy {

enum class NameMatch : std::uint8_t { kNone, kFolded, kExact };

// `escaped`: `wanted` is a token of an RFC 6901 pointer, in which "~0" and "~1" stand for "~" and "/".
[[nodiscard]] NameMatch match_name(std::string_view member, std::string_view wanted, bool escaped = false);

}  // namespace weir::policy
