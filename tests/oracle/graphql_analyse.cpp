// Weir's side of graphql_oracle.py: analyses the documents of standard input, and prints a line of JSON for each.
//
// Of each document: its size, and that of the operation's name or -1 for none, as decimal text in a line; then the
// bytes of both. Ends at the end of its input; exits 1 when that is not between two documents.
#include <fmt/format.h>
#include <iostream>
#include <string>

#include "base/text.h"
#include "protocol/graphql/analysis.h"

namespace {

namespace graphql = weir::protocol::graphql;

constexpr graphql::Bounds kBounds{100'000, 1'000'000, 1'000'000'000, 1'000'000};

std::string quoted(std::string_view text) {
    std::string out = "\"";
    weir::append_json_escaped(out, text);
    return out + "\"";
}

std::string line_of(const graphql::Outcome<graphql::Operation>& outcome) {
    if (!outcome) {
        const graphql::Problem& problem = outcome.problem();
        return fmt::format("{{\"accepted\": false, \"message\": {}, \"line\": {}, \"column\": {}}}",
                           quoted(problem.message), problem.at.line, problem.at.column);
    }
    std::string fields;
    for (const graphql::RootField& field : outcome->root_fields)
        fields += fmt::format("{}{}: {}", fields.empty() ? "" : ", ", quoted(field.name), field.count);
    return fmt::format(
        "{{\"accepted\": true, \"type\": \"{}\", \"name\": {}, \"depth\": {}, \"aliases\": {}, \"fields\": {{{}}}}}",
        graphql::operation_type_name(outcome->type), quoted(outcome->name), outcome->depth, outcome->aliases, fields);
}

bool read(std::string& into, std::size_t size) {
    into.resize(size);
    return size == 0 || std::cin.read(into.data(), static_cast<std::streamsize>(size));
}

}  // namespace

int main() {
    std::ios::sync_with_stdio(false);
    graphql::Analyser analyser;
    std::size_t size = 0;
    long name_size = 0;
    std::string document;
    std::string name;
    while (std::cin >> size >> name_size) {
        std::cin.get();
        if (!read(document, size) || !read(name, name_size < 0 ? 0 : static_cast<std::size_t>(name_size))) return 1;
        const auto wanted = name_size < 0 ? std::nullopt : std::optional<std::string_view>(name);
        std::cout << line_of(analyser.analyse(document, wanted, kBounds)) << "\n";
    }
    return std::cin.eof() ? 0 : 1;
}
