// A backend's bytes on their way to a WebSocket client: walked for boundaries only, so that a message of Weir's own
// never lands inside a frame or between the fragments of a message. Bytes go on as they came.
//
// A backend that breaks the framing makes the stream opaque: its bytes still pass, nothing is ever put between them
// again.
//
// Whoever wants to know what the backend says is shown its messages as they pass, from the next one on that begins.
// What lies in pieces is copied for that, up to kShownBytesMax; of longer messages nothing is shown. Nothing is
// delayed.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/limits.h"

namespace weir::gateway {

// A longer message of a backend is not shown.
inline constexpr std::size_t kShownBytesMax = 64 * 1024;

class ServerMessageSink {
  public:
    // A whole data message: the payload of its fragments, still compressed when it came so.
    virtual void on_server_message(std::span<const std::uint8_t> payload, bool compressed) = 0;

  protected:
    ~ServerMessageSink() = default;
};

class ServerStream {
  public:
    explicit ServerStream(bool compressed) : compressed_(compressed) {}

    // Walks `bytes` up to the next message boundary (its end included) or, when `stop_at_boundary` is false, to their
    // end. Returns the number of bytes walked. At a boundary already it still walks on. `sink` is shown the messages
    // that end there, if it was given since they began.
    std::size_t walk(std::span<const std::uint8_t> bytes, bool stop_at_boundary, ServerMessageSink* sink = nullptr);

    [[nodiscard]] bool at_message_boundary() const { return !opaque_ && !in_message_ && at_frame_boundary(); }
    [[nodiscard]] bool at_frame_boundary() const { return !opaque_ && payload_left_ == 0 && header_have_ == 0; }
    [[nodiscard]] bool close_seen() const { return close_seen_ && payload_left_ == 0; }  // the whole frame
    [[nodiscard]] bool opaque() const { return opaque_; }
    [[nodiscard]] std::uint64_t messages() const { return messages_; }  // data messages that ended

  private:
    void show_header(bool continuation, bool compressed, const ServerMessageSink* sink);
    void show_payload(std::span<const std::uint8_t> part, ServerMessageSink* sink);
    void stop_showing();

    std::array<std::uint8_t, kFrameHeaderBytesMax> header_{};
    std::uint8_t header_have_ = 0;
    bool showing_ = false;  // the message that is being walked over, once it has ended
    bool shown_compressed_ = false;
    bool in_control_ = false;          // the frame is none of the message's
    std::vector<std::uint8_t> shown_;  // what came of it in earlier pieces
    bool compressed_ = false;
    bool in_message_ = false;
    bool opaque_ = false;
    bool close_seen_ = false;
    std::uint64_t payload_left_ = 0;
    std::uint64_t messages_ = 0;
};

}  // namespace weir::gateway
