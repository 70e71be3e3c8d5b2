// From a request to its caller: address, user, tier. Pure: given head, peer and time.
//
// Address: the TCP peer, unless it is a trusted proxy; then the right-most entry that is not itself trusted. Token:
// tried in the configured order; a parameter or cookie that is there twice with different values is an invalid one.
// Trusted header: only from a trusted proxy; from anyone else it must not reach the
// upstream (`strip_field`). A trusted header that names the user wins over a token, which is then not looked at.
// Immutable: any thread may identify.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ip_address.h"
#include "identity/remote_keys.h"
#include "policy/caller.h"
#include "policy/limits.h"
#include "protocol/http/head.h"
#include "protocol/jwt/jwt.h"

namespace weir::identity {

// A user, or the value of an attribute, that is longer is not believed: it names a bucket and stands in logs.
inline constexpr std::size_t kNameBytesMax = 256;

enum class AddressSource : std::uint8_t { kXForwardedFor, kForwarded, kProxyProtocol, kPeer };

struct TokenSource {
    enum class Kind : std::uint8_t { kAuthorization, kQuery, kCookie, kSubprotocol };
    Kind kind = Kind::kAuthorization;
    std::string name;  // parameter, cookie or marker
};
// "authorization", "query:NAME", "cookie:NAME", "subprotocol:MARKER".
[[nodiscard]] std::optional<TokenSource> parse_token_source(std::string_view text);

struct ClaimNames {
    std::vector<std::string> user{"sub"};
    std::vector<std::string> tier{"tier"};
    std::vector<std::string> superuser{"is_superuser"};
    std::vector<std::string> usage_capped{"is_usage_capped"};
};

struct JwtOptions {
    std::vector<TokenSource> from;
    std::shared_ptr<const protocol::jwt::KeySet> keys;
    std::shared_ptr<const RemoteKeys> remote;  // set: its keys count, and not `keys`
    protocol::jwt::Requirements requirements;
    ClaimNames claims;
    bool reject_invalid = false;
};

struct TrustedHeaderNames {
    std::string user;
    std::string tier;
};

struct Options {
    std::vector<Cidr> trusted_proxies;
    bool trust_unix_peers = true;  // a peer on a Unix socket is a local proxy
    AddressSource address_source = AddressSource::kXForwardedFor;
    std::optional<JwtOptions> jwt;
    std::optional<TrustedHeaderNames> trusted_headers;
    const policy::LimitTable* limits = nullptr;  // for tier names
    std::vector<std::string> attributes;         // "claim:NAME", "header:NAME" that limits ask for
};

struct Peer {
    std::optional<IpAddress> address;         // nullopt: a Unix socket
    std::optional<IpAddress> proxy_protocol;  // what a PROXY header said
};

enum class TokenStatus : std::uint8_t { kNone, kValid, kExpired, kInvalid };

struct Identified {
    policy::Caller caller;
    TokenStatus token = TokenStatus::kNone;
    // The token is invalid by what is known now: its key may be in a newer key set, or no key set has come yet.
    bool key_missing = false;
    bool rejected = false;  // `on_invalid: reject` and the token is expired or invalid
    bool peer_trusted = false;
    bool user_of_proxy = false;  // a trusted header named the user: nobody else is asked
    bool tier_of_proxy = false;  // a trusted header named the tier, which stays whatever else is said
    // The sub-protocol that a 101 of Weir's own must select, a view into the head; empty when the token came otherwise.
    std::string_view subprotocol_marker;
};

class Identifier {
  public:
    explicit Identifier(Options options);
    [[nodiscard]] Identified identify(const protocol::http::RequestHead& head, const Peer& peer, WallTime now) const;
    [[nodiscard]] bool trusts(const Peer& peer) const;
    // True when a field must not go to the upstream: an identity header from a stranger, under any spelling that an
    // upstream might fold ("x_weir_user" is X-Weir-User to a CGI-like upstream).
    [[nodiscard]] bool strip_field(std::string_view name, bool peer_trusted) const;
    [[nodiscard]] const Options& options() const { return options_; }

  private:
    [[nodiscard]] bool trusts(const IpAddress& address) const;
    [[nodiscard]] std::optional<IpAddress> client_address(const protocol::http::RequestHead& head,
                                                          const Peer& peer) const;
    void believe_token(const protocol::http::RequestHead& head, WallTime now, Identified& identified) const;

    Options options_;
};

}  // namespace weir::identity
