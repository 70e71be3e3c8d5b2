#include "net/resolver.h"

#include <atomic>
#include <gtest/gtest.h>
#include <optional>
#include <semaphore>

namespace weir::net {
namespace {

constexpr MonoTime kNow{std::chrono::hours(1000)};
const IpAddress kOne = *IpAddress::parse("192.0.2.1");
const IpAddress kTwo = *IpAddress::parse("2001:db8::2");

// A resolver whose look-ups the test answers, and which it can wait for.
struct World {
    World()
        : resolver([this] { woken.release(); },
                   [this](const std::string& name) {
                       ++asked;
                       go.acquire();
                       return name == "gone.test" || fails ? Result<Addresses>(Error{ErrorCode::kUnreachable})
                                                           : Result<Addresses>(Addresses{kOne, kTwo});
                   }) {}
    ~World() { go.release(1000); }  // what still asks may end
    void finish_one(MonoTime now = kNow) {
        go.release();
        woken.acquire();
        resolver.deliver(now);
    }
    std::counting_semaphore<> go{0};
    std::counting_semaphore<> woken{0};
    std::atomic<int> asked = 0;
    std::atomic<bool> fails = false;
    Resolver resolver;
};

TEST(Resolver, AnswersALiteralAtOnce) {
    World world;
    std::optional<IpAddress> got;
    world.resolver.resolve("2001:db8::2", kNow, [&](const Result<Addresses>& answer) { got = answer->at(0); });
    EXPECT_EQ(got, kTwo);
    EXPECT_EQ(world.asked, 0);
}

TEST(Resolver, AsksOnceForAllWhoWaitAndKeepsTheAnswer) {
    World world;
    int answers = 0;
    const auto count = [&](const Result<Addresses>& answer) {
        EXPECT_EQ(answer->size(), 2U);
        ++answers;
    };
    world.resolver.resolve("app.test", kNow, count);
    world.resolver.resolve("app.test", kNow, count);
    EXPECT_EQ(answers, 0);
    world.finish_one();
    EXPECT_EQ(answers, 2);
    world.resolver.resolve("app.test", kNow + Resolver::kKept - Nanos{1}, count);
    EXPECT_EQ(answers, 3);
    EXPECT_EQ(world.asked, 1);
    world.resolver.resolve("app.test", kNow + Resolver::kKept, count);
    EXPECT_EQ(answers, 3);
    world.finish_one();
    EXPECT_EQ(answers, 4);
    EXPECT_EQ(world.asked, 2);
}

TEST(Resolver, KeepsTheLastAddressesOfANameThatNoLongerResolves) {
    World world;
    std::size_t addresses = 0;
    const auto note = [&](const Result<Addresses>& answer) { addresses = answer ? answer->size() : 0; };
    world.resolver.resolve("app.test", kNow, note);
    world.finish_one();
    world.fails = true;
    addresses = 0;
    world.resolver.resolve("app.test", kNow + Resolver::kKept, note);
    world.finish_one(kNow + Resolver::kKept);
    EXPECT_EQ(addresses, 2U);
}

TEST(Resolver, FailureIsAnErrorAndKeptForAShortTime) {
    World world;
    std::optional<ErrorCode> code;
    const auto note = [&](const Result<Addresses>& answer) { code = answer.error().code; };
    world.resolver.resolve("gone.test", kNow, note);
    world.finish_one();
    EXPECT_EQ(code, ErrorCode::kUnreachable);
    code.reset();
    world.resolver.resolve("gone.test", kNow, note);
    EXPECT_EQ(code, ErrorCode::kUnreachable);
    EXPECT_EQ(world.asked, 1);
}

TEST(Resolver, BoundsTheNamesThatAreAskedFor) {
    World world;
    int refused = 0;
    for (std::size_t i = 0; i <= Resolver::kNamesMax; ++i) {
        world.resolver.resolve("host" + std::to_string(i) + ".test", kNow, [&](const Result<Addresses>& answer) {
            refused += !answer && answer.error().code == ErrorCode::kExhausted ? 1 : 0;
        });
    }
    EXPECT_EQ(refused, 1);
}

TEST(Resolver, RefusesWhatIsNoName) {
    World world;
    int refused = 0;
    const auto note = [&](const Result<Addresses>& answer) { refused += answer ? 0 : 1; };
    world.resolver.resolve("", kNow, note);
    world.resolver.resolve(std::string(254, 'a'), kNow, note);
    world.resolver.resolve(std::string_view("a\0b", 3), kNow, note);
    EXPECT_EQ(refused, 3);
}

TEST(LookUp, KnowsLocalhost) {
    const auto answer = look_up("localhost");
    ASSERT_TRUE(answer);
    for (const IpAddress& address : *answer) {
        EXPECT_TRUE(address == *IpAddress::parse("127.0.0.1") || address == *IpAddress::parse("::1"));
    }
}

}  // namespace
}  // namespace weir::net
