#include "protocol/http/head.h"

#include <algorithm>

#include "base/text.h"
#include "protocol/http/field_judge.h"
#include "protocol/http/grammar.h"

namespace weir::protocol::http {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
// What other parsers, some of them with signed 64-bit lengths, surely agree on.
constexpr std::size_t kContentLengthDigitsMax = 18;

Error malformed(ErrorSource source, std::string_view detail) {
    return {.code = ErrorCode::kMalformed, .source = source, .detail = detail};
}
Error too_large(ErrorSource source, std::string_view detail) {
    return {.code = ErrorCode::kTooLarge, .source = source, .detail = detail};
}
Error unsupported(ErrorSource source, std::string_view detail) {
    return {.code = ErrorCode::kUnsupported, .source = source, .detail = detail};
}

std::size_t leading_empty_lines_length(std::string_view bytes) {
    std::size_t length = 0;
    while (length < kLeadingEmptyLinesMax * kLineEnd.size() && bytes.substr(length).starts_with(kLineEnd))
        length += kLineEnd.size();
    return length;
}

// Takes the first line off `rest`, its CRLF excluded from the result; nullopt when none ends, or a CR stands alone. A
// bare LF stays in the line, where no character class takes it.
std::optional<std::string_view> take_line(std::string_view& rest) {
    const std::size_t end = rest.find(kLineEnd.front());
    if (end == std::string_view::npos || !rest.substr(end).starts_with(kLineEnd)) return std::nullopt;
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end + kLineEnd.size());
    return line;
}

// 1 or 0. `malformed_detail`: what it is called when it is no version at all.
Result<unsigned> version_minor(std::string_view version, ErrorSource source, std::string_view malformed_detail) {
    if (version == "HTTP/1.1") return 1U;
    if (version == "HTTP/1.0") return 0U;
    const bool well_formed = version.size() == 8 && version.starts_with("HTTP/") && ascii_digit(version[5]) &&
                             version[6] == '.' && ascii_digit(version[7]);
    return well_formed ? unsupported(source, kVersionNotSupported) : malformed(source, malformed_detail);
}

// host [":" port]; an empty host is told apart by the callers.
bool is_host(std::string_view host) {
    if (!all_of(host, kHostChar)) return false;
    std::string_view port;
    if (host.starts_with('[')) {  // an IP literal holds colons
        const std::size_t end = host.find(']');
        if (end == std::string_view::npos || end == 1) return false;
        port = host.substr(end + 1);
        if (!port.empty() && port.front() != ':') return false;
        host = host.substr(1, end - 1);
        if (host.find('[') != std::string_view::npos) return false;
    } else {
        if (host.find_first_of("[]") != std::string_view::npos) return false;
        const std::size_t colon = host.find(':');
        if (colon == 0) return false;
        if (colon != std::string_view::npos) port = host.substr(colon);
    }
    if (port.empty()) return true;
    port.remove_prefix(1);
    return port.size() <= 5 && std::all_of(port.begin(), port.end(), ascii_digit);
}

// The authority of an absolute-form target; nullopt when it is not of that form.
std::optional<std::string_view> absolute_form_host(std::string_view target) {
    const std::size_t mark = target.find("://");
    if (mark == std::string_view::npos) return std::nullopt;
    const std::string_view scheme = target.substr(0, mark);
    const bool known = equals_ignoring_case(scheme, "http") || equals_ignoring_case(scheme, "https") ||
                       equals_ignoring_case(scheme, "ws") || equals_ignoring_case(scheme, "wss");
    if (!known) return std::nullopt;
    target.remove_prefix(mark + 3);
    const std::string_view host = target.substr(0, target.find_first_of("/?"));
    if (host.empty() || !is_host(host)) return std::nullopt;
    return host;
}

