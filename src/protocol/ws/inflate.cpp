#include "protocol/ws/inflate.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <limits>
#include <zlib.h>

namespace weir::protocol::ws {
namespace {

// Raw deflate with the largest window; it reads streams of every smaller one.
constexpr int kRawWindowBits = -15;
// What one inflater needs: zlib's state (about 7 KiB) and the window (32 KiB).
constexpr std::size_t kArenaBytes = 48 * 1024;
constexpr std::array<std::uint8_t, 4> kCutOffTail{0x00, 0x00, 0xFF, 0xFF};
constexpr int kAtBlockBorder = 128;  // in z_stream::data_type

Error malformed(std::string_view detail) {
    return {.code = ErrorCode::kMalformed, .source = ErrorSource::kDownstream, .detail = detail};
}

}  // namespace

// zlib gets its memory from a fixed arena that is handed out once: that nothing is allocated per message is thereby not
// hoped but enforced.
struct Inflater::Impl {
    z_stream stream{};
    bool broken = false;  // this message was refused
    bool cut = false;     // this message did not fit
    bool fed = false;     // this message had bytes
    bool at_border = true;
    std::size_t arena_used = 0;
    alignas(std::max_align_t) std::array<std::byte, kArenaBytes> arena;

    static voidpf allocate(voidpf opaque, uInt items, uInt size) {
        auto& impl = *static_cast<Impl*>(opaque);
        const std::size_t bytes = static_cast<std::size_t>(items) * size;
        const std::size_t start = (impl.arena_used + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);
        if (start > kArenaBytes || bytes > kArenaBytes - start) return nullptr;
        impl.arena_used = start + bytes;
        return impl.arena.data() + start;
    }
    static void release(voidpf /*opaque*/, voidpf /*memory*/) {}  // with the arena

    // Inflates into `out` until the input or the room ends, or the stream is found `broken`; the bytes written. The
    // input that is left stays in `stream`.
    std::size_t run(std::span<std::uint8_t> out);
    Result<Progress> feed(std::span<const std::uint8_t> compressed, std::span<std::uint8_t> out);
};

std::size_t Inflater::Impl::run(std::span<std::uint8_t> out) {
    const std::size_t room = std::min<std::size_t>(out.size(), std::numeric_limits<uInt>::max());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(room);
    for (;;) {
        const int status = ::inflate(&stream, Z_SYNC_FLUSH);
        // A block that calls itself the last one does not end the message (RFC 7692 7.2.3.4): others may follow, and
        // may refer back to it. This reset, unlike inflateReset, keeps the window.
        if (status == Z_STREAM_END) {
            if (inflateResetKeep(&stream) != Z_OK) break;
            at_border = true;
            if (stream.avail_in == 0 || stream.avail_out == 0) return room - stream.avail_out;
            continue;
        }
        // Z_BUF_ERROR: no progress was possible, for want of input or room; not an error.
        if (status != Z_OK && status != Z_BUF_ERROR) break;
        at_border = (stream.data_type & kAtBlockBorder) != 0;
        if (status == Z_BUF_ERROR || stream.avail_in == 0 || stream.avail_out == 0) return room - stream.avail_out;
    }
    broken = true;
    return room - stream.avail_out;
}

Result<Inflater::Progress> Inflater::Impl::feed(std::span<const std::uint8_t> compressed, std::span<std::uint8_t> out) {
    if (broken) return malformed("a message that is no deflate stream");
    if (cut) return Progress{.full = true};
    WEIR_ASSERT(compressed.size() <= std::numeric_limits<uInt>::max());
    // zlib does not write through next_in; its C declaration only lacks the const.
    stream.next_in = const_cast<Bytef*>(compressed.data());
    stream.avail_in = static_cast<uInt>(compressed.size());
    if (compressed.empty()) return Progress{};
    fed = true;

    Progress progress;
    if (!out.empty()) {
        progress.written = run(out);
        if (broken) return malformed("a message that is no deflate stream");
        if (stream.avail_out != 0) return progress;
    }
    // No room is left. Whether the message goes on only one byte more can tell.
    std::array<std::uint8_t, 1> probe;
    cut = run(probe) != 0;
    // What is wrong behind that byte is behind the bound, too: with the input cut before it, nobody would have seen it.
    if (broken && !cut) return malformed("a message that is no deflate stream");
    broken = false;
    progress.full = cut;
    return progress;
}

Inflater::Inflater() : impl_(std::make_unique<Impl>()) {
    impl_->stream.zalloc = &Impl::allocate;
    impl_->stream.zfree = &Impl::release;
    impl_->stream.opaque = impl_.get();
    WEIR_ASSERT(inflateInit2(&impl_->stream, kRawWindowBits) == Z_OK);
    // zlib takes the window's memory when it is first needed: now.
    const std::array<std::uint8_t, 1> byte{};
    WEIR_ASSERT(inflateSetDictionary(&impl_->stream, byte.data(), byte.size()) == Z_OK);
    start_message();
}

Inflater::~Inflater() {
    inflateEnd(&impl_->stream);
}

void Inflater::start_message() {
    WEIR_ASSERT(inflateReset(&impl_->stream) == Z_OK);
    impl_->broken = false;
    impl_->cut = false;
    impl_->fed = false;
    impl_->at_border = true;
}

Result<Inflater::Progress> Inflater::inflate(std::span<const std::uint8_t> compressed, std::span<std::uint8_t> out) {
    return impl_->feed(compressed, out);
}

Result<Inflater::Progress> Inflater::finish_message(std::span<std::uint8_t> out) {
    if (!impl_->fed) return Progress{};
    const auto progress = impl_->feed(kCutOffTail, out);
    if (progress && !progress->full && !impl_->at_border) {
        impl_->broken = true;
        return malformed("a message that ends inside a deflate block");
    }
    return progress;
}

}  // namespace weir::protocol::ws
