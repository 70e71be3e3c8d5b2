// Rules on the content of a message: which limits a WebSocket message counts under.
//
// A condition answers yes, no or unknown. Unknown means that the message can't be judged: it was cut off at
// `inspect_bytes`, it is JSON that only a lenient parser would read, its members are duplicated with different values,
// it is nested beyond kJsonDepthMax. The first rule that says yes counts; at the first unknown the strictest rule of
// the route counts, so that no trick of writing is cheaper than writing plainly.
//
// Immutable after the configuration is read; `ContentJudge` is one worker's scratch.
#pragma once

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
    struct JsonHas {
        std::string pointer;
    };  // RFC 6901 once it starts with "/", else a top-level member's name
    struct JsonEquals {
        std::string pointer;
        JsonScalar value;
    };
    struct Binary {
        bool binary = true;
    };
    struct LargerThan {
        std::uint64_t bytes = 0;
    };  // of the message after inflating
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
    std::string_view
        content;  // unmasked and inflated, at most inspect_bytes, with at least kJsonPadding readable bytes behind
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
    [[nodiscard]] bool needs_content() const {
        return needs_content_;
    }  // some rule looks beyond the first frame header
    [[nodiscard]] std::uint64_t inspect_bytes() const { return inspect_bytes_; }
    // The rule that admits least for a tier: of its limits the strictest rate counts. kNoRule when all are unlimited.
    [[nodiscard]] std::size_t strictest(const LimitTable& limits, TierId tier) const;

    static constexpr std::size_t kNoRule = static_cast<std::size_t>(-1);
    static constexpr std::size_t kUnjudgeable = static_cast<std::size_t>(-2);

  private:
    std::vector<MessageRule> rules_;
    std::uint64_t inspect_bytes_ = 0;
    bool needs_content_ = false;
};

// Evaluates rules; keeps a parser to reuse. One per worker, not thread-safe.
class ContentJudge {
  public:
    ContentJudge();
    ~ContentJudge();
    // Index of the rule that counts, kNoRule when none matches (the message is then not limited), or kUnjudgeable.
    [[nodiscard]] std::size_t judge(const MessageRules& rules, const MessageView& message);
    // For routes without content rules: from the opcode alone.
    [[nodiscard]] Answer evaluate(const Condition& condition, const MessageView& message);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::policy
