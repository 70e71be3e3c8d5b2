// Trees that are made rather than read, and trees as text.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/document.h"

namespace weir::config {

[[nodiscard]] Node word(std::string_view text);     // quoted: text whatever it looks like
[[nodiscard]] Node literal(std::string_view text);  // plain: a number, true or false where it looks like one
[[nodiscard]] Node object(std::initializer_list<std::pair<std::string_view, Node>> members);
[[nodiscard]] Node array(std::vector<Node> items);
void put(Node& object, std::string_view key, Node value);

// Loads again: what would be read as something else is quoted, "$" is doubled.
[[nodiscard]] std::string to_yaml(const Node& node);
[[nodiscard]] std::string to_yaml_flow(const Node& node);  // on one line
[[nodiscard]] std::string to_json(const Node& node);

// RFC 8259 6, so that "0x10", ".5" and "inf" are text, as a reader of JSON expects.
[[nodiscard]] bool is_json_number(std::string_view text);

}  // namespace weir::config
