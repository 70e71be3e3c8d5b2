// One request and its response on their way through: what must be remembered between two pieces of either.
//
// Lives from the end of a request's head to the end of its response; a WebSocket keeps none.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "gateway/admission.h"
#include "gateway/byte_budget.h"
#include "gateway/upstream_pool.h"
#include "identity/identity.h"
#include "protocol/graphql/request.h"
#include "protocol/http/body.h"
#include "protocol/multipart/graphql_upload.h"

namespace weir::gateway {

// Why a request's body is read before the request is admitted.
enum class Inspection : std::uint8_t { kNone, kGraphql, kCalls, kLength };
// A body whose length alone is asked for, where the route sets no bound.
inline constexpr std::uint64_t kHeldLengthMax = 1024 * 1024;

struct Exchange {
    std::shared_ptr<const Snapshot> snapshot;
    const RouteRuntime* route = nullptr;
    identity::Identified who;
    std::optional<Hash128> lookup_key;  // while an answer about the caller is waited for
    CallerPlan plan;
    std::uint64_t connection_id = 0;

    std::string method;
    bool http10 = false;
    bool keep_alive = true;
    bool websocket = false;
    bool idempotent = false;  // may be sent again on another connection (RFC 9110 9.2.2)
    std::string key;          // Sec-WebSocket-Key
    std::string subprotocol;  // what a 101 of our own selects
    std::string rate_limit_fields;
    std::string cors_fields;
    std::string limited_groups;  // `on_limit: mark` let it pass

    std::string upstream_head;
    AddressRef address;
    std::uint64_t tried = 0;
    bool pooled = false;  // the upstream connection has served another request before
    bool retried = false;
    ErrorCode last_error = ErrorCode::kUnreachable;

    protocol::http::BodyFraming request_framing = protocol::http::BodyFraming::kNone;
    protocol::http::BodyReader request_body;
    std::uint64_t body_bytes = 0;  // of it, so far
    bool request_done = false;

    Inspection inspection = Inspection::kNone;
    protocol::graphql::BodyKind graphql_body = protocol::graphql::BodyKind::kJson;
    std::unique_ptr<protocol::multipart::GraphqlUpload> upload;
    ByteBudget::Share held_share;   // of what all requests hold
    std::string held_body;          // content that came before the request was admitted
    std::uint64_t held_max = 0;     // of it
    std::size_t batch_answers = 0;  // a batch of so many GraphQL requests; 0: no batch

    std::string response_head;
    protocol::http::BodyReader response_body;
    bool body_until_close = false;  // the end of the connection is the end of what the client gets
    bool chunk_body = false;        // we write chunks, as the upstream's body has no length
    bool response_begun = false;
    bool upstream_keep_alive = false;
    bool upstream_full = false;  // above the high watermark
    bool downstream_full = false;
};

}  // namespace weir::gateway
