#include "config/schema.h"

#include <gtest/gtest.h>
#include <set>

#include "config/config.h"
#include "config/describe.h"
#include "config/section.h"
#include "config/values.h"

namespace weir::config {
namespace {

bool takes_scalars(const Key& key) {
    return key.shape == Shape::kOne || key.shape == Shape::kOneOrList;
}

std::vector<Node> scalars(const Node& node) {
    return node.is(Node::Kind::kList) ? node.items : std::vector<Node>{node};
}

TEST(Schema, EveryKeyStandsOnceAndSaysWhatItIsFor) {
    std::set<std::string_view> paths;
    for (const Key& key : keys()) {
        EXPECT_TRUE(paths.insert(key.path).second) << key.path;
        EXPECT_TRUE(key.description.ends_with('.')) << key.path;
    }
}

TEST(Schema, EveryKeyLiesBelowAKeyThatHasKeys) {
    for (const Key& key : keys()) {
        const std::size_t dot = key.path.rfind('.');
        if (dot == std::string_view::npos) continue;
        std::string_view above = key.path.substr(0, dot);
        if (above == "when") continue;
        if (above.ends_with("[]")) above.remove_suffix(2);
        const Key* parent = find_key(above);
        ASSERT_NE(parent, nullptr) << key.path;
        EXPECT_FALSE(takes_scalars(*parent)) << key.path;
    }
}

TEST(Schema, DefaultsAreWhatTheirKeysTake) {
    for (const Key& key : keys()) {
        if (key.standard.empty() || !takes_scalars(key)) continue;
        for (const Node& each : scalars(default_value(key))) EXPECT_EQ(check_scalar(key, each), "") << key.path;
    }
}

TEST(Schema, ExamplesAreWhatTheirKeysTake) {
    for (const Key& key : keys()) {
        if (key.example.empty() || !takes_scalars(key) || key.scalar == Scalar::kSecret) continue;
        Key example = key;
        example.standard = key.example;
        for (const Node& each : scalars(default_value(example))) EXPECT_EQ(check_scalar(key, each), "") << key.path;
    }
}

TEST(Schema, EveryKeyWithAValueHasADefaultOrAnExample) {
    for (const Key& key : keys()) {
        if (!takes_scalars(key)) continue;
        EXPECT_FALSE(key.standard.empty() && key.example.empty() && key.scalar != Scalar::kName) << key.path;
    }
}

TEST(Schema, ChoicesStandInTheOrderOfTheirEnumerators) {
    const auto nth = [](std::string_view path, auto value) {
        return choices(*find_key(path)).at(static_cast<std::size_t>(value));
    };
    EXPECT_EQ(nth("client_address.from", identity::AddressSource::kXForwardedFor), "x-forwarded-for");
    EXPECT_EQ(nth("client_address.from", identity::AddressSource::kForwarded), "forwarded");
    EXPECT_EQ(nth("client_address.from", identity::AddressSource::kProxyProtocol), "proxy-protocol");
    EXPECT_EQ(nth("client_address.from", identity::AddressSource::kPeer), "peer");
    EXPECT_EQ(algorithm_name(limit::Algorithm::kFixedWindow), "fixed_window");
    EXPECT_EQ(algorithm_name(limit::Algorithm::kSlidingWindow), "sliding_window");
    EXPECT_EQ(algorithm_name(limit::Algorithm::kGcra), "gcra");
    EXPECT_EQ(nth("routes[].websocket.on_limit.connect", OnLimit::kClose), "close");
    EXPECT_EQ(nth("routes[].websocket.on_limit.connect", OnLimit::kHttp429), "http_429");
    EXPECT_EQ(nth("routes[].websocket.on_limit.connect", OnLimit::kMark), "mark");
    EXPECT_EQ(nth("on_store_error", OnStoreError::kClosed), "closed");
    EXPECT_EQ(nth("on_store_error", OnStoreError::kOpen), "open");
    EXPECT_EQ(nth("on_store_error", OnStoreError::kLocal), "local");
    EXPECT_EQ(nth("log.level", LogLevel::kTrace), "trace");
    EXPECT_EQ(nth("log.level", LogLevel::kInfo), "info");
    EXPECT_EQ(nth("log.level", LogLevel::kError), "error");
    EXPECT_EQ(nth("log.format", log::Format::kJson), "json");
    EXPECT_EQ(nth("log.format", log::Format::kText), "text");
    EXPECT_EQ(nth("reactor", net::ReactorKind::kAuto), "auto");
    EXPECT_EQ(nth("reactor", net::ReactorKind::kIoUring), "io_uring");
    EXPECT_EQ(nth("reactor", net::ReactorKind::kEpoll), "epoll");
}

TEST(Schema, FindsTheNameThatWasMeant) {
    const std::vector<std::string> names{"routes", "upstreams", "limits"};
    EXPECT_EQ(nearest("ruotes", names), "routes");
    EXPECT_EQ(nearest("limit", names), "limits");
    EXPECT_EQ(nearest("colour", names), "");
    EXPECT_EQ(nearest(std::string(100'000, 'x'), names), "");
}

}  // namespace
}  // namespace weir::config
