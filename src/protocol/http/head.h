// HTTP/1.1 message heads: where one ends, what it says, and how it must not be written (RFC 9110, RFC 9112).
//
// Strict on both sides: everything that two parsers might read in two ways is kMalformed (400 downstream, 502
// upstream): both lengths, obs-fold, a bare LF or CR, white space before the colon, a Transfer-Encoding that is not
// "chunked" and alone, a repeated or non-digit Content-Length, two Host fields or none in 1.1, NUL and control
// characters, and a name that a CGI-like backend folds into a framing field ("Content_Length").
//
// Two readers have to agree. The lines are split and judged here, the start line whole; the field section is then run
// through llhttp (8.1.0 in Debian 12), and a head that it refuses, ends elsewhere, or counts other fields in is
// refused. llhttp alone does not suffice: that version takes a bare CR as the end of a field (CVE-2023-30589), unfolds
// obs-fold into a length (CVE-2024-27982), takes a bare LF behind a request line without version, and knows a closed
// list of methods.
//
// What is a choice, and whose:
// * A method is any token of up to kMethodBytesMax bytes, as for nginx's upstreams and HAProxy; a longer one is
//   kUnsupported (RFC 9112 3). Methods are case-sensitive.
// * A target may hold bytes from 0x80 on, and the printable characters that RFC 3986 excludes: nginx and Node pass
//   them, clients send them. Spaces, controls and '#' (a fragment never travels; parsers differ on where the path ends
//   then) are malformed. Forms: "/path", "http(s)://host/..." and "ws(s)://" without user information, "*" for OPTIONS,
//   "host:port" for CONNECT.
// * Versions: exactly "HTTP/1.0" and "HTTP/1.1"; another well-formed one is kUnsupported, "HTTP/0.9" style lines and
//   lower case are malformed.
// * Up to kLeadingEmptyLinesMax empty lines may precede a request.
// * HTTP/1.0 with Transfer-Encoding is malformed on both sides (RFC 9112 6.1: such framing is faulty).
// * Codings but chunked are malformed, not passed on: their framing could not be checked.
//
// Pure. Views point into the bytes that were given. `fields` keep their capacity, so that parsing allocates nothing
// once they have grown.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace weir::protocol::http {

// `detail` of the kUnsupported that is answered 505 (RFC 9110 15.6.6) and not 501.
inline constexpr std::string_view kVersionNotSupported = "a version other than HTTP/1.0 and HTTP/1.1";

struct Field {
    std::string_view name;   // as it was written
    std::string_view value;  // without the white space around it
};

inline constexpr std::size_t kMethodBytesMax = 32;  // the longest registered one has 17
inline constexpr std::size_t kLeadingEmptyLinesMax = 4;

enum class BodyFraming : std::uint8_t { kNone, kLength, kChunked, kUntilClose };

struct RequestHead {
    std::string_view method;
    std::string_view target;  // as it came: origin form, absolute form ("http://host/path"), "*" or authority (CONNECT)
    unsigned version_minor = 1;  // HTTP/1.0 or 1.1; anything else is kUnsupported
    std::vector<Field> fields;   // in order; reused between calls
    std::string_view host;       // of the Host field, or of the absolute form, which wins
    BodyFraming framing = BodyFraming::kNone;
    std::uint64_t content_length = 0;
    bool keep_alive = true;  // by version and Connection
    bool expects_continue = false;
    bool upgrade = false;  // HTTP/1.1, and Connection has "upgrade"

    [[nodiscard]] std::string_view field(std::string_view name) const;  // first of that name, or empty
    [[nodiscard]] std::size_t count(std::string_view name) const;
};

struct ResponseHead {
    unsigned status = 0;
    unsigned version_minor = 1;
    std::string_view reason;
    std::vector<Field> fields;
    BodyFraming framing = BodyFraming::kNone;
    std::uint64_t content_length = 0;
    bool keep_alive = true;  // by version, Connection and framing: false when only the end of the connection ends it
    bool upgrade = false;    // 101, and Connection has "upgrade"

    [[nodiscard]] std::string_view field(std::string_view name) const;
    [[nodiscard]] std::size_t count(std::string_view name) const;
};

// Length of the head at the start of `bytes`, the empty line included; 0 when it has not ended yet. `searched` is how
// many bytes an earlier call has looked at. Leading empty lines (RFC 9112 2.2) belong to the head of a request. Only
// CRLF ends a line; a head with bare LFs never ends, and is hopeless below.
[[nodiscard]] std::size_t head_length(std::string_view bytes, std::size_t searched = 0);

// True when the bytes so far can't become a request head any more (a control character, a bare LF or CR, a folded line,
// a line that is no request line), so that nonsense is answered at once and not when the time is up. Optional to call;
// cheap. `searched` as above: what an earlier call has found to be not hopeless. Once true, true for all that follows;
// never true for a beginning of what parse_request_head accepts.
[[nodiscard]] bool head_hopeless(std::string_view bytes, std::size_t searched = 0);

// `head` is exactly what head_length counted. `out` is overwritten.
[[nodiscard]] Result<void> parse_request_head(std::string_view head, RequestHead& out);
// A response is framed by the request that it answers (RFC 9112 6.3).
[[nodiscard]] Result<void> parse_response_head(std::string_view head, std::string_view request_method,
                                               ResponseHead& out);

// Fields that end at this hop: RFC 9110 7.6.1 (Connection, Keep-Alive, Proxy-Connection, TE, Transfer-Encoding,
// Upgrade); Trailer, because trailers are not passed on; HTTP2-Settings (RFC 7540 3.2.1); and Proxy-Authenticate and
// Proxy-Authorization, which speak to the next proxy (RFC 9110 11.7): that is this one, and it does not ask for them.
[[nodiscard]] bool is_hop_by_hop(std::string_view name);
// True when the `Connection` fields among `fields` name it. A client can name anything here, also "Host" or
// "X-Forwarded-For": drop what the client sent under such a name, never what is added on this hop.
[[nodiscard]] bool named_by_connection(const std::vector<Field>& fields, std::string_view name);

// The cookie `name` of the `Cookie` fields (RFC 6265 4.2), as it was written, quotes included; the first one wins.
[[nodiscard]] std::optional<std::string_view> cookie(const std::vector<Field>& fields, std::string_view name);
// The values of all cookies of that name, in order.
[[nodiscard]] std::vector<std::string_view> cookies(const std::vector<Field>& fields, std::string_view name);
// Value of a query parameter of a target, decoded as forms are: %XX is a byte, '+' a space, '&' separates. The first of
// that (decoded) name wins; nullopt when it is absent or badly escaped.
[[nodiscard]] std::optional<std::string> query_parameter(std::string_view target, std::string_view name);
// All pairs "NAME=VALUE" whose decoded name is `name`, as they were written and in order.
[[nodiscard]] std::vector<std::string_view> query_pairs(std::string_view target, std::string_view name);
// True when the cookie, or the parameter, is there more than once and not always with the same value: who reads the
// first and who reads the last of them disagree. A value that is badly escaped is another than every other.
[[nodiscard]] bool cookie_is_ambiguous(const std::vector<Field>& fields, std::string_view name);
[[nodiscard]] bool query_parameter_is_ambiguous(std::string_view target, std::string_view name);

}  // namespace weir::protocol::http
