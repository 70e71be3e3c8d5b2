#include "protocol/jwt/jwt.h"

#include <algorithm>
#include <cmath>
#include <simdjson.h>

#include "base/limits.h"
#include "protocol/jwt/base64url.h"
#include "protocol/jwt/keys.h"

namespace weir::protocol::jwt {
namespace {

namespace dom = simdjson::dom;

Error invalid(std::string_view detail) {
    return Error{ErrorCode::kUnauthorized, ErrorSource::kDownstream, false, detail};
}

// Parses `json` as an object. simdjson keeps the text, so that `json` may go.
bool parse_object(dom::parser& parser, const std::string& json, dom::object& object) {
    return parser.allocate(std::max<std::size_t>(json.size(), 64), kJsonDepthMax) == simdjson::SUCCESS &&
           parser.parse(json).get_object().get(object) == simdjson::SUCCESS;
}

// Of two members of one name, readers disagree about which counts (RFC 7515 4 and RFC 7519 4: must be unique).
bool has_unique_names(const dom::object& object) {
    std::vector<std::string_view> names;
    for (const auto [name, value] : object) names.push_back(name);
    std::sort(names.begin(), names.end());
    return std::adjacent_find(names.begin(), names.end()) == names.end();
}

// The parts between the dots of a compact serialisation.
struct Parts {
    std::string_view header;
    std::string_view payload;
    std::string_view signature;
    std::string_view signed_bytes;  // header and payload with the dot between them
};

std::optional<Parts> split(std::string_view token) {
    const std::size_t first = token.find('.');
    if (first == std::string_view::npos) return std::nullopt;
    const std::size_t second = token.find('.', first + 1);
    if (second == std::string_view::npos || token.find('.', second + 1) != std::string_view::npos) return std::nullopt;
    return Parts{token.substr(0, first), token.substr(first + 1, second - first - 1), token.substr(second + 1),
                 token.substr(0, second)};
}

// What a token's header says. Nothing of it is believed but which of our keys to try.
struct Header {
    SignatureAlgorithm algorithm = SignatureAlgorithm::kHs256;
    std::optional<std::string> key_id;
};

Result<Header> read_header(std::string_view encoded) {
    const auto json = decode_base64url(encoded);
    dom::parser parser;
    dom::object object;
    if (!json || !parse_object(parser, *json, object)) return invalid("the token's header is no JSON object");
    if (!has_unique_names(object)) return invalid("the token's header has a member twice");
    dom::element member;
    if (object.at_key("crit").get(member) == simdjson::SUCCESS)
        return invalid("the token's header has critical parameters");
    Header header;
    std::string_view text;
    if (object.at_key("alg").get_string().get(text) != simdjson::SUCCESS)
        return invalid("the token names no algorithm");
    const auto algorithm = algorithm_of_name(text);
    if (!algorithm) return invalid("the token's algorithm is not supported");
    header.algorithm = *algorithm;
    if (object.at_key("kid").get(member) == simdjson::SUCCESS) {
        if (member.get_string().get(text) != simdjson::SUCCESS) return invalid("the token's key id is no string");
        header.key_id = text;
    }
    return header;
}

// Tries the keys that the header may mean; each only with its own algorithm.
Result<void> check_signature(const Parts& parts, const Header& header, const KeySet::Impl& keys) {
    const auto signature = decode_base64url(parts.signature);
    if (!signature) return invalid("the token's signature is not in base64url");
    const bool by_id = keys.named && header.key_id;
    bool known = false;
    for (const Key& key : keys.keys) {
        if (by_id && key.id != *header.key_id) continue;
        known = true;
        if (key.algorithm == header.algorithm && key.verifies(parts.signed_bytes, *signature)) return {};
    }
    return invalid(known ? "the token's signature does not verify" : kUnknownKeyDetail);
}

// A NumericDate (RFC 7519 2), held inside what WallTime can say. False: there, and no number.
bool read_time(const dom::object& claims, std::string_view name, std::optional<WallTime>& time) {
    constexpr double kSecondsMax = 9'000'000'000.0;  // the year 2255; beyond it is "never"
    dom::element member;
    if (claims.at_key(name).get(member) != simdjson::SUCCESS) return true;
    double seconds = 0;
    if (!member.is_number() || member.get_double().get(seconds) != simdjson::SUCCESS) return false;
    if (seconds >= kSecondsMax) {
        time = WallTime::max();
    } else {
        const double whole = std::floor(std::max(seconds, -kSecondsMax));
        const double fraction = seconds < -kSecondsMax ? 0 : seconds - whole;
        time = WallTime(std::chrono::seconds(static_cast<std::int64_t>(whole)) +
                        Nanos(static_cast<std::int64_t>(fraction * 1e9)));
    }
    return true;
}

// RFC 7519 4.1.3: one recipient, or a list of them.
bool names_audience(const dom::object& claims, std::string_view audience) {
    dom::element member;
    std::string_view text;
    if (claims.at_key("aud").get(member) != simdjson::SUCCESS) return false;
    if (member.get_string().get(text) == simdjson::SUCCESS) return text == audience;
    dom::array list;
    if (member.get_array().get(list) != simdjson::SUCCESS) return false;
    return std::any_of(list.begin(), list.end(), [&](const dom::element& entry) {
        return entry.get_string().get(text) == simdjson::SUCCESS && text == audience;
    });
}

Result<void> check_claims(const dom::object& claims, const Requirements& requirements, WallTime now) {
    if (!has_unique_names(claims)) return invalid("the token has a claim twice");
    std::optional<WallTime> expires;
    std::optional<WallTime> not_before;
    std::optional<WallTime> issued;
    if (!read_time(claims, "exp", expires) || !read_time(claims, "nbf", not_before) ||
        !read_time(claims, "iat", issued))
        return invalid("a time of the token is no number");
    if (!requirements.issuer.empty()) {
        std::string_view issuer;
        if (claims.at_key("iss").get_string().get(issuer) != simdjson::SUCCESS || issuer != requirements.issuer)
            return invalid("the token is of another issuer");
    }
    if (!requirements.audience.empty() && !names_audience(claims, requirements.audience))
        return invalid("the token is for another audience");
    if (not_before && now + requirements.leeway < *not_before) return invalid("the token is not valid yet");
    if (expires && now - requirements.leeway >= *expires)
        return Error{ErrorCode::kExpired, ErrorSource::kDownstream, false, "the token has expired"};
    return {};
}

}  // namespace

struct Claims::Impl {
    dom::parser parser;
    dom::object claims;
    bool valid = false;

