// `weir demo`: a chat backend, the gateway in front of it, and a page that shows limits at work. One process, nothing
// of the network but 127.0.0.1.
#pragma once

#include <cstdint>
#include <iosfwd>
#include <string>

#include "cli/command_line.h"

namespace weir::cli {

struct DemoOptions {
    std::uint16_t port = 0;  // of the gateway; 0: a free one
};

// The configuration of the demo's gateway, as YAML.
[[nodiscard]] std::string demo_configuration(std::uint16_t port, std::uint16_t backend_port);

// Runs until SIGINT or SIGTERM. Exit codes: 0 done, 1 failed.
int run_demo(const DemoOptions& options, std::ostream& out, std::ostream& err);
void add_demo_command(CLI::App& app, Selected& selected);

}  // namespace weir::cli
