# Embeds src/store/*.lua into weir_store: the scripts that run inside the shared store, readable in the tree and in the binary.
file(GLOB script_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/src/store/*.lua)
set(rows "")
foreach(file ${script_files})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
  get_filename_component(name ${file} NAME_WE)
  file(READ ${file} text)
  string(APPEND rows "    ScriptFile{\"${name}\", R\"weir_lua(${text})weir_lua\"},\n")
endforeach()
file(CONFIGURE OUTPUT ${CMAKE_BINARY_DIR}/scripts_embedded.cpp @ONLY CONTENT
"// Made by cmake/WeirScripts.cmake from src/store/*.lua.
#include \"store/script.h\"

#include <array>

namespace weir::store {

namespace {

constexpr auto kFiles = std::to_array<ScriptFile>({
@rows@});

}  // namespace

std::span<const ScriptFile> script_files() {
    return kFiles;
}

}  // namespace weir::store
")
target_sources(weir_store PRIVATE ${CMAKE_BINARY_DIR}/scripts_embedded.cpp)
