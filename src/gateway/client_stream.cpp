#include "gateway/client_stream.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace weir::gateway {

namespace ws = protocol::ws;
using policy::MessageRules;

namespace {

// Deflate can't expand more than this (zlib's "Maximum expansion factor", 1032:1): a compressed message that is short
// enough needs no inflating to know that it stays below a bound.
constexpr std::uint64_t kInflateFactorMax = 1032;
// Held when the route sets no message_bytes_max.
constexpr std::uint64_t kHeldMessageBytesMax = 1024 * 1024;

// After a run that was not admitted whole, so many more messages are asked about one by one: a client beyond its limit
// mostly stays there, and each of its runs would be walked twice.
constexpr std::uint32_t kSinglyAfterRun = 64;

constexpr std::size_t kShortHeaderBytes = 6;  // of a masked frame of at most 125 bytes

// What can't be compressed grows by a few bytes a block (RFC 1951 3.2.4): a message at its bound may be a little longer
// on the wire.
constexpr std::uint64_t deflate_slack(std::uint64_t bytes) {
    return bytes / 1024 + 64;
}

void grow(std::vector<std::uint8_t>& memory, std::size_t bytes) {
    if (memory.size() < bytes) memory.resize(bytes);
}

}  // namespace

StreamTools::Inflated StreamTools::inflate(std::span<const std::uint8_t> payload, std::size_t most) {
    grow(content, most + policy::kJsonPadding);
    const auto out = std::span(content).first(most);
    inflater.start_message();
    Inflated result;
    const auto body = inflater.inflate(payload, out);
    if (!body) return {.bytes = 0, .beyond = false, .malformed = true};
    result.bytes = body->written;
    const auto tail = inflater.finish_message(out.subspan(result.bytes));
    if (!tail) return {.bytes = result.bytes, .beyond = body->full, .malformed = true};
    result.bytes += tail->written;
    result.beyond = body->full || tail->full;
    return result;
}

template <typename Visit>
void ClientStream::Held::for_each_segment(Visit&& visit) const {
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const std::size_t end = i + 1 < segments.size() ? segments[i + 1].begin : raw.size();
        visit(std::span<const std::uint8_t>(raw).subspan(segments[i].begin, end - segments[i].begin),
              segments[i].control);
    }
}

void ClientStream::receive(net::Slice bytes, ClientStreamSink& sink, StreamTools& tools, net::BlockPool& blocks) {
    WEIR_ASSERT(!pending_);
    Walk walk{.bytes = std::move(bytes), .sink = sink, .tools = tools, .blocks = blocks};
    run(walk);
}

void ClientStream::decided(bool pass, ClientStreamSink& sink, StreamTools& tools, net::BlockPool& blocks) {
    WEIR_ASSERT(pending_);
    pending_ = false;
    Walk walk{.bytes = std::move(pending_rest_), .sink = sink, .tools = tools, .blocks = blocks};
    pending_rest_ = {};
    if (const std::uint32_t messages = std::exchange(pending_run_messages_, 0); messages > 0) {
        if (pass) {
            messages_passed_ += messages;
            walk.position = pending_run_bytes_;
        } else {
            singly_ = messages + kSinglyAfterRun;
        }
        run(walk);
        return;
    }
    if (pending_held_) {
        pending_held_ = false;
        release_held(walk, pass);
    } else {
        apply(walk, pass ? Verdict::kPass : Verdict::kDrop, 0, true);
    }
    if (in_frame_ && payload_left_ == 0 && !dead_) end_frame(walk);
    run(walk);
}

void ClientStream::let_controls_pass(ClientStreamSink& sink, net::BlockPool& blocks) {
    if (held_ == nullptr || pending_ || dead_) return;
    std::vector<std::uint8_t> rest;
    held_->for_each_segment([&](std::span<const std::uint8_t> part, bool control) {
        if (control) {
            sink.forward(blocks.copy(part));
        } else {
            rest.insert(rest.end(), part.begin(), part.end());
        }
    });
    held_->raw = std::move(rest);
    held_->segments.assign(1, Segment{0, false});
    held_->controls = held_->control_bytes = 0;
    if (in_frame_ && frame_mode_ == Mode::kHold && ws::is_control(frame_.opcode)) frame_mode_ = Mode::kPass;
}

