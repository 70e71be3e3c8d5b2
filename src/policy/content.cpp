#include "policy/content.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <simdjson.h>
#include <span>

#include "base/error.h"
#include "base/limits.h"
#include "base/text.h"
#include "policy/bounded_json.h"
#include "policy/lenient_json.h"
#include "policy/member_name.h"
#include "policy/plain_json.h"

namespace weir::policy {
namespace {

namespace dom = simdjson::dom;

static_assert(kJsonPadding >= kPlainPadding);

// A bound for integers as doubles: 2^63 is exact, and the least that no int64 reaches.
constexpr double kInt64End = 9223372036854775808.0;
constexpr double kUint64End = 18446744073709551616.0;

constexpr Answer answer_of(bool yes) {
    return yes ? Answer::kYes : Answer::kNo;
}

// The steps of a pointer, taken one after the other.
struct Path {
    std::string_view text;
    bool pointer = false;  // RFC 6901, escapes included; else `text` is one name
    bool finished = false;

    explicit Path(std::string_view all) : text(all), pointer(!all.empty() && all.front() == '/') {}

    std::string_view take() {
        if (!pointer) {
            finished = true;
            return text;
        }
        text.remove_prefix(1);
        const std::size_t slash = text.find('/');
        const std::string_view token = text.substr(0, slash);
        finished = slash == std::string_view::npos;
        if (!finished) text.remove_prefix(slash);
        return token;
    }
};

// Index of an array's element as RFC 6901 writes it; nullopt when the token is none.
std::optional<std::uint64_t> array_index(std::string_view token) {
    if (token.size() > 1 && token.front() == '0') return std::nullopt;
    return parse_decimal(token);
}

bool equals_number(const dom::element& element, double value) {
    if (element.is<std::int64_t>()) {
        return value >= -kInt64End && value < kInt64End && std::trunc(value) == value &&
               static_cast<std::int64_t>(value) == element.get<std::int64_t>().value_unsafe();
    }
    if (element.is<std::uint64_t>()) {
        return value >= 0 && value < kUint64End && std::trunc(value) == value &&
               static_cast<std::uint64_t>(value) == element.get<std::uint64_t>().value_unsafe();
    }
    return element.is<double>() && element.get<double>().value_unsafe() == value;
}

bool equals_number(const dom::element& element, std::int64_t value) {
    if (element.is<std::int64_t>()) return element.get<std::int64_t>().value_unsafe() == value;
    if (!element.is_double()) return false;  // larger than every int64, or no number
    const double number = element.get<double>().value_unsafe();
    return number >= -kInt64End && number < kInt64End && std::trunc(number) == number &&
           static_cast<std::int64_t>(number) == value;
}

bool equals_scalar(const dom::element& element, const JsonScalar& value) {
    if (std::holds_alternative<std::nullptr_t>(value)) return element.is_null();
    if (const bool* flag = std::get_if<bool>(&value))
        return element.is_bool() && element.get_bool().value_unsafe() == *flag;
    if (const auto* integer = std::get_if<std::int64_t>(&value)) return equals_number(element, *integer);
    if (const auto* number = std::get_if<double>(&value)) return equals_number(element, *number);
    return element.is_string() && element.get_string().value_unsafe() == *std::get_if<std::string>(&value);
}

// What the members that `path` leads to say, over all readings of duplicated and differently cased names. A null
// `value` asks whether there is any. The recursion is bounded by the document's depth.
Answer ask(const dom::element& element, Path path, const JsonScalar* value);

Answer ask_object(const dom::object& object, std::string_view token, const Path& rest, const JsonScalar* value) {
    bool found = false;
    bool exact = false;
    Answer answer = Answer::kNo;
    for (const auto [name, member] : object) {
        const NameMatch match = match_name(name, token, rest.pointer);
        if (match == NameMatch::kNone) continue;
        const Answer one =
            rest.finished ? answer_of(value == nullptr || equals_scalar(member, *value)) : ask(member, rest, value);
        if (one == Answer::kUnknown || (found && one != answer)) return Answer::kUnknown;
        answer = one;
        found = true;
        exact = exact || match == NameMatch::kExact;
    }
    return exact || answer == Answer::kNo ? answer : Answer::kUnknown;
}

Answer ask(const dom::element& element, Path path, const JsonScalar* value) {
    const std::string_view token = path.take();
    if (element.is_object()) return ask_object(element.get_object().value_unsafe(), token, path, value);
    if (!element.is_array() || !path.pointer) return Answer::kNo;
    const auto index = array_index(token);
    if (!index) return Answer::kNo;
    dom::element member;
    if (element.get_array().value_unsafe().at(*index).get(member) != simdjson::SUCCESS) return Answer::kNo;
    if (!path.finished) return ask(member, path, value);
    return answer_of(value == nullptr || equals_scalar(member, *value));
}

bool looks_at_content(const Condition& condition);

bool any_looks_at_content(const Conditions& conditions) {
    return std::any_of(conditions.begin(), conditions.end(), looks_at_content);
}

bool looks_at_content(const Condition& condition) {
    if (std::holds_alternative<Condition::Binary>(condition.is)) return false;
    if (const auto* all = std::get_if<Condition::All>(&condition.is)) return any_looks_at_content(all->of);
    if (const auto* any = std::get_if<Condition::Any>(&condition.is)) return any_looks_at_content(any->of);
    if (const auto* negated = std::get_if<Condition::Not>(&condition.is)) return looks_at_content(*negated->of);
    return true;
}

bool equals_plain_number(std::string_view text, const JsonScalar& value) {
    double number = 0;
    std::from_chars(text.data(), text.data() + text.size(), number);  // few digits: exact
    if (const auto* integer = std::get_if<std::int64_t>(&value)) {
        return std::trunc(number) == number && static_cast<std::int64_t>(number) == *integer;
    }
    const auto* wanted = std::get_if<double>(&value);
    return wanted != nullptr && number == *wanted;
}

bool equals_plain(const PlainMember& member, const JsonScalar& value) {
    switch (member.kind) {
        case PlainKind::kString: {
            const auto* text = std::get_if<std::string>(&value);
            return text != nullptr && member.value == *text;
        }
        case PlainKind::kNumber:
            return equals_plain_number(member.value, value);
        case PlainKind::kTrue:
        case PlainKind::kFalse: {
            const bool* flag = std::get_if<bool>(&value);
            return flag != nullptr && *flag == (member.kind == PlainKind::kTrue);
        }
        case PlainKind::kNull:
            return std::holds_alternative<std::nullptr_t>(value);
        default:
            return false;
    }
}

// The member that a pointer of one step names; nullopt: it has more steps, or needs a full parser.
std::optional<std::string_view> plain_name(std::string_view pointer) {
    if (pointer.starts_with('/')) pointer.remove_prefix(1);
    if (pointer.find_first_of("/~") != std::string_view::npos || !is_plain_name(pointer)) return std::nullopt;
    return pointer;
}

// Gives each JSON condition its place in `names`. False when one of them can't have any.
bool name_members(Condition& condition, std::vector<std::string>& names) {
    const auto place = [&names](std::string_view pointer, std::uint8_t& to) {
        const auto name = plain_name(pointer);
        if (!name) return false;
        auto found = std::find(names.begin(), names.end(), *name);
        if (found == names.end()) {
            if (names.size() == kPlainNamesMax) return false;
            found = names.insert(found, std::string(*name));
        }
        to = static_cast<std::uint8_t>(found - names.begin());
        return true;
    };
    const auto each = [&names](Conditions& conditions) {
        return std::all_of(conditions.begin(), conditions.end(),
                           [&names](Condition& one) { return name_members(one, names); });
    };
    if (auto* has = std::get_if<Condition::JsonHas>(&condition.is)) return place(has->pointer, has->name);
    if (auto* equals = std::get_if<Condition::JsonEquals>(&condition.is)) return place(equals->pointer, equals->name);
    if (auto* all = std::get_if<Condition::All>(&condition.is)) return each(all->of);
    if (auto* any = std::get_if<Condition::Any>(&condition.is)) return each(any->of);
    if (auto* negated = std::get_if<Condition::Not>(&condition.is)) return name_members(*negated->of, names);
    return true;
}

}  // namespace

bool is_member_pointer(std::string_view text) {
    if (text.empty() || text.front() != '/') return true;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '~' && (i + 1 == text.size() || (text[i + 1] != '0' && text[i + 1] != '1'))) return false;
    }
    return true;
}

