#include "config/schema.h"

#include <algorithm>
#include <array>

namespace weir::config {

namespace {

using enum Shape;
using enum Scalar;
using enum Change;

constexpr std::string_view kAlgorithms = "fixed_window|sliding_window|gcra";

// clang-format off
constexpr auto kKeys = std::to_array<Key>({
    // Doors.
    {.path = "listen", .shape = kOneOrList, .scalar = kListen, .standard = "0.0.0.0:8080", .change = kRestart,
     .description = "Where clients connect: an address and port, or a Unix socket; one or a list. With tls set, addresses speak TLS; "
                    "http:// before one makes it plain. Unix sockets are plain.",
     .example = "[\"https://0.0.0.0:443\", \"http://0.0.0.0:80\", \"unix:/run/weir.sock\"]"},
    {.path = "admin", .scalar = kEndpoint, .change = kRestart,
     .description = "Where health, readiness and metrics are served: a loopback address or a Unix socket; off when absent.",
     .example = "127.0.0.1:9180"},
    {.path = "upstreams", .shape = kNamed,
     .description = "The backends, by name. The one key that has no default.",
     .example = "{app: \"http://127.0.0.1:8000\"}"},
    {.path = "upstreams.*", .shape = kOneOrList, .scalar = kUpstream,
     .description = "A backend: http://HOST[:PORT], https://HOST[:PORT] or unix:/PATH; a list is tried in turn.",
     .example = "[\"http://10.0.0.1:8000\", \"http://10.0.0.2:8000\"]"},
    {.path = "tls", .shape = kMap, .optional_section = true,
     .description = "TLS for clients; absent: plain. Files are read again on reload, and open connections stay.",
     .example = "{certificate: /etc/weir/cert.pem, key: /etc/weir/key.pem}"},
    {.path = "tls.certificate", .scalar = kFile,
     .description = "A PEM file with the certificate and the chain to its authority.", .example = "/etc/weir/cert.pem"},
    {.path = "tls.key", .scalar = kFile, .description = "A PEM file with its private key; absent: it stands in the file of the certificate.",
     .example = "/etc/weir/key.pem"},
    {.path = "tls.certificates", .shape = kMaps,
     .description = "More certificates. A client gets the one whose names (subjectAltName, wildcards too) have the host that it asks for by SNI, "
                    "else tls.certificate, or where that is absent the first of these."},
    {.path = "tls.certificates[].certificate", .scalar = kFile, .description = "Required. As tls.certificate.",
     .example = "/etc/weir/other.pem"},
    {.path = "tls.certificates[].key", .scalar = kFile, .description = "As tls.key.", .example = "/etc/weir/other-key.pem"},
    {.path = "tls.client_certificates", .scalar = kChoice, .standard = "none", .bounds = "none|optional|required",
     .description = "Whether clients are asked for a certificate: never; asked, and one that does not verify is refused; required."},
    {.path = "tls.client_ca", .scalar = kFile, .description = "A PEM file with the authorities whose client certificates count.",
     .example = "/etc/weir/clients-ca.pem"},
    {.path = "tls.min_version", .scalar = kChoice, .standard = "1.2", .bounds = "1.2|1.3",
     .description = "The oldest version of TLS that is spoken with clients."},
    {.path = "upstream_tls", .shape = kNamed,
     .description = "How the certificates of https:// upstreams are verified, by the upstream's name; absent: by the system's authorities, for the host of the URL.",
     .example = "{app: {ca: /etc/weir/internal-ca.pem}}"},
    {.path = "upstream_tls.*", .shape = kMap, .description = "The name of an upstream with https:// addresses."},
    {.path = "upstream_tls.*.ca", .scalar = kFile, .description = "A PEM file with the authorities to trust, instead of the system's.",
     .example = "/etc/weir/internal-ca.pem"},
    {.path = "upstream_tls.*.server_name", .scalar = kText,
     .description = "The name to ask for by SNI and to find in the certificate; absent: the host of the URL.", .example = "app.internal"},
    {.path = "upstream_tls.*.certificate", .scalar = kFile, .description = "A PEM file with a certificate to show to the upstream, and its chain.",
     .example = "/etc/weir/client.pem"},
    {.path = "upstream_tls.*.key", .scalar = kFile, .description = "Its private key; absent: it stands in the file of the certificate.",
     .example = "/etc/weir/client-key.pem"},
    {.path = "upstream_tls.*.verify", .scalar = kBoolean, .standard = "true",
     .description = "false: whoever answers is believed. For experiments."},
    {.path = "upstream_tls.*.min_version", .scalar = kChoice, .standard = "1.2", .bounds = "1.2|1.3",
     .description = "The oldest version of TLS that is spoken with the upstream."},
    {.path = "trusted_proxies", .shape = kOneOrList, .scalar = kNetwork, .standard = "[]",
     .description = "Peers whose word on the client's address and identity is taken.",
     .example = "[127.0.0.1/32, 10.0.0.0/8]"},
    {.path = "client_address", .shape = kMap, .description = "How the address of a client behind trusted proxies is found."},
    {.path = "client_address.from", .scalar = kChoice, .standard = "x-forwarded-for",
     .bounds = "x-forwarded-for|forwarded|proxy-protocol|peer",
     .description = "What a trusted proxy tells the client's address in; peer is the TCP peer, always."},
    {.path = "client_address.ipv6_prefix", .scalar = kInteger, .standard = "64", .bounds = "1..128",
     .description = "IPv6 addresses that share so many leading bits are counted as one client.", .variable = "RATELIMIT_IPV6_MASK"},
    {.path = "client_address.trust_unix", .scalar = kBoolean, .standard = "true",
     .description = "Whether a peer on a Unix socket is a trusted proxy."},

    // Who is calling.
    {.path = "identity", .shape = kMap, .description = "How a request says who sends it; without it every caller is an address."},
    {.path = "identity.jwt", .shape = kMap, .optional_section = true,
     .description = "JSON Web Tokens. Exactly one of secret, public_key and jwks says what verifies them."},
    {.path = "identity.jwt.from", .shape = kOneOrList, .scalar = kToken, .standard = "[authorization, \"query:token\"]",
     .description = "Where a token may stand, tried in this order: authorization, query:NAME, cookie:NAME, subprotocol:MARKER.",
     .example = "[authorization, \"cookie:session\", \"subprotocol:app.jwt\"]"},
    {.path = "identity.jwt.secret", .scalar = kSecret,
     .description = "The shared secret of HS256. Empty: no token can be verified and every caller is anonymous.",
     .example = "${JWT_SECRET}"},
    {.path = "identity.jwt.public_key", .scalar = kFile,
     .description = "A PEM file with the public key of RS256, ES256 or EdDSA.", .example = "/etc/weir/jwt.pem"},
    {.path = "identity.jwt.jwks", .scalar = kJwks,
     .description = "A JSON Web Key Set: a file, or an https:// URL (http:// on loopback) that it is fetched from.",
     .example = "https://id.example/.well-known/jwks.json"},
    {.path = "identity.jwt.jwks_refresh", .scalar = kDuration, .standard = "1h", .bounds = "1s..30d",
     .description = "How often a key set behind a URL is fetched again; a token that names an unknown key has it fetched as well, at most once a minute.",
     .example = "15m"},
    {.path = "identity.jwt.jwks_ca", .scalar = kFile,
     .description = "A PEM file with the authorities that an https:// jwks is verified by, instead of the system's.",
     .example = "/etc/weir/internal-ca.pem"},
    {.path = "identity.jwt.issuer", .scalar = kText, .description = "What the claim iss must be; absent: anything.",
     .example = "https://id.example/"},
    {.path = "identity.jwt.audience", .scalar = kText, .description = "What the claim aud must be or hold; absent: anything.",
     .example = "chat"},
    {.path = "identity.jwt.leeway", .scalar = kDuration, .standard = "0s", .bounds = "0s..10m",
     .description = "By how much the issuer's clock may differ when exp and nbf are checked."},
    {.path = "identity.jwt.claims", .shape = kMap,
     .description = "Which claims say what; each a name, a path such as realm.role, or a list of which the first present counts."},
    {.path = "identity.jwt.claims.user", .shape = kOneOrList, .scalar = kText, .standard = "sub",
     .description = "The claim that names the user.", .example = "[sub, username]"},
    {.path = "identity.jwt.claims.tier", .shape = kOneOrList, .scalar = kText, .standard = "tier",
     .description = "The claim that names the tier."},
    {.path = "identity.jwt.claims.superuser", .shape = kOneOrList, .scalar = kText, .standard = "is_superuser",
     .description = "The flag of a superuser."},
    {.path = "identity.jwt.claims.usage_capped", .shape = kOneOrList, .scalar = kText, .standard = "is_usage_capped",
     .description = "The flag of a caller whose use is capped."},
    {.path = "identity.jwt.on_invalid", .scalar = kChoice, .standard = "anonymous", .bounds = "anonymous|reject",
     .description = "What a token that does not verify makes of its caller."},
    {.path = "identity.lookup", .shape = kMap, .optional_section = true,
     .description = "Asks the application who a caller is, by what the request carries: a session cookie, an API key, a token. "
                    "200 with {\"user\": \"42\", \"tier\": \"superuser\"} is the answer; 401 and 403 mean anonymous."},
    {.path = "identity.lookup.url", .scalar = kLookupUrl,
     .description = "Required. Where to ask with GET: http://HOST[:PORT]/PATH, https://HOST[:PORT]/PATH, or unix:/SOCKET:/PATH.",
     .example = "http://127.0.0.1:8000/internal/whoami"},
    {.path = "identity.lookup.ca", .scalar = kFile,
     .description = "A PEM file with the authorities that an https:// url is verified by, instead of the system's.", .example = "/etc/weir/internal-ca.pem"},
    {.path = "identity.lookup.forward", .shape = kOneOrList, .scalar = kCredential, .standard = "[authorization]",
     .description = "The credentials that are passed on, as they came, and nothing else is; a request with none of them is not asked about.",
     .example = "[authorization, \"cookie:sessionid\", \"header:X-API-Key\"]"},
    {.path = "identity.lookup.cache", .scalar = kDuration, .standard = "60s", .bounds = "0s..1d",
     .description = "How long an answer is kept per credential, and so how soon a session that ended is noticed; 0s: not at all.",
     .example = "60s"},
    {.path = "identity.lookup.timeout", .scalar = kDuration, .standard = "2s", .bounds = "10ms..1m",
     .description = "How long a request waits for the answer."},
    {.path = "identity.lookup.on_error", .scalar = kChoice, .standard = "token", .bounds = "token|anonymous|reject",
     .description = "What becomes of callers when the application can't be asked: what the token alone says, anonymous, or 503."},
    {.path = "identity.lookup.max_entries", .scalar = kInteger, .standard = "100000", .bounds = "64..100000000",
     .description = "How many answers are kept; beyond, those that name nobody leave before those that name a user."},
    {.path = "identity.trusted_headers", .shape = kMap, .optional_section = true,
     .description = "Header fields in which a trusted proxy names the caller; removed from anyone else's requests."},
    {.path = "identity.trusted_headers.user", .scalar = kHeader, .standard = "X-Weir-User",
     .description = "The field that names the user."},
    {.path = "identity.trusted_headers.tier", .scalar = kHeader, .standard = "X-Weir-Tier",
     .description = "The field that names the tier."},

    // Limits.
    {.path = "tiers", .shape = kNamed, .description = "Classes of callers beside or instead of the built-in multipliers.",
     .example = "{anonymous: 1, authenticated: 2, partner: 5}"},
    {.path = "tiers.*", .scalar = kNumber, .bounds = "0.000001..1000000",
     .description = "By how much this tier multiplies the base rate of a limit.", .example = "5"},
    {.path = "default_algorithm", .scalar = kChoice, .standard = "sliding_window", .bounds = kAlgorithms,
     .description = "How limits count that do not say it themselves."},
    {.path = "limits", .shape = kNamed, .description = "Named rates; adds to the built-in table and overrides it.",
     .example = "{READ_MEDIUM: 30/m, SITE_WIDE: {rate: 5000/s, per: global}}"},
    {.path = "limits.*", .shape = kMapOrOne, .scalar = kRate,
     .description = "A limit; the short form is its base rate, which each tier multiplies.", .example = "30/m"},
    {.path = "limits.*.rate", .scalar = kRate, .description = "The base rate, which each tier multiplies.", .example = "30/m"},
    {.path = "limits.*.*", .scalar = kRate, .description = "The name of a tier: the rate of that tier, which wins over the multiplier.",
     .example = "20/m"},
    {.path = "limits.*.algorithm", .scalar = kChoice, .bounds = kAlgorithms, .description = "How this limit counts.",
     .example = "gcra"},
    {.path = "limits.*.burst", .scalar = kInteger, .bounds = "1..1000000000",
     .description = "gcra: how many may come at once; the rate's count when absent.", .example = "5"},
    {.path = "limits.*.group", .scalar = kName,
     .description = "The bucket that this limit counts in, shared by all that name it; the limit's name in lower case when absent.",
     .example = "reads"},
    {.path = "limits.*.per", .shape = kOneOrList, .scalar = kSubject,
     .description = "Who is counted: ip, user, connection, global, claim:NAME, header:NAME; the caller when absent. "
                    "A list counts each combination.",
     .example = "\"claim:org_id\""},
    {.path = "limits.*.count_denied", .scalar = kBoolean, .standard = "false",
     .description = "Whether a denied event takes from the bucket too."},
    {.path = "limits.*.shadow", .scalar = kBoolean, .standard = "false",
     .description = "Decides, logs and counts, but lets everything pass."},

    // Routes.
    {.path = "routes", .shape = kMaps,
     .standard = "[{name: default, path: \"/**\", websocket: {connect: WS_CONNECT, messages: [{limit: WS_MESSAGE}]}}]",
     .description = "What is limited how; the first route whose path matches counts. A request that matches none is answered 404."},
    {.path = "routes[].name", .scalar = kText, .description = "For logs and metrics; unique. The path when absent.",
     .example = "agent-chat"},
    {.path = "routes[].path", .scalar = kPath,
     .description = "Required. Exact, or with * for one segment, or ending in /** for everything below.",
     .example = "/ws/document/*/query/"},
    {.path = "routes[].upstream", .scalar = kText, .description = "The backend; may be absent where there is one upstream.",
     .example = "app"},
    {.path = "routes[].websocket", .shape = kMap, .optional_section = true,
     .description = "Limits of WebSockets; absent: a WebSocket passes as any request does."},
    {.path = "routes[].websocket.connect", .shape = kOneOrList, .scalar = kLimit,
     .description = "What opening a WebSocket counts under; absent: it is not limited.", .example = "WS_CONNECT"},
    {.path = "routes[].websocket.max_message_bytes", .scalar = kSize, .standard = "1MiB", .bounds = "1..1GiB",
     .description = "A longer message of a client closes the connection with 1009."},
    {.path = "routes[].websocket.max_connections", .shape = kMap, .description = "WebSockets of this route open at a time."},
    {.path = "routes[].websocket.max_connections.per_subject", .scalar = kInteger, .standard = "0", .bounds = "0..1000000",
     .description = "For each caller; 0: no bound.", .example = "20"},
    {.path = "routes[].websocket.inspect_bytes", .scalar = kSize, .standard = "64KiB", .bounds = "128..1MiB",
     .description = "How much of a message a rule may look at; one that can't be judged within it counts under the strictest rule."},
    {.path = "routes[].websocket.ping_interval", .scalar = kDuration, .standard = "0s", .bounds = "0s..1d",
     .description = "How often Weir pings a client that is silent; 0s: never.", .example = "30s"},
    {.path = "routes[].websocket.messages", .shape = kMaps,
     .description = "What a client's messages count under; the first rule that matches counts, and a message that none matches is not limited."},
    {.path = "routes[].websocket.messages[].when", .shape = kCondition,
     .description = "Which messages the rule is for; absent: all, and then it must be the last.",
     .example = "{json: {equals: {type: ping}}}"},
    {.path = "routes[].websocket.messages[].limit", .shape = kOneOrList, .scalar = kLimit,
     .description = "Required. A limit, a list of which all must admit, or none.", .example = "[WS_AI_QUERY, WS_MESSAGE]"},
    {.path = "routes[].websocket.on_limit", .shape = kMap, .description = "What a limited client sees."},
    {.path = "routes[].websocket.on_limit.connect", .scalar = kChoice, .standard = "close", .bounds = "close|http_429|mark",
     .description = "A denied handshake: completed and closed with 4029, answered 429, or passed on and marked with X-Weir-Limited."},
    {.path = "routes[].websocket.on_limit.notify", .scalar = kRate,
     .description = "At most so many answers to denied messages on one connection; absent: each is answered.", .example = "1/s"},
    {.path = "routes[].websocket.on_limit.close_after", .scalar = kRate,
     .description = "More denials than this close the connection with 4029; absent: never.", .example = "20/m"},
    {.path = "routes[].websocket.on_limit.answer", .scalar = kText,
     .description = "The text that a denied message is answered with; {limit}, {remaining}, {retry_after}, {period} and {group} are filled in. "
                    "Absent: the built-in text.",
     .example = "'{\"type\":\"RATE_LIMITED\",\"retry_after\":{retry_after}}'"},
    {.path = "routes[].websocket.graphql", .shape = kMap, .optional_section = true,
     .description = "Messages are GraphQL operations (graphql-transport-ws, or the older graphql-ws); those that are none count by messages. Absent: as routes[].graphql, where there is one.",
     .example = "{query: READ_MEDIUM, mutation: WRITE_MEDIUM}"},
    {.path = "routes[].websocket.graphql.query", .shape = kOneOrList, .scalar = kLimit,
     .description = "As routes[].graphql.query.",
     .example = "READ_MEDIUM"},
    {.path = "routes[].websocket.graphql.mutation", .shape = kOneOrList, .scalar = kLimit,
     .description = "As routes[].graphql.mutation.",
     .example = "WRITE_MEDIUM"},
    {.path = "routes[].websocket.graphql.subscription", .shape = kOneOrList, .scalar = kLimit,
     .description = "As routes[].graphql.subscription.",
     .example = "READ_LIGHT"},
    {.path = "routes[].websocket.graphql.fields", .shape = kNamed, .any_names = true,
     .description = "As routes[].graphql.fields.",
     .example = "{\"Mutation.login\": AUTH_LOGIN, \"Query.search*\": READ_HEAVY}"},
    {.path = "routes[].websocket.graphql.fields.*", .shape = kOneOrList, .scalar = kLimit,
     .description = "As routes[].graphql.fields.*.",
     .example = "AUTH_LOGIN"},
    {.path = "routes[].websocket.graphql.persisted", .shape = kNamed, .any_names = true,
     .description = "As routes[].graphql.persisted.",
     .example = "{\"*\": READ_MEDIUM, GetReport: READ_HEAVY}"},
    {.path = "routes[].websocket.graphql.persisted.*", .shape = kOneOrList, .scalar = kLimit,
     .description = "As routes[].graphql.persisted.*.",
     .example = "READ_HEAVY"},
    {.path = "routes[].websocket.graphql.bounds", .shape = kMap,
     .description = "As routes[].graphql.bounds."},
    {.path = "routes[].websocket.graphql.bounds.depth", .scalar = kInteger, .standard = "15", .bounds = "1..1000",
     .description = "As routes[].graphql.bounds.depth."},
    {.path = "routes[].websocket.graphql.bounds.aliases", .scalar = kInteger, .standard = "50", .bounds = "0..100000",
     .description = "As routes[].graphql.bounds.aliases."},
    {.path = "routes[].websocket.graphql.bounds.root_fields", .scalar = kInteger, .standard = "50", .bounds = "1..100000",
     .description = "As routes[].graphql.bounds.root_fields."},
    {.path = "routes[].websocket.graphql.bounds.tokens", .scalar = kInteger, .standard = "10000", .bounds = "1..1000000",
     .description = "As routes[].graphql.bounds.tokens."},
    {.path = "routes[].websocket.graphql.bounds.batch", .scalar = kInteger, .standard = "10", .bounds = "0..1000",
     .description = "As routes[].graphql.bounds.batch."},
    {.path = "routes[].websocket.graphql.bounds.subscriptions", .scalar = kInteger, .standard = "20", .bounds = "0..1000000",
     .description = "As routes[].graphql.bounds.subscriptions."},
    {.path = "routes[].websocket.graphql.inspect_bytes", .scalar = kSize, .standard = "1MiB", .bounds = "1KiB..16MiB",
     .description = "How much of a message is read for its operation; one that is longer counts under the strictest limit of the section."},
    {.path = "routes[].websocket.jsonrpc", .shape = kMap, .optional_section = true,
     .description = "Messages are JSON-RPC calls. Absent: as routes[].mcp or routes[].jsonrpc, where there is one.",
     .example = "{default: READ_LIGHT}"},
    {.path = "routes[].websocket.jsonrpc.default", .shape = kOneOrList, .scalar = kLimit,
     .description = "As routes[].jsonrpc.default.",
     .example = "READ_LIGHT"},
    {.path = "routes[].websocket.jsonrpc.methods", .shape = kNamed, .any_names = true,
     .description = "As routes[].jsonrpc.methods.",
     .example = "{\"eth_*\": READ_LIGHT}"},
    {.path = "routes[].websocket.jsonrpc.methods.*", .shape = kOneOrList, .scalar = kLimit,
     .description = "As routes[].jsonrpc.methods.*.",
     .example = "AI_QUERY"},
    {.path = "routes[].websocket.jsonrpc.code", .scalar = kSignedInteger, .standard = "429", .bounds = "-2147483648..2147483647",
     .description = "As routes[].jsonrpc.code.",
     .example = "-32029"},
    {.path = "routes[].http", .shape = kMap, .optional_section = true, .description = "Limits of plain requests; absent: proxied and not limited."},
    {.path = "routes[].http.limit", .shape = kOneOrList, .scalar = kLimit, .description = "What a request counts under.",
     .example = "READ_LIGHT"},
    {.path = "routes[].http.methods", .shape = kNamed, .any_names = true,
     .description = "Requests of these methods count under limits of their own; of others limit. Methods are compared with case.",
     .example = "{POST: WRITE_LIGHT, DELETE: WRITE_HEAVY}"},
    {.path = "routes[].http.methods.*", .shape = kOneOrList, .scalar = kLimit,
     .description = "A limit, a list of which all must admit, or none.",
     .example = "WRITE_LIGHT"},
    {.path = "routes[].http.cost_bytes", .scalar = kSize, .standard = "0", .bounds = "0..1TiB",
     .description = "A request costs one for each begun so many bytes of its body; 0: it costs one.",
     .example = "1MiB"},
    {.path = "routes[].http.on_limit", .scalar = kChoice, .standard = "http_429", .bounds = "http_429|mark",
     .description = "A denied request: answered 429, or passed on and marked with X-Weir-Limited."},
    {.path = "routes[].http.max_body_bytes", .scalar = kSize, .standard = "0", .bounds = "0..1TiB",
     .description = "A longer request body is answered 413; 0: no bound, bodies stream.", .example = "10MiB"},
    {.path = "routes[].graphql", .shape = kMap, .optional_section = true,
     .description = "Requests are GraphQL operations: one for each root field, in addition to what http counts. At most one of graphql, mcp and jsonrpc in a route. A WebSocket of the route counts by the same limits, unless its section websocket says otherwise; without such a section, opening it counts as a GET request does.",
     .example = "{query: READ_MEDIUM, mutation: WRITE_MEDIUM}"},
    {.path = "routes[].graphql.query", .shape = kOneOrList, .scalar = kLimit,
     .description = "What a root field of a query counts under; absent: not counted, and weir check warns.",
     .example = "READ_MEDIUM"},
    {.path = "routes[].graphql.mutation", .shape = kOneOrList, .scalar = kLimit,
     .description = "What a root field of a mutation counts under; absent: not counted, and weir check warns.",
     .example = "WRITE_MEDIUM"},
    {.path = "routes[].graphql.subscription", .shape = kOneOrList, .scalar = kLimit,
     .description = "What a root field of a subscription counts under; absent: as a query.",
     .example = "READ_LIGHT"},
    {.path = "routes[].graphql.fields", .shape = kNamed, .any_names = true,
     .description = "Root fields with limits of their own: Query.NAME, Mutation.NAME or Subscription.NAME, by the schema's name, never an alias. One * stands for any characters; an exact name wins, then the longest pattern.",
     .example = "{\"Mutation.login\": AUTH_LOGIN, \"Query.search*\": READ_HEAVY}"},
    {.path = "routes[].graphql.fields.*", .shape = kOneOrList, .scalar = kLimit,
     .description = "A limit, a list of which all must admit, or none; in place of the limit of the operation type.",
     .example = "AUTH_LOGIN"},
    {.path = "routes[].graphql.persisted", .shape = kNamed, .any_names = true,
     .description = "Documents that arrive without their text, by id (documentId, or sha256: and the hash), else by operation name, else by a pattern with one *. One that matches nothing counts under the strictest limit of the section.",
     .example = "{\"*\": READ_MEDIUM, GetReport: READ_HEAVY}"},
    {.path = "routes[].graphql.persisted.*", .shape = kOneOrList, .scalar = kLimit,
     .description = "A limit, a list of which all must admit, or none.",
     .example = "READ_HEAVY"},
    {.path = "routes[].graphql.bounds", .shape = kMap,
     .description = "What an operation may have at most; beyond, it is answered 400 and reaches nobody."},
    {.path = "routes[].graphql.bounds.depth", .scalar = kInteger, .standard = "15", .bounds = "1..1000",
     .description = "Fields inside fields, through fragments."},
    {.path = "routes[].graphql.bounds.aliases", .scalar = kInteger, .standard = "50", .bounds = "0..100000",
     .description = "Aliases, through fragments."},
    {.path = "routes[].graphql.bounds.root_fields", .scalar = kInteger, .standard = "50", .bounds = "1..100000",
     .description = "Root fields, through aliases and fragments."},
    {.path = "routes[].graphql.bounds.tokens", .scalar = kInteger, .standard = "10000", .bounds = "1..1000000",
     .description = "Tokens of the whole document."},
    {.path = "routes[].graphql.bounds.batch", .scalar = kInteger, .standard = "10", .bounds = "0..1000",
     .description = "Operations in a batch; 0: no batch is taken."},
    {.path = "routes[].graphql.bounds.subscriptions", .scalar = kInteger, .standard = "20", .bounds = "0..1000000",
     .description = "Subscriptions of one WebSocket at a time; 0: no bound."},
    {.path = "routes[].graphql.status", .scalar = kChoice, .standard = "429", .bounds = "429|200",
     .description = "The status of an answer to a denied operation; 200 for clients that read errors from no other."},
    {.path = "routes[].graphql.inspect_bytes", .scalar = kSize, .standard = "1MiB", .bounds = "1KiB..16MiB",
     .description = "A longer body (of an upload: a longer part operations) is answered 413, since nobody can say what it runs."},
    {.path = "routes[].mcp", .shape = kMap, .optional_section = true,
     .description = "Requests are calls of the Model Context Protocol; the body counts, in addition to what http counts. Notifications and responses are free. A WebSocket of the route counts by the same limits, unless its section websocket says otherwise; without such a section, opening it counts as a GET request does.",
     .example = "{default: READ_LIGHT, methods: {tools/call: AI_QUERY}}"},
    {.path = "routes[].mcp.default", .shape = kOneOrList, .scalar = kLimit,
     .description = "What a call counts under that nothing else names; absent: not counted, and weir check warns.",
     .example = "READ_LIGHT"},
    {.path = "routes[].mcp.methods", .shape = kNamed, .any_names = true,
     .description = "Methods with limits of their own. One * stands for any characters; an exact name wins, then the longest pattern.",
     .example = "{tools/call: AI_QUERY}"},
    {.path = "routes[].mcp.methods.*", .shape = kOneOrList, .scalar = kLimit,
     .description = "A limit, a list of which all must admit, or none.",
     .example = "AI_QUERY"},
    {.path = "routes[].mcp.tools", .shape = kNamed, .any_names = true,
     .description = "Tools, as tools/call names them; in place of the limit of the method.",
     .example = "{search_corpus: READ_HEAVY, \"admin_*\": ADMIN_OPERATION}"},
    {.path = "routes[].mcp.tools.*", .shape = kOneOrList, .scalar = kLimit,
     .description = "A limit, a list of which all must admit, or none.",
     .example = "READ_HEAVY"},
    {.path = "routes[].mcp.prompts", .shape = kNamed, .any_names = true,
     .description = "Prompts, as prompts/get names them; in place of the limit of the method.",
     .example = "{summarize: AI_QUERY}"},
    {.path = "routes[].mcp.prompts.*", .shape = kOneOrList, .scalar = kLimit,
     .description = "A limit, a list of which all must admit, or none.",
     .example = "AI_QUERY"},
    {.path = "routes[].mcp.resources", .shape = kNamed, .any_names = true,
     .description = "Resources, by the URI that resources/read, resources/subscribe and resources/unsubscribe give; in place of the limit of the method.",
     .example = "{\"file:///exports/*\": EXPORT}"},
    {.path = "routes[].mcp.resources.*", .shape = kOneOrList, .scalar = kLimit,
     .description = "A limit, a list of which all must admit, or none.",
     .example = "EXPORT"},
    {.path = "routes[].mcp.deny_as", .scalar = kChoice, .standard = "auto", .bounds = "auto|error|http_429",
     .description = "A denied call: answered with a tool result that an agent can act on where it is tools/call, else with a JSON-RPC error (auto); always with an error (error); or with a plain 429 (http_429)."},
    {.path = "routes[].mcp.code", .scalar = kSignedInteger, .standard = "429", .bounds = "-2147483648..2147483647",
     .description = "The code of the JSON-RPC error.",
     .example = "-32029"},
    {.path = "routes[].mcp.inspect_bytes", .scalar = kSize, .standard = "1MiB", .bounds = "1KiB..16MiB",
     .description = "A longer body is answered 413, since nobody can say what it calls."},
    {.path = "routes[].jsonrpc", .shape = kMap, .optional_section = true,
     .description = "Requests are JSON-RPC calls; each of a batch counts, in addition to what http counts. A WebSocket of the route counts by the same limits, unless its section websocket says otherwise; without such a section, opening it counts as a GET request does.",
     .example = "{default: READ_LIGHT}"},
    {.path = "routes[].jsonrpc.default", .shape = kOneOrList, .scalar = kLimit,
     .description = "What a call counts under that nothing else names; absent: not counted, and weir check warns.",
     .example = "READ_LIGHT"},
    {.path = "routes[].jsonrpc.methods", .shape = kNamed, .any_names = true,
     .description = "Methods with limits of their own. One * stands for any characters; an exact name wins, then the longest pattern.",
     .example = "{\"eth_*\": READ_LIGHT}"},
    {.path = "routes[].jsonrpc.methods.*", .shape = kOneOrList, .scalar = kLimit,
     .description = "A limit, a list of which all must admit, or none.",
     .example = "AI_QUERY"},
    {.path = "routes[].jsonrpc.deny_as", .scalar = kChoice, .standard = "auto", .bounds = "auto|error|http_429",
     .description = "A denied call: answered with a JSON-RPC error (auto and error) or with a plain 429 (http_429)."},
    {.path = "routes[].jsonrpc.code", .scalar = kSignedInteger, .standard = "429", .bounds = "-2147483648..2147483647",
     .description = "The code of the JSON-RPC error.",
     .example = "-32029"},
    {.path = "routes[].jsonrpc.inspect_bytes", .scalar = kSize, .standard = "1MiB", .bounds = "1KiB..16MiB",
     .description = "A longer body is answered 413, since nobody can say what it calls."},

    // Conditions of message rules. Several keys in one condition must all hold.
    {.path = "when.json", .shape = kMap, .description = "The message is a JSON object and all of the keys below hold."},
    {.path = "when.json.has", .scalar = kText, .description = "It has this member: a name, or a JSON Pointer that starts with /.",
     .example = "query"},
    {.path = "when.json.equals", .shape = kNamed, .any_names = true, .description = "All of these members (names or JSON Pointers) equal these scalars.",
     .example = "{type: ping}"},
    {.path = "when.json.equals.*", .scalar = kJsonScalar, .description = "What the member must be.", .example = "ping"},
    {.path = "when.binary", .scalar = kBoolean, .description = "The message is binary (true) or text (false).", .example = "true"},
    {.path = "when.larger_than", .scalar = kSize, .bounds = "0..1GiB", .description = "The message has more bytes than this, uncompressed.",
     .example = "4KiB"},
    {.path = "when.all", .shape = kConditionList, .description = "All of these conditions hold.",
     .example = "[{binary: false}, {larger_than: 4KiB}]"},
    {.path = "when.any", .shape = kConditionList, .description = "At least one of these conditions holds.",
     .example = "[{json: {has: query}}, {json: {has: prompt}}]"},
    {.path = "when.not", .shape = kCondition, .description = "This condition does not hold.", .example = "{binary: true}"},

    // Where it counts.
    {.path = "store", .scalar = kStore, .standard = "memory", .change = kRestart, .description = "Where buckets are kept: in this process (memory), or in a Redis or Valkey that several gateways share. "
                    "`redis://[USER:PASSWORD@]HOST:PORT/DB` is one server, `unix:/PATH?db=DB` one at a Unix socket, "
                    "`redis+cluster://HOST:PORT,HOST:PORT` a cluster, `redis+sentinel://HOST:PORT,HOST:PORT/MASTER/DB` a master that "
                    "Sentinels know. With `rediss` in place of `redis` it is spoken to over TLS. Credentials are percent-encoded.",
     .example = "redis://cache.internal:6379/0"},
    {.path = "store_tls", .shape = kMap, .change = kRestart, .optional_section = true,
     .description = "How the certificates of a rediss:// store are verified; absent: by the system's authorities, for the host of each server.",
     .example = "{ca: /etc/weir/store-ca.pem}"},
    {.path = "store_tls.ca", .scalar = kFile, .change = kRestart, .description = "A PEM file with the authorities to trust, instead of the system's.",
     .example = "/etc/weir/store-ca.pem"},
    {.path = "store_tls.server_name", .scalar = kText, .change = kRestart,
     .description = "The name to find in the certificate of every server; absent: the host by which each is known.", .example = "cache.internal"},
    {.path = "store_tls.certificate", .scalar = kFile, .change = kRestart, .description = "A PEM file with a certificate to show to the store, and its chain.",
     .example = "/etc/weir/client.pem"},
    {.path = "store_tls.key", .scalar = kFile, .change = kRestart, .description = "Its private key; absent: it stands in the file of the certificate.",
     .example = "/etc/weir/client-key.pem"},
    {.path = "store_tls.verify", .scalar = kBoolean, .standard = "true", .change = kRestart,
     .description = "false: whoever answers is believed. For experiments."},
    {.path = "store_tls.min_version", .scalar = kChoice, .standard = "1.2", .bounds = "1.2|1.3", .change = kRestart,
     .description = "The oldest version of TLS that is spoken with the store."},
    {.path = "key_prefix", .scalar = kName, .standard = "rl", .description = "What the names of all buckets begin with.",
     .variable = "RATELIMIT_KEY_PREFIX"},
    {.path = "memory", .shape = kMap, .description = "The in-process store."},
    {.path = "memory.max_buckets", .scalar = kInteger, .standard = "1000000", .bounds = "64..1000000000", .change = kRestart,
     .description = "How many buckets there is room for; beyond, what is nearly full is forgotten before what is nearly used up."},
    {.path = "memory.snapshot", .scalar = kFile, .change = kRestart,
     .description = "A file that counters are written to on exit and read from at start; absent: a restart forgets.",
     .example = "/var/lib/weir/buckets"},
    {.path = "on_store_error", .scalar = kChoice, .standard = "closed", .bounds = "closed|open|local",
     .description = "What happens to events when the store can't answer: denied, allowed, or counted in this process meanwhile.",
     .variable = "RATELIMIT_FAIL_OPEN"},
    {.path = "store_timeout", .scalar = kDuration, .standard = "20ms", .bounds = "1ms..1m",
     .description = "How long an event waits for the store."},

    // Exceptions.
    {.path = "allow", .shape = kOneOrList, .scalar = kWho, .standard = "[]",
     .description = "Addresses, networks and subjects that are never limited.", .example = "[10.1.0.0/16, \"user:monitoring\"]"},
    {.path = "block", .shape = kOneOrList, .scalar = kWho, .standard = "[]",
     .description = "Addresses, networks and subjects that are refused with 403.", .example = "[203.0.113.0/24]"},
    {.path = "penalty", .shape = kMap, .optional_section = true,
     .description = "Blocks a subject that is denied too often; absent: denials never block.",
     .example = "{after: 100/10m, block_for: 1h}"},
    {.path = "penalty.after", .scalar = kRate, .standard = "100/10m",
     .description = "How often a subject may be denied; one more blocks it."},
    {.path = "penalty.block_for", .scalar = kDuration, .standard = "1h", .bounds = "1s..366d",
     .description = "How long it is blocked: 403, and Close 4029 on WebSockets."},
    {.path = "cors", .shape = kMap, .optional_section = true, .description = "Lets web pages read Weir's own answers; absent: they carry no CORS headers."},
    {.path = "cors.origins", .shape = kOneOrList, .scalar = kOrigin, .standard = "[]",
     .description = "The origins of those pages; \"*\" is any.", .example = "[\"https://app.example\"]"},
    {.path = "shadow", .scalar = kBoolean, .standard = "false",
     .description = "Decides, logs and counts, but lets everything pass."},
    {.path = "disabled", .scalar = kBoolean, .standard = "false", .description = "Allows everything and counts nothing.",
     .variable = "RATELIMIT_DISABLE"},

    // The process.
    {.path = "log", .shape = kMap, .description = "What is logged, to standard error."},
    {.path = "log.level", .scalar = kChoice, .standard = "info", .bounds = "trace|debug|info|warning|error",
     .description = "The least important lines that are written."},
    {.path = "log.format", .scalar = kChoice, .standard = "json", .bounds = "json|text", .change = kRestart,
     .description = "How a line is written."},
    {.path = "log.denial_interval", .scalar = kDuration, .standard = "10s", .bounds = "0s..1d",
     .description = "Denials of one subject under one limit are logged once in so long, with how many were left out."},
    {.path = "timeouts", .shape = kMap, .description = "How long Weir waits; beyond, the connection ends."},
    {.path = "timeouts.handshake", .scalar = kDuration, .standard = "10s", .bounds = "10ms..1h",
     .description = "For a whole request head, and for the backend's answer to a handshake."},
    {.path = "timeouts.upstream_connect", .scalar = kDuration, .standard = "5s", .bounds = "10ms..1h",
     .description = "For a connection to a backend."},
    {.path = "timeouts.upstream_response", .scalar = kDuration, .standard = "60s", .bounds = "10ms..1d",
     .description = "From the end of a request to the head of its response."},
    {.path = "timeouts.body", .scalar = kDuration, .standard = "60s", .bounds = "10ms..1d",
     .description = "Between two pieces of a body."},
    {.path = "timeouts.keep_alive", .scalar = kDuration, .standard = "75s", .bounds = "10ms..1d",
     .description = "For a client's next request on an idle connection."},
    {.path = "timeouts.idle", .scalar = kDuration, .standard = "1h", .bounds = "10ms..30d",
     .description = "For a WebSocket on which neither side sends."},
    {.path = "timeouts.close", .scalar = kDuration, .standard = "2s", .bounds = "10ms..1h",
     .description = "For the other side's half of a close."},
    {.path = "timeouts.drain", .scalar = kDuration, .standard = "30s", .bounds = "0s..1d",
     .description = "For connections to end by themselves when Weir is told to stop."},
    {.path = "bounds", .shape = kMap, .description = "How much Weir holds at most."},
    {.path = "bounds.max_connections", .scalar = kInteger, .standard = "100000", .bounds = "1..10000000",
     .description = "Connections of clients to this process; more are refused.", .example = "100000"},
    {.path = "bounds.max_idle_upstream", .scalar = kInteger, .standard = "64", .bounds = "0..100000",
     .description = "Idle connections that are kept for each backend address and worker."},
    {.path = "bounds.max_held_bodies", .scalar = kSize, .standard = "256MiB", .bounds = "1MiB..1TiB",
     .description = "Bytes of request bodies that are held in this process until they can be judged (GraphQL, MCP, JSON-RPC, "
                    "cost_bytes), all together; a request beyond it is answered 503."},
    {.path = "workers", .scalar = kIntegerOrAuto, .standard = "auto", .bounds = "1..1024", .change = kRestart,
     .description = "Threads that serve connections; auto: one for each core."},
    {.path = "reactor", .scalar = kChoice, .standard = "auto", .bounds = "auto|io_uring|epoll", .change = kRestart,
     .description = "How the kernel is asked; auto: io_uring where it works, else epoll."},
    {.path = "service", .shape = kMap, .available = false, .description = "The decision service.", .example = "{listen: 127.0.0.1:8081}"},
});
// clang-format on

std::string_view parent_of(std::string_view path) {
    const std::size_t dot = path.rfind('.');
    return dot == std::string_view::npos ? std::string_view{} : path.substr(0, dot);
}

// Insertions, deletions, changes and swaps of neighbours (optimal string alignment).
std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::vector<std::size_t>> cost(a.size() + 1, std::vector<std::size_t>(b.size() + 1));
    for (std::size_t i = 0; i <= a.size(); ++i) cost[i][0] = i;
    for (std::size_t j = 0; j <= b.size(); ++j) cost[0][j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t change = cost[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            cost[i][j] = std::min({cost[i - 1][j] + 1, cost[i][j - 1] + 1, change});
            const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) cost[i][j] = std::min(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    return cost[a.size()][b.size()];
}

}  // namespace

std::string_view Key::name() const {
    const std::size_t dot = path.rfind('.');
    return dot == std::string_view::npos ? path : path.substr(dot + 1);
}

std::span<const Key> keys() {
    return kKeys;
}

const Key* find_key(std::string_view path) {
    const auto found = std::ranges::find(kKeys, path, &Key::path);
    return found == kKeys.end() ? nullptr : &*found;
}

std::vector<const Key*> keys_below(std::string_view path) {
    std::vector<const Key*> below;
    for (const Key& key : kKeys) {
        if (parent_of(key.path) == path) below.push_back(&key);
    }
    return below;
}

std::string joined(std::string_view path, std::string_view name) {
    return path.empty() ? std::string(name) : std::string(path).append(".").append(name);
}

std::vector<std::string_view> choices(const Key& key) {
    std::vector<std::string_view> all;
    std::string_view rest = key.bounds;
    while (!rest.empty()) {
        const std::size_t bar = rest.find('|');
        all.push_back(rest.substr(0, bar));
        rest = bar == std::string_view::npos ? std::string_view{} : rest.substr(bar + 1);
    }
    return all;
}

namespace {

std::string scalar_expectation(const Key& key) {
    const auto within = [&](std::string text) {
        const std::size_t dots = key.bounds.find("..");
        if (dots == std::string_view::npos) return text;
        return text.append(" from ")
            .append(key.bounds.substr(0, dots))
            .append(" to ")
            .append(key.bounds.substr(dots + 2));
    };
    switch (key.scalar) {
        case kNone:
            break;
        case kText:
        case kSecret:
            return "text";
        case kBoolean:
            return "true or false";
        case kInteger:
        case kSignedInteger:
            return within("a whole number");
        case kNumber:
            return within("a number");
        case kDuration:
            return within("a duration such as 20ms, 10s, 5m, 1h or 2d");
        case kSize:
            return within("a size such as 512, 4KiB or 1MiB");
        case kRate:
            return "a rate such as 30/m, 5/10s or 3/h";
        case kChoice: {
            std::string text = "one of ";
            for (const std::string_view choice : choices(key)) text.append(text.size() > 7 ? ", " : "").append(choice);
            return text;
        }
        case kEndpoint:
            return "ADDRESS:PORT, [ADDRESS]:PORT, *:PORT or unix:/PATH";
        case kListen:
            return "ADDRESS:PORT, [ADDRESS]:PORT, *:PORT, one of these behind http:// or https://, or unix:/PATH";
        case kUpstream:
            return "http://HOST[:PORT], https://HOST[:PORT] or unix:/PATH";
        case kLookupUrl:
            return "http://HOST[:PORT]/PATH, https://HOST[:PORT]/PATH or unix:/SOCKET:/PATH";
        case kCredential:
            return "authorization, cookie:NAME, header:NAME or query:NAME";
        case kNetwork:
            return "an address or a network such as 10.0.0.0/8";
        case kWho:
            return "an address, a network such as 10.0.0.0/8, or user:NAME";
        case kFile:
            return "the path of a file";
        case kJwks:
            return "the path of a file, https://HOST[:PORT]/PATH, or on loopback http://HOST[:PORT]/PATH";
        case kToken:
            return "authorization, query:NAME, cookie:NAME or subprotocol:MARKER";
        case kSubject:
            return "ip, user, connection, global, claim:NAME or header:NAME";
        case kLimit:
            return "the name of a limit, or none";
        case kName:
            return "a name of letters, digits, '_', '-', '.' and ':'";
        case kPath:
            return "a path such as /ws/chat/, /ws/*/chat/ or /ws/**";
        case kStore:
            return "memory, redis://HOST:PORT/DB, unix:/PATH, redis+cluster://HOST:PORT,... or "
                   "redis+sentinel://HOST:PORT,.../MASTER";
        case kOrigin:
            return "an origin such as https://app.example, or \"*\"";
        case kHeader:
            return "the name of a header field";
        case kJsonScalar:
            return "text, a number, true, false or null";
        case kIntegerOrAuto:
            return within("auto, or a whole number");
    }
    return "nothing";
}

}  // namespace

std::string expectation(const Key& key) {
    switch (key.shape) {
        case kOne:
            return scalar_expectation(key);
        case kOneOrList:
            return scalar_expectation(key) + ", or a list of such";
        case kMap:
            return "a map of keys";
        case kMapOrOne:
            return scalar_expectation(key) + ", or a map of keys";
        case kNamed:
            return "a map of names";
        case kMaps:
            return "a list of maps";
        case kCondition:
            return "a condition such as {json: {has: query}}";
        case kConditionList:
            return "a list of conditions";
    }
    return {};
}

std::string nearest(std::string_view word, const std::vector<std::string>& candidates) {
    constexpr std::size_t kWordMax = 64;  // bounds the work on a hostile file
    if (word.size() > kWordMax) return {};
    std::string best;
    std::size_t best_distance = std::max<std::size_t>(1, std::min<std::size_t>(3, word.size() / 3)) + 1;
    for (const std::string& candidate : candidates) {
        if (candidate.size() > kWordMax) continue;
        const std::size_t distance = edit_distance(word, candidate);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidate;
        }
    }
    return best;
}

}  // namespace weir::config
