#include "protocol/multipart/graphql_upload.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "policy/content.h"
#include "policy/member_name.h"
#include "protocol/multipart/parameters.h"

namespace weir::protocol::multipart {
namespace {

using namespace std::string_view_literals;

Error refusal(ErrorCode code, std::string_view detail) {
    return {.code = code, .source = ErrorSource::kDownstream, .detail = detail};
}
Error malformed(std::string_view detail) {
    return refusal(ErrorCode::kMalformed, detail);
}

// Where servers that also take a plain form look for the query, or for what stands for it.
constexpr std::array kFormNames{"query"sv,      "mutation"sv,   "operationName"sv, "variables"sv,
                                "extensions"sv, "documentId"sv, "doc_id"sv,        "id"sv,
                                "queryId"sv,    "batch"sv};

// What a lenient reader may make of a field's name: PHP and readers of nested forms cut at a bracket and trim, C stops
// at a NUL, some take quotes for quoting.
std::string_view as_read_leniently(std::string_view name) {
    constexpr std::string_view kAround = " \t'\"";
    name.remove_prefix(std::min(name.find_first_not_of(kAround), name.size()));
    name = name.substr(0, name.find('['));
    name.remove_suffix(name.size() - std::min(name.find_last_not_of(kAround) + 1, name.size()));
    return name;
}

bool may_be_read_as(std::string_view name, std::string_view wanted) {
    return policy::match_name(as_read_leniently(name), wanted) != policy::NameMatch::kNone;
}

// JSON is UTF-8; a reader that obeys another charset would see another text.
Result<void> check_charset(std::string_view content_type) {
    std::string_view rest = content_type;
    rest.remove_prefix(std::min(rest.find(';'), rest.size()));
    while (true) {
        const auto taken = take_parameter(rest);
        if (!taken) return taken.error();
        if (!*taken) return {};
        const Parameter& parameter = **taken;
        if (!equals_ignoring_case(parameter.name.substr(0, 7), "charset")) continue;
        const bool plain = parameter.name.size() == 7;
        if (!plain ||
            !(equals_ignoring_case(parameter.value, "utf-8") || equals_ignoring_case(parameter.value, "utf8") ||
              equals_ignoring_case(parameter.value, "us-ascii")))
            return refusal(ErrorCode::kUnsupported, "operations in a charset other than UTF-8");
    }
}

}  // namespace

GraphqlUpload::GraphqlUpload(std::string_view boundary, std::size_t operations_bytes_max)
    : scanner_(boundary), operations_bytes_max_(operations_bytes_max) {}

Result<void> GraphqlUpload::end() {
    if (const auto ended = scanner_.end(); !ended) return ended;
    if (!operations_complete_) return malformed("a multipart request without operations");
    return {};
}

std::string_view GraphqlUpload::operations() const {
    return operations_complete_ ? std::string_view(operations_).substr(0, operations_bytes_) : std::string_view{};
}

Result<void> GraphqlUpload::on_part(const Part& part) {
    current_ = Field::kOther;
    if (may_be_read_as(part.name, "operations")) return begin_operations(part);
    if (may_be_read_as(part.name, "map")) {
        if (part.name != "map" || part.has_file)
            return malformed("a map under a name or in a form that readers differ about");
        if (has_map_) return malformed("a second map");
        if (!has_operations_) return malformed("a map before the operations");
        if (has_file_) return malformed("a map behind a file");
        has_map_ = true;
        return {};
    }
    if (may_be_read_as(part.name, "_charset_"))
        return refusal(ErrorCode::kUnsupported, "a field that sets the charset");
    for (const std::string_view name : kFormNames) {
        if (may_be_read_as(part.name, name)) return malformed("a field that some servers read the query from");
    }
    if (!part.has_file) return {};
    if (!has_operations_) return malformed("a file before the operations");
    if (!has_map_) return malformed("a file before the map");
    has_file_ = true;
    return {};
}

Result<void> GraphqlUpload::begin_operations(const Part& part) {
    if (part.name != "operations" || part.has_file)
        return malformed("operations under a name or in a form that readers differ about");
    if (has_operations_) return malformed("a second operations field");
    if (const auto checked = check_charset(part.content_type); !checked) return checked;
    has_operations_ = true;
    current_ = Field::kOperations;
    return {};
}

Result<void> GraphqlUpload::on_data(std::string_view data) {
    if (current_ != Field::kOperations) return {};
    if (data.size() > operations_bytes_max_ - operations_.size())
        return refusal(ErrorCode::kTooLarge, "operations beyond their bound");
    operations_ += data;
    return {};
}

Result<void> GraphqlUpload::on_part_end() {
    if (current_ != Field::kOperations) return {};
    operations_bytes_ = operations_.size();
    operations_.append(policy::kJsonPadding, '\0');
    operations_complete_ = true;
    return {};
}

}  // namespace weir::protocol::multipart
