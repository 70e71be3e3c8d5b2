#include "policy/limits.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "base/random.h"
#include "base/text.h"
#include "policy/builtin.h"

namespace weir::policy {
namespace {

using limit::Rate;

constexpr std::size_t kNameBytesMax = 64;
constexpr std::uint64_t kMultiplierDecimals = 1'000'000;
constexpr double kMultiplierMax = 1'000'000;
constexpr std::string_view kAnonymousSuffix = "_ANONYMOUS";
constexpr std::string_view kEnvironmentPrefix = "RATELIMIT_";
// Names under which the environment has settings, and the word for no limit.
constexpr std::array<std::string_view, 5> kReservedNames{"DISABLE", "FAIL_OPEN", "KEY_PREFIX", "IPV6_MASK", "NONE"};

bool name_character(char c) {
    return ascii_digit(c) || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z') || c == '_' || c == '-' || c == '.';
}

bool well_named(std::string_view text) {
    return !text.empty() && text.size() <= kNameBytesMax && std::all_of(text.begin(), text.end(), name_character);
}

// The name of a limit in a variable of the environment.
std::string environment_name(std::string_view name) {
    std::string out;
    for (const char c : name) {
        const bool lower = c >= 'a' && c <= 'z';
        out += lower ? static_cast<char>(c - 32) : c == '-' || c == '.' ? '_' : c;
    }
    return out;
}

std::string decimal(double value) {
    char text[64];
    const auto [end, error] = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed);
    return error == std::errc{} ? std::string(text, end) : "?";
}

// The multiplier as it was written, as a fraction; nullopt when it is out of its range.
std::optional<Ratio> exact(double multiplier) {
    if (!std::isfinite(multiplier) || multiplier <= 0 || multiplier > kMultiplierMax) return std::nullopt;
    const std::string text = decimal(multiplier);  // the shortest text that reads back as this double
    const std::size_t point = text.find('.');
    const std::string_view fraction = point == std::string::npos ? "" : std::string_view(text).substr(point + 1);
    Ratio ratio{parse_decimal(std::string_view(text).substr(0, point)).value_or(0), 1};
    for (const char digit : fraction) {
        if (ratio.denominator == kMultiplierDecimals) return std::nullopt;
        ratio.numerator = ratio.numerator * 10 + static_cast<std::uint64_t>(digit - '0');
        ratio.denominator *= 10;
    }
    if (ratio.numerator == 0) return std::nullopt;
    return ratio;
}

// rate * ratio, rounded down and never below 1; nullopt when that is more than a rate may be.
std::optional<Rate> multiplied(const Rate& rate, const Ratio& ratio) {
    // < 2^30 * 2^60 (two multipliers of at most 10^12 over 10^6, crosswise).
    const Wide count = static_cast<Wide>(rate.count) * ratio.numerator / ratio.denominator;
    if (count > limit::kRateCountMax) return std::nullopt;
    return Rate{std::max<std::uint64_t>(static_cast<std::uint64_t>(count), 1), rate.period};
}

bool in_range(const Rate& rate) {
    return rate.count >= 1 && rate.count <= limit::kRateCountMax && rate.period.count() >= 1 &&
           rate.period <= limit::kRatePeriodMax;
}

struct ExplicitRate {
    Rate rate;
    bool builtin = false;
};

// A limit while specs are laid over it.
struct Draft {
    std::string name;
    bool has_base = true;  // else its rates follow the authenticated one
    std::optional<Rate> base;
    std::map<std::string, ExplicitRate, std::less<>> by_tier;
    LimitSpec rest;  // algorithm, burst, group, per, count_denied, shadow
};

std::vector<Draft> builtin_drafts() {
    std::vector<Draft> drafts;
    for (const BuiltinWebSocketLimit& limit : kBuiltinWebSocketLimits) {
        Draft draft;
        draft.name = limit.name;
        draft.has_base = false;
        draft.by_tier.emplace(kBuiltinTiers[kAuthenticated].name, ExplicitRate{limit.authenticated, true});
        draft.by_tier.emplace(kBuiltinTiers[kAnonymous].name, ExplicitRate{limit.anonymous, true});
        drafts.push_back(std::move(draft));
    }
    for (const BuiltinOperationLimit& limit : kBuiltinOperationLimits) {
        Draft draft;
        draft.name = limit.name;
        draft.base = limit.base;
        drafts.push_back(std::move(draft));
    }
    return drafts;
}

template <typename T>
void lay(std::optional<T>& under, const std::optional<T>& over) {
    if (over) under = over;
}

void lay_over(Draft& draft, const LimitSpec& spec) {
    if (spec.base && draft.has_base) draft.base = spec.base;
    if (spec.base && !draft.has_base) {
        draft.by_tier[std::string(kBuiltinTiers[kAuthenticated].name)] = {*spec.base, false};
    }
    for (const auto& [tier, rate] : spec.by_tier) draft.by_tier[tier] = {rate, false};
    lay(draft.rest.algorithm, spec.algorithm);
    lay(draft.rest.burst, spec.burst);
    lay(draft.rest.group, spec.group);
    lay(draft.rest.per, spec.per);
    lay(draft.rest.count_denied, spec.count_denied);
    lay(draft.rest.shadow, spec.shadow);
}

// Builds one table; collects what is wrong.
class Builder {
  public:
    Builder(const LimitTable::Options& options, std::vector<std::string>& problems)
        : options_(options), problems_(problems), tiers_(options.tiers) {}

