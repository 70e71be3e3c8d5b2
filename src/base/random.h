// A small deterministic generator (xoshiro256**, Blackman and Vigna 2018, seeded by splitmix64), passed in wherever
// chance is needed, so that a run can be repeated from its seed. Not for secrets: those come from the system.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "base/error.h"

namespace weir {

__extension__ using Wide = unsigned __int128;

class Rng {
  public:
    explicit Rng(std::uint64_t seed) {
        for (auto& word : state_) {
            seed += 0x9E3779B97F4A7C15U;
            std::uint64_t z = seed;
            z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
            z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
            word = z ^ (z >> 31U);
        }
    }

    std::uint64_t next() {
        const std::uint64_t result = std::rotl(state_[1] * 5, 7) * 9;
        const std::uint64_t t = state_[1] << 17U;
        state_[2] ^= state_[0];
        state_[3] ^= state_[1];
        state_[1] ^= state_[2];
        state_[0] ^= state_[3];
        state_[2] ^= t;
        state_[3] = std::rotl(state_[3], 45);
        return result;
    }

    // Uniform enough for tests and jitter: in [0, bound), bound > 0.
    std::uint64_t below(std::uint64_t bound) {
        WEIR_ASSERT(bound > 0);
        return static_cast<std::uint64_t>((static_cast<Wide>(next()) * bound) >> 64U);
    }
    std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
    // True once in `n` times.
    bool one_in(std::uint64_t n) { return below(n) == 0; }

  private:
    std::array<std::uint64_t, 4> state_{};
};

}  // namespace weir
