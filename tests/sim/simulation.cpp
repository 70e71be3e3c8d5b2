#include "simulation.h"

#include <algorithm>
#include <fmt/format.h>

namespace weir::sim {

using std::chrono::seconds;

namespace {

constexpr HashKey kHashKey{1, 2};
constexpr std::uint16_t kClientPorts = 1000;

const net::Endpoint kFront = *net::Endpoint::parse("127.0.0.1:8080");
const net::Endpoint kBack = *net::Endpoint::parse("10.0.0.1:80");

}  // namespace

Simulation::Simulation(const Scenario& scenario)
    : scenario_(scenario),
      random_(scenario.seed * 31 + 7),
      network_(scenario.network),
      table_({.buckets_max = 4096}),
      local_table_({.buckets_max = 4096}),
      store_(
          table_, random_, attention_, scenario_.store, scenario_.on_error, scenario_.limits, scenario_.reload_factor,
          [this](int client) { return scenario_.subject_of(client); },
          [this](const std::string& group) { return scenario_.shadowed(group); },
          [this](const std::string& what) { fail(what); }),
      shared_(store_, &local_table_, metrics_, log_, kHashKey),
      backend_(network_, scenario_, random_, [this](const std::string& what) { fail(what); }) {
    config::Sources sources;
    sources.text = scenario_.yaml();
    const config::Loaded loaded = config::load(sources);
    for (const config::Problem& problem : loaded.problems) fail(problem.to_string());
    config_ = loaded.config;
    if (config_ == nullptr) return;
    sources.text = scenario_.yaml(scenario_.reload_factor);
    reloaded_config_ = config::load(sources).config;
    shared_.adopt(std::make_shared<const gateway::Snapshot>(config_, kHashKey, generation_, metrics_));
    start_workers();
    backend_.listen(kBack);
}

Simulation::~Simulation() = default;

void Simulation::fail(const std::string& what) {
    if (failures_.size() < 20) failures_.push_back(what);
}

void Simulation::start_workers() {
    const auto client_of = [](const net::Endpoint& peer) { return peer.port - kClientPorts; };
    for (unsigned i = 0; i < scenario_.workers; ++i) {
        auto reactor = std::make_unique<ObservedReactor>(network_.make_reactor(), attention_, client_of);
        reactors_.push_back(reactor.get());
        workers_.push_back(std::make_unique<gateway::Worker>(std::move(reactor), shared_, names_, random_.next()));
        if (!workers_.back()->listen(kFront)) fail("the gateway can't listen");
    }
}

void Simulation::connect_clients() {
    for (unsigned i = 0; i < scenario_.clients; ++i) {
        const int id = static_cast<int>(i);
        const net::Endpoint from{.address = scenario_.peer_address(id),
                                 .port = static_cast<std::uint16_t>(kClientPorts + i),
                                 .unix_path = {}};
        const net::SimulatedPeer peer = network_.connect(kFront, from);
        if (random_.one_in(4)) {
            http_clients_.push_back(std::make_unique<HttpClient>(id, peer, scenario_, random_));
        } else {
            clients_.push_back(std::make_unique<WebsocketClient>(id, peer, scenario_, random_));
            clients_.back()->shake_hands();
        }
        if (random_.one_in(2)) network_.advance(std::chrono::milliseconds(random_.below(500)));
    }
}

void Simulation::step() {
    const std::size_t turn = random_.below(clients_.size() + http_clients_.size());
    if (turn < clients_.size()) {
        clients_[turn]->update();
        clients_[turn]->act();
    } else {
        http_clients_[turn - clients_.size()]->act();
    }
    backend_.act();
    Nanos pause{static_cast<Nanos::rep>(random_.below(static_cast<std::uint64_t>(scenario_.pause_max.count())))};
    if (scenario_.jump_one_in != 0 && random_.one_in(scenario_.jump_one_in))
        pause = std::chrono::milliseconds(random_.below(70'000));
    network_.advance(pause);
    for (auto& each : clients_) each->update();
    look();
}

void Simulation::reload() {
    reloaded_ = !reloaded_;
    shared_.adopt(std::make_shared<const gateway::Snapshot>(reloaded_ ? reloaded_config_ : config_, kHashKey,
                                                            ++generation_, metrics_));
    for (auto& worker : workers_) worker->request_reload();
}

void Simulation::run() {
    if (config_ == nullptr) return;
    connect_clients();
    for (unsigned i = 0; i < scenario_.steps; ++i) {
        step();
        if (scenario_.reload && random_.one_in(20)) reload();
        if (scenario_.drain && !drained_ && random_.one_in(scenario_.steps)) {
            drained_ = true;
            for (auto& worker : workers_) worker->request_drain();
        }
    }
    check_settled();
    for (auto& client : clients_) client->wind_up();
    for (auto& client : http_clients_) client->wind_up();
    network_.advance(seconds(200 + scenario_.idle_seconds));
    for (auto& client : clients_) client->update();
    look();
    check_end();
}

void Simulation::look() {
    // More than a subject may have is never open.
    if (scenario_.connections_max == 0 || scenario_.shadow) return;
    std::map<std::string, std::size_t> open;
    for (const auto& client : clients_) {
        const bool served = std::any_of(reactors_.begin(), reactors_.end(),
                                        [&](const ObservedReactor* each) { return each->serves(client->id()); });
        // One that is refused gets a 101 too, but no backend.
        if (served && client->open() && backend_.socket_of(client->id()) != nullptr)
            ++open[scenario_.subject_of(client->id())];
    }
    for (const auto& [user, count] : open) {
        if (count > scenario_.connections_max) fail(fmt::format("{} has {} connections open", user, count));
    }
}

}  // namespace weir::sim
