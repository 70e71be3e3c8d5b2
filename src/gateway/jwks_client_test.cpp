// Keys that are fetched, on a simulated network: two workers, an identity server that answers now, late, broken or not
// at all, and clients with tokens of this or that key. The tier of a caller shows in the limit of the answer.
#include "gateway/jwks_client.h"

#include <functional>
#include <gtest/gtest.h>
#include <map>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "config/load.h"
#include "gateway/worker.h"
#include "log/test_log.h"
#include "net/simulated_network.h"
#include "net/test_names.h"
#include "protocol/jwt/base64url.h"

namespace weir::gateway {
namespace {

using protocol::jwt::encode_base64url;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

constexpr HashKey kHashKey{1, 2};
const net::Endpoint kFront = *net::Endpoint::parse("127.0.0.1:8080");
const net::Endpoint kApplication = *net::Endpoint::parse("10.0.0.1:80");
const net::Endpoint kIssuer = *net::Endpoint::parse("127.0.0.1:9000");
const net::Endpoint kOtherIssuer = *net::Endpoint::parse("127.0.0.1:9001");
constexpr const char* kUser = "1002";
constexpr const char* kNobody = "1001";

std::string configuration(const std::string& port, const std::string& refresh) {
    return "upstreams: {app: \"http://10.0.0.1:80\"}\n"
           "identity: {jwt: {jwks: \"http://127.0.0.1:" +
           port + "/keys\", jwks_refresh: " + refresh +
           "}}\n"
           "limits: {CALLS: {anonymous: 1001/h, authenticated: 1002/h}}\n"
           "routes: [{path: \"/**\", http: {limit: CALLS}}]\n";
}

std::string answer_of(std::string_view body, std::string_view status = "200 OK") {
    return "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
}

std::string secret_of(const std::string& kid) {
    return "the secret of the key " + kid;
}

// A key set with these keys, of HS256.
std::string keys(std::initializer_list<std::string> kids) {
    std::string list;
    for (const std::string& kid : kids) {
        list += (list.empty() ? "" : ",") + std::string(R"({"kty":"oct","kid":")") + kid + R"(","k":")" +
                encode_base64url(secret_of(kid)) + "\"}";
    }
    return R"({"keys":[)" + list + "]}";
}

std::string token_of(const std::string& kid) {
    const std::string text =
        encode_base64url(R"({"alg":"HS256","kid":")" + kid + R"("})") + "." + encode_base64url(R"({"sub":"ann"})");
    const std::string secret = secret_of(kid);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    HMAC(EVP_sha256(), secret.data(), static_cast<int>(secret.size()),
         reinterpret_cast<const unsigned char*>(text.data()), text.size(), mac, &length);
    return text + "." + encode_base64url({reinterpret_cast<char*>(mac), length});
}

class JwksWorld {
  public:
    // What the identity server does when it is asked.
    std::function<void(net::SimulatedPeer)> on_fetch = [](net::SimulatedPeer peer) {
        peer.send(answer_of(keys({"one"})));
    };

    explicit JwksWorld(const std::string& refresh = "1h")
        : network({.calm = true}), shared_(table_, &table_, registry, log, kHashKey) {
        adopt("9000", refresh);
        for (unsigned i = 0; i < 2; ++i) {
            workers_.push_back(std::make_unique<Worker>(network.make_reactor(), shared_, names_, i));
            EXPECT_TRUE(workers_.back()->listen(kFront));
        }
        network.listen(kApplication, [this](net::SimulatedPeer peer) {
            peer.on_change([this](net::SimulatedPeer each) { serve(each); });
        });
        listen(kIssuer);
    }
    ~JwksWorld() {
        workers_.clear();
        EXPECT_EQ(network.counters().opened, network.counters().closed);
        EXPECT_EQ(network.counters().closed_again, 0U);
    }

    void listen(const net::Endpoint& issuer) {
        network.listen(issuer, [this](net::SimulatedPeer peer) {
            peer.on_change([this](net::SimulatedPeer each) { serve(each); });
        });
    }
    net::SimulatedPeer call(const std::string& kid) {
        net::SimulatedPeer client = network.connect(kFront);
        client.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token_of(kid) + "\r\n\r\n");
        return client;
    }
    // What X-RateLimit-Limit says; empty before the answer is there.
    static std::string limit_of(const net::SimulatedPeer& client) {
        constexpr std::string_view kField = "X-RateLimit-Limit: ";
        const std::size_t at = client.received().find(kField);
        return at == std::string::npos ? "" : client.received().substr(at + kField.size(), 4);
    }
    std::string who(const std::string& kid) {
        const auto client = call(kid);
        network.settle();
        return limit_of(client);
    }
    void reload(const std::string& port, const std::string& refresh) {
        adopt(port, refresh);
        for (auto& worker : workers_) worker->request_reload();
        network.settle();
    }
    [[nodiscard]] std::optional<std::string> failing() { return shared_.snapshot()->jwks->failing(); }
    [[nodiscard]] std::int64_t fetched(std::string_view outcome) {
        return registry.value(registry.cell(metrics::Family::kJwksFetches, {outcome}));
    }

