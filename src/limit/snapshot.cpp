#include "limit/snapshot.h"

#include <bit>
#include <cstring>
#include <vector>

#include "limit/exact.h"

namespace weir::limit {
namespace {

constexpr std::string_view kMagic = "WEIRBKT\n";
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kRecordBytes = 16 + 8 + 8 + 8 + 4 + 4 + 4 + 4;
constexpr std::size_t kHeaderBytes = 8 + 4 + 4 + 16 + 8 + 8;
constexpr std::size_t kChecksumBytes = 16;

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in memory");

template <typename Number>
void put(std::string& out, Number value) {
    char bytes[sizeof value];
    std::memcpy(bytes, &value, sizeof value);
    out.append(bytes, sizeof value);
}

// Reads numbers one after the other; the caller has checked that they are there.
class Reader {
  public:
    explicit Reader(std::string_view bytes) : rest_(bytes) {}
    template <typename Number>
    Number get() {
        Number value{};
        std::memcpy(&value, rest_.data(), sizeof value);
        rest_.remove_prefix(sizeof value);
        return value;
    }
    void skip(std::size_t bytes) { rest_.remove_prefix(bytes); }

  private:
    std::string_view rest_;
};

Error malformed(std::string_view detail) {
    return {ErrorCode::kMalformed, ErrorSource::kConfiguration, false, detail};
}

Hash128 checksum(std::string_view bytes) {
    return siphash128(HashKey{}, bytes);
}

std::int64_t clamped(SignedWide value) {
    constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
    constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
    return static_cast<std::int64_t>(std::clamp<SignedWide>(value, kMin, kMax));
}

void put_record(std::string& out, const StoredBucket& stored, MonoTime now) {
    put(out, stored.bucket.low);
    put(out, stored.bucket.high);
    put(out, clamped(-elapsed(stored.state.time, now)));
    put(out, stored.state.current);
    put(out, stored.state.previous);
    put(out, stored.state.period_seconds);
    put(out, stored.count);
    put(out, stored.burst);
    put(out, static_cast<std::uint32_t>(stored.state.algorithm));
}

// Reads a record; false when no bucket can look like that. `now` minus the time that passed is `saved`.
bool get_record(Reader& reader, SignedWide saved, StoredBucket& stored) {
    stored.bucket.low = reader.get<std::uint64_t>();
    stored.bucket.high = reader.get<std::uint64_t>();
    stored.state.time = clamped(saved + reader.get<std::int64_t>());
    stored.state.current = reader.get<std::uint64_t>();
    stored.state.previous = reader.get<std::uint64_t>();
    stored.state.period_seconds = reader.get<std::uint32_t>();
    stored.count = reader.get<std::uint32_t>();
    stored.burst = reader.get<std::uint32_t>();
    const auto algorithm = reader.get<std::uint32_t>();
    const auto in_range = [](std::uint64_t value, std::uint64_t low, std::uint64_t high) {
        return low <= value && value <= high;
    };
    if (algorithm >= kAlgorithms || !in_range(stored.count, 1, kRateCountMax) ||
        !in_range(stored.burst, 1, kRateCountMax) || stored.state.current > kRateCountMax ||
        stored.state.previous > kRateCountMax ||
        !in_range(stored.state.period_seconds, 1, static_cast<std::uint64_t>(kRatePeriodMax.count()))) {
        return false;
    }
    stored.state.algorithm = static_cast<Algorithm>(algorithm);
    if (stored.state.algorithm == Algorithm::kGcra) return stored.state.current < stored.state.previous;
    return stored.state.algorithm != Algorithm::kFixedWindow || stored.state.previous == 0;
}

struct Header {
    HashKey key{};
    std::int64_t saved_at = 0;
    std::uint64_t count = 0;
};

Result<Header> read_header(std::string_view bytes) {
    if (!bytes.starts_with(kMagic)) return malformed("not a snapshot of buckets");
    if (bytes.size() < kHeaderBytes + kChecksumBytes) return malformed("the snapshot is cut short");
    Reader reader(bytes);
    reader.skip(kMagic.size());
    const auto version = reader.get<std::uint32_t>();
    if (const auto record = reader.get<std::uint32_t>(); version != kVersion || record != kRecordBytes) {
        return Error{ErrorCode::kUnsupported, ErrorSource::kConfiguration, false,
                     "the snapshot is of another version of its format"};
    }
    Header header;
    header.key[0] = reader.get<std::uint64_t>();
    header.key[1] = reader.get<std::uint64_t>();
    header.saved_at = reader.get<std::int64_t>();
    header.count = reader.get<std::uint64_t>();
    const std::size_t record_bytes = bytes.size() - kHeaderBytes - kChecksumBytes;
    if (record_bytes % kRecordBytes != 0 || record_bytes / kRecordBytes != header.count) {
        return malformed("the snapshot is cut short, or longer than it says");
    }
    const std::string_view checked = bytes.substr(0, bytes.size() - kChecksumBytes);
    Reader sum(bytes.substr(checked.size()));
    const Hash128 expected = checksum(checked);
    if (sum.get<std::uint64_t>() != expected.low || sum.get<std::uint64_t>() != expected.high) {
        return malformed("the snapshot is damaged: its checksum does not match");
    }
    return header;
}

}  // namespace

std::string serialize_snapshot(const BucketTable& table, const HashKey& key, MonoTime now, WallTime wall) {
    std::string out(kMagic);
    put(out, kVersion);
    put(out, static_cast<std::uint32_t>(kRecordBytes));
    put(out, key[0]);
    put(out, key[1]);
    put(out, static_cast<std::int64_t>(wall.time_since_epoch().count()));
    const std::size_t count_at = out.size();
    put(out, std::uint64_t{0});

    std::uint64_t count = 0;
    std::vector<StoredBucket> buckets;
    for (unsigned shard = 0; shard < table.shards(); ++shard) {
        buckets.clear();
        table.copy_shard(shard, now, buckets);
        for (const StoredBucket& stored : buckets) put_record(out, stored, now);
        count += buckets.size();
    }
    std::memcpy(out.data() + count_at, &count, sizeof count);
    const Hash128 sum = checksum(out);
    put(out, sum.low);
    put(out, sum.high);
    return out;
}

Result<HashKey> restore_snapshot(BucketTable& table, std::string_view bytes, MonoTime now, WallTime wall) {
    const auto header = read_header(bytes);
    if (!header) return header.error();
    const SignedWide passed = static_cast<SignedWide>(wall.time_since_epoch().count()) - header->saved_at;
    const SignedWide saved = time_nanos(now) - std::max<SignedWide>(passed, 0);

    // Twice over the records: none is put back before all are known to be sound.
    const std::string_view records = bytes.substr(kHeaderBytes);
    StoredBucket stored;
    Reader checking(records);
    for (std::uint64_t i = 0; i < header->count; ++i) {
        if (!get_record(checking, saved, stored)) return malformed("the snapshot has a bucket that can't be");
    }
    Reader reading(records);
    for (std::uint64_t i = 0; i < header->count; ++i) {
        stored = StoredBucket{};
        if (get_record(reading, saved, stored)) table.put_back(stored, now);
    }
    return header->key;
}

Result<HashKey> snapshot_hash_key(std::string_view bytes) {
    const auto header = read_header(bytes);
    if (!header) return header.error();
    return header->key;
}

}  // namespace weir::limit
