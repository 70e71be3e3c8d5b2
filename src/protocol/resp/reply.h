// Replies of Redis and Valkey (RESP2), read from bytes as they come: over hiredis's reader, which parses, and whose
// sockets we leave alone.
//
//     +OK\r\n   -ERR text\r\n   :42\r\n   $5\r\nhello\r\n   $-1\r\n (nil)   *2\r\n... (array)   *-1\r\n (nil)
//
// RESP3 is not asked for (no HELLO 3), so its types are malformed here.
//
// Bounds. A store is ours, but what answers on its port may not be: a reply has at most kReplyBytesMax bytes (announced
// or received), kReplyElementsMax elements in all its arrays together and kReplyDepthMax arrays within each other. An
// array grows by what has arrived, never by what it announces.
//
// Pure. Not for two threads at once; two readers are independent.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::protocol::resp {

// The largest replies are those to CLUSTER SLOTS of a cluster whose 16384 slots lie scattered.
inline constexpr std::size_t kReplyBytesMax = 8 * 1024 * 1024;
inline constexpr std::size_t kReplyElementsMax = 512 * 1024;
inline constexpr std::size_t kReplyDepthMax = 7;  // what hiredis 0.14 has room for

struct Reply {
    enum class Kind : std::uint8_t { kStatus, kError, kInteger, kBulk, kNil, kArray };

    Kind kind = Kind::kNil;
    std::int64_t integer = 0;     // kInteger
    std::string text;             // kStatus, kError, kBulk
    std::vector<Reply> elements;  // kArray

    friend bool operator==(const Reply&, const Reply&) = default;
};

class ReplyReader {
  public:
    ReplyReader();
    ~ReplyReader();
    ReplyReader(const ReplyReader&) = delete;
    ReplyReader& operator=(const ReplyReader&) = delete;

    // More bytes of the stream; they are copied. After an error they are dropped.
    void feed(std::string_view bytes);

    // The next whole reply; nullopt when more bytes are needed. Call until then: a reader bounds a reply, its caller
    // how much it feeds before it asks. kMalformed or kTooLarge ends the stream: every later call gives the same error.
    [[nodiscard]] Result<std::optional<Reply>> next();

    // Forgets all: for a new connection.
    void reset();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::protocol::resp
