// What the tests of this folder share: loads a text with an environment, and reads files of the tree.
#pragma once

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "config/load.h"

namespace weir::config {

inline Loaded load_text(std::string text, std::vector<std::string> environment = {}) {
    Sources sources;
    sources.text = std::move(text);
    sources.environment = std::move(environment);
    sources.read_file = [](const std::string&, std::string&) { return false; };
    return load(sources);
}

inline std::string messages(const std::vector<Problem>& problems) {
    std::string all;
    for (const Problem& problem : problems) all += problem.to_string() + "\n";
    return all;
}

// The folder that the tree lies in.
inline std::string tree_root() {
    const std::string here = __FILE__;
    return here.substr(0, here.rfind("/src/config/"));
}

inline std::string tree_file(const std::string& path) {
    std::ifstream stream(tree_root() + "/" + path, std::ios::binary);
    std::stringstream text;
    text << stream.rdbuf();
    return text.str();
}

inline constexpr const char* kUpstream = "upstreams: {app: http://127.0.0.1:8000}\n";

}  // namespace weir::config
