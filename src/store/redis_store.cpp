#include "store/redis_store.h"

#include <algorithm>
#include <utility>

#include "protocol/resp/command.h"
#include "store/cluster_slots.h"

namespace weir::store {

namespace resp = protocol::resp;

namespace {

// A command is sent so often at once: a script that is loaded, a slot that has moved, a redirection or two. While a
// slot changes hands both servers may send us to each other, or refuse what lies on both (TRYAGAIN): then it is sent
// again a little later, as often as its time allows.
constexpr std::uint8_t kTimesAtOnce = 4;
constexpr Nanos kAgainAfter = std::chrono::milliseconds(2);

constexpr Error kTimedOut{ErrorCode::kTimeout, ErrorSource::kStore, true, "the store did not answer in time"};
constexpr Error kTooManyOpen{ErrorCode::kExhausted, ErrorSource::kStore, true,
                             "too many questions to the store are open"};

// A tag: index (24), generation (32), part (8).
constexpr std::size_t kOpsMax = 2 * kAskedMax;
static_assert(kOpsMax < (1U << 24U) - 1);

RedisNode::Options node_options(const RedisStoreOptions& options, const RedisStore::Tools& tools) {
    RedisNode::Options node;
    node.tls = options.tls;
    node.script = &take_script();
    node.timeout = options.timeout;
    node.breaker = options.breaker;
    node.shard = &tools.shard;
    node.breaker_cell = tools.registry.cell(metrics::Family::kBreakerState, {});
    node.health = &tools.health;
    return node;
}

}  // namespace

RedisStore::RedisStore(RedisStoreOptions options, const Tools& tools)
    : options_(std::move(options)),
      host_(tools.host),
      registry_(tools.registry),
      shard_(tools.shard),
      seconds_(tools.registry.cell(metrics::Family::kStoreSeconds, {})),
      name_(options_.address.to_string()),
      servers_(
          make_servers(options_.address, {tools.host, tools.names, *this, node_options(options_, tools), tools.seed})) {
    for (const std::string_view kind : {"timeout", "store_unavailable"}) {
        (void)registry_.cell(metrics::Family::kStoreErrors, {name_, kind});
    }
}

RedisStore::~RedisStore() {
    stop();
}

void RedisStore::start() {
    servers_->start();
    arm(tend_timer_, kTend, kTendEvery);
}

void RedisStore::stop() {
    if (std::exchange(stopped_, true)) return;
    servers_->stop();
    for (net::TimerId* timer : {&deadline_timer_, &tend_timer_, &again_timer_}) {
        if (timer->valid()) host_.reactor().cancel_timer(std::exchange(*timer, {}));
    }
    host_.forget_owner(*this);
}

void RedisStore::adopt(const std::string& key_prefix, Nanos timeout) {
    options_.key_prefix = key_prefix;
    options_.timeout = timeout;
    servers_->set_timeout(timeout);
}

std::optional<Result<void>> RedisStore::take(std::span<const limit::Take> takes, MonoTime now,
                                             std::span<limit::Decision> decisions, limit::TakeWaiter& waiter) {
    return ask(TakeOperation::kTake, takes, now, decisions, waiter);
}

std::optional<Result<void>> RedisStore::peek(std::span<const limit::Take> takes, MonoTime now,
                                             std::span<limit::Decision> decisions, limit::TakeWaiter& waiter) {
    return ask(TakeOperation::kPeek, takes, now, decisions, waiter);
}

std::optional<Result<void>> RedisStore::ask(TakeOperation operation, std::span<const limit::Take> takes, MonoTime now,
                                            std::span<limit::Decision> decisions, limit::TakeWaiter& waiter) {
    WEIR_ASSERT(!takes.empty() && takes.size() == decisions.size() && takes.size() <= kBucketsPerEventMax);
    if (stopped_ || pending() >= kOpsMax) {
        count_error(error_row(kTooManyOpen.code).label);
        return Result<void>(kTooManyOpen);
    }
    const std::uint32_t index = new_op();
    Op& op = ops_[index];
    op.operation = operation;
    op.asked = now;
    op.waiter = &waiter;
    op.out = decisions;
    divide(op, takes);
    if (const auto begun = begin_part(index); !begun) {
        count_error(error_row(begun.error().code).label);
        release(index);
        return begun;
    }
    const MonoTime deadline = now + options_.timeout;
    // In order, also when a reload has shortened the time.
    deadlines_.push_back({deadlines_.empty() ? deadline : std::max(deadline, deadlines_.back().at), tag_of(index, 0)});
    if (!deadline_timer_.valid()) arm(deadline_timer_, kDeadline, options_.timeout);
    return std::nullopt;
}

std::uint32_t RedisStore::new_op() {
    std::uint32_t index = 0;
    if (free_.empty()) {
        index = static_cast<std::uint32_t>(ops_.size());
        ops_.emplace_back();
    } else {
        index = free_.back();
        free_.pop_back();
    }
    Op& op = ops_[index];
    op.phase = Phase::kTaking;
    op.parts = op.current = op.open = 0;
    op.takes.clear();
    op.places.clear();
    return index;
}

void RedisStore::release(std::uint32_t index) {
    Op& op = ops_[index];
    op.phase = Phase::kFree;
    op.waiter = nullptr;
    ++op.generation;
    free_.push_back(index);
}

// One part for each slot, in the order in which slots first come; one part for all where slots mean nothing.
void RedisStore::divide(Op& op, std::span<const limit::Take> takes) const {
    const bool has_slots = servers_->has_slots();
    std::array<std::uint16_t, kBucketsPerEventMax> slots{};
    for (std::size_t i = 0; has_slots && i < takes.size(); ++i) slots[i] = slot_of_subject(takes[i].subject);
    for (std::size_t first = 0; first < takes.size(); ++first) {
        const auto before = std::span(slots).first(first);
        if (std::ranges::find(before, slots[first]) != before.end()) continue;
        Part& part = op.part[op.parts++];
        part.slot = slots[first];
        part.begin = static_cast<std::uint8_t>(op.takes.size());
        part.times = 0;
        part.open = false;
        part.node = nullptr;
        for (std::size_t i = first; i < takes.size(); ++i) {
            if (slots[i] != slots[first]) continue;
            op.takes.push_back(takes[i]);
            op.places.push_back(static_cast<std::uint8_t>(i));
        }
        part.count = static_cast<std::uint8_t>(op.takes.size() - part.begin);
    }
    // What a bucket says whose server is not asked in the end.
    op.decisions.clear();
    for (const limit::Take& take : op.takes) {
        op.decisions.push_back({.limit = take.rule->rate.count, .remaining = limit::capacity(*take.rule)});
    }
}

std::span<const limit::Take> RedisStore::takes_of(const Op& op, const Part& part) const {
    return std::span(op.takes).subspan(part.begin, part.count);
}

std::span<limit::Decision> RedisStore::decisions_of(Op& op, const Part& part) const {
    return std::span(op.decisions).subspan(part.begin, part.count);
}

std::uint64_t RedisStore::tag_of(std::uint32_t index, std::uint8_t part) const {
    return std::uint64_t{index} << 40U | std::uint64_t{ops_[index].generation} << 8U | part;
}

std::optional<std::uint32_t> RedisStore::op_of(std::uint64_t tag) const {
    const auto index = static_cast<std::uint32_t>(tag >> 40U);
    if (index >= ops_.size()) return std::nullopt;
    const Op& op = ops_[index];
    const bool is_it = op.phase != Phase::kFree && op.generation == static_cast<std::uint32_t>(tag >> 8U);
    return is_it ? std::optional(index) : std::nullopt;
}

bool RedisStore::still_wants(std::uint64_t tag) const {
    return tag == kServersTag || op_of(tag).has_value();
}

Result<void> RedisStore::begin_part(std::uint32_t index) {
    Op& op = ops_[index];
    Part& part = op.part[op.current];
    part.command.clear();
    append_take(part.command, op.operation, options_.key_prefix, takes_of(op, part));
    const auto node = servers_->server_of(part.slot);
    if (!node) return node.error();
    return send(index, op.current, **node);
}

Result<void> RedisStore::send(std::uint32_t index, std::uint8_t number, RedisNode& node, bool asking) {
    Part& part = ops_[index].part[number];
    part.node = &node;
    ++part.times;
    if (const auto unusable = node.unusable()) return *unusable;
    if (asking) {
        scratch_.clear();
        resp::append_command(scratch_, {"ASKING"});
        node.tell(scratch_);
    }
    const auto asked = node.ask(part.command, tag_of(index, number));
    part.open = asked.has_value();
    return asked;
}

void RedisStore::on_answer(RedisNode& node, std::uint64_t tag, const resp::Reply& reply) {
    if (tag == kServersTag) {
        servers_->on_answer(node, &reply);
        return;
    }
    const auto index = op_of(tag);
    if (!index) return;
    Op& op = ops_[*index];
    const auto number = static_cast<std::uint8_t>(tag);
    Part& part = op.part[number];
    part.open = false;
    if (reply.kind == resp::Reply::Kind::kError) {
        on_error(node, *index, number, reply.text);
        return;
    }
    const auto taken = read_decisions(reply, takes_of(op, part), decisions_of(op, part));
    if (!taken) {
        part_failed(*index, taken.error());
        return;
    }
    if (op.phase == Phase::kTaking) {
        part.taken = *taken;
        on_taken(*index);
    } else if (--op.open == 0) {
        finish(*index, {});
    }
}

void RedisStore::on_failed(RedisNode& node, std::uint64_t tag, const Error& why) {
    if (tag == kServersTag) {
        servers_->on_answer(node, nullptr);
        return;
    }
    const auto index = op_of(tag);
    if (!index) return;
    const auto number = static_cast<std::uint8_t>(tag);
    ops_[*index].part[number].open = false;
    part_failed(*index, why);
}

void RedisStore::on_error(RedisNode& node, std::uint32_t index, std::uint8_t number, std::string_view text) {
    const resp::ErrorReply kind = resp::classify_error(text);
    const auto followed = follow(node, index, number, text, kind);
    if (followed) return;
    if (followed.error().code != ErrorCode::kUnsupported) {
        part_failed(index, followed.error());
        return;
    }
    using enum resp::ErrorReply;
    const bool misplaced = kind == kReadOnly || kind == kMasterDown || kind == kClusterDown;
    const Error why = resp::error_of(kind);
    part_failed(index, why, resp::name_of(kind));
    if (misplaced) servers_->on_misplaced(node, why);
}

// What is no failure: the same is asked again, or elsewhere. kUnsupported when it is none of these.
Result<void> RedisStore::follow(RedisNode& node, std::uint32_t index, std::uint8_t number, std::string_view text,
                                resp::ErrorReply kind) {
    const bool often = ops_[index].part[number].times >= kTimesAtOnce;
    switch (kind) {
        case resp::ErrorReply::kNoScript:
            if (often) break;
            node.load_script();
            return send(index, number, node);
        case resp::ErrorReply::kMoved:
        case resp::ErrorReply::kAsk: {
            const auto to = resp::parse_redirection(text);
            if (!to) break;
            const auto other = servers_->redirected(node, *to, kind == resp::ErrorReply::kMoved);
            if (!other) return other.error();
            if (often) {
                ask_later(index, number);
                return {};
            }
            return send(index, number, **other, kind == resp::ErrorReply::kAsk);
        }
        case resp::ErrorReply::kTryAgain:
            ask_later(index, number);
            return {};
        default:
            break;
    }
    return Error{ErrorCode::kUnsupported, ErrorSource::kStore, false, {}};
}

void RedisStore::ask_later(std::uint32_t index, std::uint8_t number) {
    ops_[index].part[number].times = 0;
    again_.push_back(tag_of(index, number));
    if (!again_timer_.valid()) arm(again_timer_, kAgain, kAgainAfter);
}

void RedisStore::ask_again() {
    std::vector<std::uint64_t> tags = std::exchange(again_, {});
    for (const std::uint64_t tag : tags) {
        const auto index = op_of(tag);
        if (!index) continue;
        const auto number = static_cast<std::uint8_t>(tag);
        const auto node = servers_->server_of(ops_[*index].part[number].slot);
        const auto sent = node ? send(*index, number, **node) : Result<void>(node.error());
        if (!sent) part_failed(*index, sent.error());
    }
}

void RedisStore::part_failed(std::uint32_t index, const Error& why, std::string_view kind) {
    Op& op = ops_[index];
    count_error(kind.empty() ? error_row(why.code).label : kind);
    if (op.phase == Phase::kTaking) {
        give_back_unasked(op);
        finish(index, why);
    } else if (--op.open == 0) {
        finish(index, {});  // it is denied, whatever else there was to say
    }
}

// The current part has said what it decides.
void RedisStore::on_taken(std::uint32_t index) {
    Op& op = ops_[index];
    const Part& part = op.part[op.current];
    const auto decided = decisions_of(op, part);
    const bool admits = std::ranges::all_of(decided, &limit::Decision::allowed);
    const bool last = op.current + 1 == op.parts;
    if (!admits && op.operation == TakeOperation::kTake && op.parts > 1) {
        undo(index);
        return;
    }
    if (last) {
        finish(index, {});
        return;
    }
    ++op.current;
    if (const auto begun = begin_part(index); !begun) part_failed(index, begun.error());
}

// A slot has denied: what the others say of their buckets is part of the answer.
void RedisStore::undo(std::uint32_t index) {
    Op& op = ops_[index];
    op.phase = Phase::kUndoing;
    op.open = 0;
    for (std::uint8_t number = 0; number < op.parts; ++number) {
        if (number == op.current) continue;
        Part& part = op.part[number];
        part.times = 0;
        part.command.clear();
        if (number < op.current) {
            append_give_back(part.command, options_.key_prefix, takes_of(op, part), part.taken);
        } else {
            append_take(part.command, TakeOperation::kRefuse, options_.key_prefix, takes_of(op, part));
        }
        const auto node = servers_->server_of(part.slot);
        if (node && send(index, number, **node)) ++op.open;
    }
    // Where nothing could be asked: that the event is denied is known, though not where all of its buckets stand.
    if (op.open == 0) finish(index, {});
}

// The event fails: what its parts took before is given back, and nobody waits for that.
void RedisStore::give_back_unasked(Op& op) {
    if (op.operation != TakeOperation::kTake) return;
    for (std::uint8_t number = 0; number < op.current; ++number) {
        const Part& part = op.part[number];
        scratch_.clear();
        append_give_back(scratch_, options_.key_prefix, takes_of(op, part), part.taken);
        if (part.node != nullptr) part.node->tell(scratch_);
    }
}

void RedisStore::finish(std::uint32_t index, const Result<void>& outcome) {
    Op& op = ops_[index];
    for (std::size_t i = 0; outcome && i < op.places.size(); ++i) op.out[op.places[i]] = op.decisions[i];
    const std::chrono::duration<double> took = host_.reactor().now() - op.asked;
    shard_.observe(seconds_, took.count());
    limit::TakeWaiter& waiter = *op.waiter;
    release(index);
    waiter.on_taken(outcome);  // may ask again
}

void RedisStore::expire(std::uint32_t index) {
    Op& op = ops_[index];
    for (std::uint8_t number = 0; number < op.parts; ++number) {
        if (op.part[number].open) op.part[number].node->note_timeout();
    }
    op.open = 1;  // there is no more to come
    part_failed(index, kTimedOut);
}

void RedisStore::on_deadlines() {
    const MonoTime now = host_.reactor().now();
    due_.clear();
    while (!deadlines_.empty() && deadlines_.front().at <= now) {
        due_.push_back(deadlines_.front().tag);
        deadlines_.pop_front();
    }
    // What is answered already has gone from the front, so that the timer rests while nothing is asked.
    while (!deadlines_.empty() && !op_of(deadlines_.front().tag)) deadlines_.pop_front();
    if (!deadlines_.empty()) arm(deadline_timer_, kDeadline, deadlines_.front().at - now);
    for (const std::uint64_t tag : due_) {
        if (const auto index = op_of(tag)) expire(*index);
    }
}

void RedisStore::arm(net::TimerId& timer, Timer kind, Nanos delay) {
    timer = host_.set_timer_for(*this, delay, kind);
}

void RedisStore::on_timer(std::uint64_t cookie) {
    switch (cookie) {
        case kDeadline:
            deadline_timer_ = {};
            on_deadlines();
            break;
        case kAgain:
            again_timer_ = {};
            ask_again();
            break;
        case kTend:
            servers_->tend();
            arm(tend_timer_, kTend, kTendEvery);
            break;
        default:
            break;
    }
}

void RedisStore::count_error(std::string_view kind) {
    shard_.add(registry_.cell(metrics::Family::kStoreErrors, {name_, kind}));
}

}  // namespace weir::store
