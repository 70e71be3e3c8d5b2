// multipart/form-data as a stream (RFC 7578, RFC 2046 5.1): where its parts begin and end, what they are called, and
// which bytes are theirs.
//
//   preamble                              ignored
//   --BOUNDARY CRLF                       at the body's first byte, or behind a CRLF
//   Content-Disposition: form-data; name="operations" CRLF CRLF
//   data CRLF                             the CRLF belongs to the boundary
//   --BOUNDARY CRLF ... CRLF
//   --BOUNDARY--                          then the end, or CRLF and an epilogue that is ignored
//
// Readers of this format differ in what they forgive, and what one forgives another takes for data. So that nobody sees
// other parts than the scanner does, what they differ about is refused:
// * the text "--BOUNDARY" anywhere but at the start of a line that ended in CRLF: behind a bare LF or CR, within a
// line,
//   right behind a part's header, in a header, behind the last boundary. RFC 2046 forbids it in data; who writes a body
//   picks a boundary that does not occur;
// * anything behind a boundary in its line: white space, or more text, as a longer boundary would have;
// * bare CR or LF, folded lines, control characters and repeated fields in a part's header;
// * a part that is no form-data, has no name, or one with an escape or an extended (name*) form; a name or file name
//   given twice; another multipart inside; a transfer encoding that changes the bytes.
//
// Pure, resumable at any byte; how the input is cut never changes what is told (but for how data is cut), nor what is
// refused. After an error the scanner stays in error. What is held: the header of the current part.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::protocol::multipart {

inline constexpr std::size_t kBoundaryBytesMax = 70;  // RFC 2046 5.1.1
// The header of one part, line ends included.
inline constexpr std::size_t kPartHeaderBytesMax = 4 * 1024;
inline constexpr std::size_t kPartsMax = 1024;

// The boundary that a Content-Type of multipart/form-data names. Strict: kUnsupported for another type, kMalformed for
// a boundary that is missing, there twice, escaped, or not as RFC 2046 has it.
[[nodiscard]] Result<std::string> boundary_of(std::string_view content_type);

struct Part {
    std::string name;               // as it was written between its quotes
    bool has_file = false;          // there is a file name, empty or not: readers then take it for a file
    std::string content_type = {};  // as it was written; empty when there is none
};

// Whoever is told of parts, in order: on_part, any number of on_data, on_part_end. Views live until the call returns.
class PartListener {
  public:
    // An error ends the scan, and is what feed() returns.
    [[nodiscard]] virtual Result<void> on_part(const Part& part) = 0;
    [[nodiscard]] virtual Result<void> on_data(std::string_view data) = 0;
    [[nodiscard]] virtual Result<void> on_part_end() = 0;

  protected:
    ~PartListener() = default;
};

class Scanner {
  public:
    // `boundary` as boundary_of gave it.
    explicit Scanner(std::string_view boundary);

    [[nodiscard]] Result<void> feed(std::string_view bytes, PartListener& listener);
    // What it means that the body ended here: an error unless the last boundary was there.
    [[nodiscard]] Result<void> end();
    // The last boundary was read; no further part can come.
    [[nodiscard]] bool closed() const { return state_ >= State::kClosed && state_ != State::kFailed; }

  private:
    enum class State : std::uint8_t {
        kPreamble,
        kBoundary,  // behind a boundary: CR or "-"
        kBoundaryLf,
        kBoundaryDash,  // behind a boundary and a "-"
        kHeader,        // in a line of a part's header
        kHeaderLf,
        kData,
        kClosed,  // behind the last boundary
        kClosedLf,
        kEpilogue,
        kFailed,
    };

    [[nodiscard]] Result<void> step(std::string_view& bytes, PartListener& listener);
    [[nodiscard]] Result<void> scan_text(std::string_view& bytes, PartListener& listener);
    [[nodiscard]] Result<void> take_boundary(char c, PartListener& listener);
    [[nodiscard]] Result<void> take_header(char c, PartListener& listener);
    [[nodiscard]] Result<void> take_line(PartListener& listener);
    [[nodiscard]] Result<void> take_disposition(std::string_view value);
    [[nodiscard]] Result<void> end_part(PartListener& listener);
    void begin_text(State state, std::size_t matched);

    static constexpr std::size_t kLineEndBytes = 2;
    static constexpr std::size_t kDelimiterBytesMax = kLineEndBytes + 2 + kBoundaryBytesMax;

    [[nodiscard]] std::string_view dashed() const { return std::string_view(delimiter_).substr(kLineEndBytes); }

    State state_ = State::kPreamble;
    std::string delimiter_;  // CRLF "--" boundary
    // Two matches of the bytes so far go on at once: of the delimiter, whose start is held back since it may turn out
    // to be data, and of the dashed boundary alone, which must not occur elsewhere. The latter can overlap itself, so
    // that it falls back as Knuth, Morris and Pratt have it: fallback_[n] is what remains matched when n + 1 bytes were
    // and the next differs.
    std::size_t delimiter_matched_ = 0;
    std::size_t dashed_matched_ = 0;
    std::array<std::uint8_t, kDelimiterBytesMax> fallback_{};

    bool in_part_ = false;
    std::size_t parts_ = 0;
    std::size_t header_bytes_ = 0;
    std::string line_;
    Part part_;
    bool has_disposition_ = false;
    bool has_content_type_ = false;
    bool has_encoding_ = false;
};

}  // namespace weir::protocol::multipart
