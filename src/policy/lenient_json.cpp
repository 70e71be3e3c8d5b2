#include "policy/lenient_json.h"

#include <array>

#include "base/text.h"

namespace weir::policy {
namespace {

using namespace std::string_view_literals;

// Unicode's spaces, line ends and the byte order mark, in UTF-8.
constexpr std::array kWideSpaces{
    "\xEF\xBB\xBF"sv, "\xC2\xA0"sv,     "\xC2\x85"sv,     "\xE2\x80\xA8"sv, "\xE2\x80\xA9"sv,
    "\xE2\x80\xAF"sv, "\xE2\x81\x9F"sv, "\xE3\x80\x80"sv, "\xE1\x9A\x80"sv, "\xE2\x80\x8B"sv,
};
constexpr std::array kLiterals{"true"sv,      "false"sv, "null"sv, "NaN"sv,  "Infinity"sv,
                               "undefined"sv, "None"sv,  "True"sv, "False"sv};
constexpr std::string_view kGuard = ")]}'";

bool is_word_char(char c) {
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_' || c == '.' || c == '+' ||
           c == '-';
}

bool holds_container(std::string_view text) {
    return text.find_first_of("{[") != std::string_view::npos;
}

// Length of the white space at the start of `text`, one character.
std::size_t space_length(std::string_view text) {
    const auto byte = static_cast<unsigned char>(text.front());
    if (byte <= 0x20 || byte == 0x7F) return 1;
    if (byte < 0x80) return 0;
    for (const std::string_view space : kWideSpaces) {
        if (text.starts_with(space)) return space.size();
    }
    // U+2000 to U+200A.
    const bool spaces_of_width = text.size() >= 3 && text.starts_with("\xE2\x80") &&
                                 static_cast<unsigned char>(text[2]) >= 0x80 &&
                                 static_cast<unsigned char>(text[2]) <= 0x8A;
    return spaces_of_width ? 3 : 0;
}

// Length of the number, literal or quoted string at the start of `text`: 0 when there is none, npos when it does not
// end.
std::size_t scalar_length(std::string_view text) {
    const char c = text.front();
    if (c == '"' || c == '\'') {
        for (std::size_t i = 1; i < text.size(); ++i) {
            if (text[i] == c) return i + 1;
            if (text[i] == '\\') ++i;
        }
        return std::string_view::npos;
    }
    std::size_t word = 0;
    while (word < text.size() && is_word_char(text[word])) ++word;
    if (ascii_digit(c) || c == '+' || c == '-' || c == '.') return word;
    for (const std::string_view literal : kLiterals) {
        if (text.substr(0, word) == literal) return word;
    }
    return 0;
}

// UTF-16 or UTF-32 in either order shows a zero among its first two bytes, or a byte order mark.
bool looks_wide(std::string_view text) {
    if (text.size() < 2) return false;
    return text[0] == '\0' || text[1] == '\0' || text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF");
}

bool wide_may_read_as_json(std::string_view text, bool complete) {
    const std::size_t start = text.find_first_not_of("\0\xFF\xFE\t\n\r "sv);
    return start == std::string_view::npos ? !complete : "{[/#"sv.find(text[start]) != std::string_view::npos;
}

}  // namespace

bool may_read_as_json(std::string_view content, bool complete) {
    if (looks_wide(content) && wide_may_read_as_json(content, complete)) return true;
    while (!content.empty()) {
        if (const std::size_t space = space_length(content); space > 0) {
            content.remove_prefix(space);
            continue;
        }
        const char c = content.front();
        if (c == '{' || c == '[') return true;
        const bool comment = c == '#' || content == "/" || content.starts_with("//") || content.starts_with("/*");
        const bool guard = content.starts_with(kGuard) || (!complete && kGuard.starts_with(content));
        if (comment || guard) return !complete || holds_container(content);
        const std::size_t scalar = scalar_length(content);
        if (scalar == std::string_view::npos) return !complete;
        if (scalar == 0) {
            // A cut may go through a literal or a wide space: what is left then is short.
            return !complete && content.size() < 9 && content.find_first_of(" \n"sv) == std::string_view::npos;
        }
        content.remove_prefix(scalar);
    }
    return !complete;
}

}  // namespace weir::policy
