#include "protocol/graphql/parameters.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace weir::protocol::graphql {
namespace {

namespace dom = simdjson::dom;

constexpr std::array<std::string_view, kParameters> kNames{"query", "operationName", "extensions", "documentId",
                                                           "id",    "doc_id"};

constexpr ParameterFault kAmbiguousName{
    "a member is there twice, or its name is not written as GraphQL over HTTP has it", true};

// The ASCII letter that some readers take a character beyond ASCII for when they ignore case; 0: none.
char folded_special(std::string_view sequence) {
    if (sequence == "\xC5\xBF") return 's';      // long s
    if (sequence == "\xE2\x84\xAA") return 'k';  // Kelvin sign
    if (sequence == "\xC4\xB0" || sequence == "\xC4\xB1") return 'i';
    return 0;
}

bool folds_to(std::string_view name, std::string_view wanted) {
    for (const char c : wanted) {
        if (name.empty()) return false;
        const std::size_t length = utf8_sequence_length(name);
        if (length == 0) return false;
        const char letter = length == 1 ? name.front() : folded_special(name.substr(0, length));
        if (ascii_lower(letter) != ascii_lower(c)) return false;
        name.remove_prefix(length);
    }
    return name.empty();
}

// How `name` relates to `wanted`: not at all, as written, or in another case.
enum class Match : std::uint8_t { kNone, kExact, kFolded };

Match match(std::string_view name, std::string_view wanted) {
    if (name == wanted) return Match::kExact;
    return folds_to(name, wanted) ? Match::kFolded : Match::kNone;
}

// From a member's name to the parameter; `folded` when it is written in another case, so that some readers take it for
// one (Go's and .NET's do).
struct NameOf {
    bool known = false;
    bool folded = false;
    Parameter parameter = Parameter::kQuery;
};

NameOf parameter_of(std::string_view name) {
    for (std::size_t i = 0; i < kNames.size(); ++i) {
        const Match how = match(name, kNames[i]);
        if (how != Match::kNone) return {true, how == Match::kFolded, static_cast<Parameter>(i)};
    }
    return {};
}

// The one member of `object` named `name`; `found` stays as it is when there is none.
ParameterFault find_once(const dom::object& object, std::string_view name, dom::element& found, bool& present) {
    present = false;
    for (const auto [key, value] : object) {
        const Match how = match(key, name);
        if (how == Match::kNone) continue;
        if (how == Match::kFolded || present) return kAmbiguousName;
        found = value;
        present = true;
    }
    return {};
}

ParameterFault read_member(Parameter parameter, const dom::element& value, Parameters& parameters) {
    if (value.is_null()) return {};
    if (parameter == Parameter::kExtensions) return read_extensions(value, parameters);
    if (value.is_string()) {
        parameters.at(parameter) = value.get_string().value_unsafe();
        return {};
    }
    switch (parameter) {
        case Parameter::kQuery:
            return {"\"query\" must be a string"};
        case Parameter::kOperationName:
            return {"\"operationName\" must be a string or null"};
        case Parameter::kId:
            return {};  // a number of the client's own, as in batches; no server knows a document by it
        default:
            return {"the id of a persisted document must be a string"};
    }
}

int hex_digit(char c) {
    if (ascii_digit(c)) return c - '0';
    const char lower = ascii_lower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

// Appends `text` decoded; false at a "%" that no two hexadecimal digits follow.
bool append_decoded(std::string& out, std::string_view text) {
    bool sound = true;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i] == '+' ? ' ' : text[i];
            continue;
        }
        const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
        const int low = high < 0 ? -1 : hex_digit(text[i + 2]);
        if (low < 0) {
            sound = false;
            out += '%';
            continue;
        }
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return sound;
}

