#include "cli/check.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

namespace weir::cli {

int run_check(const CheckOptions& options, std::ostream& out, std::ostream& err) {
    const ConfigChoice choice{.file = options.file, .preset = {}, .upstream = {}, .environment = options.environment};
    const auto sources = make_sources(choice, err);
    if (!sources) return kWrongUsage;
    const config::Loaded loaded = config::load(*sources);
    print_problems(loaded.problems, "", err);
    print_problems(loaded.warnings, "warning: ", err);
    if (loaded.config == nullptr) return kWrongUsage;
    out << options.file << ": valid\n";
    return kDone;
}

void add_check_command(CLI::App& app, Selected& selected) {
    auto options = std::make_shared<CheckOptions>();
    CLI::App* command = app.add_subcommand("check", "Says all that is wrong with a configuration file.");
    command->add_option("FILE", options->file, "the configuration file")->required();
    command->footer("Example: weir check weir.yaml\nExit codes: 0 valid, 2 invalid.");
    command->callback([options, &selected] {
        options->environment = process_environment();
        selected.run = [options](std::ostream& out, std::ostream& err) { return run_check(*options, out, err); };
    });
}

}  // namespace weir::cli
