#include "config/validate.h"

#include <algorithm>

#include "base/text.h"
#include "config/schema.h"
#include "config/values.h"

namespace weir::config {

namespace {

using Kind = Node::Kind;

constexpr std::string_view kConditionRoot = "when";
constexpr std::size_t kConditionDepthMax = 16;

bool is_plain_name(std::string_view name) {
    return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
        const char lower = ascii_lower(c);
        return (lower >= 'a' && lower <= 'z') || ascii_digit(c) || c == '_' || c == '-' || c == '.';
    });
}

class Walker {
  public:
    Walker(const std::vector<std::string>& tiers, Report& report) : tiers_(tiers), report_(report) {}

    // The keys of a map; `path` is its row's, `name` what messages call it.
    void walk_map(const Node& node, std::string_view path, const std::string& name) {
        for (const Entry& entry : node.entries) {
            const Key* key = row_of(path, entry.key);
            if (key == nullptr) {
                report_.error(entry.place, unknown(path, entry.key));
                continue;
            }
            const std::string below = joined(name, entry.key);
            if (!key->available) {
                report_.error(entry.place, in_quotes(below) + " is not available in this version");
                continue;
            }
            walk(*key, entry.value, entry.place, below);
        }
    }

  private:
    void walk(const Key& key, const Node& node, const Place& key_place, const std::string& name) {
        // A null stands where the next thing does: its key is the better place.
        const Place& place = node.is(Kind::kNull) ? key_place : node.place;
        switch (key.shape) {
            case Shape::kOne:
                check(key, node, place, name);
                return;
            case Shape::kOneOrList:
                walk_list(key, node, place, name);
                return;
            case Shape::kMap:
                if (node.is(Kind::kNull)) return;
                if (expect(key, node, Kind::kMap, place, name)) walk_map(node, key.path, name);
                return;
            case Shape::kMapOrOne:
                if (node.is(Kind::kMap)) {
                    walk_map(node, key.path, name);
                } else {
                    check(key, node, place, name);
                }
                return;
            case Shape::kNamed:
                if (node.is(Kind::kNull)) return;
                if (expect(key, node, Kind::kMap, place, name)) walk_named(key, node, name);
                return;
            case Shape::kMaps:
                walk_maps(key, node, place, name);
                return;
            case Shape::kCondition:
                walk_condition(node, place, name);
                return;
            case Shape::kConditionList:
                if (!expect(key, node, Kind::kList, place, name)) return;
                if (node.items.empty()) report_.error(place, name + ": the list is empty");
                for (const Node& item : node.items) walk_condition(item, item.place, name);
                return;
        }
    }

    void walk_list(const Key& key, const Node& node, const Place& place, const std::string& name) {
        if (!node.is(Kind::kList)) {
            if (node.is(Kind::kScalar)) {
                check(key, node, place, name);
            } else {
                report_.error(place, name + ": found " + found(node) + ", expected " + expectation(key));
            }
            return;
        }
        for (const Node& item : node.items) check(key, item, item.place, name);
    }

    void walk_named(const Key& key, const Node& node, const std::string& name) {
        const Key* row = find_key(joined(key.path, "*"));
        for (const Entry& entry : node.entries) {
            if (!key.any_names && !is_plain_name(entry.key)) {
                report_.error(entry.place,
                              in_quotes(entry.key) + " is no name, expected letters, digits, '_', '-' and '.'");
                continue;
            }
            walk(*row, entry.value, entry.place, joined(name, entry.key));
        }
    }

    void walk_maps(const Key& key, const Node& node, const Place& place, const std::string& name) {
        if (!expect(key, node, Kind::kList, place, name)) return;
        const std::string path = std::string(key.path) + "[]";
        for (const Node& item : node.items) {
            if (item.is(Kind::kMap)) {
                walk_map(item, path, name);
            } else {
                report_.error(item.place, name + ": found " + found(item) + ", expected a map of keys");
            }
        }
    }

    void walk_condition(const Node& node, const Place& place, const std::string& name) {
        if (!node.is(Kind::kMap)) {
            report_.error(place,
                          name + ": found " + found(node) + ", expected a condition such as {json: {has: query}}");
            return;
        }
        if (node.entries.empty()) report_.error(place, name + ": the condition is empty");
        if (depth_ == kConditionDepthMax) {
            report_.error(place, name + ": conditions nest deeper than " + std::to_string(kConditionDepthMax));
            return;
        }
        ++depth_;
        walk_map(node, kConditionRoot, std::string(kConditionRoot));
        --depth_;
    }

    bool expect(const Key& key, const Node& node, Kind kind, const Place& place, const std::string& name) {
        if (node.is(kind)) return true;
        report_.error(place, name + ": found " + found(node) + ", expected " + expectation(key));
        return false;
    }

    void check(const Key& key, const Node& node, const Place& place, const std::string& name) {
        const std::string complaint = check_scalar(key, node);
        if (!complaint.empty()) report_.error(place, name + ": " + complaint);
    }

    [[nodiscard]] const Key* row_of(std::string_view path, std::string_view name) const {
        const Key* exact = name == "*" ? nullptr : find_key(joined(path, name));
        if (exact != nullptr) return exact;
        const Key* any = find_key(joined(path, "*"));
        if (path == "limits.*" && std::ranges::find(tiers_, name) == tiers_.end()) return nullptr;
        return any;
    }

    [[nodiscard]] std::string unknown(std::string_view path, std::string_view name) const {
        std::vector<std::string> known;
        for (const Key* key : keys_below(path)) {
            if (key->name() != "*" && key->available) known.emplace_back(key->name());
        }
        if (path == "limits.*") known.insert(known.end(), tiers_.begin(), tiers_.end());
        std::string text = "unknown key " + in_quotes(name);
        if (const std::string near = nearest(name, known); !near.empty())
            return text + ", did you mean '" + near + "'?";
        text += ", expected one of ";
        for (std::size_t i = 0; i < known.size(); ++i) text.append(i == 0 ? "" : ", ").append(known[i]);
        return text;
    }

    const std::vector<std::string>& tiers_;
    Report& report_;
    std::size_t depth_ = 0;
};

}  // namespace

void validate(const Node& root, const std::vector<std::string>& tiers, Report& report) {
    if (root.is(Kind::kNull)) return;
    if (!root.is(Kind::kMap)) {
        report.error(root.place, "found " + found(root) + ", expected a map of keys such as 'upstreams: {app: ...}'");
        return;
    }
    Walker(tiers, report).walk_map(root, "", "");
}

}  // namespace weir::config
