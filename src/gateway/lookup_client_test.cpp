// Callers who are asked about, on a simulated network: two workers, an application that answers now, late, broken or
// not at all, and clients that come and go. Whatever happens, nobody is taken for another, everybody is answered or
// gone, and nothing stays open.
#include "gateway/lookup_client.h"

#include <algorithm>
#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "config/load.h"
#include "gateway/worker.h"
#include "log/test_log.h"
#include "net/simulated_network.h"
#include "net/test_names.h"

namespace weir::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr HashKey kHashKey{1, 2};
const net::Endpoint kFront = *net::Endpoint::parse("127.0.0.1:8080");
const net::Endpoint kApplication = *net::Endpoint::parse("10.0.0.1:80");
// The tier of a caller shows in the limit of the answer.
constexpr const char* kConfiguration = R"(
upstreams: {app: "http://10.0.0.1:80"}
identity:
  lookup: {url: "http://10.0.0.1/whoami", forward: "cookie:s", cache: 10s, timeout: 2s}
limits: {CALLS: {anonymous: 1001/h, authenticated: 1002/h, superuser: 1003/h}}
routes: [{path: "/**", http: {limit: CALLS}}]
timeouts: {handshake: 5s, keep_alive: 5s, upstream_connect: 1s, upstream_response: 5s}
)";

std::string answer_of(std::string_view body) {
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

// The value of the cookie `s` in a head.
std::string credential_of(std::string_view head) {
    const std::size_t at = head.find("s=");
    return at == std::string_view::npos ? "" : std::string(head.substr(at + 2, head.find('\r', at) - at - 2));
}

class LookupWorld {
  public:
    // What the application does with a question about this credential.
    std::function<void(net::SimulatedPeer, const std::string&)> on_question =
        [](net::SimulatedPeer peer, const std::string& credential) { peer.send(right_answer(credential)); };
    static std::string right_answer(const std::string& credential) {
        if (credential.starts_with("root")) return answer_of(R"({"user": "root", "tier": "superuser"})");
        if (credential.starts_with("user")) return answer_of(R"({"user": ")" + credential + R"("})");
        return "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    }
    static std::string right_limit(const std::string& credential) {
        return credential.starts_with("root") ? "1003" : credential.starts_with("user") ? "1002" : "1001";
    }

    explicit LookupWorld(const net::SimulatedOptions& options, unsigned workers = 2)
        : network(options), shared_(table_, &table_, registry, log, kHashKey) {
        config::Sources sources;
        sources.text = kConfiguration;
        config_ = config::load(sources).config;
        EXPECT_NE(config_, nullptr);
        shared_.adopt(std::make_shared<const Snapshot>(config_, kHashKey, 1, registry));
        for (unsigned i = 0; i < workers; ++i) {
            auto reactor = network.make_reactor();
            reactors_.push_back(reactor.get());
            workers_.push_back(std::make_unique<Worker>(std::move(reactor), shared_, names_, i));
            EXPECT_TRUE(workers_.back()->listen(kFront));
        }
        network.listen(kApplication, [this](net::SimulatedPeer peer) {
            peer.on_change([this](net::SimulatedPeer each) { serve(each); });
        });
    }
    ~LookupWorld() {
        workers_.clear();
        EXPECT_EQ(network.counters().opened, network.counters().closed);
        EXPECT_EQ(network.counters().closed_again, 0U);
    }

    net::SimulatedPeer call(const std::string& credential) {
        net::SimulatedPeer client = network.connect(kFront);
        client.send("GET / HTTP/1.1\r\nHost: a\r\nCookie: s=" + credential + "\r\n\r\n");
        return client;
    }
    // What X-RateLimit-Limit says; empty before the answer is there.
    static std::string limit_of(const net::SimulatedPeer& client) {
        constexpr std::string_view kField = "X-RateLimit-Limit: ";
        const std::size_t at = client.received().find(kField);
        return at == std::string::npos ? "" : client.received().substr(at + kField.size(), 4);
    }
    void reload() {
        const auto before = shared_.snapshot();
        shared_.adopt(
            std::make_shared<const Snapshot>(config_, kHashKey, before->generation + 1, registry, before.get()));
        for (auto& worker : workers_) worker->request_reload();
    }
    void drain() {
        for (auto& worker : workers_) worker->request_drain();
    }
    [[nodiscard]] bool finished() const {
        return std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) { return worker->finished(); });
    }
    [[nodiscard]] std::size_t blocks_out() {
        std::size_t sum = 0;
        for (net::Reactor* reactor : reactors_) sum += reactor->blocks().blocks_out();
        return sum;
    }
    [[nodiscard]] std::int64_t lookups(std::string_view outcome) {
        return registry.value(registry.cell(metrics::Family::kLookups, {outcome}));
    }

    net::SimulatedNetwork network;
    metrics::Registry registry;
    log::LogLines log;
    std::vector<std::string> questions;  // credentials, in the order in which they were asked about

  private:
    void serve(net::SimulatedPeer peer) {
        std::string& bytes = pending_[peer.index()];
        bytes += peer.take_received();
        for (std::size_t end = 0; (end = bytes.find("\r\n\r\n")) != std::string::npos;) {
            const std::string head = bytes.substr(0, end + 2);
            bytes.erase(0, end + 4);
            if (!head.starts_with("GET /whoami")) {
                peer.send(answer_of("ok"));
                continue;
            }
            questions.push_back(credential_of(head));
            on_question(peer, questions.back());
        }
        if (peer.ended()) peer.close();
    }

    net::NoNames names_;
    limit::BucketTable table_{{.buckets_max = 4096}};
    Shared shared_;
    std::shared_ptr<const config::Config> config_;
    std::vector<net::Reactor*> reactors_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::map<std::uint32_t, std::string> pending_;
};

