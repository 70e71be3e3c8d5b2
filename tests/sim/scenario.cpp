#include "scenario.h"

#include <fmt/format.h>
#include <openssl/hmac.h>

#include "protocol/jwt/base64url.h"

namespace weir::sim {
namespace {

using std::chrono::milliseconds;

constexpr const char* kAlgorithms[] = {"fixed_window", "sliding_window", "gcra"};

NaiveLimit draw_limit(Rng& random, std::string name) {
    constexpr std::uint64_t kCounts[] = {1, 2, 3, 5, 7, 10, 30, 100};
    constexpr std::uint64_t kPeriods[] = {1, 2, 10, 60, 7};
    NaiveLimit limit;
    limit.name = std::move(name);
    limit.count = kCounts[random.below(8)];
    limit.period_seconds = kPeriods[random.below(5)];
    limit.counting = static_cast<Counting>(random.below(3));
    limit.burst = random.one_in(2) ? limit.count : random.between(1, 2 * limit.count);
    limit.count_denied = random.one_in(6);
    return limit;
}

constexpr std::string_view kSecret = "the-secret-of-the-simulation-of-weir";

std::string signed_token(std::string_view payload, std::string_view secret) {
    namespace jwt = protocol::jwt;
    const std::string signed_bytes = jwt::encode_base64url(R"({"alg":"HS256"})") + "." + jwt::encode_base64url(payload);
    unsigned char mac[32];
    unsigned length = 0;
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(signed_bytes.data()), signed_bytes.size(), mac, &length);
    return signed_bytes + "." + jwt::encode_base64url({reinterpret_cast<char*>(mac), length});
}

}  // namespace

Scenario Scenario::from_seed(std::uint64_t seed) {
    Rng random(seed * 7919 + 1);
    Scenario scenario;
    scenario.seed = seed;
    scenario.network = net::SimulatedOptions::hostile(seed);
    // A window of a byte would make minutes of each message, and the run about nothing else.
    scenario.network.window_bytes_min += 200;
    scenario.network.window_bytes_max += 200;
    if (random.one_in(3)) scenario.network.faults = {.reset_one_in = 0, .refuse_one_in = 0, .ignore_one_in = 0};
    const bool bad_store = random.one_in(3);
    if (bad_store) {
        const auto weight = [&] { return random.one_in(3) ? 0U : 1U << random.below(6); };
        scenario.store = {.late_one_in = weight(), .fail_one_in = weight() * 3, .lose_one_in = weight() * 3};
        scenario.store.late_max = milliseconds(random.between(1, 300));
    }
    scenario.on_error = static_cast<OnError>(random.below(3));
    for (const char* name : {"C", "M", "Q", "B", "H"}) {
        NaiveLimit limit = draw_limit(random, name);
        scenario.limits[std::string(1, static_cast<char>(name[0] - 'A' + 'a'))] = limit;
    }
    scenario.rules = static_cast<Rules>(random.below(3));
    scenario.workers = random.one_in(3) ? 2 : 1;
    scenario.users = static_cast<unsigned>(random.between(1, 3));
    scenario.clients = static_cast<unsigned>(random.between(1, 8));
    scenario.steps = static_cast<unsigned>(random.between(5, 80));
    if (random.one_in(3)) scenario.message_bytes_max = random.between(1, 3000);
    scenario.inspect_bytes = random.one_in(2) ? 65536 : random.between(128, 1024);
    if (random.one_in(4)) scenario.connections_max = random.between(1, 3);
    if (random.one_in(10)) scenario.connections_max_in_all = random.between(1, 4);
    if (random.one_in(5)) scenario.idle_seconds = static_cast<unsigned>(random.between(2, 30));
    if (random.one_in(6)) scenario.ping_seconds = static_cast<unsigned>(random.between(1, 20));
    scenario.connect_limited = random.one_in(3);
    scenario.connect_answers_429 = random.one_in(3);
    scenario.http_limited = random.one_in(2);
    scenario.notify = random.one_in(4);
    scenario.close_after = random.one_in(6);
    scenario.drain = random.one_in(8);
    scenario.reload = random.one_in(5);
    scenario.peers_behave = random.one_in(3);
    scenario.second_backend = random.one_in(4);
    if (scenario.reload) scenario.reload_factor = random.between(1, 3);
    scenario.shadow = random.one_in(12);
    for (auto& [group, limit] : scenario.limits) limit.shadow = random.one_in(8);
    scenario.http_mark = random.one_in(2);
    scenario.connect_mark = !scenario.connect_answers_429 && random.one_in(2);
    scenario.tokens = random.one_in(3);
    scenario.reject_invalid = random.one_in(2);
    scenario.proxy_protocol = random.one_in(4);
    scenario.cors = random.one_in(3);
    scenario.pause_max = milliseconds(1U << random.below(12));
    scenario.jump_one_in = random.one_in(2) ? static_cast<std::uint32_t>(random.between(5, 50)) : 0;
    return scenario;
}

bool Scenario::network_is_sound() const {
    return network.faults.reset_one_in == 0 && network.faults.refuse_one_in == 0 && network.faults.ignore_one_in == 0;
}

Token Scenario::token_of(int client) const {
    return tokens ? static_cast<Token>((static_cast<std::uint64_t>(client) + seed) % 4) : Token::kNone;
}

bool Scenario::rejected(int client) const {
    const Token token = token_of(client);
    return reject_invalid && (token == Token::kExpired || token == Token::kInvalid);
}

std::string Scenario::query_of(int client) const {
    const Token token = token_of(client);
    if (token == Token::kNone) return {};
    const std::string payload = fmt::format(R"({{"sub": "u{}", "exp": {}}})", static_cast<unsigned>(client) % users,
                                            token == Token::kExpired ? 1'000'000'000U : 9'999'999'999U);
    return "&token=" + signed_token(payload, token == Token::kInvalid ? "another secret of the simulation" : kSecret);
}

