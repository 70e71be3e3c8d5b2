#include "config/values.h"

#include <gtest/gtest.h>

namespace weir::config {
namespace {

using namespace std::chrono_literals;

TEST(Values, DurationsHaveAUnit) {
    EXPECT_EQ(parse_duration("20ms"), Nanos(20ms));
    EXPECT_EQ(parse_duration("10s"), Nanos(10s));
    EXPECT_EQ(parse_duration("5m"), Nanos(5min));
    EXPECT_EQ(parse_duration("1h"), Nanos(1h));
    EXPECT_EQ(parse_duration("2d"), Nanos(48h));
    EXPECT_EQ(parse_duration("0s"), Nanos(0));
    for (const char* bad : {"", "10", "s", "-1s", "1.5s", "1 s", "1S", "1w", "99999999999d", "18446744073709551616s"}) {
        EXPECT_EQ(parse_duration(bad), std::nullopt) << bad;
    }
}

TEST(Values, SizesMayHaveAUnit) {
    EXPECT_EQ(parse_size("0"), 0U);
    EXPECT_EQ(parse_size("512"), 512U);
    EXPECT_EQ(parse_size("512B"), 512U);
    EXPECT_EQ(parse_size("4KiB"), 4096U);
    EXPECT_EQ(parse_size("1MiB"), 1048576U);
    EXPECT_EQ(parse_size("2GiB"), 2147483648U);
    EXPECT_EQ(parse_size("16777215TiB"), 16777215ULL << 40U);
    for (const char* bad : {"", "KiB", "-1", "1KB", "1kib", "1.5MiB", "1 KiB", "16777216TiB", "18446744073709551616"}) {
        EXPECT_EQ(parse_size(bad), std::nullopt) << bad;
    }
}

TEST(Values, WrittenAndReadAgainTheyAreTheSame) {
    for (const char* text : {"20ms", "10s", "90s", "5m", "1h", "25h", "2d", "0s"}) {
        EXPECT_EQ(format_duration(*parse_duration(text)), text);
    }
    for (const char* text : {"0", "512", "1025B", "4KiB", "1MiB", "3GiB"}) {
        EXPECT_EQ(format_size(*parse_size(text)), text);
    }
}

TEST(Values, NumbersAreDecimalAndWithoutASign) {
    EXPECT_EQ(parse_number("2"), 2.0);
    EXPECT_EQ(parse_number("0.5"), 0.5);
    for (const char* bad : {"", ".5", "5.", "-1", "+1", "1e3", "0x10", "inf", "nan", "1.2.3"}) {
        EXPECT_EQ(parse_number(bad), std::nullopt) << bad;
    }
}

TEST(Values, AnUpstreamIsAHostAndPortOrASocket) {
    std::string reason;
    const auto plain = parse_upstream("http://app.internal:8000/", reason);
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->host, "app.internal");
    EXPECT_EQ(plain->port, 8000);
    EXPECT_EQ(plain->host_header, "app.internal:8000");
    const auto standard = parse_upstream("http://app", reason);
    ASSERT_TRUE(standard);
    EXPECT_EQ(standard->port, 80);
    EXPECT_EQ(standard->host_header, "app");
    const auto six = parse_upstream("http://[2001:db8::1]:81", reason);
    ASSERT_TRUE(six);
    EXPECT_EQ(six->host, "2001:db8::1");
    EXPECT_EQ(six->host_header, "[2001:db8::1]:81");
    const auto secure = parse_upstream("https://app", reason);
    ASSERT_TRUE(secure);
    EXPECT_TRUE(secure->secure && !six->secure);
    EXPECT_EQ(secure->port, 443);
    EXPECT_EQ(secure->host_header, "app");
    EXPECT_EQ(parse_upstream("https://app:80", reason)->host_header, "app:80");
    const auto local = parse_upstream("unix:/run/app.sock", reason);
    ASSERT_TRUE(local);
    EXPECT_EQ(local->unix_path, "/run/app.sock");
    for (const char* bad : {"", "app:8000", "wss://app", "http://", "http://app/path", "http://u@app", "http://app:0",
                            "http://app:65536", "http://app:8x", "http://[::1", "http://[app]", "http://[1.2.3.4]",
                            "http://a b", "unix:run/app.sock", "unix:"}) {
        EXPECT_FALSE(parse_upstream(bad, reason)) << bad;
    }
    EXPECT_FALSE(parse_upstream("unix:/" + std::string(107, 'x'), reason));
}

TEST(Values, ALookupUrlIsAnAddressAndATarget) {
    std::string reason;
    const auto plain = parse_lookup_url("http://app.internal:8000/internal/whoami?from=weir", reason);
    ASSERT_TRUE(plain);
    EXPECT_EQ(plain->address.url, "http://app.internal:8000");
    EXPECT_EQ(plain->address.host_header, "app.internal:8000");
    EXPECT_EQ(plain->target, "/internal/whoami?from=weir");
    EXPECT_EQ(parse_lookup_url("http://app", reason)->target, "/");
    EXPECT_EQ(parse_lookup_url("http://app?a=/b", reason)->target, "/?a=/b");
    EXPECT_EQ(parse_lookup_url("http://[::1]:81/who", reason)->address.host, "::1");
    EXPECT_TRUE(parse_lookup_url("https://app:8443/who", reason)->address.secure);
    const auto local = parse_lookup_url("unix:/run/app.sock:/who?x=1", reason);
    ASSERT_TRUE(local);
    EXPECT_EQ(local->address.unix_path, "/run/app.sock");
    EXPECT_EQ(local->target, "/who?x=1");
    for (const char* bad : {"", "/who", "app/who", "ftp://app/who", "https:///who", "http:///who", "http://u@app/who",
                            "http://app:0/who", "http://app/a b", "http://app/a\r\nX: y", "http://app/who#x",
                            "http://app/w\xC3\xBC", "unix:/run/app.sock", "unix::/who", "unix:run:/who"}) {
        EXPECT_FALSE(parse_lookup_url(bad, reason)) << bad;
    }
    EXPECT_FALSE(parse_lookup_url("http://app/" + std::string(4096, 'x'), reason));
}

TEST(Values, WhatIsQuotedIsBoundedAndWithoutControlCharacters) {
    EXPECT_EQ(in_quotes("a\nb\x7F"), "'a?b?'");
    EXPECT_EQ(in_quotes(std::string(200, 'a')), "'" + std::string(80, 'a') + "...'");
    EXPECT_EQ(in_quotes(std::string(79, 'a') + "\u00e9\u00e9"), "'" + std::string(79, 'a') + "...'");
}

}  // namespace
}  // namespace weir::config
