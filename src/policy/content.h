// Rules on the content of a message: which limits a WebSocket message counts under.
//
// A condition answers yes, no or unknown. Unknown means that the message can't be judged: it was cut off at
// `inspect_bytes`, it is JSON that only a lenient parser would read (lenient_json.h), it is nested beyond
// kJsonDepthMax, or readers may disagree about the member: it is there twice with different answers, or under a name
// that differs in case alone (Go's and .NET's readers match names without regard to case). Conditions are joined in
// Kleene's three-valued logic. The first rule that says yes counts; at the first unknown the strictest rule of
// the route counts, so that no trick of writing is cheaper than writing plainly.
//
// Immutable after the configuration is read; `ContentJudge` is one worker's scratch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "policy/limits.h"

namespace weir::policy {

enum class Answer : std::uint8_t { kNo, kYes, kUnknown };

struct Condition;
using Conditions = std::vector<Condition>;

// A scalar that a JSON member is compared with. Numbers compare by value: 1 equals 1.0 and 1e0.
using JsonScalar = std::variant<std::nullptr_t, bool, std::int64_t, double, std::string>;

struct Condition {
    static constexpr std::uint8_t kNoName = 0xFF;
    // `pointer` is one of RFC 6901 once it starts with "/", else a top-level member's name. A member that is null is
    // there. `name` is its place in MessageRules::plain_names, which sets it.
    struct JsonHas {
        std::string pointer;
        std::uint8_t name = kNoName;
    };
    struct JsonEquals {
        std::string pointer;
        JsonScalar value;
        std::uint8_t name = kNoName;
    };
    struct Binary {
        bool binary = true;
    };
    // Of the message after inflating.
    struct LargerThan {
        std::uint64_t bytes = 0;
    };
    struct All {
        Conditions of;
    };
    struct Any {
        Conditions of;
    };
    struct Not {
        std::unique_ptr<Condition> of;
    };
    std::variant<JsonHas, JsonEquals, Binary, LargerThan, All, Any, Not> is;
};

struct MessageRule {
    std::unique_ptr<Condition> when;  // null: always
    bool unlimited = false;           // `limit: none`
    std::vector<LimitId> limits;
};

// What is known of a message when it is judged.
struct MessageView {
    // Unmasked and inflated, at most inspect_bytes, with at least kJsonPadding readable bytes behind.
    std::string_view content;
    bool complete = false;  // `content` is all of it
    bool binary = false;
    std::uint64_t size_least = 0;  // the message has at least this many bytes (exactly, when complete)
};
inline constexpr std::size_t kJsonPadding = 64;

class MessageRules {
  public:
    MessageRules() = default;
    // `inspect_bytes`: how much of a message a rule may look at.
    MessageRules(std::vector<MessageRule> rules, std::uint64_t inspect_bytes);

    [[nodiscard]] const std::vector<MessageRule>& rules() const { return rules_; }
    // Some rule that can be reached looks beyond the first frame header.
    [[nodiscard]] bool needs_content() const { return needs_content_; }
    [[nodiscard]] std::uint64_t inspect_bytes() const { return inspect_bytes_; }
    // The top-level members that the rules ask about, when they ask about nothing else of JSON: most messages then need
    // no more than a scan (plain_json.h). Else empty.
    [[nodiscard]] const std::vector<std::string>& plain_names() const { return plain_names_; }
    // The rule that admits least for a tier: of its limits the strictest rate counts. kNoRule when all are unlimited.
    [[nodiscard]] std::size_t strictest(const LimitTable& limits, TierId tier) const;

    static constexpr std::size_t kNoRule = static_cast<std::size_t>(-1);
    static constexpr std::size_t kUnjudgeable = static_cast<std::size_t>(-2);

  private:
    std::vector<MessageRule> rules_;
    std::uint64_t inspect_bytes_ = 0;
    bool needs_content_ = false;
    std::vector<std::string> plain_names_;
};
inline constexpr std::size_t kPlainNamesMax = 8;

// For checking a configuration: false for a text that starts with "/" and has a "~" that is not "~0" or "~1".
[[nodiscard]] bool is_member_pointer(std::string_view text);

// Evaluates rules; keeps a parser to reuse. One per worker, not thread-safe.
class ContentJudge {
  public:
    ContentJudge();
    ~ContentJudge();
    ContentJudge(const ContentJudge&) = delete;
    ContentJudge& operator=(const ContentJudge&) = delete;
    // Index of the rule that counts, kNoRule when none matches (the message is then not limited), or kUnjudgeable.
    [[nodiscard]] std::size_t judge(const MessageRules& rules, const MessageView& message);
    // One condition by itself; parses again at each call.
    [[nodiscard]] Answer evaluate(const Condition& condition, const MessageView& message);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::policy
