#include "net/tls.h"

#include <algorithm>
#include <limits>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/ip_address.h"
#include "base/text.h"

namespace weir::net {
namespace {

template <auto kFree>
struct Free {
    template <typename T>
    void operator()(T* what) const {
        kFree(what);
    }
};
using Bio = std::unique_ptr<BIO, Free<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, Free<X509_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, Free<EVP_PKEY_free>>;

constexpr std::string_view kHttp11 = "http/1.1";
constexpr long kSessionSeconds = std::chrono::duration_cast<std::chrono::seconds>(TicketKeys::kSealFor).count();

// The oldest reason of OpenSSL's queue, which is the one nearest to the cause.
std::string openssl_reason() {
    const char* reason = ERR_reason_error_string(ERR_peek_error());
    ERR_clear_error();
    return reason != nullptr ? reason : "unknown to OpenSSL";
}

Bio bio_of(const std::string& pem) {
    if (pem.size() > static_cast<std::size_t>(std::numeric_limits<int>::max())) return nullptr;
    return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// No passphrase is asked for on a terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) {
    return -1;
}

std::vector<Certificate> read_certificates(const std::string& pem) {
    std::vector<Certificate> all;
    const Bio bio = bio_of(pem);
    while (bio != nullptr) {
        Certificate next(PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr));
        if (next == nullptr) break;
        all.push_back(std::move(next));
    }
    // What ends the list is "no start line"; anything else is a broken certificate in it.
    if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE) all.clear();
    if (!all.empty()) ERR_clear_error();
    return all;
}

PrivateKey read_key(const std::string& pem) {
    const Bio bio = bio_of(pem);
    return PrivateKey(bio == nullptr ? nullptr : PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
}

int protocol_number(TlsVersion version) {
    return version == TlsVersion::k1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
}

SslContext new_context(const SSL_METHOD* method, TlsVersion least) {
    SslContext context(SSL_CTX_new(method));
    if (context == nullptr) return nullptr;
    SSL_CTX_set_min_proto_version(context.get(), protocol_number(least));
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    // An idle connection keeps no record buffers, which are 34 KiB.
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

// A certificate with its chain, and the key to it. Empty: it is in force.
TlsProblem use_certificate(SSL_CTX* context, const std::string& certificate_pem, const std::string& key_pem) {
    using enum TlsProblem::Part;
    std::vector<Certificate> chain = read_certificates(certificate_pem);
    if (chain.empty()) return {kCertificate, 0, "holds no certificate in PEM form (" + openssl_reason() + ")"};
    const PrivateKey key = read_key(key_pem);
    if (key == nullptr) {
        return {kKey, 0, "holds no private key in PEM form without a passphrase (" + openssl_reason() + ")"};
    }
    // Both from the file of one certificate, and such that OpenSSL thinks them strong enough.
    if (SSL_CTX_use_certificate(context, chain.front().get()) != 1) {
        return {kCertificate, 0, "holds a certificate that can't be used (" + openssl_reason() + ")"};
    }
    if (X509_check_private_key(chain.front().get(), key.get()) != 1) {
        ERR_clear_error();
        return {kKey, 0, "holds a key that is not the one of the certificate"};
    }
    if (SSL_CTX_use_PrivateKey(context, key.get()) != 1) {
        return {kKey, 0, "holds a key that can't be used (" + openssl_reason() + ")"};
    }
    for (std::size_t i = 1; i < chain.size(); ++i) {
        if (SSL_CTX_add1_chain_cert(context, chain[i].get()) != 1) {
            return {kCertificate, 0, "holds a chain that can't be used (" + openssl_reason() + ")"};
        }
    }
    return {};
}

// Adds what a PEM text holds to those that are trusted; false when that is nothing.
bool trust(SSL_CTX* context, const std::string& pem, bool name_them) {
    const std::vector<Certificate> all = read_certificates(pem);
    for (const Certificate& certificate : all) {
        if (X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.get()) != 1) return false;
        if (name_them && SSL_CTX_add_client_CA(context, certificate.get()) != 1) return false;
    }
    return !all.empty();
}

// A name as it is compared: host names hold no NUL, which would end them early for somebody.
std::optional<std::string> plain_name(const ASN1_STRING* text) {
    const std::string_view name(reinterpret_cast<const char*>(ASN1_STRING_get0_data(text)),
                                static_cast<std::size_t>(ASN1_STRING_length(text)));
    if (name.empty() || name.find('\0') != std::string_view::npos) return std::nullopt;
    return lowercased(name);
}

// The DNS names that a certificate is for; where it has none, its common name (as clients of old did).
std::vector<std::string> names_of(X509* certificate) {
    std::vector<std::string> names;
    auto* const alternatives =
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr));
    for (int i = 0; i < sk_GENERAL_NAME_num(alternatives); ++i) {
        const GENERAL_NAME* one = sk_GENERAL_NAME_value(alternatives, i);
        if (one->type != GEN_DNS) continue;
        if (auto name = plain_name(one->d.dNSName)) names.push_back(std::move(*name));
    }
    if (alternatives == nullptr) {
        X509_NAME* subject = X509_get_subject_name(certificate);
        if (const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1); at >= 0) {
            auto name = plain_name(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
            if (name) names.push_back(std::move(*name));
        }
    }
    GENERAL_NAMES_free(alternatives);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

