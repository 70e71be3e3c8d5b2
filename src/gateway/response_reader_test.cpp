#include "gateway/response_reader.h"

#include <gtest/gtest.h>

#include "base/limits.h"

namespace weir::gateway {
namespace {

using Progress = ResponseReader::Progress;

constexpr ResponseBounds kBounds{.body_bytes_max = 16, .body_too_long = "too long"};

struct Read {
    std::string body, error;
    unsigned status = 0;
    std::size_t heads = 0, left = 0;
    bool done = false, reusable = false;
};

// In two pieces, cut at `cut`.
Read read_in_pieces(std::string_view text, std::size_t cut) {
    ResponseReader reader(kBounds);
    protocol::http::ResponseHead scratch;
    Read read;
    for (std::string_view piece : {text.substr(0, cut), text.substr(cut)}) {
        while (!read.done && read.error.empty()) {
            const auto progress = reader.read(piece, scratch);
            if (!progress) {
                read.error = progress.error().detail;
            } else if (*progress == Progress::kHead) {
                ++read.heads;
                continue;
            } else {
                read.done = *progress == Progress::kDone;
                EXPECT_TRUE(read.done || piece.empty());
            }
            break;
        }
        read.left += piece.size();
    }
    read.body = reader.body();
    read.status = reader.status();
    read.reusable = reader.reusable();
    return read;
}

TEST(ResponseReader, TheSameAnswerIsReadWhereverItIsCut) {
    const std::string_view chunked =
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        "4\r\nabcd\r\n3\r\nefg\r\n0\r\n\r\nmore";
    for (std::size_t cut = 0; cut <= chunked.size(); ++cut) {
        const Read read = read_in_pieces(chunked, cut);
        EXPECT_EQ(read.error, "") << cut;
        EXPECT_EQ(read.heads, 1U) << cut;
        EXPECT_EQ(read.status, 200U) << cut;
        EXPECT_EQ(read.body, "abcdefg") << cut;
        EXPECT_TRUE(read.done && read.reusable) << cut;
        EXPECT_EQ(read.left, 4U) << cut;
    }
}

TEST(ResponseReader, AHeadAndABodyBeyondTheirBoundsAreErrors) {
    const std::string long_body = "HTTP/1.1 200 OK\r\nContent-Length: 17\r\n\r\n" + std::string(17, 'x');
    EXPECT_EQ(read_in_pieces(long_body, long_body.size()).error, "too long");
    EXPECT_EQ(read_in_pieces(long_body, long_body.size() - 1).error, "too long");
    const std::string long_head = "HTTP/1.1 200 OK\r\nX: " + std::string(kHeaderBytesMax, 'x');
    EXPECT_EQ(read_in_pieces(long_head, 100).error, "its head is longer than 32 KiB");
    EXPECT_NE(read_in_pieces("SSH-2.0-x\r\n\r\n", 3).error, "");
}

TEST(ResponseReader, ABodyThatTheEndOfTheConnectionEndsIsWholeAndACutOneIsNot) {
    protocol::http::ResponseHead scratch;
    ResponseReader open(kBounds);
    std::string_view text = "HTTP/1.1 200 OK\r\n\r\nabc";
    EXPECT_FALSE(open.begun());
    EXPECT_FALSE(open.ended_whole());
    EXPECT_EQ(*open.read(text, scratch), Progress::kHead);
    EXPECT_EQ(*open.read(text, scratch), Progress::kMore);
    EXPECT_TRUE(open.begun());
    EXPECT_TRUE(open.ended_whole());
    EXPECT_FALSE(open.reusable());
    ResponseReader cut(kBounds);
    text = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc";
    EXPECT_EQ(*cut.read(text, scratch), Progress::kHead);
    EXPECT_EQ(*cut.read(text, scratch), Progress::kMore);
    EXPECT_FALSE(cut.ended_whole());
}

}  // namespace
}  // namespace weir::gateway
