// Tokens: whatever bytes are signed with the right secret, verify and claims stay inside their bounds; no other bytes
// verify.
#include <cstdint>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string>

#include "protocol/jwt/base64url.h"
#include "protocol/jwt/jwt.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace jwt = weir::protocol::jwt;
    constexpr std::string_view kSecret = "secret of the fuzz target";
    static const jwt::KeySet kKeys = std::move(jwt::KeySet::from_secret(kSecret)).value();
    const weir::WallTime now{std::chrono::seconds(1'700'000'000)};
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);

    WEIR_ASSERT(!jwt::verify(bytes, kKeys, {}, now));
    if (const auto decoded = jwt::decode_base64url(bytes)) WEIR_ASSERT(jwt::encode_base64url(*decoded) == bytes);

    // The input is "header NEWLINE payload", and the signature is right.
    const std::size_t line = bytes.find('\n');
    if (line == std::string_view::npos) return 0;
    const std::string_view payload = bytes.substr(line + 1);
    const std::string signed_bytes =
        jwt::encode_base64url(bytes.substr(0, line)) + "." + jwt::encode_base64url(payload);
    unsigned char mac[32];
    unsigned length = 0;
    HMAC(EVP_sha256(), kSecret.data(), static_cast<int>(kSecret.size()),
         reinterpret_cast<const unsigned char*>(signed_bytes.data()), signed_bytes.size(), mac, &length);
    const std::string token = signed_bytes + "." + jwt::encode_base64url({reinterpret_cast<const char*>(mac), length});
    const auto claims = jwt::verify(token, kKeys, {}, now);
    if (claims) {
        const auto expires = claims->expires();
        WEIR_ASSERT(!expires || *expires > now);
        static_cast<void>(claims->text(payload.substr(0, 32)));
        static_cast<void>(claims->flag("a.b.c"));
    } else {
        WEIR_ASSERT(claims.error().code == weir::ErrorCode::kExpired ||
                    claims.error().code == weir::ErrorCode::kUnauthorized);
    }
    return 0;
}
