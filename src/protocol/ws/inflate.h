// The content of compressed messages (RFC 7692 7.2.2), for judging only: what is forwarded stays as it came.
//
// Each of the client's messages stands alone (client_no_context_takeover), so that one inflater serves every connection
// of a worker. The output is bounded by the caller's span: a message that would inflate beyond it is cut off there,
// never inflated further.
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
        bool full = false;  // `out` is full and the message has, or may have, more
    };
    // Inflates `compressed` (already unmasked) into `out`. After the last fragment's bytes call `finish_message`, which
    // supplies the 00 00 FF FF that the sender has cut off. kMalformed: not a deflate stream.
    [[nodiscard]] Result<Progress> inflate(std::span<const std::uint8_t> compressed, std::span<std::uint8_t> out);
    [[nodiscard]] Result<Progress> finish_message(std::span<std::uint8_t> out);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::protocol::ws
