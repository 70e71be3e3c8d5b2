#include "policy/event.h"

#include <algorithm>

#include "base/error.h"

namespace weir::policy {
namespace {

// Of two limits on one bucket: one that is enforced speaks before one that is only watched, or adding a shadow limit
// would open an enforced one; then the one that admits less.
bool speaks_before(const Limit& a, const Limit& b, TierId tier) {
    if (a.shadow != b.shadow) return b.shadow;
    return limit::stricter(a.rules[tier].rate, b.rules[tier].rate);
}

}  // namespace

std::string Planner::bucket_name(std::string_view subject, std::string_view group) const {
    std::string name = options_.key_prefix;
    name += ":{";
    name += subject;
    name += "}:";
    name += group;
    return name;
}

Hash128 Planner::bucket_hash(std::string_view subject, std::string_view group) const {
    return siphash128(options_.hash_key, bucket_name(subject, group));
}

std::vector<PlannedTake> Planner::plan(const Caller& caller, std::uint64_t connection_id,
                                       const std::vector<LimitId>& limits,
                                       std::vector<std::unique_ptr<std::string>>& subjects) const {
    std::vector<PlannedTake> plan;
    plan.reserve(limits.size());
    const std::size_t subjects_before = subjects.size();
    for (const LimitId id : limits) {
        const Limit& limit = options_.limits->at(id);
        WEIR_ASSERT(caller.tier < limit.rules.size());
        std::string subject = subject_of(caller, limit.per, connection_id, options_.subject);
        const std::string& group = limit.bucket_group(caller.tier);

        const auto same_bucket = std::find_if(plan.begin(), plan.end(), [&](const PlannedTake& planned) {
            return planned.take.subject == subject && planned.take.group == group;
        });
        if (same_bucket != plan.end()) {
            if (speaks_before(limit, options_.limits->at(same_bucket->limit), caller.tier)) {
                same_bucket->limit = id;
                same_bucket->take.rule = &limit.rules[caller.tier];
                same_bucket->take.group = group;
            }
            continue;
        }
        auto known = std::find_if(subjects.begin() + static_cast<std::ptrdiff_t>(subjects_before), subjects.end(),
                                  [&](const auto& each) { return *each == subject; });
        if (known == subjects.end()) {
            subjects.push_back(std::make_unique<std::string>(std::move(subject)));
            known = std::prev(subjects.end());
        }
        PlannedTake planned;
        planned.limit = id;
        planned.take.bucket = bucket_hash(**known, group);
        planned.take.rule = &limit.rules[caller.tier];
        planned.take.cost = 1;
        planned.take.subject = **known;
        planned.take.group = group;
        plan.push_back(planned);
    }
    return plan;
}

}  // namespace weir::policy
