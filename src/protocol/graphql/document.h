// What counting needs of an executable GraphQL document (specification 2.2 to 2.12), kept flat: its operations and
// fragments, and of each the fields at its root, the fragments that it spreads, how deep it nests and how many fields
// have an alias. No tree is made: what lies under a root field counts by its depth and its aliases alone.
//
// Accepted is what the specification of September 2025 accepts, but for type system definitions and extensions: they
// are not executable. Fragment variables (`fragment f($x: Int) on T`), empty `()` and `{}`, and a description before
// the shorthand `{ ... }` are refused, as by the specification.
//
// Memory and time are linear in the document, of which `tokens_max` bounds the tokens; nesting is bounded by
// kGraphqlNestingMax. A Document is reused and keeps its memory: after some requests nothing is allocated.
// All views point into the text.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "protocol/graphql/problem.h"

namespace weir::protocol::graphql {

enum class OperationType : std::uint8_t { kQuery, kMutation, kSubscription };

[[nodiscard]] std::string_view operation_type_name(OperationType type);

// `name` is the field's name in the schema, `key` its name in the response: its alias, else the same.
struct RootSelection {
    std::string_view name;
    std::string_view key;
};

struct Spread {
    std::string_view fragment;
    std::uint32_t depth = 0;  // how many fields enclose it in its definition; 0: at the root
};

struct Definition {
    OperationType type = OperationType::kQuery;  // an operation's
    std::string_view name;                       // empty: an operation without a name
    std::size_t offset = 0;                      // of its first token behind a description
    // Ranges of Document's vectors.
    std::uint32_t roots_begin = 0;
    std::uint32_t roots_end = 0;
    std::uint32_t spreads_begin = 0;
    std::uint32_t spreads_end = 0;
    // Of the definition by itself, its spreads left out.
    std::uint32_t depth = 0;
    std::uint32_t aliases = 0;
};

struct Document {
    std::vector<Definition> operations;
    std::vector<Definition> fragments;
    std::vector<RootSelection> roots;
    std::vector<Spread> spreads;
    std::uint64_t tokens = 0;

    void clear();
};

// Fills `document` from `text`; false, and `problem` says why, when it is no executable document or has too many
// tokens.
[[nodiscard]] bool read_document(std::string_view text, std::uint64_t tokens_max, Document& document, Problem& problem);

}  // namespace weir::protocol::graphql
