#include "protocol/forwarded/forwarded.h"

#include <algorithm>
#include <array>
#include <string>

#include "base/text.h"

namespace weir::protocol::forwarded {
namespace {

using Entries = std::vector<std::optional<IpAddress>>;

// RFC 9110 5.6.2, and the characters that addresses need and that many proxies write without quotes.
bool is_value_char(char c) {
    constexpr std::string_view kAlso = "!#$%&'*+-.^_`|~:[]";
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') ||
           kAlso.find(c) != std::string_view::npos;
}

bool is_port(std::string_view text, bool obfuscated_allowed) {
    if (obfuscated_allowed && text.size() > 1 && text.front() == '_') return true;
    const auto port = text.size() <= 5 ? parse_decimal(text) : std::nullopt;
    return port && *port <= 65535;
}

// "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80".
std::optional<IpAddress> parse_node(std::string_view text, bool obfuscated_port_allowed) {
    if (!text.empty() && text.front() == '[') {
        const std::size_t end = text.find(']');
        if (end == std::string_view::npos) return std::nullopt;
        const std::string_view inside = text.substr(1, end - 1);
        const std::string_view behind = text.substr(end + 1);
        if (inside.find(':') == std::string_view::npos) return std::nullopt;
        if (!behind.empty() && (behind.front() != ':' || !is_port(behind.substr(1), obfuscated_port_allowed)))
            return std::nullopt;
        return IpAddress::parse(inside);
    }
    const std::size_t colon = text.find(':');
    if (colon != std::string_view::npos && text.find(':', colon + 1) == std::string_view::npos) {
        if (!is_port(text.substr(colon + 1), obfuscated_port_allowed)) return std::nullopt;
        return IpAddress::parse(text.substr(0, colon));
    }
    return IpAddress::parse(text);
}

// Reads a token or quoted string at the start of `text` into `value`, and removes it. False: it is neither.
bool take_value(std::string_view& text, std::string& value) {
    value.clear();
    if (text.empty() || text.front() != '"') {
        std::size_t length = 0;
        while (length < text.size() && is_value_char(text[length])) ++length;
        value = text.substr(0, length);
        text.remove_prefix(length);
        return length > 0;
    }
    for (std::size_t i = 1; i < text.size(); ++i) {
        if (text[i] == '"') {
            text.remove_prefix(i + 1);
            return true;
        }
        if (text[i] == '\\' && ++i == text.size()) return false;
        value += text[i];
    }
    return false;
}

struct Element {
    bool well_formed = false;
    std::optional<IpAddress> address;
};

// One forwarded-element (RFC 7239 4), all of `text`.
Element parse_element(std::string_view text) {
    Element element;
    std::string value;
    bool for_seen = false;
    while (true) {
        text = trimmed(text);
        if (text.empty()) break;
        if (text.front() == ';') {
            text.remove_prefix(1);
            continue;
        }
        const std::size_t equals = text.find('=');
        if (equals == 0 || equals == std::string_view::npos) return {};
        const std::string_view name = text.substr(0, equals);
        if (!std::all_of(name.begin(), name.end(), is_value_char)) return {};
        text.remove_prefix(equals + 1);
        if (!take_value(text, value)) return {};
        if (equals_ignoring_case(name, "for")) {
            if (for_seen) return {};  // each parameter at most once
            for_seen = true;
            element.address = parse_node(value, true);
        }
        text = trimmed(text);
        if (!text.empty() && text.front() != ';') return {};
    }
    element.well_formed = true;
    return element;
}

// A quoted string with more commas than this inside is not looked through.
constexpr unsigned kCommasMax = 16;

// The last element of `field`, which is cut off from it: the shortest text behind a comma that is well-formed. For a
// well-formed field this is what reading from the left gives, and a quote that a client left open can't swallow what
// its proxy appended. nullopt: an empty list element, which is skipped (RFC 9110 5.6.1.2).
std::optional<Element> take_last_element(std::string_view& field) {
    std::size_t start = field.size();
    Element element;
    for (unsigned commas = 0; !element.well_formed && start > 0 && commas < kCommasMax; ++commas) {
        const std::size_t comma = field.rfind(',', start - 1);
        const bool leftmost = comma == std::string_view::npos;
        const std::string_view text = field.substr(leftmost ? 0 : comma + 1);
        start = leftmost ? 0 : comma;
        if (trimmed(text).empty()) {
            field = field.substr(0, start);
            return std::nullopt;
        }
        element = parse_element(text);
    }
    field = field.substr(0, start);
    return element;
}

// False: the walk ends in this field.
bool append_elements(std::string_view field, Entries& entries) {
    while (!field.empty()) {
        const auto element = take_last_element(field);
        if (!element) continue;
        entries.push_back(element->address);
        if (!element->address || entries.size() >= kEntriesMax) return false;
    }
    return true;
}

Error malformed(std::string_view detail) {
    return Error{ErrorCode::kMalformed, ErrorSource::kDownstream, false, detail};
}

std::uint16_t big_endian_16(std::string_view bytes) {
    return static_cast<std::uint16_t>(static_cast<unsigned char>(bytes[0]) << 8U |
                                      static_cast<unsigned char>(bytes[1]));
}

constexpr std::string_view kV1Prefix = "PROXY ";
constexpr std::size_t kV1BytesMax = 107;  // proxy-protocol.txt 2.1, the line end included
constexpr std::string_view kV2Signature{"\r\n\r\n\0\r\nQUIT\n", 12};
constexpr std::size_t kV2FixedBytes = 16;

// The next word of a v1 line: words are separated by exactly one space.
std::string_view take_word(std::string_view& line) {
    const std::size_t space = line.find(' ');
    const std::string_view word = line.substr(0, space);
    line = space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
    return word;
}

std::optional<std::uint16_t> parse_port(std::string_view word) {
    if (word.empty() || word.size() > 5 || (word.size() > 1 && word.front() == '0')) return std::nullopt;
    const auto port = parse_decimal(word);
    if (!port || *port > 65535) return std::nullopt;
    return static_cast<std::uint16_t>(*port);
}

std::optional<IpAddress> parse_family(std::string_view word, bool v6) {
    if ((word.find(':') != std::string_view::npos) != v6) return std::nullopt;
    return IpAddress::parse(word);
}

Result<std::optional<ProxyHeader>> parse_v1(std::string_view bytes) {
    const std::size_t end = bytes.substr(0, kV1BytesMax).find('\n');
    if (end == std::string_view::npos) {
        if (bytes.size() >= kV1BytesMax) return malformed("a PROXY line longer than 107 bytes");
        return std::optional<ProxyHeader>{};
    }
    if (bytes[end - 1] != '\r') return malformed("a PROXY line that does not end in CR LF");
    std::string_view line = bytes.substr(kV1Prefix.size(), end - 1 - kV1Prefix.size());
    ProxyHeader header;
    header.header_bytes = end + 1;
    const std::string_view family = take_word(line);
    if (family == "UNKNOWN") return std::optional(header);
    if (family != "TCP4" && family != "TCP6") return malformed("a PROXY line of an unknown family");
    const bool v6 = family == "TCP6";
    const auto source = parse_family(take_word(line), v6);
    const auto destination = parse_family(take_word(line), v6);
    const auto source_port = parse_port(take_word(line));
    const auto destination_port = parse_port(line);
    if (!source || !destination || !source_port || !destination_port)
        return malformed("a PROXY line with a bad address or port");
    header.source = source;
    header.source_port = *source_port;
    return std::optional(header);
}

//  0          12        13       14        16
//  | signature | ver cmd | fam pr | length  | addresses (length bytes, TLVs behind them) |
Result<std::optional<ProxyHeader>> parse_v2(std::string_view bytes) {
    enum Command : unsigned { kLocal = 0, kProxy = 1 };
    enum Family : unsigned { kUnspecified = 0, kInet = 1, kInet6 = 2, kUnix = 3 };
    const auto byte = [&](std::size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(bytes[i])); };
    if (bytes.size() > 12 && (byte(12) >> 4U != 2 || (byte(12) & 0xFU) > kProxy))
        return malformed("a PROXY header of an unknown version or command");
    // LOCAL (a health check of the proxy's own) is to be taken whatever its family says.
    const bool local = bytes.size() > 12 && (byte(12) & 0xFU) == kLocal;
    if (!local && bytes.size() > 13 && (byte(13) >> 4U > kUnix || (byte(13) & 0xFU) > 2))
        return malformed("a PROXY header of an unknown family or protocol");
    if (bytes.size() < kV2FixedBytes) return std::optional<ProxyHeader>{};
    const std::size_t length = big_endian_16(bytes.substr(14));
    const unsigned family = local ? kUnspecified : byte(13) >> 4U;
    const std::size_t addresses = family == kInet ? 12 : family == kInet6 ? 36 : family == kUnix ? 216 : 0;
    if (length < addresses) return malformed("a PROXY header shorter than its addresses");
    if (kV2FixedBytes + length > kProxyHeaderBytesMax)
        return Error{ErrorCode::kTooLarge, ErrorSource::kDownstream, false, "a PROXY header beyond its bound"};
    if (bytes.size() < kV2FixedBytes + length) return std::optional<ProxyHeader>{};

