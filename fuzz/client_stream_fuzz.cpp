// A WebSocket client's stream: however its bytes are cut, and whether decisions come at once or later, the same is
// forwarded, counted and refused, and the sink is shown the same content; what is forwarded is whole frames up to where
// the stream says that it is inside one; when every message is denied only control frames go.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "gateway/client_stream.h"

using namespace weir;
using namespace weir::gateway;

namespace {

constexpr std::size_t kInspectBytes = 64;

struct Sink final : ClientStreamSink {
    Verdict on_message(std::size_t rule) override {
        rules.push_back(rule);
        passes = (drops >> (rules.size() % 8) & 1U) == 0;
        if (later) return Verdict::kPending;
        return passes ? Verdict::kPass : Verdict::kDrop;
    }
    Verdict on_content(const policy::MessageView& message) override {
        WEIR_ASSERT(message.content.size() <= kInspectBytes);
        std::size_t sum = message.complete ? 1 : 0;
        for (const char c : message.content) sum = sum * 31 + static_cast<unsigned char>(c);
        return on_message(sum);
    }
    Verdict on_run(std::size_t rule, std::uint32_t messages) override {
        WEIR_ASSERT(messages > 0);
        passes = true;
        for (std::size_t i = 1; i <= messages; ++i) {
            if ((drops >> ((rules.size() + i) % 8) & 1U) != 0) passes = false;
        }
        if (passes) rules.insert(rules.end(), messages, rule);
        if (later) return Verdict::kPending;
        return passes ? Verdict::kPass : Verdict::kDrop;
    }
    void forward(net::Slice bytes) override {
        WEIR_ASSERT(code == 0 && !closed);
        forwarded.append(bytes.text());
    }
    void refuse(std::uint16_t close_code, std::string_view) override {
        WEIR_ASSERT(code == 0 && !closed);
        code = close_code;
    }
    void on_client_close() override { closed = true; }

    std::uint8_t drops = 0;
    bool later = false;
    bool passes = false;
    std::string forwarded;
    std::vector<std::size_t> rules;
    std::uint16_t code = 0;
    bool closed = false;
};

policy::MessageRules content_rules() {
    std::vector<policy::MessageRule> rules(2);
    rules[0].when = std::make_unique<policy::Condition>(policy::Condition{policy::Condition::JsonHas{"query"}});
    return {std::move(rules), kInspectBytes};
}

void check_frames(const Sink& sink, const ClientStream& stream, bool compressed) {
    const std::string_view text = sink.forwarded;
    const std::span all(reinterpret_cast<const std::uint8_t*>(text.data()), text.size());
    std::size_t at = 0;
    while (at < all.size()) {
        const auto frame =
            protocol::ws::parse_frame_header(all.subspan(at), {.masked = true, .rsv1_allowed = compressed});
        WEIR_ASSERT(frame && frame->has_value());
        const protocol::ws::FrameHeader& header = **frame;
        if (sink.drops == 0xFF) WEIR_ASSERT(protocol::ws::is_control(header.opcode));
        const std::size_t left = all.size() - at - header.header_bytes;
        if (left < header.payload_bytes) {
            WEIR_ASSERT(!stream.at_frame_boundary());
            return;
        }
        at += header.header_bytes + static_cast<std::size_t>(header.payload_bytes);
    }
    WEIR_ASSERT(stream.at_frame_boundary());
}

Sink run(const StreamRules& rules, std::string_view bytes, std::uint8_t drops, bool later, std::size_t step) {
    static StreamTools tools;
    net::BlockPool pool(4);
    Sink sink;
    sink.drops = drops;
    sink.later = later;
    ClientStream stream(rules);
    for (std::size_t at = 0; at < bytes.size(); at += step) {
        stream.receive(pool.copy(bytes.substr(at, step)), sink, tools, pool);
        while (stream.pending()) stream.decided(sink.passes, sink, tools, pool);
    }
    check_frames(sink, stream, rules.compressed);
    return sink;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 3 || size > 8192) return 0;
    static const policy::MessageRules kContent = content_rules();
    StreamRules rules{.text_rule = 3, .binary_rule = 4, .message_bytes_max = 512};
    if ((data[0] & 1) != 0) rules.rules = &kContent;
    rules.compressed = (data[0] & 2) != 0;
    if ((data[0] & 4) != 0) rules.message_bytes_max = 0;
    const bool later = (data[0] & 8) != 0;
    rules.by_sink = (data[0] & 16) != 0;
    rules.inspect_bytes = kInspectBytes;
    const std::string_view bytes(reinterpret_cast<const char*>(data + 3), size - 3);

    const Sink whole = run(rules, bytes, data[1], false, bytes.size() + 1);
    for (const std::size_t step : {std::size_t{1}, std::size_t{1} + data[2] % 37}) {
        const Sink cut = run(rules, bytes, data[1], later, step);
        WEIR_ASSERT(cut.forwarded == whole.forwarded);
        WEIR_ASSERT(cut.rules == whole.rules);
        WEIR_ASSERT(cut.code == whole.code && cut.closed == whole.closed);
    }
    return 0;
}
