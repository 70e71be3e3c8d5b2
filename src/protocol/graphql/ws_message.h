// Messages of GraphQL inside a WebSocket: which one starts an operation, which one ends it, and under which id.
//
// Sources: the protocol "graphql-transport-ws" (PROTOCOL.md of the npm package graphql-ws): subscribe, next, error,
// complete. The older "graphql-ws" (PROTOCOL.md of subscriptions-transport-ws): start, stop, data, error, complete.
// Their types do not overlap where an operation starts, so that both are known whichever was negotiated: a server that
// speaks both may not ask, either.
//
// What a message is follows from the members type, id and payload. As with JSON-RPC (jsonrpc/message.h), where readers
// may disagree about them, or where only a lenient one sees any, the message can't be judged. The payload is a
// GraphQL request as over HTTP, and is read by RequestReader.
//
// Pure. A reader is one worker's scratch: not thread-safe, and its results live until it reads again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

namespace weir::protocol::graphql {

enum class WsDialect : std::uint8_t { kTransport, kLegacy };

// A longer id, as it is written, is none.
inline constexpr std::size_t kWsIdBytesMax = 256;

enum class WsMessageKind : std::uint8_t {
    kOther,       // ping, connection_init, ...; or no JSON object at all
    kOperation,   // of a client: subscribe, start
    kEnd,         // of a client: complete, stop. Of a server: complete, error
    kUnjudgeable  // it may be an operation
};

struct WsMessage {
    WsMessageKind kind = WsMessageKind::kOther;
    WsDialect dialect = WsDialect::kTransport;  // of a client's kOperation and kEnd: by its type
    // As it was written, to be copied into an answer: a string or number of at most kWsIdBytesMax bytes, else empty.
    std::string_view id_json = {};
    // Equal for ids that every reader takes for the same: a string behind a quote, a number as it was written.
    std::string_view id_key = {};
    std::string_view payload_json = {};  // as it was written; empty when there is none
    std::string_view reason = {};        // of kUnjudgeable, static text
};

class WsMessageReader {
  public:
    WsMessageReader();
    ~WsMessageReader();
    WsMessageReader(const WsMessageReader&) = delete;
    WsMessageReader& operator=(const WsMessageReader&) = delete;

    // `text` is complete and has at least policy::kJsonPadding readable bytes behind. The result is a view into it and
    // into the reader.
    [[nodiscard]] WsMessage read_client(std::string_view text);
    // Servers are believed: what of theirs can't be judged is kOther.
    [[nodiscard]] WsMessage read_server(std::string_view text);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::protocol::graphql
