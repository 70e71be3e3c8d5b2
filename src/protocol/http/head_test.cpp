#include "protocol/http/head.h"

#include <gtest/gtest.h>
#include <string>

namespace weir::protocol::http {
namespace {

// The parsed head points into `head`: a temporary lives to the end of the full expression only.
RequestHead request(std::string_view head) {
    RequestHead out;
    const auto parsed = parse_request_head(head, out);
    EXPECT_TRUE(parsed) << head << (parsed ? "" : parsed.error().detail);
    return out;
}
ResponseHead response(std::string_view head, std::string_view method = "GET") {
    ResponseHead out;
    const auto parsed = parse_response_head(head, method, out);
    EXPECT_TRUE(parsed) << head << (parsed ? "" : parsed.error().detail);
    return out;
}
std::optional<ErrorCode> request_error(std::string_view head) {
    RequestHead out;
    const auto parsed = parse_request_head(head, out);
    if (parsed) return std::nullopt;
    EXPECT_EQ(parsed.error().source, ErrorSource::kDownstream);
    EXPECT_FALSE(parsed.error().detail.empty());
    return parsed.error().code;
}
std::optional<ErrorCode> response_error(std::string_view head, std::string_view method = "GET") {
    ResponseHead out;
    const auto parsed = parse_response_head(head, method, out);
    if (parsed) return std::nullopt;
    EXPECT_EQ(parsed.error().source, ErrorSource::kUpstream);
    return parsed.error().code;
}
// A request that is fine but for `lines`, each with its end.
std::string with_lines(std::string_view lines) {
    return "POST /x HTTP/1.1\r\nHost: a\r\n" + std::string(lines) + "\r\n";
}
std::string with_target(std::string_view target, std::string_view method = "GET") {
    return std::string(method) + ' ' + std::string(target) + " HTTP/1.1\r\nHost: a\r\n\r\n";
}
std::string answer_with(std::string_view lines) {
    return "HTTP/1.1 200 OK\r\n" + std::string(lines) + "\r\n";
}

TEST(RequestHead, ReadsTheExampleOfRfc9112) {
    const RequestHead head = request(
        "GET /hello.txt HTTP/1.1\r\nUser-Agent: curl/7.64.1\r\nHost: www.example.com\r\n"
        "Accept-Language: en, mi\r\n\r\n");
    EXPECT_EQ(head.method, "GET");
    EXPECT_EQ(head.target, "/hello.txt");
    EXPECT_EQ(head.version_minor, 1U);
    EXPECT_EQ(head.host, "www.example.com");
    ASSERT_EQ(head.fields.size(), 3U);
    EXPECT_EQ(head.fields[2].name, "Accept-Language");
    EXPECT_EQ(head.fields[2].value, "en, mi");
    EXPECT_EQ(head.field("user-agent"), "curl/7.64.1");
    EXPECT_EQ(head.framing, BodyFraming::kNone);
    EXPECT_TRUE(head.keep_alive);
    EXPECT_FALSE(head.upgrade);
    EXPECT_FALSE(head.expects_continue);
}

TEST(RequestHead, TrimsTheWhiteSpaceAroundAValueAndKeepsItsInside) {
    const std::string bytes = with_lines("A: \t x  y\t \r\nB:\r\nC:z\r\nD: \xC3\xBC\r\n");
    const RequestHead head = request(bytes);
    EXPECT_EQ(head.field("a"), "x  y");
    EXPECT_EQ(head.field("b"), "");
    EXPECT_EQ(head.count("b"), 1U);
    EXPECT_EQ(head.field("c"), "z");
    EXPECT_EQ(head.field("d"), "\xC3\xBC");
}

TEST(RequestHead, SaysHowTheBodyIsFramed) {
    EXPECT_EQ(request(with_lines("Content-Length: 0\r\n")).framing, BodyFraming::kLength);
    const RequestHead sized = request(with_lines("content-length:\t42 \r\n"));
    EXPECT_EQ(sized.framing, BodyFraming::kLength);
    EXPECT_EQ(sized.content_length, 42U);
    EXPECT_EQ(request(with_lines("Transfer-Encoding: chunked\r\n")).framing, BodyFraming::kChunked);
    EXPECT_EQ(request(with_lines("transfer-encoding: Chunked\r\n")).framing, BodyFraming::kChunked);
    EXPECT_EQ(request(with_lines("Content-Length: 999999999999999999\r\n")).content_length, 999999999999999999U);
}

TEST(RequestHead, SaysWhetherTheConnectionStays) {
    EXPECT_FALSE(request(with_lines("Connection: x, Close\r\n")).keep_alive);
    EXPECT_FALSE(request(with_lines("Connection: keep-alive\r\nConnection: close\r\n")).keep_alive);
    EXPECT_TRUE(request(with_lines("Connection: closed\r\n")).keep_alive);
    EXPECT_FALSE(request("GET / HTTP/1.0\r\n\r\n").keep_alive);
    EXPECT_TRUE(request("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n").keep_alive);
    EXPECT_FALSE(request("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n").keep_alive);
}

TEST(RequestHead, SeesUpgradeAndContinueInHttp11Only) {
    EXPECT_TRUE(request(with_lines("Connection: keep-alive, Upgrade\r\n")).upgrade);
    EXPECT_TRUE(request(with_lines("Expect: 100-Continue\r\n")).expects_continue);
    const RequestHead old = request("GET / HTTP/1.0\r\nConnection: upgrade\r\nExpect: 100-continue\r\n\r\n");
    EXPECT_FALSE(old.upgrade);
    EXPECT_FALSE(old.expects_continue);
}

TEST(RequestHead, TakesEveryFormOfTarget) {
    EXPECT_EQ(request(with_target("/a?b=c&d")).target, "/a?b=c&d");
    const std::string bytes = with_target("http://b:81/x");
    const RequestHead absolute = request(bytes);
    EXPECT_EQ(absolute.host, "b:81") << "the absolute form wins over Host";
    EXPECT_EQ(absolute.target, "http://b:81/x");
    EXPECT_EQ(request(with_target("HTTPS://b?q")).host, "b");
    EXPECT_EQ(request(with_target("ws://[2001:db8::1]:8080/x")).host, "[2001:db8::1]:8080");
    EXPECT_EQ(request(with_target("*", "OPTIONS")).host, "a");
    EXPECT_EQ(request(with_target("b:443", "CONNECT")).host, "b:443");
    EXPECT_EQ(request(with_target("/\xC3\xBC|{}\"\\^`<>")).target, "/\xC3\xBC|{}\"\\^`<>");
    EXPECT_EQ(request("GET / HTTP/1.0\r\n\r\n").host, "");
}

TEST(RequestHead, PassesMethodsThatNobodyKnows) {
    EXPECT_EQ(request(with_target("/", "BREW")).method, "BREW");
    EXPECT_EQ(request(with_target("/", "x-y_z!")).method, "x-y_z!");
    EXPECT_EQ(request(with_target("/", "get")).method, "get");
    EXPECT_EQ(request_error(with_target("/", std::string(kMethodBytesMax, 'A'))), std::nullopt);
    EXPECT_EQ(request_error(with_target("/", std::string(kMethodBytesMax + 1, 'A'))), ErrorCode::kUnsupported);
}

TEST(RequestHead, SkipsAFewEmptyLinesBeforeARequest) {
    const std::string plain = with_target("/");
    std::string head = plain;
    for (std::size_t i = 0; i < kLeadingEmptyLinesMax; ++i) {
        head = "\r\n" + head;
        EXPECT_EQ(head_length(head), head.size());
        EXPECT_EQ(request(head).target, "/");
    }
    head = "\r\n" + head;
    EXPECT_EQ(head_length(head), (kLeadingEmptyLinesMax + 1) * 2);
    EXPECT_TRUE(head_hopeless(head));
    EXPECT_EQ(request_error(head.substr(0, head_length(head))), ErrorCode::kMalformed);
}

TEST(RequestHead, OverwritesWhatWasThereAndKeepsTheCapacity) {
    RequestHead out;
    ASSERT_TRUE(parse_request_head(with_lines("Connection: close, upgrade\r\nContent-Length: 4\r\n"), out));
    const auto* const storage = out.fields.data();
    const std::string plain = with_target("/");
    ASSERT_TRUE(parse_request_head(plain, out));
    EXPECT_EQ(out.fields.size(), 1U);
    EXPECT_EQ(out.fields.data(), storage);
    EXPECT_TRUE(out.keep_alive);
    EXPECT_FALSE(out.upgrade);
    EXPECT_EQ(out.content_length, 0U);
    EXPECT_EQ(out.framing, BodyFraming::kNone);
}

TEST(RequestHead, HasBounds) {
    std::string lines;
    for (std::size_t i = 1; i < kHeaderFieldsMax; ++i) lines += "a: b\r\n";
    EXPECT_EQ(request_error(with_lines(lines)), std::nullopt);
    EXPECT_EQ(request_error(with_lines(lines + "a: b\r\n")), ErrorCode::kTooLarge);
    EXPECT_EQ(request_error(with_target('/' + std::string(kTargetBytesMax - 1, 'x'))), std::nullopt);
    EXPECT_EQ(request_error(with_target('/' + std::string(kTargetBytesMax, 'x'))), ErrorCode::kTooLarge);
    EXPECT_EQ(request_error(with_lines("a: " + std::string(kHeaderBytesMax, 'x') + "\r\n")), ErrorCode::kTooLarge);
}

struct Hostile {
    const char* what;
    std::string head;
    ErrorCode code = ErrorCode::kMalformed;
};

const std::vector<Hostile>& hostile_requests() {
    using namespace std::string_literals;
    static const std::vector<Hostile> rows{
        {"both lengths", with_lines("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n")},
        {"both lengths, the other way round", with_lines("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n")},
        {"two equal lengths", with_lines("Content-Length: 4\r\nContent-Length: 4\r\n")},
        {"two different lengths", with_lines("Content-Length: 4\r\nContent-Length: 5\r\n")},
        {"a list of lengths", with_lines("Content-Length: 4, 4\r\n")},
        {"a length with plus", with_lines("Content-Length: +4\r\n")},
        {"a length with minus", with_lines("Content-Length: -4\r\n")},
        {"a length with a space inside", with_lines("Content-Length: 4 4\r\n")},
        {"a hexadecimal length", with_lines("Content-Length: 0x4\r\n")},
        {"an empty length", with_lines("Content-Length:\r\n")},
        {"a length with a point", with_lines("Content-Length: 4.0\r\n")},
        {"a length with a vertical tab", with_lines("Content-Length: \v4\r\n")},
        {"a length with a no-break space", with_lines("Content-Length: \xA0"
                                                      "4\r\n")},
        {"a length that overflows", with_lines("Content-Length: 18446744073709551620\r\n")},
        {"a length that overflows signed parsers", with_lines("Content-Length: 9223372036854775808\r\n")},
        {"a length of very many zeros", with_lines("Content-Length: 0000000000000000000000004\r\n")},
        {"a length folded by a CGI backend", with_lines("Content_Length: 4\r\n")},
        {"an encoding folded by a CGI backend", with_lines("transfer_encoding: chunked\r\n")},
        {"xchunked", with_lines("Transfer-Encoding: xchunked\r\n")},
        {"chunked with a parameter", with_lines("Transfer-Encoding: chunked;q=1\r\n")},
        {"chunked in quotes", with_lines("Transfer-Encoding: \"chunked\"\r\n")},
        {"chunked with a comma", with_lines("Transfer-Encoding: chunked,\r\n")},
        {"chunked twice in a list", with_lines("Transfer-Encoding: chunked, chunked\r\n")},
        {"chunked behind a vertical tab", with_lines("Transfer-Encoding: \vchunked\r\n")},
        {"an empty encoding", with_lines("Transfer-Encoding:\r\n")},
        {"identity", with_lines("Transfer-Encoding: identity\r\n")},
        {"another coding first", with_lines("Transfer-Encoding: gzip, chunked\r\n")},
        {"another coding last", with_lines("Transfer-Encoding: chunked, identity\r\n")},
        {"two encodings", with_lines("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n")},
        {"two equal encodings", with_lines("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
        {"an encoding in HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"a space before the colon", with_lines("Transfer-Encoding : chunked\r\n")},
        {"a tab before the colon", with_lines("Transfer-Encoding\t: chunked\r\n")},
        {"a space before the name", "POST / HTTP/1.1\r\n Host: a\r\n\r\n"},
        {"a folded line", with_lines("A: b\r\n c\r\n")},
        {"a folded length (CVE-2024-27982)", with_lines("Content-Length:\r\n 4\r\n")},
        {"a folded encoding", with_lines("Transfer-Encoding:\r\n\tchunked\r\n")},
        {"a bare LF between fields", with_lines("A: b\nContent-Length: 4\r\n")},
        {"a bare LF behind the request line", "POST /x HTTP/1.1\nHost: a\r\n\r\n"},
        {"a bare LF behind a line without version", "POST /x\nHost: a\r\nContent-Length: 4\r\n\r\n"},
        {"a bare CR between fields (CVE-2023-30589)", with_lines("A: \rTransfer-Encoding: chunked\r\n")},
        {"a bare CR in a value", with_lines("A: b\rc\r\n")},
        {"two CRs", with_lines("A: b\r\r\n")},
        {"a bare CR in the request line", "GET /\rx HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"an end of two bare LFs", "GET / HTTP/1.1\r\nHost: a\n\n"},
        {"NUL in a value", with_lines("A: b\0c\r\n"s)},
        {"NUL in a name", with_lines("A\0: b\r\n"s)},
        {"a control character in a value", with_lines("A: \x01\r\n")},
        {"DEL in a value", with_lines("A: \x7F\r\n")},
        {"an escape character in a value", with_lines("A: \x1B[31m\r\n")},
        {"an empty name", with_lines(": b\r\n")},
        {"a line without a colon", with_lines("Transfer-Encoding chunked\r\n")},
        {"a name with a space", with_lines("A b: c\r\n")},
        {"a name that is not ASCII", with_lines("\xC3\xBC: c\r\n")},
        {"a name with a bracket", with_lines("A[]: c\r\n")},
        {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"},
        {"two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"},
        {"no Host", "GET / HTTP/1.1\r\n\r\n"},
        {"no Host with an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n"},
        {"a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"},
        {"a Host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"},
        {"a Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"},
        {"a Host with a list", "GET / HTTP/1.1\r\nHost: a, b/\r\n\r\n"},
        {"a Host with a port that is none", "GET / HTTP/1.1\r\nHost: a:8o\r\n\r\n"},
        {"a Host that is only a port", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n"},
        {"a Host with an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"},
        {"HTTP/0.9", "GET /\r\n\r\n"},
        {"a version in lower case", "GET / http/1.1\r\nHost: a\r\n\r\n"},
        {"a version with two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"},
        {"a version with a space", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"},
        {"a version of letters", "GET / HTTP/x.y\r\nHost: a\r\n\r\n"},
        {"HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", ErrorCode::kUnsupported},
        {"HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", ErrorCode::kUnsupported},
        {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\n", ErrorCode::kUnsupported},
        {"two spaces behind the method", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"two spaces behind the target", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"a space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"a tab behind the method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"a control character in the target", with_target("/\x01")},
        {"DEL in the target", with_target("/\x7F")},
        {"NUL in the target", with_target("/\0"s)},
        {"a fragment in the target", with_target("/a#b")},
        {"a target without a slash", with_target("a")},
        {"an absolute target without a host", with_target("http:///a")},
        {"an absolute target with user information", with_target("http://u@a/")},
        {"an absolute target of another scheme", with_target("ftp://a/")},
        {"* with GET", with_target("*")},
        {"CONNECT with a path", with_target("/", "CONNECT")},
        {"CONNECT without a port", with_target("a", "CONNECT")},
        {"CONNECT with an empty port", with_target("a:", "CONNECT")},
        {"no method", " / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"a method that is no token", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n"},
        {"a TLS client hello", "\x16\x03\x01\x02\r\n\r\n"s},
        {"a response", "HTTP/1.1 200 OK\r\n\r\n"},
        {"nothing", ""},
        {"no end", "GET / HTTP/1.1\r\nHost: a\r\n"},
        {"bytes behind the end", with_target("/") + "x"},
    };
    return rows;
}

TEST(RequestHead, RefusesEveryShapeThatCouldBeReadTwoWays) {
    for (const Hostile& row : hostile_requests()) EXPECT_EQ(request_error(row.head), row.code) << row.what;
}

TEST(HeadLength, FindsTheEndAtEverySplitPoint) {
    const std::string head = "\r\n" + with_lines("A: b\r\nC: d\r\n");
    const std::string bytes = head + "GET / HTTP/1.1\r\n\r\nmore";
    for (std::size_t size = 0; size <= bytes.size(); ++size) {
        const std::string_view so_far = std::string_view(bytes).substr(0, size);
        const std::size_t expected = size < head.size() ? 0 : head.size();
        for (std::size_t searched = 0; searched < head.size() && searched <= size; ++searched)
            ASSERT_EQ(head_length(so_far, searched), expected) << size << ' ' << searched;
    }
}

TEST(HeadHopeless, NeverGivesUpOnWhatIsFine) {
    for (const std::string& head : {with_target("/"), "\r\n\r\n" + with_lines("A: b \t\r\nB:\r\n"),
                                    with_target("*", "OPTIONS"), with_target("/\xC3\xBC", "BREW")}) {
        for (std::size_t size = 0; size <= head.size(); ++size) {
            for (std::size_t searched = 0; searched <= size; ++searched)
                ASSERT_FALSE(head_hopeless(head.substr(0, size), searched)) << head << size << ' ' << searched;
        }
        EXPECT_FALSE(head_hopeless(head + std::string("\0\n\r body", 9)));
    }
}

TEST(HeadHopeless, SeesNonsenseAtOnceAndStaysWithIt) {
    for (const std::string_view bytes :
         {"\x16", "GET / HTTP/1.1\n", "GET / HTTP/1.1\r\nA: b\n", "GET / HTTP/1.1\r\nA: b\r\n ", "\n",
          "GET / HTTP/1.1\r\nA: b\rc", "GET /\r", "\r\n\r\r", " ", "GET / http/1.1\r", "HTTP/",
          "GET / HTTP/1.1\r\nA: \x01", "(", "\r\n\r\n\r\n\r\n\r\n"}) {
        EXPECT_TRUE(head_hopeless(bytes)) << bytes;
        EXPECT_FALSE(head_hopeless(bytes.substr(0, bytes.size() - 1))) << "the last byte tells: " << bytes;
        EXPECT_TRUE(head_hopeless(bytes, bytes.size() - 1)) << bytes;
        EXPECT_TRUE(head_hopeless(std::string(bytes) + "GET / HTTP/1.1\r\nHost: a\r\n\r\n")) << bytes;
    }
}

TEST(ResponseHead, ReadsTheExampleOfRfc9112) {
    const ResponseHead head = response(
        "HTTP/1.1 200 OK\r\nDate: Mon, 27 Jul 2009 12:28:53 GMT\r\nServer: Apache\r\nContent-Length: 51\r\n"
        "Vary: Accept-Encoding\r\nContent-Type: text/plain\r\n\r\n");
    EXPECT_EQ(head.status, 200U);
    EXPECT_EQ(head.reason, "OK");
    EXPECT_EQ(head.fields.size(), 5U);
    EXPECT_EQ(head.framing, BodyFraming::kLength);
    EXPECT_EQ(head.content_length, 51U);
    EXPECT_TRUE(head.keep_alive);
}

TEST(ResponseHead, TakesAnyReason) {
    EXPECT_EQ(response("HTTP/1.1 200\r\n\r\n").reason, "");
    EXPECT_EQ(response("HTTP/1.1 200 \r\n\r\n").reason, "");
    EXPECT_EQ(response("HTTP/1.1 404 Nicht \xC3\xBC\r\n\r\n").reason, "Nicht \xC3\xBC");
    EXPECT_EQ(response("HTTP/1.1 999 x\r\n\r\n").status, 999U);
}

TEST(ResponseHead, IsFramedByTheRequest) {
    const std::string sized = "Content-Length: 4\r\n\r\n";
    const std::string chunked = "Transfer-Encoding: chunked\r\n\r\n";
    EXPECT_EQ(response("HTTP/1.1 200 OK\r\n" + sized).framing, BodyFraming::kLength);
    EXPECT_EQ(response("HTTP/1.1 200 OK\r\n" + chunked).framing, BodyFraming::kChunked);
    EXPECT_EQ(response("HTTP/1.1 200 OK\r\n\r\n").framing, BodyFraming::kUntilClose);
    EXPECT_EQ(response("HTTP/1.1 200 OK\r\n" + sized, "HEAD").framing, BodyFraming::kNone);
    EXPECT_EQ(response("HTTP/1.1 200 OK\r\n" + chunked, "HEAD").framing, BodyFraming::kNone);
    EXPECT_TRUE(response("HTTP/1.1 200 OK\r\n\r\n", "HEAD").keep_alive);
    for (const char* status : {"100", "101", "103", "204", "304"})
        EXPECT_EQ(response("HTTP/1.1 " + std::string(status) + " x\r\n" + sized).framing, BodyFraming::kNone);
    EXPECT_EQ(response("HTTP/1.1 200 OK\r\n" + sized, "CONNECT").framing, BodyFraming::kNone);
    EXPECT_EQ(response("HTTP/1.1 407 x\r\n" + sized, "CONNECT").framing, BodyFraming::kLength);
}

TEST(ResponseHead, SaysWhetherTheConnectionStays) {
    const std::string sized = "Content-Length: 0\r\n\r\n";
    EXPECT_TRUE(response("HTTP/1.1 200 OK\r\n" + sized).keep_alive);
    EXPECT_FALSE(response("HTTP/1.1 200 OK\r\nConnection: close\r\n" + sized).keep_alive);
    EXPECT_FALSE(response("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n").keep_alive) << "until close";
    EXPECT_FALSE(response("HTTP/1.0 200 OK\r\n" + sized).keep_alive);
    EXPECT_TRUE(response("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + sized).keep_alive);
}

TEST(ResponseHead, UpgradesWith101Only) {
    EXPECT_TRUE(response("HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade);
    EXPECT_FALSE(response("HTTP/1.1 426 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n").upgrade);
    EXPECT_FALSE(response("HTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n").upgrade);
}

TEST(ResponseHead, IsRefusedWhenItCouldBeReadTwoWays) {
    using namespace std::string_literals;
    const Hostile rows[] = {
        {"both lengths", answer_with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n")},
        {"two equal lengths", answer_with("Content-Length: 4\r\nContent-Length: 4\r\n")},
        {"a list of lengths", answer_with("Content-Length: 4, 4\r\n")},
        {"a length with plus", answer_with("Content-Length: +4\r\n")},
        {"another coding", answer_with("Transfer-Encoding: gzip, chunked\r\n")},
        {"an encoding in HTTP/1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {"a folded line", answer_with("A: b\r\n c\r\n")},
        {"a space before the colon", answer_with("Content-Length : 4\r\n")},
        {"a bare LF", answer_with("A: b\nC: d\r\n")},
        {"a bare CR", answer_with("A: b\rC: d\r\n")},
        {"NUL", answer_with("A: \0\r\n"s)},
        {"a control character in the reason", "HTTP/1.1 200 O\x01\r\n\r\n"},
        {"an empty line before", "\r\nHTTP/1.1 200 OK\r\n\r\n"},
        {"a status of two digits", "HTTP/1.1 20 OK\r\n\r\n"},
        {"a status of four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
        {"a status below 100", "HTTP/1.1 099 OK\r\n\r\n"},
        {"a status with a sign", "HTTP/1.1 +20 OK\r\n\r\n"},
        {"two spaces", "HTTP/1.1  200 OK\r\n\r\n"},
        {"lower case", "http/1.1 200 OK\r\n\r\n"},
        {"ICY", "ICY 200 OK\r\n\r\n"},
        {"HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\n", ErrorCode::kUnsupported},
        {"a request", with_target("/")},
        {"nothing", ""},
    };
    for (const Hostile& row : rows) EXPECT_EQ(response_error(row.head), row.code) << row.what;
    EXPECT_EQ(response_error(answer_with("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n"), "HEAD"),
              ErrorCode::kMalformed);
}

TEST(HopByHop, KnowsTheFieldsThatEndHere) {
    for (const char* name : {"Connection", "keep-alive", "Proxy-Connection", "TE", "Transfer-Encoding", "Upgrade",
                             "Trailer", "Proxy-Authorization", "Proxy-Authenticate", "HTTP2-Settings"})
        EXPECT_TRUE(is_hop_by_hop(name)) << name;
    for (const char* name : {"Host", "Content-Length", "Authorization", "Sec-WebSocket-Key", "TEX", ""})
        EXPECT_FALSE(is_hop_by_hop(name)) << name;
}

TEST(HopByHop, FollowsEveryConnectionField) {
    const std::vector<Field> fields{{"Connection", "close, X-Foo"}, {"CONNECTION", "bar"}, {"X", "baz"}};
    EXPECT_TRUE(named_by_connection(fields, "x-foo"));
    EXPECT_TRUE(named_by_connection(fields, "Bar"));
    EXPECT_FALSE(named_by_connection(fields, "baz"));
    EXPECT_FALSE(named_by_connection(fields, "x"));
}

TEST(Cookie, IsFoundInAnyCookieField) {
    const std::vector<Field> fields{{"Cookie", "a=1; session = \"x=y\" ;b"}, {"cookie", "c=3;a=2"}, {"X", "d=4"}};
    EXPECT_EQ(cookie(fields, "a"), "1");
    EXPECT_EQ(cookie(fields, "session"), "\"x=y\"");
    EXPECT_EQ(cookie(fields, "c"), "3");
    EXPECT_EQ(cookie(fields, "b"), std::nullopt);
    EXPECT_EQ(cookie(fields, "A"), std::nullopt);
    EXPECT_EQ(cookie(fields, "d"), std::nullopt);
}

TEST(Cookies, AreAmbiguousWhenTheirValuesDiffer) {
    const std::vector<Field> fields{{"Cookie", "a=1; b=2; b=2;c=3"}, {"cookie", "a=2; c=3; d="}, {"Cookie", "d=4"}};
    EXPECT_TRUE(cookie_is_ambiguous(fields, "a"));
    EXPECT_FALSE(cookie_is_ambiguous(fields, "b"));
    EXPECT_FALSE(cookie_is_ambiguous(fields, "c"));
    EXPECT_TRUE(cookie_is_ambiguous(fields, "d"));
    EXPECT_FALSE(cookie_is_ambiguous(fields, "e"));
}

TEST(QueryParameters, AreAmbiguousWhenTheirValuesDiffer) {
    for (const std::string_view target :
         {"/x?token=1&a=b&token=2", "/x?token=&token=2", "/x?token=1&token", "/x?token=1&%74oken=2",
          "/x?token=%Z&token=1", "/x?token=1&token=1&token=%Z", "/x?token=%Z&token=%Z"}) {
        EXPECT_TRUE(query_parameter_is_ambiguous(target, "token")) << target;
    }
    for (const std::string_view target : {"/x", "/x?token=1", "/x?token=1&token=%31&tok%65n=1", "/x?token=%Z",
                                          "/x?token&token=", "/x?token=1&Token=2"}) {
        EXPECT_FALSE(query_parameter_is_ambiguous(target, "token")) << target;
    }
}

TEST(QueryParameter, IsDecodedAsFormsAre) {
    EXPECT_EQ(query_parameter("/x?token=abc", "token"), "abc");
    EXPECT_EQ(query_parameter("/x?a=1&token=a%2Bb+c%00&token=2", "token"), std::string("a+b c\0", 6));
    EXPECT_EQ(query_parameter("/x?%74oken=1", "token"), "1");
    EXPECT_EQ(query_parameter("http://h/x?token=%C3%BC", "token"), "\xC3\xBC");
    EXPECT_EQ(query_parameter("/x?token", "token"), "");
    EXPECT_EQ(query_parameter("/x?token=", "token"), "");
    EXPECT_EQ(query_parameter("/x?&&b%ZZ=&token=a=b?c", "token"), "a=b?c");
}

TEST(QueryParameter, IsAbsentOrBadlyEscaped) {
    for (const char* target : {"/x", "/x?", "/token=1", "/x?tokens=1", "/x?toke=1", "/x?token=%", "/x?token=%4",
                               "/x?token=%g0", "/x?token=a%0gb", "/x?TOKEN=1", "/x?a=token=1", "/x?a=1;token=2"})
        EXPECT_EQ(query_parameter(target, "token"), std::nullopt) << target;
}

TEST(Cookies, AreAllOfThatName) {
    const std::vector<Field> fields{{"Cookie", "a=1; b=2; a=3"}, {"X", "a=9"}, {"cookie", "a=; c; a"}};
    EXPECT_EQ(cookies(fields, "a"), (std::vector<std::string_view>{"1", "3", ""}));
    EXPECT_TRUE(cookies(fields, "d").empty());
}

TEST(QueryPairs, AreAllOfThatDecodedNameAsTheyWereWritten) {
    EXPECT_EQ(query_pairs("/x?key=a%20b&y=1&k%65y=%zz&key&keys=2#", "key"),
              (std::vector<std::string_view>{"key=a%20b", "k%65y=%zz", "key"}));
    EXPECT_TRUE(query_pairs("/key=1", "key").empty());
}

}  // namespace
}  // namespace weir::protocol::http
