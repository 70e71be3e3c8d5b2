#include "store/take_script.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/limits.h"
#include "protocol/resp/command.h"
#include "protocol/resp/error_reply.h"
#include "store/bucket_key.h"

namespace weir::store {
namespace {

namespace resp = protocol::resp;

// Beyond the capacity of every bucket; the script multiplies it by a period, exactly.
constexpr std::uint64_t kCostMax = limit::kRateCountMax + 1;
static_assert(kCostMax < (std::uint64_t{1} << 30U));

// A short argument of numbers and spaces, on the stack.
class ArgumentText {
  public:
    void add(char c) { bytes_[size_++] = c; }
    void add(std::uint64_t number) {
        char* const begin = bytes_.data() + size_;
        size_ += static_cast<std::size_t>(std::to_chars(begin, bytes_.data() + bytes_.size(), number).ptr - begin);
    }
    [[nodiscard]] std::string_view text() const { return {bytes_.data(), size_}; }

  private:
    std::array<char, 128> bytes_{};
    std::size_t size_ = 0;
};

char letter_of(limit::Algorithm algorithm) {
    switch (algorithm) {
        case limit::Algorithm::kFixedWindow:
            return 'f';
        case limit::Algorithm::kGcra:
            return 'g';
        case limit::Algorithm::kSlidingWindow:
            break;
    }
    return 's';
}

std::string_view word_of(TakeOperation operation) {
    switch (operation) {
        case TakeOperation::kPeek:
            return "peek";
        case TakeOperation::kRefuse:
            return "refuse";
        case TakeOperation::kTake:
            break;
    }
    return "take";
}

void append_rule(std::string& out, const limit::Take& take) {
    const limit::BucketRule& rule = *take.rule;
    ArgumentText text;
    text.add(letter_of(rule.algorithm));
    for (const std::uint64_t number :
         {rule.rate.count, static_cast<std::uint64_t>(rule.rate.period.count()), rule.burst,
          std::uint64_t{rule.count_denied ? 1U : 0U}, std::min(take.cost, kCostMax)}) {
        text.add(' ');
        text.add(number);
    }
    resp::append_argument(out, text.text());
}

// The script takes a time apart by its last nine digits.
void append_time(std::string& out, StoreTime time) {
    WEIR_ASSERT(time.nanos >= 1'000'000'000);
    resp::append_argument(out, static_cast<std::uint64_t>(time.nanos));
}

void append_event(std::string& out, std::string_view operation, std::string_view prefix,
                  std::span<const limit::Take> takes, std::optional<StoreTime> now, std::optional<StoreTime> taken) {
    WEIR_ASSERT(!takes.empty() && takes.size() <= kBucketsPerEventMax);
    take_script().append_call(out, takes.size(), 3 + takes.size());
    for (const limit::Take& take : takes) append_bucket_key_argument(out, prefix, take.subject, take.group);
    resp::append_argument(out, operation);
    if (now) {
        append_time(out, *now);
    } else {
        resp::append_argument(out, std::string_view());
    }
    if (taken) {
        append_time(out, *taken);
    } else {
        resp::append_argument(out, std::string_view());
    }
    for (const limit::Take& take : takes) append_rule(out, take);
}

// Reads decimal numbers that are separated by one space each.
class Numbers {
  public:
    explicit Numbers(std::string_view text) : at_(text.data()), end_(text.data() + text.size()) {}

    template <typename Number>
    [[nodiscard]] bool next(Number& number) {
        if (!first_) {
            if (at_ == end_ || *at_ != ' ') return false;
            ++at_;
        }
        first_ = false;
        if (at_ == end_ || *at_ == '-') return false;
        const auto [rest, error] = std::from_chars(at_, end_, number);
        at_ = rest;
        return error == std::errc();
    }
    [[nodiscard]] bool done() const { return at_ == end_; }

  private:
    const char* at_;
    const char* end_;
    bool first_ = true;
};

bool read_decision(Numbers& numbers, const limit::Take& take, limit::Decision& decision) {
    std::uint64_t allowed = 0;
    std::int64_t reset = 0;
    std::int64_t retry = 0;
    std::int64_t more = 0;
    if (!numbers.next(allowed) || allowed > 1 || !numbers.next(decision.remaining) || !numbers.next(reset) ||
        !numbers.next(retry) || !numbers.next(more))
        return false;
    decision.allowed = allowed == 1;
    decision.limit = take.rule->rate.count;
    decision.reset_after = Nanos(reset);
    decision.retry_after = Nanos(retry);
    decision.more_after = Nanos(more);
    return true;
}

}  // namespace

const Script& take_script() {
    static const Script kScript("take_script");
    return kScript;
}

void append_take(std::string& out, TakeOperation operation, std::string_view prefix,
                 std::span<const limit::Take> takes) {
    append_event(out, word_of(operation), prefix, takes, std::nullopt, std::nullopt);
}

void append_give_back(std::string& out, std::string_view prefix, std::span<const limit::Take> takes, StoreTime taken) {
    append_event(out, "give", prefix, takes, std::nullopt, taken);
}

void append_take_at(std::string& out, TakeOperation operation, std::string_view prefix,
                    std::span<const limit::Take> takes, StoreTime now, std::optional<StoreTime> taken) {
    append_event(out, taken ? "give" : word_of(operation), prefix, takes, now, taken);
}

void append_reset(std::string& out, std::string_view prefix, std::string_view subject,
                  std::span<const std::string_view> groups) {
    WEIR_ASSERT(!groups.empty());
    resp::append_command_begin(out, 1 + groups.size());
    resp::append_argument(out, "DEL");
    for (const std::string_view group : groups) append_bucket_key_argument(out, prefix, subject, group);
}

Result<StoreTime> read_decisions(const resp::Reply& reply, std::span<const limit::Take> takes,
                                 std::span<limit::Decision> decisions) {
    WEIR_ASSERT(takes.size() == decisions.size());
    if (reply.kind == resp::Reply::Kind::kError) return resp::error_of(resp::classify_error(reply.text));
    if (reply.kind != resp::Reply::Kind::kBulk) return kNoReplyOfScript;
    Numbers numbers(reply.text);
    StoreTime now;
    if (!numbers.next(now.nanos)) return kNoReplyOfScript;
    for (std::size_t i = 0; i < takes.size(); ++i) {
        if (!read_decision(numbers, takes[i], decisions[i])) return kNoReplyOfScript;
    }
    if (!numbers.done()) return kNoReplyOfScript;
    return now;
}

}  // namespace weir::store