std::size_t ClientStream::held_bytes() const {
    const std::size_t held = held_ == nullptr ? 0 : held_->raw.size() + held_->payload.size();
    return held + pending_rest_.size();
}

void ClientStream::run(Walk& walk) {
    do {
        while (!dead_ && !pending_ && walk.position < walk.bytes.size()) {
            if (in_frame_) {
                read_payload(walk);
                continue;
            }
            skim(walk);
            if (walk.position < walk.bytes.size()) read_header(walk);
        }
    } while (!settle_run(walk));
    if (!dead_ && !pending_) forward_range(walk, walk.bytes.size());
}

// Short messages that no rule looks into: all that read_header and its like would find out is in two bytes.
void ClientStream::skim(Walk& walk) {
    if (header_have_ > 0 || in_message_ || needs_content()) return;
    const auto all = walk.bytes.bytes();
    while (singly_ == 0) {
        const std::size_t at = walk.position;
        const std::size_t whole = ws::short_message_bytes(all.subspan(at), true);
        if (whole == 0) return;
        if (rules_.message_bytes_max > 0 && whole - kShortHeaderBytes > rules_.message_bytes_max) return;
        message_binary_ = (all[at] & 0x0FU) == static_cast<unsigned>(ws::Opcode::kBinary);
        join_run(walk, rule_of_opcode(), at, at + whole);
    }
}

void ClientStream::read_header(Walk& walk) {
    const auto all = walk.bytes.bytes();
    const std::size_t header_at = walk.position;
    std::span<const std::uint8_t> candidate = all.subspan(header_at);
    const bool split = header_have_ > 0;
    if (split) {
        const std::size_t taken = std::min(candidate.size(), header_.size() - header_have_);
        std::copy_n(candidate.begin(), taken, header_.begin() + header_have_);
        candidate = {header_.data(), header_have_ + taken};
    }
    const auto parsed = ws::parse_frame_header(candidate, {.masked = true, .rsv1_allowed = rules_.compressed});
    if (!parsed) {
        fail(walk, split ? walk.pass_from : header_at, ws::close_code::kProtocolError, parsed.error().detail);
        return;
    }
    if (!parsed->has_value()) {
        if (!settle_run(walk)) return;
        forward_range(walk, split ? walk.pass_from : header_at);
        if (!split) std::copy(candidate.begin(), candidate.end(), header_.begin());
        header_have_ = static_cast<std::uint8_t>(candidate.size());
        walk.position = walk.pass_from = all.size();
        return;
    }
    frame_ = **parsed;
    walk.position = header_at + frame_.header_bytes - header_have_;
    header_have_ = 0;
    payload_left_ = frame_.payload_bytes;
    begin_frame(walk, header_at, split);
    if (in_frame_ && payload_left_ == 0 && !dead_ && !pending_) end_frame(walk);
}

void ClientStream::read_payload(Walk& walk) {
    const auto here = walk.bytes.bytes().subspan(walk.position);
    const auto step = static_cast<std::size_t>(std::min<std::uint64_t>(payload_left_, here.size()));
    if (frame_mode_ == Mode::kCheck)
        close_->insert(close_->end(), here.begin(), here.begin() + static_cast<std::ptrdiff_t>(step));
    if (frame_mode_ == Mode::kHold) {
        const auto part = here.first(step);
        const bool control = ws::is_control(frame_.opcode);
        hold(part, control);
        if (!control) {
            const std::size_t at = held_->payload.size();
            held_->payload.resize(at + step);
            ws::apply_mask(part, frame_.mask, frame_.payload_bytes - payload_left_,
                           std::span(held_->payload).subspan(at));
        }
    }
    walk.position += step;
    payload_left_ -= step;
    if (frame_mode_ != Mode::kPass) walk.pass_from = walk.position;
    if (payload_left_ == 0) end_frame(walk);
}

