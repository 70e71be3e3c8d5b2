// The program `weir`: names the commands that it has, and runs the one that the command line names.
#include <array>
#include <exception>
#include <iostream>

#include "cli/check.h"
#include "cli/command_line.h"
#include "cli/config_command.h"
#include "cli/demo.h"
#include "cli/explain.h"
#include "cli/serve.h"

int main(int argc, char** argv) {
    using namespace weir::cli;
    constexpr std::array<AddCommand, 5> kCommands{add_serve_command, add_demo_command, add_check_command,
                                                  add_explain_command, add_config_command};
    try {
        return run_command_line({argv + 1, argv + argc}, kCommands, std::cout, std::cerr);
    } catch (const std::exception& error) {
        std::cerr << "weir: " << error.what() << '\n';
        return kFailed;
    }
}
