// A WebSocket client's bytes on their way to the backend: whole messages pass, byte for byte, or leave no byte.
//
// The stream walks frame headers in place, at any split. Each message is judged once: at its first frame header when
// the opcode and the header's length say enough, else when its content is here. What is let through is handed on as
// ranges of the received slice, as many messages as lie side by side in one range; only a message that must wait for
// its rest is copied.
//
//   received slice   | h payload | h payload | h payload | h pay...
//   verdicts           pass        drop        pass        pass
//   forwarded        [0 ........)            [.................. )
//
// Runs. Messages of one rule that lie whole and side by side in a slice are decided together where the sink can: one
// step of the store for all of them, and the same answer as one by one gives, since they came at the same time. When
// not all of them are admitted, nothing was taken, and the walk goes back and asks for each. While the answer is
// pending the walk is back at the run's beginning too, and goes on behind it when all are admitted.
//
// Waiting messages. With a content rule a message is held (copied) until it is complete or longer than `inspect_bytes`;
// control frames between its fragments are held with it, so that nothing is re-ordered. A compressed message is held
// whole, so that one which inflates beyond `message_bytes_max` is refused before a byte of it has gone. Held bytes are
// bounded by message_bytes_max and kHeldControlBytesMax.
//
// Operations. Where messages are operations (GraphQL, JSON-RPC) the sink reads the content itself and decides each
// message by it, never a run: what two of them take is seldom the same.
//
// No I/O: the sink forwards, decides and closes. One worker's thread.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "net/slice.h"
#include "policy/content.h"
#include "protocol/ws/frame.h"
#include "protocol/ws/inflate.h"

namespace weir::gateway {

enum class Verdict : std::uint8_t { kPass, kDrop, kPending };

class ClientStreamSink {
  public:
    // Decides about the next message: `rule` is an index of the route's rules, kNoRule or kUnjudgeable. kPending: the
    // answer comes by `ClientStream::decided`; until then no more bytes are given to the stream.
    virtual Verdict on_message(std::size_t rule) = 0;
    // The same where the rules say `by_sink`: by what the message says. `message` lives until this returns.
    virtual Verdict on_content(const policy::MessageView& message) = 0;
    // Decides about `messages` messages of one rule at once: kPass when all of them pass. kDrop when they don't, or
    // when it can't be said: nothing was taken, and each is asked about by itself. kPending as above.
    virtual Verdict on_run(std::size_t rule, std::uint32_t messages) = 0;
    virtual void forward(net::Slice bytes) = 0;
    // The client broke the framing or a bound: close with this code. The stream takes no more bytes.
    virtual void refuse(std::uint16_t close_code, std::string_view reason) = 0;
    // A Close frame of the client was forwarded; what follows it is discarded.
    virtual void on_client_close() = 0;

  protected:
    ~ClientStreamSink() = default;
};

// What most rules look at, so that memory is not taken anew for each message.
inline constexpr std::size_t kScratchBytesKept = (std::size_t{1} << 20U) + policy::kJsonPadding;

// What a worker lends to all its streams: scratch memory for views of messages, the judge, the inflater.
struct StreamTools {
    policy::ContentJudge judge;
    protocol::ws::Inflater inflater;
    std::vector<std::uint8_t> content;   // what the judge reads; grown to the largest inspect_bytes, with padding
    std::vector<std::uint8_t> unmasked;  // a compressed message that lies whole in the received slice

    struct Inflated {
        std::size_t bytes = 0;  // that were written to `content`
        bool beyond = false;    // there are more
        bool malformed = false;
    };
    // A whole message, into `content`, up to `most` bytes.
    Inflated inflate(std::span<const std::uint8_t> payload, std::size_t most);

    // Between two messages: scratch that one big message has grown is not kept for the life of a worker.
    void give_back() {
        for (std::vector<std::uint8_t>* memory : {&content, &unmasked}) {
            if (memory->size() > kScratchBytesKept) std::vector<std::uint8_t>().swap(*memory);
        }
    }
};

struct StreamRules {
    const policy::MessageRules* rules = nullptr;
    std::size_t text_rule = policy::MessageRules::kNoRule;  // when no content is needed
    std::size_t binary_rule = policy::MessageRules::kNoRule;
    std::uint64_t message_bytes_max = 0;  // 0: no bound
    bool compressed = false;              // permessage-deflate was negotiated
    bool by_sink = false;                 // the sink judges every message's content; `rules` are not asked
    std::uint64_t inspect_bytes = 0;      // then: so much of it; of a longer message its size is all that is told
};

class ClientStream {
  public:
    explicit ClientStream(const StreamRules& rules) : rules_(rules) {}
    // Takes all of `bytes`. Must not be called while a decision is pending.
    void receive(net::Slice bytes, ClientStreamSink& sink, StreamTools& tools, net::BlockPool& blocks);
    // The answer to a pending decision; goes on with the bytes that waited.
    void decided(bool pass, ClientStreamSink& sink, StreamTools& tools, net::BlockPool& blocks);
    // A held message has waited too long with control frames behind it: they go ahead, so that a client which waits for
    // its pong before it goes on is answered. The one case in which an order changes: RFC 6455 5.4 lets control frames
    // stand anywhere.
    void let_controls_pass(ClientStreamSink& sink, net::BlockPool& blocks);

