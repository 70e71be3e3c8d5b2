// A backend's bytes on their way to a WebSocket client: walked for boundaries only, so that a message of Weir's own
// never lands inside a frame or between the fragments of a message. Bytes go on as they came.
//
// A backend that breaks the framing makes the stream opaque: its bytes still pass, nothing is ever put between them
// again.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "base/limits.h"

namespace weir::gateway {

class ServerStream {
  public:
    explicit ServerStream(bool compressed) : compressed_(compressed) {}

    // Walks `bytes` up to the next message boundary (its end included) or, when `stop_at_boundary` is false, to their
    // end. Returns the number of bytes walked. At a boundary already it still walks on.
    std::size_t walk(std::span<const std::uint8_t> bytes, bool stop_at_boundary);

    [[nodiscard]] bool at_message_boundary() const { return !opaque_ && !in_message_ && at_frame_boundary(); }
    [[nodiscard]] bool at_frame_boundary() const { return !opaque_ && payload_left_ == 0 && header_have_ == 0; }
    [[nodiscard]] bool close_seen() const { return close_seen_ && payload_left_ == 0; }  // the whole frame
    [[nodiscard]] bool opaque() const { return opaque_; }
    [[nodiscard]] std::uint64_t messages() const { return messages_; }  // data messages that ended

  private:
    std::array<std::uint8_t, kFrameHeaderBytesMax> header_{};
    std::uint8_t header_have_ = 0;
    bool compressed_ = false;
    bool in_message_ = false;
    bool opaque_ = false;
    bool close_seen_ = false;
    std::uint64_t payload_left_ = 0;
    std::uint64_t messages_ = 0;
};

}  // namespace weir::gateway