    net::SimulatedNetwork network;
    metrics::Registry registry;
    log::LogLines log;
    int fetches = 0;

  private:
    void adopt(const std::string& port, const std::string& refresh) {
        config::Sources sources;
        sources.text = configuration(port, refresh);
        const auto config = config::load(sources).config;
        ASSERT_NE(config, nullptr);
        const auto before = shared_.snapshot();
        shared_.adopt(std::make_shared<const Snapshot>(config, kHashKey, before == nullptr ? 1 : before->generation + 1,
                                                       registry, before.get()));
    }
    void serve(net::SimulatedPeer peer) {
        std::string& bytes = pending_[peer.index()];
        bytes += peer.take_received();
        for (std::size_t end = 0; (end = bytes.find("\r\n\r\n")) != std::string::npos;) {
            const std::string head = bytes.substr(0, end + 2);
            bytes.erase(0, end + 4);
            if (!head.starts_with("GET /keys HTTP/1.1\r\nHost: 127.0.0.1:900")) {
                peer.send(answer_of("ok"));
                continue;
            }
            ++fetches;
            on_fetch(peer);
        }
        if (peer.ended()) peer.close();
    }

    net::NoNames names_;
    limit::BucketTable table_{{.buckets_max = 4096}};
    Shared shared_;
    std::vector<std::unique_ptr<Worker>> workers_;
    std::map<std::uint32_t, std::string> pending_;
};

TEST(Jwks, TheKeysAreFetchedAtTheStartByOneWorkerForAll) {
    JwksWorld world;
    world.network.settle();
    EXPECT_EQ(world.fetches, 1);
    for (int i = 0; i < 8; ++i) EXPECT_EQ(world.who("one"), kUser);
    EXPECT_EQ(world.fetches, 1);
    EXPECT_EQ(world.fetched("fetched"), 1);
    EXPECT_EQ(world.failing(), std::nullopt);
}

TEST(Jwks, ARequestBeforeTheKeysWaitsForThemAndNotForEver) {
    JwksWorld world;
    std::vector<net::SimulatedPeer> asked;
    world.on_fetch = [&](net::SimulatedPeer peer) { asked.push_back(peer); };
    const auto early = world.call("one");
    world.network.settle();
    ASSERT_EQ(asked.size(), 1U);
    EXPECT_EQ(JwksWorld::limit_of(early), "");
    EXPECT_EQ(world.failing(), "it has not answered yet");
    asked[0].send(answer_of(keys({"one"})));
    world.network.settle();
    EXPECT_EQ(JwksWorld::limit_of(early), kUser);

    JwksWorld silent;
    silent.on_fetch = [](net::SimulatedPeer) {};
    const auto client = silent.call("one");
    silent.network.advance(milliseconds(1900));
    EXPECT_EQ(JwksWorld::limit_of(client), "");
    silent.network.advance(milliseconds(200));
    EXPECT_EQ(JwksWorld::limit_of(client), kNobody);
    silent.network.advance(seconds(4));
    EXPECT_EQ(silent.fetched("timeout"), 1);
    EXPECT_EQ(silent.failing(), "it did not answer in time");
}

TEST(Jwks, AServerThatIsDownAtTheStartIsAskedAgainAfterOneSecondThenTwoThenFour) {
    JwksWorld world;
    world.network.stop_listening(kIssuer);
    world.network.settle();
    EXPECT_EQ(world.who("one"), kNobody);
    EXPECT_NE(world.log.text.find("the key set can't be fetched http://127.0.0.1:9000"), std::string::npos);
    EXPECT_NE(world.log.text.find("no token can be verified yet"), std::string::npos);
    for (int second = 0; second < 30; ++second) world.network.advance(seconds(1));
    const auto refused = world.fetched("unreachable");
    EXPECT_GE(refused, 4);  // at 0, 1, 3, 7 and 15 seconds
    EXPECT_LE(refused, 5);
    world.listen(kIssuer);
    world.network.advance(seconds(20));
    EXPECT_EQ(world.who("one"), kUser);
    EXPECT_EQ(world.failing(), std::nullopt);
}

TEST(Jwks, AnUnknownKeyHasThemFetchedAtOnceAndAtMostOnceAMinute) {
    JwksWorld world;
    world.network.settle();
    world.on_fetch = [](net::SimulatedPeer peer) { peer.send(answer_of(keys({"one", "two"}))); };
    EXPECT_EQ(world.who("two"), kUser);  // the request waited for the new keys
    EXPECT_EQ(world.fetches, 2);
    for (int second = 0; second < 58; ++second) {
        EXPECT_EQ(world.who("made up " + std::to_string(second)), kNobody);
        world.network.advance(seconds(1));
    }
    EXPECT_EQ(world.fetches, 2);
    world.network.advance(seconds(3));
    EXPECT_EQ(world.who("made up"), kNobody);
    EXPECT_EQ(world.who("made up again"), kNobody);
    EXPECT_EQ(world.fetches, 3);
}

TEST(Jwks, ATokenOfAKnownKeyThatDoesNotVerifyHasNothingFetched) {
    JwksWorld world;
    world.network.settle();
    net::SimulatedPeer client = world.network.connect(kFront);
    std::string token = token_of("one");
    token[token.rfind('.') + 1] ^= 1;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + "\r\n\r\n");
    world.network.settle();
    EXPECT_EQ(JwksWorld::limit_of(client), kNobody);
    EXPECT_EQ(world.fetches, 1);
}

