#include "cli/command_line.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ostream>
#include <unistd.h>

#include "config/document.h"

extern char** environ;

namespace weir::cli {

int run_command_line(std::vector<std::string> arguments, std::span<const AddCommand> commands, std::ostream& out,
                     std::ostream& err) {
    CLI::App app("Weir keeps every user and every address within its limits, in front of WebSocket applications.",
                 "weir");
    app.set_version_flag("--version", "weir " WEIR_VERSION);
    app.require_subcommand(1);
    app.footer("Example: weir check weir.yaml\nEach command tells more: weir COMMAND --help");
    Selected selected;
    for (const AddCommand add : commands) add(app, selected);
    try {
        std::ranges::reverse(arguments);  // CLI11 takes them from the end
        app.parse(std::move(arguments));
    } catch (const CLI::ParseError& error) {
        return app.exit(error, out, err) == 0 ? kDone : kWrongUsage;
    }
    if (!selected.run) {
        err << app.help();
        return kWrongUsage;
    }
    return selected.run(out, err);
}

std::vector<std::string> process_environment() {
    std::vector<std::string> all;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) all.emplace_back(*entry);
    return all;
}

void add_config_options(CLI::App& command, ConfigChoice& choice, bool required) {
    auto* group = command.add_option_group("configuration");
    group->add_option("--config,-c", choice.file, "the configuration file")->type_name("FILE");
    auto* preset =
        group->add_option("--preset", choice.preset, "a ready-made configuration instead of a file")->type_name("NAME");
    if (required) {
        group->require_option(1);
    } else {
        group->require_option(0, 1);
    }
    command.add_option("--upstream", choice.upstream, "the backend of the preset")->type_name("URL")->needs(preset);
}

std::optional<config::Sources> make_sources(const ConfigChoice& choice, std::ostream& err) {
    config::Sources sources;
    sources.environment = choice.environment;
    if (!choice.preset.empty()) {
        sources.file_name = "preset " + choice.preset;
        sources.text = config::preset_text(choice.preset, choice.upstream);
        if (!sources.text.empty()) return sources;
        err << "there is no preset '" << choice.preset << "', expected one of";
        for (const std::string& name : config::preset_names()) err << ' ' << name;
        err << '\n';
        return std::nullopt;
    }
    sources.file_name = choice.file;
    if (config::read_file(choice.file, sources.text)) return sources;
    err << choice.file << ": can't read this file, expected YAML of at most " << config::kFileBytesMax << " bytes\n";
    return std::nullopt;
}

void print_problems(const std::vector<config::Problem>& problems, std::string_view label, std::ostream& err) {
    for (const config::Problem& problem : problems) {
        config::Problem labelled = problem;
        labelled.message.insert(0, label);
        err << labelled.to_string() << '\n';
    }
}

}  // namespace weir::cli