void ClientStream::begin_frame(Walk& walk, std::size_t header_at, bool split) {
    const std::size_t frame_at = split ? walk.pass_from : header_at;
    if (ws::is_control(frame_.opcode)) {
        begin_control(walk, header_at, split);
        return;
    }
    const bool continuation = frame_.opcode == ws::Opcode::kContinuation;
    if (continuation != in_message_) {
        fail(walk, frame_at, ws::close_code::kProtocolError,
             continuation ? "continuation frame without a message" : "new message inside a fragmented one");
        return;
    }
    if (continuation && frame_.rsv1) {
        fail(walk, frame_at, ws::close_code::kProtocolError, "RSV1 set on a continuation frame");
        return;
    }
    if (!continuation) message_bytes_ = 0;
    // The length is the client's word: added with care, never reserved.
    const bool overflow = __builtin_add_overflow(message_bytes_, frame_.payload_bytes, &message_bytes_);
    const bool compressed = continuation ? message_compressed_ : frame_.rsv1;
    const std::uint64_t slack = compressed ? deflate_slack(rules_.message_bytes_max) : 0;
    if (overflow || (rules_.message_bytes_max > 0 && message_bytes_ > rules_.message_bytes_max + slack)) {
        fail(walk, frame_at, ws::close_code::kMessageTooBig, "message too big");
        return;
    }
    if (continuation) {
        continue_message(walk, header_at, split);
    } else {
        begin_message(walk, header_at, split);
    }
}

void ClientStream::begin_control(Walk& walk, std::size_t header_at, bool split) {
    if (!settle_run(walk)) return;
    in_frame_ = true;
    if (frame_.opcode == ws::Opcode::kClose) {
        // At most 139 bytes, and the last ones of the stream: kept back until what they say can be checked.
        if (!split) forward_range(walk, header_at);
        frame_mode_ = Mode::kCheck;
        const auto raw = raw_header(walk, header_at, split);
        close_ = std::make_unique<std::vector<std::uint8_t>>(raw.begin(), raw.end());
        walk.pass_from = walk.position;
        return;
    }
    if (held_ != nullptr) {
        // The end of a control frame that went ahead while it was coming may lie before this header.
        if (!split) forward_range(walk, header_at);
        frame_mode_ = Mode::kHold;
        ++held_->controls;
        hold(raw_header(walk, header_at, split), true);
        walk.pass_from = walk.position;
        return;
    }
    frame_mode_ = Mode::kPass;
    if (split) {
        walk.sink.forward(walk.blocks.copy(raw_header(walk, header_at, true)));
        walk.pass_from = walk.position;
    }
}

void ClientStream::begin_message(Walk& walk, std::size_t header_at, bool split) {
    message_binary_ = frame_.opcode == ws::Opcode::kBinary;
    message_compressed_ = frame_.rsv1;
    const auto here = walk.bytes.bytes().subspan(walk.position);
    const bool whole_frame_here = frame_.fin && here.size() >= frame_.payload_bytes;
    const bool joins = whole_frame_here && !split && singly_ == 0 && !rules_.by_sink;
    if (!joins && !settle_run(walk)) return;
    const bool inflate = must_inflate();
    std::optional<Judged> judged;
    if (!inflate && !needs_content()) {
        judged = Judged{.rule = rule_of_opcode()};
    } else if (frame_.payload_bytes > (inflate ? held_bytes_max() : inspect_bytes())) {
        judged = judge(walk.tools, {}, false);  // its size is all that can be known of it; nothing of it is held
    } else if (whole_frame_here) {
        const auto payload = here.first(static_cast<std::size_t>(frame_.payload_bytes));
        std::vector<std::uint8_t>& memory = inflate ? walk.tools.unmasked : walk.tools.content;
        grow(memory, payload.size() + policy::kJsonPadding);
        const auto unmasked = std::span(memory).first(payload.size());
        ws::apply_mask(payload, frame_.mask, 0, unmasked);
        judged = judge(walk.tools, unmasked, true);
    } else {
        start_holding(walk, header_at, split);
        return;
    }
    if (!judged) {
        fail(walk, split ? walk.pass_from : header_at, ws::close_code::kMessageTooBig, "message too big when inflated");
        return;
    }
    if (joins) {
        join_run(walk, judged->rule, header_at, walk.position + static_cast<std::size_t>(frame_.payload_bytes));
    } else {
        if (singly_ > 0) --singly_;
        apply(walk, ask(walk, *judged), header_at, split);
    }
}

