// `weir demo`: a chat backend, the gateway in front of it, and a page that shows limits at work. One process, nothing
// of the network but 127.0.0.1.
#pragma once

#include <cstdint>
#include <string>

namespace weir::cli {

struct DemoOptions {
    std::uint16_t port = 0;  // of the gateway; 0: a free one
};

// The configuration of the demo's gateway, as YAML.
[[nodiscard]] std::string demo_configuration(std::uint16_t port, std::uint16_t backend_port);

// Runs until SIGINT or SIGTERM. The exit code: 0 done, 1 failed.
[[nodiscard]] int run_demo(const DemoOptions& options);

}  // namespace weir::cli