    std::vector<TierSpec> check_tiers();
    std::vector<Limit> build_limits();

  private:
    void problem(std::string_view limit, std::string_view what) {
        problems_.push_back("limit " + std::string(limit) + ": " + std::string(what));
    }
    Draft* draft_for(const LimitSpec& spec);
    void check_spec(const LimitSpec& spec);
    [[nodiscard]] std::string tier_names() const;
    Limit finish(const Draft& draft);
    std::optional<Rate> rate_of(const Draft& draft, std::size_t tier, std::string& why);
    static bool counts_no_tier(const Draft& draft);
    void check_burst(const Draft& draft, const limit::BucketRule& rule, std::string_view tier);
    void split_by_tier(Limit& limit) const;
    void check_groups(const std::vector<Limit>& limits);

    const LimitTable::Options& options_;
    std::vector<std::string>& problems_;
    std::vector<TierSpec> tiers_;
    std::vector<Ratio> ratios_;  // by TierId
    std::vector<Draft> drafts_ = builtin_drafts();
};

std::vector<TierSpec> Builder::check_tiers() {
    for (std::size_t i = 0; i < kBuiltinTiers.size(); ++i) {
        if (i < tiers_.size() && tiers_[i].name == kBuiltinTiers[i].name) continue;
        problems_.push_back("tier " + std::string(kBuiltinTiers[i].name) + ": a built-in tier can't be left out");
        tiers_ = builtin_tiers();
        break;
    }
    if (tiers_.size() > UINT16_MAX) {
        problems_.emplace_back("tiers: too many");
        tiers_.resize(UINT16_MAX);
    }
    for (std::size_t i = 0; i < tiers_.size(); ++i) {
        const TierSpec& tier = tiers_[i];
        if (!well_named(tier.name)) {
            problems_.push_back("tier " + tier.name + ": a name is 1 to 64 letters, digits, '_', '-' and '.'");
        }
        for (std::size_t j = 0; j < i; ++j) {
            if (tiers_[j].name == tier.name) problems_.push_back("tier " + tier.name + ": named twice");
        }
        const auto ratio = exact(tier.multiplier);
        if (!ratio) {
            problems_.push_back("tier " + tier.name +
                                ": expected a multiplier from 0.000001 to 1000000 with at most six decimals");
        }
        ratios_.push_back(ratio.value_or(Ratio{}));
    }
    return tiers_;
}

std::string Builder::tier_names() const {
    std::string names;
    for (const TierSpec& tier : tiers_) names += (names.empty() ? "" : ", ") + tier.name;
    return names;
}

void Builder::check_spec(const LimitSpec& spec) {
    const std::string as_variable = environment_name(spec.name);
    if (!well_named(spec.name)) problem(spec.name, "a name is 1 to 64 letters, digits, '_', '-' and '.'");
    if (std::find(kReservedNames.begin(), kReservedNames.end(), as_variable) != kReservedNames.end()) {
        problem(spec.name, "this name is reserved");
    }
    if (as_variable.ends_with(kAnonymousSuffix)) {
        problem(spec.name, "a name can't end in _ANONYMOUS: the environment gives rates of anonymous callers so");
    }
    if (spec.base && !in_range(*spec.base)) problem(spec.name, "the rate is out of range");
    for (const auto& [tier, rate] : spec.by_tier) {
        if (std::none_of(tiers_.begin(), tiers_.end(),
                         [&name = tier](const TierSpec& each) { return each.name == name; })) {
            problem(spec.name, "there is no tier " + tier + "; expected one of " + tier_names());
        }
        if (!in_range(rate)) problem(spec.name, "the rate of tier " + tier + " is out of range");
    }
    if (spec.algorithm && static_cast<std::size_t>(*spec.algorithm) >= limit::kAlgorithms) {
        problem(spec.name, "unknown algorithm; expected fixed_window, sliding_window or gcra");
    }
    if (spec.burst && (*spec.burst < 1 || *spec.burst > limit::kRateCountMax)) {
        problem(spec.name, "burst is out of range; expected 1 to 1000000000");
    }
    if (spec.group && !well_named(*spec.group)) {
        problem(spec.name, "a group is 1 to 64 letters, digits, '_', '-' and '.'");
    }
    if (spec.per && spec.per->empty()) problem(spec.name, "per names nobody");
    if (spec.per) {
        for (const SubjectPart& part : *spec.per) {
            if (part.kind == SubjectKind::kAttribute && part.attribute.find(':') == std::string::npos) {
                problem(spec.name, "per: expected ip, user, connection, global, \"claim:NAME\" or \"header:NAME\"");
            }
        }
    }
}

Draft* Builder::draft_for(const LimitSpec& spec) {
    for (Draft& draft : drafts_) {
        if (draft.name == spec.name) return &draft;
    }
    if (!spec.base && spec.by_tier.empty()) {
        problem(spec.name,
                "has no rate, and no limit of this name is built in; expected rate: or a rate for each tier");
        return nullptr;
    }
    Draft& draft = drafts_.emplace_back();
    draft.name = spec.name;
    draft.has_base = spec.base.has_value();
    return &draft;
}

// One bucket for everybody, or one for each connection, holds what its rate says, whoever comes: tiers multiply
// callers' budgets.
bool Builder::counts_no_tier(const Draft& draft) {
    if (!draft.rest.per) return false;
    return std::any_of(draft.rest.per->begin(), draft.rest.per->end(), [](const SubjectPart& part) {
        return part.kind == SubjectKind::kGlobal || part.kind == SubjectKind::kConnection;
    });
}

std::optional<Rate> Builder::rate_of(const Draft& draft, std::size_t tier, std::string& why) {
    const std::string& name = tiers_[tier].name;
    const std::string of_tier = " (tier " + name + ")";
    if (const auto found = draft.by_tier.find(name); found != draft.by_tier.end()) {
        why = (found->second.builtin ? "built-in rate of tier " : "explicit rate of tier ") + name;
        return found->second.rate;
    }
    if (draft.has_base && counts_no_tier(draft)) {
        why = "rate " + limit::format_rate(*draft.base) + of_tier;
        return draft.base;
    }
    if (draft.has_base) {
        why = "base " + limit::format_rate(*draft.base) + " x " + decimal(tiers_[tier].multiplier) + of_tier;
        return multiplied(*draft.base, ratios_[tier]);
    }
    const auto authenticated = draft.by_tier.find(kBuiltinTiers[kAuthenticated].name);
    if (authenticated == draft.by_tier.end() || tier == kAnonymous) {
        why = "no rate";
        return std::nullopt;
    }
    // As a fraction of authenticated's multiplier, unless the tier is built in.
    const Ratio& own = ratios_[tier];
    const Ratio& theirs = ratios_[kAuthenticated];
    Ratio ratio{own.numerator, own.denominator};
    std::string text = decimal(tiers_[tier].multiplier) + "/" + decimal(tiers_[kAuthenticated].multiplier);
    if (tier < kBuiltinTiers.size()) {
        ratio = kBuiltinTiers[tier].of_authenticated;
        text = std::to_string(ratio.numerator);
        if (ratio.denominator != 1) text += "/" + std::to_string(ratio.denominator);
    } else {
        ratio = {own.numerator * theirs.denominator, own.denominator * theirs.numerator};
    }
    why = limit::format_rate(authenticated->second.rate) + " of tier authenticated x " + text + of_tier;
    return multiplied(authenticated->second.rate, ratio);
}

void Builder::check_burst(const Draft& draft, const limit::BucketRule& rule, std::string_view tier) {
    const auto longest = static_cast<std::uint64_t>(limit::kRatePeriodMax.count());
    const Wide refill = static_cast<Wide>(rule.burst) * static_cast<std::uint64_t>(rule.rate.period.count());
    if (refill > static_cast<Wide>(longest) * rule.rate.count) {
        problem(draft.name, "a burst of " + std::to_string(rule.burst) + " needs more than 366 days to come back at " +
                                limit::format_rate(rule.rate) + " (tier " + std::string(tier) + ")");
    }
}

Limit Builder::finish(const Draft& draft) {
    Limit limit;
    limit.name = draft.name;
    limit.group = draft.rest.group.value_or(lowercased(draft.name));
    limit.per = draft.rest.per.value_or(std::vector<SubjectPart>{});
    limit.shadow = draft.rest.shadow.value_or(false);
    const limit::Algorithm algorithm = draft.rest.algorithm.value_or(options_.default_algorithm);
    if (draft.rest.burst && algorithm != limit::Algorithm::kGcra) {
        problem(draft.name, "burst has a meaning only with algorithm gcra");
    }
    for (std::size_t tier = 0; tier < tiers_.size(); ++tier) {
        limit::BucketRule rule;
        std::string why;
        if (const auto rate = rate_of(draft, tier, why)) {
            rule.rate = *rate;
        } else if (why == "no rate") {
            problem(draft.name, "tier " + tiers_[tier].name + " has no rate; expected one, or rate: for all tiers");
        } else {
            problem(draft.name, why + " is more than 1000000000");
        }
        rule.algorithm = algorithm;
        rule.burst = draft.rest.burst.value_or(rule.rate.count);
        rule.count_denied = draft.rest.count_denied.value_or(false);
        if (algorithm == limit::Algorithm::kGcra) check_burst(draft, rule, tiers_[tier].name);
        limit.rules.push_back(rule);
        limit.why.push_back(std::move(why));
    }
    return limit;
}

// Buckets that callers of several tiers share count by one period; with several, each tier has buckets of its own.
void Builder::split_by_tier(Limit& limit) const {
    const bool shared = std::any_of(limit.per.begin(), limit.per.end(), [](const SubjectPart& part) {
        return part.kind == SubjectKind::kIp || part.kind == SubjectKind::kGlobal ||
               part.kind == SubjectKind::kAttribute;
    });
    const bool one_period = std::all_of(limit.rules.begin(), limit.rules.end(), [&](const limit::BucketRule& rule) {
        return rule.rate.period == limit.rules.front().rate.period;
    });
    if (!shared || one_period || limit.rules.size() != tiers_.size()) return;
    for (const TierSpec& tier : tiers_) limit.tier_groups.push_back(limit.group + "." + tier.name);
}

void Builder::check_groups(const std::vector<Limit>& limits) {
    std::map<std::string_view, const Limit*> speaks;
    for (const Limit& limit : limits) {
        const auto [entry, added] = speaks.emplace(limit.group, &limit);
        if (added) continue;
        const Limit& other = *entry->second;
        for (std::size_t tier = 0; tier < tiers_.size(); ++tier) {
            const auto& mine = limit.rules[tier];
            const auto& theirs = other.rules[tier];
            if (mine.algorithm == theirs.algorithm && mine.rate.period == theirs.rate.period) continue;
            problem(limit.name, "shares the group " + limit.group + " with " + other.name +
                                    ", so both need one algorithm and one period; tier " + tiers_[tier].name + " has " +
                                    limit::format_rate(mine.rate) + " and " + limit::format_rate(theirs.rate));
            break;
        }
    }
}

std::vector<Limit> Builder::build_limits() {
    for (const LimitSpec& spec : options_.specs) {
        check_spec(spec);
        if (Draft* draft = draft_for(spec); draft != nullptr) lay_over(*draft, spec);
    }
    if (drafts_.size() >= kNoLimit) {
        problems_.emplace_back("limits: too many");
        drafts_.resize(kNoLimit - 1U);
    }
    std::vector<Limit> limits;
    for (const Draft& draft : drafts_) {
        limits.push_back(finish(draft));
        split_by_tier(limits.back());
    }
    check_groups(limits);
    return limits;
}

}  // namespace

