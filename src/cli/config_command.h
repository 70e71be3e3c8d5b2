// `weir config`: shows the effective configuration or a preset, the JSON Schema, the reference page.
#pragma once

#include <iosfwd>

#include "cli/command_line.h"

namespace weir::cli {

struct ShowOptions {
    ConfigChoice config;
    bool json = false;
};

int run_config_show(const ShowOptions& options, std::ostream& out, std::ostream& err);
int run_config_schema(std::ostream& out);
int run_config_reference(std::ostream& out);
void add_config_command(CLI::App& app, Selected& selected);

}  // namespace weir::cli
