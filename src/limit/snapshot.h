// The bucket table as bytes and back, so that a restart keeps what was counted.
//
// Layout, little-endian:
//
//     magic     8   "WEIRBKT\n"
//     version   4   1
//     record    4   bytes of a record: 56
//     hash key  16  the key that bucket names are hashed with
//     saved at  8   wall time, nanoseconds since 1970
//     count     8   records that follow
//     records       hash 16 | time 8 (of BucketState, relative to the moment of saving) | current 8 | previous 8 |
//                   period 4 | COUNT 4 | burst 4 | algorithm 4
//     checksum  16  SipHash-2-4-128 of all before, under an all-zero key: finds corruption, not forgery
//
// Names are not kept, only their keyed hashes, so the process that restores must hash with the snapshot's key:
// it takes the key from `restore_snapshot` (or `snapshot_hash_key`) before it hashes a name. Whoever may read the file
// knows the key: it must not be readable by others.
//
// Time that passes between saving and restoring counts: by the wall clock, as the monotonic one may start anew. A wall
// clock that went back counts as no time.
//
// Pure: bytes in, bytes out. Who writes the file writes it under another name, and renames it.
#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/hash.h"
#include "base/result.h"
#include "limit/table.h"

namespace weir::limit {

// The buckets that are not full at `now`. Other threads may go on deciding: each shard is copied at one instant.
[[nodiscard]] std::string serialize_snapshot(const BucketTable& table, const HashKey& key, MonoTime now, WallTime wall);

// Checks all of `bytes`, and then puts the buckets into `table`; those that are full by now are left out, and those
// that are there already stay as they are. On an error the table is as it was: kMalformed for what is no snapshot, is
// cut short or damaged, kUnsupported for another version.
[[nodiscard]] Result<HashKey> restore_snapshot(BucketTable& table, std::string_view bytes, MonoTime now, WallTime wall);

// The key alone, after the same checks.
[[nodiscard]] Result<HashKey> snapshot_hash_key(std::string_view bytes);

}  // namespace weir::limit
