#include "cli/check.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>
#include <sstream>

#include "config/tree.h"

namespace weir::cli {

namespace {

config::Node problems_node(const std::vector<config::Problem>& problems) {
    config::Node list = config::array({});
    for (const config::Problem& problem : problems) {
        list.items.push_back(config::object({{"file", config::word(problem.file)},
                                             {"line", config::literal(std::to_string(problem.line))},
                                             {"column", config::literal(std::to_string(problem.column))},
                                             {"message", config::word(problem.message)}}));
    }
    return list;
}

// What a script reads: all on standard output, and nothing else there.
int check_as_json(const ConfigChoice& choice, std::ostream& out) {
    config::Loaded loaded;
    std::ostringstream unreadable;
    if (const auto sources = make_sources(choice, unreadable)) {
        loaded = config::load(*sources);
    } else {
        // "FILE: why".
        std::string message = unreadable.str().substr(choice.file.size() + 2);
        message.pop_back();
        loaded.problems.push_back({.file = choice.file, .message = std::move(message)});
    }
    const bool valid = loaded.config != nullptr;
    out << config::to_json(config::object({{"valid", config::literal(valid ? "true" : "false")},
                                           {"errors", problems_node(loaded.problems)},
                                           {"warnings", problems_node(loaded.warnings)}}));
    return valid ? kDone : kWrongUsage;
}

}  // namespace

int run_check(const CheckOptions& options, std::ostream& out, std::ostream& err) {
    const ConfigChoice choice{.file = options.file, .preset = {}, .upstream = {}, .environment = options.environment};
    if (options.json) return check_as_json(choice, out);
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
    command->add_flag("--json", options->json, "as JSON: valid, errors and warnings with file, line and column");
    command->footer(
        "Example: weir check weir.yaml\n"
        "         weir check weir.yaml --json\n"
        "Exit codes: 0 valid, 2 invalid.");
    command->callback([options, &selected] {
        options->environment = process_environment();
        selected.run = [options](std::ostream& out, std::ostream& err) { return run_check(*options, out, err); };
    });
}

}  // namespace weir::cli
