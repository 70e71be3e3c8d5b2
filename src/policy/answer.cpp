#include "policy/answer.h"

#include <charconv>

#include "base/limits.h"
#include "base/text.h"

namespace weir::policy {
namespace {

constexpr std::string_view kProblemType = "https://iana.org/assignments/http-problem-types#quota-exceeded";
constexpr std::string_view kProblemTitle = "Request cannot be satisfied as assigned quota has been exceeded";

void append_number(std::string& out, std::uint64_t number) {
    char digits[20];
    const auto end = std::to_chars(std::begin(digits), std::end(digits), number).ptr;
    out.append(std::begin(digits), end);
}

// A string of RFC 8941 3.3.3: printable ASCII only, so that other bytes show as "_".
void append_sf_string(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += c >= 0x20 && c < 0x7F ? c : '_';
    }
    out += '"';
}

void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    append_json_escaped(out, text);
    out += '"';
}

// True when `a` speaks before `b`.
bool tighter(const Verdict& a, const Verdict& b) {
    if (a.decision.allowed != b.decision.allowed) return !a.decision.allowed;
    if (a.decision.retry_after != b.decision.retry_after) return a.decision.retry_after > b.decision.retry_after;
    return a.decision.remaining < b.decision.remaining;
}

// A policy is named by its group; of several verdicts on one group (counted for several subjects) the tightest stands
// for it, so that no name is listed twice.
bool stands_for_its_group(std::span<const Verdict> verdicts, std::size_t i) {
    for (std::size_t other = 0; other < verdicts.size(); ++other) {
        if (other == i || verdicts[other].limit->group != verdicts[i].limit->group) continue;
        if (tighter(verdicts[other], verdicts[i])) return false;
        if (other < i && !tighter(verdicts[i], verdicts[other])) return false;
    }
    return true;
}

// Calls `append(verdict)` for each group, and writes ", " between.
template <typename Append>
void append_list(std::string& out, std::span<const Verdict> verdicts, Append&& append) {
    bool first = true;
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
        if (!stands_for_its_group(verdicts, i)) continue;
        if (!first) out += ", ";
        first = false;
        append(verdicts[i]);
    }
}

}  // namespace

const Verdict& tightest(std::span<const Verdict> verdicts) {
    WEIR_ASSERT(!verdicts.empty());
    const Verdict* best = &verdicts.front();
    for (const Verdict& verdict : verdicts.subspan(1)) {
        if (tighter(verdict, *best)) best = &verdict;
    }
    return *best;
}

std::string close_reason(const Verdict& verdict) {
    std::string reason = "Rate limit exceeded: ";
    append_number(reason, verdict.rule->rate.count);
    reason += '/';
    reason += limit::period_words(verdict.rule->rate.period);
    // Two numbers and ASCII words; nothing in it is of a configuration's or a client's choice.
    WEIR_ASSERT(reason.size() <= kCloseReasonBytesMax);
    return reason;
}

std::string blocked_sentence(std::uint64_t seconds, std::string_view reason) {
    std::string sentence = "Blocked for ";
    append_number(sentence, seconds);
    sentence += seconds == 1 ? " second: " : " seconds: ";
    sentence += reason;
    return sentence;
}

std::string exceeded_sentence(const Verdict& verdict) {
    std::string sentence = "Rate limit exceeded: Max ";
    append_number(sentence, verdict.rule->rate.count);
    sentence += " requests per ";
    sentence += limit::period_words(verdict.rule->rate.period);
    sentence += ". Please try again later.";
    return sentence;
}

std::string limit_data(const Verdict& verdict) {
    std::string text = R"({"limit": )";
    append_number(text, verdict.rule->rate.count);
    text += R"(, "remaining": )";
    append_number(text, verdict.decision.remaining);
    text += R"(, "retry_after": )";
    append_number(text, limit::whole_seconds_up(verdict.decision.retry_after));
    text += R"(, "group": )";
    append_json_string(text, verdict.limit->group);
    text += '}';
    return text;
}