// Reads method, target and version. `out.host` becomes what the target says, if it does.
Result<void> parse_request_line(std::string_view line, RequestHead& out) {
    constexpr auto kSource = ErrorSource::kDownstream;
    const std::size_t method_end = line.find(' ');
    if (method_end == std::string_view::npos) return malformed(kSource, "a first line that is no request line");
    out.method = line.substr(0, method_end);
    if (!is_token(out.method)) return malformed(kSource, "a method that is no token");
    if (out.method.size() > kMethodBytesMax) return unsupported(kSource, "a method longer than any known");
    line.remove_prefix(method_end + 1);

    const std::size_t target_end = line.rfind(' ');
    if (target_end == std::string_view::npos) return malformed(kSource, "a request line without a version");
    out.target = line.substr(0, target_end);
    if (out.target.size() > kTargetBytesMax) return too_large(kSource, "a request target beyond its bound");
    if (out.target.empty() || !all_of(out.target, kTargetChar))
        return malformed(kSource, "a character that no request target may hold");

    const auto minor = version_minor(line.substr(target_end + 1), kSource, "a request line without a version");
    if (!minor) return minor.error();
    out.version_minor = *minor;

    if (out.method == "CONNECT") {
        const bool has_port = out.target.back() != ':' && out.target.find(':') != std::string_view::npos &&
                              ascii_digit(out.target.back());
        if (!is_host(out.target) || !has_port) return malformed(kSource, "CONNECT without host and port");
        out.host = out.target;
    } else if (out.target == "*") {
        if (out.method != "OPTIONS") return malformed(kSource, "the target * with a method other than OPTIONS");
    } else if (out.target.front() != '/') {
        const auto host = absolute_form_host(out.target);
        if (!host) return malformed(kSource, "a request target of no known form");
        out.host = *host;
    }
    return {};
}

Result<void> parse_status_line(std::string_view line, ResponseHead& out) {
    constexpr auto kSource = ErrorSource::kUpstream;
    constexpr std::size_t kVersionBytes = 8;
    constexpr std::size_t kStatusEnd = kVersionBytes + 4;
    if (line.size() < kStatusEnd || line[kVersionBytes] != ' ') return malformed(kSource, "no status line");
    const auto minor = version_minor(line.substr(0, kVersionBytes), kSource, "no status line");
    if (!minor) return minor.error();
    out.version_minor = *minor;
    const auto status = parse_decimal(line.substr(kVersionBytes + 1, 3));
    if (!status || *status < 100) return malformed(kSource, "a status that is no number from 100 to 999");
    out.status = static_cast<unsigned>(*status);
    // Servers leave out the space before an empty reason; nothing can be read two ways for that.
    if (line.size() == kStatusEnd) return {};
    if (line[kStatusEnd] != ' ') return malformed(kSource, "a status that is no number from 100 to 999");
    out.reason = line.substr(kStatusEnd + 1);
    if (!all_of(out.reason, kValueChar)) return malformed(kSource, "a control character in a reason phrase");
    return {};
}

// Splits the field section (what follows the start line, the empty line included) and asks the second judge.
Result<void> parse_fields(std::string_view section, JudgedKind kind, ErrorSource source, std::vector<Field>& fields) {
    std::string_view rest = section;
    for (;;) {
        const auto line = take_line(rest);
        if (!line) return malformed(source, "a bare CR or LF, or a head without an end");
        if (line->empty()) break;
        if (fields.size() == kHeaderFieldsMax) return too_large(source, "more header fields than the bound");
        const std::size_t colon = line->find(':');
        // An obs-fold or a space before the colon fails here too: neither is a token character.
        if (colon == std::string_view::npos || !is_token(line->substr(0, colon)))
            return malformed(source, "a field name that is no token");
        const std::string_view value = line->substr(colon + 1);
        if (!all_of(value, kValueChar)) return malformed(source, "a control character in a field value");
        fields.push_back({.name = line->substr(0, colon), .value = trimmed(value)});
    }
    if (!rest.empty()) return malformed(source, "bytes behind the end of the head");
    if (!second_judge_agrees(kind, section, fields.size()))
        return malformed(source, "a head that two parsers read differently");
    return {};
}

// "Content_Length" is another field here, and Content-Length itself to a backend that reads CGI variables.
bool folds_into_framing(std::string_view name) {
    const auto folds_into = [name](std::string_view wanted) {
        if (name.size() != wanted.size()) return false;
        for (std::size_t i = 0; i < name.size(); ++i) {
            const char c = name[i] == '_' ? '-' : ascii_lower(name[i]);
            if (c != wanted[i]) return false;
        }
        return name.find('_') != std::string_view::npos;
    };
    return folds_into("content-length") || folds_into("transfer-encoding");
}

struct Framing {
    bool has_length = false;
    bool chunked = false;
    std::uint64_t length = 0;
};

