#include "protocol/jsonrpc/raw_json.h"

#include <algorithm>

namespace weir::protocol::jsonrpc {
namespace {

constexpr std::string_view kSpace = " \t\r\n";

void skip(std::string_view& text, std::string_view characters) {
    text.remove_prefix(std::min(text.find_first_not_of(characters), text.size()));
}

// Length of the string at the start of `text`, its quotes included.
std::size_t string_length(std::string_view text) {
    std::size_t i = 1;
    while (i < text.size() && text[i] != '"') i += text[i] == '\\' ? 2 : 1;
    return std::min(i + 1, text.size());
}

std::size_t value_length(std::string_view text) {
    if (text.empty()) return 0;
    if (text.front() == '"') return string_length(text);
    if (text.front() != '{' && text.front() != '[') return std::min(text.find_first_of(",]} \t\r\n"), text.size());
    std::size_t depth = 0;
    std::size_t i = 0;
    while ((i = text.find_first_of("\"{}[]", i)) != std::string_view::npos) {
        const char c = text[i];
        if (c == '"') {
            i += string_length(text.substr(i));
            continue;
        }
        ++i;
        depth += c == '{' || c == '[' ? 1 : 0;
        depth -= c == '}' || c == ']' ? 1 : 0;
        if (depth == 0) return i;
    }
    return text.size();
}

}  // namespace

RawValues::RawValues(std::string_view container) : rest_(container) {
    skip(rest_, kSpace);
    if (rest_.empty()) return;
    object_ = rest_.front() == '{';
    rest_.remove_prefix(1);
}

std::string_view RawValues::next() {
    skip(rest_, " \t\r\n,");
    if (rest_.empty() || rest_.front() == '}' || rest_.front() == ']') return {};
    if (object_) {
        rest_.remove_prefix(string_length(rest_));
        skip(rest_, " \t\r\n:");
    }
    const std::string_view value = rest_.substr(0, value_length(rest_));
    rest_.remove_prefix(value.size());
    return value;
}

}  // namespace weir::protocol::jsonrpc
