// `weir check FILE`: says all that is wrong with a configuration.
#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "cli/command_line.h"

namespace weir::cli {

struct CheckOptions {
    std::string file;
    bool json = false;
    std::vector<std::string> environment;
};

int run_check(const CheckOptions& options, std::ostream& out, std::ostream& err);
void add_check_command(CLI::App& app, Selected& selected);

}  // namespace weir::cli
