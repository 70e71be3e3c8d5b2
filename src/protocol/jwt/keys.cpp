#include "protocol/jwt/keys.h"

#include <algorithm>
#include <climits>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <simdjson.h>

#include "base/limits.h"
#include "protocol/jwt/base64url.h"

namespace weir::protocol::jwt {
namespace {

namespace dom = simdjson::dom;

constexpr int kRsaBitsMin = 2048;   // RFC 7518 3.3
constexpr int kRsaBitsMax = 16384;  // beyond it one verification costs milliseconds
constexpr std::size_t kCoordinateBytes = 32;
constexpr std::size_t kEd25519KeyBytes = 32;

template <typename T, void (*kFree)(T*)>
struct Free {
    void operator()(T* object) const { kFree(object); }
};
using BigNumber = std::unique_ptr<BIGNUM, Free<BIGNUM, BN_free>>;
using DigestContext = std::unique_ptr<EVP_MD_CTX, Free<EVP_MD_CTX, EVP_MD_CTX_free>>;
using KeyContext = std::unique_ptr<EVP_PKEY_CTX, Free<EVP_PKEY_CTX, EVP_PKEY_CTX_free>>;
using Parameters = std::unique_ptr<OSSL_PARAM, Free<OSSL_PARAM, OSSL_PARAM_free>>;
using ParameterBuilder = std::unique_ptr<OSSL_PARAM_BLD, Free<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>>;
using EcdsaSignature = std::unique_ptr<ECDSA_SIG, Free<ECDSA_SIG, ECDSA_SIG_free>>;

const unsigned char* bytes_of(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

Error refused(std::string_view detail) {
    return Error{ErrorCode::kInvalidArgument, ErrorSource::kConfiguration, false, detail};
}

BigNumber big_number(std::string_view bytes) {
    return BigNumber(BN_bin2bn(bytes_of(bytes), static_cast<int>(bytes.size()), nullptr));
}

// RFC 7518 3.4 writes r and s side by side; OpenSSL reads them as DER.
std::string der_of_raw_signature(std::string_view raw) {
    EcdsaSignature signature(ECDSA_SIG_new());
    BigNumber r = big_number(raw.substr(0, kCoordinateBytes));
    BigNumber s = big_number(raw.substr(kCoordinateBytes));
    if (!signature || !r || !s || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) != 1) return {};
    static_cast<void>(r.release());
    static_cast<void>(s.release());
    unsigned char* der = nullptr;
    const int length = i2d_ECDSA_SIG(signature.get(), &der);
    if (length <= 0) return {};
    std::string text(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
    OPENSSL_free(der);
    return text;
}

PublicKey key_from(const char* type, const ParameterBuilder& builder) {
    const Parameters parameters(OSSL_PARAM_BLD_to_param(builder.get()));
    const KeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
    EVP_PKEY* key = nullptr;
    if (!parameters || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, parameters.get()) != 1)
        return nullptr;
    return PublicKey(key);
}

// The algorithm that a public key is for; nullopt when it is too weak or of another kind.
std::optional<SignatureAlgorithm> algorithm_of_key(const EVP_PKEY* key) {
    if (EVP_PKEY_is_a(key, "RSA") == 1) {
        const int bits = EVP_PKEY_get_bits(key);
        if (bits < kRsaBitsMin || bits > kRsaBitsMax) return std::nullopt;
        return SignatureAlgorithm::kRs256;
    }
    if (EVP_PKEY_is_a(key, "ED25519") == 1) return SignatureAlgorithm::kEdDsa;
    char group[32] = {};
    std::size_t length = 0;
    if (EVP_PKEY_is_a(key, "EC") == 1 && EVP_PKEY_get_group_name(key, group, sizeof group, &length) == 1 &&
        (std::string_view(group) == SN_X9_62_prime256v1 || std::string_view(group) == "P-256"))
        return SignatureAlgorithm::kEs256;
    return std::nullopt;
}

std::optional<std::string_view> text_member(const dom::object& object, std::string_view name) {
    std::string_view text;
    if (object.at_key(name).get_string().get(text) != simdjson::SUCCESS) return std::nullopt;
    return text;
}

std::optional<std::string> bytes_member(const dom::object& object, std::string_view name) {
    const auto text = text_member(object, name);
    if (!text || text->size() > kTokenBytesMax) return std::nullopt;
    return decode_base64url(*text);
}

PublicKey rsa_key(const dom::object& jwk) {
    const auto modulus = bytes_member(jwk, "n");
    const auto exponent = bytes_member(jwk, "e");
    const ParameterBuilder builder(OSSL_PARAM_BLD_new());
    if (!modulus || !exponent || !builder || modulus->size() > kRsaBitsMax / CHAR_BIT || exponent->size() > 8)
        return nullptr;
    const BigNumber n = big_number(*modulus);
    const BigNumber e = big_number(*exponent);
    // An exponent of 1 or an even one makes every signature, or none, valid.
    if (!n || !e || BN_is_odd(e.get()) == 0 || BN_is_one(e.get()) == 1 || BN_is_odd(n.get()) == 0) return nullptr;
    if (OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
        return nullptr;
    return key_from("RSA", builder);
}

PublicKey ec_key(const dom::object& jwk) {
    const auto x = bytes_member(jwk, "x");
    const auto y = bytes_member(jwk, "y");
    const ParameterBuilder builder(OSSL_PARAM_BLD_new());
    if (text_member(jwk, "crv") != "P-256" || !x || !y || !builder) return nullptr;
    if (x->size() != kCoordinateBytes || y->size() != kCoordinateBytes) return nullptr;
    const std::string point = "\x04" + *x + *y;  // uncompressed; OpenSSL checks that it is on the curve
    if (OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, SN_X9_62_prime256v1, 0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) != 1)
        return nullptr;
    return key_from("EC", builder);
}

PublicKey ed25519_key(const dom::object& jwk) {
    const auto x = bytes_member(jwk, "x");
    if (text_member(jwk, "crv") != "Ed25519" || !x || x->size() != kEd25519KeyBytes) return nullptr;
    return PublicKey(EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, bytes_of(*x), x->size()));
}

// RFC 7517 4.2 and 4.3: a key may say what it is for.
bool is_for_signatures(const dom::object& jwk) {
    dom::element member;
    if (jwk.at_key("use").get(member) == simdjson::SUCCESS && text_member(jwk, "use") != "sig") return false;
    if (jwk.at_key("key_ops").get(member) != simdjson::SUCCESS) return true;
    dom::array operations;
    if (member.get_array().get(operations) != simdjson::SUCCESS) return false;
    for (const dom::element operation : operations) {
        std::string_view text;
        if (operation.get_string().get(text) == simdjson::SUCCESS && text == "verify") return true;
    }
    return false;
}

// One key of a JWKS; nullopt when it is to be skipped.
std::optional<Key> key_of_jwk(const dom::object& jwk) {
    if (!is_for_signatures(jwk)) return std::nullopt;
    Key key;
    key.id = text_member(jwk, "kid").value_or("");
    const auto type = text_member(jwk, "kty");
    if (type == "oct") {
        key.secret = bytes_member(jwk, "k").value_or("");
        if (key.secret.empty()) return std::nullopt;
    } else {
        key.public_key = type == "RSA" ? rsa_key(jwk) : type == "EC" ? ec_key(jwk) : nullptr;
        if (type == "OKP") key.public_key = ed25519_key(jwk);
        const auto algorithm = key.public_key ? algorithm_of_key(key.public_key.get()) : std::nullopt;
        if (!algorithm) return std::nullopt;
        key.algorithm = *algorithm;
    }
    dom::element named;
    if (jwk.at_key("alg").get(named) != simdjson::SUCCESS) return key;
    const auto name = text_member(jwk, "alg");
    if (!name || algorithm_of_name(*name) != key.algorithm) return std::nullopt;
    return key;
}

}  // namespace

