// Answers of an application that may be anything: one that is believed names a user within its bound, in a tier that
// there is, or nobody.
#include <cstdint>
#include <string_view>

#include "identity/lookup.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using weir::identity::LookupAnswer;
    static const weir::policy::LimitTable kLimits = [] {
        std::vector<std::string> problems;
        return weir::policy::LimitTable::build({}, problems);
    }();
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto answer = weir::identity::parse_lookup_answer(bytes, kLimits);
    if (!answer) {
        WEIR_ASSERT(!answer.error().detail.empty());
        return 0;
    }
    WEIR_ASSERT(size <= weir::identity::kLookupBodyBytesMax);
    WEIR_ASSERT(answer->tier < kLimits.tiers().size());
    if (answer->kind == LookupAnswer::Kind::kUser) {
        WEIR_ASSERT(!answer->user.empty() && answer->user.size() <= weir::identity::kNameBytesMax);
    } else {
        WEIR_ASSERT(*answer == (LookupAnswer{.kind = LookupAnswer::Kind::kAnonymous, .user = {}}));
    }
    return 0;
}