    // The member that `path` leads to: what is left of it as one name, else its part before a dot and then the rest.
    [[nodiscard]] static std::optional<dom::element> find(dom::object object, std::string_view path) {
        while (true) {
            dom::element member;
            if (object.at_key(path).get(member) == simdjson::SUCCESS) return member;
            const std::size_t dot = path.find('.');
            if (dot == std::string_view::npos ||
                object.at_key(path.substr(0, dot)).get_object().get(object) != simdjson::SUCCESS)
                return std::nullopt;
            path.remove_prefix(dot + 1);
        }
    }
    [[nodiscard]] std::optional<dom::element> find(std::string_view path) const {
        return valid ? find(claims, path) : std::nullopt;
    }
};

Claims::Claims(std::string json) : impl_(std::make_unique<Impl>()) {
    impl_->valid = parse_object(impl_->parser, json, impl_->claims);
}
Claims::Claims(Claims&&) noexcept = default;
Claims& Claims::operator=(Claims&&) noexcept = default;
Claims::~Claims() = default;

std::optional<std::string> Claims::text(std::string_view path) const {
    const auto member = impl_->find(path);
    if (!member) return std::nullopt;
    std::string_view text;
    if (member->get_string().get(text) == simdjson::SUCCESS) return std::string(text);
    if (member->is<std::int64_t>()) return std::to_string(member->get<std::int64_t>().value_unsafe());
    if (member->is<std::uint64_t>()) return std::to_string(member->get<std::uint64_t>().value_unsafe());
    return std::nullopt;
}

bool Claims::flag(std::string_view path) const {
    const auto member = impl_->find(path);
    if (!member) return false;
    bool flag = false;
    std::string_view text;
    std::int64_t number = 0;
    if (member->get_bool().get(flag) == simdjson::SUCCESS) return flag;
    if (member->get_string().get(text) == simdjson::SUCCESS) return text == "true";
    return member->is<std::int64_t>() && member->get_int64().get(number) == simdjson::SUCCESS && number == 1;
}

std::optional<WallTime> Claims::expires() const {
    std::optional<WallTime> time;
    if (impl_->valid) static_cast<void>(read_time(impl_->claims, "exp", time));
    return time;
}

Result<Claims> verify(std::string_view token, const KeySet& keys, const Requirements& requirements, WallTime now) {
    if (token.size() > kTokenBytesMax) return invalid("the token is too long");
    const auto parts = split(token);
    if (!parts) return invalid("the token has not three parts");
    const auto header = read_header(parts->header);
    if (!header) return header.error();
    if (const auto checked = check_signature(*parts, *header, keys.impl()); !checked) return checked.error();

    auto json = decode_base64url(parts->payload);
    if (!json) return invalid("the token's payload is not in base64url");
    dom::parser parser;
    dom::object object;
    if (!parse_object(parser, *json, object)) return invalid("the token's payload is no JSON object");
    if (const auto checked = check_claims(object, requirements, now); !checked) return checked.error();
    return Claims(*std::move(json));
}

}  // namespace weir::protocol::jwt
