// The effective configuration as a tree: what the file says, else the default, with the limits and tiers as they came
// out.
#pragma once

#include "config/config.h"
#include "config/document.h"

namespace weir::config {

[[nodiscard]] Node effective(const Node& root, const Config& config);

}  // namespace weir::config