std::string rate_limited_text(const Verdict& verdict) {
    std::string text = R"({"type": "RATE_LIMITED", "content": )";
    append_json_string(text, exceeded_sentence(verdict));
    text += R"(, "data": )";
    text += limit_data(verdict);
    text += '}';
    return text;
}

std::string graphql_error(const Verdict& verdict) {
    constexpr std::string_view kRate = "Rate limit";
    std::string text = R"({"message": )";
    append_json_string(text, "Limit" + exceeded_sentence(verdict).substr(kRate.size()));
    text += R"(, "extensions": {"code": "RATE_LIMITED", )";
    text += std::string_view(limit_data(verdict)).substr(1);
    text += '}';
    return text;
}

std::string expand_answer(std::string_view answer_template, const Verdict& verdict) {
    std::string out;
    out.reserve(answer_template.size() + 32);
    const auto append_value = [&](std::string_view name) {
        if (name == "limit") {
            append_number(out, verdict.rule->rate.count);
        } else if (name == "remaining") {
            append_number(out, verdict.decision.remaining);
        } else if (name == "retry_after") {
            append_number(out, limit::whole_seconds_up(verdict.decision.retry_after));
        } else if (name == "period") {
            append_json_escaped(out, limit::period_words(verdict.rule->rate.period));
        } else if (name == "group") {
            append_json_escaped(out, verdict.limit->group);
        } else {
            return false;
        }
        return true;
    };
    while (!answer_template.empty()) {
        const std::size_t open = answer_template.find('{');
        out += answer_template.substr(0, open);
        if (open == std::string_view::npos) break;
        answer_template.remove_prefix(open + 1);
        const std::size_t close = answer_template.find('}');
        if (close != std::string_view::npos && append_value(answer_template.substr(0, close))) {
            answer_template.remove_prefix(close + 1);
        } else {
            out += '{';
        }
    }
    return out;
}

void append_rate_limit_fields(std::string& out, std::span<const Verdict> verdicts) {
    if (verdicts.empty()) return;
    const Verdict& speaker = tightest(verdicts);
    out += "X-RateLimit-Limit: ";
    append_number(out, speaker.rule->rate.count);
    out += "\r\nX-RateLimit-Remaining: ";
    append_number(out, speaker.decision.remaining);
    out += "\r\nX-RateLimit-Reset: ";
    append_number(out, limit::whole_seconds_up(speaker.decision.reset_after));
    out += "\r\nRateLimit-Policy: ";
    append_list(out, verdicts, [&](const Verdict& verdict) {
        append_sf_string(out, verdict.limit->group);
        out += ";q=";
        append_number(out, verdict.rule->rate.count);
        out += ";w=";
        append_number(out, static_cast<std::uint64_t>(verdict.rule->rate.period.count()));
    });
    out += "\r\nRateLimit: ";
    append_list(out, verdicts, [&](const Verdict& verdict) {
        append_sf_string(out, verdict.limit->group);
        out += ";r=";
        append_number(out, verdict.decision.remaining);
        // A full bucket has no more to wait for; the parameter is optional.
        if (verdict.decision.more_after.count() <= 0) return;
        out += ";t=";
        append_number(out, limit::whole_seconds_up(verdict.decision.more_after));
    });
    out += "\r\n";
    if (!speaker.decision.allowed) {
        out += "Retry-After: ";
        append_number(out, limit::whole_seconds_up(speaker.decision.retry_after));
        out += "\r\n";
    }
}

std::string problem_details(std::span<const Verdict> verdicts) {
    std::string text = R"({"type": )";
    append_json_string(text, kProblemType);
    text += R"(, "title": )";
    append_json_string(text, kProblemTitle);
    text += R"(, "status": 429, "detail": )";
    append_json_string(text, exceeded_sentence(tightest(verdicts)));
    text += R"(, "violated-policies": [)";
    bool first = true;
    for (std::size_t i = 0; i < verdicts.size(); ++i) {
        if (verdicts[i].decision.allowed || !stands_for_its_group(verdicts, i)) continue;
        if (!first) text += ", ";
        first = false;
        append_json_string(text, verdicts[i].limit->group);
    }
    text += "]}";
    return text;
}

}  // namespace weir::policy
