// UpstreamPool: whose turn it is, who is left out, and which connections are used again.
#include "gateway/upstream_pool.h"

#include <algorithm>
#include <gtest/gtest.h>
#include <map>

namespace weir::gateway {
namespace {

class Names final : public net::NameTable {
  public:
    std::vector<IpAddress> addresses_of(const std::string& name) override { return known[name]; }
    std::map<std::string, std::vector<IpAddress>> known;
};

config::Upstream upstream_of(std::size_t addresses) {
    config::Upstream upstream;
    for (std::size_t i = 0; i < addresses; ++i) {
        config::UpstreamAddress address;
        address.host = "127.0.0.1";
        address.port = static_cast<std::uint16_t>(8000 + i);
        upstream.addresses.push_back(address);
    }
    return upstream;
}

net::SocketId socket_of(std::uint32_t index) {
    return {index, 1};
}

class UpstreamPoolTest : public testing::Test {
  protected:
    UpstreamPool pool_of(std::size_t addresses, std::uint64_t idle_max = 2) {
        return {{upstream_of(addresses)}, names_, idle_max};
    }
    // The next address that this request has not tried.
    static std::size_t next(UpstreamPool& pool, MonoTime now, std::uint64_t tried = 0) {
        const auto ref = pool.next(0, tried, now);
        return ref ? ref->address : kNone;
    }
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

    Names names_;
    MonoTime now_{std::chrono::hours(100)};
};

TEST_F(UpstreamPoolTest, GoesRound) {
    UpstreamPool pool = pool_of(3);
    std::vector<std::size_t> order;
    for (int i = 0; i < 6; ++i) order.push_back(next(pool, now_));
    EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 0, 1, 2}));
}

TEST_F(UpstreamPoolTest, DoesNotOfferARequestWhatItHasTried) {
    UpstreamPool pool = pool_of(3);
    std::uint64_t tried = 0;
    std::vector<std::size_t> order;
    while (const auto ref = pool.next(0, tried, now_)) {
        order.push_back(ref->address);
        tried |= std::uint64_t{1} << ref->address;
    }
    std::sort(order.begin(), order.end());
    EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2}));
}

TEST_F(UpstreamPoolTest, LeavesOutWhatHasFailedForAWhile) {
    UpstreamPool pool = pool_of(3);
    pool.failed({0, 1}, now_);
    for (int i = 0; i < 10; ++i) EXPECT_NE(next(pool, now_ + kLeaveOut - Nanos(1)), 1U);
    std::size_t turns = 0;
    for (int i = 0; i < 3; ++i) turns += next(pool, now_ + kLeaveOut) == 1U ? 1 : 0;
    EXPECT_EQ(turns, 1U);
}

TEST_F(UpstreamPoolTest, TakesBackAtOnceWhatAnswersAgain) {
    UpstreamPool pool = pool_of(2);
    pool.failed({0, 0}, now_);
    EXPECT_EQ(next(pool, now_), 1U);
    EXPECT_EQ(next(pool, now_), 1U);
    pool.succeeded({0, 0});
    EXPECT_EQ(next(pool, now_), 0U);
}

TEST_F(UpstreamPoolTest, TriesThoseLeftOutWhenNoOtherIsThere) {
    UpstreamPool pool = pool_of(2);
    pool.failed({0, 0}, now_);
    pool.failed({0, 1}, now_);
    const std::size_t first = next(pool, now_);
    ASSERT_NE(first, kNone);
    const std::size_t second = next(pool, now_, std::uint64_t{1} << first);
    EXPECT_EQ(first + second, 1U);
    EXPECT_EQ(next(pool, now_, 3), kNone);
    // One that works is preferred to one that is left out, whosever turn it is.
    pool.succeeded({0, 1});
    for (int i = 0; i < 4; ++i) EXPECT_EQ(next(pool, now_), 1U);
}

TEST_F(UpstreamPoolTest, EndsForAnUpstreamOfVeryManyAddresses) {
    UpstreamPool pool = pool_of(100);
    std::uint64_t tried = 0;
    std::size_t offers = 0;
    while (const auto ref = pool.next(0, tried, now_)) {
        ASSERT_LT(ref->address, 64U) << "the set of those tried has no place for it";
        tried |= std::uint64_t{1} << (ref->address & 63U);
        ASSERT_LE(++offers, 100U);
    }
    EXPECT_EQ(offers, 64U);
}

