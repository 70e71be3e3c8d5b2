#include "config/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

#include "base/text.h"
#include "protocol/http/grammar.h"
#include "store/store_address.h"

namespace weir::config {

namespace {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::array<Unit, 5> kDurationUnits{
    {{"d", 86'400 * kSecond}, {"h", 3'600 * kSecond}, {"m", 60 * kSecond}, {"s", kSecond}, {"ms", 1'000'000}}};
constexpr std::array<Unit, 6> kSizeUnits{
    {{"TiB", 1ULL << 40U}, {"GiB", 1ULL << 30U}, {"MiB", 1ULL << 20U}, {"KiB", 1ULL << 10U}, {"B", 1}, {"", 1}}};

// Digits and one of `units`, multiplied; nullopt beyond `most`.
template <std::size_t N>
std::optional<std::uint64_t> parse_with_unit(std::string_view text, const std::array<Unit, N>& units,
                                             std::uint64_t most) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
    const auto count = parse_decimal(text.substr(0, digits));
    if (!count) return std::nullopt;
    const auto unit = std::ranges::find(units, text.substr(digits), &Unit::name);
    if (unit == units.end() || *count > most / unit->factor) return std::nullopt;
    return *count * unit->factor;
}

template <std::size_t N>
std::string format_with_unit(std::uint64_t value, const std::array<Unit, N>& units) {
    for (const Unit& unit : units) {
        if (value >= unit.factor && value % unit.factor == 0) {
            return std::to_string(value / unit.factor).append(unit.name);
        }
    }
    return {};
}

bool name_character(char c) {
    const char lower = ascii_lower(c);
    return (lower >= 'a' && lower <= 'z') || ascii_digit(c) || c == '_' || c == '-' || c == '.';
}

// A host name of RFC 1123, or an address. Underscores occur in container networks.
bool is_host(std::string_view host) {
    constexpr std::size_t kHostBytesMax = 253;
    return !host.empty() && host.size() <= kHostBytesMax && host.front() != '-' && host.front() != '.' &&
           std::ranges::all_of(host, name_character);
}

bool is_header_name(std::string_view text) {
    return text.size() <= 64 && protocol::http::is_token(text);
}

bool is_origin(std::string_view text) {
    if (text == "*") return true;
    const std::size_t scheme = text.find("://");
    if (scheme == std::string_view::npos || scheme == 0) return false;
    const std::string_view rest = text.substr(scheme + 3);
    return !rest.empty() &&
           std::ranges::all_of(rest, [](char c) { return name_character(c) || c == ':' || c == '[' || c == ']'; });
}

template <typename T, typename Parse>
bool within(const Key& key, const T& value, Parse&& parse) {
    const std::size_t dots = key.bounds.find("..");
    if (dots == std::string_view::npos) return true;
    return value >= *parse(key.bounds.substr(0, dots)) && value <= *parse(key.bounds.substr(dots + 2));
}

template <typename Parse>
bool parses_within(const Key& key, std::string_view text, Parse&& parse) {
    const auto value = parse(text);
    return value && within(key, *value, parse);
}

bool is_path(std::string_view text) {
    return !text.empty() && text.find('\0') == std::string_view::npos;
}

bool acceptable(const Key& key, const std::string& text, std::string& reason) {
    switch (key.scalar) {
        case Scalar::kNone:
            return false;
        case Scalar::kText:
        case Scalar::kSecret:
        case Scalar::kJsonScalar:
            return true;
        case Scalar::kBoolean:
            return parse_boolean(text).has_value();
        case Scalar::kInteger:
            return parses_within(key, text, parse_decimal);
        case Scalar::kSignedInteger:
            return parses_within(key, text, parse_signed);
        case Scalar::kIntegerOrAuto:
            return text == "auto" || parses_within(key, text, parse_decimal);
        case Scalar::kNumber:
            return parses_within(key, text, parse_number);
        case Scalar::kDuration:
            return parses_within(key, text, parse_duration);
        case Scalar::kSize:
            return parses_within(key, text, parse_size);
        case Scalar::kRate: {
            const auto rate = limit::parse_rate(text);
            return rate.has_value();
        }
        case Scalar::kChoice: {
            const auto all = choices(key);
            return std::ranges::find(all, text) != all.end();
        }
        case Scalar::kEndpoint:
            return net::Endpoint::parse(text).has_value();
        case Scalar::kListen:
            return parse_listen(text).has_value();
        case Scalar::kUpstream:
            return parse_upstream(text, reason).has_value();
        case Scalar::kLookupUrl:
            return parse_lookup_url(text, reason).has_value();
        case Scalar::kCredential:
            return identity::parse_credential_source(text, reason).has_value();
        case Scalar::kNetwork:
            return Cidr::parse(text).has_value();
        case Scalar::kWho:
            return is_subject_name(text) || Cidr::parse(text).has_value();
        case Scalar::kFile: {
            if (is_url(text)) {
                reason = "URLs are not available in this version";
                return false;
            }
            return is_path(text);
        }
        case Scalar::kJwks:
            return is_url(text) ? parse_jwks_url(text, reason).has_value() : is_path(text);
        case Scalar::kToken:
            return identity::parse_token_source(text).has_value();
        case Scalar::kSubject:
            return policy::parse_subject_part(text).has_value();
        case Scalar::kLimit:
            return !text.empty();
        case Scalar::kName:
            return !text.empty() && text.size() <= 64 &&
                   std::ranges::all_of(text, [](char c) { return name_character(c) || c == ':'; });
        case Scalar::kPath: {
            const auto pattern = policy::PathPattern::parse(text);
            if (!pattern) reason = pattern.error().detail;
            return pattern.has_value();
        }
        case Scalar::kStore:
            return store::parse_store_address(text, reason).has_value();
        case Scalar::kOrigin:
            return is_origin(text);
        case Scalar::kHeader:
            return is_header_name(text);
    }
    return false;
}

}  // namespace

