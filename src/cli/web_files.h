// The files of web/, as bytes inside the executable: nothing is read from disk at run time. Made by
// cmake/WeirEmbed.cmake; any thread may read them.
#pragma once

#include <span>
#include <string_view>

namespace weir::cli {

struct WebFile {
    std::string_view name;  // "demo.html"
    std::string_view content_type;
    std::string_view bytes;
};

[[nodiscard]] std::span<const WebFile> web_files();

}  // namespace weir::cli
