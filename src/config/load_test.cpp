#include "config/load.h"

#include <gtest/gtest.h>

#include "config/test_load.h"

namespace weir::config {
namespace {

using namespace std::chrono_literals;

constexpr const char* kSecret = "JWT_SECRET=0123456789abcdef0123456789abcdef";

const limit::BucketRule& rule(const Config& config, std::string_view limit, policy::TierId tier) {
    return config.limits->at(config.limits->find(limit)).rules[tier];
}

// Every key of the table, none with its default.
constexpr const char* kEverything = R"(
listen: ["127.0.0.1:8081", "unix:/run/weir.sock"]
admin: 127.0.0.1:9181
upstreams: {app: ["http://10.0.0.1:81", "http://b.internal"], other: "unix:/run/app.sock"}
trusted_proxies: [10.0.0.0/8]
client_address: {from: forwarded, ipv6_prefix: 56, trust_unix: false}
identity:
  jwt:
    from: ["cookie:session", "subprotocol:app.jwt"]
    secret: 0123456789abcdef0123456789abcdef
    issuer: https://id.example/
    audience: chat
    leeway: 30s
    claims: {user: [sub, username], tier: plan, superuser: admin, usage_capped: capped}
    on_invalid: reject
  lookup:
    url: http://app.internal:8000/whoami
    forward: ["cookie:sessionid", "query:key"]
    cache: 30s
    timeout: 500ms
    on_error: reject
    max_entries: 1000
  trusted_headers: {user: X-User, tier: X-Tier}
tiers: {partner: 5, anonymous: 1}
default_algorithm: fixed_window
limits:
  READ_MEDIUM: 40/m
  CHAT: {rate: 7/m, partner: 100/m, algorithm: gcra, burst: 3, group: talk, per: [user, "claim:org_id"],
         count_denied: true, shadow: true}
routes:
  - name: chat
    path: /ws/*/chat/
    upstream: other
    websocket:
      connect: [WS_CONNECT, CHAT]
      max_message_bytes: 2MiB
      max_connections: {per_subject: 3}
      inspect_bytes: 4KiB
      ping_interval: 30s
      messages:
        - when: {json: {has: /a/b, equals: {type: ping, "/n": 1.5}}, binary: false}
          limit: none
        - when: {any: [{larger_than: 4KiB}, {not: {all: [{json: {has: q}}]}}]}
          limit: CHAT
        - limit: [WS_MESSAGE]
      on_limit: {connect: http_429, notify: 1/s, close_after: 20/m, answer: 'no {retry_after}'}
  - path: /**
    upstream: app
    http: {limit: READ_MEDIUM, on_limit: mark, max_body_bytes: 3MiB}
store: memory
key_prefix: mine
memory: {max_buckets: 2048, snapshot: /tmp/s}
on_store_error: local
store_timeout: 30ms
allow: [10.1.0.0/16, "user:monitoring"]
block: ["user:mallory", 203.0.113.0/24]
cors: {origins: ["https://app.example"]}
shadow: true
disabled: false
log: {level: debug, format: text, denial_interval: 1m}
timeouts: {handshake: 1s, upstream_connect: 2s, upstream_response: 3s, body: 4s, keep_alive: 5s, idle: 6s, close: 7s,
           drain: 8s}
bounds: {max_connections: 10, max_idle_upstream: 1, max_held_bodies: 2MiB}
workers: 2
reactor: epoll
)";

TEST(Load, EveryKeyReachesItsPlace) {
    const Loaded loaded = load_text(kEverything);
    ASSERT_EQ(messages(loaded.problems), "");
    EXPECT_EQ(messages(loaded.warnings), "");
    const Config& c = *loaded.config;
    ASSERT_EQ(c.listen.size(), 2U);
    EXPECT_EQ(c.listen[0].endpoint.to_string(), "127.0.0.1:8081");
    EXPECT_EQ(c.listen[1].endpoint.unix_path, "/run/weir.sock");
    EXPECT_EQ(c.admin->port, 9181);
    ASSERT_EQ(c.upstreams.size(), 2U);
    EXPECT_EQ(c.upstreams[0].addresses[1].host, "b.internal");
    EXPECT_EQ(c.upstreams[1].addresses[0].unix_path, "/run/app.sock");
    EXPECT_EQ(c.identity.trusted_proxies.at(0).to_string(), "10.0.0.0/8");
    EXPECT_EQ(c.identity.address_source, identity::AddressSource::kForwarded);
    EXPECT_FALSE(c.identity.trust_unix_peers);
    EXPECT_EQ(c.subject.ipv6_prefix_bits, 56U);
    EXPECT_EQ(c.identity.limits, c.limits.get());
    EXPECT_EQ(c.identity.attributes, std::vector<std::string>{"claim:org_id"});

    const identity::JwtOptions& jwt = *c.identity.jwt;
    ASSERT_EQ(jwt.from.size(), 2U);
    EXPECT_EQ(jwt.from[1].kind, identity::TokenSource::Kind::kSubprotocol);
    EXPECT_EQ(jwt.from[1].name, "app.jwt");
    EXPECT_NE(jwt.keys, nullptr);
    EXPECT_EQ(jwt.requirements.issuer, "https://id.example/");
    EXPECT_EQ(jwt.requirements.audience, "chat");
    EXPECT_EQ(jwt.requirements.leeway, 30s);
    EXPECT_EQ(jwt.claims.user, (std::vector<std::string>{"sub", "username"}));
    EXPECT_EQ(jwt.claims.tier, std::vector<std::string>{"plan"});
    EXPECT_EQ(jwt.claims.superuser, std::vector<std::string>{"admin"});
    EXPECT_EQ(jwt.claims.usage_capped, std::vector<std::string>{"capped"});
    EXPECT_TRUE(jwt.reject_invalid);
    EXPECT_EQ(c.lookup->address.host, "app.internal");
    EXPECT_EQ(c.lookup->target, "/whoami");
    ASSERT_EQ(c.lookup->forward.size(), 2U);
    EXPECT_EQ(c.lookup->forward[1], (identity::CredentialSource{identity::CredentialSource::Kind::kQuery, "key"}));
    EXPECT_EQ(c.lookup->cache, Nanos(30s));
    EXPECT_EQ(c.lookup->timeout, Nanos(500ms));
    EXPECT_EQ(c.lookup->on_error, identity::OnLookupError::kReject);
    EXPECT_EQ(c.lookup->entries_max, 1000U);
    EXPECT_EQ(c.identity.trusted_headers->user, "X-User");
    EXPECT_EQ(c.identity.trusted_headers->tier, "X-Tier");

    const policy::TierId partner = *c.limits->find_tier("partner");
    EXPECT_EQ(rule(c, "READ_MEDIUM", policy::kAuthenticated).rate.count, 80U);
    EXPECT_EQ(rule(c, "READ_MEDIUM", partner).rate.count, 200U);
    EXPECT_EQ(rule(c, "READ_MEDIUM", partner).algorithm, limit::Algorithm::kFixedWindow);
    const policy::Limit& chat = c.limits->at(c.limits->find("CHAT"));
    EXPECT_EQ(chat.group, "talk");
    EXPECT_EQ(chat.per.size(), 2U);
    EXPECT_TRUE(chat.shadow);
    EXPECT_EQ(chat.rules[partner].rate, (limit::Rate{100, 60s}));
    EXPECT_EQ(chat.rules[policy::kAnonymous].rate, (limit::Rate{7, 60s}));
    EXPECT_EQ(chat.rules[policy::kAnonymous].burst, 3U);
    EXPECT_TRUE(chat.rules[policy::kAnonymous].count_denied);

    EXPECT_EQ(c.key_prefix, "mine");
    EXPECT_EQ(c.buckets_max, 2048U);
    EXPECT_EQ(c.snapshot_path, "/tmp/s");
    EXPECT_EQ(c.on_store_error, OnStoreError::kLocal);
    EXPECT_EQ(c.store_timeout, Nanos(30ms));
    EXPECT_EQ(c.allow_addresses.at(0).to_string(), "10.1.0.0/16");
    EXPECT_EQ(c.allow_subjects, std::vector<std::string>{"user:monitoring"});
    EXPECT_EQ(c.block_addresses.at(0).to_string(), "203.0.113.0/24");
    EXPECT_EQ(c.block_subjects, std::vector<std::string>{"user:mallory"});
    EXPECT_EQ(c.cors_origins, std::vector<std::string>{"https://app.example"});
    EXPECT_TRUE(c.shadow);
    EXPECT_FALSE(c.disabled);
    EXPECT_EQ(c.log_level, LogLevel::kDebug);
    EXPECT_EQ(c.log_format, log::Format::kText);
    EXPECT_EQ(c.log_denial_interval, Nanos(1min));
    const Timeouts& t = c.timeouts;
    const std::vector<Nanos> all{
        t.handshake, t.upstream_connect, t.upstream_response, t.body, t.keep_alive, t.idle, t.close, t.drain};
    for (std::size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i], Nanos(std::chrono::seconds(i + 1)));
    EXPECT_EQ(c.bounds.connections_max, 10U);
    EXPECT_EQ(c.bounds.held_bodies_max, 2U * 1024 * 1024);
    EXPECT_EQ(c.bounds.upstream_idle_max, 1U);
    EXPECT_EQ(c.workers, 2U);
    EXPECT_EQ(c.reactor, net::ReactorKind::kEpoll);
}

TEST(Load, RoutesResolveTheirNames) {
    const Loaded loaded = load_text(kEverything);
    ASSERT_EQ(messages(loaded.problems), "");
    const Config& c = *loaded.config;
    const Route* chat = c.find_route("/ws/7/chat/");
    ASSERT_NE(chat, nullptr);
    EXPECT_EQ(chat->name, "chat");
    EXPECT_EQ(chat->upstream, 1U);
    const WebsocketRoute& websocket = *chat->websocket;
    EXPECT_EQ(websocket.connect, (std::vector{c.limits->find("WS_CONNECT"), c.limits->find("CHAT")}));
    EXPECT_EQ(websocket.on_connect_limit, OnLimit::kHttp429);
    EXPECT_EQ(websocket.message_bytes_max, 2U * 1024 * 1024);
    EXPECT_EQ(websocket.connections_max_per_subject, 3U);
    EXPECT_EQ(websocket.messages.inspect_bytes(), 4096U);
    EXPECT_EQ(websocket.ping_interval, Nanos(30s));
    EXPECT_EQ(websocket.notify, (limit::Rate{1, 1s}));
    EXPECT_EQ(websocket.close_after, (limit::Rate{20, 60s}));
    EXPECT_EQ(websocket.answer, "no {retry_after}");

    const auto& rules = websocket.messages.rules();
    ASSERT_EQ(rules.size(), 3U);
    EXPECT_TRUE(rules[0].unlimited);
    const auto& all = std::get<policy::Condition::All>(rules[0].when->is).of;
    ASSERT_EQ(all.size(), 4U);
    EXPECT_EQ(std::get<policy::Condition::JsonHas>(all[0].is).pointer, "/a/b");
    EXPECT_EQ(std::get<policy::Condition::JsonEquals>(all[1].is).value, policy::JsonScalar(std::string("ping")));
    EXPECT_EQ(std::get<policy::Condition::JsonEquals>(all[2].is).value, policy::JsonScalar(1.5));
    EXPECT_FALSE(std::get<policy::Condition::Binary>(all[3].is).binary);
    const auto& any = std::get<policy::Condition::Any>(rules[1].when->is).of;
    EXPECT_EQ(std::get<policy::Condition::LargerThan>(any.at(0).is).bytes, 4096U);
    EXPECT_TRUE(std::holds_alternative<policy::Condition::Not>(any.at(1).is));
    EXPECT_EQ(rules[2].when, nullptr);

    const Route* rest = c.find_route("/other");
    ASSERT_NE(rest, nullptr);
    EXPECT_EQ(rest->name, "/**");
    EXPECT_FALSE(rest->websocket);
    EXPECT_EQ(rest->http.on_limit, OnLimit::kMark);
    EXPECT_EQ(rest->http.body_bytes_max, 3U * 1024 * 1024);
}

TEST(Load, DefaultsOfTheTableAreThoseOfTheStruct) {
    const Loaded loaded = load_text(kUpstream);
    ASSERT_EQ(messages(loaded.problems), "");
    const Config& c = *loaded.config;
    const Config standard;
    EXPECT_EQ(c.listen.at(0).endpoint.to_string(), "0.0.0.0:8080");
    EXPECT_FALSE(c.admin);
    EXPECT_EQ(c.key_prefix, standard.key_prefix);
    EXPECT_EQ(c.store_timeout, standard.store_timeout);
    EXPECT_EQ(c.buckets_max, standard.buckets_max);
    EXPECT_EQ(c.log_level, standard.log_level);
    EXPECT_EQ(c.log_denial_interval, standard.log_denial_interval);
    EXPECT_EQ(c.timeouts.handshake, standard.timeouts.handshake);
    EXPECT_EQ(c.timeouts.upstream_connect, standard.timeouts.upstream_connect);
    EXPECT_EQ(c.timeouts.upstream_response, standard.timeouts.upstream_response);
    EXPECT_EQ(c.timeouts.body, standard.timeouts.body);
    EXPECT_EQ(c.timeouts.keep_alive, standard.timeouts.keep_alive);
    EXPECT_EQ(c.timeouts.idle, standard.timeouts.idle);
    EXPECT_EQ(c.timeouts.close, standard.timeouts.close);
    EXPECT_EQ(c.timeouts.drain, standard.timeouts.drain);
    EXPECT_EQ(c.bounds.connections_max, standard.bounds.connections_max);
    EXPECT_EQ(c.bounds.upstream_idle_max, standard.bounds.upstream_idle_max);
    EXPECT_EQ(c.workers, 0U);
    ASSERT_EQ(c.routes.size(), 1U);
    EXPECT_EQ(c.routes[0].websocket->message_bytes_max, WebsocketRoute{}.message_bytes_max);
    EXPECT_EQ(c.routes[0].websocket->messages.rules().size(), 1U);
}

struct Bad {
    const char* text;  // behind the line of upstreams, so that its first line is line 2
    const char* message;
};

void PrintTo(const Bad& bad, std::ostream* out) {
    *out << bad.text;
}

class LoadRefuses : public testing::TestWithParam<Bad> {};

TEST_P(LoadRefuses, AndSaysWhereAndWhy) {
    const Loaded loaded = load_text(kUpstream + std::string(GetParam().text));
    EXPECT_EQ(loaded.config, nullptr);
    EXPECT_EQ(messages(loaded.problems), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Files, LoadRefuses,
    testing::Values(
        Bad{"ruotes: []\n", "weir.yaml:2:1: unknown key 'ruotes', did you mean 'routes'?\n"},
        Bad{"log: {colour: red}\n",
            "weir.yaml:2:7: unknown key 'colour', expected one of level, format, denial_interval\n"},
        Bad{"shadow: true\nshadow: false\n", "weir.yaml:3:1: duplicate key 'shadow', already set on line 2\n"},
        Bad{"shadow: yes\n", "weir.yaml:2:9: shadow: found 'yes', expected true or false\n"},
        Bad{"shadow: 'true'\n", "weir.yaml:2:9: shadow: found the text 'true', expected true or false\n"},
        Bad{"shadow: [true]\n", "weir.yaml:2:9: shadow: found a list, expected true or false\n"},
        Bad{"shadow:\nworkers: 1\n", "weir.yaml:2:1: shadow: found nothing, expected true or false\n"},
        Bad{"timeouts: {idle: 10}\n",
            "weir.yaml:2:18: timeouts.idle: found '10', expected a duration such as 20ms, 10s, 5m, 1h or 2d from 10ms "
            "to 30d\n"},
        Bad{"timeouts: {idle: 31d}\n",
            "weir.yaml:2:18: timeouts.idle: found '31d', expected a duration such as 20ms, 10s, 5m, 1h or 2d from 10ms "
            "to 30d\n"},
        Bad{"timeouts: 5s\n", "weir.yaml:2:11: timeouts: found '5s', expected a map of keys\n"},
        Bad{"workers: 0\n", "weir.yaml:2:10: workers: found '0', expected auto, or a whole number from 1 to 1024\n"},
        Bad{"log: {level: loud}\n",
            "weir.yaml:2:14: log.level: found 'loud', expected one of trace, debug, info, warning, error\n"},
        Bad{"listen: nowhere\n",
            "weir.yaml:2:9: listen: found 'nowhere', expected ADDRESS:PORT, [ADDRESS]:PORT, *:PORT, one of these "
            "behind "
            "http:// or https://, or unix:/PATH\n"},
        Bad{"listen: [127.0.0.1:80, 127.0.0.1:80]\n", "weir.yaml:2:24: listen: '127.0.0.1:80' stands here twice\n"},
        Bad{"admin: 0.0.0.0:9180\n",
            "weir.yaml:2:8: admin: '0.0.0.0:9180' is not a loopback address; anyone could ask, and tokens for the "
            "admin "
            "interface are not available in this version\n"},
        Bad{"tls: {certificate: a, key: b}\n",
            "weir.yaml:2:20: can't read the file 'a'\nweir.yaml:2:28: can't read the file 'b'\n"},
        Bad{"service: {listen: 127.0.0.1:1}\n", "weir.yaml:2:1: 'service' is not available in this version\n"},
        Bad{"penalty: {after: often}\n",
            "weir.yaml:2:18: penalty.after: found 'often', expected a rate such as 30/m, 5/10s or 3/h\n"},
        Bad{"penalty: {block_for: 100ms}\n",
            "weir.yaml:2:22: penalty.block_for: found '100ms', expected a duration such as 20ms, 10s, 5m, 1h or 2d "
            "from 1s to 366d\n"},
        Bad{"penalty: {for: 1h}\n", "weir.yaml:2:11: unknown key 'for', expected one of after, block_for\n"},
        Bad{"penalty: 1h\n", "weir.yaml:2:10: penalty: found '1h', expected a map of keys\n"},
        Bad{"identity: {lookup: {cache: 1s}}\n",
            "weir.yaml:2:20: identity.lookup: expected 'url', where the application is asked\n"},
        Bad{"tls: {key: b}\n",
            "weir.yaml:2:6: tls: expected 'certificate', a PEM file\nweir.yaml:2:12: tls: 'key' without "
            "'certificate'\n"},
        Bad{"listen: https://0.0.0.0:443\n",
            "weir.yaml:2:9: listen: 'https://0.0.0.0:443' needs a certificate, expected 'tls: {certificate: FILE, key: "
            "FILE}'\n"},
        Bad{"listen: https://unix:/x\n",
            "weir.yaml:2:9: listen: found 'https://unix:/x', expected ADDRESS:PORT, [ADDRESS]:PORT, *:PORT, one of "
            "these behind http:// or https://, or unix:/PATH\n"},
        Bad{"upstream_tls: {b: {verify: maybe}}\n",
            "weir.yaml:2:16: upstream_tls: there is no upstream 'b'\nweir.yaml:2:28: upstream_tls.b.verify: found "
            "'maybe', expected true or false\n"},
        Bad{"identity: {lookup: {url: http://a/who, forward: [session, header:Host]}}\n",
            "weir.yaml:2:50: identity.lookup.forward: found 'session', expected authorization, cookie:NAME, "
            "header:NAME "
            "or query:NAME\nweir.yaml:2:59: identity.lookup.forward: found 'header:Host', expected authorization, "
            "cookie:NAME, header:NAME or query:NAME; this field belongs to the message and is no credential\n"},
        Bad{"identity: {lookup: {url: http://a/who, forward: []}}\n",
            "weir.yaml:2:49: identity.lookup.forward: the list is empty, so that nobody is ever asked about\n"},
        Bad{"identity: {lookup: {url: http://a/who, forward: [authorization, authorization]}}\n",
            "weir.yaml:2:65: identity.lookup.forward: 'authorization' stands here twice\n"},
        Bad{"store: redis://user:secret@h:6379/x\n",
            "weir.yaml:2:8: store: found 'redis://***@h:6379/x', expected memory, redis://HOST:PORT/DB, unix:/PATH, "
            "redis+cluster://HOST:PORT,... or redis+sentinel://HOST:PORT,.../MASTER; the number of a database is from "
            "0 to 65535\n"},
        Bad{"identity: {jwt: {jwks: http://id.example/jwks}}\n",
            "weir.yaml:2:24: identity.jwt.jwks: found 'http://id.example/jwks', expected the path of a file, "
            "https://HOST[:PORT]/PATH, or on loopback http://HOST[:PORT]/PATH; keys that come over http:// from "
            "another "
            "machine may be anybody's\n"},
        Bad{"identity: {jwt: {jwks: https://u:p@id.example/jwks}}\n",
            "weir.yaml:2:24: identity.jwt.jwks: found 'https://u:p@id.example/jwks', expected the path of a file, "
            "https://HOST[:PORT]/PATH, or on loopback http://HOST[:PORT]/PATH; a URL with a user is not spoken here\n"},
        Bad{"identity: {jwt: {jwks: https://id.example/jwks, jwks_ca: /none}}\n",
            "weir.yaml:2:58: can't read the file '/none'\n"},
        Bad{"identity: {jwt: {public_key: https://id.example/key.pem}}\n",
            "weir.yaml:2:30: identity.jwt.public_key: found 'https://id.example/key.pem', expected the path of a file; "
            "URLs are not available in this version\nweir.yaml:2:30: can't read the file "
            "'https://id.example/key.pem'\n"},
        Bad{"identity: {jwt: {issuer: x}}\n",
            "weir.yaml:2:17: identity.jwt: expected exactly one of 'secret', 'public_key' and 'jwks'\n"},
        Bad{"identity: {jwt: {secret: a, jwks: b}}\n",
            "weir.yaml:2:35: identity.jwt: expected exactly one of 'secret', 'public_key' and 'jwks'\n"},
        Bad{"identity: {jwt: {public_key: /none}}\n", "weir.yaml:2:30: can't read the file '/none'\n"},
        Bad{"identity: {jwt: {secret: '', on_invalid: reject}}\n",
            "weir.yaml:2:26: identity.jwt.secret is empty, and 'on_invalid: reject' would refuse every token\n"},
        Bad{"trusted_proxies: [10.0.0.1/8]\n",
            "weir.yaml:2:19: trusted_proxies: found '10.0.0.1/8', expected an address or a network such as "
            "10.0.0.0/8\n"},
        Bad{"limits: {WS_MESSAGE: fast}\n",
            "weir.yaml:2:22: limits.WS_MESSAGE: found 'fast', expected a rate such as 30/m, 5/10s or 3/h\n"},
        Bad{"limits: {X: {rate: 1/m, bursd: 1}}\n", "weir.yaml:2:25: unknown key 'bursd', did you mean 'burst'?\n"},
        Bad{"limits: {X: {rate: 1/m, per: galaxy}}\n",
            "weir.yaml:2:30: limits.X.per: found 'galaxy', expected ip, user, connection, global, claim:NAME or "
            "header:NAME\n"},
        Bad{"limits: {none: 1/m}\n", "weir.yaml:2:10: limit none: this name is reserved\n"},
        Bad{"tiers: {gold: 0}\n",
            "weir.yaml:2:15: tiers.gold: found '0', expected a number from 0.000001 to 1000000\n"},
        Bad{"tiers: {burst: 2}\n", "weir.yaml:2:9: 'burst' is no name for a tier: limits have a key of this name\n"},
        Bad{"routes: []\n", "weir.yaml:2:9: there are no routes, expected at least one\n"},
        Bad{"routes: {path: /}\n", "weir.yaml:2:9: routes: found a map, expected a list of maps\n"},
        Bad{"routes: [{name: a}]\n", "weir.yaml:2:10: a route needs a 'path'\n"},
        Bad{"routes:\n  - path: /\n  - path: /\n    name: /\n",
            "weir.yaml:5:11: a second route is named '/'; names must differ\n"},
        Bad{"routes: [{path: /, upstream: b}]\n", "weir.yaml:2:30: unknown upstream 'b', expected one of app\n"},
        Bad{"routes: [{path: /, http: {limit: READ_LITE}}]\n",
            "weir.yaml:2:34: unknown limit 'READ_LITE', did you mean 'READ_LIGHT'?\n"},
        Bad{"routes: [{path: /, http: {limit: [none, READ_LIGHT]}}]\n",
            "weir.yaml:2:35: 'none' stands alone, not in a list with limits\n"},
        Bad{"routes: [{path: /, http: {limit: [READ_LIGHT, READ_LIGHT]}}]\n",
            "weir.yaml:2:47: limit 'READ_LIGHT' stands here twice\n"},
        Bad{"routes: [{path: /, http: {on_limit: close}}]\n",
            "weir.yaml:2:37: routes.http.on_limit: found 'close', expected one of http_429, mark\n"},
        Bad{"routes: [{path: /, websocket: {messages: [{when: {binary: true}}]}}]\n",
            "weir.yaml:2:43: a message rule needs a 'limit': a name, a list or none\n"},
        Bad{"routes:\n  - path: /\n    websocket:\n      messages:\n        - limit: WS_MESSAGE\n        - limit: "
            "none\n",
            "weir.yaml:7:11: this rule is never reached: the one before has no 'when' and matches every message\n"},
        Bad{"routes: [{path: /, websocket: {messages: [{when: {json: {hsa: q}}, limit: none}]}}]\n",
            "weir.yaml:2:58: unknown key 'hsa', did you mean 'has'?\n"},
        Bad{"routes: [{path: /, websocket: {messages: [{when: {}, limit: none}]}}]\n",
            "weir.yaml:2:50: routes.websocket.messages.when: the condition is empty\n"},
        Bad{"routes: [{path: /, websocket: {messages: [{when: {json: {has: /a~b}}, limit: none}]}}]\n",
            "weir.yaml:2:63: '/a~b' is no JSON Pointer, expected '~0' or '~1' for '~' and '/'\n"},
        Bad{"allow: [someone]\n",
            "weir.yaml:2:9: allow: found 'someone', expected an address, a network such as 10.0.0.0/8, or user:NAME\n"},
        Bad{"cors: {origins: app.example}\n",
            "weir.yaml:2:17: cors.origins: found 'app.example', expected an origin such as https://app.example, or "
            "\"*\"\n"},
        Bad{"key_prefix: 'a{b'\n",
            "weir.yaml:2:13: key_prefix: found 'a{b', expected a name of letters, digits, '_', '-', '.' and ':'\n"},
        Bad{"workers: ${NONE}\n",
            "weir.yaml:2:10: the environment variable NONE is not set, and ${NONE} has no default; expected "
            "${NONE:-default} or a variable that is set\n"}));

TEST(Load, TellsAllProblemsAtOnceInTheOrderOfTheFile) {
    const Loaded loaded = load_text("shadow: maybe\nupstreams: {app: wss://a}\nroutes: [{path: nowhere}]\ntls: {}\n",
                                    {"RATELIMIT_IPV6_MASK=200"});
    ASSERT_EQ(loaded.problems.size(), 5U) << messages(loaded.problems);
    for (int i = 0; i < 4; ++i) EXPECT_EQ(loaded.problems[static_cast<std::size_t>(i)].line, i + 1);
    EXPECT_EQ(loaded.problems[4].file, "environment");
}

TEST(Load, AnEmptyFileLacksItsUpstreams) {
    for (const char* text : {"", "# nothing\n", "upstreams:\n", "upstreams: {}\n"}) {
        const Loaded loaded = load_text(text);
        ASSERT_EQ(loaded.problems.size(), 1U) << text << messages(loaded.problems);
        EXPECT_TRUE(loaded.problems[0].message.starts_with("'upstreams' names no backend"))
            << messages(loaded.problems);
        EXPECT_EQ(loaded.problems[0].line, 1);
    }
    EXPECT_EQ(messages(load_text("just text\n").problems),
              "weir.yaml:1:1: found 'just text', expected a map of keys such as 'upstreams: {app: ...}'\n");
}

TEST(Load, SeveralUpstreamsMustBeNamedByEachRoute) {
    const Loaded loaded = load_text("upstreams: {a: http://a, b: http://b}\nroutes: [{path: /}]\n");
    EXPECT_EQ(messages(loaded.problems),
              "weir.yaml:2:10: a route needs an 'upstream' where there are several, expected one of a, b\n");
}

TEST(Load, TheEnvironmentWinsOverTheFile) {
    const Loaded loaded = load_text(
        "upstreams: {app: http://a}\nlimits: {WS_MESSAGE: {authenticated: 7/m, anonymous: 6/m}, READ_LIGHT: 1/m}\n"
        "key_prefix: file\nclient_address: {ipv6_prefix: 48}\non_store_error: closed\n",
        {"RATELIMIT_WS_MESSAGE=9/m", "RATELIMIT_READ_LIGHT=11/m", "RATELIMIT_WS_AI_QUERY_ANONYMOUS=2/h",
         "RATELIMIT_DISABLE=true", "RATELIMIT_FAIL_OPEN=1", "RATELIMIT_KEY_PREFIX=env", "RATELIMIT_IPV6_MASK=56"});
    ASSERT_EQ(messages(loaded.problems), "");
    const Config& c = *loaded.config;
    EXPECT_EQ(rule(c, "WS_MESSAGE", policy::kAuthenticated).rate, (limit::Rate{9, 60s}));
    EXPECT_EQ(rule(c, "READ_LIGHT", policy::kAuthenticated).rate, (limit::Rate{22, 60s}));
    EXPECT_EQ(rule(c, "WS_AI_QUERY", policy::kAnonymous).rate, (limit::Rate{2, 3600s}));
    EXPECT_TRUE(c.disabled);
    EXPECT_EQ(c.on_store_error, OnStoreError::kOpen);
    EXPECT_EQ(c.key_prefix, "env");
    EXPECT_EQ(c.subject.ipv6_prefix_bits, 56U);
    EXPECT_EQ(messages(loaded.warnings),
              "environment: limits are disabled: everything is allowed, nothing is counted\n");
}

TEST(Load, FailOpenFalseTakesBackAnOpenAndNothingElse) {
    const auto with = [](const char* mode) {
        return load_text(std::string(kUpstream) + "on_store_error: " + mode + "\n", {"RATELIMIT_FAIL_OPEN=false"})
            .config->on_store_error;
    };
    EXPECT_EQ(with("open"), OnStoreError::kClosed);
    EXPECT_EQ(with("closed"), OnStoreError::kClosed);
    EXPECT_EQ(with("local"), OnStoreError::kLocal);
}

TEST(Load, ABadVariableStopsTheStartAndNamesItself) {
    const Loaded loaded =
        load_text(kUpstream, {"RATELIMIT_DISABLE=maybe", "RATELIMIT_FAIL_OPEN=", "RATELIMIT_KEY_PREFIX=a b",
                              "RATELIMIT_IPV6_MASK=129", "RATELIMIT_WS_MESSAGE=fast", "RATELIMIT_UNRELATED=x"});
    EXPECT_EQ(loaded.config, nullptr);
    const std::string all = messages(loaded.problems);
    EXPECT_EQ(loaded.problems.size(), 5U) << all;
    for (const char* text : {"environment: RATELIMIT_DISABLE: found 'maybe', expected true or false\n",
                             "environment: RATELIMIT_FAIL_OPEN: found '', expected true or false\n",
                             "environment: RATELIMIT_KEY_PREFIX: found 'a b', expected a name",
                             "environment: RATELIMIT_IPV6_MASK: found '129', expected a whole number from 1 to 128\n",
                             "RATELIMIT_WS_MESSAGE"}) {
        EXPECT_NE(all.find(text), std::string::npos) << text << "\nin\n" << all;
    }
}

TEST(Load, TheCommandLineWinsOverTheFile) {
    Sources sources;
    sources.text = std::string(kUpstream) + "listen: 0.0.0.0:1\nadmin: 127.0.0.1:2\n";
    sources.listen = "127.0.0.1:3, [::1]:4";
    sources.admin = "127.0.0.1:5";
    const Loaded loaded = load(sources);
    ASSERT_EQ(messages(loaded.problems), "");
    ASSERT_EQ(loaded.config->listen.size(), 2U);
    EXPECT_EQ(loaded.config->listen[1].endpoint.to_string(), "[::1]:4");
    EXPECT_EQ(loaded.config->admin->port, 5);

    sources.listen = "here";
    sources.admin = "192.0.2.1:1";
    const std::string all = messages(load(sources).problems);
    EXPECT_NE(all.find("command line: --listen: found 'here', expected ADDRESS:PORT"), std::string::npos) << all;
    EXPECT_NE(all.find("command line: admin: '192.0.2.1:1' is not a loopback address"), std::string::npos) << all;
}

TEST(Load, VariablesStandForNumbersAndInQuotes) {
    const Loaded loaded = load_text(std::string(kUpstream) + "workers: \"${N}\"\nshadow: ${S}\n", {"N=3", "S=true"});
    ASSERT_EQ(messages(loaded.problems), "");
    EXPECT_EQ(loaded.config->workers, 3U);
    EXPECT_TRUE(loaded.config->shadow);
}

TEST(Load, WarnsOfWhatHasNoEffect) {
    const auto warnings = [](const std::string& text) {
        const Loaded loaded = load_text(kUpstream + text);
        EXPECT_EQ(messages(loaded.problems), "") << text;
        return messages(loaded.warnings);
    };
    EXPECT_EQ(warnings("routes: [{path: /ws/**}, {path: /ws/a/}, {path: /x}]\n"),
              "weir.yaml:2:33: this route never matches: route '/ws/**' stands before it and covers its path\n");
    EXPECT_EQ(warnings("routes: [{path: /a/*/c}, {path: /a/b/c}, {path: /a/b}, {path: /**}, {path: /z/**}]\n"),
              "weir.yaml:2:33: this route never matches: route '/a/*/c' stands before it and covers its path\n"
              "weir.yaml:2:76: this route never matches: route '/**' stands before it and covers its path\n");
    EXPECT_EQ(warnings("routes: [{path: /a/b}, {path: /a/*}, {path: /a/**}, {path: /**}]\n"), "");
    EXPECT_EQ(warnings("identity: {trusted_headers: {}}\n"),
              "weir.yaml:2:29: identity.trusted_headers has no effect: there are no 'trusted_proxies'\n");
    EXPECT_EQ(warnings("identity: {jwt: {secret: \"${NONE:-}\"}}\n"),
              "weir.yaml:2:26: identity.jwt.secret is empty: no token can be verified and every caller is anonymous\n");
    EXPECT_EQ(warnings("limits: {X: {rate: 1/m, per: \"claim:org\"}}\n"),
              "weir.yaml:2:9: limits count per claim, but there is no 'identity.jwt': they count the caller\n");
}

