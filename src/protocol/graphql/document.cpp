#include "protocol/graphql/document.h"

#include <algorithm>
#include <array>
#include <bitset>
#include <fmt/format.h>
#include <iterator>
#include <limits>

#include "base/limits.h"
#include "protocol/graphql/lexer.h"

namespace weir::protocol::graphql {
namespace {

constexpr std::size_t kShownBytesMax = 40;

constexpr std::string_view token_name(TokenKind kind) {
    switch (kind) {
        case TokenKind::kEnd:
            return "the end of the document";
        case TokenKind::kString:
        case TokenKind::kBlockString:
            return "a string";
        case TokenKind::kInt:
        case TokenKind::kFloat:
            return "a number";
        default:
            return "a name";
    }
}

// One pass over the tokens, one ahead. Each parse_ function begins at its first token and ends behind its last; false
// once `problem_` is filled.
class Parser {
  public:
    Parser(std::string_view text, std::uint64_t tokens_max, Document& document, Problem& problem)
        : text_(text), lexer_(text), tokens_max_(tokens_max), document_(document), problem_(problem) {}

    bool parse_document();

  private:
    bool parse_definition();
    bool parse_operation(bool named);
    bool parse_fragment();
    bool parse_variables();
    bool parse_variable();
    bool parse_type();
    bool parse_selections(Definition& definition);
    bool parse_selection(Definition& definition, std::uint32_t depth, bool& opens, bool& is_field);
    bool parse_field(Definition& definition, std::uint32_t depth);
    bool parse_dots(std::uint32_t depth, bool& opens);
    bool parse_directives(bool constant);
    bool parse_arguments(bool constant);
    bool parse_value(bool constant, std::size_t nesting);
    bool parse_list(bool constant, std::size_t nesting);
    bool parse_object(bool constant, std::size_t nesting);

    [[nodiscard]] bool at(TokenKind kind) const { return token_.kind == kind; }
    [[nodiscard]] bool at_word(std::string_view word) const { return at(TokenKind::kName) && token_.text == word; }

    // To the next token.
    bool advance() {
        lexer_.next(token_);
        tokens_ += 1;
        if (token_.kind != TokenKind::kError && tokens_ <= tokens_max_) return true;
        return stop();
    }
    bool take(TokenKind kind, std::string_view expected) {
        if (!at(kind)) return fail(expected);
        return advance();
    }
    bool stop();
    bool fail(std::string_view expected);
    bool fail_nesting();
    void problem_at(ProblemKind kind, std::size_t offset);
    [[nodiscard]] std::size_t offset() const { return static_cast<std::size_t>(token_.text.data() - text_.data()); }

