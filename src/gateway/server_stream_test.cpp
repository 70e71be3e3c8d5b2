// ServerStream: it finds every boundary at every split, and none once the framing is broken.
#include "gateway/server_stream.h"

#include <gtest/gtest.h>
#include <set>
#include <string>
#include <vector>

#include "protocol/ws/frame.h"

namespace weir::gateway {
namespace {

namespace ws = protocol::ws;
using ws::Opcode;

std::span<const std::uint8_t> span_of(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// A frame without FIN.
std::string fragment(Opcode opcode, std::string_view payload) {
    std::string frame = ws::server_frame(opcode, payload);
    frame[0] = static_cast<char>(static_cast<unsigned char>(frame[0]) & 0x7FU);
    return frame;
}

struct Expected {
    std::string bytes;
    std::set<std::size_t> frame_ends{0};
    std::set<std::size_t> message_ends{0};
    std::uint64_t messages = 0;

    void add(const std::string& frame, bool in_message_after, bool counts) {
        bytes += frame;
        frame_ends.insert(bytes.size());
        if (!in_message_after) message_ends.insert(bytes.size());
        if (counts) ++messages;
    }
};

Expected stream_of_frames() {
    Expected expected;
    expected.add(ws::server_frame(Opcode::kText, "hello"), false, true);
    expected.add(ws::server_frame(Opcode::kBinary, ""), false, true);
    expected.add(ws::server_frame(Opcode::kPing, ""), false, false);
    expected.add(fragment(Opcode::kText, "a"), true, false);
    expected.add(ws::server_frame(Opcode::kPing, "between"), true, false);
    expected.add(fragment(Opcode::kContinuation, ""), true, false);
    expected.add(ws::server_frame(Opcode::kContinuation, "b"), false, true);
    expected.add(ws::server_frame(Opcode::kBinary, std::string(300, 'x')), false, true);
    expected.add(fragment(Opcode::kBinary, ""), true, false);
    expected.add(ws::server_frame(Opcode::kContinuation, ""), false, true);
    expected.add(ws::server_frame(Opcode::kClose, ws::close_payload(1000, "bye")), false, false);
    return expected;
}

TEST(ServerStream, KnowsItsBoundariesAtEveryByte) {
    const Expected expected = stream_of_frames();
    ServerStream stream(false);
    for (std::size_t at = 0; at < expected.bytes.size(); ++at) {
        ASSERT_EQ(stream.at_frame_boundary(), expected.frame_ends.contains(at)) << at;
        ASSERT_EQ(stream.at_message_boundary(), expected.message_ends.contains(at)) << at;
        ASSERT_EQ(stream.walk(span_of(std::string_view(expected.bytes).substr(at, 1)), at % 2 == 0), 1U);
    }
    EXPECT_TRUE(stream.at_message_boundary());
    EXPECT_TRUE(stream.close_seen());
    EXPECT_EQ(stream.messages(), expected.messages);
    EXPECT_FALSE(stream.opaque());
}

TEST(ServerStream, WalksToTheEndAtEverySplit) {
    const Expected expected = stream_of_frames();
    for (std::size_t cut = 0; cut <= expected.bytes.size(); ++cut) {
        ServerStream stream(false);
        const std::string_view bytes = expected.bytes;
        ASSERT_EQ(stream.walk(span_of(bytes.substr(0, cut)), false), cut);
        ASSERT_EQ(stream.at_frame_boundary(), expected.frame_ends.contains(cut)) << cut;
        ASSERT_EQ(stream.at_message_boundary(), expected.message_ends.contains(cut)) << cut;
        ASSERT_EQ(stream.walk(span_of(bytes.substr(cut)), false), bytes.size() - cut);
        ASSERT_TRUE(stream.at_message_boundary());
        ASSERT_EQ(stream.messages(), expected.messages);
    }
}

TEST(ServerStream, StopsAtTheNextBoundaryFromEverySplit) {
    const Expected expected = stream_of_frames();
    for (std::size_t cut = 0; cut < expected.bytes.size(); ++cut) {
        ServerStream stream(false);
        const std::string_view bytes = expected.bytes;
        (void)stream.walk(span_of(bytes.substr(0, cut)), false);
        const std::size_t walked = stream.walk(span_of(bytes.substr(cut)), true);
        ASSERT_EQ(cut + walked, *expected.message_ends.upper_bound(cut)) << cut;
        ASSERT_TRUE(stream.at_message_boundary());
    }
}

TEST(ServerStream, FindsNoBoundaryOnceTheFramingIsBroken) {
    const std::string good = ws::server_frame(Opcode::kText, "good");
    std::string masked = ws::client_frame(Opcode::kText, "x", {1, 2, 3, 4});
    std::string rsv1 = ws::server_frame(Opcode::kText, "x");
    rsv1[0] = static_cast<char>(static_cast<unsigned char>(rsv1[0]) | 0x40U);
    for (const std::string& broken :
         {masked, rsv1, ws::server_frame(Opcode::kContinuation, "x"),
          fragment(Opcode::kText, "x") + ws::server_frame(Opcode::kText, "y"), fragment(Opcode::kPing, "x")}) {
        const std::string bytes = good + broken;
        for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
            ServerStream stream(false);
            (void)stream.walk(span_of(std::string_view(bytes).substr(0, cut)), false);
            (void)stream.walk(span_of(std::string_view(bytes).substr(cut)), true);
            // With a stop at the boundary the rest has to be given again.
            (void)stream.walk(span_of(std::string_view(bytes).substr(std::min(bytes.size(), good.size()))), false);
            ASSERT_TRUE(stream.opaque());
            (void)stream.walk(span_of(good), true);
            ASSERT_FALSE(stream.at_frame_boundary());
            ASSERT_FALSE(stream.at_message_boundary());
        }
    }
}

TEST(ServerStream, TakesCompressedMessagesWhenTheyWereNegotiated) {
    std::string frame = ws::server_frame(Opcode::kText, "x");
    frame[0] = static_cast<char>(static_cast<unsigned char>(frame[0]) | 0x40U);
    ServerStream stream(true);
    EXPECT_EQ(stream.walk(span_of(frame), true), frame.size());
    EXPECT_TRUE(stream.at_message_boundary());
    EXPECT_EQ(stream.messages(), 1U);
}

TEST(ServerStream, BelievesNoLengthButCountsItDown) {
    // 2^62 bytes are announced: the stream is in the middle of a frame for as long as anybody lives.
    ServerStream stream(false);
    const std::string header("\x82\x7F\x40\0\0\0\0\0\0\0", 10);
    EXPECT_EQ(stream.walk(span_of(header), true), header.size());
    const std::string much(100'000, 'x');
    EXPECT_EQ(stream.walk(span_of(much), true), much.size());
    EXPECT_FALSE(stream.at_frame_boundary());
}

class Shown final : public ServerMessageSink {
  public:
    void on_server_message(std::span<const std::uint8_t> payload, bool compressed) override {
        all.emplace_back(payload.begin(), payload.end());
        all.back() += compressed ? "|deflated" : "";
    }
    std::vector<std::string> all;
};

TEST(ServerStream, ShowsEachMessageWholeAtEverySplit) {
    const Expected expected = stream_of_frames();
    const std::vector<std::string> messages{"hello", "", "ab", std::string(300, 'x'), ""};
    const std::string_view bytes = expected.bytes;
    for (std::size_t cut = 0; cut <= bytes.size(); ++cut) {
        ServerStream stream(false);
        Shown shown;
        stream.walk(span_of(bytes.substr(0, cut)), false, &shown);
        std::string_view rest = bytes.substr(cut);
        while (!rest.empty()) rest.remove_prefix(stream.walk(span_of(rest), true, &shown));
        ASSERT_EQ(shown.all, messages) << cut;
    }
    ServerStream stream(false);
    Shown shown;
    for (std::size_t at = 0; at < bytes.size(); ++at) stream.walk(span_of(bytes.substr(at, 1)), false, &shown);
    EXPECT_EQ(shown.all, messages);
}

TEST(ServerStream, ShowsCompressedMessagesAsTheyCame) {
    std::string first = fragment(Opcode::kText, "ab");
    first[0] = static_cast<char>(static_cast<unsigned char>(first[0]) | 0x40U);
    ServerStream stream(true);
    Shown shown;
    stream.walk(span_of(first + ws::server_frame(Opcode::kContinuation, "c") + ws::server_frame(Opcode::kText, "d")),
                false, &shown);
    EXPECT_EQ(shown.all, (std::vector<std::string>{"abc|deflated", "d"}));
}

TEST(ServerStream, ShowsNoMessageThatItHasNotSeenBegin) {
    ServerStream stream(false);
    Shown shown;
    stream.walk(span_of(fragment(Opcode::kText, "a")), false);
    stream.walk(span_of(ws::server_frame(Opcode::kContinuation, "b")), false, &shown);
    EXPECT_TRUE(shown.all.empty());
    stream.walk(span_of(fragment(Opcode::kText, "c")), false, &shown);
    stream.walk(span_of(fragment(Opcode::kContinuation, "d")), false);
    stream.walk(span_of(ws::server_frame(Opcode::kContinuation, "e")), false, &shown);
    EXPECT_TRUE(shown.all.empty());
    stream.walk(span_of(ws::server_frame(Opcode::kText, "f")), false, &shown);
    EXPECT_EQ(shown.all, std::vector<std::string>{"f"});
}

TEST(ServerStream, ShowsMessagesUpToABound) {
    const std::string longest(kShownBytesMax, 'x');
    for (const std::size_t step : {std::size_t{1000}, std::size_t{1} << 20U}) {
        ServerStream stream(false);
        Shown shown;
        const std::string bytes = ws::server_frame(Opcode::kText, longest) +
                                  ws::server_frame(Opcode::kText, longest + "y") + fragment(Opcode::kText, longest) +
                                  ws::server_frame(Opcode::kContinuation, "z") + ws::server_frame(Opcode::kText, "end");
        for (std::size_t at = 0; at < bytes.size(); at += step) {
            const std::string_view part = std::string_view(bytes).substr(at, step);
            ASSERT_EQ(stream.walk(span_of(part), false, &shown), part.size());
        }
        ASSERT_EQ(shown.all.size(), 2U);
        EXPECT_EQ(shown.all[0], longest);
        EXPECT_EQ(shown.all[1], "end");
    }
}

}  // namespace
}  // namespace weir::gateway