Verdict ClientStream::ask(Walk& walk, const Judged& judged) const {
    return rules_.by_sink ? walk.sink.on_content(judged.message) : walk.sink.on_message(judged.rule);
}

void ClientStream::join_run(Walk& walk, std::size_t rule, std::size_t frame_at, std::size_t frame_end) {
    if (rule != walk.run_rule && !settle_run(walk)) return;
    if (walk.run_messages == 0) {
        walk.run_from = frame_at;
        walk.run_rule = rule;
    }
    ++walk.run_messages;
    walk.position = walk.run_end = frame_end;
    payload_left_ = 0;
    message_mode_ = frame_mode_ = Mode::kPass;
}

bool ClientStream::settle_run(Walk& walk) {
    const std::uint32_t messages = std::exchange(walk.run_messages, 0);
    if (messages == 0) return true;
    const Verdict verdict = walk.sink.on_run(walk.run_rule, messages);
    if (verdict == Verdict::kPass) {
        messages_passed_ += messages;
        return true;
    }
    if (verdict == Verdict::kPending) {
        forward_range(walk, walk.run_from);
        pending_ = true;
        pending_run_messages_ = messages;
        pending_run_bytes_ = walk.run_end - walk.run_from;
        pending_rest_ = walk.bytes.sub(walk.run_from, walk.bytes.size() - walk.run_from);
        walk.position = walk.pass_from = walk.bytes.size();
        in_frame_ = false;
        return false;
    }
    singly_ = messages + kSinglyAfterRun;
    walk.position = walk.run_from;
    in_frame_ = false;
    return false;
}

void ClientStream::continue_message(Walk& walk, std::size_t header_at, bool split) {
    in_frame_ = true;
    frame_mode_ = message_mode_;
    if (message_mode_ == Mode::kHold) {
        if (!split) forward_range(walk, header_at);  // as before a control frame
        hold(raw_header(walk, header_at, split), false);
        walk.pass_from = walk.position;
        const bool beyond = message_bytes_ > (message_compressed_ ? held_bytes_max() : inspect_bytes());
        if (beyond) resolve_held(walk, false);
    } else if (message_mode_ == Mode::kDrop) {
        if (!split) forward_range(walk, header_at);
        walk.pass_from = walk.position;
    } else if (split) {
        walk.sink.forward(walk.blocks.copy(raw_header(walk, header_at, true)));
        walk.pass_from = walk.position;
    }
}

void ClientStream::end_frame(Walk& walk) {
    in_frame_ = false;
    if (frame_mode_ == Mode::kCheck) {
        end_close(walk);
        return;
    }
    if (ws::is_control(frame_.opcode)) {
        if (frame_mode_ == Mode::kHold && held_->control_bytes > kHeldControlBytesMax) {
            let_controls_pass(walk.sink, walk.blocks);
        }
        return;
    }
    in_message_ = !frame_.fin;
    if (frame_.fin && frame_mode_ == Mode::kHold) resolve_held(walk, true);
}

