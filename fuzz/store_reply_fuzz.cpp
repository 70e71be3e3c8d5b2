// Replies to the scripts from a hostile store: whatever it says becomes an error, or values within their ranges.
#include <array>
#include <cstdint>
#include <string_view>

#include "protocol/resp/reply.h"
#include "store/connections_script.h"
#include "store/shared_table.h"
#include "store/take_script.h"

namespace {

namespace store = weir::store;
namespace limit = weir::limit;

void check_decisions(const weir::protocol::resp::Reply& reply) {
    static const limit::BucketRule kRule{{20, std::chrono::seconds(60)}, limit::Algorithm::kGcra, 5, false};
    constexpr limit::Take kTake{.bucket = {}, .rule = &kRule, .cost = 1, .subject = "user:42", .group = "g"};
    constexpr std::array kEvent{kTake, kTake, kTake};
    for (std::size_t size = 1; size <= kEvent.size(); ++size) {
        std::array<limit::Decision, kEvent.size()> decisions;
        const std::span<limit::Decision> asked = std::span(decisions).first(size);
        const auto at = store::read_decisions(reply, std::span(kEvent).first(size), asked);
        if (!at) continue;
        WEIR_ASSERT(at->nanos >= 0);
        for (const limit::Decision& decision : asked) {
            WEIR_ASSERT(decision.limit == 20 && decision.reset_after.count() >= 0);
            WEIR_ASSERT(decision.retry_after.count() >= 0 && decision.more_after.count() >= 0);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    weir::protocol::resp::ReplyReader reader;
    reader.feed({reinterpret_cast<const char*>(data), size});
    while (true) {
        const auto next = reader.next();
        if (!next || !*next) return 0;
        const weir::protocol::resp::Reply& reply = **next;
        check_decisions(reply);
        (void)store::read_connection_count(reply);
        (void)store::read_changed(reply);
        if (const auto changes = store::read_changes(reply)) {
            for (const store::SharedEntry& entry : changes->entries) {
                WEIR_ASSERT(entry.for_time.count() > 0 || entry.value.empty());
                const store::OverrideName name = store::parse_override_name(entry.name);
                WEIR_ASSERT(name.limit.empty() == name.subject.empty());
                if (!name.limit.empty()) WEIR_ASSERT(store::override_name(name.subject, name.limit) == entry.name);
            }
        }
    }
}
