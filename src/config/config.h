// The configuration as a value, read and checked: everything the gateway needs to know, nothing of YAML.
//
// A Config is immutable once loaded and shared by all workers; a reload makes a new one. Names are resolved: a route
// points at its upstream by index and at its limits by id. Defaults stand in schema.h, the one table of keys.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/identity.h"
#include "identity/lookup.h"
#include "log/logger.h"
#include "net/endpoint.h"
#include "net/reactor.h"
#include "net/tls.h"
#include "policy/content.h"
#include "policy/limits.h"
#include "policy/operation_rules.h"
#include "policy/path_pattern.h"
#include "protocol/graphql/analysis.h"
#include "store/store_address.h"
#include "store/store_tls.h"

namespace weir::config {

// How a TLS peer is verified. Two are equal when they are made of the same files and names.
struct TlsTrust {
    std::shared_ptr<const net::TlsClient> client;  // null: plain
    friend bool operator==(const TlsTrust& a, const TlsTrust& b) {
        if (a.client == nullptr || b.client == nullptr) return a.client == b.client;
        return a.client->fingerprint() == b.client->fingerprint();
    }
};

struct UpstreamAddress {
    std::string url;   // as written, for logs and explain
    std::string host;  // name or address text; empty for a Unix socket
    std::uint16_t port = 80;
    std::string unix_path;
    bool secure = false;      // https
    TlsTrust tls;             // set when it is
    std::string host_header;  // what a request that Weir makes itself says; proxied requests keep the client's Host
    friend bool operator==(const UpstreamAddress&, const UpstreamAddress&) = default;
};

struct Upstream {
    std::string name;
    std::vector<UpstreamAddress> addresses;
};

enum class OnLimit : std::uint8_t { kClose, kHttp429, kMark };

// Where the bodies of a route are GraphQL requests.
struct GraphqlRoute {
    policy::GraphqlRules rules;
    protocol::graphql::Bounds bounds;
    std::uint64_t batch_max = 10;               // requests in an array; 0: none is taken
    std::uint64_t subscriptions_max = 20;       // of a WebSocket at once; 0: no bound
    unsigned denied_status = 429;               // or 200
    std::uint64_t inspect_bytes = 1024 * 1024;  // a longer request body (or `operations` part) is refused
};

enum class DenyAs : std::uint8_t { kAuto, kError, kHttp429 };

// Where the bodies of a route are JSON-RPC messages, MCP's or others.
struct CallRoute {
    bool mcp = false;  // notifications/... are free, and tools/call is answered with a tool result
    policy::CallRules rules;
    DenyAs deny_as = DenyAs::kAuto;
    int code = 429;                             // of the JSON-RPC error
    std::uint64_t inspect_bytes = 1024 * 1024;  // a longer request body is refused
};

struct WebsocketRoute {
    std::vector<policy::LimitId> connect;  // empty: connecting is not limited
    OnLimit on_connect_limit = OnLimit::kClose;
    policy::MessageRules messages;  // no rules: messages are not limited
    std::uint64_t message_bytes_max = 1024 * 1024;
    std::uint64_t connections_max_per_subject = 0;  // 0: no bound
    std::optional<limit::Rate> notify;              // absent: every denial is answered
    std::optional<limit::Rate> close_after;         // absent: denials never close
    std::string answer;                             // template; empty: the built-in text
    Nanos ping_interval{0};                         // 0: Weir sends no pings of its own
    // Messages are operations. Those that are none (connection_init, ping ...) count by `messages`.
    std::optional<GraphqlRoute> graphql;
    std::optional<CallRoute> jsonrpc;
};

struct HttpRoute {
    std::vector<policy::LimitId> limits;   // empty: proxied and not limited
    OnLimit on_limit = OnLimit::kHttp429;  // or kMark
    std::uint64_t body_bytes_max = 0;      // 0: no bound, bodies stream
    // By method; of others `limits`. `none` is an empty list.
    std::vector<std::pair<std::string, std::vector<policy::LimitId>>> by_method;
    std::uint64_t cost_bytes = 0;  // a request costs one for each begun so many bytes of its body; 0: one
};

struct Route {
    std::string name;
    policy::PathPattern path;
    std::size_t upstream = 0;
    std::optional<WebsocketRoute> websocket;  // absent: a WebSocket passes as any request does, unlimited
    HttpRoute http;                           // counts in addition to what `graphql` or `calls` say
    std::optional<GraphqlRoute> graphql;
    std::optional<CallRoute> calls;  // `mcp` or `jsonrpc`
};

// `identity.lookup`.
struct Lookup {
    UpstreamAddress address;
    std::string target;  // in origin form, perhaps with a query
    std::vector<identity::CredentialSource> forward;
    Nanos cache = std::chrono::seconds(60);
    Nanos timeout = std::chrono::seconds(2);
    identity::OnLookupError on_error = identity::OnLookupError::kToken;
    std::uint64_t entries_max = 100'000;
    friend bool operator==(const Lookup&, const Lookup&) = default;
};

// A key set behind a URL, `identity.jwt.jwks`.
struct RemoteJwks {
    UpstreamAddress address;
    std::string target;  // in origin form, perhaps with a query
    Nanos refresh = std::chrono::hours(1);
};

struct Timeouts {
    Nanos handshake = std::chrono::seconds(10);  // a request head, whole; the upstream's 101; a PROXY header
    Nanos upstream_connect = std::chrono::seconds(5);
    Nanos upstream_response = std::chrono::seconds(60);  // from the request's end to the response's head
    Nanos body = std::chrono::seconds(60);               // between two pieces of a body
    Nanos keep_alive = std::chrono::seconds(75);         // an idle connection between requests
    Nanos idle = std::chrono::hours(1);                  // a WebSocket without a byte in either direction
    Nanos close = std::chrono::seconds(2);               // for the peer's half of a close
    Nanos drain = std::chrono::seconds(30);
};

struct Bounds {
    std::uint64_t connections_max = 100'000;            // downstream, in the process
    std::uint64_t upstream_idle_max = 64;               // pooled connections for each upstream address and worker
    std::uint64_t held_bodies_max = 256 * 1024 * 1024;  // bytes of bodies that wait to be judged, in the process
};

// A subject that is denied more often than `after` is blocked for `block_for`.
struct Penalty {
    limit::Rate after;
    Nanos block_for{0};
};

enum class OnStoreError : std::uint8_t { kClosed, kOpen, kLocal };

struct Listener {
    net::Endpoint endpoint;
    bool tls = false;
    friend bool operator==(const Listener&, const Listener&) = default;
};

struct Config {
    std::vector<Listener> listen;
    std::shared_ptr<const net::TlsServer> tls;  // null: no listener has TLS
    std::optional<net::Endpoint> admin;
    std::vector<Upstream> upstreams;
    identity::Options identity;
    std::optional<Lookup> lookup;    // absent: tokens and headers alone say who calls
    std::optional<RemoteJwks> jwks;  // set: `identity.jwt` verifies with its keys
    policy::SubjectOptions subject;
    std::shared_ptr<const policy::LimitTable> limits;
    std::vector<Route> routes;

