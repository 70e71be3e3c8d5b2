// `weir serve`: runs the gateway until a signal ends it. SIGHUP reloads the configuration, SIGTERM and SIGINT drain, a
// second one of these stops at once.
#pragma once

#include <iosfwd>
#include <string>

#include "cli/command_line.h"

namespace weir::cli {

struct ServeOptions {
    ConfigChoice choice;
    std::string listen;  // wins over the file's, when not empty
    std::string admin;
};

// Exit codes: 0 drained, 1 can't listen (or the like), 2 invalid configuration.
int run_serve(const ServeOptions& options, std::ostream& out, std::ostream& err);
void add_serve_command(CLI::App& app, Selected& selected);

}  // namespace weir::cli
