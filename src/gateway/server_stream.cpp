#include "gateway/server_stream.h"

#include <algorithm>

#include "protocol/ws/frame.h"

namespace weir::gateway {

namespace ws = protocol::ws;

std::size_t ServerStream::walk(std::span<const std::uint8_t> bytes, bool stop_at_boundary) {
    std::size_t position = 0;
    while (position < bytes.size() && !opaque_) {
        if (payload_left_ > 0) {
            const auto step = std::min<std::uint64_t>(payload_left_, bytes.size() - position);
            payload_left_ -= step;
            position += static_cast<std::size_t>(step);
            if (payload_left_ == 0 && stop_at_boundary && !in_message_) return position;
            continue;
        }
        std::span<const std::uint8_t> candidate = bytes.subspan(position);
        if (header_have_ == 0 && !in_message_) {
            if (const std::size_t whole = ws::short_message_bytes(candidate, false); whole > 0) {
                ++messages_;
                position += whole;
                if (stop_at_boundary) return position;
                continue;
            }
        }
        std::size_t taken = 0;
        if (header_have_ > 0) {
            taken = std::min(candidate.size(), header_.size() - header_have_);
            std::copy_n(candidate.begin(), taken, header_.begin() + header_have_);
            candidate = {header_.data(), header_have_ + taken};
        }
        const auto parsed = ws::parse_frame_header(candidate, {.masked = false, .rsv1_allowed = compressed_});
        if (!parsed) {
            opaque_ = true;
            break;
        }
        if (!parsed->has_value()) {
            if (header_have_ == 0) {
                taken = candidate.size();
                std::copy_n(candidate.begin(), taken, header_.begin());
            }
            header_have_ = static_cast<std::uint8_t>(header_have_ + taken);
            return bytes.size();
        }
        const ws::FrameHeader& frame = **parsed;
        position += frame.header_bytes - header_have_;
        header_have_ = 0;
        payload_left_ = frame.payload_bytes;
        if (ws::is_control(frame.opcode)) {
            close_seen_ = close_seen_ || frame.opcode == ws::Opcode::kClose;
        } else if ((frame.opcode == ws::Opcode::kContinuation) != in_message_) {
            opaque_ = true;
            break;
        } else {
            in_message_ = !frame.fin;
            if (frame.fin) ++messages_;
        }
        if (payload_left_ == 0 && stop_at_boundary && !in_message_) return position;
    }
    return opaque_ ? bytes.size() : position;
}

}  // namespace weir::gateway
