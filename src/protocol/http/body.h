// HTTP/1.1 message bodies as a stream: which of the received bytes belong to this message, and where it ends (RFC 9112
// 6, 7).
//
// A sized body is counted. A chunked body is validated as strictly as a head (hexadecimal size without sign, CRLF, no
// chunk extension from downstream, bounded trailer section) and its content is given out without its framing, so that
// the caller writes framing of its own. Pure, resumable at any byte, nothing is buffered.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/result.h"
#include "protocol/http/head.h"

namespace weir::protocol::http {

class BodyReader {
  public:
    struct Options {
        bool refuse_chunk_extensions = true;  // from downstream; an upstream's are dropped
    };
    BodyReader() = default;
    BodyReader(BodyFraming framing, std::uint64_t content_length, Options options);

    struct Piece {
        std::string_view content;  // body bytes, a view into the input; may be empty
        std::size_t consumed = 0;  // bytes of input used, framing included
        bool done = false;         // the message ends after `consumed`
    };
    // The next piece at the start of `bytes` (not empty). Call again with the rest until all is consumed or `done`.
    [[nodiscard]] Result<Piece> next(std::string_view bytes);
    // What it means that the peer closed now: done for kUntilClose, else kConnectionClosed.
    [[nodiscard]] Result<void> end() const;
    [[nodiscard]] bool done() const { return done_; }

  private:
    BodyFraming framing_ = BodyFraming::kNone;
    Options options_;
    bool done_ = true;
    std::uint64_t left_ = 0;  // of the body, or of the current chunk
    std::uint8_t state_ = 0;  // of the chunked grammar
    std::uint8_t digits_ = 0;
    std::uint32_t trailer_bytes_ = 0;
};

}  // namespace weir::protocol::http
