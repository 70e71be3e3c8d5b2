// Small, ASCII-only text helpers. Protocol text is compared byte by byte, never by locale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

[[nodiscard]] constexpr char ascii_lower(char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c;
}
[[nodiscard]] constexpr bool ascii_digit(char c) {
    return c >= '0' && c <= '9';
}

[[nodiscard]] bool equals_ignoring_case(std::string_view a, std::string_view b);
// As a CGI-like application reads the names of fields: "_" and "-" are one character, case is ignored.
[[nodiscard]] bool equals_folded(std::string_view a, std::string_view b);
[[nodiscard]] std::string lowercased(std::string_view text);
// Without the spaces and tabs at both ends (optional white space of RFC 9110 5.6.3).
[[nodiscard]] std::string_view trimmed(std::string_view text);
// True when the comma-separated `list` has `token`, ignoring case (RFC 9110 5.6.1).
[[nodiscard]] bool list_has_token(std::string_view list, std::string_view token);

// Digits only, no sign or space; nullopt on anything else and on overflow.
[[nodiscard]] std::optional<std::uint64_t> parse_decimal(std::string_view text);

// Length of the well-formed UTF-8 sequence at the start of `text`, which is not empty (RFC 3629: no overlong form, no
// surrogate), or 0.
[[nodiscard]] std::size_t utf8_sequence_length(std::string_view text);

// Appends `text` as the inside of a JSON string (RFC 8259 7); bytes that are not UTF-8 become U+FFFD.
void append_json_escaped(std::string& out, std::string_view text);

// Calls `visit(item)` for each trimmed, non-empty item of a comma-separated list.
template <typename Visit>
void for_each_list_item(std::string_view list, Visit&& visit) {
    while (!list.empty()) {
        const std::size_t comma = list.find(',');
        if (const std::string_view item = trimmed(list.substr(0, comma)); !item.empty()) visit(item);
        list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
    }
}

}  // namespace weir
