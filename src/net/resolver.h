// Names to addresses, off the reactor: getaddrinfo(3) blocks, and knows what the machine's administrator set up (hosts,
// search domains, nsswitch), so it runs in a thread of its own. It does not tell a name's TTL: an answer is kept for
// kKept, a failure for kFailureKept, and then asked for again.
//
// A literal address and what is cached are answered at once, from inside `resolve`. Everything else is answered from
// `deliver`, which the owner calls when `wake` told it to (from its `on_wake`). Callers of one name share one question.
// A name that did resolve and now does not keeps its last addresses: a backend does not go away with its name server.
//
// Bounds: kNamesMax names are known, and kWaitingMax calls wait; beyond, kExhausted.
//
// Threads: everything on the owner's thread; `wake` is called by the resolver's. One resolver serves one worker.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ip_address.h"
#include "base/result.h"

namespace weir::net {

using Addresses = std::vector<IpAddress>;
// Asks the system; blocks. kUnreachable when there is no such name.
[[nodiscard]] Result<Addresses> look_up(const std::string& name);

class Resolver {
  public:
    using LookUp = std::function<Result<Addresses>(const std::string&)>;
    using Answer = std::function<void(const Result<Addresses>&)>;  // with at least one address

    static constexpr Nanos kKept = std::chrono::seconds(30);
    static constexpr Nanos kFailureKept = std::chrono::seconds(2);
    static constexpr std::size_t kNamesMax = 256;
    static constexpr std::size_t kWaitingMax = 4096;

    // `wake` must be callable until the resolver is gone. The look-up is an argument for the tests' sake.
    explicit Resolver(std::function<void()> wake, LookUp look_up = &net::look_up);
    ~Resolver();  // waits for a question that is being asked; what waits is not answered
    Resolver(const Resolver&) = delete;
    Resolver& operator=(const Resolver&) = delete;

    void resolve(std::string_view name, MonoTime now, Answer answer);
    // Calls the answers that have come.
    void deliver(MonoTime now);

  private:
    struct Shared;
    struct Name {
        Addresses addresses;  // of the last good answer
        Error error;          // when there was none
        MonoTime until{};
        bool asking = false;
        std::vector<Answer> waiting;
    };
    [[nodiscard]] Name* find_or_add(const std::string& name, MonoTime now);

    std::unique_ptr<Shared> shared_;
    struct Table;
    std::unique_ptr<Table> table_;
    std::size_t waiting_ = 0;
};

}  // namespace weir::net
