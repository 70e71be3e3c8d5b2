// JSON Web Tokens in compact form (RFC 7519, 7515, 7518; EdDSA: RFC 8037), verified with OpenSSL.
//
// The algorithm is the key's, never the token's choice: a token whose `alg` is not its key's is invalid; "none" is
// always invalid. Keys: a secret (HS256), a PEM public key (RS256, ES256, EdDSA by its type), a JWKS document (RFC
// 7517). Pure: files are read by the caller. KeySet is immutable after it is built: any thread may verify.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace weir::protocol::jwt {

// A key set holds at most so many keys; a token without `kid` is tried against all of its algorithm.
inline constexpr std::size_t kKeysMax = 32;
// A JWKS document that is longer is not read.
inline constexpr std::size_t kJwksBytesMax = std::size_t{1} << 20U;

// The detail of the error of a token whose `kid` the JWKS does not have: the caller may fetch the JWKS again.
inline constexpr std::string_view kUnknownKeyDetail = "the token names a key that is not in the key set";

class KeySet {
  public:
    [[nodiscard]] static Result<KeySet> from_secret(std::string_view secret);
    // RSA of at least 2048 bits, P-256, Ed25519.
    [[nodiscard]] static Result<KeySet> from_pem(std::string_view pem);
    // Keys that are not for signatures, too weak, or of unknown kind are skipped; one at least must remain.
    [[nodiscard]] static Result<KeySet> from_jwks(std::string_view json);
    KeySet(KeySet&&) noexcept;
    KeySet& operator=(KeySet&&) noexcept;
    ~KeySet();
    struct Impl;
    [[nodiscard]] const Impl& impl() const { return *impl_; }

  private:
    explicit KeySet(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

struct Requirements {
    std::string issuer;    // empty: any
    std::string audience;  // empty: any; `aud` may be a string or a list
    std::chrono::seconds leeway{0};
};

// The claims of a verified token. A path is a claim's name, or names joined by "." into nested claims; a name that is
// present as written wins over the path.
class Claims {
  public:
    explicit Claims(std::string json);
    Claims(Claims&&) noexcept;
    Claims& operator=(Claims&&) noexcept;
    ~Claims();
    [[nodiscard]] std::optional<std::string> text(std::string_view path) const;  // strings; integers as decimal text
    [[nodiscard]] bool flag(std::string_view path) const;                        // true, "true" or 1
    [[nodiscard]] std::optional<WallTime> expires() const;

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// kExpired: verified and right in all else, but past `exp`. kUnauthorized: everything else that is wrong (not yet
// valid, wrong issuer, bad signature, unknown key, too long ...). Critical header parameters (`crit`) are not
// understood, so that they make a token invalid, and so do members that are there twice.
[[nodiscard]] Result<Claims> verify(std::string_view token, const KeySet& keys, const Requirements& requirements,
                                    WallTime now);

}  // namespace weir::protocol::jwt
