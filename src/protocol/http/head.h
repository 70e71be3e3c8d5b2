// HTTP/1.1 message heads: where one ends, what it says, and how it must not be written (RFC 9110, RFC 9112).
//
// Strict on what is received from downstream: everything that two parsers might read in two ways is kMalformed (400):
// both lengths, obs-fold, a bare LF or CR, white space before the colon, a Transfer-Encoding that is not exactly
// "chunked", repeated or non-digit Content-Length, two Host fields or none in 1.1, NUL and control characters in
// values. llhttp reads the grammar; what it leaves open is checked here.
//
// Pure. Views point into the bytes that were given.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"

namespace weir::protocol::http {

struct Field {
    std::string_view name;   // as it was written
    std::string_view value;  // without the white space around it
};

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
    bool upgrade = false;  // Connection has "upgrade"

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
    bool keep_alive = true;
    bool upgrade = false;

    [[nodiscard]] std::string_view field(std::string_view name) const;
    [[nodiscard]] std::size_t count(std::string_view name) const;
};

// Length of the head at the start of `bytes`, the empty line included; 0 when it has not ended yet. `searched` is how
// many bytes an earlier call has looked at. Leading empty lines (RFC 9112 2.2) belong to the head of a request.
[[nodiscard]] std::size_t head_length(std::string_view bytes, std::size_t searched = 0);

// True when the bytes so far can't become a head any more (a control character, a first line that is no request line, a
// bare LF ...), so that nonsense is answered at once and not when the time is up. Optional to call; cheap.
[[nodiscard]] bool head_hopeless(std::string_view bytes);

// `head` is exactly what head_length counted. `out` is overwritten.
[[nodiscard]] Result<void> parse_request_head(std::string_view head, RequestHead& out);
// A response is framed by the request that it answers (RFC 9112 6.3).
[[nodiscard]] Result<void> parse_response_head(std::string_view head, std::string_view request_method,
                                               ResponseHead& out);

// Fields that end at this hop: RFC 9110 7.6.1, those that `Connection` names, and the obsolete ones.
[[nodiscard]] bool is_hop_by_hop(std::string_view name);
// True when the `Connection` fields among `fields` name it.
[[nodiscard]] bool named_by_connection(const std::vector<Field>& fields, std::string_view name);

// `value` of `Cookie` fields: the cookie `name`, or nullopt.
[[nodiscard]] std::optional<std::string_view> cookie(const std::vector<Field>& fields, std::string_view name);
// Value of a query parameter of a target, percent-decoded; nullopt when absent or badly escaped.
[[nodiscard]] std::optional<std::string> query_parameter(std::string_view target, std::string_view name);

}  // namespace weir::protocol::http
