#include "protocol/graphql/lexer.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace weir::protocol::graphql {
namespace {

using namespace std::string_view_literals;

// Each token as written, with a space between; of an error what it says.
std::string tokens_of(std::string_view document) {
    Lexer lexer(document);
    std::string out;
    for (;;) {
        Token token;
        lexer.next(token);
        if (token.kind == TokenKind::kEnd) return out;
        if (!out.empty()) out += " ";
        if (token.kind == TokenKind::kError) {
            out += "! ";
            lexer.describe_error(out);
            return out;
        }
        out += token.text;
    }
}

TokenKind first_kind(std::string_view document) {
    Lexer lexer(document);
    Token token;
    lexer.next(token);
    return token.kind;
}

bool accepted(std::string_view document) {
    return tokens_of(document).find('!') == std::string::npos;
}

TEST(GraphqlLexer, SkipsWhiteSpaceCommasCommentsAndByteOrderMarks) {
    EXPECT_EQ(tokens_of("\xEF\xBB\xBF a,\t,,b #c d\re\n#f\r\ng\xEF\xBB\xBF#\n#\n\xEF\xBB\xBFh"), "a b e g h");
    EXPECT_EQ(tokens_of(""), "");
    EXPECT_EQ(tokens_of("#only a comment"), "");
}

TEST(GraphqlLexer, ReadsEveryPunctuator) {
    EXPECT_EQ(tokens_of("!$&(...)"), "! $ & ( ... )");
    EXPECT_EQ(tokens_of(":=@[]{|}"), ": = @ [ ] { | }");
    EXPECT_EQ(tokens_of("...on...a"), "... on ... a");
}

TEST(GraphqlLexer, ReadsNumbersOfTheSpecification) {
    for (const auto text : {"0"sv, "-0"sv, "4"sv, "-4"sv, "9"sv, "1234567890"sv}) {
        EXPECT_EQ(first_kind(text), TokenKind::kInt) << text;
        EXPECT_EQ(tokens_of(text), text);
    }
    for (const auto text : {"4.123"sv, "-4.123"sv, "0.123"sv, "123e4"sv, "123E-4"sv, "123e+4"sv, "6.0221413e23"sv}) {
        EXPECT_EQ(first_kind(text), TokenKind::kFloat) << text;
        EXPECT_EQ(tokens_of(text), text);
    }
}

TEST(GraphqlLexer, RefusesWhatOnlyBeginsAsANumber) {
    for (const auto text : {"00"sv,   "01"sv,     "-"sv,     "+1"sv,     "1."sv,      "1.e1"sv,   ".123"sv,
                            "1.A"sv,  "-A"sv,     "1.0e"sv,  "1.0eA"sv,  "1e"sv,      "1a"sv,     "0xF1"sv,
                            "0b10"sv, "123abc"sv, "1_234"sv, "1.2e3e"sv, "1.2e3.4"sv, "1.23.4"sv, "1..."sv}) {
        EXPECT_EQ(first_kind(text), TokenKind::kError) << text;
    }
}

TEST(GraphqlLexer, ReadsStringsWithEscapes) {
    for (const auto text :
         {R"("")"sv, R"("simple")"sv, R"(" white space ")"sv, R"("quote \"")"sv, R"("escaped \n\r\b\t\f\/\\")"sv,
          R"("unicode \u1234\u5678\u90AB\uCDEF")"sv, R"("\u{1234}\u{0}\u{10FFFF}\u{000000000061}")"sv,
          R"("\uD83D\uDE00")"sv, "\"\xF0\x9F\x98\x80\""sv, "\"tab\there\""sv, R"("{ # }")"sv}) {
        EXPECT_EQ(first_kind(text), TokenKind::kString) << text;
        EXPECT_EQ(tokens_of(text), text);
    }
    EXPECT_EQ(tokens_of(R"("" "")"), R"("" "")");
}

TEST(GraphqlLexer, RefusesBrokenStrings) {
    for (const auto text : {R"(")"sv,
                            R"("""")"sv,
                            R"("no end)"sv,
                            "\"multi\nline\""sv,
                            "\"multi\rline\""sv,
                            "\"\x07\""sv,
                            "\"\0\""sv,
                            R"("\z")"sv,
                            R"("\x")"sv,
                            R"("\u1")"sv,
                            R"("\u0XX1")"sv,
                            R"("\uXXXX")"sv,
                            R"("\uFXXX")"sv,
                            R"("\u{}")"sv,
                            R"("\u{FXXX}")"sv,
                            R"("\u{FFFF")"sv,
                            R"("\u{FFFF)"sv,
                            R"("\u{110000}")"sv,
                            R"("\u{FFFFFFFFFF}")"sv,
                            R"("\u{D800}")"sv,
                            R"("\uD83D")"sv,
                            R"("\uDE00")"sv,
                            R"("\uD83D\uD83D")"sv,
                            R"("\uD83D\n")"sv,
                            R"("\uD83D\)"sv,
                            "\"\xC3\x28\""sv,
                            "\"\xED\xA0\x80\""sv,
                            "\"\xC0\x80\""sv,
                            "\"\xF4\x90\x80\x80\""sv,
                            R"("\)"sv}) {
        EXPECT_EQ(first_kind(text), TokenKind::kError) << text;
    }
}

TEST(GraphqlLexer, ReadsBlockStrings) {
    for (const auto text :
         {R"("""""")"sv, R"("""simple""")"sv, "\"\"\"\n contains \" quote\n\"\"\""sv,
          "\"\"\"\n contains \\\"\"\" triple \"\" quote\n\"\"\""sv, "\"\"\"multi\nline\r\nand\rCR\"\"\""sv,
          R"("""unescaped \n\r\b\t\f\u1234""")"sv, "\"\"\"\n\\\\ \"\"\""sv, "\"\"\"\n{ a } # \xC3\xA9\n\"\"\""sv}) {
        EXPECT_EQ(first_kind(text), TokenKind::kBlockString) << text;
        EXPECT_EQ(tokens_of(text), text);
    }
    for (const auto text : {R"(""")"sv, R"("""no end)"sv, R"("""no end")"sv, "\"\"\"\n\\\"\"\""sv, "\"\"\"\x07\"\"\""sv,
                            "\"\"\"\xFF\"\"\""sv}) {
        EXPECT_EQ(first_kind(text), TokenKind::kError) << text;
    }
}

TEST(GraphqlLexer, RefusesAQuotationMarkInABlockStringsFirstLine) {
    // A reader without block strings finds the field `hidden` here.
    EXPECT_FALSE(accepted(R"({ a(x: [""" "]) hidden b(x: [" """]) })"));
    EXPECT_FALSE(accepted(R"({ a(x: [""" \""" ]) hidden b(x: [" """]) })"));
    EXPECT_TRUE(accepted("{ a(x: [\"\"\"\n \"]) hidden b(x: [\" \"\"\"]) }"));
}