std::optional<SignatureAlgorithm> algorithm_of_name(std::string_view name) {
    if (name == "HS256") return SignatureAlgorithm::kHs256;
    if (name == "RS256") return SignatureAlgorithm::kRs256;
    if (name == "ES256") return SignatureAlgorithm::kEs256;
    if (name == "EdDSA" || name == "Ed25519") return SignatureAlgorithm::kEdDsa;  // RFC 9864 names the curve
    return std::nullopt;
}

bool Key::verifies(std::string_view signed_bytes, std::string_view signature) const {
    if (algorithm == SignatureAlgorithm::kHs256) {
        unsigned char mac[EVP_MAX_MD_SIZE];
        unsigned length = 0;
        if (HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()), bytes_of(signed_bytes),
                 signed_bytes.size(), mac, &length) == nullptr)
            return false;
        return signature.size() == length && CRYPTO_memcmp(mac, signature.data(), length) == 0;
    }
    std::string der;
    if (algorithm == SignatureAlgorithm::kEs256) {
        if (signature.size() != 2 * kCoordinateBytes) return false;
        der = der_of_raw_signature(signature);
        signature = der;
    }
    const DigestContext context(EVP_MD_CTX_new());
    const EVP_MD* digest = algorithm == SignatureAlgorithm::kEdDsa ? nullptr : EVP_sha256();
    const bool verified = context && !signature.empty() &&
                          EVP_DigestVerifyInit(context.get(), nullptr, digest, nullptr, public_key.get()) == 1 &&
                          EVP_DigestVerify(context.get(), bytes_of(signature), signature.size(), bytes_of(signed_bytes),
                                           signed_bytes.size()) == 1;
    if (!verified) ERR_clear_error();
    return verified;
}

