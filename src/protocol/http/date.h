// The time as HTTP writes it (RFC 9110 5.6.7, IMF-fixdate): "Sun, 06 Nov 1994 08:49:37 GMT". Pure.
#pragma once

#include <string>

#include "base/clock.h"

namespace weir::protocol::http {

[[nodiscard]] std::string http_date(WallTime now);

}  // namespace weir::protocol::http
