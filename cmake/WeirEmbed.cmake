# Files as bytes of the executable. weir_embed(TARGET file...) adds a generated source with weir::cli::web_files() to
# TARGET; as a script (-P, with FILES and OUTPUT) this same file writes that source.
if(NOT CMAKE_SCRIPT_MODE_FILE)
  function(weir_embed target)
    set(output ${CMAKE_BINARY_DIR}/generated/web_files.cpp)
    string(REPLACE ";" "," files "${ARGN}")
    add_custom_command(OUTPUT ${output}
      COMMAND ${CMAKE_COMMAND} -DFILES=${files} -DOUTPUT=${output} -P ${CMAKE_SOURCE_DIR}/cmake/WeirEmbed.cmake
      DEPENDS ${ARGN} ${CMAKE_SOURCE_DIR}/cmake/WeirEmbed.cmake
      VERBATIM)
    target_sources(${target} PRIVATE ${output})
  endfunction()
  return()
endif()

set(type_html "text/html; charset=utf-8")
set(type_css "text/css; charset=utf-8")
set(type_js "text/javascript; charset=utf-8")

string(REPLACE "," ";" FILES "${FILES}")
set(arrays "")
set(rows "")
set(count 0)
foreach(file IN LISTS FILES)
  get_filename_component(name ${file} NAME)
  string(REGEX REPLACE ".*\\." "" extension ${name})
  file(READ ${file} hex HEX)
  string(LENGTH "${hex}" digits)
  math(EXPR size "${digits} / 2")
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  string(APPEND arrays "constexpr unsigned char kFile${count}[] = {\n${hex}0};\n")
  string(APPEND rows "    WebFile{\"${name}\", \"${type_${extension}}\", "
                     "std::string_view(reinterpret_cast<const char*>(kFile${count}), ${size})},\n")
  math(EXPR count "${count} + 1")
endforeach()
file(WRITE ${OUTPUT} "#include \"cli/web_files.h\"\n\nnamespace weir::cli {\nnamespace {\n${arrays}}  // namespace\n\n"
  "std::span<const WebFile> web_files() {\n    static const WebFile files[] = {\n${rows}    };\n    return files;\n}\n\n"
  "}  // namespace weir::cli\n")
