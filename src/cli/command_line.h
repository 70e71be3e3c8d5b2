// What the commands share: how one is chosen, where a configuration comes from, what exit codes mean.
//
// Each command is a file of its own with a function that adds it to the line's grammar and a function that runs it.
// main() names them all. Exit codes: 0 done, 1 failed, 2 wrong usage or invalid configuration.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/load.h"

namespace CLI {
class App;
}

namespace weir::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kWrongUsage = 2;

// The command that the line named, with its options bound.
struct Selected {
    std::function<int(std::ostream& out, std::ostream& err)> run;
};

using AddCommand = void (*)(CLI::App& app, Selected& selected);

// Parses `arguments` (without the program's name) and runs the command that they name.
int run_command_line(std::vector<std::string> arguments, std::span<const AddCommand> commands, std::ostream& out,
                     std::ostream& err);

// "NAME=VALUE" of this process.
[[nodiscard]] std::vector<std::string> process_environment();

// Where a configuration comes from: a file, or a preset.
struct ConfigChoice {
    std::string file;
    std::string preset;
    std::string upstream;  // of the preset
    std::vector<std::string> environment;
};

// --config, --preset and --upstream. `required`: one of the first two must be there.
void add_config_options(CLI::App& command, ConfigChoice& choice, bool required);

// The text and environment to load; nullopt when the file can't be read or there is no such preset, which `err` was
// told then.
[[nodiscard]] std::optional<config::Sources> make_sources(const ConfigChoice& choice, std::ostream& err);

// A line for each: problems, or with `label` "warning: " what is odd.
void print_problems(const std::vector<config::Problem>& problems, std::string_view label, std::ostream& err);

}  // namespace weir::cli
