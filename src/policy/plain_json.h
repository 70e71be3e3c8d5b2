// A first look at a JSON text: enough for most messages, and several times cheaper than a parse of the whole document.
//
// `scan` answers which of the asked members a top-level object has, for texts that are plain: strict RFC 8259 JSON in
// ASCII, without a backslash, whose numbers are short integers or decimals, nested at most kPlainDepthMax deep. Of
// anything else it says that it can't tell, and a full parser has to be asked (content.cpp). It never says more than
// the full parser would: what it calls plain is valid, and what it finds is there. That includes readers which differ:
// a member that is there twice, or under a name that differs in case alone, is not plain.
//
// Pure, one pass, no allocation, no recursion.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace weir::policy {

inline constexpr std::size_t kPlainDepthMax = 32;
// So many bytes behind the text must be readable.
inline constexpr std::size_t kPlainPadding = 16;

enum class PlainKind : std::uint8_t { kAbsent, kString, kNumber, kTrue, kFalse, kNull, kContainer };

struct PlainMember {
    std::string_view name;  // asked for: ASCII, without '"' and '\\'
    PlainKind kind = PlainKind::kAbsent;
    std::string_view value = {};  // of a string without its quotes, of a number as written
};

// True when `text` is a plain object: `members` then say what it has. False says nothing, and leaves them undefined.
[[nodiscard]] bool scan_plain_object(std::string_view text, std::span<PlainMember> members);

// Whether a name can be asked for.
[[nodiscard]] bool is_plain_name(std::string_view name);

}  // namespace weir::policy
