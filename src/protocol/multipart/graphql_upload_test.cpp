#include "protocol/multipart/graphql_upload.h"

#include <gtest/gtest.h>
#include <string>

#include "policy/content.h"

namespace weir::protocol::multipart {
namespace {

std::string part(std::string_view disposition, std::string_view data) {
    return "--b\r\nContent-Disposition: form-data; " + std::string(disposition) + "\r\n\r\n" + std::string(data) +
           "\r\n";
}
std::string field(std::string_view name, std::string_view data) {
    return part("name=\"" + std::string(name) + "\"", data);
}
std::string file(std::string_view name) {
    return part("name=\"" + std::string(name) + "\"; filename=\"a.txt\"", "Alpha file content.");
}

const std::string kQuery =
    R"({"query":"mutation ($file: Upload!) { up(file: $file) { id } }","variables":{"file":null}})";
const std::string kOperations = field("operations", kQuery);
const std::string kMap = field("map", R"({"0":["variables.file"]})");
const std::string kEnd = "--b--\r\n";

// The operations that an upload holds at its end, or "ERROR: why".
std::string upload_told(std::string_view body, std::size_t step = std::string_view::npos,
                        std::size_t bytes_max = 1024) {
    GraphqlUpload upload("b", bytes_max);
    while (!body.empty()) {
        const std::string piece(body.substr(0, step));
        body.remove_prefix(piece.size());
        if (const auto fed = upload.feed(piece); !fed) return "ERROR: " + std::string(fed.error().detail);
    }
    if (const auto ended = upload.end(); !ended) return "ERROR: " + std::string(ended.error().detail);
    EXPECT_TRUE(upload.operations_complete());
    const std::string_view operations = upload.operations();
    for (std::size_t i = 0; i < policy::kJsonPadding; ++i) EXPECT_EQ(operations.data()[operations.size() + i], '\0');
    return std::string(operations);
}
bool refuses(std::string_view body) {
    return upload_told(body).starts_with("ERROR");
}

// The specification's example for a single file, and for a file list and a batch in its order.
TEST(GraphqlUpload, CollectsTheOperations) {
    const std::string body = kOperations + kMap + file("0") + file("1") + kEnd;
    for (std::size_t step = 1; step < 80; ++step) EXPECT_EQ(upload_told(body, step), kQuery);
    EXPECT_EQ(upload_told(field("operations", "") + kEnd), "");
    EXPECT_EQ(upload_told(field("csrf", "x") + kOperations + kMap + kEnd), kQuery);
}

TEST(GraphqlUpload, IsDecidedBeforeTheFilesHaveArrived) {
    GraphqlUpload upload("b", 1024);
    ASSERT_TRUE(upload.feed(kOperations));
    EXPECT_FALSE(upload.operations_complete()) << "the boundary behind may still turn out to be data";
    EXPECT_EQ(upload.operations(), "");
    ASSERT_TRUE(upload.feed("--b\r"));
    EXPECT_FALSE(upload.operations_complete());
    ASSERT_TRUE(upload.feed("\n"));
    EXPECT_TRUE(upload.operations_complete());
    EXPECT_EQ(upload.operations(), kQuery);
    ASSERT_TRUE(upload.feed(kMap.substr(5) + file("0")));
    EXPECT_EQ(upload.operations(), kQuery);
    EXPECT_FALSE(upload.feed(kOperations + kEnd)) << "what comes later may still be refused";
}

TEST(GraphqlUpload, HoldsTheOrderOfTheSpecification) {
    EXPECT_EQ(upload_told(file("0") + kOperations + kMap + kEnd), "ERROR: a file before the operations");
    EXPECT_EQ(upload_told(kMap + kOperations + kEnd), "ERROR: a map before the operations");
    EXPECT_EQ(upload_told(kOperations + file("0") + kMap + kEnd), "ERROR: a file before the map");
    EXPECT_EQ(upload_told(kMap + kEnd), "ERROR: a map before the operations");
    EXPECT_EQ(upload_told(kEnd), "ERROR: a multipart request without operations");
    EXPECT_EQ(upload_told(kOperations + kMap), "ERROR: a multipart body without its last boundary");
}

TEST(GraphqlUpload, RefusesASecondPlaceToReadTheQueryFrom) {
    EXPECT_EQ(upload_told(kOperations + kOperations + kEnd), "ERROR: a second operations field");
    EXPECT_EQ(upload_told(kOperations + kMap + file("0") + kOperations + kEnd), "ERROR: a second operations field");
    EXPECT_EQ(upload_told(kOperations + kMap + kMap + kEnd), "ERROR: a second map");
    for (const std::string name : {"query", "operationName", "variables", "extensions", "documentId", "id", "Query",
                                   "query[]", " query", "query ", "'query'", "_charset_"}) {
        EXPECT_TRUE(refuses(kOperations + field(name, "x") + kEnd)) << name;
        EXPECT_TRUE(refuses(field(name, "x") + kOperations + kEnd)) << name;
        EXPECT_TRUE(refuses(kOperations + kMap + file(name) + kEnd)) << name;
    }
    for (const std::string name : {"Operations", "operations[]", "operations[0]", " operations", "operations ",
                                   "'operations'", "operation\xC5\xBF", "MAP", "map[]"}) {
        EXPECT_TRUE(refuses(field(name, "x") + kOperations + kMap + kEnd)) << name;
        EXPECT_TRUE(refuses(kOperations + kMap + field(name, "x") + kEnd)) << name;
    }
    EXPECT_FALSE(refuses(kOperations + field("queries", "x") + field("[query]", "x") + field("", "x") + kEnd));
}

TEST(GraphqlUpload, TakesOperationsAsAFieldOfUtf8Alone) {
    EXPECT_TRUE(refuses(file("operations") + kEnd));
    EXPECT_TRUE(refuses(part("name=operations; filename*=UTF-8''a", kQuery) + kEnd));
    EXPECT_TRUE(refuses(kOperations + file("map") + kEnd));
    const auto typed = [](std::string_view type) {
        return "--b\r\nContent-Disposition: form-data; name=operations\r\nContent-Type: " + std::string(type) +
               "\r\n\r\n" + kQuery + "\r\n" + kEnd;
    };
    EXPECT_EQ(upload_told(typed("application/json")), kQuery);
    EXPECT_EQ(upload_told(typed("application/json; charset=\"UTF-8\"")), kQuery);
    EXPECT_TRUE(refuses(typed("application/json; charset=utf-16")));
    EXPECT_TRUE(refuses(typed("application/json; charset=utf-8; Charset=utf-7")));
    EXPECT_TRUE(refuses(typed("application/json; charset*=utf-8''utf-7")));
    EXPECT_TRUE(refuses(typed("application/json; charset")));
}

TEST(GraphqlUpload, BoundsTheOperations) {
    const std::string body = kOperations + kMap + kEnd;
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, body.size()}) {
        EXPECT_EQ(upload_told(body, step, kQuery.size()), kQuery);
        EXPECT_EQ(upload_told(body, step, kQuery.size() - 1), "ERROR: operations beyond their bound");
    }
}

}  // namespace
}  // namespace weir::protocol::multipart
