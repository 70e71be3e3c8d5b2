// Conditions of message rules: from nodes of the file to policy::Condition. Depth was bounded by validate().
#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "config/build.h"
#include "config/tree.h"
#include "config/values.h"

namespace weir::config {

namespace {

using policy::Condition;
using policy::Conditions;
using policy::JsonScalar;

constexpr int kDepthMax = 32;  // validate() allows less; a tree that it refused must not cost the stack either

Condition condition_of(const Node& node, Report& report, int depth);

JsonScalar json_scalar(const Node& node) {
    if (node.is(Node::Kind::kNull)) return nullptr;
    if (!node.plain) return node.text;
    if (const auto flag = parse_boolean(node.text)) return *flag;
    if (!is_json_number(node.text)) return node.text;
    const char* end = node.text.data() + node.text.size();
    std::int64_t integer = 0;
    if (const auto [at, error] = std::from_chars(node.text.data(), end, integer); error == std::errc{} && at == end) {
        return integer;
    }
    double number = 0;
    const auto [at, error] = std::from_chars(node.text.data(), end, number);
    if (error != std::errc{} || at != end) return node.text;
    return number;
}

// RFC 6901: "~" only as "~0" or "~1".
void check_pointer(const std::string& pointer, const Place& place, Report& report) {
    if (pointer.empty()) report.error(place, "the name of a JSON member is empty");
    if (!pointer.starts_with('/')) return;
    for (std::size_t at = pointer.find('~'); at != std::string::npos; at = pointer.find('~', at + 1)) {
        const char next = at + 1 < pointer.size() ? pointer[at + 1] : '\0';
        if (next != '0' && next != '1') {
            report.error(place, in_quotes(pointer) + " is no JSON Pointer, expected '~0' or '~1' for '~' and '/'");
            return;
        }
    }
}

// Nothing below a key would hold for every message: what was meant is missing.
void refuse_empty(const Entry& entry, std::string_view name, Report& report) {
    const bool nothing = entry.value.is(Node::Kind::kNull);
    if (!nothing && !(entry.value.is(Node::Kind::kMap) && entry.value.entries.empty())) return;
    report.error(nothing ? entry.place : entry.value.place, std::string(name) + ": the condition is empty");
}

void add_json(const Entry& json, Conditions& all, Report& report) {
    refuse_empty(json, "when.json", report);
    if (const Node* has = json.value.find("has"); has != nullptr && has->is(Node::Kind::kScalar)) {
        check_pointer(has->text, has->place, report);
        all.push_back({Condition::JsonHas{has->text}});
    }
    const auto equals = std::ranges::find(json.value.entries, "equals", &Entry::key);
    if (equals == json.value.entries.end()) return;
    refuse_empty(*equals, "when.json.equals", report);
    for (const Entry& entry : equals->value.entries) {
        check_pointer(entry.key, entry.place, report);
        all.push_back({Condition::JsonEquals{entry.key, json_scalar(entry.value)}});
    }
}

Conditions conditions_of(const Node& list, Report& report, int depth) {
    Conditions all;
    for (const Node& item : list.items) all.push_back(condition_of(item, report, depth));
    return all;
}

// Several keys in one map must all hold.
Condition condition_of(const Node& node, Report& report, int depth) {
    Conditions all;
    if (depth == kDepthMax) return {Condition::All{}};
    for (const Entry& entry : node.entries) {
        const Node& value = entry.value;
        if (entry.key == "json") {
            add_json(entry, all, report);
        } else if (entry.key == "binary") {
            all.push_back({Condition::Binary{parse_boolean(value.text).value_or(false)}});
        } else if (entry.key == "larger_than") {
            all.push_back({Condition::LargerThan{parse_size(value.text).value_or(0)}});
        } else if (entry.key == "all") {
            all.push_back({Condition::All{conditions_of(value, report, depth + 1)}});
        } else if (entry.key == "any") {
            all.push_back({Condition::Any{conditions_of(value, report, depth + 1)}});
        } else if (entry.key == "not") {
            auto inner = std::make_unique<Condition>(condition_of(value, report, depth + 1));
            all.push_back({Condition::Not{std::move(inner)}});
        }
    }
    if (all.size() == 1) return std::move(all.front());
    return {Condition::All{std::move(all)}};
}

}  // namespace

std::unique_ptr<policy::Condition> build_condition(const Node& node, Report& report) {
    if (!node.is(Node::Kind::kMap)) return nullptr;
    return std::make_unique<Condition>(condition_of(node, report, 0));
}

}  // namespace weir::config
