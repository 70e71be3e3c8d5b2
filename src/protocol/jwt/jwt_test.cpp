#include "protocol/jwt/jwt.h"

#include <gtest/gtest.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <thread>

#include "base/limits.h"
#include "protocol/jwt/base64url.h"
#include "protocol/jwt/keys.h"

namespace weir::protocol::jwt {
namespace {

using namespace std::string_literals;
using std::chrono::seconds;

const WallTime kNow{seconds(1'700'000'000)};
constexpr std::string_view kSecret = "a secret of the tests";

WallTime at(std::int64_t unix_seconds) {
    return WallTime(seconds(unix_seconds));
}

std::string hs256(std::string_view signed_bytes, std::string_view secret = kSecret) {
    unsigned char mac[32];
    unsigned length = 0;
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(signed_bytes.data()), signed_bytes.size(), mac, &length);
    return {reinterpret_cast<char*>(mac), length};
}

// A token signed with kSecret.
std::string token(std::string_view payload, std::string_view header = R"({"alg":"HS256"})") {
    const std::string signed_bytes = encode_base64url(header) + "." + encode_base64url(payload);
    return signed_bytes + "." + encode_base64url(hs256(signed_bytes));
}

// A key pair of the tests' own, and what it signs.
class Signer {
  public:
    explicit Signer(EVP_PKEY* key) : key_(key) {}
    static Signer rsa(unsigned bits) { return Signer(EVP_RSA_gen(bits)); }
    static Signer ec(const char* group) { return Signer(EVP_EC_gen(group)); }
    static Signer ed25519() { return Signer(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")); }

    std::string pem() const {
        BIO* bio = BIO_new(BIO_s_mem());
        PEM_write_bio_PUBKEY(bio, key_.get());
        char* data = nullptr;
        const long size = BIO_get_mem_data(bio, &data);
        std::string text(data, static_cast<std::size_t>(size));
        BIO_free(bio);
        return text;
    }
    std::string raw_public() const {
        unsigned char raw[32];
        std::size_t size = sizeof raw;
        EVP_PKEY_get_raw_public_key(key_.get(), raw, &size);
        return {reinterpret_cast<char*>(raw), size};
    }
    // In the form of RFC 7518: r and s side by side for ES256.
    std::string sign(std::string_view text) const {
        EVP_MD_CTX* context = EVP_MD_CTX_new();
        const bool ed = EVP_PKEY_is_a(key_.get(), "ED25519") == 1;
        EVP_DigestSignInit(context, nullptr, ed ? nullptr : EVP_sha256(), nullptr, key_.get());
        std::string signature(1024, '\0');
        std::size_t size = signature.size();
        EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size,
                       reinterpret_cast<const unsigned char*>(text.data()), text.size());
        EVP_MD_CTX_free(context);
        signature.resize(size);
        return EVP_PKEY_is_a(key_.get(), "EC") == 1 ? raw_of_der(signature) : signature;
    }
    std::string token(std::string_view header, std::string_view payload) const {
        const std::string signed_bytes = encode_base64url(header) + "." + encode_base64url(payload);
        return signed_bytes + "." + encode_base64url(sign(signed_bytes));
    }

  private:
    static std::string raw_of_der(const std::string& der) {
        const auto* bytes = reinterpret_cast<const unsigned char*>(der.data());
        ECDSA_SIG* signature = d2i_ECDSA_SIG(nullptr, &bytes, static_cast<long>(der.size()));
        std::string raw(64, '\0');
        BN_bn2binpad(ECDSA_SIG_get0_r(signature), reinterpret_cast<unsigned char*>(raw.data()), 32);
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), reinterpret_cast<unsigned char*>(raw.data()) + 32, 32);
        ECDSA_SIG_free(signature);
        return raw;
    }
    PublicKey key_;
};

KeySet secret_keys() {
    return std::move(KeySet::from_secret(kSecret)).value();
}
KeySet jwks(std::string_view keys) {
    auto result = KeySet::from_jwks("{\"keys\": [" + std::string(keys) + "]}");
    EXPECT_TRUE(result) << keys;
    return std::move(result).value();
}

ErrorCode code(const Result<Claims>& result) {
    return result ? ErrorCode::kCount_ : result.error().code;
}
ErrorCode verified_as(std::string_view text, const KeySet& keys, const Requirements& requirements = {}) {
    return code(verify(text, keys, requirements, kNow));
}
constexpr ErrorCode kFine = ErrorCode::kCount_;
constexpr ErrorCode kInvalid = ErrorCode::kUnauthorized;

// RFC 7515, appendix A.1 to A.3, and RFC 8037, appendix A.
constexpr std::string_view kRfcPayload =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
constexpr std::string_view kRfcOctKey =
    R"({"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"})";
constexpr std::string_view kRfcRsaKey =
    R"({"kty":"RSA","n":"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ","e":"AQAB"})";
constexpr std::string_view kRfcEcKey =
    R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})";
