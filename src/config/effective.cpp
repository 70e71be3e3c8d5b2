#include "config/effective.h"

#include <algorithm>
#include <charconv>

#include "base/text.h"
#include "config/describe.h"
#include "config/schema.h"
#include "config/section.h"
#include "config/tree.h"
#include "config/values.h"
#include "store/store_address.h"

namespace weir::config {

namespace {

using Kind = Node::Kind;

std::string subject_name(const policy::SubjectPart& part) {
    switch (part.kind) {
        case policy::SubjectKind::kCaller:
            return "caller";
        case policy::SubjectKind::kIp:
            return "ip";
        case policy::SubjectKind::kUser:
            return "user";
        case policy::SubjectKind::kConnection:
            return "connection";
        case policy::SubjectKind::kGlobal:
            return "global";
        case policy::SubjectKind::kAttribute:
            return part.attribute;
    }
    return {};
}

// A limit with every tier's rate spelled out: what counts, wherever it came from.
Node limit_node(const policy::Limit& limit, const std::vector<policy::TierSpec>& tiers) {
    Node node = object({});
    for (std::size_t tier = 0; tier < limit.rules.size(); ++tier) {
        put(node, tiers[tier].name, literal(limit::format_rate(limit.rules[tier].rate)));
    }
    const limit::BucketRule& rule = limit.rules[policy::kAuthenticated];
    put(node, "algorithm", literal(algorithm_name(rule.algorithm)));
    const bool burst_given = std::ranges::any_of(limit.rules, [](const auto& r) { return r.burst != r.rate.count; });
    if (rule.algorithm == limit::Algorithm::kGcra && burst_given) {
        put(node, "burst", literal(std::to_string(rule.burst)));
    }
    if (limit.group != lowercased(limit.name)) put(node, "group", literal(limit.group));
    if (!limit.per.empty()) {
        Node per = array({});
        for (const policy::SubjectPart& part : limit.per) per.items.push_back(literal(subject_name(part)));
        put(node, "per", std::move(per));
    }
    if (rule.count_denied) put(node, "count_denied", literal("true"));
    if (limit.shadow) put(node, "shadow", literal("true"));
    return node;
}

std::string number_text(double value) {
    char text[64];
    const auto [end, error] = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed);
    return error == std::errc{} ? std::string(text, end) : "1";
}

// A scalar as it reads back without the environment: what a variable between quotes made a number or a boolean stands
// without quotes, and a boolean has one spelling.
Node settled(const Key& key, Node node) {
    if (node.is(Kind::kList)) {
        for (Node& item : node.items) item = settled(key, std::move(item));
    }
    if (!node.is(Kind::kScalar)) return node;
    switch (key.scalar) {
        case Scalar::kBoolean:
            return literal(parse_boolean(node.text).value_or(false) ? "true" : "false");
        case Scalar::kJsonScalar:
            if (const auto flag = node.plain ? parse_boolean(node.text) : std::nullopt)
                return literal(*flag ? "true" : "false");
            return node;
        case Scalar::kInteger:
        case Scalar::kSignedInteger:
        case Scalar::kIntegerOrAuto:
            return literal(node.text);
        case Scalar::kStore:
            return literal(store::without_password(node.text));
        default:
            return node;
    }
}

class Filler {
  public:
    explicit Filler(const Config& config) : config_(config) {}

    // The keys below `path`; `node` is what the file says there, or null.
    [[nodiscard]] Node fill(const Node* node, std::string_view path) const {
        Node all = object({});
        for (const Key* key : keys_below(path)) {
            if (!key->available || key->name() == "*") continue;
            const Node* set = node == nullptr ? nullptr : node->find(key->name());
            Node value = fill_key(*key, set);
            const bool empty_map = value.is(Kind::kMap) && value.entries.empty() && !key->optional_section;
            if (!value.is(Kind::kNull) && !empty_map) put(all, key->name(), std::move(value));
        }
        return all;
    }

  private:
    [[nodiscard]] Node fill_key(const Key& key, const Node* set) const {
        if (key.path == "tiers") return tiers();
        if (key.path == "limits") return limits();
        const bool given = set != nullptr && !set->is(Kind::kNull);
        if (key.scalar == Scalar::kSecret) return given ? word(set->text.empty() ? "" : "***") : Node{};
        if (key.shape == Shape::kMap) {
            if (key.optional_section && set == nullptr) return {};
            return fill(set, key.path);
        }
        Node value = given ? *set : default_value(key);
        switch (key.shape) {
            case Shape::kMaps:
                for (Node& item : value.items) item = fill(&item, std::string(key.path) + "[]");
                return value;
            case Shape::kCondition:
                return value.is(Kind::kMap) ? fill(&value, "when") : value;
            case Shape::kConditionList:
                for (Node& item : value.items) item = fill(&item, "when");
                return value;
            case Shape::kNamed: {
                const Key& row = *find_key(joined(key.path, "*"));
                for (Entry& entry : value.entries) entry.value = settled(row, std::move(entry.value));
                return value;
            }
            default:
                return settled(key, std::move(value));
        }
    }

    [[nodiscard]] Node tiers() const {
        Node all = object({});
        for (const policy::TierSpec& tier : config_.limits->tiers()) {
            put(all, tier.name, literal(number_text(tier.multiplier)));
        }
        return all;
    }

    [[nodiscard]] Node limits() const {
        Node all = object({});
        for (std::size_t i = 0; i < config_.limits->size(); ++i) {
            const policy::Limit& limit = config_.limits->at(static_cast<policy::LimitId>(i));
            put(all, limit.name, limit_node(limit, config_.limits->tiers()));
        }
        return all;
    }

    const Config& config_;
};

}  // namespace

Node effective(const Node& root, const Config& config) {
    return Filler(config).fill(&root, "");
}

}  // namespace weir::config
