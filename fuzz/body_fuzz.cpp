// Bodies: however the bytes are cut, the same content comes out, or the same refusal.
#include <cstdint>
#include <string>
#include <string_view>

#include "protocol/http/body.h"

using namespace weir::protocol::http;

namespace {

struct Outcome {
    std::string content;
    std::size_t consumed = 0;
    bool done = false;
    bool failed = false;
    weir::ErrorCode code = weir::ErrorCode::kInternal;
};

Outcome read_all(BodyReader reader, std::string_view bytes, std::size_t step) {
    Outcome outcome;
    while (!bytes.empty() && !reader.done()) {
        std::string_view part = bytes.substr(0, step);
        bytes.remove_prefix(part.size());
        while (!part.empty() && !reader.done()) {
            const auto piece = reader.next(part);
            if (!piece) {
                outcome.failed = true;
                outcome.code = piece.error().code;
                WEIR_ASSERT(!reader.next("x"));
                return outcome;
            }
            WEIR_ASSERT(piece->consumed > 0 || piece->done);
            WEIR_ASSERT(piece->consumed <= part.size() && piece->content.size() <= piece->consumed);
            WEIR_ASSERT(piece->content.empty() ||
                        (piece->content.data() >= part.data() && piece->content.end() <= part.end()));
            outcome.content += piece->content;
            outcome.consumed += piece->consumed;
            part.remove_prefix(piece->consumed);
        }
    }
    outcome.done = reader.done();
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 2) return 0;
    const auto framing = static_cast<BodyFraming>(data[0] % 4);
    const BodyReader reader(framing, data[1], {.refuse_chunk_extensions = (data[0] & 0x80) != 0});
    const std::string_view bytes(reinterpret_cast<const char*>(data + 2), size - 2);
    const Outcome whole = read_all(reader, bytes, std::string_view::npos);
    for (const std::size_t step : {1U, 2U, 3U, 7U}) {
        const Outcome pieces = read_all(reader, bytes, step);
        WEIR_ASSERT(pieces.failed == whole.failed && pieces.code == whole.code && pieces.done == whole.done);
        WEIR_ASSERT(pieces.content == whole.content);
        WEIR_ASSERT(whole.failed || pieces.consumed == whole.consumed);
    }
    return 0;
}
