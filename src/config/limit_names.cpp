#include "config/limit_names.h"

#include <algorithm>

#include "base/limits.h"
#include "config/values.h"

namespace weir::config {

LimitNames::LimitNames(const policy::LimitTable& limits, Report& report) : limits_(limits), report_(report) {
    for (std::size_t i = 0; i < limits.size(); ++i) names_.push_back(limits.at(static_cast<policy::LimitId>(i)).name);
}

std::vector<policy::LimitId> LimitNames::read(const Section& section, std::string_view key, bool* unlimited) const {
    return read(section.value(key), section.place(key), unlimited);
}

std::vector<policy::LimitId> LimitNames::read(const Node& value, const Place& place, bool* unlimited) const {
    const std::vector<Item> items = items_of(value);
    std::vector<policy::LimitId> ids;
    for (const Item& item : items) {
        if (item.text == "none") {
            if (items.size() > 1) report_.error(item.place, "'none' stands alone, not in a list with limits");
            if (unlimited != nullptr) *unlimited = true;
            continue;
        }
        const policy::LimitId id = limits_.find(item.text);
        if (id == policy::kNoLimit) {
            report_.error(item.place, unknown(item.text));
        } else if (std::ranges::find(ids, id) != ids.end()) {
            report_.error(item.place, "limit " + in_quotes(item.text) + " stands here twice");
        } else {
            ids.push_back(id);
        }
    }
    if (items.size() > kLimitsPerRuleMax) {
        report_.error(place, "at most " + std::to_string(kLimitsPerRuleMax) + " limits may cover one event");
    }
    if (value.is(Node::Kind::kList) && value.items.empty()) {
        report_.error(place, "the list of limits is empty, expected a limit or 'none'");
    }
    return ids;
}

std::string LimitNames::unknown(const std::string& name) const {
    const std::string near = nearest(name, names_);
    return "unknown limit " + in_quotes(name) +
           (near.empty() ? ", expected a built-in limit or one of 'limits'" : ", did you mean '" + near + "'?");
}

}  // namespace weir::config