TEST(Load, AnEmptySecretVerifiesNothing) {
    const Loaded loaded = load_text(std::string(kUpstream) + "identity: {jwt: {secret: ''}}\n");
    ASSERT_NE(loaded.config, nullptr);
    // HS256 with an empty key, and "none": what someone would try who knows that the secret is empty.
    for (const char* token : {"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.oJ_fhaIK-rjyrOFsqPmgpQwuT2bZHwqtKIeJmdGo3q4",
                              "eyJhbGciOiJub25lIn0.eyJzdWIiOiI0MiJ9."}) {
        const auto claims = protocol::jwt::verify(token, *loaded.config->identity.jwt->keys, {}, WallTime(Nanos(1)));
        EXPECT_FALSE(claims.has_value()) << token;
    }
}

TEST(Load, KeysComeFromTheFilesThatAreNamed) {
    Sources sources;
    sources.text = std::string(kUpstream) + "identity: {jwt: {jwks: /keys}}\n";
    std::string asked;
    sources.read_file = [&](const std::string& path, std::string& content) {
        asked = path;
        content =
            R"({"keys": [{"kty": "oct", "alg": "HS256", "k": "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow"}]})";
        return true;
    };
    EXPECT_EQ(messages(load(sources).problems), "");
    EXPECT_EQ(asked, "/keys");
    sources.read_file = [](const std::string&, std::string& content) {
        content = "no keys";
        return true;
    };
    EXPECT_TRUE(messages(load(sources).problems).starts_with("weir.yaml:2:24: identity.jwt.jwks: "));
}

