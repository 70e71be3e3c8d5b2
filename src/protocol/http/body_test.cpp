#include "protocol/http/body.h"

#include <gtest/gtest.h>
#include <limits>
#include <string>

namespace weir::protocol::http {
namespace {

constexpr BodyReader::Options kDownstream{};
constexpr BodyReader::Options kUpstream{.refuse_chunk_extensions = false, .source = ErrorSource::kUpstream};

struct Outcome {
    std::string content;
    std::size_t consumed = 0;
    bool done = false;
    std::optional<ErrorCode> error = std::nullopt;
    friend bool operator==(const Outcome&, const Outcome&) = default;
};

// Feeds `bytes` in pieces of at most `step`.
Outcome read_all(BodyReader reader, std::string_view bytes, std::size_t step = std::string_view::npos) {
    Outcome outcome;
    while (!bytes.empty() && !reader.done()) {
        std::string_view part = bytes.substr(0, step);
        bytes.remove_prefix(part.size());
        while (!part.empty() && !reader.done()) {
            const auto piece = reader.next(part);
            if (!piece) {
                outcome.consumed = 0;  // an error has no position
                outcome.error = piece.error().code;
                EXPECT_FALSE(reader.next("0\r\n\r\n")) << "an error stays";
                return outcome;
            }
            EXPECT_EQ(piece->done, reader.done());
            outcome.content += piece->content;
            outcome.consumed += piece->consumed;
            part.remove_prefix(piece->consumed);
        }
    }
    outcome.done = reader.done();
    return outcome;
}

BodyReader chunked(const BodyReader::Options& options = kDownstream) {
    return {BodyFraming::kChunked, 0, options};
}
Outcome refused(ErrorCode code, std::string content = "") {
    return {.content = std::move(content), .error = code};
}

TEST(BodyReader, CountsASizedBody) {
    const BodyReader reader(BodyFraming::kLength, 5, kDownstream);
    for (std::size_t step = 1; step < 10; ++step) {
        EXPECT_EQ(read_all(reader, "hello, next", step), (Outcome{.content = "hello", .consumed = 5, .done = true}));
        EXPECT_EQ(read_all(reader, "hell", step), (Outcome{.content = "hell", .consumed = 4, .done = false}));
    }
    BodyReader huge(BodyFraming::kLength, std::numeric_limits<std::uint64_t>::max(), kDownstream);
    EXPECT_EQ(huge.next("x")->content, "x");
    EXPECT_FALSE(huge.done());
}

TEST(BodyReader, HasNoneWithoutFraming) {
    EXPECT_TRUE(BodyReader().done());
    EXPECT_TRUE(BodyReader(BodyFraming::kNone, 7, kDownstream).done());
    EXPECT_TRUE(BodyReader(BodyFraming::kLength, 0, kDownstream).done());
    BodyReader none;
    const auto piece = none.next("next");
    ASSERT_TRUE(piece);
    EXPECT_TRUE(piece->done);
    EXPECT_EQ(piece->consumed, 0U);
}

TEST(BodyReader, EndsWithTheConnectionOnlyWhereThatIsTheFraming) {
    BodyReader until_close(BodyFraming::kUntilClose, 0, kUpstream);
    EXPECT_EQ(until_close.next("abc")->content, "abc");
    EXPECT_FALSE(until_close.done());
    EXPECT_TRUE(until_close.end());
    EXPECT_TRUE(BodyReader().end());
    const auto cut = BodyReader(BodyFraming::kLength, 5, kUpstream).end();
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().code, ErrorCode::kConnectionClosed);
    EXPECT_EQ(cut.error().source, ErrorSource::kUpstream);
    EXPECT_FALSE(chunked().end());
}

TEST(BodyReader, TakesChunksApartAtEverySplitPoint) {
    const std::string bytes = "4\r\nWiki\r\n010\r\n, a long chunk..\r\nb\r\n01234567890\r\n0\r\nA: b\r\nB:\r\n\r\n";
    const Outcome expected{.content = "Wiki, a long chunk..01234567890", .consumed = bytes.size(), .done = true};
    for (std::size_t step = 1; step <= bytes.size(); ++step) {
        EXPECT_EQ(read_all(chunked(), bytes + "next", step), expected) << step;
        EXPECT_EQ(read_all(chunked(kUpstream), bytes + "next", step), expected) << step;
    }
    for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
        const Outcome part = read_all(chunked(), bytes.substr(0, cut));
        EXPECT_FALSE(part.done || part.error) << cut;
        EXPECT_EQ(part.consumed, cut);
    }
}

