// The page of the manual about metrics, made from list.h; docs/reference/metrics.md is this text, and a test compares.
#pragma once

#include <string>

namespace weir::metrics {

[[nodiscard]] std::string reference_page();

}  // namespace weir::metrics