std::optional<bool> parse_boolean(std::string_view text) {
    if (text == "true" || text == "True" || text == "TRUE") return true;
    if (text == "false" || text == "False" || text == "FALSE") return false;
    return std::nullopt;
}

std::optional<Nanos> parse_duration(std::string_view text) {
    const auto nanos = parse_with_unit(text, kDurationUnits, static_cast<std::uint64_t>(kDurationMax.count()));
    if (!nanos) return std::nullopt;
    return Nanos(static_cast<std::int64_t>(*nanos));
}

std::string format_duration(Nanos duration) {
    if (duration.count() <= 0) return "0s";
    return format_with_unit(static_cast<std::uint64_t>(duration.count()), kDurationUnits);
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    return parse_with_unit(text, kSizeUnits, std::numeric_limits<std::uint64_t>::max());
}

std::string format_size(std::uint64_t bytes) {
    if (bytes < 1024) return std::to_string(bytes);
    return format_with_unit(bytes, kSizeUnits);
}

std::optional<std::int64_t> parse_signed(std::string_view text) {
    const bool negative = text.starts_with('-');
    const auto digits = parse_decimal(text.substr(negative ? 1 : 0));
    if (!digits || *digits > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return std::nullopt;
    const auto value = static_cast<std::int64_t>(*digits);
    return negative ? -value : value;
}

std::optional<double> parse_number(std::string_view text) {
    if (text.empty() || !ascii_digit(text.front()) || !ascii_digit(text.back())) return std::nullopt;
    if (text.find_first_not_of("0123456789.") != std::string_view::npos) return std::nullopt;
    double value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::optional<ListenText> parse_listen(std::string_view text) {
    std::optional<bool> tls;
    for (const std::string_view scheme : {"https://", "http://"}) {
        if (!text.starts_with(scheme)) continue;
        tls = scheme.size() == 8;
        text.remove_prefix(scheme.size());
        break;
    }
    auto endpoint = net::Endpoint::parse(text);
    if (!endpoint || (tls && endpoint->is_unix())) return std::nullopt;
    return ListenText{.endpoint = *std::move(endpoint), .tls = tls};
}

std::optional<UpstreamAddress> parse_upstream(std::string_view url, std::string& reason) {
    UpstreamAddress upstream;
    upstream.url = url;
    if (url.starts_with("unix:")) {
        upstream.unix_path = url.substr(5);
        upstream.host_header = "localhost";
        constexpr std::size_t kUnixPathMax = 107;  // sockaddr_un, without its NUL
        if (!upstream.unix_path.starts_with('/') || upstream.unix_path.size() > kUnixPathMax) {
            reason = "the path of a Unix socket starts with / and has at most 107 bytes";
            return std::nullopt;
        }
        return upstream;
    }
    upstream.secure = url.starts_with("https://");
    if (!upstream.secure && !url.starts_with("http://")) return std::nullopt;
    const std::uint16_t standard_port = upstream.secure ? 443 : 80;
    upstream.port = standard_port;
    std::string_view rest = url.substr(upstream.secure ? 8 : 7);
    if (rest.ends_with('/')) rest.remove_suffix(1);
    if (rest.find_first_of("/?#@") != std::string_view::npos) {
        reason = "an upstream has no path, query or user: requests keep their own target";
        return std::nullopt;
    }
    std::string_view port;
    if (rest.starts_with('[')) {
        const std::size_t bracket = rest.find(']');
        if (bracket == std::string_view::npos) return std::nullopt;
        upstream.host = rest.substr(1, bracket - 1);
        if (!IpAddress::parse(upstream.host) || upstream.host.find(':') == std::string::npos) return std::nullopt;
        port = rest.substr(bracket + 1);
    } else {
        const std::size_t colon = std::min(rest.find(':'), rest.size());
        upstream.host = rest.substr(0, colon);
        if (!is_host(upstream.host)) return std::nullopt;
        port = rest.substr(colon);
    }
    if (!port.empty()) {
        const auto number = port.front() == ':' ? parse_decimal(port.substr(1)) : std::nullopt;
        if (!number || *number == 0 || *number > 65535) {
            reason = "a port is a number from 1 to 65535";
            return std::nullopt;
        }
        upstream.port = static_cast<std::uint16_t>(*number);
    }
    upstream.host_header = upstream.port == standard_port ? rest.substr(0, rest.size() - port.size()) : rest;
    return upstream;
}

std::optional<LookupUrl> parse_lookup_url(std::string_view url, std::string& reason) {
    constexpr std::size_t kTargetMax = 4096;
    // The path begins behind the host, or behind the ':' that ends the name of a socket.
    const bool unix = url.starts_with("unix:");
    std::size_t path = unix ? url.find(":/", 5)
                            : url.find_first_of("/?", url.starts_with("http://")    ? 7
                                                      : url.starts_with("https://") ? 8
                                                                                    : 0);
    if (unix && path == std::string_view::npos) return std::nullopt;
    path = std::min(path, url.size());
    std::string_view target = url.substr(unix ? path + 1 : path);
    const bool printable = std::ranges::all_of(target, [](char c) { return c > ' ' && c < 0x7F && c != '#'; });
    if (!printable || target.size() > kTargetMax) {
        reason = "the path has only printable ASCII without spaces and '#', and at most 4096 bytes";
        return std::nullopt;
    }
    auto address = parse_upstream(url.substr(0, path), reason);
    if (!address) {
        if (url.substr(0, path).find('@') != std::string_view::npos) reason = "a URL with a user is not spoken here";
        return std::nullopt;
    }
    return LookupUrl{.address = *std::move(address),
                     .target = (target.starts_with('/') ? "" : "/") + std::string(target)};
}

bool is_url(std::string_view text) {
    return text.starts_with("https://") || text.starts_with("http://");
}

std::optional<LookupUrl> parse_jwks_url(std::string_view url, std::string& reason) {
    auto parsed = parse_lookup_url(url, reason);
    if (!parsed || parsed->address.secure) return parsed;
    const auto ip = IpAddress::parse(parsed->address.host);
    if (ip ? ip->is_loopback() : equals_ignoring_case(parsed->address.host, "localhost")) return parsed;
    reason = "keys that come over http:// from another machine may be anybody's";
    return std::nullopt;
}

bool is_subject_name(std::string_view text) {
    return text.starts_with("user:") && text.size() > 5;
}

std::string in_quotes(std::string_view text) {
    constexpr std::size_t kShownMax = 80;
    std::string out = "'";
    std::size_t shown = std::min(text.size(), kShownMax);
    while (shown < text.size() && shown > 0 && (static_cast<unsigned char>(text[shown]) & 0xC0U) == 0x80U) --shown;
    for (const char c : text.substr(0, shown)) {
        const bool control = static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
        out.push_back(control ? '?' : c);
    }
    return out.append(shown < text.size() ? "...'" : "'");
}

std::string found(const Node& node) {
    switch (node.kind) {
        case Node::Kind::kNull:
            return "nothing";
        case Node::Kind::kScalar:
            return in_quotes(node.text);
        case Node::Kind::kList:
            return "a list";
        case Node::Kind::kMap:
            return "a map";
    }
    return {};
}

std::string check_scalar(const Key& key, const Node& node) {
    Key one = key;
    one.shape = Shape::kOne;
    const auto complaint = [&](std::string_view what) {
        return std::string("found ").append(what).append(", expected ").append(expectation(one));
    };
    if (key.scalar == Scalar::kJsonScalar && node.is(Node::Kind::kNull)) return {};
    if (!node.is(Node::Kind::kScalar)) return complaint(found(node));
    if (node.broken) return {};
    const bool bare = key.scalar == Scalar::kBoolean || key.scalar == Scalar::kInteger ||
                      key.scalar == Scalar::kSignedInteger || key.scalar == Scalar::kNumber ||
                      key.scalar == Scalar::kIntegerOrAuto;
    // Quotes make a text of a number; "auto" is one.
    const bool text_is_meant = key.scalar == Scalar::kIntegerOrAuto && node.text == "auto";
    if (bare && !text_is_meant && !node.plain && !node.substituted)
        return complaint("the text " + in_quotes(node.text));
    std::string reason;
    if (acceptable(key, node.text, reason)) return {};
    const std::string text =
        complaint(key.scalar == Scalar::kStore ? in_quotes(store::without_password(node.text)) : found(node));
    return reason.empty() ? text : text + "; " + reason;
}

}  // namespace weir::config
