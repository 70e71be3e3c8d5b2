#include "base/hash.h"

#include <gtest/gtest.h>
#include <string>

namespace weir {
namespace {

// The first and the sixteenth of `vectors_sip128` of the reference implementation: key 00..0f, input 00, 00 01, ...
TEST(SipHash128, AgreesWithTheReferenceVectors) {
    const HashKey key{0x0706050403020100U, 0x0F0E0D0C0B0A0908U};
    EXPECT_EQ(siphash128(key, ""), (Hash128{0xE6A825BA047F81A3U, 0x930255C71472F66DU}));
    std::string input;
    for (char c = 0; c < 15; ++c) input.push_back(c);
    EXPECT_EQ(siphash128(key, input), (Hash128{0x11A8B03399E99354U, 0xD9C3CF970FEC087EU}));
}

TEST(SipHash128, DependsOnTheKey) {
    EXPECT_NE(siphash128({1, 2}, "x"), siphash128({1, 3}, "x"));
}

}  // namespace
}  // namespace weir
