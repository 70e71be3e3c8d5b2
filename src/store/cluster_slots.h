// Redis Cluster: which slot a subject's buckets lie in, and which server has which slots. "Redis cluster
// specification": key distribution model, hash tags, CLUSTER SLOTS.
//
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/resp/error_reply.h"
#include "protocol/resp/reply.h"

namespace weir::store {

// CRC16 of "XMODEM": polynomial 0x1021, begins with 0.
[[nodiscard]] std::uint16_t crc16(std::string_view bytes);

// The slot of every bucket of a subject: its key's hash tag is the subject, up to a closing brace in it
// (store/bucket_key.h).
[[nodiscard]] std::uint16_t slot_of_subject(std::string_view subject);

struct SlotRange {
    std::uint16_t first = 0;
    std::uint16_t last = 0;  // inclusive
    std::string host;        // of its master; empty: the host that was asked
    std::uint16_t port = 0;
    friend bool operator==(const SlotRange&, const SlotRange&) = default;
};

// The reply to CLUSTER SLOTS; nullopt when it is none.
[[nodiscard]] std::optional<std::vector<SlotRange>> read_cluster_slots(const protocol::resp::Reply& reply);

}  // namespace weir::store
