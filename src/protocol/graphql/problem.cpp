#include "protocol/graphql/problem.h"

#include "base/text.h"

namespace weir::protocol::graphql {

Location location_of(std::string_view document, std::size_t offset) {
    Location at{1, 1};
    for (std::size_t i = 0; i < offset && i < document.size(); ++i) {
        const char c = document[i];
        const bool before_line_feed = c == '\r' && i + 1 < document.size() && document[i + 1] == '\n';
        if (c == '\n' || (c == '\r' && !before_line_feed)) {
            at.line += 1;
            at.column = 1;
        } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
            at.column += 1;
        }
    }
    return at;
}

std::string error_json(const Problem& problem) {
    std::string text = R"({"message": ")";
    append_json_escaped(text, problem.message);
    text += '"';
    if (problem.at.line > 0) {
        text += R"(, "locations": [{"line": )" + std::to_string(problem.at.line) + R"(, "column": )" +
                std::to_string(problem.at.column) + "}]";
    }
    text += R"(, "extensions": {"code": ")";
    text += problem.kind == ProblemKind::kSyntax ? "GRAPHQL_PARSE_FAILED" : "BAD_REQUEST";
    text += "\"}}";
    return text;
}

Error Problem::error() const {
    switch (kind) {
        case ProblemKind::kSyntax:
            return {ErrorCode::kMalformed, ErrorSource::kDownstream, false, "no executable GraphQL document"};
        case ProblemKind::kAmbiguous:
            return {ErrorCode::kMalformed, ErrorSource::kDownstream, false, "an ambiguous GraphQL request"};
        case ProblemKind::kRequest:
            return {ErrorCode::kMalformed, ErrorSource::kDownstream, false, "no GraphQL request"};
        case ProblemKind::kBoundExceeded:
            return {ErrorCode::kInvalidArgument, ErrorSource::kDownstream, false, "a GraphQL request beyond a bound"};
        default:
            return {ErrorCode::kInvalidArgument, ErrorSource::kDownstream, false, "no valid GraphQL operation"};
    }
}

}  // namespace weir::protocol::graphql
