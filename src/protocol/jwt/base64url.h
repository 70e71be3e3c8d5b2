// Base64url as JOSE writes it (RFC 7515 2): no padding, no white space, and the unused bits of the last character zero,
// so that a value has one spelling only. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace weir::protocol::jwt {

[[nodiscard]] std::optional<std::string> decode_base64url(std::string_view text);
[[nodiscard]] std::string encode_base64url(std::string_view bytes);

}  // namespace weir::protocol::jwt
