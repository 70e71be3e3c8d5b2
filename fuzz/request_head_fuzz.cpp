// Request heads: a head is found alike at every prefix, none of what is accepted was ever hopeless, and what was read,
// written again, reads the same.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/text.h"
#include "protocol/http/head.h"

using namespace weir::protocol::http;

namespace {

std::string written_again(const RequestHead& head) {
    std::string text(head.method);
    text += ' ';
    text += head.target;
    text += head.version_minor == 1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n";
    for (const Field& field : head.fields) {
        text += field.name;
        text += ": ";
        text += field.value;
        text += "\r\n";
    }
    return text + "\r\n";
}

void check_accepted(std::string_view text, const RequestHead& head) {
    WEIR_ASSERT(head.fields.size() <= weir::kHeaderFieldsMax && head.target.size() <= weir::kTargetBytesMax);
    WEIR_ASSERT(head.count("content-length") + head.count("transfer-encoding") <= 1 && head.count("host") <= 1);
    for (const Field& field : head.fields) {
        WEIR_ASSERT(!field.name.empty() && field.value == weir::trimmed(field.value));
        WEIR_ASSERT(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    }
    for (std::size_t size = 0; size <= text.size(); ++size) WEIR_ASSERT(!head_hopeless(text.substr(0, size)));

    const std::string again = written_again(head);
    RequestHead second;
    WEIR_ASSERT(head_length(again) == again.size());
    WEIR_ASSERT(again.size() > weir::kHeaderBytesMax || parse_request_head(again, second));
    if (again.size() > weir::kHeaderBytesMax) return;
    WEIR_ASSERT(second.framing == head.framing && second.content_length == head.content_length);
    WEIR_ASSERT(second.host == head.host && second.fields.size() == head.fields.size());
    WEIR_ASSERT(second.keep_alive == head.keep_alive && second.upgrade == head.upgrade);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const std::size_t length = head_length(bytes);
    bool hopeless = false;
    for (std::size_t end = 0; end <= std::min<std::size_t>(length != 0 ? length : size, 1024); ++end) {
        const std::string_view prefix = bytes.substr(0, end);
        WEIR_ASSERT(head_length(prefix, end == 0 ? 0 : end - 1) == (end >= length ? length : 0));
        const bool now = head_hopeless(prefix);
        WEIR_ASSERT(now || !hopeless);
        if (!hopeless && end > 0) WEIR_ASSERT(head_hopeless(prefix, end - 1) == now);
        hopeless = now;
    }

    RequestHead head;
    if (length != 0 && parse_request_head(bytes.substr(0, length), head)) check_accepted(bytes.substr(0, length), head);
    static_cast<void>(parse_request_head(bytes, head));
    static_cast<void>(query_parameter(bytes, "token"));
    const std::vector<Field> fields{{.name = "Cookie", .value = bytes}, {.name = "Connection", .value = bytes}};
    static_cast<void>(cookie(fields, "token"));
    static_cast<void>(named_by_connection(fields, "token"));
    return 0;
}
