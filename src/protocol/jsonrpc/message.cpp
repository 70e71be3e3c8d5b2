#include "protocol/jsonrpc/message.h"

#include <algorithm>
#include <array>
#include <vector>

#include "policy/bounded_json.h"
#include "policy/lenient_json.h"
#include "protocol/jsonrpc/members.h"
#include "protocol/jsonrpc/raw_json.h"

namespace weir::protocol::jsonrpc {
namespace {

namespace dom = simdjson::dom;
constexpr Reason kNestedBatch = "a batch within a batch";
constexpr Reason kNoParams = "a call by name whose params are no object";
constexpr Reason kDeep = "JSON that is nested too deeply";
constexpr Reason kLenient = "JSON that only a lenient reader accepts";

// The member of `params` that says what a method is to act on; empty for other methods.
std::string_view naming_member(std::string_view method) {
    if (method == "tools/call" || method == "prompts/get") return "name";
    if (method == "resources/read" || method == "resources/subscribe" || method == "resources/unsubscribe")
        return "uri";
    return {};
}

Reason read_name(const Seen& params, Call& call) {
    const std::string_view member = naming_member(call.method);
    if (member.empty() || !params.there || params.value.is_null()) return {};
    if (!params.value.is_object()) return kNoParams;
    std::array<Seen, 1> seen;
    if (const Reason reason = find_members(params.value.get_object().value_unsafe(), std::array{member}, seen);
        !reason.empty())
        return reason;
    return text_of(seen[0], call.name);
}

std::string_view raw_id(std::string_view object, std::size_t index) {
    const std::string_view raw = raw_member(object, index);
    return raw.size() <= kIdBytesMax ? raw : "null";
}

// `raw` is the text of `element`.
Reason read_call(const dom::element& element, std::string_view raw, Call& call) {
    enum Member : std::size_t { kJsonrpc, kId, kMethod, kParams, kResult, kError };
    static constexpr std::array<std::string_view, 6> kNames{"jsonrpc", "id", "method", "params", "result", "error"};
    call = Call{};
    if (!element.is_object()) return {};
    std::array<Seen, kNames.size()> seen;
    if (const Reason reason = find_members(element.get_object().value_unsafe(), kNames, seen); !reason.empty())
        return reason;
    const Seen& id = seen[kId];
    if (id.there && (id.value.is_string() || id.value.is_number())) call.id_json = raw_id(raw, id.index);
    std::optional<std::string_view> method;
    if (const Reason reason = text_of(seen[kMethod], method); !reason.empty()) return reason;
    if (!method) {
        call.kind = seen[kResult].there || seen[kError].there ? CallKind::kResponse : CallKind::kInvalid;
        return {};
    }
    call.kind = id.there ? CallKind::kRequest : CallKind::kNotification;
    call.method = *method;
    return read_name(seen[kParams], call);
}

// Every call is an object, and every object has its brace, in UTF-8, UTF-16 and UTF-32 alike.
std::size_t objects_of(std::string_view body) {
    return std::max<std::size_t>(1, static_cast<std::size_t>(std::count(body.begin(), body.end(), '{')));
}

std::size_t position_of_text(std::string_view body) {
    const std::size_t position = body.find_first_not_of(" \t\r\n");
    return position == std::string_view::npos ? body.size() : position;
}

Message refused(ErrorCode code, std::string_view detail, std::size_t position) {
    return Refused{.error = {.code = code, .source = ErrorSource::kDownstream, .detail = detail}, .position = position};
}

Message not_parsed(simdjson::error_code error, std::string_view body) {
    if (error == simdjson::MEMALLOC || error == simdjson::CAPACITY)
        return refused(ErrorCode::kExhausted, "no memory for a JSON-RPC message of this size", 0);
    if (!policy::may_read_as_json(body, true))
        return refused(ErrorCode::kMalformed, "a JSON-RPC message that is no JSON", position_of_text(body));
    return Unjudgeable{.reason = error == simdjson::DEPTH_ERROR ? kDeep : kLenient, .calls_most = objects_of(body)};
}

}  // namespace

struct MessageReader::Impl {
    dom::parser parser;
    std::vector<Call> calls;

    Message read_single(const dom::element& root, std::string_view body) {
        calls.resize(1);
        const Reason reason = read_call(root, body, calls[0]);
        if (!reason.empty()) return Unjudgeable{.reason = reason, .calls_most = 1};
        return Calls{.list = calls};
    }

    Message read_batch(const dom::array& batch, std::string_view body) {
        const std::size_t count = batch.size();
        if (count > kBatchCallsMax)
            return refused(ErrorCode::kTooLarge, "a JSON-RPC batch of too many calls", position_of_text(body));
        calls.assign(std::max<std::size_t>(count, 1), Call{});
        RawValues values(body);
        std::size_t i = 0;
        for (const dom::element element : batch) {
            if (element.is_array()) return Unjudgeable{.reason = kNestedBatch, .calls_most = objects_of(body)};
            const Reason reason = read_call(element, values.next(), calls[i++]);
            // Elements behind this one may hold another batch, so that the elements are no bound.
            if (!reason.empty()) return Unjudgeable{.reason = reason, .calls_most = objects_of(body)};
        }
        return Calls{.list = calls, .batch = true};
    }
};

MessageReader::MessageReader() : impl_(std::make_unique<Impl>()) {}
MessageReader::~MessageReader() = default;

Message MessageReader::read(std::string_view body) {
    dom::element root;
    // A mark is skipped by some readers, and by some versions of the parser.
    if (body.starts_with("\xEF\xBB\xBF")) return not_parsed(simdjson::TAPE_ERROR, body);
    if (const auto error = policy::parse_bounded(impl_->parser, body, root); error != simdjson::SUCCESS)
        return not_parsed(error, body);
    if (root.is_array()) return impl_->read_batch(root.get_array().value_unsafe(), body);
    return impl_->read_single(root, body);
}

}  // namespace weir::protocol::jsonrpc
