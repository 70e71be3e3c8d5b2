// WebSocket bytes as the simulation's clients and backends write and read them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/random.h"
#include "protocol/ws/frame.h"

namespace weir::sim {

struct Frame {
    bool fin = true;
    bool rsv1 = false;
    unsigned opcode = 1;
    std::string payload = {};
};

// Masked with a key drawn from `random` when it is given, as clients do.
[[nodiscard]] std::string encode(const Frame& frame, Rng* random);

// The frame at the start of `bytes`, without its mask, and its length; nullopt: it is not whole. Reads what `encode`
// writes, and no errors.
struct Decoded {
    Frame frame;
    std::size_t size = 0;
};
[[nodiscard]] std::optional<Decoded> decode(std::string_view bytes);

// permessage-deflate, one message by itself.
[[nodiscard]] std::string deflate_message(std::string_view text);

[[nodiscard]] std::string close_payload(unsigned code);
[[nodiscard]] unsigned close_code(std::string_view payload);  // 0: none

// Printable and not JSON.
[[nodiscard]] std::string random_text(Rng& random, std::size_t size);
[[nodiscard]] std::string random_bytes(Rng& random, std::size_t size);

}  // namespace weir::sim