std::vector<TierSpec> builtin_tiers() {
    std::vector<TierSpec> tiers;
    for (const BuiltinTier& tier : kBuiltinTiers) tiers.push_back({std::string(tier.name), tier.multiplier});
    return tiers;
}

LimitTable LimitTable::build(const Options& options, std::vector<std::string>& problems) {
    Builder builder(options, problems);
    LimitTable table;
    table.tiers_ = builder.check_tiers();
    table.limits_ = builder.build_limits();
    return table;
}

LimitId LimitTable::find(std::string_view name) const {
    for (std::size_t i = 0; i < limits_.size(); ++i) {
        if (limits_[i].name == name) return static_cast<LimitId>(i);
    }
    return kNoLimit;
}

std::optional<TierId> LimitTable::find_tier(std::string_view name) const {
    for (std::size_t i = 0; i < tiers_.size(); ++i) {
        if (tiers_[i].name == name) return static_cast<TierId>(i);
    }
    return std::nullopt;
}

bool stricter_list(const LimitTable& limits, TierId tier, const std::vector<LimitId>& a,
                   const std::vector<LimitId>& b) {
    if (a.empty() || b.empty()) return !a.empty();
    const auto strictest = [&](const std::vector<LimitId>& list) {
        const limit::Rate* best = nullptr;
        for (const LimitId id : list) {
            const limit::Rate& rate = limits.at(id).rules.at(tier).rate;
            if (best == nullptr || limit::stricter(rate, *best)) best = &rate;
        }
        return *best;
    };
    const limit::Rate of_a = strictest(a);
    const limit::Rate of_b = strictest(b);
    if (limit::stricter(of_a, of_b)) return true;
    return !limit::stricter(of_b, of_a) && a.size() > b.size();
}

