#include "policy/member_name.h"

#include "base/text.h"

namespace weir::policy {
namespace {

// Reads a name character by character: `raw` as it is, `folded` without its case. Besides ASCII the four characters
// beyond it fold that some readers take for ASCII letters.
class NameReader {
  public:
    NameReader(std::string_view text, bool escaped) : rest_(text), escaped_(escaped) {}

    [[nodiscard]] bool at_end() const { return rest_.empty(); }
    struct Character {
        std::string_view raw;
        char folded;
    };
    Character next() {
        using namespace std::string_view_literals;
        struct Special {
            std::string_view bytes;
            char folded;
        };
        static constexpr Special kSpecials[]{
            {"\xC5\xBF"sv, 's'}, {"\xE2\x84\xAA"sv, 'k'}, {"\xC4\xB0"sv, 'i'}, {"\xC4\xB1"sv, 'i'}};
        const char c = rest_.front();
        if (escaped_ && c == '~' && rest_.size() > 1 && (rest_[1] == '0' || rest_[1] == '1')) {
            const std::string_view raw = rest_[1] == '0' ? "~"sv : "/"sv;
            rest_.remove_prefix(2);
            return {raw, raw.front()};
        }
        if (static_cast<unsigned char>(c) >= 0x80) {
            for (const Special& special : kSpecials) {
                if (!rest_.starts_with(special.bytes)) continue;
                rest_.remove_prefix(special.bytes.size());
                return {special.bytes, special.folded};
            }
        }
        const Character result{rest_.substr(0, 1), ascii_lower(c)};
        rest_.remove_prefix(1);
        return result;
    }

  private:
    std::string_view rest_;
    bool escaped_;
};

}  // namespace

NameMatch match_name(std::string_view member, std::string_view wanted, bool escaped) {
    NameReader a(member, false);
    NameReader b(wanted, escaped);
    NameMatch match = NameMatch::kExact;
    while (!a.at_end() && !b.at_end()) {
        const auto x = a.next();
        const auto y = b.next();
        if (x.folded != y.folded) return NameMatch::kNone;
        if (x.raw != y.raw) match = NameMatch::kFolded;
    }
    return a.at_end() && b.at_end() ? match : NameMatch::kNone;
}

}  // namespace weir::policy
