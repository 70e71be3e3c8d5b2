#include "store/cluster_slots.h"

#include <array>

namespace weir::store {

namespace resp = protocol::resp;

namespace {

constexpr std::array<std::uint16_t, 256> make_crc_table() {
    std::array<std::uint16_t, 256> table{};
    for (unsigned byte = 0; byte < 256; ++byte) {
        unsigned value = byte << 8U;
        for (int bit = 0; bit < 8; ++bit) value = (value & 0x8000U) != 0 ? (value << 1U) ^ 0x1021U : value << 1U;
        table[byte] = static_cast<std::uint16_t>(value);
    }
    return table;
}
constexpr std::array<std::uint16_t, 256> kCrcTable = make_crc_table();

std::optional<std::uint16_t> small_integer(const resp::Reply& reply, std::int64_t most) {
    if (reply.kind != resp::Reply::Kind::kInteger || reply.integer < 0 || reply.integer > most) return std::nullopt;
    return static_cast<std::uint16_t>(reply.integer);
}

}  // namespace

std::uint16_t crc16(std::string_view bytes) {
    unsigned crc = 0;
    for (const char c : bytes)
        crc = (crc << 8U & 0xFFFFU) ^ kCrcTable[(crc >> 8U ^ static_cast<unsigned char>(c)) & 0xFFU];
    return static_cast<std::uint16_t>(crc);
}

std::uint16_t slot_of_subject(std::string_view subject) {
    return crc16(subject.substr(0, subject.find('}'))) % resp::kSlots;
}

std::optional<std::vector<SlotRange>> read_cluster_slots(const resp::Reply& reply) {
    using Kind = resp::Reply::Kind;
    if (reply.kind != Kind::kArray) return std::nullopt;
    std::vector<SlotRange> ranges;
    for (const resp::Reply& row : reply.elements) {
        if (row.kind != Kind::kArray || row.elements.size() < 3) return std::nullopt;
        const resp::Reply& master = row.elements[2];
        if (master.kind != Kind::kArray || master.elements.size() < 2) return std::nullopt;
        const auto first = small_integer(row.elements[0], resp::kSlots - 1);
        const auto last = small_integer(row.elements[1], resp::kSlots - 1);
        const auto port = small_integer(master.elements[1], 65535);
        const resp::Reply& host = master.elements[0];
        if (!first || !last || *last < *first || !port) return std::nullopt;
        if (host.kind != Kind::kBulk && host.kind != Kind::kNil) return std::nullopt;
        ranges.push_back({*first, *last, host.text == "?" ? std::string() : host.text, *port});
    }
    return ranges;
}

}  // namespace weir::store