TEST(GraphqlLexer, RefusesLineSeparatorsInComments) {
    EXPECT_FALSE(accepted("{ a # \xE2\x80\xA8 b\n}"));
    EXPECT_FALSE(accepted("{ a # \xE2\x80\xA9 b\n}"));
    EXPECT_TRUE(accepted("{ a(x: \"\xE2\x80\xA8\") # \xE2\x80\xAA\xC3\xA9\n}"));
}

TEST(GraphqlLexer, RefusesCharactersThatAreNotOfTheGrammar) {
    for (const auto text : {"?"sv,    "%"sv,        ";"sv,        "'a'"sv,          "`"sv,        "/"sv,
                            "<"sv,    "^"sv,        "."sv,        ".."sv,           "\0"sv,       "\x0B"sv,
                            "\x0C"sv, "\x7F"sv,     "\xC2\xA0"sv, "\xE2\x80\xA8"sv, "\xEF\xBB"sv, "\xEF\xBF\xBE"sv,
                            "\xFF"sv, "\xC3\xA9"sv, "#\x01"sv,    "#\xFF"sv}) {
        EXPECT_EQ(first_kind(text), TokenKind::kError) << text;
    }
}

TEST(GraphqlLexer, SaysWhatItFoundAndExpected) {
    EXPECT_EQ(tokens_of("01"), "! a number does not begin with 0: expected its end, found '1'");
    EXPECT_EQ(tokens_of("\xC2\xA0"), "! expected a name, a number, a string or a punctuator, found U+00A0");
    EXPECT_EQ(tokens_of("\"\xFF\""), "! expected a character of the string, found the byte 0xFF, which is not UTF-8");
    EXPECT_EQ(tokens_of("1."), "! expected a digit behind the decimal point, found the end of the document");
}

TEST(GraphqlLexer, EndsInsideTheTextForEveryPrefix) {
    constexpr std::string_view kDocument =
        "query Q($a: [Int!]! = [1, -2.5e+3]) @d(x: \"\\u{61}\\uD83D\\uDE00\") { ...f #\xC3\xA9\n a(b: "
        "\"\"\"\n\\\"\"\"\"\"\") }";
    for (std::size_t size = 0; size <= kDocument.size(); ++size) {
        const std::string prefix(kDocument.substr(0, size));
        Lexer lexer(prefix);
        Token token;
        do {
            lexer.next(token);
            ASSERT_GE(token.text.data(), prefix.data());
            ASSERT_LE(token.text.data() + token.text.size(), prefix.data() + prefix.size());
        } while (token.kind > TokenKind::kError);
    }
}

}  // namespace
}  // namespace weir::protocol::graphql
