#include "protocol/ws/inflate.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>
#include <zlib.h>

namespace weir::protocol::ws {
namespace {

using Bytes = std::vector<std::uint8_t>;

struct Outcome {
    std::string content;
    bool full = false;
    bool malformed = false;
    friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Inflates a message that arrives in pieces of `step` bytes, into at most `bound` bytes.
Outcome inflated(Inflater& inflater, const Bytes& message, std::size_t bound = 1 << 20, std::size_t step = SIZE_MAX) {
    Bytes out(bound);
    std::span<std::uint8_t> room(out);
    std::span<const std::uint8_t> rest(message);
    Outcome outcome;
    const auto take = [&](const Result<Inflater::Progress>& progress) {
        outcome.malformed = !progress;
        if (!progress) return false;
        outcome.full = progress->full;
        room = room.subspan(progress->written);
        return true;
    };
    inflater.start_message();
    bool going = true;
    while (going && !rest.empty()) {
        const auto part = rest.first(std::min(step, rest.size()));
        rest = rest.subspan(part.size());
        going = take(inflater.inflate(part, room));
    }
    if (going) take(inflater.finish_message(room));
    outcome.content.assign(out.begin(), out.end() - static_cast<std::ptrdiff_t>(room.size()));
    return outcome;
}
Outcome inflated(const Bytes& message, std::size_t bound = 1 << 20) {
    Inflater inflater;
    return inflated(inflater, message, bound);
}

// As RFC 7692 7.2.1 compresses: a sync flush, its last four bytes cut off.
Bytes deflated(std::string_view content, int level = 6, int window_bits = 15) {
    z_stream stream{};
    EXPECT_EQ(deflateInit2(&stream, level, Z_DEFLATED, -window_bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    Bytes out(deflateBound(&stream, content.size()) + 64);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(content.data()));
    stream.avail_in = static_cast<uInt>(content.size());
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(deflate(&stream, Z_SYNC_FLUSH), Z_OK);
    out.resize(stream.total_out - 4);
    deflateEnd(&stream);
    return out;
}

const Bytes kHello{0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00};

TEST(Inflater, ReadsTheExamplesOfTheStandard) {
    EXPECT_EQ(inflated(kHello), Outcome{"Hello"}) << "RFC 7692 7.2.3.1";
    EXPECT_EQ(inflated({0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00}), Outcome{"Hello"});
    EXPECT_EQ(inflated({0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00}), Outcome{"Hello"})
        << "7.2.3.3: no compression";
    EXPECT_EQ(inflated({0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00}), Outcome{"Hello"}) << "7.2.3.4: BFINAL";
    EXPECT_EQ(inflated({0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00}),
              Outcome{"Hello"})
        << "7.2.3.5: two blocks";
    EXPECT_EQ(inflated({0x00}), Outcome{""}) << "7.2.3.6: an empty message";
    EXPECT_EQ(inflated({}), Outcome{""});
}

TEST(Inflater, StartsEachMessageWithAnEmptyWindow) {
    Inflater inflater;
    EXPECT_EQ(inflated(inflater, kHello), Outcome{"Hello"});
    // 7.2.3.2: the second "Hello" refers back into the first message. With client_no_context_takeover it must not.
    EXPECT_TRUE(inflated(inflater, {0xf2, 0x00, 0x11, 0x00, 0x00}).malformed);
    EXPECT_EQ(inflated(inflater, kHello), Outcome{"Hello"}) << "and recovers";
}

TEST(Inflater, GoesOnBehindAFinalBlockWithItsWindow) {
    // "Hello" in a block that says it is the last, then a match of five bytes at distance five (7.2.3.2).
    const Bytes message{0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xf2, 0x00, 0x11, 0x00, 0x00};
    Inflater inflater;
    for (std::size_t step = 1; step <= message.size(); ++step)
        EXPECT_EQ(inflated(inflater, message, 100, step), Outcome{"HelloHello"}) << step;
}

TEST(Inflater, GivesTheSameHoweverTheMessageIsCut) {
    Inflater inflater;
    std::string content;
    for (int i = 0; i < 400; ++i) content += "message " + std::to_string(i * 7919) + ' ';
    for (const int level : {0, 1, 9}) {
        const Bytes message = deflated(content, level);
        for (std::size_t step = 1; step < 64; ++step)
            ASSERT_EQ(inflated(inflater, message, 1 << 16, step), Outcome{content}) << level << ' ' << step;
    }
    EXPECT_EQ(inflated(inflater, deflated(content, 6, 9)), Outcome{content}) << "a small window";
}

TEST(Inflater, CutsAtTheBoundAndSaysSoOnlyWhenThereIsMore) {
    Inflater inflater;
    const std::string content(3000, 'z');
    const Bytes message = deflated(content);
    for (const std::size_t step : {std::size_t{1}, std::size_t{3}, message.size()}) {
        EXPECT_EQ(inflated(inflater, message, 3000, step), Outcome{content});
        EXPECT_EQ(inflated(inflater, message, 3001, step), Outcome{content});
        for (const std::size_t bound : {0U, 1U, 2U, 258U, 2999U})
            EXPECT_EQ(inflated(inflater, message, bound, step), (Outcome{content.substr(0, bound), true})) << bound;
    }
    EXPECT_EQ(inflated({0x00}, 0), Outcome{""}) << "an empty message fits into nothing";
    EXPECT_EQ(inflated(inflater, kHello), Outcome{"Hello"}) << "and is ready again";
}

TEST(Inflater, DoesNotJudgeWhatLiesBehindTheBound) {
    Inflater inflater;
    const Bytes message{0xf3, 0x48, 0xda, 0xda, 0x26, 0x25, 0x25, 0x25, 0x22, 0x36, 0x36, 0xfc, 0x00, 0xf2};
    for (std::size_t step = 1; step <= message.size(); ++step) {
        const Outcome outcome = inflated(inflater, message, 8, step);
        EXPECT_TRUE(outcome.full && !outcome.malformed) << step;
        EXPECT_TRUE(inflated(inflater, message, 100, step).malformed) << step;
    }
}

TEST(Inflater, DoesNotInflateABomb) {
    Inflater inflater;
    const Bytes bomb = deflated(std::string(64 << 20, '\0'), 9);
    ASSERT_LT(bomb.size(), 70000U);
    const Outcome outcome = inflated(inflater, bomb, 1024);
    EXPECT_EQ(outcome.content.size(), 1024U);
    EXPECT_TRUE(outcome.full);
    EXPECT_EQ(inflated(inflater, kHello), Outcome{"Hello"});
}

TEST(Inflater, RefusesWhatIsNoDeflateStream) {
    Inflater inflater;
    for (const Bytes& message : {Bytes{0x07}, Bytes{0xff, 0xff}, Bytes{0x00, 0x05, 0x00, 0x00, 0x00, 0x41}}) {
        EXPECT_TRUE(inflated(inflater, message).malformed);
        EXPECT_FALSE(inflater.finish_message({})) << "the message stays refused";
    }
}

TEST(Inflater, RefusesAMessageThatEndsInsideABlock) {
    Inflater inflater;
    std::string content;
    for (int i = 0; i < 50; ++i) content += "word " + std::to_string(i * i);
    const Bytes message = deflated(content);
    for (std::size_t size = 1; size + 1 < message.size(); ++size)
        EXPECT_TRUE(
            inflated(inflater, Bytes(message.begin(), message.begin() + static_cast<std::ptrdiff_t>(size))).malformed)
            << size;
    EXPECT_TRUE(inflated(inflater, {0x00, 0x06, 0x00, 0xf9, 0xff, 0x48}).malformed) << "a stored block cut short";
}

TEST(Inflater, TakesManyFinalBlocksWithoutGettingSlow) {
    Inflater inflater;
    Bytes message;
    for (int i = 0; i < 100000; ++i) message.insert(message.end(), {0x03, 0x00});  // an empty block, BFINAL set
    message.push_back(0x00);
    EXPECT_EQ(inflated(inflater, message), Outcome{""});
}

}  // namespace
}  // namespace weir::protocol::ws
