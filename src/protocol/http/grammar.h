// The character classes of HTTP (RFC 9110 5.5, 5.6.2), one table for heads and trailers.
//
// Pure.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace weir::protocol::http {

enum CharClass : std::uint8_t {
    kTokenChar = 1,   // a field name or a method
    kValueChar = 2,   // a field value: HTAB, SP, visible ASCII, and bytes from 0x80 on
    kTargetChar = 4,  // a request target: visible ASCII but '#', and bytes from 0x80 on
    kHostChar = 8,    // a Host: reg-name, IP literal, port (RFC 3986 3.2.2)
};

inline constexpr std::array<std::uint8_t, 256> kCharClasses = [] {
    std::array<std::uint8_t, 256> classes{};
    for (unsigned c = 0; c < 256; ++c) {
        const bool visible = c > 0x20 && c < 0x7F;
        const bool alphanumeric = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        const auto among = [&](std::string_view set) { return set.find(static_cast<char>(c)) != set.npos; };
        unsigned mask = 0;
        if (alphanumeric || among("!#$%&'*+-.^_`|~")) mask |= kTokenChar;
        if (visible || c >= 0x80 || c == ' ' || c == '\t') mask |= kValueChar;
        if ((visible || c >= 0x80) && c != '#') mask |= kTargetChar;
        if (alphanumeric || among("-._~%!$&'()*+,;=:[]")) mask |= kHostChar;
        classes[c] = static_cast<std::uint8_t>(mask);
    }
    return classes;
}();

[[nodiscard]] constexpr bool is_of(char c, CharClass wanted) {
    return (kCharClasses[static_cast<unsigned char>(c)] & wanted) != 0;
}
[[nodiscard]] constexpr bool all_of(std::string_view text, CharClass wanted) {
    for (const char c : text) {
        if (!is_of(c, wanted)) return false;
    }
    return true;
}
[[nodiscard]] constexpr bool is_token(std::string_view text) {
    return !text.empty() && all_of(text, kTokenChar);
}

}  // namespace weir::protocol::http
