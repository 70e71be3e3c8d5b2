#include "config/load.h"

#include <algorithm>
#include <fstream>

#include "base/text.h"
#include "config/build.h"
#include "config/effective.h"
#include "config/schema.h"
#include "config/tree.h"
#include "config/validate.h"
#include "config/values.h"

namespace weir::config {

namespace {

// Puts `value` where the file's would stand, made maps on the way. A part of the file that is no map stays: it is
// reported, and nothing can be put below it.
void overlay(Node& root, std::string_view path, Node value) {
    Node* node = &root;
    while (true) {
        if (node->is(Node::Kind::kNull)) node->kind = Node::Kind::kMap;
        if (!node->is(Node::Kind::kMap)) return;
        const std::size_t dot = path.find('.');
        const std::string_view name = path.substr(0, dot);
        auto entry = std::ranges::find(node->entries, name, &Entry::key);
        if (entry == node->entries.end()) {
            entry = node->entries.insert(entry, Entry{.key = std::string(name), .place = value.place, .value = {}});
            entry->value.place = value.place;
        }
        node = &entry->value;
        if (dot == std::string_view::npos) break;
        path = path.substr(dot + 1);
    }
    *node = std::move(value);
}

Node scalar(std::string_view text, std::string_view origin) {
    Node node;
    node.kind = Node::Kind::kScalar;
    node.place.origin = origin;
    node.text = text;
    return node;
}

constexpr std::string_view kEnvironment = "environment";
constexpr std::string_view kCommandLine = "command line";

// true, false, 1 or 0.
std::optional<bool> parse_switch(std::string_view text) {
    if (equals_ignoring_case(text, "true") || text == "1") return true;
    if (equals_ignoring_case(text, "false") || text == "0") return false;
    return std::nullopt;
}

// The variables of the table, laid over the file. RATELIMIT_FAIL_OPEN is a switch where the file has a choice: false
// takes back an `open`, and leaves the other two as they are.
void overlay_variable(Node& root, const Key& key, const std::string& value, Report& report) {
    const bool is_switch = key.scalar == Scalar::kBoolean || key.scalar == Scalar::kChoice;
    std::string text = value;
    if (is_switch) {
        const auto on = parse_switch(value);
        if (!on) {
            report.error({.origin = kEnvironment},
                         std::string(key.variable) + ": found " + in_quotes(value) + ", expected true or false");
            return;
        }
        text = *on ? "true" : "false";
        if (key.scalar == Scalar::kChoice) {
            const Node* set = root.find(key.path);
            if (!*on && (set == nullptr || set->text != "open")) return;
            text = *on ? "open" : "closed";
        }
    }
    Node node = scalar(text, kEnvironment);
    if (const std::string complaint = check_scalar(key, node); !complaint.empty()) {
        report.error(node.place, std::string(key.variable) + ": " + complaint);
        return;
    }
    overlay(root, key.path, std::move(node));
}

void overlay_environment(Node& root, const Environment& environment, Report& report) {
    for (const Key& key : keys()) {
        if (key.variable.empty()) continue;
        if (const auto set = environment.find(key.variable); set != environment.end()) {
            overlay_variable(root, key, set->second, report);
        }
    }
}

// A name that begins as ours do was probably meant for us: the limit that it should have changed keeps its rate, which
// nobody would notice. It may also be the application's own, so that it is no error.
void warn_of_unknown_variables(const Environment& environment, const policy::LimitTable& limits, Report& report) {
    constexpr std::string_view kPrefix = "RATELIMIT_";
    std::vector<std::string> known = policy::environment_names(limits);
    for (const Key& key : keys()) {
        if (!key.variable.empty()) known.emplace_back(key.variable);
    }
    for (auto at = environment.lower_bound(kPrefix); at != environment.end() && at->first.starts_with(kPrefix); ++at) {
        if (std::ranges::find(known, at->first) != known.end()) continue;
        // Nearest by what differs: the prefix makes every name look like every other.
        std::vector<std::string> rests;
        for (const std::string& name : known) rests.push_back(name.substr(kPrefix.size()));
        const std::string near = nearest(std::string_view(at->first).substr(kPrefix.size()), rests);
        report.warning({.origin = kEnvironment},
                       in_quotes(at->first) + " names no limit and no setting, and has no effect" +
                           (near.empty() ? "" : "; did you mean " + std::string(kPrefix) + near + "?"));
    }
}

void overlay_command_line(Node& root, const Sources& sources, Report& report) {
    const auto put = [&](std::string_view path, Node node) {
        const Key& key = *find_key(path);
        const auto check = [&](const Node& one) {
            const std::string complaint = check_scalar(key, one);
            if (!complaint.empty()) report.error(one.place, "--" + std::string(path) + ": " + complaint);
            return complaint.empty();
        };
        const bool good = node.is(Node::Kind::kList) ? std::ranges::all_of(node.items, check) : check(node);
        if (good) overlay(root, path, std::move(node));
    };
    if (!sources.listen.empty()) {
        Node list;
        list.kind = Node::Kind::kList;
        list.place.origin = kCommandLine;
        for_each_list_item(sources.listen,
                           [&](std::string_view item) { list.items.push_back(scalar(item, kCommandLine)); });
        put("listen", std::move(list));
    }
    if (!sources.admin.empty()) put("admin", scalar(sources.admin, kCommandLine));
}

struct Read {
    std::optional<Node> root;
    std::shared_ptr<Config> config;
};

Read read(const Sources& sources, Report& report) {
    const Environment environment = environment_map(sources.environment);
    Read result;
    result.root = parse_document(sources.text, environment, report);
    if (!result.root) return result;
    overlay_environment(*result.root, environment, report);
    overlay_command_line(*result.root, sources, report);
    validate(*result.root, tier_names(*result.root), report);
    if (result.root->is(Node::Kind::kMap) || result.root->is(Node::Kind::kNull)) {
        result.config = build_config(*result.root, sources, report);
        if (result.config != nullptr) warn_of_unknown_variables(environment, *result.config->limits, report);
    }
    return result;
}

}  // namespace

std::string Problem::to_string() const {
    std::string text = file;
    if (line > 0) text += ":" + std::to_string(line) + ":" + std::to_string(column);
    return text + ": " + message;
}

Loaded load(const Sources& sources) {
    Report report(sources.file_name);
    Read read_in = read(sources, report);
    const bool good = report.clean() && read_in.config != nullptr;
    Loaded loaded;
    report.finish(loaded.problems, loaded.warnings);
    if (good) loaded.config = std::move(read_in.config);
    return loaded;
}

std::string effective_text(const Sources& sources, bool json) {
    Report report(sources.file_name);
    const Read read_in = read(sources, report);
    if (!report.clean() || read_in.config == nullptr) return {};
    const Node all = effective(*read_in.root, *read_in.config);
    return json ? to_json(all) : to_yaml(all);
}

bool read_file(const std::string& path, std::string& content) {
    std::ifstream stream(path, std::ios::binary);
    if (!stream) return false;
    content.resize(kFileBytesMax + 1);
    stream.read(content.data(), static_cast<std::streamsize>(content.size()));
    content.resize(static_cast<std::size_t>(stream.gcount()));
    return !stream.bad() && stream.eof() && content.size() <= kFileBytesMax;
}

}  // namespace weir::config
