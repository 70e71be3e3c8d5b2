// The keys of a KeySet, and how one verifies a signature. Inside of protocol/jwt/ only.
//
// Sources: RFC 7518 3.2 (HS256), 3.3 (RS256), 3.4 (ES256: r and s side by side), RFC 8037 3.1 (EdDSA with Ed25519), RFC
// 7517 and 7518 6 (JWKS). Immutable after it is built; OpenSSL's EVP_PKEY may be read by any thread.
#pragma once

#include <memory>
#include <openssl/evp.h>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/jwt/jwt.h"

namespace weir::protocol::jwt {

enum class SignatureAlgorithm : std::uint8_t { kHs256, kRs256, kEs256, kEdDsa };

[[nodiscard]] std::optional<SignatureAlgorithm> algorithm_of_name(std::string_view name);

struct FreeKey {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using PublicKey = std::unique_ptr<EVP_PKEY, FreeKey>;

struct Key {
    SignatureAlgorithm algorithm = SignatureAlgorithm::kHs256;
    std::string id;        // `kid`; empty when it has none
    std::string secret;    // HS256
    PublicKey public_key;  // all others

    [[nodiscard]] bool verifies(std::string_view signed_bytes, std::string_view signature) const;
};

struct KeySet::Impl {
    std::vector<Key> keys;
    bool named = false;  // a JWKS: a token's `kid` chooses
};

}  // namespace weir::protocol::jwt
