#include "admin/pages.h"

#include <array>
#include <fmt/format.h>
#include <iterator>

#include "base/text.h"
#include "protocol/http/date.h"

namespace weir::admin {
namespace {

constexpr std::string_view kJson = "application/json";
constexpr std::string_view kPrometheus = "text/plain; version=0.0.4; charset=utf-8";

std::string_view reason_phrase(unsigned status) {
    switch (status) {
        case 200:
            return "OK";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 408:
            return "Request Timeout";
        case 413:
            return "Content Too Large";
        case 431:
            return "Request Header Fields Too Large";
        case 501:
            return "Not Implemented";
        case 503:
            return "Service Unavailable";
        default:
            return "Error";
    }
}

// The path of a target in origin or absolute form, without its query.
std::string_view path_of(std::string_view target) {
    if (const std::size_t scheme = target.find("://"); !target.starts_with('/') && scheme != std::string_view::npos) {
        const std::size_t path = target.find('/', scheme + 3);
        target = path == std::string_view::npos ? std::string_view("/") : target.substr(path);
    }
    return target.substr(0, target.find('?'));
}

// In a time that tells nothing of how much of the token was right.
bool same_secret(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    unsigned difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
    }
    return difference == 0;
}

bool has_token(const protocol::http::RequestHead& request, std::string_view bearer_token) {
    if (bearer_token.empty()) return true;
    const std::string_view field = request.field("authorization");
    const std::size_t space = field.find(' ');
    return space != std::string_view::npos && equals_ignoring_case(field.substr(0, space), "bearer") &&
           same_secret(trimmed(field.substr(space + 1)), bearer_token);
}

Page health_page(Control& control) {
    const Health health = control.health();
    if (health.alive) return {.body = "ok\n"};
    std::string body = "{\"status\":\"not alive\",\"detail\":\"";
    append_json_escaped(body, health.detail);
    body += "\"}\n";
    return {.status = 503, .content_type = kJson, .body = std::move(body)};
}

Page readiness_page(Control& control) {
    const Readiness readiness = control.readiness();
    if (readiness.ready && readiness.reasons.empty()) return {.body = "ready\n"};
    std::string body = fmt::format("{{\"status\":\"{}\",\"reasons\":[", readiness.ready ? "degraded" : "not ready");
    for (std::size_t i = 0; i < readiness.reasons.size(); ++i) {
        body += i == 0 ? "\"" : ",\"";
        append_json_escaped(body, readiness.reasons[i]);
        body += '"';
    }
    body += "]}\n";
    return {.status = readiness.ready ? 200U : 503U, .content_type = kJson, .body = std::move(body)};
}

Page metrics_page(Control& control) {
    return {.content_type = kPrometheus, .body = control.metrics_text()};
}

struct Route {
    std::string_view path;
    bool open;  // without the token: probes have none
    Page (*make)(Control&);
};
constexpr std::array<Route, 3> kRoutes{{
    {"/healthz", true, health_page},
    {"/readyz", true, readiness_page},
    {"/metrics", false, metrics_page},
}};

}  // namespace

Page page_for(const protocol::http::RequestHead& request, Control& control, std::string_view bearer_token) {
    const std::string_view path = path_of(request.target);
    for (const Route& route : kRoutes) {
        if (route.path != path) continue;
        if (request.method != "GET" && request.method != "HEAD") {
            Page page = error_page(405);
            page.extra_field = "Allow: GET, HEAD\r\n";
            return page;
        }
        if (!route.open && !has_token(request, bearer_token)) {
            Page page = error_page(401);
            page.extra_field = "WWW-Authenticate: Bearer realm=\"weir\"\r\n";
            return page;
        }
        return route.make(control);
    }
    return error_page(404);
}

Page error_page(unsigned status) {
    return {.status = status, .body = lowercased(reason_phrase(status)) + "\n"};
}

std::string response_text(const Page& page, Framing framing, WallTime now) {
    std::string out = fmt::format(
        "HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\n{}{}\r\n",
        page.status, reason_phrase(page.status), protocol::http::http_date(now), page.content_type, page.body.size(),
        page.extra_field, framing.keep_alive ? "" : "Connection: close\r\n");
    if (!framing.head_only) out += page.body;
    return out;
}

}  // namespace weir::admin
