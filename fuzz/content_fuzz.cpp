// Content rules: what a strict reader finds is never answered "no", what it does not find never "yes"; a message that
// is cut is never more certain than the whole one.
#include <cstdint>
#include <simdjson.h>
#include <string>

#include "policy/content.h"
#include "policy/lenient_json.h"

using weir::policy::Answer;
using weir::policy::Condition;

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