std::int64_t expiry_of(X509* certificate) {
    std::tm when{};
    if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &when) != 1) return 0;
    return static_cast<std::int64_t>(timegm(&when));
}

std::string digest_of(const std::string& text) {
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) return text;
    return {digest.begin(), digest.begin() + size};
}

std::string fingerprint_of(const TlsClientOptions& options) {
    std::string all;
    for (const std::string* part :
         {&options.server_name, &options.ca_pem, &options.certificate_pem, &options.key_pem, &options.alpn}) {
        all += digest_of(*part);
    }
    all += std::to_string(options.verify ? 1 : 0) + std::to_string(static_cast<int>(options.version_least));
    return digest_of(all);
}

// Sessions of one configuration of client certificates are not those of another: a ticket carries what was verified.
void set_session_context(SSL_CTX* context, const TlsServerOptions& options) {
    const std::string about =
        digest_of(std::to_string(static_cast<int>(options.client_certificates)) + options.client_ca_pem);
    SSL_CTX_set_session_id_context(context, reinterpret_cast<const unsigned char*>(about.data()),
                                   std::min<unsigned>(static_cast<unsigned>(about.size()), SSL_MAX_SID_CTX_LENGTH));
}

}  // namespace

void FreeSsl::operator()(SSL_CTX* context) const {
    SSL_CTX_free(context);
}
void FreeSsl::operator()(SSL* session) const {
    SSL_free(session);
}

// ---- Connecting ----------------------------------------------------------------------------------------------------

TlsClient::TlsClient(std::shared_ptr<SSL_CTX> context, std::string server_name, bool verify, std::string fingerprint)
    : context_(std::move(context)),
      server_name_(std::move(server_name)),
      verify_(verify),
      fingerprint_(std::move(fingerprint)) {}

std::shared_ptr<const TlsClient> TlsClient::make(const TlsClientOptions& options, std::string& why) {
    ERR_clear_error();
    SslContext context = new_context(TLS_client_method(), options.version_least);
    if (context == nullptr) {
        why = "TLS can't be set up (" + openssl_reason() + ")";
        return nullptr;
    }
    SSL_CTX_set_verify(context.get(), options.verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, nullptr);
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    if (options.ca_pem.empty() && options.verify) {
        if (SSL_CTX_set_default_verify_paths(context.get()) != 1) {
            why = "the system's authorities can't be read (" + openssl_reason() + ")";
            return nullptr;
        }
    } else if (!options.ca_pem.empty() && !trust(context.get(), options.ca_pem, false)) {
        why = "the authority holds no certificate in PEM form (" + openssl_reason() + ")";
        return nullptr;
    }
    if (!options.certificate_pem.empty()) {
        const TlsProblem problem = use_certificate(context.get(), options.certificate_pem, options.key_pem);
        if (!problem.why.empty()) {
            why = (problem.part == TlsProblem::Part::kKey ? "the key " : "the certificate ") + problem.why;
            return nullptr;
        }
    }
    if (!options.alpn.empty()) {
        std::vector<std::uint8_t> wire{static_cast<std::uint8_t>(options.alpn.size())};
        wire.insert(wire.end(), options.alpn.begin(), options.alpn.end());
        SSL_CTX_set_alpn_protos(context.get(), wire.data(), static_cast<unsigned>(wire.size()));
    }
    ERR_clear_error();
    return std::shared_ptr<const TlsClient>(new TlsClient(
        std::shared_ptr<SSL_CTX>(std::move(context)), options.server_name, options.verify, fingerprint_of(options)));
}

std::shared_ptr<const TlsClient> TlsClient::for_server(std::string server_name) const {
    return std::shared_ptr<const TlsClient>(
        new TlsClient(context_, server_name, verify_, digest_of(fingerprint_ + server_name)));
}

