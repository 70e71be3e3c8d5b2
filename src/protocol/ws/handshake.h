// The opening handshake (RFC 6455 4) and the negotiation of permessage-deflate (RFC 7692 7.1), as a proxy in between
// sees them.
//
// Pure. Works on parsed heads.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/http/head.h"

namespace weir::protocol::ws {

// True when the head asks for a WebSocket at all (GET, Upgrade: websocket): the request then belongs to a WebSocket
// route's rules.
[[nodiscard]] bool wants_websocket(const http::RequestHead& head);

// Checks the rest: `Connection: upgrade`, version 13 (another one is kUnsupported: answered 426 with
// Sec-WebSocket-Version: 13; none at all is kMalformed), one key of 16 bytes in base64, HTTP/1.1, no body.
[[nodiscard]] Result<void> check_handshake(const http::RequestHead& head);

// base64(SHA-1(key + GUID)).
[[nodiscard]] std::string accept_key(std::string_view key);

// Sub-protocols offered, in order, over all fields.
[[nodiscard]] std::vector<std::string_view> offered_subprotocols(const std::vector<http::Field>& fields);

struct DeflateParameters {
    bool client_no_context_takeover = false;
    bool server_no_context_takeover = false;
    unsigned client_window_bits = 15;
    unsigned server_window_bits = 15;
};

// The offer that goes to the upstream: only the permessage-deflate elements of what the client sent, as they were
// written; empty when none is left (the field is then dropped). Other extensions are unknown here, and a frame they
// touch could not be judged.
[[nodiscard]] std::string filtered_extension_offer(const std::vector<http::Field>& fields);

// The same offer, asking the server to compress each of its messages by itself (server_no_context_takeover, RFC 7692
// 7.1.1.1), so that a proxy can read one without those before it. A server that accepts the offer says so in its
// answer, which a client takes whether it has asked or not.
[[nodiscard]] std::string without_server_context(std::string_view offer);

// What the upstream's 101 accepted. nullopt: no extension. kMalformed: an extension that was not offered, or parameters
// that RFC 7692 forbids. `offer` is what filtered_extension_offer gave; without one it is taken that permessage-deflate
// was offered, with everything that it knows. Extension names are compared with case, as browsers do.
[[nodiscard]] Result<std::optional<DeflateParameters>> accepted_deflate(
    const std::vector<http::Field>& response_fields, std::optional<std::string_view> offer = std::nullopt);

// The Sec-WebSocket-Extensions value that is relayed to the client: as the upstream wrote it, with
// client_no_context_takeover added when `drops_messages` and it is missing (RFC 7692 7.1.1.2), so that each of the
// client's messages stands alone.
[[nodiscard]] std::string relayed_extensions(const std::vector<http::Field>& response_fields, bool drops_messages);

// A 101 of our own, for a connection that is accepted only to be closed: no extension, the sub-protocol if not empty;
// `extra_fields` are whole lines.
[[nodiscard]] std::string switching_protocols(std::string_view key, std::string_view subprotocol,
                                              std::string_view extra_fields);

}  // namespace weir::protocol::ws
