#include "identity/identity.h"

#include <algorithm>

#include "base/text.h"
#include "protocol/forwarded/forwarded.h"
#include "protocol/ws/handshake.h"

namespace weir::identity {
namespace {

namespace forwarded = protocol::forwarded;
namespace http = protocol::http;
namespace jwt = protocol::jwt;

constexpr std::string_view kClaimPrefix = "claim:";
constexpr std::string_view kHeaderPrefix = "header:";

// The value of a field that is there exactly once; of several the sender and the upstream may mean different ones.
std::string_view single_field(const http::RequestHead& head, std::string_view name) {
    std::string_view value;
    unsigned count = 0;
    for (const http::Field& field : head.fields) {
        if (!equals_ignoring_case(field.name, name)) continue;
        value = field.value;
        ++count;
    }
    return count == 1 ? value : std::string_view{};
}

std::vector<std::string_view> field_values(const http::RequestHead& head, std::string_view name) {
    std::vector<std::string_view> values;
    for (const http::Field& field : head.fields) {
        if (equals_ignoring_case(field.name, name)) values.push_back(field.value);
    }
    return values;
}

// RFC 9110 11.6.2: scheme, spaces, credentials. Empty when the scheme is another.
std::string_view token_of_authorization(std::string_view value) {
    const std::size_t space = value.find(' ');
    if (space == std::string_view::npos) return {};
    const std::string_view scheme = value.substr(0, space);
    if (!equals_ignoring_case(scheme, "bearer") && !equals_ignoring_case(scheme, "jwt")) return {};
    return trimmed(value.substr(space));
}

// "MARKER, TOKEN": what is offered right behind the marker.
std::string_view token_of_subprotocols(const http::RequestHead& head, std::string_view marker,
                                       std::string_view& marker_offered) {
    const auto offered = protocol::ws::offered_subprotocols(head.fields);
    const auto at = std::find(offered.begin(), offered.end(), marker);
    if (at == offered.end() || at + 1 == offered.end()) return {};
    marker_offered = *at;
    return *(at + 1);
}

struct FoundToken {
    std::string token;       // empty: none
    bool ambiguous = false;  // several that differ: nobody knows which the upstream takes
    std::string_view subprotocol_marker;
};

FoundToken token_from(const TokenSource& source, const http::RequestHead& head) {
    FoundToken found;
    switch (source.kind) {
        case TokenSource::Kind::kAuthorization:
            found.token = token_of_authorization(single_field(head, "authorization"));
            break;
        case TokenSource::Kind::kQuery:
            found.token = http::query_parameter(head.target, source.name).value_or("");
            found.ambiguous = http::query_parameter_is_ambiguous(head.target, source.name);
            break;
        case TokenSource::Kind::kCookie:
            found.token = http::cookie(head.fields, source.name).value_or("");
            found.ambiguous = http::cookie_is_ambiguous(head.fields, source.name);
            break;
        case TokenSource::Kind::kSubprotocol:
            found.token = token_of_subprotocols(head, source.name, found.subprotocol_marker);
            break;
    }
    return found;
}

// The first of the names that the claims have, and that can be a name; empty when none is.
std::string first_text(const jwt::Claims& claims, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
        auto text = claims.text(name);
        if (text && !text->empty()) return *std::move(text);
    }
    return {};
}

bool any_flag(const jwt::Claims& claims, const std::vector<std::string>& names) {
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return claims.flag(name); });
}

std::optional<policy::TierId> tier_named(const Options& options, std::string_view name) {
    return options.limits == nullptr || name.empty() ? std::nullopt : options.limits->find_tier(name);
}

// A superuser is one whatever else the token says; a tier of the configuration's own, or any but the ordinary one, is
// more than the flag of a capped user, which then only lowers the ordinary tier.
policy::TierId tier_of(const jwt::Claims& claims, const Options& options) {
    const ClaimNames& names = options.jwt->claims;
    if (any_flag(claims, names.superuser)) return policy::kSuperuser;
    const auto named = tier_named(options, first_text(claims, names.tier));
    if (named && *named != policy::kAuthenticated) return *named;
    return any_flag(claims, names.usage_capped) ? policy::kUsageCapped : policy::kAuthenticated;
}

// Names and attributes become subjects of buckets, and words in logs.
bool is_of_bounded_length(std::string_view name) {
    return !name.empty() && name.size() <= kNameBytesMax;
}

}  // namespace

std::optional<TokenSource> parse_token_source(std::string_view text) {
    using Kind = TokenSource::Kind;
    if (text == "authorization") return TokenSource{Kind::kAuthorization, {}};
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || colon + 1 == text.size()) return std::nullopt;
    const std::string_view kind = text.substr(0, colon);
    std::string name(text.substr(colon + 1));
    if (kind == "query") return TokenSource{Kind::kQuery, std::move(name)};
    if (kind == "cookie") return TokenSource{Kind::kCookie, std::move(name)};
    if (kind == "subprotocol") return TokenSource{Kind::kSubprotocol, std::move(name)};
    return std::nullopt;
}