Result<Framing> framing_of(const std::vector<Field>& fields, unsigned version_minor, ErrorSource source) {
    Framing framing;
    for (const Field& field : fields) {
        if (equals_ignoring_case(field.name, "content-length")) {
            if (framing.has_length) return malformed(source, "Content-Length twice");
            const bool digits = std::all_of(field.value.begin(), field.value.end(), ascii_digit);
            const auto length = parse_decimal(field.value);
            if (!digits || !length || field.value.size() > kContentLengthDigitsMax)
                return malformed(source, "a Content-Length that is no number within the bound");
            framing.has_length = true;
            framing.length = *length;
        } else if (equals_ignoring_case(field.name, "transfer-encoding")) {
            if (framing.chunked) return malformed(source, "Transfer-Encoding twice");
            if (!equals_ignoring_case(field.value, "chunked"))
                return malformed(source, "a Transfer-Encoding other than chunked");
            if (version_minor == 0) return malformed(source, "Transfer-Encoding in HTTP/1.0");
            framing.chunked = true;
        } else if (folds_into_framing(field.name)) {
            return malformed(source, "a field name that folds into a framing field");
        }
    }
    if (framing.has_length && framing.chunked) return malformed(source, "Content-Length and Transfer-Encoding");
    return framing;
}

bool stays_open(const std::vector<Field>& fields, unsigned version_minor) {
    if (named_by_connection(fields, "close")) return false;
    return version_minor >= 1 || named_by_connection(fields, "keep-alive");
}

std::string_view first_value(const std::vector<Field>& fields, std::string_view name) {
    for (const Field& field : fields) {
        if (equals_ignoring_case(field.name, name)) return field.value;
    }
    return {};
}

std::size_t count_of(const std::vector<Field>& fields, std::string_view name) {
    return static_cast<std::size_t>(std::count_if(
        fields.begin(), fields.end(), [name](const Field& field) { return equals_ignoring_case(field.name, name); }));
}

Result<void> read_host(RequestHead& out) {
    constexpr auto kSource = ErrorSource::kDownstream;
    const std::size_t hosts = out.count("host");
    if (hosts > 1) return malformed(kSource, "Host twice");
    if (hosts == 0 && out.version_minor >= 1) return malformed(kSource, "no Host");
    const std::string_view named = out.field("host");
    if (!named.empty() && !is_host(named)) return malformed(kSource, "a Host that is no host and port");
    if (out.host.empty()) out.host = named;
    return {};
}

int hex_digit(char c) {
    if (ascii_digit(c)) return c - '0';
    const char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Calls `visit(byte)` for each decoded byte of a form component until it returns false. False when it did, or when the
// escapes are broken.
template <typename Visit>
bool decode_form_component(std::string_view text, Visit&& visit) {
    for (std::size_t i = 0; i < text.size(); ++i) {
        char c = text[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%') {
            if (i + 2 >= text.size()) return false;
            const int high = hex_digit(text[i + 1]);
            const int low = hex_digit(text[i + 2]);
            if (high < 0 || low < 0) return false;
            c = static_cast<char>(high * 16 + low);
            i += 2;
        }
        if (!visit(c)) return false;
    }
    return true;
}

bool decodes_to(std::string_view text, std::string_view wanted) {
    std::size_t matched = 0;
    const bool same = decode_form_component(text, [&](char c) {
        if (matched == wanted.size() || wanted[matched] != c) return false;
        ++matched;
        return true;
    });
    return same && matched == wanted.size();
}

// What is wrong already with a request line that may still be growing.
bool request_line_hopeless(std::string_view line, bool complete) {
    if (complete) {
        RequestHead scratch;
        const auto parsed = parse_request_line(line, scratch);
        return !parsed && parsed.error().code == ErrorCode::kMalformed;
    }
    line = line.substr(0, kMethodBytesMax + 1);  // so that a long line costs no more than a short one
    const std::size_t method_end = line.find(' ');
    return method_end == 0 || !all_of(line.substr(0, method_end), kTokenChar);
}

}  // namespace

std::string_view RequestHead::field(std::string_view name) const {
    return first_value(fields, name);
}
std::size_t RequestHead::count(std::string_view name) const {
    return count_of(fields, name);
}
std::string_view ResponseHead::field(std::string_view name) const {
    return first_value(fields, name);
}
std::size_t ResponseHead::count(std::string_view name) const {
    return count_of(fields, name);
}

std::size_t head_length(std::string_view bytes, std::size_t searched) {
    constexpr std::string_view kHeadEnd = "\r\n\r\n";
    const std::size_t start = leading_empty_lines_length(bytes);
    // One empty line too many is an (empty) request line, and ends what is to be refused.
    if (start == kLeadingEmptyLinesMax * kLineEnd.size() && bytes.substr(start).starts_with(kLineEnd))
        return start + kLineEnd.size();
    // The end may lie across the border of what was searched.
    const std::size_t overlap = kHeadEnd.size() - 1;
    const std::size_t from = std::max(start, searched > overlap ? searched - overlap : 0);
    const std::size_t end = bytes.find(kHeadEnd, from);
    return end == std::string_view::npos ? 0 : end + kHeadEnd.size();
}

