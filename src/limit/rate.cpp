#include "limit/rate.h"

#include <array>

#include "base/random.h"
#include "base/text.h"

namespace weir::limit {
namespace {

struct Unit {
    char letter;
    std::uint64_t seconds;
    std::string_view word;
};

// Largest first, so that the shortest form is the first that divides.
constexpr std::array<Unit, 4> kUnits{
    {{'d', 86'400, "day"}, {'h', 3'600, "hour"}, {'m', 60, "minute"}, {'s', 1, "second"}}};

const Unit& largest_unit_of(std::uint64_t seconds) {
    for (const Unit& unit : kUnits) {
        if (seconds % unit.seconds == 0) return unit;
    }
    return kUnits.back();
}

constexpr Error kBadRate{ErrorCode::kInvalidArgument, ErrorSource::kConfiguration, false,
                         "expected COUNT/PERIOD, such as 30/m, 5/10s, 3/h or 1000/d: COUNT from 1 to 1000000000, "
                         "PERIOD [N]s, [N]m, [N]h or [N]d, at most 366 days"};

}  // namespace

Result<Rate> parse_rate(std::string_view text) {
    const std::size_t slash = text.find('/');
    if (slash == std::string_view::npos || slash + 1 == text.size()) return kBadRate;
    const auto count = parse_decimal(text.substr(0, slash));
    if (!count || *count == 0 || *count > kRateCountMax) return kBadRate;

    const std::string_view number = text.substr(slash + 1, text.size() - slash - 2);
    std::uint64_t units = 1;
    if (!number.empty()) {
        const auto parsed = parse_decimal(number);
        if (!parsed || *parsed == 0) return kBadRate;
        units = *parsed;
    }
    for (const Unit& unit : kUnits) {
        if (unit.letter != text.back()) continue;
        if (units > static_cast<std::uint64_t>(kRatePeriodMax.count()) / unit.seconds) return kBadRate;
        return Rate{*count, std::chrono::seconds(units * unit.seconds)};
    }
    return kBadRate;
}

std::string format_rate(const Rate& rate) {
    const auto seconds = static_cast<std::uint64_t>(rate.period.count());
    const Unit& unit = largest_unit_of(seconds);
    std::string text = std::to_string(rate.count) + "/";
    if (seconds != unit.seconds) text += std::to_string(seconds / unit.seconds);
    text += unit.letter;
    return text;
}

std::string period_words(std::chrono::seconds period) {
    const auto seconds = static_cast<std::uint64_t>(period.count());
    const Unit& unit = largest_unit_of(seconds);
    if (seconds == unit.seconds) return std::string(unit.word);
    return std::to_string(seconds / unit.seconds) + " " + std::string(unit.word) + "s";
}

bool stricter(const Rate& a, const Rate& b) {
    const Wide left = static_cast<Wide>(a.count) * static_cast<std::uint64_t>(b.period.count());
    const Wide right = static_cast<Wide>(b.count) * static_cast<std::uint64_t>(a.period.count());
    return left != right ? left < right : a.count < b.count;
}

}  // namespace weir::limit
