#include "protocol/multipart/multipart.h"

#include <algorithm>
#include <utility>

#include "base/text.h"
#include "protocol/http/grammar.h"
#include "protocol/multipart/parameters.h"

namespace weir::protocol::multipart {
namespace {

Error refusal(ErrorCode code, std::string_view detail) {
    return {.code = code, .source = ErrorSource::kDownstream, .detail = detail};
}
Error malformed(std::string_view detail) {
    return refusal(ErrorCode::kMalformed, detail);
}

bool is_boundary_char(char c) {
    const char lower = ascii_lower(c);
    return ascii_digit(c) || (lower >= 'a' && lower <= 'z') ||
           std::string_view("'()+_,-./:=? ").find(c) != std::string_view::npos;
}

bool is_boundary(std::string_view text) {
    return !text.empty() && text.size() <= kBoundaryBytesMax && text.back() != ' ' &&
           std::all_of(text.begin(), text.end(), is_boundary_char);
}

// Splits "form-data; name=x" into its type and the parameters behind.
std::string_view take_type(std::string_view& value) {
    const std::size_t end = std::min(value.find(';'), value.size());
    const std::string_view type = trimmed(value.substr(0, end));
    value.remove_prefix(end);
    return type;
}

// "name*" (RFC 8187) and "name*0" (RFC 2231): other spellings of a parameter, which few readers know.
bool is_extended(std::string_view name, std::string_view wanted) {
    return name.size() > wanted.size() && name[wanted.size()] == '*' &&
           equals_ignoring_case(name.substr(0, wanted.size()), wanted);
}

bool keeps_bytes(std::string_view encoding) {
    return equals_ignoring_case(encoding, "7bit") || equals_ignoring_case(encoding, "8bit") ||
           equals_ignoring_case(encoding, "binary");
}

}  // namespace

Result<std::string> boundary_of(std::string_view content_type) {
    std::string_view rest = content_type;
    if (!equals_ignoring_case(take_type(rest), "multipart/form-data"))
        return refusal(ErrorCode::kUnsupported, "a content type that is not multipart/form-data");
    std::optional<std::string> boundary;
    while (true) {
        const auto taken = take_parameter(rest);
        if (!taken) return taken.error();
        if (!*taken) break;
        const Parameter& parameter = **taken;
        if (is_extended(parameter.name, "boundary")) return malformed("a boundary in an extended form");
        if (!equals_ignoring_case(parameter.name, "boundary")) continue;
        if (boundary) return malformed("a boundary given twice");
        if (!is_boundary(parameter.value)) return malformed("a boundary that is none");
        boundary = parameter.value;
    }
    if (!boundary) return malformed("multipart/form-data without a boundary");
    return *std::move(boundary);
}

Scanner::Scanner(std::string_view boundary) : delimiter_("\r\n--") {
    WEIR_ASSERT(is_boundary(boundary));
    delimiter_ += boundary;
    const std::string_view text = dashed();
    std::size_t matched = 0;
    for (std::size_t i = 1; i < text.size(); ++i) {
        while (matched > 0 && text[matched] != text[i]) matched = fallback_[matched - 1];
        if (text[matched] == text[i]) ++matched;
        fallback_[i] = static_cast<std::uint8_t>(matched);
    }
    // The body's first line needs no line end before it.
    begin_text(State::kPreamble, kLineEndBytes);
}

void Scanner::begin_text(State state, std::size_t matched) {
    state_ = state;
    delimiter_matched_ = matched;
    dashed_matched_ = 0;
}

Result<void> Scanner::feed(std::string_view bytes, PartListener& listener) {
    while (!bytes.empty()) {
        if (const auto done = step(bytes, listener); !done) {
            state_ = State::kFailed;
            return done.error();
        }
    }
    return {};
}

Result<void> Scanner::end() {
    switch (state_) {
        case State::kClosed:
        case State::kEpilogue:
            return {};
        case State::kFailed:
            return malformed("a multipart body that was refused already");
        default:
            state_ = State::kFailed;
            return malformed("a multipart body without its last boundary");
    }
}

Result<void> Scanner::step(std::string_view& bytes, PartListener& listener) {
    switch (state_) {
        case State::kPreamble:
        case State::kData:
        case State::kEpilogue:
            return scan_text(bytes, listener);
        case State::kFailed:
            return malformed("a multipart body that was refused already");
        default:
            break;
    }
    const char c = bytes.front();
    bytes.remove_prefix(1);
    return state_ == State::kHeader || state_ == State::kHeaderLf ? take_header(c, listener)
                                                                  : take_boundary(c, listener);
}

// Takes bytes up to the end of a delimiter, or all. Data is told as far as it can't be the start of a delimiter.
Result<void> Scanner::scan_text(std::string_view& bytes, PartListener& listener) {
    const std::string_view text = dashed();
    const bool tells = state_ == State::kData;
    std::size_t carried = delimiter_matched_;  // held back bytes that came before `bytes`
    const auto tell = [&](std::string_view data) -> Result<void> {
        return tells && !data.empty() ? listener.on_data(data) : Result<void>{};
    };
    std::size_t i = 0;
    while (i < bytes.size()) {
        if (delimiter_matched_ == 0 && dashed_matched_ == 0) {
            while (i < bytes.size() && bytes[i] != '\r' && bytes[i] != '-') ++i;
            if (i == bytes.size()) break;
        }
        const char c = bytes[i];
        while (dashed_matched_ > 0 && text[dashed_matched_] != c) dashed_matched_ = fallback_[dashed_matched_ - 1];
        if (text[dashed_matched_] == c) ++dashed_matched_;
        const bool goes_on = delimiter_[delimiter_matched_] == c;
        if (!goes_on && carried > 0) {
            if (const auto told = tell(std::string_view(delimiter_).substr(0, carried)); !told) return told;
            carried = 0;
        }
        delimiter_matched_ = goes_on ? delimiter_matched_ + 1 : (c == '\r' ? 1 : 0);
        ++i;
        if (dashed_matched_ < text.size()) continue;
        const bool at_line_start = delimiter_matched_ == delimiter_.size();
        if (carried == 0) {
            // Elsewhere nothing is held back any more: the boundary has no line end within, so that both matches go on
            // together or not at all.
            const std::size_t data_end = at_line_start ? i - delimiter_.size() : i - 1;
            if (const auto told = tell(bytes.substr(0, data_end)); !told) return told;
        }
        if (!at_line_start || state_ == State::kEpilogue)
            return malformed("the boundary where readers may not take it for one");
        bytes.remove_prefix(i);
        state_ = State::kBoundary;
        return {};
    }
    const std::string_view all = bytes;
    bytes = {};
    if (carried > 0) return {};
    return tell(all.substr(0, all.size() - delimiter_matched_));
}

Result<void> Scanner::end_part(PartListener& listener) {
    if (!in_part_) return {};
    in_part_ = false;
    return listener.on_part_end();
}

Result<void> Scanner::take_boundary(char c, PartListener& listener) {
    switch (state_) {
        case State::kBoundary:
            if (c != '\r' && c != '-') return malformed("text behind a boundary in its line");
            state_ = c == '\r' ? State::kBoundaryLf : State::kBoundaryDash;
            return {};
        case State::kBoundaryLf:
            if (c != '\n') return malformed("a bare CR behind a boundary");
            state_ = State::kHeader;
            if (const auto ended = end_part(listener); !ended) return ended;
            if (++parts_ > kPartsMax) return refusal(ErrorCode::kTooLarge, "a multipart body of too many parts");
            part_ = {};
            header_bytes_ = 0;
            has_disposition_ = has_content_type_ = has_encoding_ = false;
            return {};
        case State::kBoundaryDash:
            if (c != '-') return malformed("text behind a boundary in its line");
            state_ = State::kClosed;
            return end_part(listener);
        case State::kClosed:
            if (c != '\r') return malformed("text behind the last boundary in its line");
            state_ = State::kClosedLf;
            return {};
        case State::kClosedLf:
            if (c != '\n') return malformed("a bare CR behind the last boundary");
            begin_text(State::kEpilogue, kLineEndBytes);
            return {};
        default:
            return refusal(ErrorCode::kInternal, "no boundary here");
    }
}

Result<void> Scanner::take_header(char c, PartListener& listener) {
    if (++header_bytes_ > kPartHeaderBytesMax) return refusal(ErrorCode::kTooLarge, "a part's header beyond its bound");
    if (state_ == State::kHeaderLf) {
        if (c != '\n') return malformed("a bare CR in a part's header");
        state_ = State::kHeader;
        return take_line(listener);
    }
    if (c == '\r') {
        state_ = State::kHeaderLf;
        return {};
    }
    if (!http::is_of(c, http::kValueChar)) return malformed("a bare LF or a control character in a part's header");
    line_ += c;
    return {};
}

Result<void> Scanner::take_line(PartListener& listener) {
    const std::string line = std::exchange(line_, {});
    if (line.empty()) {
        if (!has_disposition_) return malformed("a part without a Content-Disposition");
        in_part_ = true;
        begin_text(State::kData, 0);
        return listener.on_part(part_);
    }
    if (line.find(dashed()) != std::string::npos) return malformed("the boundary in a part's header");
    const std::size_t colon = line.find(':');
    const std::string_view name = std::string_view(line).substr(0, colon);
    if (colon == std::string::npos || !http::is_token(name)) return malformed("a line of a part that is no field");
    const std::string_view value = trimmed(std::string_view(line).substr(colon + 1));
    if (equals_ignoring_case(name, "content-disposition")) {
        if (std::exchange(has_disposition_, true)) return malformed("a part with two Content-Disposition fields");
        return take_disposition(value);
    }
    if (equals_ignoring_case(name, "content-type")) {
        if (std::exchange(has_content_type_, true)) return malformed("a part with two Content-Type fields");
        if (equals_ignoring_case(value.substr(0, 10), "multipart/"))
            return refusal(ErrorCode::kUnsupported, "a multipart body within a part");
        part_.content_type = value;
    }
    if (equals_ignoring_case(name, "content-transfer-encoding")) {
        if (std::exchange(has_encoding_, true)) return malformed("a part with two transfer encodings");
        if (!keeps_bytes(value)) return refusal(ErrorCode::kUnsupported, "a part in a transfer encoding");
    }
    return {};
}

Result<void> Scanner::take_disposition(std::string_view value) {
    if (!equals_ignoring_case(take_type(value), "form-data")) return malformed("a part that is no form-data");
    bool has_name = false;
    bool has_file_name = false;
    while (true) {
        const auto taken = take_parameter(value);
        if (!taken) return taken.error();
        if (!*taken) break;
        const Parameter& parameter = **taken;
        if (is_extended(parameter.name, "name")) return malformed("a part's name in an extended form");
        if (is_extended(parameter.name, "filename")) part_.has_file = true;
        if (equals_ignoring_case(parameter.name, "name")) {
            if (std::exchange(has_name, true)) return malformed("a part's name given twice");
            if (parameter.value.find('\\') != std::string_view::npos) return malformed("an escape in a part's name");
            part_.name = parameter.value;
        }
        if (equals_ignoring_case(parameter.name, "filename")) {
            if (std::exchange(has_file_name, true)) return malformed("a part's file name given twice");
            part_.has_file = true;
        }
    }
    if (!has_name) return malformed("a part without a name");
    return {};
}

}  // namespace weir::protocol::multipart
