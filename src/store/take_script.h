// The script that decides (take_script.lua): one EVALSHA for all buckets of an event that lie in one slot, in RESP, and
// its reply as decisions.
//
// The script is the twin of limit/algorithm.h: given the same time it gives the same decisions, to the nanosecond. Its
// time is the server's, in microseconds, so that gateways with wrong clocks agree. All of the keys of a call take, or
// none. An event whose buckets lie in several slots (a subject's own and, say, a global one) is several calls, one
// after the other, by whoever owns the connections:
//
//     take on the first slot   all allowed    take on the next slot
//                              denied         refuse on every other slot: they say where they stand, and count the
//                                             denied event where their rule says count_denied
//     denied by a later slot   give_back on the slots that took, with the time that their answer carried
//
// What is given back is what the event took and nothing more: nothing to a window that opened after it, and in GCRA not
// what may have drained since. So a refund never makes room that the algorithm would not have had, but may leave
// less: the event of a later slot's denial can cost its earlier buckets the drip of the time between the two calls.
// (Where a bucket counts denials it keeps the event, for the event was denied. After a change of its rule in between
// nothing is given back.)
//
// Stored: under PREFIX:{SUBJECT}:GROUP (store/bucket_key.h) a line of text, "s 60 1732518265 123456000 12 3", which the
// script describes; it expires when the bucket is full again. A bucket that is as it was is not written, so a denied
// event costs no replication.
//
// Nothing here allocates beyond the output string. Pure, thread-safe.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "limit/decision.h"
#include "limit/store.h"
#include "protocol/resp/reply.h"
#include "store/script.h"

namespace weir::store {

[[nodiscard]] const Script& take_script();

// A time of the store's clock, in nanoseconds since 1970: for give_back, and not comparable with any clock of ours.
struct StoreTime {
    std::int64_t nanos = 0;
    friend bool operator==(const StoreTime&, const StoreTime&) = default;
};

enum class TakeOperation : std::uint8_t {
    kTake,    // limit::take on each if all admit, else limit::refuse on each
    kPeek,    // limit::would_take
    kRefuse,  // limit::refuse: another slot refused the event
};

// `takes` share their subject, so they share a slot; at least one, at most kBucketsPerEventMax. Of a Take the hash is
// not used. A cost beyond what any bucket holds is sent as just that.
void append_take(std::string& out, TakeOperation operation, std::string_view prefix,
                 std::span<const limit::Take> takes);
void append_give_back(std::string& out, std::string_view prefix, std::span<const limit::Take> takes, StoreTime taken);

// Empties the buckets of `groups`: a DEL, whose reply is the number of those that were not full.
void append_reset(std::string& out, std::string_view prefix, std::string_view subject,
                  std::span<const std::string_view> groups);

// The reply to any of the calls but `append_reset`: fills decisions[i] for takes[i] and says when, by the store's
// clock, it was decided. An error is the store's (protocol/resp/error_reply.h), kMalformed a reply that is none of the
// script's; `decisions` are then not to be used. After give_back they are as after peek.
[[nodiscard]] Result<StoreTime> read_decisions(const protocol::resp::Reply& reply, std::span<const limit::Take> takes,
                                               std::span<limit::Decision> decisions);

// For the twin test: as if the store's clock said `now`. Such buckets do not expire. `taken`: give back, whatever
// `operation` says.
void append_take_at(std::string& out, TakeOperation operation, std::string_view prefix,
                    std::span<const limit::Take> takes, StoreTime now, std::optional<StoreTime> taken = std::nullopt);

}  // namespace weir::store
