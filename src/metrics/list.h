// The one list of metrics. docs/reference/metrics.md is generated from it.
#pragma once

#include <cstdint>

namespace weir::metrics {

enum class Family : std::uint8_t {
    kDecisions,
};

}  // namespace weir::metrics
