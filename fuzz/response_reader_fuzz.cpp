// Responses to requests of Weir's own: however the bytes are cut, the same answer comes out, or the same refusal.
#include <cstdint>
#include <string>
#include <string_view>

#include "gateway/response_reader.h"

using namespace weir;
using gateway::ResponseReader;

namespace {

constexpr std::size_t kBodyMax = 64;

struct Outcome {
    std::string body;
    std::string_view error;
    unsigned status = 0;
    std::size_t left = 0;
    bool done = false, whole_by_end = false, reusable = false;
    friend bool operator==(const Outcome&, const Outcome&) = default;
};

Outcome read_all(std::string_view bytes, std::size_t step) {
    ResponseReader reader({.body_bytes_max = kBodyMax, .body_too_long = "too long"});
    protocol::http::ResponseHead scratch;
    Outcome outcome;
    bool head = false;
    while (!bytes.empty() && !outcome.done && outcome.error.empty()) {
        std::string_view part = bytes.substr(0, step);
        bytes.remove_prefix(part.size());
        const std::string_view given = part;
        auto progress = reader.read(part, scratch);
        if (progress && *progress == ResponseReader::Progress::kHead) {
            WEIR_ASSERT(!head && part.end() == given.end());
            head = true;
            progress = reader.read(part, scratch);
        }
        WEIR_ASSERT(!progress || *progress != ResponseReader::Progress::kHead);
        if (!progress) {
            outcome.error = progress.error().detail;
        } else {
            outcome.done = *progress == ResponseReader::Progress::kDone;
            WEIR_ASSERT(outcome.done || part.empty());
            outcome.left = part.size();
        }
    }
    WEIR_ASSERT(reader.body().size() <= kBodyMax);
    WEIR_ASSERT(head == (reader.status() != 0));
    if (!outcome.error.empty()) return {.body = {}, .error = outcome.error};
    outcome.left += bytes.size();
    outcome.body = reader.body();
    outcome.status = reader.status();
    outcome.whole_by_end = reader.ended_whole();
    outcome.reusable = reader.reusable();
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const Outcome whole = read_all(bytes, std::string_view::npos);
    for (const std::size_t step : {1U, 2U, 7U}) WEIR_ASSERT(read_all(bytes, step) == whole);
    return 0;
}
