#include "protocol/graphql/ws_message.h"

#include <array>
#include <optional>
#include <span>
#include <string>

#include "policy/bounded_json.h"
#include "policy/lenient_json.h"
#include "protocol/jsonrpc/members.h"

namespace weir::protocol::graphql {
namespace {

namespace dom = simdjson::dom;
using jsonrpc::Reason;

constexpr Reason kLenient = "JSON that only a lenient reader accepts";
constexpr Reason kArray = "an array of messages";

struct Row {
    std::string_view type;
    WsMessageKind kind;
    WsDialect dialect;
};
constexpr std::array<Row, 4> kClientRows{{{"subscribe", WsMessageKind::kOperation, WsDialect::kTransport},
                                          {"start", WsMessageKind::kOperation, WsDialect::kLegacy},
                                          {"complete", WsMessageKind::kEnd, WsDialect::kTransport},
                                          {"stop", WsMessageKind::kEnd, WsDialect::kLegacy}}};
constexpr std::array<Row, 2> kServerRows{
    {{"complete", WsMessageKind::kEnd, WsDialect::kTransport}, {"error", WsMessageKind::kEnd, WsDialect::kTransport}}};

WsMessage unjudgeable(Reason reason) {
    return {.kind = WsMessageKind::kUnjudgeable, .reason = reason};
}

}  // namespace

struct WsMessageReader::Impl {
    dom::parser parser;
    std::string id_key;

    WsMessage read(std::string_view text, std::span<const Row> rows) {
        dom::element root;
        // A mark is skipped by some readers, and by some versions of the parser.
        const bool marked = text.starts_with("\xEF\xBB\xBF");
        if (marked || policy::parse_bounded(parser, text, root) != simdjson::SUCCESS)
            return policy::may_read_as_json(text, true) ? unjudgeable(kLenient) : WsMessage{};
        if (root.is_array()) return unjudgeable(kArray);
        if (!root.is_object()) return {};
        return read_object(root.get_object().value_unsafe(), text, rows);
    }

    WsMessage read_object(const dom::object& object, std::string_view text, std::span<const Row> rows) {
        enum Member : std::size_t { kType, kId, kPayload };
        static constexpr std::array<std::string_view, 3> kNames{"type", "id", "payload"};
        std::array<jsonrpc::Seen, kNames.size()> seen;
        if (const Reason reason = jsonrpc::find_members(object, kNames, seen); !reason.empty())
            return unjudgeable(reason);
        std::optional<std::string_view> type;
        if (const Reason reason = jsonrpc::text_of(seen[kType], type); !reason.empty()) return unjudgeable(reason);
        WsMessage message;
        for (const Row& row : rows) {
            if (type != row.type) continue;
            message.kind = row.kind;
            message.dialect = row.dialect;
        }
        if (message.kind == WsMessageKind::kOther) return message;
        if (seen[kId].there) read_id(seen[kId], text, message);
        if (seen[kPayload].there) message.payload_json = jsonrpc::raw_member(text, seen[kPayload].index);
        return message;
    }

    void read_id(const jsonrpc::Seen& id, std::string_view text, WsMessage& message) {
        if (!id.value.is_string() && !id.value.is_number()) return;
        const std::string_view raw = jsonrpc::raw_member(text, id.index);
        if (raw.size() > kWsIdBytesMax) return;
        message.id_json = raw;
        if (id.value.is_string()) {
            id_key.assign(1, '"');
            id_key += id.value.get_string().value_unsafe();
        } else {
            id_key = raw;
        }
        message.id_key = id_key;
    }
};

WsMessageReader::WsMessageReader() : impl_(std::make_unique<Impl>()) {}
WsMessageReader::~WsMessageReader() = default;

WsMessage WsMessageReader::read_client(std::string_view text) {
    return impl_->read(text, kClientRows);
}

WsMessage WsMessageReader::read_server(std::string_view text) {
    const WsMessage message = impl_->read(text, kServerRows);
    return message.kind == WsMessageKind::kUnjudgeable ? WsMessage{} : message;
}

}  // namespace weir::protocol::graphql