    std::string key_prefix = "rl";
    bool disabled = false;      // RATELIMIT_DISABLE
    store::StoreAddress store;  // kMemory: this process
    store::StoreTls store_tls;  // set when its address says rediss
    OnStoreError on_store_error = OnStoreError::kClosed;
    Nanos store_timeout = std::chrono::milliseconds(20);
    std::uint64_t buckets_max = 1'000'000;
    std::string snapshot_path;  // empty: none

    std::vector<Cidr> allow_addresses, block_addresses;
    std::vector<std::string> allow_subjects, block_subjects;  // "user:monitoring"
    std::optional<Penalty> penalty;                           // absent: denials never block
    std::vector<std::string> cors_origins;
    bool shadow = false;

    LogLevel log_level = LogLevel::kInfo;
    log::Format log_format = log::Format::kJson;
    Nanos log_denial_interval = std::chrono::seconds(10);  // a denial is logged once per subject and limit per interval
    Timeouts timeouts;
    Bounds bounds;
    unsigned workers = 0;  // 0: one per core
    net::ReactorKind reactor = net::ReactorKind::kAuto;

    // The first route that matches the normalised path; null when none does.
    [[nodiscard]] const Route* find_route(std::string_view normalised_path) const;
    // The route of a request target. kNotFound when none matches; kMalformed when its path can't be matched, or when an
    // upstream that decodes "%2F" before it routes would read a path of another route ("/ws%2Fchat/").
    [[nodiscard]] Result<const Route*> route_of_target(std::string_view target) const;
};

}  // namespace weir::config
