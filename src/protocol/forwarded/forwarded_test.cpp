#include "protocol/forwarded/forwarded.h"

#include <gtest/gtest.h>
#include <string>

namespace weir::protocol::forwarded {
namespace {

using namespace std::string_literals;

// Entries as text, "-" for one that is no address.
std::vector<std::string> texts(const std::vector<std::optional<IpAddress>>& entries) {
    std::vector<std::string> result;
    for (const auto& entry : entries) result.push_back(entry ? entry->to_string() : "-");
    return result;
}
std::vector<std::string> xff(std::vector<std::string_view> values) {
    return texts(x_forwarded_for(values));
}
std::vector<std::string> fwd(std::vector<std::string_view> values) {
    return texts(forwarded_for(values));
}
using Texts = std::vector<std::string>;

TEST(XForwardedFor, ReadsFromTheNearestProxyOutwards) {
    EXPECT_EQ(xff({"203.0.113.7, 10.0.0.1 ,10.0.0.2"}), (Texts{"10.0.0.2", "10.0.0.1", "203.0.113.7"}));
}

TEST(XForwardedFor, TakesSeveralFieldsAsOneList) {
    EXPECT_EQ(xff({"1.1.1.1, 2.2.2.2", "3.3.3.3"}), (Texts{"3.3.3.3", "2.2.2.2", "1.1.1.1"}));
}

TEST(XForwardedFor, AcceptsPortsAndBrackets) {
    EXPECT_EQ(xff({"1.2.3.4:80"}), Texts{"1.2.3.4"});
    EXPECT_EQ(xff({"[2001:db8::1]:80"}), Texts{"2001:db8::1"});
    EXPECT_EQ(xff({"[2001:db8::1]"}), Texts{"2001:db8::1"});
    EXPECT_EQ(xff({"2001:db8::1"}), Texts{"2001:db8::1"});
    EXPECT_EQ(xff({"::ffff:1.2.3.4"}), Texts{"1.2.3.4"});
}

TEST(XForwardedFor, EndsAtAnEntryThatIsNoAddress) {
    for (const std::string_view bad :
         {"unknown", "1.2.3", "1.2.3.4:", "1.2.3.4:x", "1.2.3.4:65536", "1.2.3.4:123456", "[1.2.3.4]", "[2001:db8::1",
          "[2001:db8::1]x", "[2001:db8::1]:", "fe80::1%eth0", "\"1.2.3.4\"", "1.2.3.4;", "01.2.3.4", "localhost",
          "1.2.3.4 5.6.7.8", "_hidden", "1.2.3.4:_x"}) {
        EXPECT_EQ(xff({"9.9.9.9, " + std::string(bad) + ", 8.8.8.8"}), (Texts{"8.8.8.8", "-"})) << bad;
    }
}

TEST(XForwardedFor, SkipsEmptyItems) {
    EXPECT_EQ(xff({"", ", ,1.1.1.1,, ", " "}), Texts{"1.1.1.1"});
    EXPECT_EQ(xff({}), Texts{});
}

TEST(XForwardedFor, IsBounded) {
    std::string chain;
    for (int i = 0; i < 10'000; ++i) chain += "10.0.0.1,";
    EXPECT_EQ(xff({chain}).size(), kEntriesMax);
}

// RFC 7239, section 4 and 6.
TEST(Forwarded, ReadsTheExamplesOfTheStandard) {
    EXPECT_EQ(fwd({"for=\"_gazonk\""}), Texts{"-"});
    EXPECT_EQ(fwd({"For=\"[2001:db8:cafe::17]:4711\""}), Texts{"2001:db8:cafe::17"});
    EXPECT_EQ(fwd({"for=192.0.2.60;proto=http;by=203.0.113.43"}), Texts{"192.0.2.60"});
    EXPECT_EQ(fwd({"for=192.0.2.43, for=198.51.100.17"}), (Texts{"198.51.100.17", "192.0.2.43"}));
    EXPECT_EQ(fwd({"for=192.0.2.43, for=\"[2001:db8:cafe::17]\""}), (Texts{"2001:db8:cafe::17", "192.0.2.43"}));
    EXPECT_EQ(fwd({"for=192.0.2.43", "for=198.51.100.17;by=203.0.113.60;proto=http;host=example.com"}),
              (Texts{"198.51.100.17", "192.0.2.43"}));
    EXPECT_EQ(fwd({"for=192.0.2.43,for=\"[2001:db8:cafe::17]\",for=unknown"}), Texts{"-"});
    EXPECT_EQ(fwd({"for=_hidden, for=_SEVKISEK"}), Texts{"-"});
    EXPECT_EQ(fwd({"for=\"192.0.2.43:47011\""}), Texts{"192.0.2.43"});
    EXPECT_EQ(fwd({"for=\"192.0.2.43:_port\""}), Texts{"192.0.2.43"});
}

TEST(Forwarded, KeepsCommasAndEscapesInsideQuotedStrings) {
    EXPECT_EQ(fwd({"for=1.1.1.1;host=\"a, for=6.6.6.6, b\", for=2.2.2.2"}), (Texts{"2.2.2.2", "1.1.1.1"}));
    EXPECT_EQ(fwd({"host=\"a\\\", for=6.6.6.6;x=\\\"\";for=1.1.1.1"}), Texts{"1.1.1.1"});
    EXPECT_EQ(fwd({"for=\"1.1.1\\.1\""}), Texts{"1.1.1.1"});
    EXPECT_EQ(fwd({"for=1.1.1.1;x=\" , \" ; y=z"}), Texts{"1.1.1.1"});
}

TEST(Forwarded, AnOpenQuoteCannotSwallowWhatTheProxyAppended) {
    EXPECT_EQ(fwd({"for=\"6.6.6.6, for=2.2.2.2"}), (Texts{"2.2.2.2", "-"}));
    EXPECT_EQ(fwd({"for=\", for=\"[2001:db8::1]\""}), (Texts{"2001:db8::1", "-"}));
    EXPECT_EQ(fwd({"for=\"6.6.6.6", "for=2.2.2.2"}), (Texts{"2.2.2.2", "-"}));
}

TEST(Forwarded, EndsAtAnElementThatTellsNoAddress) {
    for (const std::string_view bad : {"proto=http", "for", "for=", "=1.1.1.1", "for=1.1.1.1;for=2.2.2.2",
                                       "for=1.1.1.1 proto=http", "for =1.1.1.1", "for=\"1.1.1.1\"x", "f\"r=1.1.1.1"}) {
        EXPECT_EQ(fwd({"for=9.9.9.9, " + std::string(bad) + ", for=8.8.8.8"}), (Texts{"8.8.8.8", "-"})) << bad;
    }
}

TEST(Forwarded, IsBoundedOnHostileFields) {
    std::string commas(32'000, ',');
    EXPECT_EQ(fwd({commas}), Texts{});
    EXPECT_EQ(fwd({"\"" + commas + "\""}), Texts{"-"});
    std::string quotes;
    for (int i = 0; i < 8'000; ++i) quotes += "\",=";
    EXPECT_EQ(fwd({quotes}), Texts{"-"});
    std::string chain;
    for (int i = 0; i < 2'000; ++i) chain += "for=10.0.0.1,";
    EXPECT_EQ(fwd({chain}).size(), kEntriesMax);
}

struct Expected {
    std::string bytes;
    std::string source;  // "-": the peer itself speaks
    std::uint16_t port;
};

std::string v2(unsigned char command, unsigned char family, std::string_view payload) {
    std::string header = "\r\n\r\n\0\r\nQUIT\n"s;
    header += static_cast<char>(command);
    header += static_cast<char>(family);
    header += static_cast<char>(payload.size() >> 8U);
    header += static_cast<char>(payload.size() & 0xFFU);
    return header.append(payload);
}
const std::string kV4Addresses = "\xC0\xA8\x00\x01\x0A\x00\x00\x01\xDC\x04\x01\xBB"s;
const std::string kV6Addresses =
    "\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x07\x20\x01\x0D\xB8\0\0\0\0\0\0\0\0\0\0\0\x08"
    "\xDC\x04\x01\xBB"s;

std::vector<Expected> valid_headers() {
    return {
        {"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1", 56324},
        {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255", 65535},
        {"PROXY TCP6 2001:db8::7 2001:db8::8 0 1\r\n", "2001:db8::7", 0},
        {"PROXY TCP6 ::ffff:1.2.3.4 ::1 1 1\r\n", "1.2.3.4", 1},
        {"PROXY UNKNOWN\r\n", "-", 0},
        {"PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 "
         "65535\r\n",
         "-", 0},
        {v2(0x21, 0x11, kV4Addresses), "192.168.0.1", 56324},
        {v2(0x21, 0x11, kV4Addresses + "\x03\x00\x04\x01\x02\x03\x04"s), "192.168.0.1", 56324},
        {v2(0x21, 0x21, kV6Addresses), "2001:db8::7", 56324},
        {v2(0x21, 0x31, std::string(216, 'u')), "-", 0},
        {v2(0x21, 0x00, ""), "-", 0},
        {v2(0x21, 0x00, "\x03\x00\x01x"s), "-", 0},
        {v2(0x20, 0x00, ""), "-", 0},
        {v2(0x20, 0x11, kV4Addresses), "-", 0},
        {v2(0x20, 0x99, "whatever"), "-", 0},
    };
}

TEST(ProxyHeader, IsReadInBothVersions) {
    for (const Expected& expected : valid_headers()) {
        const auto parsed = parse_proxy_header(expected.bytes + "GET / HTTP/1.1\r\n");
        ASSERT_TRUE(parsed) << expected.bytes;
        ASSERT_TRUE(*parsed) << expected.bytes;
        const ProxyHeader& header = **parsed;
        EXPECT_EQ(header.header_bytes, expected.bytes.size());
        EXPECT_EQ(header.source ? header.source->to_string() : "-", expected.source) << expected.bytes;
        EXPECT_EQ(header.source_port, expected.port);
    }
}

TEST(ProxyHeader, AsksForMoreAtEverySplitPoint) {
    for (const Expected& expected : valid_headers()) {
        for (std::size_t i = 0; i < expected.bytes.size(); ++i) {
            const auto parsed = parse_proxy_header(std::string_view(expected.bytes).substr(0, i));
            ASSERT_TRUE(parsed) << expected.bytes << " at " << i;
            EXPECT_FALSE(*parsed) << expected.bytes << " at " << i;
        }
    }
}

TEST(ProxyHeader, RefusesWhatBreaksTheFormat) {
    for (const std::string& bad : {
             "GET / HTTP/1.1\r\n"s,
             "PROXX"s,
             "proxy TCP4 1.1.1.1 2.2.2.2 1 2\r\n"s,
             "PROXY TCP5 1.1.1.1 2.2.2.2 1 2\r\n"s,
             "PROXY  TCP4 1.1.1.1 2.2.2.2 1 2\r\n"s,
             "PROXY TCP4  1.1.1.1 2.2.2.2 1 2\r\n"s,
             "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n"s,
             "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 \r\n"s,
             "PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n"s,
             "PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n"s,
             "PROXY TCP4 1.1.1.1 2.2.2.2 01 2\r\n"s,
             "PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n"s,
             "PROXY TCP4 1.1.1.1 2.2.2.2 -1 2\r\n"s,
             "PROXY TCP4 1.1.1.1 2.2.2.256 1 2\r\n"s,
             "PROXY TCP4 ::1 ::1 1 2\r\n"s,
             "PROXY TCP6 1.1.1.1 2.2.2.2 1 2\r\n"s,
             "PROXY \r\n"s,
             "PROXY \n"s,
             "PROXY UNKNOWN "s + std::string(107, 'x'),
             "\r\n\r\n\0\r\nQUIX"s,
             v2(0x11, 0x11, kV4Addresses),
             v2(0x22, 0x11, kV4Addresses),
             v2(0x21, 0x41, kV4Addresses),
             v2(0x21, 0x13, kV4Addresses),
             v2(0x21, 0x11, kV4Addresses.substr(1)),
             v2(0x21, 0x21, kV6Addresses.substr(1)),
             v2(0x21, 0x31, std::string(215, 'u')),
         }) {
        const auto parsed = parse_proxy_header(bad);
        ASSERT_FALSE(parsed) << bad;
        EXPECT_EQ(parsed.error().code, ErrorCode::kMalformed) << bad;
    }
}

TEST(ProxyHeader, SeesAV1LineThatIsTooLongAtItsBound) {
    const std::string line = "PROXY UNKNOWN " + std::string(93, 'x');
    ASSERT_EQ(line.size(), 107U);
    EXPECT_FALSE(parse_proxy_header(line));
    EXPECT_TRUE(parse_proxy_header(line.substr(0, 106)));
    // The line end that stands at the bound belongs to it.
    EXPECT_TRUE(parse_proxy_header(line.substr(0, 105) + "\r\n"));
}

TEST(ProxyHeader, RefusesTlvsBeyondTheBound) {
    const std::string largest = v2(0x21, 0x11, kV4Addresses + std::string(kProxyHeaderBytesMax - 28, 't'));
    EXPECT_TRUE(parse_proxy_header(largest));
    const auto parsed = parse_proxy_header(v2(0x21, 0x11, std::string(kProxyHeaderBytesMax - 15, 't')).substr(0, 16));
    ASSERT_FALSE(parsed);
    EXPECT_EQ(parsed.error().code, ErrorCode::kTooLarge);
}

}  // namespace
}  // namespace weir::protocol::forwarded
