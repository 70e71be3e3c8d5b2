// The gateway in simulation: many runs, each from one seed. A failure is reported with its seed, and that seed alone
// makes it again:
//
//     WEIR_SIM_SEED=42 gateway_sim             one seed
//     gateway_sim --seeds 100000 --first 5000  many
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string>

#include "simulation.h"

namespace weir::sim {
namespace {

constexpr std::uint64_t kSeedsByDefault = 4000;

std::uint64_t first_seed = 1;
std::uint64_t seeds = kSeedsByDefault;

// True when it held what must hold.
bool run_seed(std::uint64_t seed, Simulation::Tally& total) {
    const Scenario scenario = Scenario::from_seed(seed);
    Simulation simulation(scenario);
    simulation.run();
    const Simulation::Tally& tally = simulation.tally();
    total.opened += tally.opened;
    total.messages += tally.messages;
    total.allowed += tally.allowed;
    total.denied += tally.denied;
    total.failed += tally.failed;
    total.requests += tally.requests;
    total.settled += tally.settled;
    total.marked += tally.marked;
    total.shadow_denied += tally.shadow_denied;
    total.known_users += tally.known_users;
    total.rejected += tally.rejected;
    total.proxied += tally.proxied;
    total.preflights += tally.preflights;
    total.reloaded += tally.reloaded;
    if (simulation.failures().empty()) return true;
    std::string text = scenario.summary() + "\n" + scenario.yaml();
    for (const std::string& failure : simulation.failures()) text += "  * " + failure + "\n";
    ADD_FAILURE() << text << "Again: WEIR_SIM_SEED=" << seed;
    return false;
}

TEST(GatewaySimulation, HoldsItsPromisesWhateverPeersNetworkAndStoreDo) {
    Simulation::Tally total;
    int failed = 0;
    for (std::uint64_t seed = first_seed; seed < first_seed + seeds && failed < 10; ++seed) {
        failed += run_seed(seed, total) ? 0 : 1;
    }
    fmt::print(
        "{} WebSockets, {} of them followed to the last byte, {} frames and messages; decisions: {} allowed, {} "
        "denied, {} without "
        "the store; {} requests\n",
        total.opened, total.settled, total.messages, total.allowed, total.denied, total.failed, total.requests);
    fmt::print(
        "{} marked, {} denied in shadow, {} of known users, {} rejected, {} behind a proxy, {} preflights, {} after a "
        "reload\n",
        total.marked, total.shadow_denied, total.known_users, total.rejected, total.proxied, total.preflights,
        total.reloaded);
    // A simulation in which nothing happens would hold anything.
    if (seeds >= kSeedsByDefault) {
        EXPECT_GT(total.settled, seeds / 4);
        EXPECT_GT(total.allowed, seeds);
        EXPECT_GT(total.denied, seeds);
        EXPECT_GT(total.failed, seeds / 20);
        EXPECT_GT(total.requests, seeds);
        for (const std::uint64_t reached : {total.marked, total.shadow_denied, total.known_users, total.rejected,
                                            total.proxied, total.preflights, total.reloaded}) {
            EXPECT_GT(reached, seeds / 50);
        }
    }
}

TEST(GatewaySimulation, RunsTheSameAgainFromTheSameSeed) {
    std::uint64_t traces[2] = {};
    for (std::uint64_t& trace : traces) {
        Simulation simulation(Scenario::from_seed(first_seed));
        simulation.run();
        trace = simulation.trace();
    }
    EXPECT_EQ(traces[0], traces[1]);
}

}  // namespace
}  // namespace weir::sim

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    for (int i = 1; i + 1 < argc; i += 2) {
        if (std::strcmp(argv[i], "--seeds") == 0) weir::sim::seeds = std::strtoull(argv[i + 1], nullptr, 10);
        if (std::strcmp(argv[i], "--first") == 0) weir::sim::first_seed = std::strtoull(argv[i + 1], nullptr, 10);
    }
    if (const char* seed = std::getenv("WEIR_SIM_SEED"); seed != nullptr && *seed != '\0') {
        weir::sim::first_seed = std::strtoull(seed, nullptr, 10);
        weir::sim::seeds = 1;
    }
    return RUN_ALL_TESTS();
}
