#include "policy/plain_json.h"

#include <algorithm>
#include <bit>
#include <cstring>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "base/text.h"

namespace weir::policy {
namespace {

constexpr bool ends_plain_text(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte >= 0x80 || c == '"' || c == '\\';
}

constexpr bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// How many characters from `text` on stand for themselves in a string: up to a quote, a backslash, a control character
// or one beyond ASCII, at most up to `end`. Reads up to kPlainPadding bytes beyond it.
std::size_t plain_length(const char* text, const char* end) {
    const char* at = text;
#if defined(__SSE2__)
    for (; at < end; at += 16) {
        const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
        // As signed numbers those beyond ASCII are below 0x20 too.
        const __m128i below = _mm_cmplt_epi8(bytes, _mm_set1_epi8(0x20));
        const __m128i quote = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('"'));
        const __m128i backslash = _mm_cmpeq_epi8(bytes, _mm_set1_epi8('\\'));
        const int stops = _mm_movemask_epi8(_mm_or_si128(below, _mm_or_si128(quote, backslash)));
        if (stops == 0) continue;
        at += std::countr_zero(static_cast<unsigned>(stops));
        break;
    }
    return static_cast<std::size_t>(std::min(at, end) - text);
#else
    while (at != end && !ends_plain_text(*at)) ++at;
    return static_cast<std::size_t>(at - text);
#endif
}

// Fifteen digits are exact as an integer and as a double, for every reader.
constexpr std::size_t kDigitsMax = 15;

class Scanner {
  public:
    Scanner(std::string_view text, std::span<PlainMember> members)
        : at_(text.data()), end_(text.data() + text.size()), members_(members) {}

    bool scan() {
        skip_space();
        if (!take('{') || !scan_object()) return false;
        skip_space();
        return at_ == end_;
    }

  private:
    [[nodiscard]] char peek() const { return at_ == end_ ? '\0' : *at_; }
    bool take(char c) {
        if (at_ == end_ || *at_ != c) return false;
        ++at_;
        return true;
    }
    void skip_space() {
        while (at_ != end_ && is_space(*at_)) ++at_;
    }
    bool take_word(std::string_view word) {
        if (static_cast<std::size_t>(end_ - at_) < word.size() || std::memcmp(at_, word.data(), word.size()) != 0)
            return false;
        at_ += word.size();
        return true;
    }

    // Behind the '{' of the top-level object.
    bool scan_object() {
        skip_space();
        if (take('}')) return true;
        while (true) {
            std::string_view name;
            if (!take('"') || !take_string(name) || !take_colon()) return false;
            PlainMember* asked = nullptr;
            if (!find(name, asked)) return false;
            PlainMember ignored;
            if (!scan_value(asked != nullptr ? *asked : ignored)) return false;
            skip_space();
            if (take('}')) return true;
            if (!take(',')) return false;
            skip_space();
        }
    }

    // False when the name is one that readers may disagree about.
    bool find(std::string_view name, PlainMember*& asked) {
        for (PlainMember& member : members_) {
            if (member.name.size() != name.size()) continue;
            if (std::memcmp(member.name.data(), name.data(), name.size()) != 0) {
                if (equals_ignoring_case(member.name, name)) return false;
                continue;
            }
            if (member.kind != PlainKind::kAbsent) return false;
            asked = &member;
        }
        return true;
    }

    // Behind the opening quote; takes the closing one too.
    bool take_string(std::string_view& text) {
        const std::size_t length = plain_length(at_, end_);
        text = {at_, length};
        at_ += length;
        return take('"');
    }
    bool take_colon() {
        skip_space();
        if (!take(':')) return false;
        skip_space();
        return true;
    }

    bool scan_value(PlainMember& member) {
        const char first = peek();
        if (first != '{' && first != '[') return scan_scalar(member);
        member.kind = PlainKind::kContainer;
        return scan_container();
    }

    bool scan_scalar(PlainMember& member) {
        switch (peek()) {
            case '"':
                ++at_;
                member.kind = PlainKind::kString;
                return take_string(member.value);
            case 't':
                member.kind = PlainKind::kTrue;
                return take_word("true");
            case 'f':
                member.kind = PlainKind::kFalse;
                return take_word("false");
            case 'n':
                member.kind = PlainKind::kNull;
                return take_word("null");
            default:
                member.kind = PlainKind::kNumber;
                return take_number(member.value);
        }
    }

    // -?(0|[1-9][0-9]*)(\.[0-9]+)? with few digits; an exponent is not plain.
    bool take_number(std::string_view& text) {
        const char* begin = at_;
        static_cast<void>(take('-'));
        const std::size_t whole = take_digits();
        if (whole == 0 || (whole > 1 && *(at_ - whole) == '0')) return false;
        std::size_t fraction = 0;
        if (take('.')) {
            fraction = take_digits();
            if (fraction == 0) return false;
        }
        text = {begin, static_cast<std::size_t>(at_ - begin)};
        const char next = peek();
        return whole + fraction <= kDigitsMax && next != 'e' && next != 'E';
    }
    std::size_t take_digits() {
        const char* begin = at_;
        while (at_ != end_ && ascii_digit(*at_)) ++at_;
        return static_cast<std::size_t>(at_ - begin);
    }

    // An object or array within the top-level one: only its grammar matters. `objects_` has a bit for each level.
    bool scan_container() {
        std::uint64_t objects = 0;
        std::size_t depth = 0;
        PlainMember ignored;
        std::string_view name;
        bool value_follows = true;  // else a ',' or the end of a container
        while (true) {
            if (value_follows) {
                const char first = peek();
                if (first == '{' || first == '[') {
                    if (++depth > kPlainDepthMax - 1) return false;
                    ++at_;
                    objects = objects << 1U | static_cast<unsigned>(first == '{');
                    skip_space();
                    if (peek() == (first == '{' ? '}' : ']')) {
                        value_follows = false;
                        continue;
                    }
                } else {
                    if (!scan_scalar(ignored)) return false;
                    value_follows = false;
                    skip_space();
                    continue;
                }
            } else if (take((objects & 1U) != 0 ? '}' : ']')) {
                objects >>= 1U;
                if (--depth == 0) return true;
                skip_space();
                continue;
            } else {
                if (!take(',')) return false;
                skip_space();
                value_follows = true;
            }
            if ((objects & 1U) != 0 && (!take('"') || !take_string(name) || !take_colon())) return false;
        }
    }

    const char* at_;
    const char* end_;
    std::span<PlainMember> members_;
};

}  // namespace

bool scan_plain_object(std::string_view text, std::span<PlainMember> members) {
    for (PlainMember& member : members) member.kind = PlainKind::kAbsent;
    return Scanner(text, members).scan();
}

bool is_plain_name(std::string_view name) {
    return std::none_of(name.begin(), name.end(), ends_plain_text);
}

}  // namespace weir::policy
