// What a TLS handshake needs to know: certificates, keys, whom to trust. One TlsServer for the clients of listeners,
// one TlsClient for each host that Weir connects to. Who runs the handshakes is TlsReactor (tls_reactor.h).
//
//   std::string why;
//   const auto redis = TlsClient::make({.server_name = "cache.internal", .ca_pem = ca}, why);   // null: `why` tells
//   reactor.connect(endpoint, redis.get());
//
// Source: TLS 1.2 (RFC 5246) and 1.3 (RFC 8446), by OpenSSL 3.0. Older versions, compression, renegotiation and early
// data are off. Everything is given as PEM text: nothing here opens a file, but for the system's authorities.
//
// Immutable once made, so any thread may use them; TicketKeys is locked.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <openssl/types.h>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace weir::net {

enum class TlsVersion : std::uint8_t { k1_2, k1_3 };

struct FreeSsl {
    void operator()(SSL_CTX* context) const;
    void operator()(SSL* session) const;
};
using SslContext = std::unique_ptr<SSL_CTX, FreeSsl>;
using SslSession = std::unique_ptr<SSL, FreeSsl>;

struct TlsClientOptions {
    std::string server_name = {};      // whose certificate it must be: a host name, asked for by SNI, or an address
    std::string ca_pem = {};           // whom to trust; empty: the system's authorities
    std::string certificate_pem = {};  // our own, with its chain; empty: none
    std::string key_pem = {};
    bool verify = true;
    TlsVersion version_least = TlsVersion::k1_2;
    std::string alpn = {};  // "http/1.1"; empty: the extension is not sent
};

class TlsClient {
  public:
    // Null when something of it can't be used; `why` is a sentence for people.
    [[nodiscard]] static std::shared_ptr<const TlsClient> make(const TlsClientOptions& options, std::string& why);
    // The same for another host, which shares all the rest.
    [[nodiscard]] std::shared_ptr<const TlsClient> for_server(std::string server_name) const;

    [[nodiscard]] const std::string& server_name() const { return server_name_; }
    [[nodiscard]] bool verifies() const { return verify_; }
    // Equal for two that were made of the same.
    [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }
    // For TlsReactor; null without memory.
    [[nodiscard]] SslSession new_session() const;

  private:
    TlsClient(std::shared_ptr<SSL_CTX> context, std::string server_name, bool verify, std::string fingerprint);

    std::shared_ptr<SSL_CTX> context_;
    std::string server_name_;
    bool verify_;
    std::string fingerprint_;
};

// The keys that session tickets are sealed with (RFC 5077 4, RFC 8446 4.6.1): shared by all workers, and kept over a
// reload, so that a client may come back to any of them. A key seals for kSealFor, and opens for twice as long again.
class TicketKeys {
  public:
    static constexpr Nanos kSealFor = std::chrono::hours(4);
    static constexpr std::size_t kNameBytes = 16;

    struct Key {
        std::array<std::uint8_t, kNameBytes> name;
        std::array<std::uint8_t, 32> cipher;
        std::array<std::uint8_t, 32> mac;
    };
    // The key to seal with now; nullopt without randomness.
    [[nodiscard]] std::optional<Key> sealing(MonoTime now);
    struct Opening {
        Key key;
        bool current;  // else the client gets a new ticket
    };
    [[nodiscard]] std::optional<Opening> opening(const std::uint8_t* name, MonoTime now);

    TicketKeys() = default;
    ~TicketKeys();
    TicketKeys(const TicketKeys&) = delete;
    TicketKeys& operator=(const TicketKeys&) = delete;

  private:
    struct Aged {
        Key key;
        MonoTime since;
    };
    void rotate(MonoTime now);

    std::mutex mutex_;
    std::vector<Aged> keys_;  // newest first
};

// Who a server session reads and writes ticket keys of. The session's application data points at one.
struct TicketSource {
    virtual TicketKeys* ticket_keys() = 0;  // null: no tickets
    virtual MonoTime ticket_time() = 0;

  protected:
    ~TicketSource() = default;
};

enum class ClientCertificates : std::uint8_t { kNone, kOptional, kRequired };

struct TlsServerOptions {
    struct Certificate {
        std::string certificate_pem = {};  // with its chain
        std::string key_pem = {};
    };
    std::vector<Certificate> certificates = {};  // a client that asks for none of their names gets the first
    std::string client_ca_pem = {};              // whose certificates of clients count
    ClientCertificates client_certificates = ClientCertificates::kNone;
    TlsVersion version_least = TlsVersion::k1_2;
};

// What of the options can't be used, and why.
struct TlsProblem {
    enum class Part : std::uint8_t { kCertificate, kKey, kClientCa, kOther } part = Part::kOther;
    std::size_t certificate = 0;
    std::string why = {};
};

class TlsServer {
  public:
    [[nodiscard]] static std::shared_ptr<const TlsServer> make(const TlsServerOptions& options, TlsProblem& problem);
    ~TlsServer();
    TlsServer(const TlsServer&) = delete;
    TlsServer& operator=(const TlsServer&) = delete;

    // For TlsReactor; null without memory. The session needs this server, and a TicketSource as its application data,
    // for as long as it lives.
    [[nodiscard]] SslSession new_session() const;
    // The certificate that a client which asks for `name` gets: its index in what `make` was given.
    [[nodiscard]] std::size_t certificate_for(std::string_view name) const;
    // When the first of its certificates ends, as the certificates say it: seconds since 1970.
    [[nodiscard]] std::int64_t expires() const { return expires_; }

  private:
    struct Identity {
        SslContext context;
        std::vector<std::string> names;  // in lower case, sorted
        std::vector<int> key_types;
        std::size_t certificate = 0;
    };
    friend struct TlsCallbacks;

    TlsServer() = default;
    [[nodiscard]] bool add(const TlsServerOptions& options, std::size_t index, TlsProblem& problem);
    [[nodiscard]] const Identity& identity_for(std::string_view name) const;

    std::vector<Identity> identities_;
    std::map<std::string, std::size_t, std::less<>> by_name_;  // "*.example.org" too
    std::int64_t expires_ = 0;
};

}  // namespace weir::net
