// Compressed messages: however one is cut, the same comes out; a smaller bound gives a beginning of it; the inflater is
// ready for the next message whatever this one was.
#include <algorithm>
#include <cstdint>
#include <string_view>
#include <vector>

#include "protocol/ws/inflate.h"

using weir::protocol::ws::Inflater;

namespace {

using Bytes = std::span<const std::uint8_t>;

struct Outcome {
    std::vector<std::uint8_t> content;
    bool full = false;
    bool malformed = false;
};

Outcome inflated(Inflater& inflater, Bytes message, std::size_t bound, std::size_t step) {
    Outcome outcome;
    outcome.content.resize(bound);
    std::span<std::uint8_t> room(outcome.content);
    const auto take = [&](const weir::Result<Inflater::Progress>& progress) {
        outcome.malformed = !progress;
        if (!progress) return false;
        WEIR_ASSERT(progress->written <= room.size());
        outcome.full = progress->full;
        room = room.subspan(progress->written);
        return true;
    };
    inflater.start_message();
    bool going = true;
    while (going && !message.empty()) {
        const Bytes part = message.first(std::min(step, message.size()));
        message = message.subspan(part.size());
        going = take(inflater.inflate(part, room));
    }
    if (going) take(inflater.finish_message(room));
    outcome.content.resize(bound - room.size());
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    static Inflater inflater;
    const std::size_t bound = data[0] * 8U;
    const std::size_t step = 1U + data[1] % 16U;
    const Bytes message(data + 2, size - 2);

    const Outcome whole = inflated(inflater, message, bound, message.size() + 1);
    const Outcome pieces = inflated(inflater, message, bound, step);
    WEIR_ASSERT(pieces.malformed == whole.malformed && (whole.malformed || pieces.full == whole.full));
    WEIR_ASSERT(whole.malformed || pieces.content == whole.content);
    WEIR_ASSERT(!whole.full || whole.content.size() == bound);

    const Outcome wider = inflated(inflater, message, bound + 4096, message.size() + 1);
    if (!whole.malformed && !wider.malformed) {
        WEIR_ASSERT(std::equal(whole.content.begin(), whole.content.end(), wider.content.begin()));
        WEIR_ASSERT(whole.full == (wider.content.size() > bound));
    }

    constexpr std::uint8_t kHello[] = {0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};
    const Outcome hello = inflated(inflater, kHello, 5, 7);
    WEIR_ASSERT(!hello.malformed && !hello.full &&
                std::string_view(reinterpret_cast<const char*>(hello.content.data()), 5) == "Hello");
    return 0;
}
