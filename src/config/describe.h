// Parts of a configuration as people write them, for `weir explain`.
#pragma once

#include <string>
#include <string_view>

#include "limit/algorithm.h"
#include "policy/content.h"

namespace weir::config {

[[nodiscard]] std::string_view algorithm_name(limit::Algorithm algorithm);
// "{json: {has: query}}".
[[nodiscard]] std::string describe(const policy::Condition& condition);

}  // namespace weir::config
