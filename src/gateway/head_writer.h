// Message heads as they travel on: what a proxy must take away, what it adds, and our own answers (RFC 9110 7.6, RFC
// 9112 3.2).
//
// Pure: strings in, strings out.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "identity/identity.h"
#include "protocol/http/head.h"

namespace weir::gateway {

struct ForwardedFacts {
    const identity::Identifier* identifier = nullptr;
    const identity::Identified* who = nullptr;
    std::string_view peer_address;     // text of the TCP peer's address; empty for a Unix socket
    std::string_view default_host;     // for a client that names none (HTTP/1.0)
    bool secure = false;               // the client speaks TLS with us
    bool websocket = false;            // keep the upgrade
    std::string_view extension_offer;  // Sec-WebSocket-Extensions that go on; empty: none
    std::string_view limited_groups;   // X-Weir-Limited, for `on_limit: mark`; empty: not limited
    bool body_is_here = false;         // the client was told to go on already: Expect does not travel
};

// The head that goes to the upstream: the target as it came, end-to-end fields in order, then what Weir says about the
// client.
[[nodiscard]] std::string upstream_request_head(const protocol::http::RequestHead& request,
                                                const ForwardedFacts& facts);

struct ResponseFacts {
    std::string_view rate_limit_fields;  // whole lines
    bool keep_alive = true;              // towards the client
    bool client_is_http10 = false;
    bool chunk_body = false;  // the body is written in chunks by us
    bool interim = false;     // 1xx: nothing is added
};

// The head that goes to the client.
[[nodiscard]] std::string downstream_response_head(const protocol::http::ResponseHead& response,
                                                   const ResponseFacts& facts);

// The 101 that goes to the client, with the extensions as negotiated.
[[nodiscard]] std::string downstream_switching_head(const protocol::http::ResponseHead& response,
                                                    std::string_view extensions, std::string_view rate_limit_fields);

// CORS lines that let a page of one of `origins` read an answer of Weir's own; empty for another origin or none. "*" is
// any page, without its credentials (Fetch 3.2.5).
[[nodiscard]] std::string cors_fields(const std::vector<std::string>& origins,
                                      const protocol::http::RequestHead& request);

struct OwnAnswer {
    unsigned status = 500;
    std::string_view date = {};  // as HTTP writes it (RFC 9110 6.6.1); empty: no clock
    std::string_view content_type = "text/plain; charset=utf-8";
    std::string_view body;
    std::string_view extra_fields;  // whole lines
    bool keep_alive = false;
    bool head_request = false;  // no body is sent, its length is
};
[[nodiscard]] std::string own_answer(const OwnAnswer& answer);
[[nodiscard]] std::string_view reason_phrase(unsigned status);

}  // namespace weir::gateway
