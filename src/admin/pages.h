// What the admin interface answers to a request: paths, methods, status, body. Nothing of sockets.
//
//   GET, HEAD /healthz   200 "ok\n", or 503
//   GET, HEAD /readyz    200 "ready\n"; 200 with JSON when degraded; 503 with JSON when not ready
//   GET, HEAD /metrics   200 Prometheus text; behind the bearer token, when one is set
//
// Any other path is 404, any other method 405. Fields: RFC 9110; the bearer token: RFC 6750.
#pragma once

#include <string>
#include <string_view>

#include "admin/control.h"
#include "base/clock.h"
#include "protocol/http/head.h"

namespace weir::admin {

struct Page {
    unsigned status = 200;
    std::string_view content_type = "text/plain; charset=utf-8";
    std::string body = {};
    std::string_view extra_field = {};  // a whole line with its CRLF, or empty
};

// `bearer_token`: empty when none is asked for.
[[nodiscard]] Page page_for(const protocol::http::RequestHead& request, Control& control,
                            std::string_view bearer_token);

// For a request that could not be read or served.
[[nodiscard]] Page error_page(unsigned status);

struct Framing {
    bool keep_alive = true;
    bool head_only = false;  // the request was HEAD
};
// The whole response as it goes on the wire.
[[nodiscard]] std::string response_text(const Page& page, Framing framing, WallTime now);

}  // namespace weir::admin
