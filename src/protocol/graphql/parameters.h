// The parameters of a GraphQL request, out of a JSON object, or out of a form: what the target's query part and the
// body name, one value each. Of no use outside request.cpp.
//
// Readers disagree about names that are there twice, differ in case alone, or stand behind a ";": such requests are
// refused, since the one that counts would not be known.
#pragma once

#include <array>
#include <cstdint>
#include <simdjson.h>
#include <string>
#include <string_view>

namespace weir::protocol::graphql {

enum class Parameter : std::uint8_t { kQuery, kOperationName, kExtensions, kDocumentId, kId, kDocId, kCount_ };

inline constexpr std::size_t kParameters = static_cast<std::size_t>(Parameter::kCount_);

// The parameters of one request. An empty value is as good as none: the servers that do not read it so answer with an
// error.
struct Parameters {
    std::array<std::string_view, kParameters> values{};
    std::string_view hash;  // of extensions.persistedQuery.sha256Hash

    [[nodiscard]] std::string_view& at(Parameter parameter) { return values[static_cast<std::size_t>(parameter)]; }
    [[nodiscard]] std::string_view at(Parameter parameter) const { return values[static_cast<std::size_t>(parameter)]; }
    [[nodiscard]] bool empty() const;
};

// What is wrong, in static text; empty: nothing. `ambiguous`: readers may disagree.
struct ParameterFault {
    std::string_view what;
    bool ambiguous = false;

    explicit operator bool() const { return !what.empty(); }
};

// Values are views into the parsed document.
[[nodiscard]] ParameterFault read_object(const simdjson::dom::object& object, Parameters& parameters);
// `extensions`, an object or null.
[[nodiscard]] ParameterFault read_extensions(const simdjson::dom::element& extensions, Parameters& parameters);
// Values are views into `decoded`, which keeps its memory. `extensions` stays text.
struct DecodedValues {
    std::array<std::string, kParameters> values;
    std::string name;  // scratch
};
[[nodiscard]] ParameterFault read_form(std::string_view form, DecodedValues& decoded, Parameters& parameters);

}  // namespace weir::protocol::graphql
