// Multipart bodies: however the bytes are cut, the same parts come out, or the same refusal; and a plain reader that
// searches the whole body for its boundary finds the same data.
//
// Input: a byte that picks the cuts, the boundary, a line feed, the body.
#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/multipart/graphql_upload.h"
#include "protocol/multipart/multipart.h"

using namespace weir::protocol::multipart;

namespace {

struct Told final : PartListener {
    weir::Result<void> on_part(const Part& part) override {
        WEIR_ASSERT(open == 0);
        open = 1;
        heads.push_back(part.name + '\n' + part.content_type + (part.has_file ? "\nfile" : ""));
        names.push_back(part.name);
        data.emplace_back();
        return {};
    }
    weir::Result<void> on_data(std::string_view bytes) override {
        WEIR_ASSERT(open == 1 && !bytes.empty());
        data.back() += bytes;
        return {};
    }
    weir::Result<void> on_part_end() override {
        WEIR_ASSERT(open == 1);
        open = 0;
        return {};
    }
    bool operator==(const Told& other) const {
        return heads == other.heads && data == other.data && open == other.open && error == other.error;
    }
    std::vector<std::string> heads;
    std::vector<std::string> names;
    std::vector<std::string> data;
    int open = 0;
    std::string_view error;
};

// All bytes at once (`most` 0), or pieces of 1 to `most` bytes; each a copy, so that a view that is kept too long is
// seen.
class Pieces {
  public:
    Pieces(std::string_view bytes, std::size_t most, std::uint32_t seed) : rest_(bytes), most_(most), seed_(seed) {}
    bool next(std::string& piece) {
        if (rest_.empty()) return false;
        seed_ = seed_ * 1664525U + 1013904223U;
        piece = rest_.substr(0, most_ == 0 ? rest_.size() : 1 + (seed_ >> 8U) % most_);
        rest_.remove_prefix(piece.size());
        return true;
    }

  private:
    std::string_view rest_;
    std::size_t most_;
    std::uint32_t seed_;
};

Told scan(std::string_view boundary, Pieces pieces) {
    Scanner scanner(boundary);
    Told told;
    std::string piece;
    while (pieces.next(piece)) {
        if (const auto fed = scanner.feed(piece, told); !fed) {
            told.error = fed.error().detail;
            return told;
        }
    }
    if (const auto ended = scanner.end(); !ended) told.error = ended.error().detail;
    WEIR_ASSERT(!told.error.empty() || scanner.closed());
    return told;
}

struct UploadTold {
    std::string operations;
    std::string_view error;
    bool operator==(const UploadTold&) const = default;
};

UploadTold upload(std::string_view boundary, Pieces pieces) {
    GraphqlUpload graphql(boundary, 256);
    UploadTold told;
    std::string piece;
    while (told.error.empty() && pieces.next(piece)) {
        if (const auto fed = graphql.feed(piece); !fed) told.error = fed.error().detail;
    }
    if (const auto ended = graphql.end(); !ended && told.error.empty()) told.error = ended.error().detail;
    told.operations = graphql.operations();
    return told;
}

// What was accepted has its boundary nowhere but between parts: cutting the text there gives the same data.
void check_against_plain_reader(std::string_view body, std::string_view boundary, const Told& told) {
    const std::string dashed = "--" + std::string(boundary);
    std::size_t at = body.find(dashed);
    for (const std::string& data : told.data) {
        WEIR_ASSERT(at != std::string_view::npos);
        const std::size_t next = body.find(dashed, at + dashed.size());
        WEIR_ASSERT(next != std::string_view::npos && next >= 2);
        const std::string_view part = body.substr(at, next - 2 - at);
        const std::size_t header_end = part.find("\r\n\r\n");
        WEIR_ASSERT(header_end != std::string_view::npos && part.substr(header_end + 4) == data);
        at = next;
    }
    WEIR_ASSERT(at != std::string_view::npos && body.substr(at + dashed.size()).starts_with("--"));
    WEIR_ASSERT(body.find(dashed, at + dashed.size()) == std::string_view::npos);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    std::string_view body(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::string_view line = body.substr(0, body.find('\n'));
    body.remove_prefix(std::min(line.size() + 1, body.size()));
    static_cast<void>(boundary_of(line));
    const auto boundary = boundary_of("multipart/form-data; boundary=\"" + std::string(line) + "\"");
    if (!boundary) return 0;
    WEIR_ASSERT(boundary->size() <= kBoundaryBytesMax);

    const Pieces whole(body, 0, 0);
    const Pieces cut(body, 1 + data[0] % 97U, data[0]);
    const Told told = scan(*boundary, whole);
    WEIR_ASSERT(told == scan(*boundary, cut));
    WEIR_ASSERT(told == scan(*boundary, Pieces(body, 1, 0)));
    if (told.error.empty()) check_against_plain_reader(body, *boundary, told);

    const UploadTold uploaded = upload(*boundary, whole);
    WEIR_ASSERT(uploaded == upload(*boundary, cut));
    WEIR_ASSERT(told.error.empty() || !uploaded.error.empty());
    if (!uploaded.error.empty()) return 0;
    std::size_t operations = 0;
    for (std::size_t i = 0; i < told.data.size(); ++i) {
        if (told.names[i] != "operations") continue;
        WEIR_ASSERT(told.data[i] == uploaded.operations && operations++ == 0);
    }
    WEIR_ASSERT(operations == 1);
    return 0;
}