TEST(Load, KeysComeFromAUrlWhenOneIsNamed) {
    Sources sources;
    sources.text =
        std::string(kUpstream) + "identity: {jwt: {jwks: \"https://id.example:8443/keys?v=1\", jwks_refresh: 5m}}\n";
    const auto secure = load(sources);
    EXPECT_EQ(messages(secure.problems), "");
    ASSERT_TRUE(secure.config != nullptr && secure.config->jwks);
    EXPECT_EQ(secure.config->jwks->address.host, "id.example");
    EXPECT_EQ(secure.config->jwks->address.port, 8443);
    EXPECT_NE(secure.config->jwks->address.tls.client, nullptr);
    EXPECT_EQ(secure.config->jwks->target, "/keys?v=1");
    EXPECT_EQ(secure.config->jwks->refresh, std::chrono::minutes(5));
    EXPECT_EQ(secure.config->identity.jwt->keys, nullptr);
    for (const std::string host : {"127.0.0.1:9000", "[::1]", "localhost"}) {
        sources.text = std::string(kUpstream) + "identity: {jwt: {jwks: \"http://" + host + "/keys\"}}\n";
        const auto plain = load(sources);
        EXPECT_EQ(messages(plain.problems), "") << host;
        ASSERT_TRUE(plain.config != nullptr && plain.config->jwks);
        EXPECT_EQ(plain.config->jwks->refresh, std::chrono::hours(1));
    }
}