MessageRules::MessageRules(std::vector<MessageRule> rules, std::uint64_t inspect_bytes)
    : rules_(std::move(rules)), inspect_bytes_(inspect_bytes) {
    for (const MessageRule& rule : rules_) {
        if (!rule.when) break;  // counts every message; nothing behind it is asked
        if (looks_at_content(*rule.when)) needs_content_ = true;
    }
    const bool plain = std::all_of(rules_.begin(), rules_.end(), [this](MessageRule& rule) {
        return rule.when == nullptr || name_members(*rule.when, plain_names_);
    });
    if (!plain) plain_names_.clear();
}

std::size_t MessageRules::strictest(const LimitTable& limits, TierId tier) const {
    std::size_t best = kNoRule;
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        if (rules_[i].unlimited || rules_[i].limits.empty()) continue;
        if (best == kNoRule || stricter_list(limits, tier, rules_[i].limits, rules_[best].limits)) best = i;
    }
    return best;
}

struct ContentJudge::Impl {
    enum class Reading : std::uint8_t { kNotYet, kPlain, kDocument, kNoJson, kUnknown };

    dom::parser parser;
    dom::element root;
    Reading reading = Reading::kNotYet;
    std::array<PlainMember, kPlainNamesMax> members;  // of a plain object
    std::size_t names = 0;                            // that are asked for; 0: no scan

