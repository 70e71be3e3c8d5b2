// From a JSON-RPC 2.0 body (MCP speaks it too) to its calls: what kind each is, which method, and which tool, prompt or
// resource it names. Sources: the JSON-RPC 2.0 specification; MCP 2025-06-18, and 2025-03-26 for batches.
//
// A body is counted by what its reader will run, and readers differ. So a body has one of three outcomes:
// * `Calls`: every reader that follows RFC 8259 sees these calls, and so do those without regard to the case of names.
// * `Unjudgeable`: readers may see different calls, or only a lenient one sees any: a member of interest (jsonrpc, id,
//   method, params, result, error, and the name or uri that the method asks for) twice with different values (or with
//   objects or arrays, which are not compared), or under a name that differs in case alone; a method or a name that is
//   an array or a number (as a key of a JavaScript object it turns into a string); a NUL in a name, where readers in C
//   stop; a batch within a batch; nesting beyond kJsonDepthMax; a byte order mark; text that policy/lenient_json.h does
//   not trust. It counts under the strictest limit of its route, for as many calls as it may hold.
// * `Refused`: no JSON at all, or a batch beyond its bound; it reaches nobody.
//
// Names are compared and returned with their escapes resolved. What a call counts as, by its shape:
//   method and no id       kNotification
//   method and id          kRequest; null, which the specification discourages, and values that no id may have count
//   too no method, but a result or an error    kResponse anything else          kInvalid: an empty batch, an element
//   that is no object; a server answers it with an error
// A server of plain JSON-RPC runs a notification as it runs a request, without an answer. A caller could leave out the
// id to go uncounted, so that only `is_mcp_notification` may be exempt: MCP's notifications have a method that begins
// with "notifications/". Everything else with a method counts.
//
// Pure. A reader is one worker's scratch: not thread-safe, and its results live until it reads again. Reading allocates
// only when a body is larger than all before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <variant>

#include "base/result.h"

namespace weir::protocol::jsonrpc {

// A batch of more calls is refused.
inline constexpr std::size_t kBatchCallsMax = 256;
// An id that is written longer is answered with null.
inline constexpr std::size_t kIdBytesMax = 256;

enum class CallKind : std::uint8_t { kRequest, kNotification, kResponse, kInvalid };

struct Call {
    CallKind kind = CallKind::kInvalid;
    // As it was written, to be copied into an answer: a string or number of valid JSON of at most kIdBytesMax bytes,
    // else "null". A view into the body.
    std::string_view id_json = "null";
    std::string_view method = {};  // a view into the reader, as is `name`
    // tools/call and prompts/get: params.name; resources/read, subscribe and unsubscribe: params.uri. Absent for other
    // methods, and where the caller left it out or wrote null.
    std::optional<std::string_view> name = std::nullopt;
};

[[nodiscard]] inline bool is_mcp_notification(const Call& call) {
    return call.kind == CallKind::kNotification && call.method.starts_with("notifications/");
}

struct Calls {
    std::span<const Call> list;  // never empty
    bool batch = false;          // an array: so is its answer
};

struct Unjudgeable {
    std::string_view reason;     // static text
    std::size_t calls_most = 1;  // no reader sees more calls, by the count of objects; at least 1
};

struct Refused {
    Error error;
    std::size_t position = 0;  // where an object or an array was expected
};

using Message = std::variant<Calls, Unjudgeable, Refused>;

class MessageReader {
  public:
    MessageReader();
    ~MessageReader();
    MessageReader(const MessageReader&) = delete;
    MessageReader& operator=(const MessageReader&) = delete;

    // `body` is complete and has at least policy::kJsonPadding readable bytes behind. The result is a view into it and
    // into the reader.
    [[nodiscard]] Message read(std::string_view body);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::protocol::jsonrpc
