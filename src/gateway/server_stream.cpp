#include "gateway/server_stream.h"

#include <algorithm>

#include "protocol/ws/frame.h"

namespace weir::gateway {

namespace ws = protocol::ws;

namespace {
// Copies that were longer are not kept for the next message.
constexpr std::size_t kShownBytesKept = 4096;
}  // namespace

// A data frame begins.
void ServerStream::show_header(bool continuation, bool compressed, const ServerMessageSink* sink) {
    if (!continuation) {
        stop_showing();
        showing_ = sink != nullptr;
        shown_compressed_ = compressed;
    }
    if (payload_left_ > kShownBytesMax) stop_showing();
}

// The next piece of a data frame's payload; `payload_left_` and `in_message_` say what comes behind.
void ServerStream::show_payload(std::span<const std::uint8_t> part, ServerMessageSink* sink) {
    if (!showing_) return;
    if (sink == nullptr || part.size() > kShownBytesMax - shown_.size()) {
        stop_showing();
        return;
    }
    const bool ends = payload_left_ == 0 && !in_message_;
    if (ends && shown_.empty()) {
        sink->on_server_message(part, shown_compressed_);
        showing_ = false;
        return;
    }
    shown_.insert(shown_.end(), part.begin(), part.end());
    if (!ends) return;
    sink->on_server_message(shown_, shown_compressed_);
    stop_showing();
}

void ServerStream::stop_showing() {
    showing_ = false;
    shown_.clear();
    if (shown_.capacity() > kShownBytesKept) shown_.shrink_to_fit();
}

std::size_t ServerStream::walk(std::span<const std::uint8_t> bytes, bool stop_at_boundary, ServerMessageSink* sink) {
    std::size_t position = 0;
    while (position < bytes.size() && !opaque_) {
        if (payload_left_ > 0) {
            const auto step = std::min<std::uint64_t>(payload_left_, bytes.size() - position);
            payload_left_ -= step;
            if (!in_control_) show_payload(bytes.subspan(position, static_cast<std::size_t>(step)), sink);
            position += static_cast<std::size_t>(step);
            if (payload_left_ == 0 && stop_at_boundary && !in_message_) return position;
            continue;
        }
        std::span<const std::uint8_t> candidate = bytes.subspan(position);
        if (header_have_ == 0 && !in_message_) {
            if (const std::size_t whole = ws::short_message_bytes(candidate, false); whole > 0) {
                ++messages_;
                position += whole;
                if (sink != nullptr) sink->on_server_message(candidate.subspan(2, whole - 2), false);
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
        in_control_ = ws::is_control(frame.opcode);
        if (in_control_) {
            close_seen_ = close_seen_ || frame.opcode == ws::Opcode::kClose;
        } else if ((frame.opcode == ws::Opcode::kContinuation) != in_message_) {
            opaque_ = true;
            break;
        } else {
            show_header(in_message_, frame.rsv1, sink);
            in_message_ = !frame.fin;
            if (frame.fin) ++messages_;
            if (payload_left_ == 0) show_payload({}, sink);
        }
        if (payload_left_ == 0 && stop_at_boundary && !in_message_) return position;
    }
    return opaque_ ? bytes.size() : position;
}

}  // namespace weir::gateway
