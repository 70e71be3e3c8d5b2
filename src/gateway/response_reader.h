// Reads the response to a GET that Weir itself has sent: a head of bounded length, interim responses skipped, and a
// body of bounded length, kept whole. For those who ask the application or an identity server, not for what is proxied.
//
// Knows nothing of sockets: bytes go in as they come, and whoever has them says when no more will (`ended_whole`). One
// thread's.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/http/body.h"
#include "protocol/http/head.h"

namespace weir::gateway {

// Whether an error says that no answer came, rather than that it was no good.
[[nodiscard]] constexpr bool is_unreachable(ErrorCode code) {
    return code != ErrorCode::kMalformed && code != ErrorCode::kTooLarge && code != ErrorCode::kUnsupported;
}

struct ResponseBounds {
    std::size_t body_bytes_max = 0;
    std::string_view body_too_long;  // the detail of the error; a literal
};

class ResponseReader {
  public:
    enum class Progress : std::uint8_t {
        kMore,  // all was taken, more has to come
        kHead,  // the head is whole: `status` says something. Told once; the body is read by the next call.
        kDone,  // the body is whole
    };

    explicit ResponseReader(const ResponseBounds& bounds) : bounds_(bounds) {}

    // Takes from the front of `bytes` what is the response's. The error's detail says what is wrong with it, as in "its
    // head is ...". `scratch` is written over.
    [[nodiscard]] Result<Progress> read(std::string_view& bytes, protocol::http::ResponseHead& scratch);
    // The sender has ended: whether the body is whole by that.
    [[nodiscard]] bool ended_whole() const { return head_done_ && body_reader_.end().has_value(); }

    [[nodiscard]] bool begun() const { return head_done_ || !head_.empty(); }
    [[nodiscard]] unsigned status() const { return status_; }
    [[nodiscard]] const std::string& body() const { return body_; }
    // Whether the connection may serve another request, if nothing came behind the response.
    [[nodiscard]] bool reusable() const { return keep_alive_ && body_reader_.done(); }

  private:
    [[nodiscard]] Result<Progress> read_head(std::string_view& bytes, protocol::http::ResponseHead& scratch);

    ResponseBounds bounds_;
    std::string head_;
    bool head_done_ = false;
    bool keep_alive_ = false;
    unsigned status_ = 0;
    protocol::http::BodyReader body_reader_;
    std::string body_;
};

}  // namespace weir::gateway
