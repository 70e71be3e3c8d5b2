// Restoring a snapshot from any bytes: an error leaves the table as it was, and what is accepted is a table that
// decides, stays bounded and can be saved again. The input is tried as it is, and once more with a checksum that fits,
// so that what lies behind the checksum is reached too.
#include <cstdint>
#include <string>

#include "base/error.h"
#include "limit/snapshot.h"

namespace {

using weir::limit::BucketTable;

void restore(std::string_view bytes) {
    weir::ManualClock clock;
    BucketTable table({.buckets_max = 128, .shards = 1});
    const auto key = weir::limit::restore_snapshot(table, bytes, clock.now(), clock.wall_now());
    WEIR_ASSERT(table.size() <= table.buckets_max());
    if (!key) {
        WEIR_ASSERT(table.size() == 0);
        return;
    }
    std::vector<weir::limit::StoredBucket> buckets;
    for (unsigned shard = 0; shard < table.shards(); ++shard) table.copy_shard(shard, clock.now(), buckets);
    for (const auto& stored : buckets) {
        const weir::limit::BucketRule rule{{stored.count, std::chrono::seconds(stored.state.period_seconds)},
                                           stored.state.algorithm,
                                           stored.burst,
                                           true};
        const weir::limit::Take take{stored.bucket, &rule, 1};
        weir::limit::Decision decision;
        table.take_now({&take, 1}, clock.now(), {&decision, 1});
        WEIR_ASSERT(decision.remaining <= weir::limit::capacity(rule));
        WEIR_ASSERT(decision.retry_after >= weir::Nanos(0) && decision.reset_after > weir::Nanos(0));
    }
    const std::string again = weir::limit::serialize_snapshot(table, *key, clock.now(), clock.wall_now());
    BucketTable copy({.buckets_max = 128, .shards = 1});
    WEIR_ASSERT(weir::limit::restore_snapshot(copy, again, clock.now(), clock.wall_now()).has_value());
    WEIR_ASSERT(copy.size() == table.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string bytes(reinterpret_cast<const char*>(data), size);
    restore(bytes);
    if (size < 16) return 0;
    bytes.resize(size - 16);
    const weir::Hash128 sum = weir::siphash128(weir::HashKey{}, bytes);
    bytes.append(reinterpret_cast<const char*>(&sum.low), sizeof sum.low);
    bytes.append(reinterpret_cast<const char*>(&sum.high), sizeof sum.high);
    restore(bytes);
    return 0;
}
