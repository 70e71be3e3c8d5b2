// Asks the application who a caller is: a worker's side of `identity.lookup`. One GET for each question, over
// connections of its own that are kept for reuse; its answer goes to the LookupCache and to all who wait for it.
//
// Bounded: kLookupsAtOnce questions of a worker are on their way, the rest stand in line, and the time-out counts from
// when a question was begun, in line or not. A response is read as far as it may be long. A kept connection that the
// application had closed is tried once anew, as nothing of an answer had come.
//
// Nobody is told from inside a call: answers go through the workers' mailboxes. One worker's thread.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <unordered_map>

#include "gateway/lookup_cache.h"
#include "gateway/response_reader.h"
#include "gateway/upstream_pool.h"
#include "net/slot_table.h"
#include "net/socket_owner.h"

namespace weir::gateway {

class Worker;
struct Snapshot;

inline constexpr std::size_t kLookupsAtOnce = 64;

class LookupClient final : public net::SocketOwner {
  public:
    LookupClient(Worker& worker, net::NameTable& names) : worker_(worker), names_(names) {}
    LookupClient(const LookupClient&) = delete;
    LookupClient& operator=(const LookupClient&) = delete;

    // Takes up another configuration. Questions that are open go on, and answer into the cache that they are of.
    void adopt(const Snapshot& snapshot);
    // `ticket` is what the cache of the configuration in force gave out.
    void ask(const Hash128& key, std::uint64_t ticket, std::string request);
    void close_idle(bool all);
    // At the worker's end: closes everything and tells nobody.
    void abandon();
    [[nodiscard]] bool idle() const { return questions_.live() == 0; }

    // SocketOwner
    void on_connected(net::SocketId socket, const Result<void>& outcome) override;
    void on_received(net::SocketId socket, net::Slice bytes) override;
    void on_received_end(net::SocketId socket) override;
    void on_closed(net::SocketId socket, const Error& why) override;
    void on_timer(std::uint64_t cookie) override;

  private:
    // A timer's cookie is a question's index and generation.
    static constexpr std::uint32_t kQuestionsMax = net::kOwnerCookies >> 32U;

    static constexpr ResponseBounds kAnswerBounds{identity::kLookupBodyBytesMax, "it is longer than 64 KiB"};

    struct Origin {
        std::shared_ptr<LookupCache> cache;
        UpstreamPool pool;  // of one upstream with one address
    };
    struct Question {
        std::uint32_t generation = 0;  // SlotTable's
        std::shared_ptr<Origin> origin;
        Hash128 key;
        std::uint64_t ticket = 0;
        MonoTime begun{};
        std::string request;
        net::TimerId timer;
        net::SocketId socket;  // invalid: in line
        bool pooled = false;   // the connection has served another question before
        bool retried = false;
        ResponseReader response{kAnswerBounds};
    };
    struct Id {
        std::uint32_t index = 0;
        std::uint32_t generation = 0;
    };

    void start_next();
    void start(std::uint32_t index);
    void send(std::uint32_t index);
    void release_socket(Question& question, bool reusable);
    void read(std::uint32_t index, std::string_view bytes);
    void take_body(std::uint32_t index, bool reusable);
    // The connection failed: once more, if it was a kept one that may have been dead, else the question has failed.
    void failed(std::uint32_t index, const Error& why);
    void fail(std::uint32_t index, const Error& why, unsigned status = 0);
    void finish(std::uint32_t index, const identity::LookupAnswer& answer, bool reusable);
    void log_failure(LookupCache& cache, const Error& why, unsigned status);
    void forget_idle(net::SocketId socket);
    [[nodiscard]] std::optional<std::uint32_t> question_of(net::SocketId socket) const;

    Worker& worker_;
    net::NameTable& names_;
    std::shared_ptr<Origin> origin_;  // of the configuration in force; null when it asks nobody
    net::SlotTable<Question> questions_;
    std::deque<Id> line_;
    std::unordered_map<std::uint32_t, std::uint32_t> by_socket_;  // index of a socket that is in use: its question
    bool starting_ = false;
};

}  // namespace weir::gateway
