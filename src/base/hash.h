// A keyed 128-bit hash: SipHash-2-4 with 128-bit output (Aumasson and Bernstein 2012; the reference
// implementation's `vectors.h` is in hash_test.cpp).
//
// Keyed by a secret of the process, so that a client who may choose names can't choose collisions; 128 bits wide,
// so that two names share a bucket with a chance that does not matter (birthday bound 2^-64 at 2^32 names).
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace weir {

struct Hash128 {
    std::uint64_t low = 0;
    std::uint64_t high = 0;
    friend bool operator==(const Hash128&, const Hash128&) = default;
};

using HashKey = std::array<std::uint64_t, 2>;

[[nodiscard]] Hash128 siphash128(const HashKey& key, std::string_view bytes);

// A key from the system's random source. Aborts when there is none.
[[nodiscard]] HashKey random_hash_key();

}  // namespace weir