std::string Scenario::subject_of(int client) const {
    if (token_of(client) == Token::kValid) return fmt::format("user:u{}", static_cast<unsigned>(client) % users);
    return "ip:" + client_address(client).to_string();
}

IpAddress Scenario::peer_address(int client) const {
    return IpAddress::from_v4({203, 0, 113, static_cast<std::uint8_t>(1 + static_cast<unsigned>(client) % users)});
}

bool Scenario::named_by_proxy(int client) const {
    return proxy_protocol && static_cast<Proxy>(client % 4) <= Proxy::kV2;
}

IpAddress Scenario::client_address(int client) const {
    if (!named_by_proxy(client)) return peer_address(client);
    return IpAddress::from_v4({198, 51, 100, static_cast<std::uint8_t>(1 + static_cast<unsigned>(client) % users)});
}

std::string Scenario::forwarded_for(int client) const {
    const std::string peer = peer_address(client).to_string();
    return named_by_proxy(client) ? client_address(client).to_string() + ", " + peer : peer;
}

std::string Scenario::proxy_header(int client) const {
    if (!proxy_protocol) return {};
    const std::string signature("\r\n\r\n\0\r\nQUIT\n", 12);
    switch (static_cast<Proxy>(client % 4)) {
        case Proxy::kV1:
            return fmt::format("PROXY TCP4 {} 192.0.2.1 5000 80\r\n", client_address(client).to_string());
        case Proxy::kV1Unknown:
            return "PROXY UNKNOWN\r\n";
        case Proxy::kV2Local:
            return signature + std::string("\x20\x00\x00\x00", 4);
        case Proxy::kV2:
            break;
    }
    const char last = static_cast<char>(1 + static_cast<unsigned>(client) % users);
    return signature + std::string("\x21\x11\x00\x0C", 4) + "\xC6\x33\x64" + last +
           std::string("\xC0\x00\x02\x01\x13\x88\x00\x50", 8);
}

std::string Scenario::yaml(std::uint64_t factor) const {
    std::string text = "listen: 127.0.0.1:8080\n";
    if (shadow) text += "shadow: true\n";
    if (cors) text += "cors: {origins: [\"https://app.example\"]}\n";
    if (proxy_protocol) text += "trusted_proxies: [203.0.113.0/24]\nclient_address: {from: proxy-protocol}\n";
    if (tokens) {
        text += fmt::format("identity: {{jwt: {{secret: {}, from: \"query:token\", on_invalid: {}}}}}\n", kSecret,
                            reject_invalid ? "reject" : "anonymous");
    }
    text += second_backend ? "upstreams: {app: [\"http://10.0.0.1:80\", \"http://10.0.0.2:80\"]}\n"
                           : "upstreams: {app: \"http://10.0.0.1:80\"}\n";
    text += "limits:\n";
    for (const auto& [group, limit] : limits) {
        const std::string rate = fmt::format("{}/{}s", limit.count * factor, limit.period_seconds);
        text += fmt::format("  {}: {{rate: {}, authenticated: {}, anonymous: {}, algorithm: {}{}{}{}}}\n", limit.name,
                            rate, rate, rate, kAlgorithms[static_cast<std::size_t>(limit.counting)],
                            limit.counting == Counting::kGcra ? fmt::format(", burst: {}", limit.burst * factor) : "",
                            limit.count_denied ? ", count_denied: true" : "", limit.shadow ? ", shadow: true" : "");
    }
    text += "routes:\n  - name: ws\n    path: /ws/**\n    websocket:\n";
    if (connect_limited) text += "      connect: C\n";
    text += fmt::format("      max_message_bytes: {}\n      inspect_bytes: {}\n      ping_interval: {}s\n",
                        message_bytes_max, inspect_bytes, ping_seconds);
    text += fmt::format("      max_connections: {{per_subject: {}}}\n      messages:\n", connections_max);
    if (rules == Rules::kByOpcode) text += "        - when: {binary: true}\n          limit: [B, M]\n";
    if (rules == Rules::kByContent) {
        text +=
            "        - when: {json: {equals: {type: ping}}}\n          limit: none\n"
            "        - when: {json: {has: query}}\n          limit: [Q, M]\n"
            "        - when: {all: [{binary: true}, {larger_than: 300}]}\n          limit: B\n";
    }
    text += "        - limit: M\n";
    text += fmt::format("      on_limit: {{connect: {}{}{}}}\n",
                        connect_answers_429 ? "http_429"
                        : connect_mark      ? "mark"
                                            : "close",
                        notify ? ", notify: 1/s" : "", close_after ? ", close_after: 5/m" : "");
    text += "  - name: http\n    path: /http/**\n";
    if (http_limited)
        text += fmt::format("    http: {{limit: H, max_body_bytes: 20000{}}}\n", http_mark ? ", on_limit: mark" : "");
    constexpr const char* kOnError[] = {"closed", "open", "local"};
    text += fmt::format("on_store_error: {}\nbounds: {{max_connections: {}}}\ntimeouts: {{idle: {}s, drain: 5s}}\n",
                        kOnError[static_cast<std::size_t>(on_error)], connections_max_in_all, idle_seconds);
    return text;
}

std::string Scenario::summary() const {
    return fmt::format(
        "seed {}: {} clients of {} users, {} workers, {} steps, network faults {}/{}/{}, store faults "
        "{}/{}/{}",
        seed, clients, users, workers, steps, network.faults.reset_one_in, network.faults.refuse_one_in,
        network.faults.ignore_one_in, store.late_one_in, store.fail_one_in, store.lose_one_in);
}

}  // namespace weir::sim