net::SimulatedOptions calm() {
    return {.calm = true};
}

TEST(LookupWorld, CallersOnBothWorkersShareOneQuestion) {
    LookupWorld world(calm());
    std::vector<net::SimulatedPeer> asked;
    world.on_question = [&](net::SimulatedPeer peer, const std::string&) { asked.push_back(peer); };
    std::vector<net::SimulatedPeer> clients;
    for (int i = 0; i < 40; ++i) clients.push_back(world.call("user1"));
    world.network.settle();
    ASSERT_EQ(asked.size(), 1U);
    EXPECT_EQ(world.lookups("shared"), 39);
    asked[0].send(LookupWorld::right_answer("user1"));
    world.network.settle();
    for (const auto& client : clients) EXPECT_EQ(LookupWorld::limit_of(client), "1002");
    const auto late = world.call("user1");
    world.network.settle();
    EXPECT_EQ(LookupWorld::limit_of(late), "1002");
    EXPECT_EQ(world.questions.size(), 1U);
    EXPECT_EQ(world.lookups("hit"), 1);
}

TEST(LookupWorld, MoreThanMayBeAskedAtOnceStandInLine) {
    LookupWorld world(calm(), 1);
    std::vector<std::pair<net::SimulatedPeer, std::string>> asked;
    world.on_question = [&](net::SimulatedPeer peer, const std::string& who) { asked.emplace_back(peer, who); };
    std::vector<net::SimulatedPeer> clients;
    for (std::size_t i = 0; i < 3 * kLookupsAtOnce; ++i) clients.push_back(world.call("user" + std::to_string(i)));
    world.network.settle();
    EXPECT_EQ(asked.size(), kLookupsAtOnce);
    for (std::size_t i = 0; i < asked.size(); ++i) {
        asked[i].first.send(LookupWorld::right_answer(asked[i].second));
        world.network.settle();
    }
    EXPECT_EQ(asked.size(), 3 * kLookupsAtOnce);
    for (const auto& client : clients) EXPECT_EQ(LookupWorld::limit_of(client), "1002");
}

TEST(LookupWorld, InLineAndOnItsWayAQuestionEndsWithItsTimeOut) {
    LookupWorld world(calm(), 1);
    world.on_question = [](net::SimulatedPeer, const std::string&) {};
    std::vector<net::SimulatedPeer> clients;
    for (std::size_t i = 0; i < 2 * kLookupsAtOnce; ++i) clients.push_back(world.call("user" + std::to_string(i)));
    world.network.settle();
    world.network.advance(milliseconds(1900));
    for (const auto& client : clients) EXPECT_EQ(LookupWorld::limit_of(client), "");
    world.network.advance(milliseconds(200));
    for (const auto& client : clients) EXPECT_EQ(LookupWorld::limit_of(client), "1001");
    EXPECT_EQ(world.lookups("timeout"), static_cast<std::int64_t>(clients.size()));
}

