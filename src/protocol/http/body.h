// HTTP/1.1 message bodies as a stream: which of the received bytes belong to this message, and where it ends (RFC 9112
// 6, 7).
//
// A sized body is counted. A chunked body is validated as strictly as a head (hexadecimal size without sign, CRLF, no
// chunk extension from downstream, bounded trailer section of well-formed field lines) and its content is given out
// without its framing, so that the caller writes framing of its own. Trailers and an upstream's chunk extensions (with
// the white space that some servers pad a size with) are checked, bounded and dropped.
//
// Pure, resumable at any byte, nothing is buffered. How the input is cut never changes what comes out, nor what is
// refused. After an error the reader stays in error.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "protocol/http/head.h"

namespace weir::protocol::http {

// A chunk's size has at most so many digits (2^60 bytes), leading zeros included.
inline constexpr std::size_t kChunkSizeDigitsMax = 15;
// The extension of one chunk, which a peer could otherwise send without end and without content.
inline constexpr std::size_t kChunkExtensionBytesMax = 4 * 1024;

class BodyReader {
  public:
    struct Options {
        bool refuse_chunk_extensions = true;            // from downstream; an upstream's are dropped
        ErrorSource source = ErrorSource::kDownstream;  // whose fault an error is
    };
    BodyReader() = default;
    BodyReader(BodyFraming framing, std::uint64_t content_length, Options options);

    struct Piece {
        std::string_view content = {};  // body bytes, a view into the input; may be empty
        std::size_t consumed = 0;       // bytes of input used, framing included
        bool done = false;              // the message ends after `consumed`
    };
    // The next piece at the start of `bytes` (not empty). Call again with the rest until all is consumed or `done`.
    [[nodiscard]] Result<Piece> next(std::string_view bytes);
    // What it means that the peer closed now: done for kUntilClose, else kConnectionClosed.
    [[nodiscard]] Result<void> end() const;
    [[nodiscard]] bool done() const { return done_; }

  private:
    enum class State : std::uint8_t {
        kSizeStart,  // the chunk's size, of which nothing was read
        kSize,
        kExtension,  // ignored up to its CR
        kSizeLf,
        kData,
        kDataCr,
        kDataLf,
        kTrailerStart,  // of a trailer line, or of the empty one
        kTrailerName,
        kTrailerValue,
        kTrailerLf,
        kEndLf,
        kFailed,
    };

    [[nodiscard]] Error fail(ErrorCode code, std::string_view detail);
    [[nodiscard]] Result<Piece> next_chunked(std::string_view bytes);
    [[nodiscard]] Result<void> take_framing(char c);
    [[nodiscard]] Result<void> take_size(char c);
    [[nodiscard]] Result<void> take_trailer(char c);

    BodyFraming framing_ = BodyFraming::kNone;
    Options options_;
    bool done_ = true;
    std::uint64_t left_ = 0;  // of the body, or of the current chunk
    State state_ = State::kSizeStart;
    std::uint8_t digits_ = 0;
    std::uint32_t ignored_bytes_ = 0;  // of the current chunk's extension, or of the trailer section
};

}  // namespace weir::protocol::http