TEST(Load, TheEffectiveConfigurationLoadsAgainAndHidesSecrets) {
    for (const std::string& text : {std::string(kEverything), std::string(kUpstream), tree_file("examples/weir.yaml"),
                                    preset_text("opencontracts", "http://127.0.0.1:9")}) {
        Sources sources;
        sources.text = text;
        sources.environment = {kSecret};
        const std::string yaml = effective_text(sources, false);
        EXPECT_EQ(yaml.find("0123456789abcdef"), std::string::npos);
        Sources again;
        again.text = yaml;
        const Loaded loaded = load(again);
        EXPECT_EQ(messages(loaded.problems), "") << yaml;
        if (yaml.find("secret") == std::string::npos) {
            EXPECT_EQ(effective_text(again, false), yaml);
        }
        EXPECT_EQ(effective_text(sources, true).find("0123456789abcdef"), std::string::npos);
    }
}

TEST(Load, AVariableThatNamesNothingIsAWarning) {
    const Loaded loaded =
        load_text(std::string(kUpstream) + "limits: {my-limit: 3/m}\n",
                  {"RATELIMIT_WS_MESAGE=1/m", "RATELIMIT_FAIL_OPN=true", "RATELIMIT_BACKEND=redis",
                   "RATELIMIT_MY_LIMIT=4/m", "RATELIMIT_MY_LIMIT_ANONYMOUS=2/m", "RATELIMIT_DISABLE=false",
                   "RATELIMIT_WS_CONNECT=9/m", "XRATELIMIT_WS_MESAGE=1/m", "RATELIMIT=1"});
    ASSERT_EQ(messages(loaded.problems), "");
    EXPECT_EQ(messages(loaded.warnings),
              "environment: 'RATELIMIT_BACKEND' names no limit and no setting, and has no effect\n"
              "environment: 'RATELIMIT_FAIL_OPN' names no limit and no setting, and has no effect; did you mean "
              "RATELIMIT_FAIL_OPEN?\n"
              "environment: 'RATELIMIT_WS_MESAGE' names no limit and no setting, and has no effect; did you mean "
              "RATELIMIT_WS_MESSAGE?\n");
}