constexpr std::string_view kRfcEdKey =
    R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})";

std::string rfc_token(std::string_view header, std::string_view signature) {
    return std::string(header) + "." + std::string(kRfcPayload) + "." + std::string(signature);
}
std::vector<std::pair<std::string, std::string_view>> rfc_tokens() {
    return {
        {rfc_token("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
         kRfcOctKey},
        {rfc_token("eyJhbGciOiJSUzI1NiJ9",
                   "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbd"
                   "s9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0Gar"
                   "ZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9"
                   "Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"),
         kRfcRsaKey},
        {rfc_token("eyJhbGciOiJFUzI1NiJ9",
                   "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"),
         kRfcEcKey},
    };
}

TEST(Jwt, VerifiesTheExamplesOfTheStandard) {
    for (const auto& [text, key] : rfc_tokens()) {
        const KeySet keys = jwks(key);
        const auto claims = verify(text, keys, {}, at(1'300'819'379));
        ASSERT_TRUE(claims) << text << ": " << claims.error().detail;
        EXPECT_EQ(claims->text("iss"), "joe");
        EXPECT_TRUE(claims->flag("http://example.com/is_root"));
        EXPECT_EQ(claims->expires(), at(1'300'819'380));
        EXPECT_EQ(code(verify(text, keys, {}, at(1'300'819'380))), ErrorCode::kExpired);
    }
}

TEST(Jwt, VerifiesTheEd25519ExampleOfTheStandard) {
    const KeySet keys = jwks(kRfcEdKey);
    const std::string signed_bytes = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    const auto signature =
        decode_base64url("hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg");
    ASSERT_TRUE(signature);
    EXPECT_TRUE(keys.impl().keys[0].verifies(signed_bytes, *signature));
    EXPECT_FALSE(keys.impl().keys[0].verifies(signed_bytes + "x", *signature));
    // The example's payload is no JSON object.
    EXPECT_EQ(verified_as(signed_bytes + "." + encode_base64url(*signature), keys), kInvalid);
}

TEST(Jwt, RefusesEveryChangedCharacter) {
    for (const auto& [text, key] : rfc_tokens()) {
        const KeySet keys = jwks(key);
        for (std::size_t i = 0; i < text.size(); i += 3) {
            std::string changed = text;
            changed[i] = changed[i] == 'A' ? 'B' : 'A';
            EXPECT_EQ(code(verify(changed, keys, {}, at(1'300'819'379))), kInvalid) << i;
            EXPECT_EQ(code(verify(text.substr(0, i), keys, {}, at(1'300'819'379))), kInvalid) << i;
        }
    }
}

TEST(Jwt, VerifiesWithKeysInPem) {
    const Signer rsa = Signer::rsa(2048);
    const Signer ec = Signer::ec("P-256");
    const Signer ed = Signer::ed25519();
    const std::pair<const Signer*, std::string_view> all[]{{&rsa, "RS256"}, {&ec, "ES256"}, {&ed, "EdDSA"}};
    for (const auto& [signer, name] : all) {
        auto keys = KeySet::from_pem(signer->pem());
        ASSERT_TRUE(keys) << name;
        for (const auto& [other, algorithm] : all) {
            const std::string text = other->token("{\"alg\":\"" + std::string(algorithm) + "\"}", R"({"sub":"42"})");
            EXPECT_EQ(verified_as(text, *keys), other == signer ? kFine : kInvalid) << name << " " << algorithm;
            // The right key, and a header that names another algorithm.
            const std::string confused = signer->token("{\"alg\":\"" + std::string(algorithm) + "\"}", "{}");
            EXPECT_EQ(verified_as(confused, *keys), other == signer ? kFine : kInvalid) << name << " " << algorithm;
        }
    }
}

TEST(Jwt, TheAlgorithmIsTheKeysAndNeverTheTokens) {
    // The classic confusion: the public key's text as the secret of an HMAC.
    const Signer rsa = Signer::rsa(2048);
    const auto keys = KeySet::from_pem(rsa.pem());
    ASSERT_TRUE(keys);
    const std::string signed_bytes = encode_base64url(R"({"alg":"HS256"})") + "." + encode_base64url("{}");
    EXPECT_EQ(verified_as(signed_bytes + "." + encode_base64url(hs256(signed_bytes, rsa.pem())), *keys), kInvalid);

    for (const std::string_view header :
         {R"({"alg":"none"})", R"({"alg":"NONE"})", R"({"alg":""})", R"({"alg":"hs256"})", R"({"alg":"HS384"})",
          R"({"alg":"HS512"})", R"({"alg":"RS256"})", R"({"alg":null})", R"({"alg":1})", R"({"alg":["HS256"]})",
          R"({})", R"({"typ":"JWT"})"}) {
        EXPECT_EQ(verified_as(token("{}", header), secret_keys()), kInvalid) << header;
        EXPECT_EQ(verified_as(encode_base64url(header) + "." + encode_base64url("{}") + ".", secret_keys()), kInvalid);
    }
}

TEST(Jwt, RefusesHeadersThatReadersTakeInTwoWays) {
    EXPECT_EQ(verified_as(token("{}", R"({"alg":"HS256","typ":"JWT","x":{"alg":"none"}})"), secret_keys()), kFine);
    for (const std::string_view header :
         {R"({"alg":"none","alg":"HS256"})", R"({"alg":"HS256","\u0061lg":"HS256"})",
          R"({"alg":"HS256","kid":"a","kid":"b"})", R"({"alg":"HS256","crit":["exp"]})", R"({"alg":"HS256","crit":[]})",
          R"({"alg":"HS256","b64":false,"crit":["b64"]})", R"({"alg":"HS256","kid":1})", R"(["HS256"])", R"("HS256")",
          R"({"alg":"HS256"} {})", R"({"alg":"HS256")", "", "\xEF\xBB\xBF{}", "{\"alg\":\"HS256\",\"x\":\"\xFF\"}"}) {
        EXPECT_EQ(verified_as(token("{}", header), secret_keys()), kInvalid) << header;
    }
}

TEST(Jwt, RefusesWhatIsNotInCompactForm) {
    const std::string good = token(R"({"sub":"42"})");
    ASSERT_EQ(verified_as(good, secret_keys()), kFine);
    for (const std::string& bad :
         {""s, "."s, ".."s, "..."s, "a.b"s, good + ".", "." + good, good + "=", good + " ", " " + good, good + "\n",
          good.substr(0, good.rfind('.')), good.substr(0, good.rfind('.') + 1), good + "A", good + "AA"}) {
        EXPECT_EQ(verified_as(bad, secret_keys()), kInvalid) << bad;
    }
    EXPECT_EQ(verified_as(token("{\"x\":\"" + std::string(kTokenBytesMax, 'x') + "\"}"), secret_keys()), kInvalid);
}

TEST(Jwt, RefusesPayloadsThatAreNoObjectOrRepeatAClaim) {
    for (const std::string& payload : {"[]"s, "1"s, ""s, "{"s, R"({"sub":"1","sub":"2"})"s, "{\"sub\":\"\xFF\"}"s,
                                       "{\"x\":" + std::string(100, '[') + std::string(100, ']') + "}"}) {
        EXPECT_EQ(verified_as(token(payload), secret_keys()), kInvalid) << payload;
    }
}

TEST(Jwt, ChecksTheTimes) {
    const auto verified = [](const std::string& payload, seconds leeway = seconds(0)) {
        return verified_as(token(payload), secret_keys(), {.issuer = {}, .audience = {}, .leeway = leeway});
    };
    EXPECT_EQ(verified(R"({})"), kFine);
    EXPECT_EQ(verified(R"({"exp":1700000001})"), kFine);
    EXPECT_EQ(verified(R"({"exp":1700000000.5})"), kFine);
    EXPECT_EQ(verified(R"({"exp":1700000000})"), ErrorCode::kExpired);
    EXPECT_EQ(verified(R"({"exp":1699999999.9})"), ErrorCode::kExpired);
    EXPECT_EQ(verified(R"({"exp":0})"), ErrorCode::kExpired);
    EXPECT_EQ(verified(R"({"exp":-1e300})"), ErrorCode::kExpired);
    EXPECT_EQ(verified(R"({"exp":1e300})"), kFine);
    EXPECT_EQ(verified(R"({"exp":18446744073709551615})"), kFine);
    EXPECT_EQ(verified(R"({"exp":1700000000})", seconds(1)), kFine);
    EXPECT_EQ(verified(R"({"exp":1699999999})", seconds(1)), ErrorCode::kExpired);
    EXPECT_EQ(verified(R"({"nbf":1700000000})"), kFine);
    EXPECT_EQ(verified(R"({"nbf":1700000001})"), kInvalid);
    EXPECT_EQ(verified(R"({"nbf":1700000001})", seconds(1)), kFine);
    EXPECT_EQ(verified(R"({"iat":1900000000})"), kFine);
    for (const std::string_view name : {"exp", "nbf", "iat"}) {
        for (const std::string_view value : {"\"1800000000\"", "null", "true", "[1800000000]", "{}"}) {
            EXPECT_EQ(verified("{\"" + std::string(name) + "\":" + std::string(value) + "}"), kInvalid)
                << name << value;
        }
    }
}

TEST(Jwt, ATokenThatIsExpiredAndWrongIsInvalid) {
    EXPECT_EQ(verified_as(token(R"({"exp":1,"iss":"b"})"), secret_keys(), {.issuer = "a", .audience = {}}), kInvalid);
    std::string forged = token(R"({"exp":1})");
    forged.back() = forged.back() == 'A' ? 'E' : 'A';
    EXPECT_EQ(verified_as(forged, secret_keys()), kInvalid);
}

TEST(Jwt, ChecksIssuerAndAudience) {
    const auto issued = [](std::string_view payload) {
        return verified_as(token(payload), secret_keys(), {.issuer = "https://id.example/", .audience = {}});
    };
    EXPECT_EQ(issued(R"({"iss":"https://id.example/"})"), kFine);
    EXPECT_EQ(issued(R"({"iss":"https:\/\/id.example\/"})"), kFine);
    EXPECT_EQ(issued(R"({"iss":"https://id.example"})"), kInvalid);
    EXPECT_EQ(issued(R"({"iss":["https://id.example/"]})"), kInvalid);
    EXPECT_EQ(issued(R"({})"), kInvalid);
    const auto addressed = [](std::string_view payload) {
        return verified_as(token(payload), secret_keys(), {.issuer = {}, .audience = "weir"});
    };
    EXPECT_EQ(addressed(R"({"aud":"weir"})"), kFine);
    EXPECT_EQ(addressed(R"({"aud":["x", "weir"]})"), kFine);
    EXPECT_EQ(addressed(R"({"aud":["x", 1, "weirs"]})"), kInvalid);
    EXPECT_EQ(addressed(R"({"aud":[]})"), kInvalid);
    EXPECT_EQ(addressed(R"({"aud":{"weir":1}})"), kInvalid);
    EXPECT_EQ(addressed(R"({"aud":"WEIR"})"), kInvalid);
    EXPECT_EQ(addressed(R"({})"), kInvalid);
}

std::string ed_jwk(const Signer& signer, const std::string& more) {
    return R"({"kty":"OKP","crv":"Ed25519","x":")" + encode_base64url(signer.raw_public()) + "\"" + more + "}";
}

TEST(Jwks, ChoosesTheKeyByItsId) {
    const Signer a = Signer::ed25519();
    const Signer b = Signer::ed25519();
    const KeySet keys = jwks(ed_jwk(a, R"(,"kid":"a","alg":"EdDSA","use":"sig")") + "," + ed_jwk(b, R"(,"kid":"b")"));
    EXPECT_EQ(verified_as(a.token(R"({"alg":"EdDSA","kid":"a"})", "{}"), keys), kFine);
    EXPECT_EQ(verified_as(b.token(R"({"alg":"EdDSA","kid":"b"})", "{}"), keys), kFine);
    EXPECT_EQ(verified_as(b.token(R"({"alg":"EdDSA","kid":"a"})", "{}"), keys), kInvalid);
    EXPECT_EQ(verified_as(a.token(R"({"alg":"EdDSA"})", "{}"), keys), kFine);
    EXPECT_EQ(verified_as(b.token(R"({"alg":"EdDSA"})", "{}"), keys), kFine);
    EXPECT_EQ(verified_as(b.token(R"({"alg":"ES256"})", "{}"), keys), kInvalid);

    const auto unknown = verify(a.token(R"({"alg":"EdDSA","kid":"c"})", "{}"), keys, {}, kNow);
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, kInvalid);
    EXPECT_EQ(unknown.error().detail, kUnknownKeyDetail);
    const auto wrong = verify(b.token(R"({"alg":"EdDSA","kid":"a"})", "{}"), keys, {}, kNow);
    ASSERT_FALSE(wrong);
    EXPECT_NE(wrong.error().detail, kUnknownKeyDetail);
}

TEST(Jwks, AKeyFileThatIsNoJwksIgnoresTheId) {
    EXPECT_EQ(verified_as(token("{}", R"({"alg":"HS256","kid":"anything"})"), secret_keys()), kFine);
}

TEST(Jwks, SkipsKeysThatAreNotForItsSignatures) {
    const Signer a = Signer::ed25519();
    const std::string text = a.token(R"({"alg":"EdDSA"})", "{}");
    const std::string other = "," + std::string(kRfcEcKey);
    for (const std::string_view more :
         {R"(,"use":"enc")", R"(,"use":1)", R"(,"key_ops":["sign"])", R"(,"key_ops":"verify")", R"(,"alg":"ES256")",
          R"(,"alg":"ECDH-ES")", R"(,"alg":null)"}) {
        EXPECT_EQ(verified_as(text, jwks(ed_jwk(a, std::string(more)) + other)), kInvalid) << more;
    }
    EXPECT_EQ(verified_as(text, jwks(ed_jwk(a, R"(,"key_ops":["sign","verify"])") + other)), kFine);
    EXPECT_EQ(verified_as(text, jwks(ed_jwk(a, R"(,"alg":"Ed25519")") + other)), kFine);
    EXPECT_EQ(verified_as(text, jwks(R"(1,null,{},{"kty":"AKP"},{"kty":7},)" + ed_jwk(a, ""))), kFine);
}

TEST(Jwks, RefusesKeysThatAreWeakOrBroken) {
    for (
        const std::string_view key :
        {R"({"kty":"oct","k":""})", R"({"kty":"oct"})", R"({"kty":"oct","k":"a b"})",
         R"({"kty":"RSA","n":"AQAB","e":"AQAB"})", R"({"kty":"RSA","e":"AQAB"})",
         R"({"kty":"EC","crv":"P-256","x":"AQ","y":"AQ"})",
         R"({"kty":"EC","crv":"P-384","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"})",
         // A point that is not on the curve.
         R"({"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"})",
         R"({"kty":"OKP","crv":"X25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})",
         R"({"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHUQ"})"}) {
        const auto result = KeySet::from_jwks("{\"keys\":[" + std::string(key) + "]}");
        ASSERT_FALSE(result) << key;
        EXPECT_EQ(result.error().code, ErrorCode::kInvalidArgument);
    }
    for (const std::string_view e : {"AQ", "AA", "Ag", ""}) {
        std::string key(kRfcRsaKey);
        key.replace(key.find("AQAB"), 4, e);
        EXPECT_FALSE(KeySet::from_jwks("{\"keys\":[" + key + "]}")) << e;
    }
    for (const std::string_view document : {"", "[]", "{}", R"({"keys":{}})", R"({"keys":[]})", R"({"keys":[)"})
        EXPECT_FALSE(KeySet::from_jwks(document)) << document;
}

TEST(Jwks, IsBounded) {
    std::string keys(kRfcEdKey);
    for (std::size_t i = 1; i < kKeysMax; ++i) (keys += ",") += kRfcEdKey;
    EXPECT_TRUE(KeySet::from_jwks("{\"keys\":[" + keys + "]}"));
    EXPECT_FALSE(KeySet::from_jwks("{\"keys\":[" + keys + "," + std::string(kRfcEdKey) + "]}"));
}

TEST(Pem, RefusesOtherKeys) {
    EXPECT_FALSE(KeySet::from_pem(""));
    EXPECT_FALSE(KeySet::from_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n"));
    EXPECT_FALSE(KeySet::from_pem(Signer::rsa(1024).pem()));
    EXPECT_FALSE(KeySet::from_pem(Signer::ec("P-384").pem()));
    EXPECT_FALSE(KeySet::from_pem(Signer(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED448")).pem()));
}

TEST(Secret, MustNotBeEmpty) {
    EXPECT_FALSE(KeySet::from_secret(""));
    EXPECT_FALSE(KeySet::from_secret(std::string(kTokenBytesMax + 1, 's')));
}

TEST(Es256, RefusesDerAndOddLengths) {
    const Signer ec = Signer::ec("P-256");
    const auto keys = KeySet::from_pem(ec.pem());
    ASSERT_TRUE(keys);
    const Key& key = keys->impl().keys[0];
    const std::string signature = ec.sign("text");
    EXPECT_TRUE(key.verifies("text", signature));
    EXPECT_FALSE(key.verifies("text", ""));
    EXPECT_FALSE(key.verifies("text", signature.substr(1)));
    EXPECT_FALSE(key.verifies("text", signature + "\0"s));
    EXPECT_FALSE(key.verifies("text", std::string(64, '\0')));  // the zero signature
    EXPECT_FALSE(key.verifies("text", std::string(64, '\xFF')));
}

TEST(Claims, AreReadByNameAndByPath) {
    const Claims claims(
        R"({"sub":"42","n":7,"big":18446744073709551615,"f":1.5,"a":{"b":{"c":"deep"},"b.c":"dotted"},"x.y":"whole",)"
        R"("x":{"y":"path"},"https://id.example/claims":{"org":"acme"},"l":["a"],"empty":"","z":null})");
    EXPECT_EQ(claims.text("sub"), "42");
    EXPECT_EQ(claims.text("n"), "7");
    EXPECT_EQ(claims.text("big"), "18446744073709551615");
    EXPECT_EQ(claims.text("empty"), "");
    EXPECT_EQ(claims.text("x.y"), "whole");
    EXPECT_EQ(claims.text("a.b.c"), "dotted");
    EXPECT_EQ(Claims(R"({"a":{"b":{"c":"deep"}}})").text("a.b.c"), "deep");
    for (const std::string_view none : {"f", "l", "z", "a", "none", "sub.x", "a.b", "", ".", "a.", ".a"})
        EXPECT_EQ(claims.text(none), std::nullopt) << none;
    EXPECT_EQ(Claims("no json").text("sub"), std::nullopt);
    EXPECT_FALSE(Claims("no json").flag("sub"));
    EXPECT_EQ(Claims("[]").expires(), std::nullopt);
}

TEST(Claims, AFlagIsTrueInThreeWays) {
    const Claims claims(R"({"t":true,"s":"true","one":1,"f":false,"S":"True","zero":0,"two":2,"d":1.0,"n":null,)"
                        R"("l":[true],"o":{"t":true}})");
    for (const std::string_view yes : {"t", "s", "one", "o.t"}) EXPECT_TRUE(claims.flag(yes)) << yes;
    for (const std::string_view no : {"f", "S", "zero", "two", "d", "n", "l", "o", "none"})
        EXPECT_FALSE(claims.flag(no)) << no;
}

TEST(Jwt, IsVerifiedByManyThreadsAtOnce) {
    const Signer ec = Signer::ec("P-256");
    const auto keys = KeySet::from_pem(ec.pem());
    ASSERT_TRUE(keys);
    const std::string text = ec.token(R"({"alg":"ES256"})", R"({"sub":"42"})");
    std::vector<std::thread> threads;
    std::vector<int> verified(4);
    for (int& count : verified) {
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) count += verify(text, *keys, {}, kNow).has_value() ? 1 : 0;
        });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(verified, std::vector<int>(4, 50));
}

// RFC 4648, section 10, in the alphabet of section 5 and without padding.
TEST(Base64Url, ReadsAndWritesTheExamplesOfTheStandard) {
    const std::pair<std::string_view, std::string_view> examples[]{
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},          {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xFB\xFF\xBF", "-_-_"}};
    for (const auto& [bytes, text] : examples) {
        EXPECT_EQ(encode_base64url(bytes), text);
        EXPECT_EQ(decode_base64url(text), bytes);
    }
}

TEST(Base64Url, HasOneSpellingForAValue) {
    for (const std::string& bad : {"Z"s, "Zg=="s, "Zg="s, "Zh"s, "Zm9"s, "Zm+v"s, "Zm/v"s, "Zm 9v"s, "Zm9v\n"s,
                                   "Zm9v\0"s, "Zm9vZ"s, "Zm\xC3\xA9v"s}) {
        EXPECT_EQ(decode_base64url(bad), std::nullopt) << bad;
    }
}

}  // namespace
}  // namespace weir::protocol::jwt