bool head_hopeless(std::string_view bytes, std::size_t searched) {
    const std::size_t start = leading_empty_lines_length(bytes);
    if (const std::size_t length = head_length(bytes, searched); length != 0) bytes = bytes.substr(0, length);
    const std::string_view rest = bytes.substr(std::min(start, bytes.size()));

    const std::size_t line_end = rest.find('\r');
    const bool complete = line_end != std::string_view::npos;
    const bool half_an_empty_line = rest == "\r";
    const bool known = complete && line_end != 0 && searched > start + line_end;
    if (!half_an_empty_line && !known && request_line_hopeless(rest.substr(0, line_end), complete)) return true;

    // From the last byte that was searched, since a CR there has its LF only now.
    for (std::size_t i = searched > start ? searched - start - 1 : 0; i < rest.size(); ++i) {
        const char c = rest[i];
        if (c == '\r') {
            if (i + 1 < rest.size() && rest[i + 1] != '\n') return true;
        } else if (c == '\n') {
            if (i == 0 || rest[i - 1] != '\r') return true;
            if (i + 1 < rest.size() && (rest[i + 1] == ' ' || rest[i + 1] == '\t')) return true;  // obs-fold
        } else if (!is_of(c, kValueChar)) {
            return true;
        }
    }
    return false;
}

Result<void> parse_request_head(std::string_view head, RequestHead& out) {
    constexpr auto kSource = ErrorSource::kDownstream;
    std::vector<Field> fields = std::move(out.fields);  // keeps the capacity
    fields.clear();
    out = RequestHead{};
    out.fields = std::move(fields);

    if (head.size() > kHeaderBytesMax) return too_large(kSource, "a head beyond its bound");
    head.remove_prefix(leading_empty_lines_length(head));
    const auto line = take_line(head);
    if (!line) return malformed(kSource, "a bare CR or LF, or a head without an end");
    if (const auto parsed = parse_request_line(*line, out); !parsed) return parsed.error();
    if (const auto parsed = parse_fields(head, JudgedKind::kRequest, kSource, out.fields); !parsed)
        return parsed.error();
    if (const auto read = read_host(out); !read) return read.error();

    const auto framing = framing_of(out.fields, out.version_minor, kSource);
    if (!framing) return framing.error();
    if (framing->chunked) {
        out.framing = BodyFraming::kChunked;
    } else if (framing->has_length) {
        out.framing = BodyFraming::kLength;
        out.content_length = framing->length;
    }
    out.keep_alive = stays_open(out.fields, out.version_minor);
    // HTTP/1.0 knows neither (RFC 9110 7.8, 10.1.1).
    if (out.version_minor >= 1) {
        out.upgrade = named_by_connection(out.fields, "upgrade");
        out.expects_continue = equals_ignoring_case(out.field("expect"), "100-continue");
    }
    return {};
}

Result<void> parse_response_head(std::string_view head, std::string_view request_method, ResponseHead& out) {
    constexpr auto kSource = ErrorSource::kUpstream;
    std::vector<Field> fields = std::move(out.fields);  // keeps the capacity
    fields.clear();
    out = ResponseHead{};
    out.fields = std::move(fields);

    if (head.size() > kHeaderBytesMax) return too_large(kSource, "a head beyond its bound");
    const auto line = take_line(head);
    if (!line) return malformed(kSource, "a bare CR or LF, or a head without an end");
    if (const auto parsed = parse_status_line(*line, out); !parsed) return parsed.error();
    if (const auto parsed = parse_fields(head, JudgedKind::kResponse, kSource, out.fields); !parsed)
        return parsed.error();

    const auto framing = framing_of(out.fields, out.version_minor, kSource);
    if (!framing) return framing.error();
    out.keep_alive = stays_open(out.fields, out.version_minor);
    out.upgrade = out.status == 101 && named_by_connection(out.fields, "upgrade");

    const bool tunnel = request_method == "CONNECT" && out.status >= 200 && out.status < 300;
    const bool bodiless = out.status < 200 || out.status == 204 || out.status == 304 || request_method == "HEAD";
    if (tunnel || bodiless) {
        out.framing = BodyFraming::kNone;  // whatever the fields say (RFC 9112 6.3, rules 1 and 2)
        if (framing->has_length && !tunnel) out.content_length = framing->length;
    } else if (framing->chunked) {
        out.framing = BodyFraming::kChunked;
    } else if (framing->has_length) {
        out.framing = BodyFraming::kLength;
        out.content_length = framing->length;
    } else {
        out.framing = BodyFraming::kUntilClose;
        out.keep_alive = false;
    }
    return {};
}