TEST(Load, AWrongLevelOfTheLogIsToldWhichThereAre) {
    EXPECT_EQ(messages(load_text(std::string(kUpstream) + "log: {level: warn}\n").problems),
              "weir.yaml:2:14: log.level: found 'warn', expected one of trace, debug, info, warning, error\n");
}

TEST(Load, AConditionWithNothingBelowItsKeyIsRefused) {
    const auto problems = [](const std::string& when) {
        return messages(load_text(std::string(kUpstream) +
                                  "routes: [{path: /**, websocket: {messages: [{when: " + when + ", limit: none}]}}]\n")
                            .problems);
    };
    EXPECT_EQ(problems("{json: }"), "weir.yaml:2:53: when.json: the condition is empty\n");
    EXPECT_EQ(problems("{json: {}}"), "weir.yaml:2:59: when.json: the condition is empty\n");
    EXPECT_EQ(problems("{json: {equals: }}"), "weir.yaml:2:60: when.json.equals: the condition is empty\n");
    EXPECT_EQ(problems("{json: {equals: {}}}"), "weir.yaml:2:68: when.json.equals: the condition is empty\n");
}

TEST(Load, TheEffectiveConfigurationStandsWithoutTheEnvironment) {
    Sources sources;
    sources.text =
        std::string(kUpstream) +
        "shadow: \"${YES}\"\nworkers: \"${NUMBER}\"\nmemory: {max_buckets: '${NUMBER}4'}\nkey_prefix: ${NULL_WORD}\n"
        "routes: [{path: /**, websocket: {messages: [{when: {all: [{not: {binary: \"${YES}\"}}, {json: {equals: "
        "{a: -5, b: '-5', c: True, d: 'True', e: null, f: 'null', g: '${NUMBER}', h: 1e-3}}}]}, limit: none}]}}]\n";
    sources.environment = {"YES=TRUE", "NUMBER=64", "NULL_WORD=null"};
    const std::string yaml = effective_text(sources, false);
    for (const char* part : {"shadow: true\n", "workers: 64\n", "max_buckets: 644", "key_prefix: \"null\"\n",
                             "{all: [{not: {binary: true}}, {json: {equals: {a: -5, b: \"-5\", c: true, d: \"True\", "
                             "e: null, f: \"null\", "
                             "g: \"64\", h: 1e-3}}}]}"}) {
        EXPECT_NE(yaml.find(part), std::string::npos) << part << " in\n" << yaml;
    }
    Sources again;
    again.text = yaml;
    EXPECT_EQ(messages(load(again).problems), "");
    EXPECT_EQ(effective_text(again, false), yaml);
    EXPECT_EQ(effective_text(again, true), effective_text(sources, true));
}

