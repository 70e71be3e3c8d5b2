// The second opinion on a field section: llhttp's (see head.h, which says why one is not enough).
//
// Pure; may be called from any thread.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir::protocol::http {

enum class JudgedKind : std::uint8_t { kRequest, kResponse };

// True when llhttp accepts `section` (field lines and the empty line) as what follows a plain start line, finds its end
// at the same byte, and counts `fields` fields.
[[nodiscard]] bool second_judge_agrees(JudgedKind kind, std::string_view section, std::size_t fields);

}  // namespace weir::protocol::http
