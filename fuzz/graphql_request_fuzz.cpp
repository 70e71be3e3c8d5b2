// GraphQL requests. What is accepted asks for something, within the bound of a batch; a warm reader says what a cold
// one says; a strict reader of JSON finds the same documents.
//
// The input: a byte for the kind of the body, the target's query part, a line feed, the body.
#include <cstdint>
#include <simdjson.h>
#include <string>

#include "protocol/graphql/request.h"

namespace {

namespace graphql = weir::protocol::graphql;
using graphql::BodyKind;
using graphql::Outcome;
using graphql::Request;
using graphql::RequestReader;
using graphql::Requests;

constexpr std::uint64_t kBatchMax = 3;

std::string text_of(const Outcome<Requests>& outcome) {
    if (!outcome) {
        WEIR_ASSERT(!outcome.problem().message.empty());
        return outcome.problem().message;
    }
    WEIR_ASSERT(!outcome->all.empty() && outcome->all.size() <= kBatchMax);
    WEIR_ASSERT(outcome->batch || outcome->all.size() == 1);
    std::string text(outcome->batch ? "batch" : "one");
    for (const Request& request : outcome->all) {
        WEIR_ASSERT(request.has_document() || request.has_persisted_id());
        WEIR_ASSERT(!request.operation_name || !request.operation_name->empty());
        text += "\n" + std::string(request.document) + "\n" + std::string(request.operation_name.value_or("")) + "\n" +
                std::string(request.persisted_id);
    }
    return text;
}

// Of an accepted object, by a reader of its own.
void check_object(std::string_view body, const Request& request) {
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (body.starts_with("\xEF\xBB\xBF")) body.remove_prefix(3);
    WEIR_ASSERT(parser.parse(body.data(), body.size()).get_object().get(object) == simdjson::SUCCESS);
    std::string_view query;
    const bool present = object.at_key("query").get_string().get(query) == simdjson::SUCCESS;
    WEIR_ASSERT(request.document == (present ? query : std::string_view{}));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static RequestReader warm;
    if (size == 0) return 0;
    const auto kind = static_cast<BodyKind>(data[0] % 3);
    const std::string input(reinterpret_cast<const char*>(data + 1), size - 1);
    const std::size_t line = input.find('\n');
    const std::string query_part = input.substr(0, line);
    const std::string body = line == std::string::npos ? std::string() : input.substr(line + 1);

    RequestReader cold;
    const std::string got = text_of(warm.read_get(query_part));
    WEIR_ASSERT(text_of(cold.read_get(query_part)) == got);
    // A form says the same in a URL and in a body.
    WEIR_ASSERT(text_of(warm.read_post(BodyKind::kForm, query_part, "", kBatchMax)) == got);

    const Outcome<Requests> outcome = warm.read_post(kind, body, query_part, kBatchMax);
    const std::string posted = text_of(outcome);
    if (outcome && kind == BodyKind::kJson && !outcome->batch && query_part.empty())
        check_object(body, outcome->all.front());
    WEIR_ASSERT(text_of(cold.read_post(kind, body, query_part, kBatchMax)) == posted);
    return 0;
}