TEST(Load, APenaltyIsThereWhenItsKeyIs) {
    EXPECT_FALSE(load_text(std::string(kUpstream)).config->penalty);
    const Loaded set = load_text(std::string(kUpstream) + "penalty: {after: 5/30s, block_for: 90s}\n");
    ASSERT_TRUE(set.config && set.config->penalty) << messages(set.problems);
    EXPECT_EQ(set.config->penalty->after, (limit::Rate{.count = 5, .period = std::chrono::seconds(30)}));
    EXPECT_EQ(set.config->penalty->block_for, std::chrono::seconds(90));
    const Loaded plain = load_text(std::string(kUpstream) + "penalty: {}\n");
    ASSERT_TRUE(plain.config && plain.config->penalty);
    EXPECT_EQ(plain.config->penalty->after, (limit::Rate{.count = 100, .period = std::chrono::minutes(10)}));
    EXPECT_EQ(plain.config->penalty->block_for, std::chrono::hours(1));
    Sources sources;
    sources.text = std::string(kUpstream);
    EXPECT_EQ(effective_text(sources, false).find("penalty"), std::string::npos) << "absent is not the default";
    sources.text += "penalty: {after: 5/30s}\n";
    EXPECT_NE(effective_text(sources, false).find("penalty:\n  after: 5/30s\n  block_for: 1h\n"), std::string::npos)
        << effective_text(sources, false);
}

