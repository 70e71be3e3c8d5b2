#include "protocol/multipart/multipart.h"

#include <gtest/gtest.h>
#include <random>
#include <string>

namespace weir::protocol::multipart {
namespace {

// Writes down what it is told: "[name file type]data." a part, the data joined.
class Notes final : public PartListener {
  public:
    Result<void> on_part(const Part& part) override {
        text += "[" + part.name + (part.has_file ? " file" : "");
        text += part.content_type.empty() ? "]" : " " + part.content_type + "]";
        return {};
    }
    Result<void> on_data(std::string_view data) override {
        EXPECT_FALSE(data.empty());
        text += data;
        return {};
    }
    Result<void> on_part_end() override {
        text += ".";
        return {};
    }
    std::string text;
};

// What a scanner tells of `body`, fed in pieces of at most `step`; then "end", or "ERROR: why".
std::string scan(std::string_view body, std::string_view boundary, std::size_t step = std::string_view::npos) {
    Scanner scanner(boundary);
    Notes notes;
    while (!body.empty()) {
        const std::string piece(body.substr(0, step));
        body.remove_prefix(piece.size());
        if (const auto fed = scanner.feed(piece, notes); !fed) {
            EXPECT_FALSE(scanner.feed("x", notes)) << "an error stays";
            EXPECT_FALSE(scanner.end());
            EXPECT_FALSE(scanner.closed());
            return notes.text + "ERROR: " + std::string(fed.error().detail);
        }
    }
    const bool closed = scanner.closed();
    const auto ended = scanner.end();
    EXPECT_TRUE(!ended || closed);
    return notes.text + (ended ? "end" : "ERROR: " + std::string(ended.error().detail));
}

// The same, and that no way to cut the body tells something else.
std::string scan_cut(std::string_view body, std::string_view boundary) {
    std::string whole = scan(body, boundary);
    for (std::size_t step = 1; step <= 5; ++step) EXPECT_EQ(scan(body, boundary, step), whole) << "step " << step;
    for (std::size_t split = 1; split < body.size(); ++split) {
        Scanner scanner(boundary);
        Notes notes;
        // Copies, so that a sanitizer sees a view that is kept too long.
        auto fed = scanner.feed(std::string(body.substr(0, split)), notes);
        if (fed) fed = scanner.feed(std::string(body.substr(split)), notes);
        if (fed) fed = scanner.end();
        const std::string told = notes.text + (fed ? "end" : "ERROR: " + std::string(fed.error().detail));
        EXPECT_EQ(told, whole) << "split at " << split;
    }
    return whole;
}

std::string field(std::string_view data) {
    return "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n" + std::string(data);
}
// Data of the one part of a body.
std::string data_told(std::string_view data) {
    return scan_cut(field(data) + "\r\n--b--\r\n", "b");
}
// Of a part with these header lines.
std::string header_told(std::string_view lines) {
    return scan_cut("--b\r\n" + std::string(lines) + "\r\n\r\nx\r\n--b--", "b");
}
std::string disposition_told(std::string_view value) {
    return header_told("Content-Disposition: " + std::string(value));
}
bool refuses(const std::string& told) {
    return told.find("ERROR") != std::string::npos;
}

const std::string kMisplaced = "ERROR: the boundary where readers may not take it for one";
const std::string kBehind = "ERROR: text behind a boundary in its line";

// RFC 7578 4.3 and RFC 1867 6 show forms like this one; the text before and behind is RFC 2046 5.1.1's.
TEST(Multipart, ReadsAFormWithPreambleAndEpilogue) {
    EXPECT_EQ(scan_cut("This is the preamble.  It is to be ignored, though it\r\n"
                       "is a handy place for composition agents to include an\r\n"
                       "explanatory note to non-MIME conformant readers.\r\n"
                       "\r\n"
                       "--AaB03x\r\n"
                       "Content-Disposition: form-data; name=\"submit-name\"\r\n"
                       "\r\n"
                       "Larry\r\n"
                       "--AaB03x\r\n"
                       "content-disposition: form-data; name=\"files\"; filename=\"file1.txt\"\r\n"
                       "Content-Type: text/plain;charset=windows-1250\r\n"
                       "Content-Transfer-Encoding: 8bit\r\n"
                       "\r\n"
                       "It DOES end with a linebreak.\r\n"
                       "\r\n"
                       "--AaB03x--\r\n"
                       "This is the epilogue.  It is also to be ignored.\r\n",
                       "AaB03x"),
              "[submit-name]Larry.[files file text/plain;charset=windows-1250]It DOES end with a linebreak.\r\n.end");
}

TEST(Multipart, ReadsWhatABrowserWrites) {
    EXPECT_EQ(scan_cut("------WebKitFormBoundaryX\r\n"
                       "Content-Disposition: form-data; name=\"operations\"\r\n\r\n"
                       "{\"query\":\"{a}\"}\r\n"
                       "------WebKitFormBoundaryX\r\n"
                       "Content-Disposition: form-data; name=\"0\"; filename=\"a%22b;c\xC3\xA9.txt\"\r\n"
                       "Content-Type: application/octet-stream\r\n\r\n"
                       "\r\n------WebKitFormBoundaryX--\r\n",
                       "----WebKitFormBoundaryX"),
              "[operations]{\"query\":\"{a}\"}.[0 file application/octet-stream].end");
    EXPECT_EQ(scan_cut("--b--", "b"), "end") << "an empty form";
    EXPECT_EQ(scan_cut("\r\n--b--\r\n", "b"), "end");
}

TEST(Multipart, GivesDataAsItIs) {
    for (const std::string data :
         {"", "x", "\r", "\n", "\r\n", "\r\r", "\r\n\r\n", "\r\n-", "\r\n--", "--", "-", "\r\n-b", "\r\n--a",
          "\r\r\n--a", "\r\n\r\n--", "a\r\n-\r\n--c\r", "- -b", "-\r\n-"}) {
        EXPECT_EQ(data_told(data), "[a]" + data + ".end");
    }
    EXPECT_EQ(data_told(std::string("\0\r\n\xFF\0", 5)), "[a]" + std::string("\0\r\n\xFF\0", 5) + ".end");
}

TEST(Multipart, RefusesTheBoundaryWhereReadersDiffer) {
    EXPECT_EQ(data_told("x--b"), "[a]x--" + kMisplaced);
    EXPECT_EQ(data_told("x\n--b"), "[a]x\n--" + kMisplaced);
    EXPECT_EQ(data_told("x\r--b"), "[a]x\r--" + kMisplaced);
    EXPECT_EQ(data_told("x\r\n --b"), "[a]x\r\n --" + kMisplaced);
    EXPECT_EQ(data_told("x\r\n---b"), "[a]x\r\n---" + kMisplaced);
    EXPECT_EQ(data_told("--b"), "[a]--" + kMisplaced) << "right behind the header";
    EXPECT_EQ(scan_cut("\n--b\r\n", "b"), kMisplaced);
    EXPECT_EQ(scan_cut("preamble --b\r\n", "b"), kMisplaced);
    EXPECT_EQ(scan_cut("--b--\r\n--b\r\n", "b"), kMisplaced);
    EXPECT_EQ(scan_cut("--b--\r\nx\r\n--b--", "b"), kMisplaced);
}

TEST(Multipart, FindsABoundaryThatOverlapsItself) {
    EXPECT_EQ(scan_cut("----aab\r\nContent-Disposition: form-data; name=a\r\n\r\n\r\n----aa\r\n----aab--", "--aab"),
              "[a]\r\n----aa.end");
    EXPECT_EQ(scan_cut("----aab\r\nContent-Disposition: form-data; name=a\r\n\r\nx-----aab\r\n----aab--", "--aab"),
              "[a]x-----aa" + kMisplaced);
    EXPECT_EQ(scan_cut("--a--a-b\r\nContent-Disposition: form-data; name=a\r\n\r\n--a--a--a-b\r\n", "a--a-b"),
              "[a]--a--a--a-" + kMisplaced);
}

TEST(Multipart, RefusesTextBehindABoundary) {
    EXPECT_EQ(data_told("x\r\n--b \r\n"), "[a]x" + kBehind);
    EXPECT_EQ(data_told("x\r\n--b\t\r\n"), "[a]x" + kBehind);
    EXPECT_EQ(data_told("x\r\n--bc\r\n"), "[a]x" + kBehind) << "a longer boundary";
    EXPECT_EQ(data_told("x\r\n--b-\r\n"), "[a]x" + kBehind);
    EXPECT_EQ(data_told("x\r\n--b\n"), "[a]x" + kBehind);
    EXPECT_EQ(data_told("x\r\n--b\rx"), "[a]xERROR: a bare CR behind a boundary");
    EXPECT_EQ(data_told("x\r\n--b--x"), "[a]x.ERROR: text behind the last boundary in its line");
    EXPECT_EQ(data_told("x\r\n--b---"), "[a]x.ERROR: text behind the last boundary in its line");
    EXPECT_EQ(data_told("x\r\n--b--\n"), "[a]x.ERROR: text behind the last boundary in its line");
    EXPECT_EQ(data_told("x\r\n--b--\rx"), "[a]x.ERROR: a bare CR behind the last boundary");
}

TEST(Multipart, NeedsTheLastBoundary) {
    const std::string missing = "ERROR: a multipart body without its last boundary";
    EXPECT_EQ(scan_cut("", "b"), missing);
    const std::string body = field("x\r\n") + "--b--";
    for (std::size_t size = 0; size < body.size(); ++size) {
        const std::string told = scan(body.substr(0, size), "b");
        EXPECT_TRUE(told.ends_with(missing)) << size << told;
    }
    EXPECT_EQ(scan(body, "b"), "[a]x.end");
    EXPECT_TRUE(refuses(scan(body + "\r", "b")));
    EXPECT_EQ(scan(body + "\r\n", "b"), "[a]x.end");
    EXPECT_TRUE(refuses(scan(field("x\n--b--"), "b"))) << "bare line feeds";
}

TEST(Multipart, ReadsNamesAndFileNames) {
    EXPECT_EQ(disposition_told("form-data; name=\"a\""), "[a]x.end");
    EXPECT_EQ(disposition_told("FORM-DATA;NAME=a;FileName=b"), "[a file]x.end");
    EXPECT_EQ(disposition_told("form-data ; name=\"\" ; "), "[]x.end");
    EXPECT_EQ(disposition_told("form-data; filename=\"name=c\"; name=\"a; b\""), "[a; b file]x.end");
    EXPECT_EQ(disposition_told("form-data; name=a; filename=\"\""), "[a file]x.end");
    EXPECT_EQ(disposition_told("form-data; name=a; filename*=UTF-8''b"), "[a file]x.end");
    EXPECT_EQ(disposition_told("form-data; name=a; filename=\"b\\\"c\\\\.txt\""), "[a file]x.end");
    EXPECT_EQ(disposition_told("form-data; name=\"a%22\"; filename=\"C:\\dir\\f\"; x=y"), "[a%22 file]x.end");
    EXPECT_EQ(header_told("X-Other: 1\r\nContent-Disposition:form-data; name=a\r\nContent-Type: text/a"),
              "[a text/a]x.end");
}

TEST(Multipart, RefusesNamesThatReadersReadDifferently) {
    EXPECT_EQ(disposition_told("form-data"), "ERROR: a part without a name");
    EXPECT_EQ(disposition_told("form-data; filename=a"), "ERROR: a part without a name");
    EXPECT_EQ(disposition_told("form-data; name=a; name=a"), "ERROR: a part's name given twice");
    EXPECT_EQ(disposition_told("form-data; name=a; Name=b"), "ERROR: a part's name given twice");
    EXPECT_EQ(disposition_told("form-data; name=a; filename=a; filename=b"), "ERROR: a part's file name given twice");
    EXPECT_EQ(disposition_told("form-data; name*=UTF-8''a"), "ERROR: a part's name in an extended form");
    EXPECT_EQ(disposition_told("form-data; name*0=a; name=b"), "ERROR: a part's name in an extended form");
    EXPECT_EQ(disposition_told("form-data; name=\"a\\b\""), "ERROR: an escape in a part's name");
    for (const std::string value :
         {"attachment; name=a", "", "form-data, name=a", "form-data; name", "form-data; name=", "form-data; name =a",
          "form-data; name= a", "form-data; name=\"a", "form-data; name=\"a\"b", "form-data; name=a b", "form-data; =a",
          "form-data; name=a\"b\"", "form-data; filename=\"a\\\"; name=\"b\"", "form-data; filename=\"\\\"\"; name=a",
          "form-data; name=a; filename=\"x\\\";name=b\"", "form-data name=a"}) {
        EXPECT_TRUE(refuses(disposition_told(value))) << value;
    }
}

TEST(Multipart, IsStrictAboutHeaders) {
    const std::string disposition = "Content-Disposition: form-data; name=a";
    EXPECT_EQ(header_told(disposition), "[a]x.end");
    for (const std::string lines :
         {"X: 1", "Content-Disposition : form-data; name=a", "Content-Disposition: form-data;\r\n name=a",
          "Content-Disposition\r\nX: 1", "Content-Disposition: form-data; name=a\nX: 1",
          "Content-Disposition: form-data; name=a\rX: 1", ": x"}) {
        EXPECT_TRUE(refuses(header_told(lines))) << lines;
    }
    for (const std::string line :
         {"Content-Disposition: form-data; name=a", "Content-Type: multipart/mixed; boundary=c",
          "Content-Type: Multipart/Form-Data", "Content-Type: a/b\r\nContent-Type: a/b",
          "Content-Transfer-Encoding: base64", "Content-Transfer-Encoding: quoted-printable",
          "Content-Transfer-Encoding: 8bit\r\nContent-Transfer-Encoding: 8bit", "--b: 1", "X: --b", "X: \x01"}) {
        EXPECT_TRUE(refuses(header_told(disposition + "\r\n" + line))) << line;
    }
    EXPECT_EQ(scan_cut("--b\r\n\r\nx\r\n--b--", "b"), "ERROR: a part without a Content-Disposition");
    EXPECT_TRUE(refuses(scan_cut("--b\r\n--b--", "b")));
}

TEST(Multipart, BoundsHeadersAndParts) {
    const std::string lines = "Content-Disposition: form-data; name=a\r\nX: ";
    const std::string fits(kPartHeaderBytesMax - lines.size() - 4, 'x');
    EXPECT_EQ(scan("--b\r\n" + lines + fits + "\r\n\r\n\r\n--b--", "b"), "[a].end");
    EXPECT_EQ(scan("--b\r\n" + lines + fits + "x\r\n\r\n\r\n--b--", "b"), "ERROR: a part's header beyond its bound");
    std::string body;
    for (std::size_t i = 0; i < kPartsMax; ++i) body += field("\r\n");
    EXPECT_TRUE(scan(body + "--b--", "b").ends_with("[a].end"));
    EXPECT_TRUE(scan(body + field("\r\n--b--"), "b").ends_with("ERROR: a multipart body of too many parts"));
}

TEST(Multipart, TellsTheSameHoweverTheBodyIsCut) {
    std::mt19937 random(20461);
    const std::string body = field("\r\n--\r\n-\r\n\r\n--a--") + "\r\n" + field("\r\r\n--") + "\r\n--b--\r\nepilogue";
    const std::string whole = scan(body, "b");
    EXPECT_TRUE(whole.ends_with("end"));
    for (int round = 0; round < 200; ++round) {
        Scanner scanner("b");
        Notes notes;
        for (std::size_t at = 0; at < body.size();) {
            const std::size_t size = 1 + random() % 9;
            ASSERT_TRUE(scanner.feed(std::string(body.substr(at, size)), notes));
            at += size;
        }
        EXPECT_EQ(notes.text + "end", whole);
    }
}

TEST(Multipart, StopsAtAListenersError) {
    class Refusing final : public PartListener {
        Result<void> on_part(const Part&) override { return {}; }
        Result<void> on_data(std::string_view) override { return Error{.code = ErrorCode::kTooLarge}; }
        Result<void> on_part_end() override { return {}; }
    } refusing;
    Scanner scanner("b");
    const auto fed = scanner.feed(field("x"), refusing);
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().code, ErrorCode::kTooLarge);
    EXPECT_FALSE(scanner.feed("x", refusing));
}

std::string boundary_told(std::string_view content_type) {
    const auto boundary = boundary_of(content_type);
    return boundary ? *boundary : "ERROR: " + std::string(boundary.error().detail);
}

TEST(MultipartBoundary, IsATokenOrQuoted) {
    EXPECT_EQ(boundary_told("multipart/form-data; boundary=AaB03x"), "AaB03x");
    EXPECT_EQ(boundary_told("Multipart/Form-Data;charset=utf-8 ; BOUNDARY=\"gc0pJq0M:08jU534c0p\" "),
              "gc0pJq0M:08jU534c0p");
    EXPECT_EQ(boundary_told("multipart/form-data; boundary=\"'()+_,-./:=? x\""), "'()+_,-./:=? x");
    EXPECT_EQ(boundary_told("multipart/form-data; boundary=" + std::string(70, 'x')), std::string(70, 'x'));
}

TEST(MultipartBoundary, IsRefusedWhereReadersDiffer) {
    for (const std::string type :
         {"multipart/form-data", "multipart/form-data; boundary=", "multipart/form-data; boundary=\"\"",
          "multipart/form-data; boundary=\"a \"", "multipart/form-data; boundary=a; boundary=a",
          "multipart/form-data; boundary=a; Boundary=b", "multipart/form-data; boundary*=a; boundary=b",
          "multipart/form-data; boundary*0=a", "multipart/form-data; boundary=\"a\\b\"",
          "multipart/form-data; boundary=a b", "multipart/form-data; boundary=a, text/plain",
          "multipart/form-data; boundary=a:b", "multipart/form-data; boundary=\"a#b\"",
          "multipart/form-data; boundary=\"a\"b", "multipart/form-data; boundary=\"a", "multipart/mixed; boundary=a",
          "multipart/form-datax; boundary=a", "boundary=a", ""}) {
        EXPECT_FALSE(boundary_of(type)) << type;
    }
    EXPECT_FALSE(boundary_of("multipart/form-data; boundary=" + std::string(71, 'x')));
}

}  // namespace
}  // namespace weir::protocol::multipart
