// Certificates for tests, made as they are needed: an authority, and what it signs. Not part of the product.
#pragma once

#include <gtest/gtest.h>
#include <memory>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string>
#include <vector>

#include "net/tls.h"

namespace weir::net::testing_tls {

struct Signed {
    std::string certificate_pem;
    std::string key_pem;
};

class Authority {
  public:
    explicit Authority(const char* name = "test authority") : key_(EVP_EC_gen("P-256")) {
        certificate_ = build(name, {}, key_, true);
    }
    ~Authority() {
        X509_free(certificate_);
        EVP_PKEY_free(key_);
    }
    Authority(const Authority&) = delete;
    Authority& operator=(const Authority&) = delete;

    [[nodiscard]] std::string pem() const { return pem_of(certificate_); }

    // `names` as openssl.cnf has them: "DNS:example.org", "IP:127.0.0.1".
    [[nodiscard]] Signed sign(const std::vector<std::string>& names, bool rsa = false) const {
        EVP_PKEY* key = rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
        X509* certificate = build("test", names, key, false);
        Signed made{pem_of(certificate), {}};
        BIO* bio = BIO_new(BIO_s_mem());
        PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
        made.key_pem = text_of(bio);
        X509_free(certificate);
        EVP_PKEY_free(key);
        return made;
    }

  private:
    static std::string text_of(BIO* bio) {
        char* data = nullptr;
        const long size = BIO_get_mem_data(bio, &data);
        std::string text(data, static_cast<std::size_t>(size));
        BIO_free(bio);
        return text;
    }
    static std::string pem_of(X509* certificate) {
        BIO* bio = BIO_new(BIO_s_mem());
        PEM_write_bio_X509(bio, certificate);
        return text_of(bio);
    }
    X509* build(const char* name, const std::vector<std::string>& names, EVP_PKEY* key, bool is_authority) const {
        X509* certificate = X509_new();
        X509_set_version(certificate, 2);
        static long serial = 1;
        ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
        X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
        X509_gmtime_adj(X509_getm_notAfter(certificate), 3600L * 24 * 365);
        X509_set_pubkey(certificate, key);
        X509_NAME* subject = X509_get_subject_name(certificate);
        X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>(name), -1, -1,
                                   0);
        X509_set_issuer_name(certificate, is_authority ? subject : X509_get_subject_name(certificate_));
        const auto extend = [&](int nid, const std::string& value) {
            X509V3_CTX context;
            X509V3_set_ctx_nodb(&context);
            X509V3_set_ctx(&context, is_authority ? certificate : certificate_, certificate, nullptr, nullptr, 0);
            X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str());
            EXPECT_NE(extension, nullptr) << value;
            X509_add_ext(certificate, extension, -1);
            X509_EXTENSION_free(extension);
        };
        if (is_authority) extend(NID_basic_constraints, "critical,CA:TRUE");
        std::string all;
        for (const std::string& one : names) all += (all.empty() ? "" : ",") + one;
        if (!all.empty()) extend(NID_subject_alt_name, all);
        X509_sign(certificate, key_, EVP_sha256());
        return certificate;
    }

    EVP_PKEY* key_;
    X509* certificate_ = nullptr;
};

// A server, and a client that trusts it.
struct Pair {
    std::shared_ptr<const TlsServer> server;
    std::shared_ptr<const TlsClient> client;
};

inline Pair pair(TlsVersion least = TlsVersion::k1_2) {
    const Authority authority;
    const Signed made = authority.sign({"DNS:weir.test", "IP:127.0.0.1"});
    TlsProblem problem;
    std::string why;
    Pair both{
        TlsServer::make({.certificates = {{made.certificate_pem, made.key_pem}}, .version_least = least}, problem),
        TlsClient::make({.server_name = "weir.test", .ca_pem = authority.pem()}, why)};
    EXPECT_NE(both.server, nullptr) << problem.why;
    EXPECT_NE(both.client, nullptr) << why;
    return both;
}

}  // namespace weir::net::testing_tls
