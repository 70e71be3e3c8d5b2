#include "policy/path_pattern.h"

#include "base/limits.h"
#include "base/text.h"

namespace weir::policy {
namespace {

constexpr std::string_view kWildcard = "*";
constexpr std::string_view kPrefixMark = "**";

Error refused(std::string_view detail) {
    return Error{ErrorCode::kInvalidArgument, ErrorSource::kConfiguration, false, detail};
}

// RFC 3986 3.3 pchar, but for the percent sign.
bool is_segment_char(char c) {
    constexpr std::string_view kAlso = "-._~!$&'()*+,;=:@";
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
           kAlso.find(c) != std::string_view::npos;
}

int hex_value(char c) {
    if (ascii_digit(c)) return c - '0';
    const char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

void append_escape(std::string& out, unsigned char byte) {
    constexpr std::string_view kHex = "0123456789ABCDEF";
    out += '%';
    out += kHex[byte >> 4U];
    out += kHex[byte & 0xFU];
}

// The path between scheme and authority, and query and fragment.
std::optional<std::string_view> path_part(std::string_view target) {
    if (target.size() > kTargetBytesMax) return std::nullopt;
    const std::size_t end = target.find_first_of("?#");
    target = target.substr(0, end);
    if (!target.empty() && target.front() == '/') return target;
    const std::size_t scheme = target.find("://");
    if (scheme == 0 || scheme == std::string_view::npos) return std::nullopt;
    for (const char c : target.substr(0, scheme)) {
        if (ascii_lower(c) < 'a' || ascii_lower(c) > 'z') return std::nullopt;
    }
    const std::size_t path = target.find('/', scheme + 3);
    return path == std::string_view::npos ? std::string_view{"/"} : target.substr(path);
}

// Appends one segment with its escapes in their one normal form. False: a bad escape or a NUL.
bool append_segment(std::string& out, std::string_view segment) {
    for (std::size_t i = 0; i < segment.size(); ++i) {
        auto byte = static_cast<unsigned char>(segment[i]);
        if (segment[i] == '%') {
            if (segment.size() - i < 3) return false;
            const int high = hex_value(segment[i + 1]);
            const int low = hex_value(segment[i + 2]);
            if (high < 0 || low < 0) return false;
            byte = static_cast<unsigned char>(high * 16 + low);
            i += 2;
        }
        if (byte == 0) return false;
        if (is_segment_char(static_cast<char>(byte))) {
            out += static_cast<char>(byte);
        } else {
            append_escape(out, byte);
        }
    }
    return true;
}

// Cuts the next segment off `rest`; `last` says that no slash was behind it.
std::string_view take_segment(std::string_view& rest, bool& last) {
    const std::size_t slash = rest.find('/');
    last = slash == std::string_view::npos;
    const std::string_view segment = rest.substr(0, slash);
    rest = last ? std::string_view{} : rest.substr(slash + 1);
    return segment;
}

}  // namespace

std::optional<std::string> normalised_path(std::string_view target) {
    const auto path = path_part(target);
    if (!path) return std::nullopt;
    // `out` always ends in the slash that the next segment stands behind.
    std::string out = "/";
    out.reserve(path->size());
    std::string_view rest = path->substr(1);
    for (bool last = false; !last;) {
        const std::string_view segment = take_segment(rest, last);
        if (segment.empty()) continue;
        const std::size_t start = out.size();
        if (!append_segment(out, segment)) return std::nullopt;
        const std::string_view written = std::string_view(out).substr(start);
        if (written == ".") {
            out.resize(start);
        } else if (written == "..") {
            if (start == 1) return std::nullopt;
            out.resize(out.rfind('/', start - 2) + 1);
        } else if (!last) {
            out += '/';
        }
    }
    return out;
}

bool has_disputed_separator(std::string_view target) {
    const auto path = path_part(target);
    if (!path) return false;
    for (std::size_t i = 0; i < path->size(); ++i) {
        if ((*path)[i] == '\\') return true;
        if ((*path)[i] != '%' || path->size() - i < 3) continue;
        const int high = hex_value((*path)[i + 1]);
        const int low = hex_value((*path)[i + 2]);
        const int value = high < 0 || low < 0 ? 0 : high * 16 + low;
        if (value == '/' || value == '\\') return true;
    }
    return false;
}

std::string with_decoded_separators(std::string_view normalised_path) {
    std::string decoded;
    for (std::size_t i = 0; i < normalised_path.size(); ++i) {
        const std::string_view rest = normalised_path.substr(i);
        const bool escaped = rest.size() >= 3 && (equals_ignoring_case(rest.substr(0, 3), "%2f") ||
                                                  equals_ignoring_case(rest.substr(0, 3), "%5c"));
        decoded.push_back(escaped || rest.front() == '\\' ? '/' : rest.front());
        if (escaped) i += 2;
    }
    return decoded;
}

Result<PathPattern> PathPattern::parse(std::string_view text) {
    if (text.empty() || text.front() != '/') return refused("a path pattern starts with \"/\"");
    if (text.find_first_of("?#") != std::string_view::npos) return refused("a path pattern has no query or fragment");
    PathPattern pattern;
    pattern.text_ = text;
    std::string_view rest = text.substr(1);
    for (bool last = false; !last;) {
        const std::string_view segment = take_segment(rest, last);
        if (segment == kPrefixMark) {
            if (!last) return refused("\"**\" stands only at the end of a path pattern");
            pattern.prefix_ = true;
            break;
        }
        if (segment.find('*') != std::string_view::npos && segment != kWildcard)
            return refused("\"*\" stands for a whole segment of a path: \"/a/*/b\", or \"/a/**\" at the end");
        if (segment.empty() && !last) return refused("a path pattern has no empty segments");
        std::string normal;
        if (!append_segment(normal, segment)) return refused("a path pattern with a bad escape");
        if (normal == "." || normal == "..") return refused("a path pattern has no dot segments");
        pattern.segments_.push_back(std::move(normal));
    }
    return pattern;
}

bool PathPattern::matches(std::string_view normalised_path) const {
    if (normalised_path.empty() || normalised_path.front() != '/') return false;
    std::string_view rest = normalised_path.substr(1);
    bool last = false;
    for (const std::string& expected : segments_) {
        if (last) return false;
        const std::string_view segment = take_segment(rest, last);
        if (expected == kWildcard ? segment.empty() : segment != expected) return false;
    }
    // An exact pattern has used the whole path up; a prefix needs the slash behind its last segment.
    return prefix_ ? !last : last;
}

}  // namespace weir::policy