KeySet::KeySet(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KeySet::KeySet(KeySet&&) noexcept = default;
KeySet& KeySet::operator=(KeySet&&) noexcept = default;
KeySet::~KeySet() = default;

Result<KeySet> KeySet::from_secret(std::string_view secret) {
    if (secret.empty()) return refused("the secret for tokens is empty");
    if (secret.size() > kTokenBytesMax) return refused("the secret for tokens is longer than 8 KiB");
    auto impl = std::make_unique<Impl>();
    Key key;
    key.secret = secret;
    impl->keys.push_back(std::move(key));
    return KeySet(std::move(impl));
}

Result<KeySet> KeySet::from_pem(std::string_view pem) {
    if (pem.size() > kJwksBytesMax) return refused("the public key file is longer than 1 MiB");
    const std::unique_ptr<BIO, Free<BIO, BIO_free_all>> bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    Key key;
    // A callback that gives no password: never ask on the terminal.
    const auto no_password = [](char*, int, int, void*) { return -1; };
    if (bio) key.public_key.reset(PEM_read_bio_PUBKEY(bio.get(), nullptr, no_password, nullptr));
    ERR_clear_error();
    if (!key.public_key) return refused("no public key in PEM form (\"-----BEGIN PUBLIC KEY-----\")");
    const auto algorithm = algorithm_of_key(key.public_key.get());
    if (!algorithm) return refused("the public key is none of RSA with 2048 bits or more, EC P-256, Ed25519");
    key.algorithm = *algorithm;
    auto impl = std::make_unique<Impl>();
    impl->keys.push_back(std::move(key));
    return KeySet(std::move(impl));
}

Result<KeySet> KeySet::from_jwks(std::string_view json) {
    if (json.size() > kJwksBytesMax) return refused("the JWKS document is longer than 1 MiB");
    dom::parser parser;
    dom::array jwks;
    if (parser.allocate(std::max<std::size_t>(json.size(), 64), kJsonDepthMax) != simdjson::SUCCESS ||
        parser.parse(json.data(), json.size()).at_key("keys").get_array().get(jwks) != simdjson::SUCCESS)
        return refused("no JWKS document: {\"keys\": [...]} is expected");
    auto impl = std::make_unique<Impl>();
    impl->named = true;
    for (const dom::element element : jwks) {
        dom::object jwk;
        if (element.get_object().get(jwk) != simdjson::SUCCESS) continue;
        auto key = key_of_jwk(jwk);
        if (!key) continue;
        if (impl->keys.size() == kKeysMax) return refused("the JWKS document has more keys than are tried");
        impl->keys.push_back(*std::move(key));
    }
    ERR_clear_error();
    if (impl->keys.empty()) return refused("the JWKS document has no key for HS256, RS256, ES256 or EdDSA signatures");
    return KeySet(std::move(impl));
}

}  // namespace weir::protocol::jwt
