#include "gateway/response_reader.h"

#include "base/limits.h"

namespace weir::gateway {

namespace http = protocol::http;

namespace {

Error unusable(std::string_view detail) {
    return {ErrorCode::kMalformed, ErrorSource::kUpstream, false, detail};
}

Error too_large(std::string_view detail) {
    return {ErrorCode::kTooLarge, ErrorSource::kUpstream, false, detail};
}

}  // namespace

Result<ResponseReader::Progress> ResponseReader::read(std::string_view& bytes, http::ResponseHead& scratch) {
    if (!head_done_) return read_head(bytes, scratch);
    while (!bytes.empty() && !body_reader_.done()) {
        const auto piece = body_reader_.next(bytes);
        if (!piece) return unusable(piece.error().detail);
        if (body_.size() + piece->content.size() > bounds_.body_bytes_max) return too_large(bounds_.body_too_long);
        body_.append(piece->content);
        bytes.remove_prefix(piece->consumed);
    }
    return body_reader_.done() ? Progress::kDone : Progress::kMore;
}

Result<ResponseReader::Progress> ResponseReader::read_head(std::string_view& bytes, http::ResponseHead& scratch) {
    std::size_t searched = head_.size();
    head_.append(bytes);
    while (true) {
        const std::size_t length = http::head_length(head_, searched);
        if (length > kHeaderBytesMax || (length == 0 && head_.size() > kHeaderBytesMax))
            return too_large("its head is longer than 32 KiB");
        if (length == 0) {
            bytes = {};
            return Progress::kMore;
        }
        const auto parsed = http::parse_response_head(std::string_view(head_).substr(0, length), "GET", scratch);
        if (!parsed) return unusable(parsed.error().detail);
        if (scratch.status >= 200 || scratch.status == 101) {
            // No head was whole before these bytes, so that what stands behind it is theirs.
            bytes.remove_prefix(bytes.size() - (head_.size() - length));
            head_done_ = true;
            status_ = scratch.status;
            keep_alive_ = scratch.keep_alive && scratch.framing != http::BodyFraming::kUntilClose;
            body_reader_ = http::BodyReader(scratch.framing, scratch.content_length,
                                            {.refuse_chunk_extensions = false, .source = ErrorSource::kUpstream});
            head_.clear();
            return Progress::kHead;
        }
        head_.erase(0, length);
        searched = 0;
    }
}

}  // namespace weir::gateway
