// Tokens of an executable GraphQL document (specification of September 2025, 2.1; the October 2021 edition is within
// it).
//
// Works in place: a token is a view of the document, and nothing is allocated. Strings are walked to their end, not
// unescaped, since no name is ever written in one. White space, line ends, commas, comments and U+FEFF are skipped.
//
// Stricter than the specification where readers in use disagree on where a token ends, since what they disagree on
// could hide an operation:
// * U+2028 and U+2029 in a comment: readers after the specification's drafts end the comment there.
// * A quotation mark in the first line of a block string, but for its closing three: a reader that knows no block
// strings
//   (graphql-core 2) reads `"""` as an empty string and the beginning of another, which ends at that mark. At a line
//   end such a reader stops with an error, so later lines are free.
// * Control characters, and bytes that are not UTF-8, anywhere.
// An unpaired surrogate in an escape is an error, as in the specification.
//
// One reader, one thread; copies are cheap and independent.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace weir::protocol::graphql {

enum class TokenKind : std::uint8_t {
    kEnd,  // of the document
    kError,
    kName,
    kInt,
    kFloat,
    kString,
    kBlockString,
    kBang,
    kDollar,
    kAmpersand,
    kParenOpen,
    kParenClose,
    kSpread,
    kColon,
    kEquals,
    kAt,
    kBracketOpen,
    kBracketClose,
    kBraceOpen,
    kPipe,
    kBraceClose,
};

struct Token {
    TokenKind kind = TokenKind::kEnd;
    std::string_view text;  // as written; of kEnd and kError it is empty, and begins where the document ends or breaks
};

namespace lexer_detail {

enum class CharClass : std::uint8_t { kOther, kIgnored, kName, kPunctuator, kNumber, kQuote, kDot, kRare };

struct CharTables {
    std::array<CharClass, 256> classes{};
    std::array<TokenKind, 256> punctuators{};
    std::array<bool, 256> continues_name{};
};

constexpr CharTables make_tables() {
    CharTables tables;
    const auto set = [&](std::string_view characters, CharClass of) {
        for (const char c : characters) tables.classes[static_cast<unsigned char>(c)] = of;
    };
    constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    constexpr std::string_view kDigits = "0123456789";
    set(" \t\r\n,", CharClass::kIgnored);
    set(kLetters, CharClass::kName);
    set(kDigits, CharClass::kNumber);
    set("-", CharClass::kNumber);
    set("\"", CharClass::kQuote);
    set("#\xEF", CharClass::kRare);  // a comment, and the beginning of U+FEFF
    set(".", CharClass::kDot);
    const auto punctuator = [&](char c, TokenKind kind) {
        tables.classes[static_cast<unsigned char>(c)] = CharClass::kPunctuator;
        tables.punctuators[static_cast<unsigned char>(c)] = kind;
    };
    punctuator('!', TokenKind::kBang);
    punctuator('$', TokenKind::kDollar);
    punctuator('&', TokenKind::kAmpersand);
    punctuator('(', TokenKind::kParenOpen);
    punctuator(')', TokenKind::kParenClose);
    punctuator(':', TokenKind::kColon);
    punctuator('=', TokenKind::kEquals);
    punctuator('@', TokenKind::kAt);
    punctuator('[', TokenKind::kBracketOpen);
    punctuator(']', TokenKind::kBracketClose);
    punctuator('{', TokenKind::kBraceOpen);
    punctuator('|', TokenKind::kPipe);
    punctuator('}', TokenKind::kBraceClose);
    for (const char c : kLetters) tables.continues_name[static_cast<unsigned char>(c)] = true;
    for (const char c : kDigits) tables.continues_name[static_cast<unsigned char>(c)] = true;
    return tables;
}

inline constexpr CharTables kTables = make_tables();

inline bool is_ignored(char c) {
    return kTables.classes[static_cast<unsigned char>(c)] == CharClass::kIgnored;
}
inline bool continues_name(char c) {
    return kTables.continues_name[static_cast<unsigned char>(c)];
}

// Plain loops: their ends are mostly predicted, so that the next token is begun before this one is done. Sixteen bytes
// at a time with SSE2 took nearly twice as long, since there each token waits for the one before.
inline const char* skip_ignored(const char* at, const char* end) {
    while (at != end && is_ignored(*at)) ++at;
    return at;
}
inline const char* skip_name(const char* at, const char* end) {
    while (at != end && continues_name(*at)) ++at;
    return at;
}

}  // namespace lexer_detail

class Lexer {
  public:
    Lexer() = default;
    explicit Lexer(std::string_view document)
        : begin_(document.data()), at_(document.data()), end_(document.data() + document.size()) {}

    // kEnd again and again behind the last one; not to be called again behind a kError.
    // Into `token`, not as a result: a copy of what was just written in parts took a third of all time.
    void next(Token& token);

    // Behind a kError: what was wrong, what is expected, and what stands there instead.
    void describe_error(std::string& out) const;

  private:
    void scan_literal(Token& token);
    bool skip_rare();
    bool skip_comment();
    void scan_number(Token& token);
    void scan_string(Token& token);
    void scan_block_string(Token& token);
    bool skip_escape();
    bool skip_unicode_escape();
    bool skip_character();
    bool fail(std::string_view what);
    void fail(Token& token, std::string_view what);
    [[nodiscard]] bool starts_with(std::string_view text) const { return rest().starts_with(text); }
    [[nodiscard]] std::string_view rest() const { return {at_, static_cast<std::size_t>(end_ - at_)}; }
    void end_token(Token& token, const char* begin, TokenKind kind) {
        token.kind = kind;
        token.text = {begin, static_cast<std::size_t>(at_ - begin)};
    }

    const char* begin_ = nullptr;
    const char* at_ = nullptr;  // at an error: the character that is wrong
    const char* end_ = nullptr;
    std::string_view what_;  // of the error
};

// Here, so that names and punctuators, nearly all there is, are read without a call.
inline void Lexer::next(Token& token) {
    using lexer_detail::CharClass;
    using lexer_detail::kTables;
    for (;;) {
        const char* begin = lexer_detail::skip_ignored(at_, end_);
        at_ = begin;
        if (begin == end_) return end_token(token, begin, TokenKind::kEnd);
        const auto c = static_cast<unsigned char>(*begin);
        const CharClass of = kTables.classes[c];
        if (of == CharClass::kName) {
            at_ = lexer_detail::skip_name(begin, end_);
            return end_token(token, begin, TokenKind::kName);
        }
        if (of == CharClass::kPunctuator) {
            at_ = begin + 1;
            return end_token(token, begin, kTables.punctuators[c]);
        }
        if (of != CharClass::kRare) return scan_literal(token);
        if (!skip_rare()) return end_token(token, at_, TokenKind::kError);
    }
}

}  // namespace weir::protocol::graphql
