// GraphQL documents. What is accepted is within its bounds, with names that stand in the document; a warm analyser says
// what a cold one says; commas for spaces and a comment at the end change nothing.
//
// The input: the operation's name, a line feed, the document; without a line feed it is a document.
#include <algorithm>
#include <cstdint>
#include <string>

#include "protocol/graphql/analysis.h"

namespace {

namespace graphql = weir::protocol::graphql;
using graphql::Operation;
using graphql::Outcome;

// An outcome with its words copied.
std::string text_of(const Outcome<Operation>& outcome) {
    if (!outcome) {
        const graphql::Problem& problem = outcome.problem();
        WEIR_ASSERT(!problem.message.empty());
        WEIR_ASSERT((problem.at.line == 0) == (problem.at.column == 0));
        return std::to_string(problem.at.line) + ":" + std::to_string(problem.at.column) + problem.message;
    }
    std::string text(graphql::operation_type_name(outcome->type));
    text += " " + std::string(outcome->name) + " " + std::to_string(outcome->depth) + " " +
            std::to_string(outcome->aliases);
    for (const graphql::RootField& field : outcome->root_fields)
        text += " " + std::string(field.name) + "=" + std::to_string(field.count);
    return text;
}

void check_accepted(const Operation& operation, std::string_view document, const graphql::Bounds& bounds) {
    WEIR_ASSERT(operation.tokens <= bounds.tokens && operation.tokens <= document.size());
    WEIR_ASSERT(operation.depth >= 1 && operation.depth <= bounds.depth);
    WEIR_ASSERT(operation.aliases <= bounds.aliases);
    WEIR_ASSERT(!operation.root_fields.empty() || document.find("...") != std::string_view::npos);
    std::uint64_t total = 0;
    const char* before = nullptr;
    for (const graphql::RootField& field : operation.root_fields) {
        WEIR_ASSERT(field.count >= 1 && !field.name.empty());
        WEIR_ASSERT(field.name.data() >= document.data() &&
                    field.name.data() + field.name.size() <= document.data() + document.size());
        WEIR_ASSERT(field.name.data() > before);
        before = field.name.data();
        total += field.count;
    }
    WEIR_ASSERT(total == operation.root_fields_total && total >= 1 && total <= bounds.root_fields);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static graphql::Analyser warm;
    const std::string input(reinterpret_cast<const char*>(data), size);
    const std::size_t line = input.find('\n');
    const std::string document = line == std::string::npos ? input : input.substr(line + 1);
    std::optional<std::string_view> name;
    if (line != std::string::npos && line != 0) name = std::string_view(input).substr(0, line);
    const graphql::Bounds bounds{500, 12, 40, 30};

    const Outcome<Operation> outcome = warm.analyse(document, name, bounds);
    if (outcome) check_accepted(*outcome, document, bounds);
    const bool accepted = static_cast<bool>(outcome);
    const std::string text = text_of(outcome);
    WEIR_ASSERT(text_of(warm.analyse(document, name, bounds)) == text);
    graphql::Analyser cold;
    WEIR_ASSERT(text_of(cold.analyse(document, name, bounds)) == text);

    // A space between tokens may be any other separator; one inside a string or comment stays text.
    std::string commas = document;
    std::replace(commas.begin(), commas.end(), ' ', ',');
    if (accepted) WEIR_ASSERT(text_of(warm.analyse("\xEF\xBB\xBF#c\r" + commas + "\n#c", name, bounds)) == text);
    return 0;
}
