// Reads a configuration: YAML text, environment, files that it names. All errors at once, each with its place.
//
// The one module that may throw inside: yaml-cpp's exceptions end here.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace weir::config {

struct Problem {
    std::string file;  // or "environment", or "command line"
    int line = 0;      // from 1; 0: no place
    int column = 0;
    std::string message;  // what is wrong, what is expected

    [[nodiscard]] std::string to_string() const;  // "weir.yaml:3:5: unknown key 'ruotes', expected one of ..."
};

struct Sources {
    std::string file_name = "weir.yaml";   // for messages
    std::string text;                      // YAML
    std::vector<std::string> environment;  // "NAME=VALUE"
    std::string listen;                    // --listen and --admin: win over the file when not empty
    std::string admin;
    // Reads a file that the configuration names (keys); tests pass their own.
    std::function<bool(const std::string& path, std::string& content)> read_file;
};

struct Loaded {
    std::shared_ptr<const Config> config;  // null when there are problems
    std::vector<Problem> problems;
    std::vector<Problem> warnings;
};

[[nodiscard]] Loaded load(const Sources& sources);

// Reads a whole file, at most kFileBytesMax of it (config/document.h); what Sources::read_file is when it is not set.
[[nodiscard]] bool read_file(const std::string& path, std::string& content);

// The configuration that `sources` make, with every default, as YAML (which loads again) or JSON; secrets are "***".
// Empty when there are problems: load() tells them.
[[nodiscard]] std::string effective_text(const Sources& sources, bool json);

// The text of a preset with the upstream filled in; empty when there is no such preset.
[[nodiscard]] std::string preset_text(std::string_view name, std::string_view upstream_url);
[[nodiscard]] std::vector<std::string> preset_names();

// Made from schema.h: the JSON Schema (draft 2020-12) of the file, and docs/reference/configuration.md.
[[nodiscard]] std::string json_schema();
[[nodiscard]] std::string reference_page();

}  // namespace weir::config
