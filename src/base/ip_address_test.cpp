#include "base/ip_address.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

TEST(IpAddress, PrintsWhatItParsed) {
    for (const char* text : {"203.0.113.7", "0.0.0.0", "255.255.255.255", "::1", "2001:db8::1", "::"}) {
        ASSERT_TRUE(IpAddress::parse(text)) << text;
        EXPECT_EQ(IpAddress::parse(text)->to_string(), text);
    }
}

TEST(IpAddress, RefusesWhatIsNoAddress) {
    for (const char* text : {"", "unknown", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "1.2.3.4:80", "[::1]",
                             "fe80::1%eth0", ":::", "1.2.3.4 "}) {
        EXPECT_FALSE(IpAddress::parse(text)) << text;
    }
    EXPECT_FALSE(IpAddress::parse(std::string_view("1.2.3.4\0x", 9)));
}

TEST(IpAddress, TakesMappedIpv6ForIpv4) {
    EXPECT_EQ(IpAddress::parse("::ffff:203.0.113.7"), IpAddress::parse("203.0.113.7"));
    EXPECT_EQ(IpAddress::parse("::ffff:203.0.113.7")->to_string(), "203.0.113.7");
}

TEST(IpAddress, KnowsWhichAreOfThisMachine) {
    for (const char* text : {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1"})
        EXPECT_TRUE(IpAddress::parse(text)->is_loopback()) << text;
    for (const char* text : {"126.255.255.255", "128.0.0.0", "0.0.0.0", "::", "::2", "10.0.0.1"})
        EXPECT_FALSE(IpAddress::parse(text)->is_loopback()) << text;
}

TEST(IpAddress, MasksAtEveryBit) {
    const auto all =
        IpAddress::from_v6({255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255});
    for (unsigned bits = 0; bits <= 128; ++bits) {
        unsigned ones = 0;
        const IpAddress masked = all.masked(bits);
        for (const std::uint8_t byte : masked.bytes()) ones += static_cast<unsigned>(__builtin_popcount(byte));
        EXPECT_EQ(ones, bits);
    }
}

TEST(Cidr, ContainsWhatLiesUnderItsPrefix) {
    const auto ten = Cidr::parse("10.0.0.0/8");
    ASSERT_TRUE(ten);
    EXPECT_TRUE(ten->contains(*IpAddress::parse("10.255.1.2")));
    EXPECT_TRUE(ten->contains(*IpAddress::parse("::ffff:10.1.1.1")));
    EXPECT_FALSE(ten->contains(*IpAddress::parse("11.0.0.1")));
    EXPECT_FALSE(ten->contains(*IpAddress::parse("a00::1")));
    EXPECT_EQ(ten->to_string(), "10.0.0.0/8");
    EXPECT_TRUE(Cidr::parse("2001:db8::/32")->contains(*IpAddress::parse("2001:db8:1::")));
    EXPECT_TRUE(Cidr::parse("192.0.2.1")->contains(*IpAddress::parse("192.0.2.1")));
}

TEST(Cidr, RefusesBitsBeyondThePrefixAndLengthsBeyondTheAddress) {
    for (const char* text :
         {"10.0.0.1/8", "10.0.0.0/33", "2001:db8::1/64", "::/129", "10.0.0.0/", "10.0.0.0/-1", "10.0.0.0/8x", "x/8"}) {
        EXPECT_FALSE(Cidr::parse(text)) << text;
    }
}

}  // namespace
}  // namespace weir
