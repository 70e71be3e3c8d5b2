#include "base/hash.h"

#include <bit>
#include <cstring>
#include <sys/random.h>

#include "base/error.h"

namespace weir {
namespace {

std::uint64_t load_le64(const char* from) {
    std::uint64_t value = 0;
    std::memcpy(&value, from, sizeof value);
    static_assert(std::endian::native == std::endian::little, "byte order of SipHash words");
    return value;
}

struct SipState {
    std::uint64_t v0, v1, v2, v3;

    void round() {
        v0 += v1;
        v1 = std::rotl(v1, 13) ^ v0;
        v0 = std::rotl(v0, 32);
        v2 += v3;
        v3 = std::rotl(v3, 16) ^ v2;
        v0 += v3;
        v3 = std::rotl(v3, 21) ^ v0;
        v2 += v1;
        v1 = std::rotl(v1, 17) ^ v2;
        v2 = std::rotl(v2, 32);
    }
    void absorb(std::uint64_t word) {
        v3 ^= word;
        round();
        round();
        v0 ^= word;
    }
    std::uint64_t finish() {
        for (int i = 0; i < 4; ++i) round();
        return v0 ^ v1 ^ v2 ^ v3;
    }
};

}  // namespace

Hash128 siphash128(const HashKey& key, std::string_view bytes) {
    SipState state{0x736F6D6570736575U ^ key[0], 0x646F72616E646F6DU ^ key[1] ^ 0xEEU, 0x6C7967656E657261U ^ key[0],
                   0x7465646279746573U ^ key[1]};
    const std::size_t whole = bytes.size() & ~std::size_t{7};
    for (std::size_t i = 0; i < whole; i += 8) state.absorb(load_le64(bytes.data() + i));
    std::uint64_t last = static_cast<std::uint64_t>(bytes.size()) << 56U;
    for (std::size_t i = whole; i < bytes.size(); ++i) {
        last |= static_cast<std::uint64_t>(static_cast<unsigned char>(bytes[i])) << (8U * (i - whole));
    }
    state.absorb(last);
    Hash128 hash;
    state.v2 ^= 0xEEU;
    hash.low = state.finish();
    state.v1 ^= 0xDDU;
    hash.high = state.finish();
    return hash;
}

HashKey random_hash_key() {
    HashKey key{};
    WEIR_ASSERT(::getrandom(key.data(), sizeof key, 0) == static_cast<ssize_t>(sizeof key));
    return key;
}

}  // namespace weir
