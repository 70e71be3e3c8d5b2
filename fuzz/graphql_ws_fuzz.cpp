// GraphQL's messages inside a WebSocket: what is called judged, readers who take the first, the last, or any case of a
// member agree about; ids can be put into answers, and a payload is what every reader finds.
#include <cstdint>
#include <optional>
#include <simdjson.h>
#include <string>

#include "base/error.h"
#include "policy/content.h"
#include "policy/member_name.h"
#include "protocol/graphql/ws_message.h"

using namespace weir::protocol::graphql;
namespace dom = simdjson::dom;
namespace policy = weir::policy;

namespace {

enum class Reader { kFirst, kLast, kLastOfAnyCase };

std::optional<dom::element> member_of(const dom::element& object, std::string_view name, Reader reader) {
    std::optional<dom::element> found;
    if (!object.is_object()) return found;
    const dom::object members = object.get_object().value_unsafe();
    for (const auto [key, value] : members) {
        const policy::NameMatch match = policy::match_name(key, name);
        if (match == policy::NameMatch::kNone) continue;
        if (match != policy::NameMatch::kExact && reader != Reader::kLastOfAnyCase) continue;
        if (!found || reader != Reader::kFirst) found = value;
    }
    return found;
}

bool is_text(const std::optional<dom::element>& element, std::string_view text) {
    return element && element->is_string() && element->get_string().value_unsafe() == text;
}

// `json` is written as one value, and means the same as `element`.
void check_same(std::string_view json, const std::optional<dom::element>& element) {
    simdjson::dom::parser parser;
    const auto read = parser.parse(json.data(), json.size());
    WEIR_ASSERT(read.error() == simdjson::SUCCESS && element);
    WEIR_ASSERT(simdjson::to_string(read.value_unsafe()) == simdjson::to_string(*element));
}

void check(const WsMessage& message, const dom::element& root) {
    for (const Reader reader : {Reader::kFirst, Reader::kLast, Reader::kLastOfAnyCase}) {
        const auto type = member_of(root, "type", reader);
        const bool starts = is_text(type, "subscribe") || is_text(type, "start");
        WEIR_ASSERT(starts == (message.kind == WsMessageKind::kOperation));
        if (message.kind == WsMessageKind::kOther) continue;
        WEIR_ASSERT(is_text(type, starts ? (message.dialect == WsDialect::kLegacy ? "start" : "subscribe")
                                         : (message.dialect == WsDialect::kLegacy ? "stop" : "complete")));
        WEIR_ASSERT(message.id_json.size() <= kWsIdBytesMax && message.id_json.empty() == message.id_key.empty());
        if (!message.id_json.empty()) check_same(message.id_json, member_of(root, "id", reader));
        const auto payload = member_of(root, "payload", reader);
        WEIR_ASSERT(payload.has_value() != message.payload_json.empty());
        if (payload) check_same(message.payload_json, payload);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static WsMessageReader reader;
    std::string padded(reinterpret_cast<const char*>(data), size);
    padded.append(policy::kJsonPadding, '\0');
    const std::string_view text = std::string_view(padded).substr(0, size);
    const WsMessage server = reader.read_server(text);
    WEIR_ASSERT(server.kind == WsMessageKind::kOther || server.kind == WsMessageKind::kEnd);
    const WsMessage message = reader.read_client(text);
    WEIR_ASSERT((message.kind == WsMessageKind::kUnjudgeable) == !message.reason.empty());
    if (message.kind == WsMessageKind::kUnjudgeable) return 0;
    simdjson::dom::parser parser;
    const auto root = parser.parse(data, size);
    if (root.error() != simdjson::SUCCESS) {
        WEIR_ASSERT(message.kind == WsMessageKind::kOther);
        return 0;
    }
    check(message, root.value_unsafe());
    return 0;
}
