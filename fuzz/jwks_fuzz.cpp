// Key sets from hostile documents: a set that is accepted has a bounded number of keys, and verifies nothing that was
// not signed.
#include <cstdint>
#include <string_view>

#include "protocol/jwt/jwt.h"
#include "protocol/jwt/keys.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace jwt = weir::protocol::jwt;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto check = [](const weir::Result<jwt::KeySet>& keys) {
        if (!keys) return;
        WEIR_ASSERT(!keys->impl().keys.empty() && keys->impl().keys.size() <= jwt::kKeysMax);
        for (const jwt::Key& key : keys->impl().keys) {
            WEIR_ASSERT(key.public_key != nullptr || !key.secret.empty());
            WEIR_ASSERT(!key.verifies("text", "no signature"));
        }
    };
    check(jwt::KeySet::from_jwks(bytes));
    check(jwt::KeySet::from_pem(bytes));
    return 0;
}