SslSession TlsClient::new_session() const {
    SslSession session(SSL_new(context_.get()));
    if (session == nullptr) return nullptr;
    SSL_set_connect_state(session.get());
    if (server_name_.empty()) return session;
    bool good = true;
    if (IpAddress::parse(server_name_)) {
        // RFC 6066 3: an address is never asked for by SNI.
        good = X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session.get()), server_name_.c_str()) == 1;
    } else {
        good = SSL_set_tlsext_host_name(session.get(), server_name_.c_str()) == 1 &&
               SSL_set1_host(session.get(), server_name_.c_str()) == 1;
        SSL_set_hostflags(session.get(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    }
    return good ? std::move(session) : nullptr;
}

// ---- Ticket keys ---------------------------------------------------------------------------------------------------

TicketKeys::~TicketKeys() {
    for (Aged& aged : keys_) OPENSSL_cleanse(&aged.key, sizeof aged.key);
}

void TicketKeys::rotate(MonoTime now) {
    while (!keys_.empty() && now - keys_.back().since > 3 * kSealFor) {
        OPENSSL_cleanse(&keys_.back().key, sizeof keys_.back().key);
        keys_.pop_back();
    }
    if (!keys_.empty() && now - keys_.front().since <= kSealFor) return;
    Aged fresh{.key = {}, .since = now};
    const auto fill = [](auto& bytes) { return RAND_priv_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1; };
    if (!fill(fresh.key.name) || !fill(fresh.key.cipher) || !fill(fresh.key.mac)) return;
    keys_.insert(keys_.begin(), fresh);
}

std::optional<TicketKeys::Key> TicketKeys::sealing(MonoTime now) {
    const std::lock_guard lock(mutex_);
    rotate(now);
    if (keys_.empty()) return std::nullopt;
    return keys_.front().key;
}

std::optional<TicketKeys::Opening> TicketKeys::opening(const std::uint8_t* name, MonoTime now) {
    const std::lock_guard lock(mutex_);
    rotate(now);
    for (const Aged& aged : keys_) {
        if (std::equal(aged.key.name.begin(), aged.key.name.end(), name)) {
            return Opening{.key = aged.key, .current = &aged == &keys_.front()};
        }
    }
    return std::nullopt;
}

// ---- Listening -----------------------------------------------------------------------------------------------------

// What OpenSSL calls back.
struct TlsCallbacks {
    static TicketSource* source_of(SSL* session) { return static_cast<TicketSource*>(SSL_get_app_data(session)); }

    // SSL_CTX_set_tlsext_ticket_key_evp_cb(3): 1 done, 2 done and renew, 0 no such key, -1 failed.
    static int ticket_key(SSL* session, unsigned char* name, unsigned char* iv, EVP_CIPHER_CTX* cipher,
                          EVP_MAC_CTX* mac, int seal) {
        TicketSource* const source = source_of(session);
        TicketKeys* const keys = source == nullptr ? nullptr : source->ticket_keys();
        if (keys == nullptr) return 0;
        TicketKeys::Key key{};
        int result = 1;
        if (seal != 0) {
            const auto current = keys->sealing(source->ticket_time());
            if (!current || RAND_bytes(iv, EVP_CIPHER_get_iv_length(EVP_aes_256_cbc())) != 1) return -1;
            key = *current;
            std::copy(key.name.begin(), key.name.end(), name);
        } else {
            const auto found = keys->opening(name, source->ticket_time());
            if (!found) return 0;
            key = found->key;
            result = found->current ? 1 : 2;
        }
        const bool ready = start(key, iv, cipher, mac, seal);
        OPENSSL_cleanse(&key, sizeof key);
        return ready ? result : -1;
    }

    static bool start(TicketKeys::Key& key, const unsigned char* iv, EVP_CIPHER_CTX* cipher, EVP_MAC_CTX* mac,
                      int seal) {
        char digest[] = "SHA256";
        const OSSL_PARAM parameters[] = {
            OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key.mac.data(), key.mac.size()),
            OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0), OSSL_PARAM_construct_end()};
        return EVP_MAC_CTX_set_params(mac, parameters) == 1 &&
               EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), nullptr, key.cipher.data(), iv, seal) == 1;
    }

    static int server_name(SSL* session, int* /*alert*/, void* data) {
        const auto& server = *static_cast<const TlsServer*>(data);
        const char* name = SSL_get_servername(session, TLSEXT_NAMETYPE_host_name);
        if (name == nullptr) return SSL_TLSEXT_ERR_NOACK;
        const TlsServer::Identity& identity = server.identity_for(name);
        SSL_set_SSL_CTX(session, identity.context.get());
        return SSL_TLSEXT_ERR_OK;
    }

    // RFC 7301 3.2: who offers only what is not spoken here is told so.
    static int choose_protocol(SSL* /*session*/, const unsigned char** out, unsigned char* out_size,
                               const unsigned char* offered, unsigned offered_size, void* /*data*/) {
        for (unsigned at = 0; at < offered_size; at += 1U + offered[at]) {
            const std::string_view one(reinterpret_cast<const char*>(offered + at + 1),
                                       std::min<unsigned>(offered[at], offered_size - at - 1));
            if (one != kHttp11) continue;
            *out = offered + at + 1;
            *out_size = offered[at];
            return SSL_TLSEXT_ERR_OK;
        }
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
};