void ClientStream::end_close(Walk& walk) {
    std::vector<std::uint8_t> payload(close_->begin() + static_cast<std::ptrdiff_t>(frame_.header_bytes),
                                      close_->end());
    ws::apply_mask(payload, frame_.mask, 0, payload);
    const auto status = ws::parse_close_payload({reinterpret_cast<const char*>(payload.data()), payload.size()});
    if (!status) {
        fail(walk, walk.pass_from, ws::close_code::kProtocolError, status.error().detail);
        return;
    }
    if (held_ != nullptr) {
        // The held message will never be complete: what came of it is judged as it is, and goes before the Close.
        close_held_ = true;
        resolve_held(walk, false);
        return;
    }
    forward_close(walk);
}

void ClientStream::forward_close(Walk& walk) {
    walk.sink.forward(walk.blocks.copy(*close_));
    dead_ = client_closed_ = true;
    walk.sink.on_client_close();
}

void ClientStream::start_holding(Walk& walk, std::size_t header_at, bool split) {
    if (!split) forward_range(walk, header_at);
    held_ = std::make_unique<Held>();
    message_mode_ = frame_mode_ = Mode::kHold;
    in_frame_ = true;
    hold(raw_header(walk, header_at, split), false);
    walk.pass_from = walk.position;
}

void ClientStream::hold(std::span<const std::uint8_t> raw, bool control) {
    if (held_->segments.empty() || held_->segments.back().control != control) {
        held_->segments.push_back({held_->raw.size(), control});
    }
    held_->raw.insert(held_->raw.end(), raw.begin(), raw.end());
    if (control) held_->control_bytes += raw.size();
}

void ClientStream::resolve_held(Walk& walk, bool complete) {
    const auto judged = judge(walk.tools, held_->payload, complete);
    if (!judged) {
        fail(walk, walk.pass_from, ws::close_code::kMessageTooBig, "message too big when inflated");
        return;
    }
    const Verdict verdict = ask(walk, *judged);
    if (verdict == Verdict::kPending) {
        pending_ = pending_held_ = true;
        pending_rest_ = walk.bytes.sub(walk.position, walk.bytes.size() - walk.position);
        walk.position = walk.pass_from = walk.bytes.size();
        return;
    }
    release_held(walk, verdict == Verdict::kPass);
}

void ClientStream::release_held(Walk& walk, bool pass) {
    const auto held = std::move(held_);
    if (pass) {
        if (!held->raw.empty()) walk.sink.forward(walk.blocks.copy(std::span<const std::uint8_t>(held->raw)));
    } else {
        held->for_each_segment([&](std::span<const std::uint8_t> part, bool control) {
            if (control) walk.sink.forward(walk.blocks.copy(part));
        });
    }
    message_mode_ = pass ? Mode::kPass : Mode::kDrop;
    if (pass) ++messages_passed_;
    // A frame that is still coming goes the way of its message; a control frame always passes, and its beginning was
    // just forwarded.
    if (in_frame_) frame_mode_ = ws::is_control(frame_.opcode) ? Mode::kPass : message_mode_;
    if (close_held_) forward_close(walk);
}

void ClientStream::apply(Walk& walk, Verdict verdict, std::size_t header_at, bool split) {
    if (verdict == Verdict::kPending) {
        if (!split) {
            const auto raw = raw_header(walk, header_at, false);
            std::copy(raw.begin(), raw.end(), header_.begin());
            forward_range(walk, header_at);
        }
        pending_ = true;
        pending_rest_ = walk.bytes.sub(walk.position, walk.bytes.size() - walk.position);
        walk.position = walk.pass_from = walk.bytes.size();
        return;
    }
    in_frame_ = true;
    message_mode_ = frame_mode_ = verdict == Verdict::kPass ? Mode::kPass : Mode::kDrop;
    if (verdict == Verdict::kPass) ++messages_passed_;
    if (verdict == Verdict::kDrop) {
        if (!split) forward_range(walk, header_at);
        walk.pass_from = walk.position;
    } else if (split) {
        walk.sink.forward(walk.blocks.copy(raw_header(walk, header_at, true)));
        walk.pass_from = walk.position;
    }
}