bool is_hop_by_hop(std::string_view name) {
    constexpr std::string_view kNames[] = {
        "connection",     "keep-alive",         "proxy-connection",   "te", "transfer-encoding", "upgrade", "trailer",
        "http2-settings", "proxy-authenticate", "proxy-authorization"};
    return std::any_of(std::begin(kNames), std::end(kNames),
                       [name](std::string_view known) { return equals_ignoring_case(name, known); });
}

bool named_by_connection(const std::vector<Field>& fields, std::string_view name) {
    return std::any_of(fields.begin(), fields.end(), [name](const Field& field) {
        return equals_ignoring_case(field.name, "connection") && list_has_token(field.value, name);
    });
}

namespace {

// Calls `visit(value)` for each cookie of that name, until it returns false.
template <typename Visit>
void for_each_cookie(const std::vector<Field>& fields, std::string_view name, Visit&& visit) {
    for (const Field& field : fields) {
        if (!equals_ignoring_case(field.name, "cookie")) continue;
        std::string_view rest = field.value;
        while (!rest.empty()) {
            const std::size_t end = rest.find(';');
            const std::string_view pair = rest.substr(0, end);
            rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
            const std::size_t equals = pair.find('=');
            if (equals == std::string_view::npos || trimmed(pair.substr(0, equals)) != name) continue;
            if (!visit(trimmed(pair.substr(equals + 1)))) return;
        }
    }
}

// Calls `visit(pair)` for each query parameter of that name, until it returns false.
template <typename Visit>
void for_each_query_pair(std::string_view target, std::string_view name, Visit&& visit) {
    const std::size_t mark = target.find('?');
    if (mark == std::string_view::npos) return;
    std::string_view rest = target.substr(mark + 1);
    while (!rest.empty()) {
        const std::size_t end = rest.find('&');
        const std::string_view pair = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        if (decodes_to(pair.substr(0, pair.find('=')), name) && !visit(pair)) return;
    }
}

// Of a pair "NAME=VALUE"; nullopt when it is badly escaped.
std::optional<std::string> value_of(std::string_view pair) {
    const std::size_t equals = pair.find('=');
    std::string value;
    if (equals == std::string_view::npos) return value;
    const bool well_formed = decode_form_component(pair.substr(equals + 1), [&value](char c) {
        value.push_back(c);
        return true;
    });
    return well_formed ? std::optional(std::move(value)) : std::nullopt;
}

}  // namespace

std::optional<std::string_view> cookie(const std::vector<Field>& fields, std::string_view name) {
    std::optional<std::string_view> first;
    for_each_cookie(fields, name, [&](std::string_view value) {
        first = value;
        return false;
    });
    return first;
}

bool cookie_is_ambiguous(const std::vector<Field>& fields, std::string_view name) {
    std::optional<std::string_view> first;
    bool differs = false;
    for_each_cookie(fields, name, [&](std::string_view value) {
        if (!first) first = value;
        differs = value != *first;
        return !differs;
    });
    return differs;
}

std::vector<std::string_view> cookies(const std::vector<Field>& fields, std::string_view name) {
    std::vector<std::string_view> found;
    for_each_cookie(fields, name, [&](std::string_view value) {
        found.push_back(value);
        return true;
    });
    return found;
}

std::optional<std::string> query_parameter(std::string_view target, std::string_view name) {
    std::optional<std::string> first;
    for_each_query_pair(target, name, [&](std::string_view pair) {
        first = value_of(pair);
        return false;
    });
    return first;
}

bool query_parameter_is_ambiguous(std::string_view target, std::string_view name) {
    std::optional<std::string> first;
    bool any = false;
    bool differs = false;
    for_each_query_pair(target, name, [&](std::string_view pair) {
        auto value = value_of(pair);
        differs = any && (!value || !first || *value != *first);
        if (!any) first = std::move(value);
        any = true;
        return !differs;
    });
    return differs;
}

std::vector<std::string_view> query_pairs(std::string_view target, std::string_view name) {
    std::vector<std::string_view> found;
    for_each_query_pair(target, name, [&](std::string_view pair) {
        found.push_back(pair);
        return true;
    });
    return found;
}

}  // namespace weir::protocol::http
