// ActiveSubscriptions: never fewer than a server may have, at any order of the two sides' ends.
#include "gateway/active_subscriptions.h"

#include <gtest/gtest.h>

namespace weir::gateway {
namespace {

constexpr auto kTransport = ActiveSubscriptions::Dialect::kTransport;
constexpr auto kLegacy = ActiveSubscriptions::Dialect::kLegacy;

TEST(ActiveSubscriptions, HasRoomUpToTheBoundAndForAnActiveId) {
    ActiveSubscriptions active;
    EXPECT_TRUE(active.has_room("a", 2));
    active.begin("a", kTransport);
    active.begin("b", kTransport);
    EXPECT_FALSE(active.has_room("c", 2));
    EXPECT_FALSE(active.has_room("", 2));
    EXPECT_TRUE(active.has_room("a", 2));
    active.begin("a", kTransport);
    EXPECT_EQ(active.count(), 2U);
}

TEST(ActiveSubscriptions, AreEndedByEitherSideAndTheIdIsFreeAgain) {
    ActiveSubscriptions active;
    active.begin("a", kTransport);
    active.ended_by_server("a");
    EXPECT_EQ(active.count(), 0U);
    active.begin("a", kTransport);
    active.ended_by_server("a");
    EXPECT_FALSE(active.any());
    active.begin("a", kLegacy);
    active.ended_by_client("a", kLegacy);
    EXPECT_EQ(active.count(), 0U);
}

TEST(ActiveSubscriptions, AreNotEndedByAMessageOfTheOtherProtocol) {
    ActiveSubscriptions active;
    active.begin("a", kTransport);
    active.ended_by_client("a", kLegacy);
    EXPECT_EQ(active.count(), 1U);
    active.ended_by_client("a", kTransport);
    EXPECT_EQ(active.count(), 0U);
}

TEST(ActiveSubscriptions, TakeAServersEndForTheOldestOfItsId) {
    ActiveSubscriptions active;
    active.begin("a", kLegacy);
    active.ended_by_client("a", kLegacy);
    active.begin("a", kLegacy);
    active.ended_by_server("a");  // about the one that the client has stopped
    EXPECT_EQ(active.count(), 1U);
    active.ended_by_server("a");
    EXPECT_EQ(active.count(), 0U);
}

TEST(ActiveSubscriptions, OutliveAQueryOfTheSameId) {
    ActiveSubscriptions active;
    active.begin("a", kTransport);
    active.begin_other("a");
    active.ended_by_server("a");
    EXPECT_EQ(active.count(), 1U);
    active.begin_other("b");
    active.ended_by_server("b");
    active.ended_by_server("a");
    EXPECT_EQ(active.count(), 0U);
}

TEST(ActiveSubscriptions, WithoutAnIdStayForTheConnectionsLife) {
    ActiveSubscriptions active;
    active.begin("", kTransport);
    active.ended_by_client("", kTransport);
    active.ended_by_server("");
    EXPECT_EQ(active.count(), 1U);
    EXPECT_FALSE(active.any());
    EXPECT_FALSE(active.has_room("a", 1));
}

TEST(ActiveSubscriptions, RememberBoundedlyManyThatAClientHasEnded) {
    ActiveSubscriptions active;
    const auto id = [](std::size_t i) { return "id" + std::to_string(i); };
    active.begin("stays", kTransport);
    for (std::size_t i = 0; i <= kEndedIdsMax; ++i) {
        active.begin(id(i), kTransport);
        active.ended_by_client(id(i), kTransport);
    }
    EXPECT_EQ(active.count(), 1U);
    active.begin(id(1), kTransport);  // remembered
    active.ended_by_server(id(1));
    EXPECT_EQ(active.count(), 2U);
    active.begin(id(0), kTransport);  // forgotten
    active.ended_by_server(id(0));
    EXPECT_EQ(active.count(), 2U);
    active.ended_by_server("stays");
    EXPECT_EQ(active.count(), 1U);
}

}  // namespace
}  // namespace weir::gateway