// As PHP writes names: without spaces at the front, ended by a NUL or an opening bracket.
std::string_view loose_name(std::string_view name) {
    name.remove_prefix(std::min(name.find_first_not_of(" \t\r\n\v\f"), name.size()));
    constexpr std::string_view kEnds("\0[", 2);
    return name.substr(0, name.find_first_of(kEnds));
}

ParameterFault read_pair(std::string_view pair, bool behind_semicolon, DecodedValues& decoded, Parameters& parameters,
                         std::array<bool, kParameters>& seen) {
    const std::size_t equals = pair.find('=');
    const std::string_view written = pair.substr(0, equals);
    std::string& name = decoded.name;
    name.clear();
    static_cast<void>(append_decoded(name, written));
    const NameOf of = parameter_of(loose_name(name));
    if (!of.known) return {};
    const auto index = static_cast<std::size_t>(of.parameter);
    if (of.folded || behind_semicolon || seen[index] || name != kNames[index])
        return {"a parameter is there twice, or its name is not written as GraphQL over HTTP has it", true};
    seen[index] = true;
    const std::string_view value = equals == std::string_view::npos ? std::string_view{} : pair.substr(equals + 1);
    std::string& out = decoded.values[index];
    out.clear();
    if (!append_decoded(out, value)) return {"\"%\" in a parameter must be followed by two hexadecimal digits"};
    parameters.at(of.parameter) = out;
    return {};
}

}  // namespace

bool Parameters::empty() const {
    return hash.empty() && std::all_of(values.begin(), values.end(), [](std::string_view v) { return v.empty(); });
}

ParameterFault read_extensions(const dom::element& extensions, Parameters& parameters) {
    if (extensions.is_null()) return {};
    if (!extensions.is_object()) return {"\"extensions\" must be an object or null"};
    dom::element found;
    bool present = false;
    if (const auto fault = find_once(extensions.get_object().value_unsafe(), "persistedQuery", found, present))
        return fault;
    if (!present || found.is_null()) return {};
    if (!found.is_object()) return {"\"persistedQuery\" must be an object or null"};
    const dom::object persisted = found.get_object().value_unsafe();
    if (const auto fault = find_once(persisted, "sha256Hash", found, present)) return fault;
    if (!present || found.is_null()) return {};
    if (!found.is_string()) return {"\"sha256Hash\" must be a string"};
    parameters.hash = found.get_string().value_unsafe();
    return {};
}

ParameterFault read_object(const dom::object& object, Parameters& parameters) {
    std::array<bool, kParameters> seen{};
    for (const auto [name, value] : object) {
        const NameOf of = parameter_of(name);
        if (!of.known) continue;
        if (of.folded || std::exchange(seen[static_cast<std::size_t>(of.parameter)], true)) return kAmbiguousName;
        if (const auto fault = read_member(of.parameter, value, parameters)) return fault;
    }
    return {};
}

ParameterFault read_form(std::string_view form, DecodedValues& decoded, Parameters& parameters) {
    std::array<bool, kParameters> seen{};
    while (!form.empty()) {
        const std::size_t ampersand = form.find('&');
        std::string_view pair = form.substr(0, ampersand);
        form.remove_prefix(ampersand == std::string_view::npos ? form.size() : ampersand + 1);
        // What stands behind a ";" is the end of the value, or for some readers (older ones of Python and Ruby) a pair
        // of its own: neither may be of interest here.
        const std::size_t semicolon = pair.find(';');
        const auto before = seen;
        if (const auto fault = read_pair(pair, false, decoded, parameters, seen)) return fault;
        if (semicolon == std::string_view::npos) continue;
        if (before != seen) return {"\";\" in a parameter must be written %3B", true};
        for (std::size_t at = semicolon; at != std::string_view::npos; at = pair.find(';')) {
            pair.remove_prefix(at + 1);
            const std::string_view piece = pair.substr(0, pair.find(';'));
            if (const auto fault = read_pair(piece, true, decoded, parameters, seen)) return fault;
        }
    }
    return {};
}

}  // namespace weir::protocol::graphql