    ProxyHeader header;
    header.header_bytes = kV2FixedBytes + length;
    if (family == kInet) {
        std::array<std::uint8_t, 4> v4{};
        std::copy_n(bytes.begin() + kV2FixedBytes, v4.size(), v4.begin());
        header.source = IpAddress::from_v4(v4);
        header.source_port = big_endian_16(bytes.substr(kV2FixedBytes + 8));
    } else if (family == kInet6) {
        IpAddress::Bytes v6{};
        std::copy_n(bytes.begin() + kV2FixedBytes, v6.size(), v6.begin());
        header.source = IpAddress::from_v6(v6);
        header.source_port = big_endian_16(bytes.substr(kV2FixedBytes + 32));
    }
    return std::optional(header);
}

}  // namespace

std::vector<std::optional<IpAddress>> x_forwarded_for(std::span<const std::string_view> values) {
    Entries entries;
    for (std::size_t i = values.size(); i-- > 0;) {
        std::string_view field = values[i];
        while (!field.empty()) {
            const std::size_t comma = field.rfind(',');
            const std::string_view item = trimmed(comma == std::string_view::npos ? field : field.substr(comma + 1));
            field = field.substr(0, comma == std::string_view::npos ? 0 : comma);
            if (item.empty()) continue;
            entries.push_back(parse_node(item, false));
            if (!entries.back() || entries.size() >= kEntriesMax) return entries;
        }
    }
    return entries;
}

std::vector<std::optional<IpAddress>> forwarded_for(std::span<const std::string_view> values) {
    Entries entries;
    for (std::size_t i = values.size(); i-- > 0;) {
        if (!append_elements(values[i], entries)) break;
    }
    return entries;
}

Result<std::optional<ProxyHeader>> parse_proxy_header(std::string_view bytes) {
    const auto starts_as = [&](std::string_view expected) {
        const std::size_t common = std::min(bytes.size(), expected.size());
        return bytes.substr(0, common) == expected.substr(0, common);
    };
    if (starts_as(kV1Prefix)) {
        if (bytes.size() < kV1Prefix.size()) return std::optional<ProxyHeader>{};
        return parse_v1(bytes);
    }
    if (starts_as(kV2Signature)) {
        if (bytes.size() < kV2Signature.size()) return std::optional<ProxyHeader>{};
        return parse_v2(bytes);
    }
    return malformed("no PROXY header");
}

}  // namespace weir::protocol::forwarded
