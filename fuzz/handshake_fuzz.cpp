// Handshakes: filtering an offer twice changes nothing; what is relayed of an acceptance is an acceptance still, in
// which the client's messages stand alone; what passes the check is wanted.
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/ws/handshake.h"

using namespace weir::protocol;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const std::string_view first_line = text.substr(0, text.find('\n'));
    const std::string_view rest = first_line.size() < size ? text.substr(first_line.size() + 1) : std::string_view{};
    const std::vector<http::Field> fields{{.name = "Sec-WebSocket-Extensions", .value = first_line},
                                          {.name = "sec-websocket-extensions", .value = rest}};

    const std::string offer = ws::filtered_extension_offer(fields);
    const std::vector<http::Field> offered{{.name = "Sec-WebSocket-Extensions", .value = offer}};
    WEIR_ASSERT(ws::filtered_extension_offer(offered) == offer);

    if (const auto accepted = ws::accepted_deflate(fields); accepted && *accepted) {
        const std::string relayed = ws::relayed_extensions(fields, true);
        const std::vector<http::Field> relayed_fields{{.name = "Sec-WebSocket-Extensions", .value = relayed}};
        const auto again = ws::accepted_deflate(relayed_fields);
        WEIR_ASSERT(again && *again && (*again)->client_no_context_takeover);
        WEIR_ASSERT((*again)->client_window_bits == (*accepted)->client_window_bits);
        WEIR_ASSERT((*again)->server_window_bits == (*accepted)->server_window_bits);
        WEIR_ASSERT((*again)->server_no_context_takeover == (*accepted)->server_no_context_takeover);
    }
    static_cast<void>(ws::accepted_deflate(fields, offer));

    http::RequestHead head;
    if (http::parse_request_head(text, head)) {
        static_cast<void>(ws::offered_subprotocols(head.fields));
        if (ws::check_handshake(head)) {
            WEIR_ASSERT(ws::wants_websocket(head) && head.upgrade);
            const std::string answer = ws::switching_protocols(head.field("sec-websocket-key"), "", "");
            http::ResponseHead parsed;
            WEIR_ASSERT(http::parse_response_head(answer, "GET", parsed) && parsed.upgrade);
            WEIR_ASSERT(parsed.field("sec-websocket-accept").size() == 28);
        }
    }
    return 0;
}