TEST_F(UpstreamPoolTest, FindsEndpoints) {
    config::Upstream upstream = upstream_of(4);
    upstream.addresses[1].host.clear();
    upstream.addresses[1].unix_path = "/run/app.sock";
    upstream.addresses[2].host = "app.example";
    upstream.addresses[2].port = 81;
    upstream.addresses[3].host = "::1";
    UpstreamPool pool({upstream}, names_, 2);
    EXPECT_EQ(pool.endpoint_of({0, 0})->port, 8000);
    EXPECT_EQ(pool.endpoint_of({0, 1})->unix_path, "/run/app.sock");
    EXPECT_FALSE(pool.endpoint_of({0, 2})) << "the name is not known yet";
    EXPECT_EQ(pool.endpoint_of({0, 3})->address, IpAddress::parse("::1"));
    const IpAddress a = *IpAddress::parse("192.0.2.1");
    const IpAddress b = *IpAddress::parse("192.0.2.2");
    names_.known["app.example"] = {a, b};
    const auto one = pool.endpoint_of({0, 2});
    const auto two = pool.endpoint_of({0, 2});
    EXPECT_EQ(one->port, 81);
    EXPECT_TRUE((one->address == a && two->address == b) || (one->address == b && two->address == a));
    names_.known["app.example"] = {a};  // the name has changed
    EXPECT_EQ(pool.endpoint_of({0, 2})->address, a);
}

TEST_F(UpstreamPoolTest, UsesTheFreshestIdleConnection) {
    UpstreamPool pool = pool_of(2);
    ASSERT_TRUE(pool.put_idle({0, 0}, socket_of(1), now_));
    ASSERT_TRUE(pool.put_idle({0, 0}, socket_of(2), now_ + kPooledFresh));
    EXPECT_FALSE(pool.take_idle({0, 1}, kPooledIdleMax, now_).valid()) << "of another address";
    const MonoTime later = now_ + 2 * kPooledFresh;
    EXPECT_EQ(pool.take_idle({0, 0}, kPooledFresh, later), socket_of(2));
    EXPECT_FALSE(pool.take_idle({0, 0}, kPooledFresh, later).valid()) << "it has waited too long for this request";
    EXPECT_EQ(pool.take_idle({0, 0}, kPooledIdleMax, later), socket_of(1));
    EXPECT_FALSE(pool.take_idle({0, 0}, kPooledIdleMax, later).valid());
}

TEST_F(UpstreamPoolTest, KeepsNoMoreIdleConnectionsThanItMay) {
    UpstreamPool pool = pool_of(1, 2);
    EXPECT_TRUE(pool.put_idle({0, 0}, socket_of(1), now_));
    EXPECT_TRUE(pool.put_idle({0, 0}, socket_of(2), now_));
    EXPECT_FALSE(pool.put_idle({0, 0}, socket_of(3), now_));
    pool.forget_idle(socket_of(1));
    EXPECT_TRUE(pool.put_idle({0, 0}, socket_of(3), now_));
    pool.forget_idle(socket_of(2));
    pool.forget_idle(socket_of(3));
    EXPECT_FALSE(pool.take_idle({0, 0}, kPooledIdleMax, now_).valid());
    UpstreamPool none = pool_of(1, 0);
    EXPECT_FALSE(none.put_idle({0, 0}, socket_of(1), now_));
}

TEST_F(UpstreamPoolTest, ClosesConnectionsThatHaveWaitedTooLong) {
    UpstreamPool pool = pool_of(2);
    ASSERT_TRUE(pool.put_idle({0, 0}, socket_of(1), now_));
    ASSERT_TRUE(pool.put_idle({0, 0}, socket_of(2), now_ + std::chrono::seconds(5)));
    ASSERT_TRUE(pool.put_idle({0, 1}, socket_of(3), now_));
    std::vector<std::uint32_t> closed;
    const auto close = [&](net::SocketId socket) {
        closed.push_back(socket.index);
        pool.forget_idle(socket);  // as the worker may, from inside
    };
    pool.expire(now_ + kPooledIdleMax, false, close);
    EXPECT_TRUE(closed.empty());
    pool.expire(now_ + kPooledIdleMax + Nanos(1), false, close);
    EXPECT_EQ(closed, (std::vector<std::uint32_t>{1, 3}));
    pool.expire(now_, true, close);
    EXPECT_EQ(closed, (std::vector<std::uint32_t>{1, 3, 2}));
}

}  // namespace
}  // namespace weir::gateway
