#include "scenario.h"

#include <fmt/format.h>

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
    scenario.reload = random.one_in(8);
    scenario.peers_behave = random.one_in(3);
    scenario.second_backend = random.one_in(4);
    scenario.pause_max = milliseconds(1U << random.below(12));
    scenario.jump_one_in = random.one_in(2) ? static_cast<std::uint32_t>(random.between(5, 50)) : 0;
    return scenario;
}

bool Scenario::network_is_sound() const {
    return network.faults.reset_one_in == 0 && network.faults.refuse_one_in == 0 && network.faults.ignore_one_in == 0;
}

std::string Scenario::yaml() const {
    std::string text = "listen: 127.0.0.1:8080\n";
    text += second_backend ? "upstreams: {app: [\"http://10.0.0.1:80\", \"http://10.0.0.2:80\"]}\n"
                           : "upstreams: {app: \"http://10.0.0.1:80\"}\n";
    text += "limits:\n";
    for (const auto& [group, limit] : limits) {
        text += fmt::format("  {}: {{rate: {}/{}s, anonymous: {}/{}s, algorithm: {}{}{}}}\n", limit.name, limit.count,
                            limit.period_seconds, limit.count, limit.period_seconds,
                            kAlgorithms[static_cast<std::size_t>(limit.counting)],
                            limit.counting == Counting::kGcra ? fmt::format(", burst: {}", limit.burst) : "",
                            limit.count_denied ? ", count_denied: true" : "");
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
    text += fmt::format("      on_limit: {{connect: {}{}{}}}\n", connect_answers_429 ? "http_429" : "close",
                        notify ? ", notify: 1/s" : "", close_after ? ", close_after: 5/m" : "");
    text += "  - name: http\n    path: /http/**\n";
    if (http_limited) text += "    http: {limit: H, max_body_bytes: 20000}\n";
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