    void begin(const std::vector<std::string>& plain_names) {
        reading = Reading::kNotYet;
        names = plain_names.size();
        for (std::size_t i = 0; i < names; ++i) members[i].name = plain_names[i];
    }

    // Parses at most once a message.
    Reading read(const MessageView& message) {
        if (reading == Reading::kNotYet) reading = read_now(message);
        return reading;
    }

    Reading read_now(const MessageView& message) {
        const std::string_view content = message.content;
        if (names > 0 && message.complete && scan_plain_object(content, std::span(members).first(names)))
            return Reading::kPlain;
        if (message.complete && parse_bounded(parser, content, root) == simdjson::SUCCESS) return Reading::kDocument;
        return may_read_as_json(content, message.complete) ? Reading::kUnknown : Reading::kNoJson;
    }

    Answer ask_json(std::string_view pointer, std::uint8_t name, const JsonScalar* value, const MessageView& message) {
        switch (read(message)) {
            case Reading::kPlain:
                if (value != nullptr) return answer_of(equals_plain(members[name], *value));
                return answer_of(members[name].kind != PlainKind::kAbsent);
            case Reading::kDocument:
                return ask(root, Path(pointer), value);
            case Reading::kNoJson:
                return Answer::kNo;
            default:
                return Answer::kUnknown;
        }
    }

    static Answer ask_larger(std::uint64_t bytes, const MessageView& message) {
        if (message.size_least > bytes) return Answer::kYes;
        return message.complete ? Answer::kNo : Answer::kUnknown;
    }

    // All of `conditions` (`until` = kNo), or any of them (`until` = kYes): the first that answers `until` settles it.
    Answer ask_each(const Conditions& conditions, Answer until, const MessageView& message) {
        Answer answer = until == Answer::kNo ? Answer::kYes : Answer::kNo;
        for (const Condition& condition : conditions) {
            const Answer one = evaluate(condition, message);
            if (one == until) return until;
            if (one == Answer::kUnknown) answer = Answer::kUnknown;
        }
        return answer;
    }

    Answer evaluate(const Condition& condition, const MessageView& message) {
        const auto& is = condition.is;
        if (const auto* has = std::get_if<Condition::JsonHas>(&is))
            return ask_json(has->pointer, has->name, nullptr, message);
        if (const auto* equals = std::get_if<Condition::JsonEquals>(&is))
            return ask_json(equals->pointer, equals->name, &equals->value, message);
        if (const auto* binary = std::get_if<Condition::Binary>(&is))
            return answer_of(binary->binary == message.binary);
        if (const auto* larger = std::get_if<Condition::LargerThan>(&is)) return ask_larger(larger->bytes, message);
        if (const auto* all = std::get_if<Condition::All>(&is)) return ask_each(all->of, Answer::kNo, message);
        if (const auto* any = std::get_if<Condition::Any>(&is)) return ask_each(any->of, Answer::kYes, message);
        const Answer inner = evaluate(*std::get_if<Condition::Not>(&is)->of, message);
        if (inner == Answer::kUnknown) return inner;
        return answer_of(inner == Answer::kNo);
    }
};

ContentJudge::ContentJudge() : impl_(std::make_unique<Impl>()) {}
ContentJudge::~ContentJudge() = default;

std::size_t ContentJudge::judge(const MessageRules& rules, const MessageView& message) {
    impl_->begin(rules.plain_names());
    const auto& list = rules.rules();
    for (std::size_t i = 0; i < list.size(); ++i) {
        if (!list[i].when) return i;
        const Answer answer = impl_->evaluate(*list[i].when, message);
        if (answer == Answer::kYes) return i;
        if (answer == Answer::kUnknown) return MessageRules::kUnjudgeable;
    }
    return MessageRules::kNoRule;
}

Answer ContentJudge::evaluate(const Condition& condition, const MessageView& message) {
    impl_->begin({});
    return impl_->evaluate(condition, message);
}

}  // namespace weir::policy