TEST(Load, BooleansAreThoseOfTheCoreSchema) {
    for (const auto& [text, value] : {std::pair("true", true),
                                      {"True", true},
                                      {"TRUE", true},
                                      {"false", false},
                                      {"False", false},
                                      {"FALSE", false}}) {
        const Loaded loaded =
            load_text(std::string(kUpstream) + "shadow: " + text + "\nclient_address: {trust_unix: " + text +
                      "}\nlimits: {X: {rate: 1/m, count_denied: " + text +
                      "}}\nroutes: [{path: /**, websocket: {messages: [{when: {binary: " + text + "}, limit: X}]}}]\n");
        ASSERT_EQ(messages(loaded.problems), "") << text;
        EXPECT_EQ(loaded.config->shadow, value);
        EXPECT_EQ(loaded.config->identity.trust_unix_peers, value);
        EXPECT_EQ(rule(*loaded.config, "X", policy::kAnonymous).count_denied, value);
        const auto& when = loaded.config->routes[0].websocket->messages.rules()[0].when;
        EXPECT_EQ(std::get<policy::Condition::Binary>(when->is).binary, value);
    }
    for (const char* text : {"tRUE", "yes", "on", "1", "'true'"}) {
        EXPECT_EQ(load_text(std::string(kUpstream) + "shadow: " + text + "\n").problems.size(), 1U) << text;
    }
}

