// JSON-RPC bodies: what is called judged, readers who take the first, the last, or any case of a member agree about;
// ids can be put into answers.
#include <algorithm>
#include <cstdint>
#include <optional>
#include <simdjson.h>
#include <string>
#include <vector>

#include "limit/algorithm.h"
#include "policy/content.h"
#include "policy/limits.h"
#include "policy/member_name.h"
#include "protocol/jsonrpc/answer.h"
#include "protocol/jsonrpc/message.h"

using namespace weir::protocol::jsonrpc;
namespace dom = simdjson::dom;
namespace policy = weir::policy;

namespace {

enum class Reader { kFirst, kLast, kLastOfAnyCase };

// A member as one kind of reader sees it.
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

std::optional<std::string_view> text_of(const std::optional<dom::element>& element) {
    if (!element || !element->is_string()) return std::nullopt;
    return element->get_string().value_unsafe();
}

void check_id(const Call& call, const std::optional<dom::element>& id) {
    WEIR_ASSERT(call.id_json.size() <= kIdBytesMax && !call.id_json.empty());
    if (call.id_json == "null") return;
    simdjson::dom::parser parser;
    const auto read = parser.parse(call.id_json.data(), call.id_json.size());
    WEIR_ASSERT(read.error() == simdjson::SUCCESS && id && read.value_unsafe().type() == id->type());
    WEIR_ASSERT(simdjson::to_string(read.value_unsafe()) == simdjson::to_string(*id));
}

void check_call(const Call& call, const dom::element& element) {
    for (const Reader reader : {Reader::kFirst, Reader::kLast, Reader::kLastOfAnyCase}) {
        const auto method = text_of(member_of(element, "method", reader));
        const auto id = member_of(element, "id", reader);
        const bool called = call.kind == CallKind::kRequest || call.kind == CallKind::kNotification;
        WEIR_ASSERT(called == method.has_value());
        check_id(call, id);
        if (!called) continue;
        WEIR_ASSERT(*method == call.method && id.has_value() == (call.kind == CallKind::kRequest));
        const auto params = member_of(element, "params", reader);
        if (call.method == "tools/call") {
            WEIR_ASSERT(call.name == (params ? text_of(member_of(*params, "name", reader)) : std::nullopt));
        } else if (call.method == "resources/read") {
            WEIR_ASSERT(call.name == (params ? text_of(member_of(*params, "uri", reader)) : std::nullopt));
        }
    }
}

void check_answers(const Calls& calls) {
    static const policy::Limit limit = [] {
        policy::Limit made;
        made.group = "a\"b";
        return made;
    }();
    static const weir::limit::BucketRule rule{};
    const policy::Verdict verdict{.limit = &limit, .rule = &rule};
    std::vector<std::string> answers;
    for (const Call& call : calls.list)
        answers.push_back(call.name ? denied_tool_result(call.id_json, verdict) : denied_error(call.id_json, verdict));
    dom::parser parser;
    dom::array read;
    WEIR_ASSERT(parser.parse(batch_answer(answers)).get_array().get(read) == simdjson::SUCCESS);
    WEIR_ASSERT(read.size() == calls.list.size());
    WEIR_ASSERT(as_sse_event(answers[0]).find('\n') == as_sse_event("x").find('\n'));
}

struct Padded {
    explicit Padded(std::string content) : bytes(std::move(content)), size(bytes.size()) {
        bytes.append(policy::kJsonPadding, '\0');
    }
    [[nodiscard]] std::string_view view() const { return std::string_view(bytes).substr(0, size); }
    std::string bytes;
    std::size_t size;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static MessageReader reader;
    static MessageReader other;
    const std::string text(reinterpret_cast<const char*>(data), size);
    const Padded body(text);
    const Message message = reader.read(body.view());
    const auto* calls = std::get_if<Calls>(&message);

    const Padded marked("\xEF\xBB\xBF" + text);
    WEIR_ASSERT(!std::holds_alternative<Calls>(other.read(marked.view())));
    const Padded spaced(" \r\n" + text + "\t");
    const Message again = other.read(spaced.view());
    if (const auto* refused = std::get_if<Refused>(&message)) WEIR_ASSERT(refused->position <= size);
    if (const auto* unjudgeable = std::get_if<Unjudgeable>(&message)) WEIR_ASSERT(unjudgeable->calls_most >= 1);
    // A mark or UTF-16 is one at the very start alone.
    WEIR_ASSERT(calls == nullptr || std::holds_alternative<Calls>(again));
    if (calls == nullptr) return 0;

    simdjson::dom::parser parser;
    dom::element root;
    WEIR_ASSERT(parser.parse(body.bytes.data(), size).get(root) == simdjson::SUCCESS);
    WEIR_ASSERT(calls->batch == root.is_array() && !calls->list.empty());
    const auto& respaced = std::get_if<Calls>(&again)->list;
    WEIR_ASSERT(respaced.size() == calls->list.size());
    for (std::size_t i = 0; i < respaced.size(); ++i) {
        WEIR_ASSERT(respaced[i].kind == calls->list[i].kind && respaced[i].id_json == calls->list[i].id_json);
        WEIR_ASSERT(respaced[i].method == calls->list[i].method && respaced[i].name == calls->list[i].name);
    }
    if (!calls->batch) {
        check_call(calls->list[0], root);
    } else {
        std::size_t i = 0;
        const dom::array batch = root.get_array().value_unsafe();
        for (const dom::element element : batch) check_call(calls->list[i++], element);
        WEIR_ASSERT(calls->list.size() == std::max<std::size_t>(i, 1));
    }
    check_answers(*calls);
    return 0;
}
