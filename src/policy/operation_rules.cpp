#include "policy/operation_rules.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/text.h"

namespace weir::policy {

namespace {

constexpr std::string_view kHashPrefix = "sha256:";
constexpr std::size_t kHashIdBytes = kHashPrefix.size() + 64;

bool matches(std::string_view pattern, std::string_view name) {
    const std::size_t star = pattern.find('*');
    const std::string_view before = pattern.substr(0, star);
    const std::string_view behind = pattern.substr(star + 1);
    return name.size() >= before.size() + behind.size() && name.starts_with(before) && name.ends_with(behind);
}

bool is_hash_id(std::string_view id) {
    return id.size() >= kHashPrefix.size() && equals_ignoring_case(id.substr(0, kHashPrefix.size()), kHashPrefix);
}

}  // namespace

bool NameRules::is_pattern(std::string_view text) {
    return !text.empty() && std::ranges::count(text, '*') <= 1;
}

bool NameRules::add(std::string pattern, RuleIndex rule) {
    WEIR_ASSERT(is_pattern(pattern));
    if (pattern.find('*') == std::string::npos) {
        const auto place = std::ranges::lower_bound(exact_, pattern, {}, &Entry::pattern);
        if (place != exact_.end() && place->pattern == pattern) return false;
        exact_.insert(place, {std::move(pattern), rule});
        return true;
    }
    if (std::ranges::find(patterns_, pattern, &Entry::pattern) != patterns_.end()) return false;
    const std::size_t size = pattern.size();
    const auto place = std::ranges::find_if(patterns_, [&](const Entry& entry) { return entry.pattern.size() < size; });
    patterns_.insert(place, {std::move(pattern), rule});
    return true;
}

std::optional<RuleIndex> NameRules::find(std::string_view name) const {
    const auto exact = find_exact(name);
    return exact ? exact : find_pattern(name);
}

std::optional<RuleIndex> NameRules::find_exact(std::string_view name) const {
    const auto less = [](const Entry& entry, std::string_view wanted) { return entry.pattern < wanted; };
    const auto place = std::lower_bound(exact_.begin(), exact_.end(), name, less);
    if (place == exact_.end() || place->pattern != name) return std::nullopt;
    return place->rule;
}

std::optional<RuleIndex> NameRules::find_pattern(std::string_view name, std::optional<std::string_view> other) const {
    for (const Entry& entry : patterns_) {
        if (matches(entry.pattern, name) || (other && matches(entry.pattern, *other))) return entry.rule;
    }
    return std::nullopt;
}

RuleIndex RuleLists::add(const std::vector<LimitId>& limits) {
    if (limits.empty()) return kUncounted;
    const auto known = std::ranges::find(lists_, limits);
    if (known != lists_.end()) return static_cast<RuleIndex>(known - lists_.begin());
    WEIR_ASSERT(lists_.size() < kUncounted);
    lists_.push_back(limits);
    return static_cast<RuleIndex>(lists_.size() - 1);
}

RuleIndex RuleLists::strictest(const LimitTable& limits, TierId tier) const {
    if (lists_.empty()) return kUncounted;
    std::size_t best = 0;
    for (std::size_t i = 1; i < lists_.size(); ++i) {
        if (stricter_list(limits, tier, lists_[i], lists_[best])) best = i;
    }
    return static_cast<RuleIndex>(best);
}

RuleIndex GraphqlRules::of_field(GraphqlOperation type, std::string_view field) const {
    switch (type) {
        case GraphqlOperation::kQuery:
            return query_fields.find(field).value_or(query);
        case GraphqlOperation::kMutation:
            return mutation_fields.find(field).value_or(mutation);
        case GraphqlOperation::kSubscription:
            return subscription_fields.find(field).value_or(subscription);
    }
    return query;
}

std::string GraphqlRules::persisted_key(std::string_view id) {
    return is_hash_id(id) ? lowercased(id) : std::string(id);
}

std::optional<RuleIndex> GraphqlRules::of_persisted(std::string_view id,
                                                    std::optional<std::string_view> operation_name) const {
    // A client may write the hash in capitals. What is longer than a hash is none, and can't be in lower case by
    // itself.
    std::array<char, kHashIdBytes> lower;
    if (is_hash_id(id) && id.size() <= lower.size()) {
        std::ranges::transform(id, lower.begin(), ascii_lower);
        id = std::string_view(lower.data(), id.size());
    }
    if (const auto rule = persisted.find_exact(id)) return rule;
    if (operation_name) {
        if (const auto rule = persisted.find_exact(*operation_name)) return rule;
    }
    return persisted.find_pattern(id, operation_name);
}

RuleIndex CallRules::of_call(std::string_view method, std::optional<std::string_view> name) const {
    if (name) {
        const NameRules* named = nullptr;
        if (method == "tools/call") named = &tools;
        if (method == "prompts/get") named = &prompts;
        if (method == "resources/read" || method == "resources/subscribe" || method == "resources/unsubscribe") {
            named = &resources;
        }
        if (named != nullptr) {
            if (const auto rule = named->find(*name)) return *rule;
        }
    }
    return methods.find(method).value_or(otherwise);
}

}  // namespace weir::policy
