#include "protocol/http/body.h"

#include <algorithm>

#include "base/limits.h"
#include "base/text.h"
#include "protocol/http/grammar.h"

namespace weir::protocol::http {

BodyReader::BodyReader(BodyFraming framing, std::uint64_t content_length, Options options)
    : framing_(framing),
      options_(options),
      done_(framing == BodyFraming::kNone || (framing == BodyFraming::kLength && content_length == 0)),
      left_(framing == BodyFraming::kLength ? content_length : 0) {}

Error BodyReader::fail(ErrorCode code, std::string_view detail) {
    state_ = State::kFailed;
    return {.code = code, .source = options_.source, .detail = detail};
}

Result<BodyReader::Piece> BodyReader::next(std::string_view bytes) {
    if (done_) return Piece{.done = true};
    switch (framing_) {
        case BodyFraming::kNone:
            break;
        case BodyFraming::kLength: {
            const std::string_view content = bytes.substr(0, std::min<std::uint64_t>(left_, bytes.size()));
            left_ -= content.size();
            done_ = left_ == 0;
            return Piece{.content = content, .consumed = content.size(), .done = done_};
        }
        case BodyFraming::kChunked:
            return next_chunked(bytes);
        case BodyFraming::kUntilClose:
            return Piece{.content = bytes, .consumed = bytes.size()};
    }
    return fail(ErrorCode::kInternal, "a body without framing");
}

Result<void> BodyReader::end() const {
    if (done_ || framing_ == BodyFraming::kUntilClose) return {};
    return Error{.code = ErrorCode::kConnectionClosed,
                 .source = options_.source,
                 .detail = "the connection ended inside a body"};
}

Result<BodyReader::Piece> BodyReader::next_chunked(std::string_view bytes) {
    for (std::size_t i = 0; i < bytes.size(); ++i) {
        if (state_ == State::kData) {
            const std::string_view content = bytes.substr(i, std::min<std::uint64_t>(left_, bytes.size() - i));
            left_ -= content.size();
            if (left_ == 0) state_ = State::kDataCr;
            return Piece{.content = content, .consumed = i + content.size()};
        }
        if (const auto taken = take_framing(bytes[i]); !taken) return taken.error();
        if (done_) return Piece{.consumed = i + 1, .done = true};
    }
    return Piece{.consumed = bytes.size()};
}

Result<void> BodyReader::take_framing(char c) {
    switch (state_) {
        case State::kSizeStart:
        case State::kSize:
            return take_size(c);
        case State::kExtension:
            if (c == '\r') {
                state_ = State::kSizeLf;
                return {};
            }
            if (!is_of(c, kValueChar)) return fail(ErrorCode::kMalformed, "a control character in a chunk extension");
            if (++ignored_bytes_ > kChunkExtensionBytesMax)
                return fail(ErrorCode::kTooLarge, "a chunk extension beyond its bound");
            return {};
        case State::kSizeLf:
            if (c != '\n') return fail(ErrorCode::kMalformed, "a bare CR behind a chunk size");
            state_ = left_ == 0 ? State::kTrailerStart : State::kData;
            ignored_bytes_ = 0;
            return {};
        case State::kDataCr:
            if (c != '\r') return fail(ErrorCode::kMalformed, "a chunk longer than its size");
            state_ = State::kDataLf;
            return {};
        case State::kDataLf:
            if (c != '\n') return fail(ErrorCode::kMalformed, "a bare CR behind a chunk");
            state_ = State::kSizeStart;
            return {};
        case State::kTrailerStart:
        case State::kTrailerName:
        case State::kTrailerValue:
        case State::kTrailerLf:
        case State::kEndLf:
            return take_trailer(c);
        case State::kData:
        case State::kFailed:
            break;
    }
    return fail(ErrorCode::kMalformed, "a body that was refused already");
}

Result<void> BodyReader::take_size(char c) {
    const char lower = ascii_lower(c);
    const bool letter = lower >= 'a' && lower <= 'f';
    if (ascii_digit(c) || letter) {
        if (state_ == State::kSizeStart) {
            left_ = 0;
            digits_ = 0;
            state_ = State::kSize;
        }
        if (++digits_ > kChunkSizeDigitsMax) return fail(ErrorCode::kMalformed, "a chunk size with too many digits");
        left_ = left_ * 16 + static_cast<std::uint64_t>(letter ? lower - 'a' + 10 : c - '0');
        return {};
    }
    if (state_ == State::kSizeStart) return fail(ErrorCode::kMalformed, "a chunk without a size");
    if (c == '\r') {
        state_ = State::kSizeLf;
        return {};
    }
    const bool begins_extension = c == ';' || c == ' ' || c == '\t';
    if (!begins_extension || options_.refuse_chunk_extensions)
        return fail(ErrorCode::kMalformed, "a character that no chunk size may hold");
    ignored_bytes_ = 0;
    state_ = State::kExtension;
    return {};
}

Result<void> BodyReader::take_trailer(char c) {
    if (++ignored_bytes_ > kHeaderBytesMax) return fail(ErrorCode::kTooLarge, "a trailer section beyond its bound");
    switch (state_) {
        case State::kTrailerStart:
            if (c == '\r') {
                state_ = State::kEndLf;
                return {};
            }
            [[fallthrough]];
        case State::kTrailerName:
            if (c == ':' && state_ == State::kTrailerName) {
                state_ = State::kTrailerValue;
                return {};
            }
            if (!is_of(c, kTokenChar)) return fail(ErrorCode::kMalformed, "a trailer name that is no token");
            state_ = State::kTrailerName;
            return {};
        case State::kTrailerValue:
            if (c == '\r') {
                state_ = State::kTrailerLf;
                return {};
            }
            if (!is_of(c, kValueChar)) return fail(ErrorCode::kMalformed, "a control character in a trailer");
            return {};
        case State::kTrailerLf:
            if (c != '\n') return fail(ErrorCode::kMalformed, "a bare CR in a trailer");
            state_ = State::kTrailerStart;
            return {};
        case State::kEndLf:
            if (c != '\n') return fail(ErrorCode::kMalformed, "a bare CR behind the trailers");
            done_ = true;
            return {};
        default:
            return fail(ErrorCode::kInternal, "no trailer here");
    }
}

}  // namespace weir::protocol::http