TEST(LookupWorld, AnApplicationThatNobodyReachesMakesCallersAnonymous) {
    LookupWorld world(calm());
    world.network.stop_listening(kApplication);
    const auto client = world.call("user1");
    world.network.settle();
    EXPECT_TRUE(client.received().starts_with("HTTP/1.1 502 "));  // its requests go there as well
    EXPECT_EQ(world.lookups("unreachable"), 1);
    EXPECT_NE(world.log.text.find("could not be asked who a caller is http://10.0.0.1"), std::string::npos);
    EXPECT_EQ(world.log.text.find("user1"), std::string::npos);
}

TEST(LookupWorld, ADrainWaitsForThoseWhoAreAskedAbout) {
    LookupWorld world(calm());
    std::vector<net::SimulatedPeer> asked;
    world.on_question = [&](net::SimulatedPeer peer, const std::string&) { asked.push_back(peer); };
    const auto client = world.call("user1");
    world.network.settle();
    world.drain();
    world.network.settle();
    EXPECT_FALSE(world.finished());
    asked.at(0).send(LookupWorld::right_answer("user1"));
    world.network.advance(seconds(5));
    EXPECT_EQ(LookupWorld::limit_of(client), "1002");
    EXPECT_TRUE(world.finished());
}

// One seed: clients come and go, the application is right, late, broken or silent, configurations change.
void run_hostile(std::uint64_t seed) {
    SCOPED_TRACE(seed);
    LookupWorld world(net::SimulatedOptions::hostile(seed));
    Rng& random = world.network.random();
    world.on_question = [&](net::SimulatedPeer peer, const std::string& credential) {
        switch (random.below(8)) {
            case 0:
                return;  // never
            case 1:
                return peer.send("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
            case 2:
                peer.send(LookupWorld::right_answer(credential).substr(0, 30));
                return peer.close();
            case 3:
                return peer.reset();
            case 4:
                peer.send(LookupWorld::right_answer(credential));
                return peer.finish();
            default:
                return peer.send(LookupWorld::right_answer(credential));
        }
    };
    struct Client {
        net::SimulatedPeer peer;
        std::string credential;
    };
    std::vector<Client> clients;
    std::set<std::string> seen;
    for (int step = 0; step < 120; ++step) {
        const std::string kind = random.one_in(3) ? "root" : random.one_in(3) ? "nobody" : "user";
        const std::string credential = kind + std::to_string(random.below(4));
        clients.push_back({world.call(credential), credential});
        if (random.one_in(6)) clients[random.below(clients.size())].peer.reset();
        if (random.one_in(25)) world.reload();
        world.network.advance(milliseconds(random.below(random.one_in(10) ? 4000 : 60)));
    }
    world.network.advance(seconds(60));
    for (const Client& client : clients) {
        const std::string limit = LookupWorld::limit_of(client.peer);
        if (limit.empty()) {
            EXPECT_TRUE(client.peer.over() || client.peer.received().starts_with("HTTP/1.1 50"))
                << client.credential << ": " << client.peer.received();
            continue;
        }
        // Itself, or nobody where the application could not be asked; never anyone else.
        EXPECT_TRUE(limit == "1001" || limit == LookupWorld::right_limit(client.credential))
            << client.credential << " was taken for " << limit;
        seen.insert(limit);
    }
    EXPECT_EQ(seen.size(), 3U);
    EXPECT_EQ(world.blocks_out(), 0U);
    EXPECT_EQ(world.log.text.find("s=root"), std::string::npos);
}

TEST(LookupWorld, NobodyIsTakenForAnotherWhateverHappens) {
    for (std::uint64_t seed = 1; seed <= 60; ++seed) run_hostile(seed);
}

}  // namespace
}  // namespace weir::gateway
