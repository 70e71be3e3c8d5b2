#include "gateway/head_writer.h"

#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <iterator>

#include "base/text.h"
#include "protocol/forwarded/forwarded.h"

namespace weir::gateway {

namespace http = protocol::http;

namespace {

void append_field(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ").append(value).append("\r\n");
}

// Fields that Weir writes itself, under any spelling that an upstream folds; `Connection` can't be made to name them
// away.
bool is_ours(std::string_view name) {
    for (const std::string_view ours : {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-weir-limited"}) {
        if (equals_folded(name, ours)) return true;
    }
    return false;
}

// What a stranger says about where he comes from would be believed by an upstream that trusts its proxy. A trusted
// proxy writes the name as it is registered; another spelling went through it from a stranger.
bool is_unbelievable(std::string_view name, bool peer_trusted) {
    for (const std::string_view provenance : {"forwarded", "x-real-ip"}) {
        if (equals_folded(name, provenance)) return !peer_trusted || !equals_ignoring_case(name, provenance);
    }
    return false;
}

bool is_rate_limit_field(std::string_view name) {
    for (const std::string_view ours :
         {"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit", "ratelimit-policy"}) {
        if (equals_ignoring_case(name, ours)) return true;
    }
    return false;
}

// An identity that a trusted proxy names twice is not believed here, and must not be there.
bool is_said_twice(const http::RequestHead& request, std::string_view name, const ForwardedFacts& facts) {
    const auto& names = facts.identifier->options().trusted_headers;
    if (!names || !(equals_ignoring_case(name, names->user) || equals_ignoring_case(name, names->tier))) return false;
    return request.count(name) > 1;
}

// The client's address, then the proxies behind it: what stands to the left of the client is only its own word and does
// not travel.
std::string forwarded_for(const http::RequestHead& request, const ForwardedFacts& facts) {
    const policy::Caller& caller = facts.who->caller;
    std::string value = caller.address_known ? caller.address.to_string() : "unknown";
    if (facts.who->peer_trusted) {
        std::vector<std::string_view> lines;
        for (const http::Field& field : request.fields) {
            if (equals_ignoring_case(field.name, "x-forwarded-for")) lines.push_back(field.value);
        }
        const auto nearest_first = protocol::forwarded::x_forwarded_for(lines);
        std::size_t client = 0;
        while (client < nearest_first.size() && nearest_first[client] != caller.address) ++client;
        for (std::size_t i = client < nearest_first.size() ? client : 0; i > 0; --i) {
            if (nearest_first[i - 1]) value += ", " + nearest_first[i - 1]->to_string();
        }
    }
    if (!facts.peer_address.empty() && facts.peer_address != value) value.append(", ").append(facts.peer_address);
    return value;
}

}  // namespace

std::string upstream_request_head(const http::RequestHead& request, const ForwardedFacts& facts) {
    std::string out;
    out.reserve(1024);
    out.append(request.method).append(" ").append(request.target).append(" HTTP/1.1\r\n");
    const bool trusted = facts.who->peer_trusted;
    const bool connection_names_some = request.count("connection") > 0;
    for (const http::Field& field : request.fields) {
        if (is_ours(field.name) || http::is_hop_by_hop(field.name)) continue;
        if (is_unbelievable(field.name, trusted)) continue;
        if (facts.identifier->strip_field(field.name, trusted) || is_said_twice(request, field.name, facts)) continue;
        if (equals_ignoring_case(field.name, "sec-websocket-extensions")) continue;
        if (facts.body_is_here && equals_ignoring_case(field.name, "expect")) continue;
        // A body is framed anew, so its length stays ours to say.
        if (equals_ignoring_case(field.name, "content-length")) continue;
        if (connection_names_some && !equals_ignoring_case(field.name, "host") &&
            http::named_by_connection(request.fields, field.name)) {
            continue;
        }
        append_field(out, field.name, field.value);
    }
    if (request.framing == http::BodyFraming::kLength) {
        fmt::format_to(std::back_inserter(out), "Content-Length: {}\r\n", request.content_length);
    } else if (request.framing == http::BodyFraming::kChunked) {
        out.append("Transfer-Encoding: chunked\r\n");
    } else if (request.count("content-length") > 0) {
        out.append("Content-Length: 0\r\n");
    }
    if (request.count("host") == 0) append_field(out, "Host", request.host.empty() ? facts.default_host : request.host);
    append_field(out, "X-Forwarded-For", forwarded_for(request, facts));
    const std::string_view proto = trusted ? request.field("x-forwarded-proto") : std::string_view{};
    append_field(out, "X-Forwarded-Proto", proto.empty() ? (facts.secure ? "https" : "http") : proto);
    const std::string_view host = trusted ? request.field("x-forwarded-host") : std::string_view{};
    if (!host.empty() || !request.host.empty())
        append_field(out, "X-Forwarded-Host", host.empty() ? request.host : host);
    if (!facts.limited_groups.empty()) append_field(out, "X-Weir-Limited", facts.limited_groups);
    if (facts.websocket) {
        out.append("Connection: Upgrade\r\nUpgrade: websocket\r\n");
        if (!facts.extension_offer.empty()) append_field(out, "Sec-WebSocket-Extensions", facts.extension_offer);
    }
    out.append("\r\n");
    return out;
}

std::string downstream_response_head(const http::ResponseHead& response, const ResponseFacts& facts) {
    std::string out;
    out.reserve(1024);
    fmt::format_to(std::back_inserter(out), "HTTP/1.1 {} {}\r\n", response.status, response.reason);
    const bool connection_names_some = response.count("connection") > 0;
    for (const http::Field& field : response.fields) {
        if (http::is_hop_by_hop(field.name)) continue;
        if (connection_names_some && !equals_ignoring_case(field.name, "content-length") &&
            http::named_by_connection(response.fields, field.name)) {
            continue;
        }
        if (!facts.rate_limit_fields.empty() && is_rate_limit_field(field.name)) continue;
        append_field(out, field.name, field.value);
    }
    if (!facts.interim) {
        if (facts.chunk_body) out.append("Transfer-Encoding: chunked\r\n");
        out.append(facts.rate_limit_fields);
        if (!facts.keep_alive) {
            out.append("Connection: close\r\n");
        } else if (facts.client_is_http10) {
            out.append("Connection: keep-alive\r\n");
        }
    }
    out.append("\r\n");
    return out;
}

std::string downstream_switching_head(const http::ResponseHead& response, std::string_view extensions,
                                      std::string_view rate_limit_fields) {
    std::string out = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    for (const http::Field& field : response.fields) {
        if (http::is_hop_by_hop(field.name) || equals_ignoring_case(field.name, "sec-websocket-extensions")) continue;
        if (equals_ignoring_case(field.name, "content-length")) continue;
        if (!rate_limit_fields.empty() && is_rate_limit_field(field.name)) continue;
        append_field(out, field.name, field.value);
    }
    if (!extensions.empty()) append_field(out, "Sec-WebSocket-Extensions", extensions);
    out.append(rate_limit_fields).append("\r\n");
    return out;
}

std::string cors_fields(const std::vector<std::string>& origins, const http::RequestHead& request) {
    const std::string_view origin = request.field("origin");
    if (origin.empty()) return {};
    const bool named = std::find(origins.begin(), origins.end(), origin) != origins.end();
    if (!named && std::find(origins.begin(), origins.end(), "*") == origins.end()) return {};
    std::string fields = "Access-Control-Allow-Origin: ";
    fields.append(named ? origin : "*").append("\r\n");
    if (named) fields.append("Access-Control-Allow-Credentials: true\r\n");
    fields.append(
        "Access-Control-Expose-Headers: RateLimit, RateLimit-Policy, Retry-After, X-RateLimit-Limit, "
        "X-RateLimit-Remaining, X-RateLimit-Reset\r\nVary: Origin\r\n");
    return fields;
}

std::string_view reason_phrase(unsigned status) {
    struct Row {
        unsigned status;
        std::string_view phrase;
    };
    static constexpr std::array<Row, 17> kRows{{{400, "Bad Request"},
                                                {401, "Unauthorized"},
                                                {403, "Forbidden"},
                                                {404, "Not Found"},
                                                {405, "Method Not Allowed"},
                                                {408, "Request Timeout"},
                                                {413, "Content Too Large"},
                                                {414, "URI Too Long"},
                                                {415, "Unsupported Media Type"},
                                                {426, "Upgrade Required"},
                                                {429, "Too Many Requests"},
                                                {431, "Request Header Fields Too Large"},
                                                {500, "Internal Server Error"},
                                                {501, "Not Implemented"},
                                                {502, "Bad Gateway"},
                                                {503, "Service Unavailable"},
                                                {504, "Gateway Timeout"}}};
    for (const Row& row : kRows) {
        if (row.status == status) return row.phrase;
    }
    return status == 505 ? "HTTP Version Not Supported" : "Error";
}

std::string own_answer(const OwnAnswer& answer) {
    std::string out =
        fmt::format("HTTP/1.1 {} {}\r\n{}{}{}Content-Type: {}\r\nContent-Length: {}\r\nServer: weir\r\n{}{}\r\n",
                    answer.status, reason_phrase(answer.status), answer.date.empty() ? "" : "Date: ", answer.date,
                    answer.date.empty() ? "" : "\r\n", answer.content_type, answer.body.size(), answer.extra_fields,
                    answer.keep_alive ? "" : "Connection: close\r\n");
    if (!answer.head_request) out.append(answer.body);
    return out;
}

}  // namespace weir::gateway
