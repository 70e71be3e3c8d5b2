// Response heads: what is accepted has one framing, in bounds, and its fields hold no line ends.
#include <cstdint>
#include <string_view>

#include "base/text.h"
#include "protocol/http/head.h"

using namespace weir::protocol::http;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    constexpr std::string_view kMethods[] = {"GET", "HEAD", "CONNECT", "POST"};
    const std::string_view method = kMethods[data[0] % 4];
    const std::string_view bytes(reinterpret_cast<const char*>(data + 1), size - 1);
    ResponseHead head;
    const std::size_t length = head_length(bytes);
    if (length == 0) {
        WEIR_ASSERT(!parse_response_head(bytes, method, head));
        return 0;
    }
    if (!parse_response_head(bytes.substr(0, length), method, head)) return 0;
    WEIR_ASSERT(head.status >= 100 && head.status <= 999 && head.fields.size() <= weir::kHeaderFieldsMax);
    WEIR_ASSERT(head.count("content-length") + head.count("transfer-encoding") <= 1);
    WEIR_ASSERT(head.framing != BodyFraming::kUntilClose || !head.keep_alive);
    if (method == "HEAD" || head.status < 200 || head.status == 204 || head.status == 304)
        WEIR_ASSERT(head.framing == BodyFraming::kNone);
    for (const Field& field : head.fields) {
        WEIR_ASSERT(!field.name.empty() && field.value == weir::trimmed(field.value));
        WEIR_ASSERT(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos);
    }
    ResponseHead second;
    WEIR_ASSERT(bytes.size() == length || !parse_response_head(bytes, method, second));
    return 0;
}
