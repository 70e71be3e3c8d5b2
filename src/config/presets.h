// The presets of src/config/presets, embedded by CMake (cmake/WeirPresets.cmake).
#pragma once

#include <span>
#include <string_view>

namespace weir::config {

struct Preset {
    std::string_view name;
    std::string_view text;
};

[[nodiscard]] std::span<const Preset> presets();

}  // namespace weir::config
