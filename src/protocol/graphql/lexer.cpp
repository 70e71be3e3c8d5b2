#include "protocol/graphql/lexer.h"

#include <fmt/format.h>
#include <iterator>

#include "base/text.h"

namespace weir::protocol::graphql {
namespace {

using lexer_detail::CharClass;
using lexer_detail::kTables;

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
constexpr std::string_view kLineSeparator = "\xE2\x80\xA8";
constexpr std::string_view kParagraphSeparator = "\xE2\x80\xA9";

constexpr std::string_view kTokenExpected = "expected a name, a number, a string or a punctuator";

constexpr bool is_control(char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\t';
}

// Characters of a string or comment that need no look: ASCII without controls, quotation mark and backslash.
constexpr bool is_plain(char c) {
    return (static_cast<unsigned char>(c) >= 0x20 && static_cast<unsigned char>(c) < 0x80 && c != '"' && c != '\\') ||
           c == '\t';
}

constexpr int hex_digit(char c) {
    if (ascii_digit(c)) return c - '0';
    const char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

constexpr bool is_high_surrogate(std::uint32_t unit) {
    return unit >= 0xD800 && unit <= 0xDBFF;
}
constexpr bool is_low_surrogate(std::uint32_t unit) {
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

// Four hexadecimal digits at the start of `text`; -1 when they are not there.
std::int32_t four_digits(std::string_view text) {
    if (text.size() < 4) return -1;
    std::int32_t value = 0;
    for (std::size_t i = 0; i < 4; ++i) {
        const int digit = hex_digit(text[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

// The code point of a well-formed sequence.
std::uint32_t code_point(std::string_view sequence) {
    std::uint32_t value = static_cast<unsigned char>(sequence.front());
    if (sequence.size() == 1) return value;
    value &= 0x7FU >> sequence.size();
    for (const char c : sequence.substr(1)) value = value << 6U | (static_cast<unsigned char>(c) & 0x3FU);
    return value;
}

}  // namespace

bool Lexer::fail(std::string_view what) {
    what_ = what;
    return false;
}

void Lexer::fail(Token& token, std::string_view what) {
    what_ = what;
    end_token(token, at_, TokenKind::kError);
}

void Lexer::describe_error(std::string& out) const {
    out += what_;
    out += ", found ";
    if (at_ == end_) {
        out += "the end of the document";
        return;
    }
    const std::size_t length = utf8_sequence_length(rest());
    if (length == 0) {
        fmt::format_to(std::back_inserter(out), "the byte 0x{:02X}, which is not UTF-8",
                       static_cast<unsigned>(static_cast<unsigned char>(*at_)));
    } else if (const std::uint32_t value = code_point(rest().substr(0, length)); value > 0x20 && value < 0x7F) {
        fmt::format_to(std::back_inserter(out), "'{}'", static_cast<char>(value));
    } else {
        fmt::format_to(std::back_inserter(out), "U+{:04X}", value);
    }
}

void Lexer::scan_literal(Token& token) {
    switch (kTables.classes[static_cast<unsigned char>(*at_)]) {
        case CharClass::kQuote:
            return starts_with("\"\"\"") ? scan_block_string(token) : scan_string(token);
        case CharClass::kNumber:
            return scan_number(token);
        case CharClass::kDot:
            if (const char* begin = at_; starts_with("...")) {
                at_ += 3;
                return end_token(token, begin, TokenKind::kSpread);
            }
            return fail(token, "a single dot is no token: expected \"...\"");
        default:
            return fail(token, kTokenExpected);
    }
}

// What is skipped, and rare: a comment, or a byte order mark.
bool Lexer::skip_rare() {
    if (*at_ == '#') return skip_comment();
    if (starts_with(kByteOrderMark)) {
        at_ += kByteOrderMark.size();
        return true;
    }
    return fail(kTokenExpected);
}

bool Lexer::skip_comment() {
    while (at_ != end_ && *at_ != '\n' && *at_ != '\r') {
        if (is_plain(*at_) || *at_ == '"' || *at_ == '\\') {
            ++at_;
        } else if (starts_with(kLineSeparator) || starts_with(kParagraphSeparator)) {
            return fail("readers disagree on whether this character ends a comment: expected none like it");
        } else if (!skip_character()) {
            return fail("expected the text of a comment");
        }
    }
    return true;
}

// One character that is not ASCII; false for a control character and for bytes that are not UTF-8.
bool Lexer::skip_character() {
    if (is_control(*at_)) return false;
    const std::size_t length = utf8_sequence_length(rest());
    at_ += length;
    return length != 0;
}

void Lexer::scan_number(Token& token) {
    const char* begin = at_;
    const auto digits = [this] {
        const char* from = at_;
        while (at_ != end_ && ascii_digit(*at_)) ++at_;
        return at_ != from;
    };
    TokenKind kind = TokenKind::kInt;
    if (*at_ == '-') ++at_;
    if (at_ != end_ && *at_ == '0') {
        ++at_;
        if (at_ != end_ && ascii_digit(*at_)) return fail(token, "a number does not begin with 0: expected its end");
    } else if (!digits()) {
        return fail(token, "expected a digit");
    }
    if (at_ != end_ && *at_ == '.') {
        ++at_;
        kind = TokenKind::kFloat;
        if (!digits()) return fail(token, "expected a digit behind the decimal point");
    }
    if (at_ != end_ && (*at_ == 'e' || *at_ == 'E')) {
        ++at_;
        kind = TokenKind::kFloat;
        if (at_ != end_ && (*at_ == '+' || *at_ == '-')) ++at_;
        if (!digits()) return fail(token, "expected a digit of the exponent");
    }
    // 3.5.2: a name or a dot right behind a number is no token of its own.
    if (at_ != end_ && (*at_ == '.' || kTables.continues_name[static_cast<unsigned char>(*at_)]))
        return fail(token, "expected a space, a comma or a punctuator behind the number");
    return end_token(token, begin, kind);
}

void Lexer::scan_string(Token& token) {
    const char* begin = at_;
    ++at_;
    for (;;) {
        while (at_ != end_ && is_plain(*at_)) ++at_;
        if (at_ == end_ || *at_ == '\n' || *at_ == '\r')
            return fail(token, "the string does not end: expected '\"' before the end of the line");
        if (*at_ == '"') {
            ++at_;
            return end_token(token, begin, TokenKind::kString);
        }
        if (*at_ == '\\') {
            if (!skip_escape()) return end_token(token, at_, TokenKind::kError);
        } else if (!skip_character()) {
            return fail(token, "expected a character of the string");
        }
    }
}

bool Lexer::skip_escape() {
    ++at_;
    if (at_ != end_ && *at_ == 'u') return skip_unicode_escape();
    constexpr std::string_view kSimple = "\"\\/bfnrt";
    if (at_ == end_ || kSimple.find(*at_) == std::string_view::npos) {
        return fail("expected an escape: one of '\"', '\\', '/', 'b', 'f', 'n', 'r', 't' and 'u' behind '\\'");
    }
    ++at_;
    return true;
}

// At the 'u' of \uXXXX, \u{X...}, or \uXXXX\uXXXX for a pair of surrogates.
bool Lexer::skip_unicode_escape() {
    ++at_;
    if (at_ != end_ && *at_ == '{') {
        ++at_;
        std::uint32_t value = 0;
        const char* digits = at_;
        for (; at_ != end_ && hex_digit(*at_) >= 0; ++at_) {
            value = value * 16 + static_cast<std::uint32_t>(hex_digit(*at_));
            if (value > 0x10FFFF) return fail("the escape is beyond U+10FFFF: expected '}' before this digit");
        }
        if (at_ == digits || at_ == end_ || *at_ != '}') return fail("expected hexadecimal digits and '}'");
        if (is_high_surrogate(value) || is_low_surrogate(value))
            return fail("the escape is a surrogate: expected a character");
        ++at_;
        return true;
    }
    const std::int32_t unit = four_digits(rest());
    if (unit < 0) return fail("expected four hexadecimal digits");
    const auto value = static_cast<std::uint32_t>(unit);
    if (is_low_surrogate(value)) return fail("the escape is a low surrogate without a high one before it");
    if (is_high_surrogate(value)) {
        const std::int32_t low = rest().substr(4).starts_with("\\u") ? four_digits(rest().substr(6)) : -1;
        if (low < 0 || !is_low_surrogate(static_cast<std::uint32_t>(low)))
            return fail("the escape is a high surrogate: expected the escape of a low one behind it");
        at_ += 6;
    }
    at_ += 4;
    return true;
}

void Lexer::scan_block_string(Token& token) {
    const char* begin = at_;
    at_ += 3;
    bool first_line = true;
    for (;;) {
        while (at_ != end_ && is_plain(*at_)) ++at_;
        if (at_ == end_) return fail(token, "the block string does not end: expected '\"\"\"'");
        if (starts_with("\"\"\"")) {
            at_ += 3;
            return end_token(token, begin, TokenKind::kBlockString);
        }
        const bool escaped = starts_with("\\\"\"\"");
        if (first_line && (escaped || *at_ == '"')) {
            return fail(
                token,
                "a quotation mark in the first line of a block string is read otherwise by servers that know no block "
                "strings: expected the text to begin on a line of its own");
        }
        if (escaped) {
            at_ += 4;
        } else if (*at_ == '\n' || *at_ == '\r') {
            first_line = false;
            ++at_;
        } else if (*at_ == '"' || *at_ == '\\') {
            ++at_;
        } else if (!skip_character()) {
            return fail(token, "expected a character of the block string");
        }
    }
}

}  // namespace weir::protocol::graphql