    std::string_view text_;
    Lexer lexer_;
    Token token_;
    std::uint64_t tokens_ = 0;  // read so far, the one ahead included
    std::uint64_t tokens_max_;
    Document& document_;
    Problem& problem_;
};

void Parser::problem_at(ProblemKind kind, std::size_t offset) {
    problem_.kind = kind;
    problem_.at = location_of(text_, offset);
    problem_.message.clear();
}

// At a token that can't be, or at one too many.
bool Parser::stop() {
    if (token_.kind == TokenKind::kEnd) return true;  // not counted
    if (token_.kind == TokenKind::kError) {
        problem_at(ProblemKind::kSyntax, offset());
        problem_.message = "Syntax error: ";
        lexer_.describe_error(problem_.message);
    } else {
        problem_at(ProblemKind::kBoundExceeded, offset());
        fmt::format_to(std::back_inserter(problem_.message), "The document has more than {} tokens", tokens_max_);
    }
    return false;
}

bool Parser::fail(std::string_view expected) {
    problem_at(ProblemKind::kSyntax, offset());
    std::string& out = problem_.message;
    fmt::format_to(std::back_inserter(out), "Syntax error: expected {}, found ", expected);
    if (token_.kind == TokenKind::kName) {
        fmt::format_to(std::back_inserter(out), "the name \"{}\"", token_.text.substr(0, kShownBytesMax));
    } else if (token_.kind >= TokenKind::kBang) {
        fmt::format_to(std::back_inserter(out), "\"{}\"", token_.text);
    } else {
        out += token_name(token_.kind);
    }
    return false;
}

bool Parser::fail_nesting() {
    problem_at(ProblemKind::kBoundExceeded, offset());
    fmt::format_to(std::back_inserter(problem_.message), "The document nests more than {} levels deep",
                   kGraphqlNestingMax);
    return false;
}

bool Parser::parse_document() {
    if (!advance()) return false;
    if (at(TokenKind::kEnd)) return fail("an operation or a fragment");
    while (!at(TokenKind::kEnd)) {
        if (!parse_definition()) return false;
    }
    document_.tokens = tokens_ - 1;
    return true;
}

bool Parser::parse_definition() {
    const bool described = at(TokenKind::kString) || at(TokenKind::kBlockString);
    if (described && !advance()) return false;
    if (at_word("fragment")) return parse_fragment();
    if (at_word("query") || at_word("mutation") || at_word("subscription")) return parse_operation(true);
    if (at(TokenKind::kBraceOpen)) {
        if (described) return fail("\"query\", since a description does not go before \"{\"");
        return parse_operation(false);
    }
    constexpr std::array<std::string_view, 9> kTypeSystem{"schema", "scalar", "type",      "interface", "union",
                                                          "enum",   "input",  "directive", "extend"};
    if (at(TokenKind::kName) && std::find(kTypeSystem.begin(), kTypeSystem.end(), token_.text) != kTypeSystem.end())
        return fail("an operation or a fragment, since definitions of types can't be executed");
    return fail("\"query\", \"mutation\", \"subscription\", \"fragment\" or \"{\"");
}

// `named`: begins with its type; else it is the shorthand of a query.
bool Parser::parse_operation(bool named) {
    Definition operation;
    operation.offset = offset();
    if (named) {
        if (token_.text == "mutation") operation.type = OperationType::kMutation;
        if (token_.text == "subscription") operation.type = OperationType::kSubscription;
        if (!advance()) return false;
        if (at(TokenKind::kName)) {
            operation.name = token_.text;
            if (!advance()) return false;
        }
        if (at(TokenKind::kParenOpen) && !parse_variables()) return false;
        if (!parse_directives(false)) return false;
    }
    if (!parse_selections(operation)) return false;
    document_.operations.push_back(operation);
    return true;
}

bool Parser::parse_fragment() {
    Definition fragment;
    fragment.offset = offset();
    if (!advance()) return false;
    if (!at(TokenKind::kName) || token_.text == "on") return fail("the name of the fragment, which can't be \"on\"");
    fragment.name = token_.text;
    if (!advance()) return false;
    if (!at_word("on")) return fail("\"on\"");
    if (!advance() || !take(TokenKind::kName, "the name of a type")) return false;
    if (!parse_directives(false) || !parse_selections(fragment)) return false;
    document_.fragments.push_back(fragment);
    return true;
}

bool Parser::parse_variables() {
    if (!advance()) return false;
    do {
        if (!parse_variable()) return false;
    } while (!at(TokenKind::kParenClose));
    return advance();
}

bool Parser::parse_variable() {
    if ((at(TokenKind::kString) || at(TokenKind::kBlockString)) && !advance()) return false;
    if (!take(TokenKind::kDollar, "a variable") || !take(TokenKind::kName, "the name of a variable")) return false;
    if (!take(TokenKind::kColon, "\":\" and a type") || !parse_type()) return false;
    if (at(TokenKind::kEquals) && (!advance() || !parse_value(true, 0))) return false;
    return parse_directives(true);
}

// Brackets are counted, not nested calls.
bool Parser::parse_type() {
    std::size_t lists = 0;
    for (; at(TokenKind::kBracketOpen); ++lists) {
        if (lists == kGraphqlNestingMax) return fail_nesting();
        if (!advance()) return false;
    }
    if (!take(TokenKind::kName, "the name of a type")) return false;
    for (;;) {
        if (at(TokenKind::kBang) && !advance()) return false;
        if (lists == 0) return true;
        if (!take(TokenKind::kBracketClose, "\"]\" behind the type of a list")) return false;
        lists -= 1;
    }
}

// All selection sets of a definition in one loop: what is open is kept as bits, one for each set that is open.
bool Parser::parse_selections(Definition& definition) {
    if (!at(TokenKind::kBraceOpen)) return fail("\"{\"");
    definition.roots_begin = static_cast<std::uint32_t>(document_.roots.size());
    definition.spreads_begin = static_cast<std::uint32_t>(document_.spreads.size());
    std::bitset<kGraphqlNestingMax + 2> of_field;  // the set at this nesting is a field's, not an inline fragment's
    std::size_t nesting = 0;
    std::uint32_t depth = 0;  // fields around
    bool opens = true;
    do {
        if (opens) {
            if (nesting == kGraphqlNestingMax) return fail_nesting();
            nesting += 1;
            if (!advance()) return false;
            if (at(TokenKind::kBraceClose)) return fail("a field or \"...\", since a selection can't be empty");
        }
        if (at(TokenKind::kBraceClose)) {
            if (of_field[nesting]) depth -= 1;
            nesting -= 1;
            opens = false;
            if (!advance()) return false;
            continue;
        }
        bool is_field = false;
        if (!parse_selection(definition, depth, opens, is_field)) return false;
        if (opens) {
            of_field[nesting + 1] = is_field;
            if (is_field) depth += 1;
        }
    } while (nesting != 0);
    definition.roots_end = static_cast<std::uint32_t>(document_.roots.size());
    definition.spreads_end = static_cast<std::uint32_t>(document_.spreads.size());
    return true;
}

// `opens`: its selection set follows.
bool Parser::parse_selection(Definition& definition, std::uint32_t depth, bool& opens, bool& is_field) {
    if (at(TokenKind::kName)) {
        is_field = true;
        if (!parse_field(definition, depth)) return false;
        opens = at(TokenKind::kBraceOpen);
        return true;
    }
    if (at(TokenKind::kSpread)) return parse_dots(depth, opens);
    return fail("a field, \"...\" or \"}\"");
}

// But for its selection set.
bool Parser::parse_field(Definition& definition, std::uint32_t depth) {
    RootSelection field{token_.text, token_.text};
    if (!advance()) return false;
    if (at(TokenKind::kColon)) {
        if (!advance()) return false;
        field.name = token_.text;
        if (!take(TokenKind::kName, "the name of the field behind its alias")) return false;
        definition.aliases += 1;
    }
    definition.depth = std::max(definition.depth, depth + 1);
    if (depth == 0) document_.roots.push_back(field);
    if (at(TokenKind::kParenOpen) && !parse_arguments(false)) return false;
    return !at(TokenKind::kAt) || parse_directives(false);
}

// A spread, or an inline fragment but for its selection set.
bool Parser::parse_dots(std::uint32_t depth, bool& opens) {
    if (!advance()) return false;
    opens = true;
    if (at_word("on")) {
        if (!advance() || !take(TokenKind::kName, "the name of a type")) return false;
    } else if (at(TokenKind::kName)) {
        document_.spreads.push_back({token_.text, depth});
        opens = false;
        if (!advance()) return false;
    }
    if (!parse_directives(false)) return false;
    if (opens && !at(TokenKind::kBraceOpen)) return fail("the name of a fragment, \"on\" or \"{\"");
    return true;
}

bool Parser::parse_directives(bool constant) {
    while (at(TokenKind::kAt)) {
        if (!advance() || !take(TokenKind::kName, "the name of a directive")) return false;
        if (at(TokenKind::kParenOpen) && !parse_arguments(constant)) return false;
    }
    return true;
}

bool Parser::parse_arguments(bool constant) {
    if (!advance()) return false;
    do {
        if (!take(TokenKind::kName, "the name of an argument") || !take(TokenKind::kColon, "\":\" and a value"))
            return false;
        if (!parse_value(constant, 0)) return false;
    } while (!at(TokenKind::kParenClose));
    return advance();
}

bool Parser::parse_value(bool constant, std::size_t nesting) {
    switch (token_.kind) {
        case TokenKind::kName:  // true, false, null, or one of an enumeration
        case TokenKind::kInt:
        case TokenKind::kFloat:
        case TokenKind::kString:
        case TokenKind::kBlockString:
            return advance();
        case TokenKind::kDollar:
            if (constant) return fail("a value without variables");
            return advance() && take(TokenKind::kName, "the name of a variable");
        case TokenKind::kBracketOpen:
            return parse_list(constant, nesting + 1);
        case TokenKind::kBraceOpen:
            return parse_object(constant, nesting + 1);
        default:
            return fail("a value");
    }
}

// Calls itself through parse_value, at most kGraphqlNestingMax deep.
bool Parser::parse_list(bool constant, std::size_t nesting) {
    if (nesting > kGraphqlNestingMax) return fail_nesting();
    if (!advance()) return false;
    while (!at(TokenKind::kBracketClose)) {
        if (!parse_value(constant, nesting)) return false;
    }
    return advance();
}

// As parse_list.
bool Parser::parse_object(bool constant, std::size_t nesting) {
    if (nesting > kGraphqlNestingMax) return fail_nesting();
    if (!advance()) return false;
    while (!at(TokenKind::kBraceClose)) {
        if (!take(TokenKind::kName, "the name of a member") || !take(TokenKind::kColon, "\":\" and a value"))
            return false;
        if (!parse_value(constant, nesting)) return false;
    }
    return advance();
}

}  // namespace

std::string_view operation_type_name(OperationType type) {
    constexpr std::array<std::string_view, 3> kNames{"query", "mutation", "subscription"};
    return kNames[static_cast<std::size_t>(type)];
}

void Document::clear() {
    operations.clear();
    fragments.clear();
    roots.clear();
    spreads.clear();
    tokens = 0;
}

bool read_document(std::string_view text, std::uint64_t tokens_max, Document& document, Problem& problem) {
    document.clear();
    // Offsets and counts are kept in 32 bits.
    if (text.size() > std::numeric_limits<std::uint32_t>::max()) {
        problem = {ProblemKind::kBoundExceeded, {}, "The document is larger than 4 GiB"};
        return false;
    }
    return Parser(text, tokens_max, document, problem).parse_document();
}

}  // namespace weir::protocol::graphql
