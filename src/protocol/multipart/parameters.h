// Parameters of a header field's value, as Content-Type and Content-Disposition have them (RFC 9110 5.6.6):
//   *( OWS ";" OWS [ name "=" ( token / quoted-string ) ] )
//
// Strict, because readers of these fields differ: no white space around "=", nothing behind a value but ";". An escaped
// quote, which some readers take for the end, is let through in the last parameter and without a ";" behind it: no
// reader can then find another parameter in the rest. Browsers write %22 today, and wrote \" in file names.
//
// Pure.
#pragma once

#include <optional>
#include <string_view>

#include "base/result.h"

namespace weir::protocol::multipart {

struct Parameter {
    std::string_view name;
    std::string_view value;  // of a quoted string the inside as it was written, escapes and all
};

// Takes the next parameter off the front of `rest`, which is empty or begins with white space or ";"; nullopt when
// there is none left.
[[nodiscard]] Result<std::optional<Parameter>> take_parameter(std::string_view& rest);

}  // namespace weir::protocol::multipart