    // A frame could be put into the forwarded stream here: no frame is half forwarded. (Between fragments counts: Close
    // is a control frame.)
    [[nodiscard]] bool at_frame_boundary() const {
        return !(in_frame_ && frame_mode_ == Mode::kPass && payload_left_ > 0);
    }
    [[nodiscard]] bool pending() const { return pending_; }
    [[nodiscard]] bool between_messages() const { return !in_frame_ && !in_message_ && !pending_; }
    [[nodiscard]] bool client_closed() const { return client_closed_; }  // its Close frame was forwarded
    [[nodiscard]] bool holds_control_frames() const { return held_ != nullptr && held_->controls > 0; }
    [[nodiscard]] std::size_t held_bytes() const;
    // A reload changed the rules: they hold from the next message on.
    void set_rules(const StreamRules& rules) { rules_ = rules; }
    [[nodiscard]] std::uint64_t messages_passed() const { return messages_passed_; }

  private:
    enum class Mode : std::uint8_t { kPass, kDrop, kHold, kCheck };
    struct Segment {
        std::size_t begin = 0;
        bool control = false;
    };
    struct Held {
        std::vector<std::uint8_t> raw;      // frames as they came
        std::vector<std::uint8_t> payload;  // of the data frames, unmasked
        std::vector<Segment> segments;      // of raw; a new one where data and control frames change
        std::size_t controls = 0;
        std::size_t control_bytes = 0;

        template <typename Visit>  // visit(bytes, whether they are of control frames), in order
        void for_each_segment(Visit&& visit) const;
    };
    // One call's walk over a slice.
    struct Walk {
        net::Slice bytes;
        std::size_t position = 0;
        std::size_t pass_from = 0;  // start of the range that is to be forwarded
        ClientStreamSink& sink;
        StreamTools& tools;
        net::BlockPool& blocks;
        // The run that ends at `position`: walked over, not yet decided.
        std::size_t run_from = 0;
        std::size_t run_end = 0;
        std::size_t run_rule = 0;
        std::uint32_t run_messages = 0;
    };

    void run(Walk& walk);
    void skim(Walk& walk);
    void read_header(Walk& walk);
    void read_payload(Walk& walk);
    void begin_frame(Walk& walk, std::size_t header_at, bool split);
    void begin_control(Walk& walk, std::size_t header_at, bool split);
    void begin_message(Walk& walk, std::size_t header_at, bool split);
    void continue_message(Walk& walk, std::size_t header_at, bool split);
    void end_frame(Walk& walk);
    void end_close(Walk& walk);
    void forward_close(Walk& walk);
    void start_holding(Walk& walk, std::size_t header_at, bool split);
    void hold(std::span<const std::uint8_t> raw, bool control);
    void resolve_held(Walk& walk, bool complete);
    void release_held(Walk& walk, bool pass);
    void join_run(Walk& walk, std::size_t rule, std::size_t frame_at, std::size_t frame_end);
    // Decides the run, if there is one. False: the walk is back at its beginning, and goes on message by message, or is
    // over until the answer comes.
    [[nodiscard]] bool settle_run(Walk& walk);
    void apply(Walk& walk, Verdict verdict, std::size_t header_at, bool split);
    void forward_range(Walk& walk, std::size_t end);
    void fail(Walk& walk, std::size_t frame_at, std::uint16_t code, std::string_view reason);
    [[nodiscard]] std::span<const std::uint8_t> raw_header(const Walk& walk, std::size_t header_at, bool split) const;
    [[nodiscard]] bool needs_content() const {
        return rules_.by_sink || (rules_.rules != nullptr && rules_.rules->needs_content());
    }
    [[nodiscard]] bool must_inflate() const;
    [[nodiscard]] std::uint64_t inspect_bytes() const;
    [[nodiscard]] std::uint64_t held_bytes_max() const;
    [[nodiscard]] std::size_t rule_of_opcode() const;
    struct Judged {
        std::size_t rule = policy::MessageRules::kUnjudgeable;
        policy::MessageView message{};  // for the sink, where that judges; in tools.content
    };
    // What the verdict on a message follows from, whose payload (unmasked, still compressed) is here; nullopt: it
    // inflates beyond message_bytes_max.
    std::optional<Judged> judge(StreamTools& tools, std::span<const std::uint8_t> payload, bool complete) const;
    [[nodiscard]] Judged judge_view(StreamTools& tools, const policy::MessageView& view) const;
    Verdict ask(Walk& walk, const Judged& judged) const;

    StreamRules rules_;
    protocol::ws::FrameHeader frame_{};
    std::array<std::uint8_t, kFrameHeaderBytesMax> header_{};
    std::uint8_t header_have_ = 0;
    std::uint32_t singly_ = 0;  // so many messages are asked about one by one, as a run of them was not admitted
    std::uint64_t payload_left_ = 0;
    std::uint64_t message_bytes_ = 0;
    std::uint64_t messages_passed_ = 0;
    Mode message_mode_ = Mode::kPass;
    Mode frame_mode_ = Mode::kPass;
    bool in_frame_ = false;
    bool in_message_ = false;  // a data frame without FIN came, its continuation follows
    bool message_binary_ = false;
    bool message_compressed_ = false;
    bool dead_ = false;  // refused, or closed by the client: bytes are discarded
    bool client_closed_ = false;
    bool pending_ = false;
    bool pending_held_ = false;
    std::uint32_t pending_run_messages_ = 0;  // a run is pending: so many messages, and
    std::size_t pending_run_bytes_ = 0;       // so many bytes of pending_rest_
    bool close_held_ = false;                 // a Close frame lies among the held ones
    net::Slice pending_rest_;
    std::unique_ptr<std::vector<std::uint8_t>> close_;  // a Close frame, kept back until its payload can be checked
    std::unique_ptr<Held> held_;
};

inline constexpr std::size_t kHeldControlBytesMax = 16 * 1024;

}  // namespace weir::gateway
