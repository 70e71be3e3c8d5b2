// Whether a text that is no JSON could still be read as an object or array by a backend that is less strict than RFC
// 8259.
//
// A content rule must not be dodged by writing what only a lenient parser accepts, and must not punish what is plainly
// something else ("hello", a MessagePack frame). So the question is not what the text is, but whether some reader in
// use may find a container at its front. What such readers do, and is followed here:
// * skip a byte order mark, white space of any kind, control characters (RFC 7464's separators;
//   Java's trim takes them all), comments ("//", "/*",
//   "#"), the guard ")]}'";
// * read UTF-16 and UTF-32, told by their zero bytes (Python's json.loads on bytes);
// * read a number, string or literal, and then the next document behind it (Go's json.Decoder, Jackson, jq);
// * go on after any error inside the container (JSON5, NaN, trailing commas, bad UTF-8): all of that is "perhaps".
//
// Pure, linear in the length of the content.
#pragma once

#include <string_view>

namespace weir::policy {

// `complete`: `content` is all of the text; else more may follow, and a text without an end is "perhaps".
[[nodiscard]] bool may_read_as_json(std::string_view content, bool complete);

}  // namespace weir::policy
