#include "net/endpoint.h"

#include <gtest/gtest.h>

namespace weir::net {
namespace {

TEST(Endpoint, PrintsWhatItParsed) {
    for (const char* text : {"203.0.113.7:80", "0.0.0.0:0", "[2001:db8::1]:65535", "[::]:8080", "unix:/run/app.sock"}) {
        const auto endpoint = Endpoint::parse(text);
        ASSERT_TRUE(endpoint) << text;
        EXPECT_EQ(endpoint->to_string(), text);
    }
}

TEST(Endpoint, TakesAStarOrNothingForAllAddresses) {
    EXPECT_EQ(*Endpoint::parse("*:80"), *Endpoint::parse("[::]:80"));
    EXPECT_EQ(*Endpoint::parse(":80"), *Endpoint::parse("[::]:80"));
}

TEST(Endpoint, TakesMappedIpv6ForIpv4) {
    EXPECT_EQ(Endpoint::parse("[::ffff:203.0.113.7]:80")->to_string(), "203.0.113.7:80");
}

TEST(Endpoint, RefusesWhatIsNoAddressAndPort) {
    for (const char* text :
         {"", "80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "127.0.0.1:8 ", "::1:80", "[::1]",
          "[127.0.0.1]:80", "example.org:80", "[::1:80", "::1]:80", "unix:", "[]:80"}) {
        EXPECT_FALSE(Endpoint::parse(text)) << text;
    }
    EXPECT_FALSE(Endpoint::parse(std::string_view("unix:/a\0b", 9)));
}

TEST(Endpoint, BoundsThePathOfAUnixSocket) {
    EXPECT_TRUE(Endpoint::parse("unix:/" + std::string(106, 'a')));
    EXPECT_FALSE(Endpoint::parse("unix:/" + std::string(107, 'a')));
}

TEST(Endpoint, TakesLocalhostForTheLoopbackAddress) {
    EXPECT_EQ(Endpoint::parse("localhost:80").value().to_string(), "127.0.0.1:80");
}

}  // namespace
}  // namespace weir::net
