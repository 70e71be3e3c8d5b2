// Holds a tree to the table of keys: unknown keys, keys of other versions, wrong shapes, values out of their bounds.
// What refers to other parts of the file (names of limits, tiers of routes) is checked when the Config is built.
#pragma once

#include <string>
#include <vector>

#include "config/document.h"

namespace weir::config {

// `tiers`: the names that may stand in a limit beside its keys.
void validate(const Node& root, const std::vector<std::string>& tiers, Report& report);

}  // namespace weir::config
