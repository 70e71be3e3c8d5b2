// The content of compressed messages (RFC 7692 7.2.2), for judging only: what is forwarded stays as it came.
//
// Each of the client's messages stands alone (client_no_context_takeover), so that one inflater serves every connection
// of a worker. The output is bounded by the caller's span: a message that would inflate beyond it is cut off there,
// never inflated further.
//
// All memory is taken at construction (48 KiB); messages allocate nothing. Not thread-safe: one for each worker. How a
// message is cut into calls changes nothing in what comes out. Between start_message and finish_message the inflater
// belongs to that message: a message that is looked at in pieces must not be interleaved with another.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"

namespace weir::protocol::ws {

class Inflater {
  public:
    Inflater();
    ~Inflater();
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    void start_message();

    struct Progress {
        std::size_t written = 0;
        bool full = false;  // the message has more than fits; what is behind is dropped, this and later calls'
    };
    // Inflates `compressed` (already unmasked) into `out`. After the last fragment's bytes call `finish_message`, which
    // supplies the 00 00 FF FF that the sender has cut off. `out` is the room that is left of the bound; it may be
    // empty. A message that fills it exactly is not `full`; one of no bytes at all is empty, as zlib's users read it.
    // kMalformed: not a deflate stream, or one that ends inside a block; the message's later calls answer the same.
    [[nodiscard]] Result<Progress> inflate(std::span<const std::uint8_t> compressed, std::span<std::uint8_t> out);
    [[nodiscard]] Result<Progress> finish_message(std::span<std::uint8_t> out);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::protocol::ws