void ClientStream::forward_range(Walk& walk, std::size_t end) {
    if (end > walk.pass_from) walk.sink.forward(walk.bytes.sub(walk.pass_from, end - walk.pass_from));
    walk.pass_from = std::max(walk.pass_from, end);
}

void ClientStream::fail(Walk& walk, std::size_t frame_at, std::uint16_t code, std::string_view reason) {
    if (!settle_run(walk)) return;
    forward_range(walk, frame_at);
    in_frame_ = false;
    dead_ = true;
    held_.reset();
    walk.sink.refuse(code, reason);
}

std::span<const std::uint8_t> ClientStream::raw_header(const Walk& walk, std::size_t header_at, bool split) const {
    if (split) return std::span(header_).first(frame_.header_bytes);
    return walk.bytes.bytes().subspan(header_at, frame_.header_bytes);
}

bool ClientStream::must_inflate() const {
    if (!message_compressed_) return false;
    if (needs_content()) return true;
    if (rules_.message_bytes_max == 0) return false;
    return !frame_.fin || frame_.payload_bytes > rules_.message_bytes_max / kInflateFactorMax;
}

std::uint64_t ClientStream::inspect_bytes() const {
    if (rules_.by_sink) return rules_.inspect_bytes;
    return needs_content() ? rules_.rules->inspect_bytes() : 0;
}

std::uint64_t ClientStream::held_bytes_max() const {
    const std::uint64_t most = rules_.message_bytes_max > 0 ? rules_.message_bytes_max : kHeldMessageBytesMax;
    return most + deflate_slack(most);
}

std::size_t ClientStream::rule_of_opcode() const {
    return message_binary_ ? rules_.binary_rule : rules_.text_rule;
}

std::optional<ClientStream::Judged> ClientStream::judge(StreamTools& tools, std::span<const std::uint8_t> payload,
                                                        bool complete) const {
    policy::MessageView view{
        .content = {}, .complete = complete, .binary = message_binary_, .size_least = message_bytes_};
    const auto inspect = static_cast<std::size_t>(inspect_bytes());
    if (message_compressed_) {
        const Judged unseen{
            .rule = needs_content() ? MessageRules::kUnjudgeable : rule_of_opcode(),
            .message = {.content = {}, .complete = false, .binary = message_binary_, .size_least = message_bytes_}};
        if (!complete) return unseen;
        StreamTools::Inflated inflated = tools.inflate(payload, inspect);
        view.complete = !inflated.beyond;
        view.size_least = inflated.bytes + (inflated.beyond ? 1 : 0);
        const auto most = static_cast<std::size_t>(rules_.message_bytes_max);
        // Longer than a rule may look: is it longer than a message may be? The view stays the first `inspect` bytes of
        // the same memory.
        if (inflated.beyond && most > 0) {
            inflated = tools.inflate(payload, std::max(most, inspect));
            if (inflated.beyond || inflated.bytes > most) return std::nullopt;
            view.size_least = inflated.bytes;
        }
        if (!needs_content() || inflated.malformed) return unseen;
        view.content = {reinterpret_cast<const char*>(tools.content.data()), std::min(inflated.bytes, inspect)};
        return judge_view(tools, view);
    }
    if (complete) {
        grow(tools.content, payload.size() + policy::kJsonPadding);
        if (!payload.empty() && payload.data() != tools.content.data()) {
            std::memcpy(tools.content.data(), payload.data(), payload.size());
        }
        view.content = {reinterpret_cast<const char*>(tools.content.data()), payload.size()};
    }
    return judge_view(tools, view);
}

ClientStream::Judged ClientStream::judge_view(StreamTools& tools, const policy::MessageView& view) const {
    if (rules_.by_sink) return {.message = view};
    return {.rule = tools.judge.judge(*rules_.rules, view)};
}

}  // namespace weir::gateway
