#include "protocol/jsonrpc/members.h"

#include "protocol/jsonrpc/raw_json.h"

namespace weir::protocol::jsonrpc {
namespace {

namespace dom = simdjson::dom;

constexpr Reason kTwice = "a member is there twice with different values";
constexpr Reason kNoText = "a method or a name that is no string";

bool same_scalar(const dom::element& a, const dom::element& b) {
    if (a.type() != b.type()) return false;
    switch (a.type()) {
        case dom::element_type::STRING:
            return a.get_string().value_unsafe() == b.get_string().value_unsafe();
        case dom::element_type::INT64:
            return a.get_int64().value_unsafe() == b.get_int64().value_unsafe();
        case dom::element_type::UINT64:
            return a.get_uint64().value_unsafe() == b.get_uint64().value_unsafe();
        case dom::element_type::DOUBLE:
            return a.get_double().value_unsafe() == b.get_double().value_unsafe();
        case dom::element_type::BOOL:
            return a.get_bool().value_unsafe() == b.get_bool().value_unsafe();
        case dom::element_type::NULL_VALUE:
            return true;
        default:
            return false;
    }
}

}  // namespace

bool has_nul(std::string_view text) {
    return text.find('\0') != std::string_view::npos;
}

Reason note(Seen& seen, policy::NameMatch match, std::size_t index, const dom::element& value) {
    if (seen.there && !same_scalar(seen.value, value)) return kTwice;
    const bool exact = match == policy::NameMatch::kExact;
    if (!seen.there || (exact && !seen.exact)) {
        seen.index = index;
        seen.value = value;
    }
    seen.there = true;
    seen.exact = seen.exact || exact;
    return {};
}

Reason text_of(const Seen& seen, std::optional<std::string_view>& text) {
    if (!seen.there || seen.value.is_null()) return {};
    if (!seen.value.is_string()) return kNoText;
    text = seen.value.get_string().value_unsafe();
    return has_nul(*text) ? kNul : Reason{};
}

std::string_view raw_member(std::string_view object, std::size_t index) {
    RawValues values(object);
    while (index-- > 0) static_cast<void>(values.next());
    return values.next();
}

}  // namespace weir::protocol::jsonrpc