TEST(BodyReader, RefusesChunksThatCouldBeReadTwoWays) {
    for (const std::string_view bytes : {"\r\n",
                                         "+4\r\n",
                                         "-4\r\n",
                                         " 4\r\n",
                                         "4 \r\n",
                                         "4\t\r\n",
                                         "0x4\r\n",
                                         "g\r\n",
                                         "4\n",
                                         "4\r\r",
                                         "4;a=b\r\n",
                                         "4;\r\n",
                                         "0;a\r\n\r\n",
                                         "0\r\n\n",
                                         "0\r\n\r\r",
                                         "0\r\n A: b\r\n\r\n",
                                         "0\r\n: b\r\n\r\n",
                                         "0\r\nA\r\n\r\n",
                                         "0\r\nA : b\r\n\r\n",
                                         "0\r\nA: b\n\r\n",
                                         "0\r\nA: b\rC: d\r\n\r\n",
                                         "0\r\nA: \x01\r\n\r\n",
                                         "0\r\nA: b\r\n c\r\n\r\n",
                                         "0000000000000001\r\n",
                                         "FFFFFFFFFFFFFFFFF\r\n"}) {
        for (std::size_t step = 1; step <= bytes.size(); ++step)
            EXPECT_EQ(read_all(chunked(), bytes, step), refused(ErrorCode::kMalformed)) << bytes;
    }
    for (const std::string_view bytes : {"1\r\nab", "1\r\na\n", "1\r\na\r\r", "1\r\na0\r\n\r\n", "1\r\na\r\n\r\n"})
        EXPECT_EQ(read_all(chunked(), bytes), refused(ErrorCode::kMalformed, "a")) << bytes;
}

TEST(BodyReader, DropsTheExtensionsOfAnUpstream) {
    const std::string bytes = "1;a=\"b\"\r\nx\r\n2  \r\nyz\r\n0;last\r\n\r\n";
    for (std::size_t step = 1; step <= bytes.size(); ++step) {
        EXPECT_EQ(read_all(chunked(kUpstream), bytes, step),
                  (Outcome{.content = "xyz", .consumed = bytes.size(), .done = true}));
    }
    for (const std::string_view bad : {"1;a\n", "1;a\r\r", "1;\x01\r\n", "1x\r\n"})
        EXPECT_EQ(read_all(chunked(kUpstream), bad), refused(ErrorCode::kMalformed)) << bad;
}

TEST(BodyReader, BoundsWhatItDrops) {
    const std::string fits = "1;" + std::string(kChunkExtensionBytesMax, 'a') + "\r\nx\r\n";
    EXPECT_EQ(read_all(chunked(kUpstream), fits + fits).content, "xx") << "each chunk has its own bound";
    EXPECT_EQ(read_all(chunked(kUpstream), "1;a" + fits.substr(2)), refused(ErrorCode::kTooLarge));
    std::string trailers = "0\r\n";
    while (trailers.size() < kHeaderBytesMax + 3) trailers += "a: b\r\n";
    EXPECT_EQ(read_all(chunked(), trailers + "\r\n"), refused(ErrorCode::kTooLarge));
}

TEST(BodyReader, TakesTheLargestChunkSizeThatItKnows) {
    BodyReader reader = chunked();
    ASSERT_TRUE(reader.next("FFFFFFFFFFFFFFF\r\n"));
    EXPECT_EQ(reader.next("abc")->content, "abc");
}

}  // namespace
}  // namespace weir::protocol::http
