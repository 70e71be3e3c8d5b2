// Content rules: what a strict reader finds is never answered "no", what it does not find never "yes"; a message that
// is cut is never more certain than the whole one; and the rules' shorter way to an answer gives the same one.
#include <cstdint>
#include <memory>
#include <simdjson.h>
#include <string>

#include "policy/content.h"
#include "policy/lenient_json.h"

using weir::policy::Answer;
using weir::policy::Condition;

namespace {

weir::policy::MessageRules rules_of(Condition condition) {
    std::vector<weir::policy::MessageRule> rules(1);
    rules[0].when = std::make_unique<Condition>(std::move(condition));
    return {std::move(rules), 1U << 20U};
}

// What the rules say, which look for a shorter way than a parse.
Answer by_rules(weir::policy::ContentJudge& judge, const weir::policy::MessageRules& rules,
                const weir::policy::MessageView& message) {
    const std::size_t rule = judge.judge(rules, message);
    if (rule == weir::policy::MessageRules::kUnjudgeable) return Answer::kUnknown;
    return rule == 0 ? Answer::kYes : Answer::kNo;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace policy = weir::policy;
    static policy::ContentJudge judge;
    static const Condition kHas{Condition::JsonHas{"type"}};
    static const Condition kEquals{Condition::JsonEquals{"/type", std::string("ping")}};
    static const Condition kNested{Condition::JsonHas{"/a/0/b"}};

    std::string padded(reinterpret_cast<const char*>(data), size);
    padded.append(policy::kJsonPadding, '\0');
    const std::string_view content = std::string_view(padded).substr(0, size);
    const policy::MessageView whole{content, true, false, size};
    const Answer has = judge.evaluate(kHas, whole);
    const Answer equals = judge.evaluate(kEquals, whole);
    static_cast<void>(judge.evaluate(kNested, whole));
    static const policy::MessageRules kHasRule = rules_of({Condition::JsonHas{"type"}});
    static const policy::MessageRules kEqualsRule = rules_of({Condition::JsonEquals{"/type", std::string("ping")}});
    WEIR_ASSERT(by_rules(judge, kHasRule, whole) == has && by_rules(judge, kEqualsRule, whole) == equals);

    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (parser.parse(padded.data(), size).get_object().get(object) == simdjson::SUCCESS) {
        simdjson::dom::element member;
        const bool present = object.at_key("type").get(member) == simdjson::SUCCESS;
        std::string_view text;
        const bool ping = present && member.get_string().get(text) == simdjson::SUCCESS && text == "ping";
        WEIR_ASSERT(has != (present ? Answer::kNo : Answer::kYes));
        WEIR_ASSERT(equals != (ping ? Answer::kNo : Answer::kYes));
        WEIR_ASSERT(policy::may_read_as_json(content, true));
    } else {
        WEIR_ASSERT(has != Answer::kYes && equals != Answer::kYes);
    }
    for (std::size_t cut = 0; cut < size && cut < 64; ++cut) {
        // With `type` in its inspected part unseen, a cut message may only be unknown, or plainly no JSON.
        const Answer part = judge.evaluate(kHas, {content.substr(0, cut), false, false, cut});
        WEIR_ASSERT(part == Answer::kUnknown || (part == Answer::kNo && has == Answer::kNo));
    }
    return 0;
}
