#include "protocol/multipart/parameters.h"

#include "base/text.h"
#include "protocol/http/grammar.h"

namespace weir::protocol::multipart {
namespace {

Error malformed(std::string_view detail) {
    return {.code = ErrorCode::kMalformed, .source = ErrorSource::kDownstream, .detail = detail};
}

std::size_t token_length(std::string_view text) {
    std::size_t length = 0;
    while (length < text.size() && http::is_of(text[length], http::kTokenChar)) ++length;
    return length;
}

// The inside of the quoted string at the start of `rest`, which is taken off.
Result<std::string_view> take_quoted(std::string_view& rest) {
    bool escaped_quote = false;
    std::size_t end = 1;
    while (end < rest.size() && rest[end] != '"') {
        if (!http::is_of(rest[end], http::kValueChar)) return malformed("a control character in a quoted string");
        if (rest[end] == '\\') {
            ++end;
            escaped_quote = escaped_quote || (end < rest.size() && rest[end] == '"');
        }
        ++end;
    }
    if (end >= rest.size()) return malformed("a quoted string without an end");
    const std::string_view inside = rest.substr(1, end - 1);
    rest.remove_prefix(end + 1);
    if (escaped_quote && (inside.find(';') != std::string_view::npos || !trimmed(rest).empty()))
        return malformed("an escaped quote that hides a parameter from some readers");
    return inside;
}

}  // namespace

Result<std::optional<Parameter>> take_parameter(std::string_view& rest) {
    rest = trimmed(rest);
    while (!rest.empty() && rest.front() == ';') rest = trimmed(rest.substr(1));
    if (rest.empty()) return std::optional<Parameter>{};
    Parameter parameter;
    parameter.name = rest.substr(0, token_length(rest));
    rest.remove_prefix(parameter.name.size());
    if (parameter.name.empty() || rest.empty() || rest.front() != '=')
        return malformed("a parameter that is no NAME=VALUE");
    rest.remove_prefix(1);
    if (!rest.empty() && rest.front() == '"') {
        const auto inside = take_quoted(rest);
        if (!inside) return inside.error();
        parameter.value = *inside;
    } else {
        parameter.value = rest.substr(0, token_length(rest));
        rest.remove_prefix(parameter.value.size());
        if (parameter.value.empty()) return malformed("a parameter without a value");
    }
    rest = trimmed(rest);
    if (!rest.empty() && rest.front() != ';') return malformed("text behind a parameter's value");
    return std::optional(parameter);
}

}  // namespace weir::protocol::multipart