TEST(Load, TheEffectiveConfigurationShowsWhatWon) {
    Sources sources;
    sources.text = std::string(kUpstream) + "limits: {X: {rate: 3/m, per: global}}\n";
    sources.environment = {"RATELIMIT_WS_MESSAGE=9/m", "RATELIMIT_KEY_PREFIX=env"};
    const std::string yaml = effective_text(sources, false);
    for (const char* part : {"key_prefix: env\n", "WS_MESSAGE: {anonymous: 20/m, authenticated: 9/m", "per: [global]",
                             "X: {anonymous: 3/m, authenticated: 3/m", "handshake: 10s"}) {
        EXPECT_NE(yaml.find(part), std::string::npos) << part << " in\n" << yaml;
    }
}

TEST(Examples, AreValid) {
    for (const char* path :
         {"examples/weir.yaml", "examples/quickstart.yaml", "examples/sessions.yaml", "examples/penalties.yaml"}) {
        const Loaded loaded = load_text(tree_file(path), {kSecret});
        EXPECT_EQ(messages(loaded.problems), "") << path;
        EXPECT_EQ(messages(loaded.warnings), "") << path;
    }
}

TEST(Presets, OpencontractsLimitsWhatItSays) {
    ASSERT_EQ(preset_names(), std::vector<std::string>{"opencontracts"});
    EXPECT_EQ(preset_text("none", ""), "");
    const std::string text = preset_text("opencontracts", "http://10.0.0.9:81");
    const Loaded loaded = load_text(text, {kSecret});
    ASSERT_EQ(messages(loaded.problems), "");
    EXPECT_EQ(messages(loaded.warnings), "");
    const Config& c = *loaded.config;
    EXPECT_EQ(c.upstreams.at(0).addresses.at(0).host, "10.0.0.9");
    const auto last_rule = [&](std::string_view path) {
        const Route* route = c.find_route(path);
        EXPECT_TRUE(route != nullptr && route->websocket) << path;
        EXPECT_EQ(route->websocket->messages.rules().size(), 2U);
        return c.limits->at(route->websocket->messages.rules().back().limits.at(0)).name;
    };
    for (const char* path : {"/ws/agent-chat/", "/ws/document/1/query/", "/ws/document/1/query/corpus/2/",
                             "/ws/corpus/1/query/", "/ws/standalone/document/1/query/"}) {
        EXPECT_EQ(last_rule(path), "WS_AI_QUERY") << path;
    }
    EXPECT_EQ(last_rule("/ws/thread-updates/"), "WS_MESSAGE");
    EXPECT_EQ(last_rule("/ws/notification-updates/"), "WS_MESSAGE");
    const auto rule_name = [&](const policy::RuleLists& lists, policy::RuleIndex rule) {
        return c.limits->at(lists.all().at(rule).at(0)).name;
    };
    for (const char* path : {"/mcp", "/mcp/", "/mcp/a/b"}) {
        const policy::CallRules& calls = c.find_route(path)->calls.value().rules;
        EXPECT_EQ(rule_name(calls.lists, calls.of_call("tools/list", std::nullopt)), "READ_LIGHT") << path;
        EXPECT_EQ(rule_name(calls.lists, calls.of_call("tools/call", "list_documents")), "AI_QUERY") << path;
        EXPECT_EQ(rule_name(calls.lists, calls.of_call("tools/call", "search_corpus")), "READ_HEAVY") << path;
    }
    const policy::GraphqlRules& graphql = c.find_route("/graphql/")->graphql.value().rules;
    using enum policy::GraphqlOperation;
    EXPECT_EQ(rule_name(graphql.lists, graphql.of_field(kQuery, "corpuses")), "READ_MEDIUM");
    EXPECT_EQ(rule_name(graphql.lists, graphql.of_field(kMutation, "updateCorpus")), "WRITE_MEDIUM");
    EXPECT_EQ(rule_name(graphql.lists, graphql.of_field(kMutation, "tokenAuth")), "AUTH_LOGIN");
    EXPECT_EQ(rule_name(graphql.lists, graphql.of_field(kSubscription, "corpuses")), "READ_MEDIUM");
    EXPECT_TRUE(c.find_route("/anything")->http.limits.empty());
    EXPECT_EQ(rule(c, "WS_AI_QUERY", policy::kAuthenticated).algorithm, limit::Algorithm::kFixedWindow);
    EXPECT_EQ(rule(c, "WS_AUTH", policy::kAnonymous).rate, (limit::Rate{60, 60s}));
}

TEST(Presets, WithoutASecretEveryoneIsAnonymousAndTheStartSaysSo) {
    const Loaded loaded = load_text(preset_text("opencontracts", ""));
    ASSERT_NE(loaded.config, nullptr);
    ASSERT_EQ(loaded.warnings.size(), 1U);
    EXPECT_TRUE(loaded.warnings[0].message.starts_with("identity.jwt.secret is empty"));
}

TEST(Presets, AnUpstreamCanNotWriteConfiguration) {
    const Loaded loaded = load_text(preset_text("opencontracts", "http://a\nshadow: true # ${HOME}\""));
    ASSERT_EQ(loaded.problems.size(), 1U) << messages(loaded.problems);
    EXPECT_TRUE(loaded.problems[0].message.starts_with("upstreams.app: found 'http://a?shadow: true # ${HOME}\"'"));
}

TEST(Reference, TheCommittedFilesAreWhatTheTableMakes) {
    EXPECT_EQ(tree_file("docs/reference/configuration.md"), reference_page()) << "weir config reference > ...";
    EXPECT_EQ(tree_file("docs/reference/weir.schema.json"), json_schema()) << "weir config schema > ...";
}

}  // namespace
}  // namespace weir::config
