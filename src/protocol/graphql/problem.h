// What is wrong with a GraphQL document or request, in words for the client, and where; and `Outcome`, a value or such
// a problem, both kept by whoever made them until its next call.
//
// Not base/error.h's Result: the words name what the client wrote (a fragment, an operation), so they are no static
// text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.h"

namespace weir::protocol::graphql {

enum class ProblemKind : std::uint8_t {
    kSyntax,             // no executable document
    kAmbiguous,          // readers may disagree about what is asked: several operations and no name, duplicate members
    kUnknownOperation,   // `operationName` names none
    kNoOperation,        // nothing to run: fragments alone, or a request with neither document nor id
    kDuplicateName,      // two operations or two fragments of one name
    kLoneAnonymous,      // an operation without a name beside others
    kFragmentCycle,      // a fragment that spreads itself
    kUndefinedFragment,  // a spread of a fragment that the document does not define
    kBoundExceeded,      // tokens, depth, aliases, root fields, nesting, batch
    kRequest,            // no GraphQL request: JSON, a form or a member of the wrong shape
};

// As GraphQL's errors count: lines and, in code points, columns from 1. A line of 0: not known.
struct Location {
    std::uint32_t line = 0;
    std::uint32_t column = 0;

    friend bool operator==(const Location&, const Location&) = default;
};

// Where `offset` lies in `document`. Linear: for errors.
[[nodiscard]] Location location_of(std::string_view document, std::size_t offset);

struct Problem {
    ProblemKind kind = ProblemKind::kSyntax;
    Location at;
    std::string message;  // UTF-8; what is the client's in it is short, and made of letters, digits and "_"

    [[nodiscard]] Error error() const;
};

// One element of an answer's "errors": {"message": "...", "locations": [{"line": 1, "column": 2}], "extensions":
// {"code": "GRAPHQL_PARSE_FAILED"}}, or BAD_REQUEST.
[[nodiscard]] std::string error_json(const Problem& problem);

// A pointer to a T, or to the problem that kept it from being.
template <typename T>
class [[nodiscard]] Outcome {
  public:
    Outcome(const T* value) : value_(value) {}              // NOLINT: a value is an outcome
    Outcome(const Problem* problem) : problem_(problem) {}  // NOLINT: a problem is an outcome

    explicit operator bool() const { return value_ != nullptr; }
    const T& operator*() const { return checked(); }
    const T* operator->() const { return &checked(); }
    [[nodiscard]] const Problem& problem() const {
        WEIR_ASSERT(problem_ != nullptr);
        return *problem_;
    }

  private:
    const T& checked() const {
        WEIR_ASSERT(value_ != nullptr);
        return *value_;
    }

    const T* value_ = nullptr;
    const Problem* problem_ = nullptr;
};

}  // namespace weir::protocol::graphql
