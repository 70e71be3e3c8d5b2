#include "config/section.h"

#include <algorithm>

#include "base/text.h"
#include "config/values.h"

namespace weir::config {

Node default_value(const Key& key) {
    if (key.standard.empty()) return {};
    Report report("default");
    std::optional<Node> node = parse_document(key.standard, {}, report);
    WEIR_ASSERT(node.has_value() && report.clean());
    return std::move(*node);
}

const Key& Section::row(std::string_view key) const {
    const Key* found = find_key(joined(path_, key));
    WEIR_ASSERT(found != nullptr);
    return *found;
}

std::string Section::name() const {
    std::string text = path_;
    for (std::size_t at = text.find("[]"); at != std::string::npos; at = text.find("[]")) text.erase(at, 2);
    return text;
}

Section Section::section(std::string_view key) const {
    const Node* below = node_ == nullptr ? nullptr : node_->find(key);
    return {below, place(key), joined(path_, key)};
}

std::vector<Section> Section::sections(std::string_view key) const {
    std::vector<Section> all;
    const Node* list = node_ == nullptr ? nullptr : node_->find(key);
    if (list == nullptr) return all;
    for (const Node& item : list->items) all.emplace_back(&item, item.place, joined(path_, key) + "[]");
    return all;
}

Node Section::value(std::string_view key) const {
    const Node* set = node_ == nullptr ? nullptr : node_->find(key);
    if (set != nullptr && !set->is(Node::Kind::kNull)) return *set;
    return default_value(row(key));
}

Place Section::place(std::string_view key) const {
    if (node_ == nullptr) return place_;
    const auto entry = std::ranges::find(node_->entries, key, &Entry::key);
    if (entry == node_->entries.end()) return place_;
    return entry->value.is(Node::Kind::kNull) ? entry->place : entry->value.place;
}

Place Section::key_place(std::string_view key) const {
    if (node_ == nullptr) return place_;
    const auto entry = std::ranges::find(node_->entries, key, &Entry::key);
    return entry == node_->entries.end() ? place_ : entry->place;
}

std::string Section::text(std::string_view key) const {
    const Node node = value(key);
    return node.is(Node::Kind::kScalar) && !node.broken ? node.text : std::string();
}

std::vector<Item> items_of(const Node& value) {
    std::vector<Item> all;
    const auto add = [&all](const Node& item) {
        if (item.is(Node::Kind::kScalar) && !item.broken) all.push_back({.text = item.text, .place = item.place});
    };
    add(value);
    for (const Node& item : value.items) add(item);
    return all;
}

std::vector<Item> Section::list(std::string_view key) const {
    return items_of(value(key));
}

std::uint64_t Section::integer(std::string_view key) const {
    return parse_decimal(text(key)).value_or(0);
}

std::int64_t Section::signed_integer(std::string_view key) const {
    return parse_signed(text(key)).value_or(0);
}

std::uint64_t Section::size(std::string_view key) const {
    return parse_size(text(key)).value_or(0);
}

Nanos Section::duration(std::string_view key) const {
    return parse_duration(text(key)).value_or(Nanos{0});
}

std::optional<limit::Rate> Section::rate(std::string_view key) const {
    const auto rate = limit::parse_rate(text(key));
    if (!rate) return std::nullopt;
    return *rate;
}

std::size_t Section::choice_index(std::string_view key) const {
    const auto all = choices(row(key));
    const auto found = std::ranges::find(all, text(key));
    return found == all.end() ? 0 : static_cast<std::size_t>(found - all.begin());
}

}  // namespace weir::config
