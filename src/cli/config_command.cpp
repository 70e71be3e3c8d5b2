#include "cli/config_command.h"

#include <CLI/CLI.hpp>
#include <memory>
#include <ostream>

namespace weir::cli {

// A preset is shown as it is written, as the start of a user's own file; a file as what it comes to.
int run_config_show(const ShowOptions& options, std::ostream& out, std::ostream& err) {
    const auto sources = make_sources(options.config, err);
    if (!sources) return kWrongUsage;
    if (!options.config.preset.empty() && !options.json) {
        out << sources->text;
        return kDone;
    }
    const config::Loaded loaded = config::load(*sources);
    print_problems(loaded.problems, "", err);
    print_problems(loaded.warnings, "warning: ", err);
    if (loaded.config == nullptr) return kWrongUsage;
    out << config::effective_text(*sources, options.json);
    return kDone;
}

int run_config_schema(std::ostream& out) {
    out << config::json_schema();
    return kDone;
}

int run_config_reference(std::ostream& out) {
    out << config::reference_page();
    return kDone;
}

void add_config_command(CLI::App& app, Selected& selected) {
    CLI::App* command =
        app.add_subcommand("config", "Shows configurations, and the schema that editors check them by.");
    command->require_subcommand(1);
    command->footer("Example: weir config show --preset opencontracts > weir.yaml");

    auto options = std::make_shared<ShowOptions>();
    CLI::App* show = command->add_subcommand("show", "Prints the effective configuration, or a preset.");
    add_config_options(*show, options->config, true);
    show->add_flag("--json", options->json, "as JSON");
    show->footer("Example: weir config show --config weir.yaml --json");
    show->callback([options, &selected] {
        options->config.environment = process_environment();
        selected.run = [options](std::ostream& out, std::ostream& err) { return run_config_show(*options, out, err); };
    });

    CLI::App* schema = command->add_subcommand("schema", "Prints the JSON Schema of the configuration file.");
    schema->footer("Example: weir config schema > weir.schema.json");
    schema->callback(
        [&selected] { selected.run = [](std::ostream& out, std::ostream&) { return run_config_schema(out); }; });

    CLI::App* reference = command->add_subcommand("reference", "Prints the manual's page of all keys.");
    reference->group("");  // for those who build Weir
    reference->footer("Example: weir config reference > docs/reference/configuration.md");
    reference->callback(
        [&selected] { selected.run = [](std::ostream& out, std::ostream&) { return run_config_reference(out); }; });
}

}  // namespace weir::cli