std::vector<LimitSpec> limits_from_environment(const std::vector<std::string>& environment, const LimitTable& known,
                                               std::vector<std::string>& problems) {
    std::vector<LimitSpec> specs;
    for (const std::string& line : environment) {
        const std::size_t equals = line.find('=');
        if (equals == std::string::npos || !line.starts_with(kEnvironmentPrefix)) continue;
        const std::string variable = line.substr(0, equals);
        const std::string_view name = std::string_view(variable).substr(kEnvironmentPrefix.size());
        const std::string value = line.substr(equals + 1);
        for (std::size_t id = 0; id < known.size(); ++id) {
            LimitSpec spec;
            spec.name = known.at(static_cast<LimitId>(id)).name;
            const std::string own = environment_name(spec.name);
            const bool anonymous = name == own + std::string(kAnonymousSuffix);
            if (name != own && !anonymous) continue;
            const auto rate = limit::parse_rate(value);
            if (!rate) {
                problems.push_back(variable + "=" + value + ": " + std::string(rate.error().detail));
                break;
            }
            if (anonymous) {
                spec.by_tier.emplace(kBuiltinTiers[kAnonymous].name, *rate);
            } else {
                spec.base = *rate;
            }
            specs.push_back(std::move(spec));
        }
    }
    return specs;
}

std::vector<std::string> environment_names(const LimitTable& known) {
    std::vector<std::string> names;
    for (std::size_t id = 0; id < known.size(); ++id) {
        const std::string own =
            std::string(kEnvironmentPrefix).append(environment_name(known.at(static_cast<LimitId>(id)).name));
        names.push_back(own);
        names.push_back(own + std::string(kAnonymousSuffix));
    }
    return names;
}

}  // namespace weir::policy