TEST(Jwks, TheKeysAreFetchedAgainWhenTheyAreOldAndWithdrawnOnesServeNoLonger) {
    JwksWorld world("10m");
    world.network.settle();
    world.on_fetch = [](net::SimulatedPeer peer) { peer.send(answer_of(keys({"two"}))); };
    world.network.advance(minutes(9));
    EXPECT_EQ(world.fetches, 1);
    EXPECT_EQ(world.who("one"), kUser);
    world.network.advance(seconds(62));
    EXPECT_EQ(world.fetches, 2);
    EXPECT_EQ(world.who("two"), kUser);
    EXPECT_EQ(world.who("one"), kNobody);
}

TEST(Jwks, WhateverTheServerAnswersInsteadOfKeysTheOldOnesServe) {
    const std::string wide(protocol::jwt::kJwksBytesMax + 1, ' ');
    const std::pair<std::string, std::string> answers[] = {
        {answer_of("<html>login</html>"), "no JWKS document: {\"keys\": [...]} is expected"},
        {answer_of(R"({"keys": []})"), "the JWKS document has no key for HS256, RS256, ES256 or EdDSA signatures"},
        {answer_of(keys({"two"}), "500 Oh"), "its status is not 200"},
        {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9000/keys\r\nContent-Length: 0\r\n\r\n",
         "it is a redirect, which is not followed"},
        {answer_of(wide + keys({"two"})), "it is longer than 1 MiB"},
        {"HTTP/1.1 200 OK\r\nX: " + std::string(40'000, 'x'), "its head is longer than 32 KiB"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n" + keys({"two"}), "it closed the connection"},
    };
    JwksWorld world("10m");
    world.network.settle();
    for (const auto& [answer, why] : answers) {
        const int before = world.fetches;
        world.on_fetch = [&, text = answer](net::SimulatedPeer peer) {
            peer.send(text);
            peer.finish();
        };
        world.network.advance(minutes(10) + seconds(3));
        EXPECT_GT(world.fetches, before) << why;
        EXPECT_EQ(world.failing(), why);
        EXPECT_EQ(world.who("one"), kUser) << why;
        EXPECT_EQ(world.who("two"), kNobody) << why;
        EXPECT_NE(world.log.text.find(why + " the keys from before serve"), std::string::npos);
    }
    EXPECT_GE(world.fetched("unusable"), 6);
    world.on_fetch = [](net::SimulatedPeer peer) { peer.send(answer_of(keys({"two"}))); };
    world.network.advance(minutes(1) + seconds(3));
    EXPECT_EQ(world.who("two"), kUser);
    EXPECT_EQ(world.failing(), std::nullopt);
}

TEST(Jwks, AReloadKeepsTheKeysOfTheSameUrlAndFetchesThoseOfAnother) {
    JwksWorld world;
    world.network.settle();
    world.network.stop_listening(kIssuer);
    world.reload("9000", "30m");
    EXPECT_EQ(world.who("one"), kUser);
    EXPECT_EQ(world.fetches, 1);
    world.listen(kOtherIssuer);
    world.on_fetch = [](net::SimulatedPeer peer) { peer.send(answer_of(keys({"two"}))); };
    world.reload("9001", "30m");
    EXPECT_EQ(world.who("two"), kUser);
    EXPECT_EQ(world.who("one"), kNobody);
}

TEST(Jwks, AFetchThatIsUnderWayEndsWhenAReloadNamesAnotherUrl) {
    JwksWorld world;
    world.on_fetch = [](net::SimulatedPeer) {};
    const auto waiting = world.call("two");
    world.network.settle();
    world.listen(kOtherIssuer);
    world.on_fetch = [](net::SimulatedPeer peer) { peer.send(answer_of(keys({"two"}))); };
    world.reload("9001", "1h");
    world.network.advance(seconds(2));
    EXPECT_EQ(world.who("two"), kUser);
    EXPECT_NE(JwksWorld::limit_of(waiting), "");
}

TEST(Jwks, AWorkerThatEndsWhileItFetchesTellsNobody) {
    JwksWorld world;
    world.on_fetch = [](net::SimulatedPeer) {};
    const auto waiting = world.call("one");
    world.network.settle();
    EXPECT_EQ(JwksWorld::limit_of(waiting), "");  // and the world ends here
}

}  // namespace
}  // namespace weir::gateway