TlsServer::~TlsServer() = default;

std::shared_ptr<const TlsServer> TlsServer::make(const TlsServerOptions& options, TlsProblem& problem) {
    ERR_clear_error();
    std::shared_ptr<TlsServer> server(new TlsServer);
    for (std::size_t i = 0; i < options.certificates.size(); ++i) {
        if (!server->add(options, i, problem)) return nullptr;
    }
    if (server->identities_.empty()) {
        problem = {TlsProblem::Part::kOther, 0, "there is no certificate"};
        return nullptr;
    }
    ERR_clear_error();
    return server;
}

bool TlsServer::add(const TlsServerOptions& options, std::size_t index, TlsProblem& problem) {
    const TlsServerOptions::Certificate& files = options.certificates[index];
    const auto failed = [&](TlsProblem what) {
        problem = std::move(what);
        problem.certificate = index;
        return false;
    };
    SslContext context = new_context(TLS_server_method(), options.version_least);
    if (context == nullptr) return failed({TlsProblem::Part::kOther, 0, openssl_reason()});
    TlsProblem found = use_certificate(context.get(), files.certificate_pem, files.key_pem);
    if (!found.why.empty()) return failed(std::move(found));

    X509* const certificate = SSL_CTX_get0_certificate(context.get());
    const int key_type = EVP_PKEY_get_base_id(X509_get0_pubkey(certificate));
    std::vector<std::string> names = names_of(certificate);
    const std::int64_t expires = expiry_of(certificate);
    expires_ = expires_ == 0 ? expires : std::min(expires_, expires);
    // The same names with a key of another kind: a client gets the one that it can use.
    for (Identity& known : identities_) {
        if (known.names != names || std::ranges::find(known.key_types, key_type) != known.key_types.end()) continue;
        known.key_types.push_back(key_type);
        found = use_certificate(known.context.get(), files.certificate_pem, files.key_pem);
        return found.why.empty() || failed(std::move(found));
    }

    SSL_CTX* const raw = context.get();
    SSL_CTX_set_options(raw, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);  // tickets alone, so that every worker can resume
    SSL_CTX_set_timeout(raw, kSessionSeconds);
    SSL_CTX_set_tlsext_ticket_key_evp_cb(raw, TlsCallbacks::ticket_key);
    SSL_CTX_set_tlsext_servername_callback(raw, TlsCallbacks::server_name);
    SSL_CTX_set_tlsext_servername_arg(raw, this);
    SSL_CTX_set_alpn_select_cb(raw, TlsCallbacks::choose_protocol, nullptr);
    set_session_context(raw, options);
    if (options.client_certificates != ClientCertificates::kNone) {
        if (!trust(raw, options.client_ca_pem, true)) {
            return failed({TlsProblem::Part::kClientCa, 0,
                           "holds no certificate of an authority in PEM form (" + openssl_reason() + ")"});
        }
        const bool required = options.client_certificates == ClientCertificates::kRequired;
        SSL_CTX_set_verify(raw, SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0), nullptr);
    }
    for (const std::string& name : names) by_name_.emplace(name, identities_.size());  // who came first keeps a name
    identities_.push_back(
        {.context = std::move(context), .names = std::move(names), .key_types = {key_type}, .certificate = index});
    return true;
}

const TlsServer::Identity& TlsServer::identity_for(std::string_view asked) const {
    std::string name = lowercased(asked);
    if (name.ends_with('.')) name.pop_back();
    auto found = by_name_.find(name);
    if (found == by_name_.end()) {
        // RFC 6125 6.4.3: a wildcard stands for one whole label, the left-most.
        const std::size_t dot = name.find('.');
        if (dot != std::string::npos && dot > 0) found = by_name_.find("*" + name.substr(dot));
    }
    return identities_[found == by_name_.end() ? 0 : found->second];
}

std::size_t TlsServer::certificate_for(std::string_view name) const {
    return identity_for(name).certificate;
}

SslSession TlsServer::new_session() const {
    SslSession session(SSL_new(identities_.front().context.get()));
    if (session == nullptr) return nullptr;
    SSL_set_accept_state(session.get());
    return session;
}

}  // namespace weir::net