Identifier::Identifier(Options options) : options_(std::move(options)) {}

bool Identifier::trusts(const Peer& peer) const {
    return peer.address ? trusts(*peer.address) : options_.trust_unix_peers;
}

bool Identifier::trusts(const IpAddress& address) const {
    return std::any_of(options_.trusted_proxies.begin(), options_.trusted_proxies.end(),
                       [&](const Cidr& network) { return network.contains(address); });
}

std::optional<IpAddress> Identifier::client_address(const http::RequestHead& head, const Peer& peer) const {
    if (!trusts(peer) || options_.address_source == AddressSource::kPeer) return peer.address;
    if (options_.address_source == AddressSource::kProxyProtocol)
        return peer.proxy_protocol ? peer.proxy_protocol : peer.address;
    const auto chain = options_.address_source == AddressSource::kForwarded
                           ? forwarded::forwarded_for(field_values(head, "forwarded"))
                           : forwarded::x_forwarded_for(field_values(head, "x-forwarded-for"));
    // From the nearest outwards, as far as the one who wrote an entry is trusted.
    std::optional<IpAddress> address = peer.address;
    for (const auto& entry : chain) {
        if (!entry) break;
        address = entry;
        if (!trusts(*entry)) break;
    }
    return address;
}

void Identifier::believe_token(const http::RequestHead& head, WallTime now, Identified& identified) const {
    if (!options_.jwt) return;
    FoundToken found;
    for (const TokenSource& source : options_.jwt->from) {
        found = token_from(source, head);
        if (!found.token.empty() || found.ambiguous) break;
    }
    if (found.token.empty() && !found.ambiguous) return;
    identified.subprotocol_marker = found.subprotocol_marker;
    identified.token = TokenStatus::kInvalid;
    identified.rejected = options_.jwt->reject_invalid;
    if (found.ambiguous) return;
    const bool remote = options_.jwt->remote != nullptr;
    const auto keys = remote ? options_.jwt->remote->keys() : options_.jwt->keys;
    if (keys == nullptr) {
        identified.key_missing = remote;
        return;
    }
    const auto claims = jwt::verify(found.token, *keys, options_.jwt->requirements, now);
    if (!claims) {
        if (claims.error().code == ErrorCode::kExpired) identified.token = TokenStatus::kExpired;
        identified.key_missing = remote && claims.error().detail == jwt::kUnknownKeyDetail;
        return;
    }
    std::string user = first_text(*claims, options_.jwt->claims.user);
    if (user.size() > kNameBytesMax) return;
    identified.token = TokenStatus::kValid;
    identified.rejected = false;
    identified.caller.user = std::move(user);
    identified.caller.tier = tier_of(*claims, options_);
    for (const std::string& attribute : options_.attributes) {
        if (!attribute.starts_with(kClaimPrefix)) continue;
        auto value = claims->text(std::string_view(attribute).substr(kClaimPrefix.size()));
        if (value && is_of_bounded_length(*value))
            identified.caller.attributes.emplace_back(attribute, *std::move(value));
    }
}

Identified Identifier::identify(const http::RequestHead& head, const Peer& peer, WallTime now) const {
    Identified identified;
    identified.peer_trusted = trusts(peer);
    const auto address = client_address(head, peer);
    identified.caller.address_known = address.has_value();
    if (address) identified.caller.address = *address;

    const bool headers = options_.trusted_headers && identified.peer_trusted;
    const std::string_view user = headers ? single_field(head, options_.trusted_headers->user) : std::string_view{};
    if (is_of_bounded_length(user)) {
        // The proxy has authenticated; a token that came along is the upstream's business.
        identified.caller.user = user;
        identified.caller.tier = policy::kAuthenticated;
        identified.user_of_proxy = true;
    } else {
        believe_token(head, now, identified);
    }
    if (headers) {
        const auto tier = tier_named(options_, single_field(head, options_.trusted_headers->tier));
        if (tier) identified.caller.tier = *tier;
        identified.tier_of_proxy = tier.has_value();
    }
    for (const std::string& attribute : options_.attributes) {
        if (!attribute.starts_with(kHeaderPrefix)) continue;
        const std::string_view value = head.field(std::string_view(attribute).substr(kHeaderPrefix.size()));
        if (is_of_bounded_length(value)) identified.caller.attributes.emplace_back(attribute, value);
    }
    return identified;
}

bool Identifier::strip_field(std::string_view name, bool peer_trusted) const {
    if (!options_.trusted_headers) return false;
    for (const std::string_view identity :
         {std::string_view(options_.trusted_headers->user), std::string_view(options_.trusted_headers->tier)}) {
        if (identity.empty() || !equals_folded(name, identity)) continue;
        // A trusted proxy writes the name as it is configured; another spelling went through it from a stranger.
        return !peer_trusted || !equals_ignoring_case(name, identity);
    }
    return false;
}

}  // namespace weir::identity
