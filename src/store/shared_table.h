// Blocks and overrides that all gateways share: small tables of names with values that expire, in the shared store.
//
//     PREFIX:{blocks}:values ...     "user:42"             -> an origin's letter and why
//     PREFIX:{overrides}:values ...  "WS_MESSAGE user:42"  -> "500/m"
//
// A penalty that one gateway finds is put here, and so blocks on all. What leads to it is counted in the store too: a
// denial of a subject is a take (take_script.h) of cost 1 from its bucket kDenialsGroup under the rule fixed_window
// AFTER, and the denial that this bucket refuses is the one that blocks. Two gateways may find the same penalty at
// once, or one may die between the two steps: entering is idempotent, a block by rule does not grow by being entered
// again, and the next denial is refused too. With the block the bucket is reset, as in one process.
//
// How gateways learn of changes. Each asks about every second for what has changed since the version that it knows, in
// one small command on the connection that it has anyway; where nothing has changed the answer is a version. Not by
// publish and subscribe: that needs a connection of its own, forgets what was said while it was down, so that a version
// and a question would be needed besides, and in a cluster goes through every node. The price is that a block holds
// elsewhere about a second later. Nobody waits for an answer: decisions read what the gateway has already.
//
// Ends. An answer says how long an entry has left by the server's clock, so gateways with wrong clocks agree, and each
// ends an entry by itself: an end is no change. A removal is told to everybody until the entry would have ended.
//
// What a fail-over to a replica loses: the latest entries. Versions follow the server's clock, so they are not given
// twice; ask with an empty TableVersion now and then (a minute), and what gateways know beyond the store is forgotten
// as well.
//
// Bounds: a table holds at most kSharedEntriesMax entries. Then the penalty that ends soonest makes room (gateways that
// know it keep it to its end), an operator's entry never does. A name or value has at most kSharedTextBytesMax bytes.
// An answer has at most `most` entries; ask again while it says that there is more.
//
// Pure, thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/result.h"
#include "protocol/resp/reply.h"
#include "store/script.h"

namespace weir::store {

inline constexpr std::size_t kSharedEntriesMax = kBlocksMax;
inline constexpr std::size_t kSharedTextBytesMax = 1024;
inline constexpr std::chrono::milliseconds kSharedEntryTimeMax = std::chrono::hours(24 * 366 * 10);
inline constexpr std::string_view kDenialsGroup = "@denials";

[[nodiscard]] const Script& shared_table_script();

enum class SharedTable : std::uint8_t { kBlocks, kOverrides };

// Where a follower stands; empty: it knows nothing, and asks for all.
struct TableVersion {
    std::uint64_t birth = 0;  // of the table: another one knows nothing of the versions before
    std::uint64_t version = 0;
    friend bool operator==(const TableVersion&, const TableVersion&) = default;
};

// The plain table. `makes_room`: entered by a rule; not entered over an entry that is there, and may go when the table
// is full. `for_time` is at least a millisecond and at most kSharedEntryTimeMax; beyond is cut to that.
struct SharedEntry {
    std::string_view name;
    std::string_view value;
    std::chrono::milliseconds for_time{0};  // from now; of a change 0: it was removed
    bool makes_room = false;
    friend bool operator==(const SharedEntry&, const SharedEntry&) = default;
};
void append_put(std::string& out, std::string_view prefix, SharedTable table, const SharedEntry& entry);
void append_remove(std::string& out, std::string_view prefix, SharedTable table, std::string_view name);
void append_changes(std::string& out, std::string_view prefix, SharedTable table, TableVersion known, std::size_t most);

// The reply to put (false: not entered) and to remove (false: it was not there).
[[nodiscard]] Result<bool> read_changed(const protocol::resp::Reply& reply);

struct SharedChanges {
    TableVersion version;              // to ask with the next time
    bool anew = false;                 // forget what you knew: these are the entries from the first on
    bool more = false;                 // ask again at once
    std::vector<SharedEntry> entries;  // views into the reply; oldest change first
};
[[nodiscard]] Result<SharedChanges> read_changes(const protocol::resp::Reply& reply);

// Overrides are by subject and limit; the limit's name comes first, for it has no space and a subject may.
[[nodiscard]] std::string override_name(std::string_view subject, std::string_view limit);
struct OverrideName {
    std::string_view subject;
    std::string_view limit;
};
// Views into `name`; both empty when it is none.
[[nodiscard]] OverrideName parse_override_name(std::string_view name);

}  // namespace weir::store
