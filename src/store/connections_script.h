// How many connections a subject has open on a route, over all gateways: `max_connections` with a shared store.
//
// Under PREFIX:{SUBJECT}:@connections:ROUTE lies a hash with a field for each holder, which is one worker of one
// gateway: how many it holds, and until when. A count and not a member for each connection, so that renewing costs one
// small command a subject however many connections it has.
//
// Leases. Acquire and release change a holder's count by one and begin its lease anew; `renew`, every third of a lease,
// says what the holder has in truth, so it also heals what a lost answer or a lost release left wrong. What a gateway
// held that was killed counts until its lease ends and no longer. A gateway that could not reach the store for a whole
// lease may find its places taken: it keeps its connections, renew counts them again, and nobody acquires until enough
// have closed.
//
// Exact: an acquire counts and decides in one step, so that all holders together never acquire more than the bound.
// Releases of what is not held change nothing.
//
// A caller must
// * send the commands of one holder over one connection, so that they run in the order in which it sent them;
// * renew a subject only while none of its acquires is unanswered, for only then does it know what it holds;
// * name a holder that no other process has (random at its start), and use one lease length for all gateways: a holder
//   whose lease is longer is cut to that of whoever looks.
//
// Time is the server's; a step back of its clock makes no lease last longer than one lease from then on. Pure,
// thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/resp/reply.h"
#include "store/script.h"

namespace weir::store {

[[nodiscard]] const Script& connections_script();

struct ConnectionLease {
    std::string_view prefix;
    std::string_view subject;
    std::string_view route;
    std::string_view holder;
    std::chrono::milliseconds length{30'000};  // 1 ms to a day
};

// One more, if all holders together have less than `most`.
void append_acquire_connection(std::string& out, const ConnectionLease& lease, std::uint64_t most);
// One less.
void append_release_connection(std::string& out, const ConnectionLease& lease);
// This holder has `count` of them; 0 ends its lease.
void append_renew_connections(std::string& out, const ConnectionLease& lease, std::uint64_t count);

struct ConnectionCount {
    bool acquired = true;    // of an acquire; the others are never refused
    std::uint64_t held = 0;  // by all holders, after the call
    friend bool operator==(const ConnectionCount&, const ConnectionCount&) = default;
};
// The reply to any of the three.
[[nodiscard]] Result<ConnectionCount> read_connection_count(const protocol::resp::Reply& reply);

}  // namespace weir::store
