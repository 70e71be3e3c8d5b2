// Buckets in Redis or Valkey: the store that several gateways share. A limit::Store that answers later.
//
// An event is one call of our script (store/take_script.h) for all of its buckets, where they lie on one server. In a
// cluster it is one call for each slot, one after the other: the next slot is asked when the one before has admitted,
// and when a slot denies, those before it are given back what they gave, and those behind it are told that the event
// is refused. So an event takes from all of its buckets or from none, also across slots.
//
//   take -> [slot 1] -> allowed -> [slot 2] -> allowed -> admitted
//                |                     `-> denied -> give back on 1 -> denied
//                `-> denied -> refuse on 2 -> denied
//
// Time. An event that has no answer `timeout` after it was asked fails; so does all that is asked of a server whose
// breaker is open (at once), that is down, or that answers with an error. None of this is a denial: what becomes of
// the event is the policy's business. What had been taken by then in other slots is given back; what the server counts
// after we have stopped waiting stays counted.
//
// Parts: `StoreServers` knows which server to ask, `RedisNode` is one of them. One worker's thread; each has its own.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "limit/store.h"
#include "store/store_servers.h"
#include "store/take_script.h"

namespace weir::store {

struct RedisStoreOptions {
    StoreAddress address;
    StoreTls tls = {};
    std::string key_prefix = "rl";
    Nanos timeout = std::chrono::milliseconds(20);
    BreakerOptions breaker = {};
};

class RedisStore final : public limit::Store, public NodeUser, public net::SocketOwner {
  public:
    struct Tools {
        net::SocketHost& host;
        net::NameTable& names;
        metrics::Registry& registry;
        metrics::Shard& shard;
        StoreHealth& health;
        std::uint64_t seed = 1;
    };
    RedisStore(RedisStoreOptions options, const Tools& tools);
    ~RedisStore() override;
    RedisStore(const RedisStore&) = delete;
    RedisStore& operator=(const RedisStore&) = delete;

    // Begins to connect.
    void start();
    // Closes everything, and tells nobody anything any more. Before the host ends.
    void stop();
    // What a reload may change.
    void adopt(const std::string& key_prefix, Nanos timeout);

    std::optional<Result<void>> take(std::span<const limit::Take> takes, MonoTime now,
                                     std::span<limit::Decision> decisions, limit::TakeWaiter& waiter) override;
    std::optional<Result<void>> peek(std::span<const limit::Take> takes, MonoTime now,
                                     std::span<limit::Decision> decisions, limit::TakeWaiter& waiter) override;
    [[nodiscard]] std::size_t pending() const { return ops_.size() - free_.size(); }

    // NodeUser
    void on_answer(RedisNode& node, std::uint64_t tag, const protocol::resp::Reply& reply) override;
    void on_failed(RedisNode& node, std::uint64_t tag, const Error& why) override;
    [[nodiscard]] bool still_wants(std::uint64_t tag) const override;
    [[nodiscard]] Result<net::Endpoint> endpoint_of(RedisNode& node) override { return servers_->endpoint_of(node); }
    void on_node_down(RedisNode& node) override { servers_->on_down(node); }
    // SocketOwner: it has timers alone.
    void on_connected(net::SocketId, const Result<void>&) override {}
    void on_received(net::SocketId, net::Slice) override {}
    void on_received_end(net::SocketId) override {}
    void on_closed(net::SocketId, const Error&) override {}
    void on_timer(std::uint64_t cookie) override;

  private:
    enum class Phase : std::uint8_t { kFree, kTaking, kUndoing };
    // The takes of one slot.
    struct Part {
        std::uint16_t slot = 0;
        std::uint8_t begin = 0;  // of Op::takes
        std::uint8_t count = 0;
        std::uint8_t times = 0;  // that its command was sent
        bool open = false;       // an answer is awaited
        RedisNode* node = nullptr;
        StoreTime taken;
        std::string command;
    };
    struct Op {
        std::uint32_t generation = 0;
        Phase phase = Phase::kFree;
        TakeOperation operation = TakeOperation::kTake;
        std::uint8_t parts = 0;
        std::uint8_t current = 0;  // kTaking: the part that is asked
        std::uint8_t open = 0;     // kUndoing: parts whose answers are awaited
        MonoTime asked;
        limit::TakeWaiter* waiter = nullptr;
        std::span<limit::Decision> out;
        std::vector<limit::Take> takes;  // by parts
        std::vector<limit::Decision> decisions;
        std::vector<std::uint8_t> places;  // takes[i] was asked as places[i]
        std::array<Part, kBucketsPerEventMax> part;
    };
    enum Timer : std::uint64_t { kDeadline, kTend, kAgain };

    std::optional<Result<void>> ask(TakeOperation operation, std::span<const limit::Take> takes, MonoTime now,
                                    std::span<limit::Decision> decisions, limit::TakeWaiter& waiter);
    [[nodiscard]] std::uint32_t new_op();
    void release(std::uint32_t index);
    void divide(Op& op, std::span<const limit::Take> takes) const;
    [[nodiscard]] std::span<const limit::Take> takes_of(const Op& op, const Part& part) const;
    [[nodiscard]] std::span<limit::Decision> decisions_of(Op& op, const Part& part) const;
    [[nodiscard]] std::uint64_t tag_of(std::uint32_t index, std::uint8_t part) const;
    [[nodiscard]] std::optional<std::uint32_t> op_of(std::uint64_t tag) const;
    [[nodiscard]] Result<void> send(std::uint32_t index, std::uint8_t part, RedisNode& node, bool asking = false);
    [[nodiscard]] Result<void> begin_part(std::uint32_t index);
    void on_error(RedisNode& node, std::uint32_t index, std::uint8_t part, std::string_view text);
    [[nodiscard]] Result<void> follow(RedisNode& node, std::uint32_t index, std::uint8_t part, std::string_view text,
                                      protocol::resp::ErrorReply kind);
    // `kind`: for the metric, when it is not that of the error.
    void part_failed(std::uint32_t index, const Error& why, std::string_view kind = {});
    void on_taken(std::uint32_t index);
    void undo(std::uint32_t index);
    void give_back_unasked(Op& op);
    void finish(std::uint32_t index, const Result<void>& outcome);
    void expire(std::uint32_t index);
    void arm(net::TimerId& timer, Timer kind, Nanos delay);
    void on_deadlines();
    void ask_later(std::uint32_t index, std::uint8_t part);
    void ask_again();
    void count_error(std::string_view kind);

    RedisStoreOptions options_;
    net::SocketHost& host_;
    metrics::Registry& registry_;
    metrics::Shard& shard_;
    metrics::Cell seconds_;
    std::string name_;
    std::unique_ptr<StoreServers> servers_;
    std::deque<Op> ops_;
    std::vector<std::uint32_t> free_;
    struct Deadline {
        MonoTime at;
        std::uint64_t tag;
    };
    std::deque<Deadline> deadlines_;    // in their order
    std::vector<std::uint64_t> again_;  // tags of what is to be asked once more
    std::vector<std::uint64_t> due_;    // scratch of on_deadlines
    std::string scratch_;
    net::TimerId deadline_timer_, tend_timer_, again_timer_;
    bool stopped_ = false;
};

}  // namespace weir::store
