# Embeds src/config/presets/*.yaml into weir_config: one file a preset, readable in the tree and in the binary.
file(GLOB preset_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/config/presets/*.yaml)
set(rows "")
foreach(file ${preset_files})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(APPEND rows "    {\"${name}\", R\"weir_preset(${text})weir_preset\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/presets_embedded.cpp @ONLY CONTENT
"// Made by cmake/WeirPresets.cmake from src/config/presets.
#include \"config/presets.h\"

#include <array>

namespace weir::config {

namespace {

constexpr auto kPresets = std::to_array<Preset>({
@rows@});

}  // namespace

std::span<const Preset> presets() {
    return kPresets;
}

}  // namespace weir::config
")
target_sources(weir_config PRIVATE ${CMAKE_BINARY_DIR}/presets_embedded.cpp)
