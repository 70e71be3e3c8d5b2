#include "protocol/graphql/request.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <string>

#include "base/limits.h"

namespace weir::protocol::graphql {
namespace {

// "[document|operation|id] ...", behind "batch " for an array; of a problem what it says.
std::string text_of(const Outcome<Requests>& outcome) {
    if (!outcome) return outcome.problem().message;
    std::string out = outcome->batch ? "batch" : "";
    for (const Request& request : outcome->all) {
        if (!out.empty()) out += " ";
        out += fmt::format("[{}|{}|{}]", request.document, request.operation_name.value_or("-"), request.persisted_id);
    }
    return out;
}

std::string got(std::string_view query_part) {
    RequestReader reader;
    return text_of(reader.read_get(query_part));
}
std::string posted(std::string_view body, std::string_view query_part = "", BodyKind kind = BodyKind::kJson,
                   std::uint64_t batch_max = 10) {
    RequestReader reader;
    return text_of(reader.read_post(kind, body, query_part, batch_max));
}

bool ambiguous(const std::string& text) {
    return text.starts_with("The request is ambiguous: ");
}
bool malformed(const std::string& text) {
    return text.starts_with("The request is malformed: ");
}

TEST(GraphqlRequest, ReadsAJsonObject) {
    EXPECT_EQ(posted(R"({"query":"{ a }"})"), "[{ a }|-|]");
    EXPECT_EQ(
        posted(R"( {"operationName": "A", "variables": {"query": [1, {"query": "x"}]}, "query": "query A {\n a }"} )"),
        "[query A {\n a }|A|]");
    EXPECT_EQ(posted(R"({"query":"{ a }","operationName":null,"extensions":null,"variables":null,"documentId":null})"),
              "[{ a }|-|]");
    EXPECT_EQ(posted(R"({"query":"{ a }","operationName":""})"), "[{ a }|-|]");
    EXPECT_EQ(posted(R"({"\u0071uery":"\u007b a }"})"), "[{ a }|-|]");
    EXPECT_EQ(posted("\xEF\xBB\xBF{\"query\":\"{ a }\"}"), "[{ a }|-|]");
}

TEST(GraphqlRequest, ReadsABatchWithinItsBound) {
    EXPECT_EQ(posted(R"([{"query":"{a}"},{"query":"{b}","operationName":"B"},{"documentId":"x"}])"),
              "batch [{a}|-|] [{b}|B|] [|-|x]");
    EXPECT_EQ(posted(R"([{"query":"{a}"}])"), "batch [{a}|-|]");
    EXPECT_EQ(posted(R"([{"query":"{a}"},{"query":"{b}"}])", "", BodyKind::kJson, 1),
              "The batch has more than 1 requests");
    EXPECT_EQ(posted(R"([{"query":"{a}"}])", "", BodyKind::kJson, 0), "The batch has more than 0 requests");
    EXPECT_EQ(posted("[]"), "The batch is empty");
    EXPECT_EQ(posted(R"([[{"query":"{a}"}]])"), "A GraphQL request must be a JSON object, or an array of them");
    EXPECT_EQ(posted(R"([{"query":"{a}"},null])"), "A GraphQL request must be a JSON object, or an array of them");
    EXPECT_TRUE(ambiguous(posted(R"([{"query":"{a}"},{"query":"{b}","query":"{c}"}])")));
}

TEST(GraphqlRequest, RefusesMembersThatReadersMayTakeDifferently) {
    for (const char* body :
         {R"({"query":"{a}","query":"{b}"})", R"({"query":"{a}","query":"{a}"})",
          R"({"query":"{a}","\u0071uery":"{b}"})", R"({"query":"{a}","Query":"{b}"})", R"({"QUERY":"{a}"})",
          R"({"query":"{a}","operationName":"A","operationname":"B"})",
          R"({"query":"{a}","operationName":"A","operationName":null})", R"({"query":"{a}","extenſionſ":{}})",
          R"({"query":"{a}","extens\u0131ons":{}})", R"({"documentId":"a","documentID":"b"})",
          R"({"query":"{a}","extensions":{},"extensions":{}})",
          R"({"extensions":{"persistedQuery":{},"persistedquery":{}}})",
          R"({"extensions":{"persistedQuery":{"sha256Hash":"a","sha256Hash":"b"}}})",
          R"({"extensions":{"persistedQuery":{"SHA256Hash":"a"}}})"}) {
        EXPECT_TRUE(ambiguous(posted(body))) << body << posted(body);
    }
}

TEST(GraphqlRequest, RefusesMembersOfTheWrongType) {
    for (const char* body :
         {R"({"query":1})", R"({"query":["{a}"]})", R"({"query":{}})", R"({"query":"{a}","operationName":1})",
          R"({"query":"{a}","operationName":["A"]})", R"({"query":"{a}","extensions":"{}"})",
          R"({"query":"{a}","extensions":[]})", R"({"extensions":{"persistedQuery":"a"}})",
          R"({"extensions":{"persistedQuery":{"sha256Hash":1}}})", R"({"documentId":1})", R"({"doc_id":true})"}) {
        EXPECT_TRUE(malformed(posted(body))) << body << posted(body);
    }
}

TEST(GraphqlRequest, RefusesWhatIsNoJson) {
    for (const char* body : {"{", R"({"query":"{a}"} x)", R"({"query":"{a}"}{"query":"{b}"})", R"({"query":"{a}",})",
                             R"({query:"{a}"})", R"({'query':'{a}'})", R"({"query":"{a}"} // b)",
                             "{\"query\":\"{\na}\"}", R"({"query":"\uD800"})", R"({"query":"{a}"}])"}) {
        EXPECT_EQ(posted(body), "The request is not well-formed JSON") << body;
    }
    EXPECT_EQ(posted("{\"query\":\"\xFF\"}"), "The JSON is not UTF-8");
    EXPECT_EQ(posted(""), "The request has no body: expected a JSON object");
    EXPECT_EQ(posted("\xEF\xBB\xBF"), "The request has no body: expected a JSON object");
    EXPECT_EQ(posted("\"{a}\""), "A GraphQL request must be a JSON object, or an array of them");
    EXPECT_EQ(posted("null"), "A GraphQL request must be a JSON object, or an array of them");
}

TEST(GraphqlRequest, RefusesJsonNestedBeyondItsBound) {
    const auto nested = [](std::size_t times) {
        return R"({"query":"{a}","variables":)" + std::string(times, '[') + std::string(times, ']') + "}";
    };
    EXPECT_EQ(posted(nested(kJsonDepthMax - 2)), "[{a}|-|]");
    EXPECT_EQ(posted(nested(kJsonDepthMax)), "The JSON is nested too deeply");
    EXPECT_EQ(posted(nested(1'000'000)), "The JSON is nested too deeply");
}

TEST(GraphqlRequest, ReadsPersistedDocuments) {
    EXPECT_EQ(posted(R"({"documentId":"sha256:AB12","operationName":"A"})"), "[|A|sha256:ab12]");
    EXPECT_EQ(posted(R"({"doc_id":"123"})"), "[|-|123]");
    EXPECT_EQ(posted(R"({"id":"Abc"})"), "[|-|Abc]");
    EXPECT_EQ(posted(R"({"query":"","id":"abc"})"), "[|-|abc]");
    EXPECT_EQ(posted(R"({"extensions":{"persistedQuery":{"version":1,"sha256Hash":"AB12"}}})"), "[|-|sha256:ab12]");
    EXPECT_EQ(posted(R"({"query":"{a}","extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab12"}}})"),
              "[{a}|-|sha256:ab12]");
    EXPECT_EQ(posted(R"({"documentId":"sha256:ab","extensions":{"persistedQuery":{"sha256Hash":"AB"}}})"),
              "[|-|sha256:ab]");
    EXPECT_EQ(posted(R"([{"id":1,"query":"{a}"},{"id":"two","query":"{b}"}])"), "batch [{a}|-|] [{b}|-|two]");
}

TEST(GraphqlRequest, RefusesSeveralThingsToRun) {
    EXPECT_TRUE(ambiguous(posted(R"({"query":"{a}","documentId":"x"})")));
    EXPECT_TRUE(ambiguous(posted(R"({"query":"{a}","doc_id":"x"})")));
    EXPECT_TRUE(ambiguous(posted(R"({"documentId":"x","id":"y"})")));
    EXPECT_TRUE(ambiguous(posted(R"({"documentId":"x","extensions":{"persistedQuery":{"sha256Hash":"y"}}})")));
    EXPECT_TRUE(ambiguous(got("query={a}&documentId=x")));
}

TEST(GraphqlRequest, RefusesARequestWithoutADocument) {
    constexpr const char* kNone = "The request has no document: expected \"query\", or the id of a persisted one";
    EXPECT_EQ(posted("{}"), kNone);
    EXPECT_EQ(posted(R"({"query":null})"), kNone);
    EXPECT_EQ(posted(R"({"query":""})"), kNone);
    EXPECT_EQ(posted(R"({"id":7})"), kNone);
    EXPECT_EQ(posted(R"({"extensions":{"persistedQuery":{}}})"), kNone);
    EXPECT_EQ(got(""), kNone);
    EXPECT_EQ(got("a=b&variables={}"), kNone);
    EXPECT_EQ(posted("", "", BodyKind::kDocument), kNone);
}

TEST(GraphqlRequest, DecodesTheQueryPartOfAGet) {
    EXPECT_EQ(got("query=%7B+a%20%7d&operationName=A&variables=%7B%7D"), "[{ a }|A|]");
    EXPECT_EQ(got("&&x&%71uery={a}&"), "[{a}|-|]");
    EXPECT_EQ(got("query={a(b:\"%C3%A9=%26\")}"), "[{a(b:\"\xC3\xA9=&\")}|-|]");
    EXPECT_EQ(got("query={a}&x=%zz&y=1;z=2"), "[{a}|-|]");
    EXPECT_EQ(got("extensions=%7B%22persistedQuery%22:%7B%22sha256Hash%22:%22Ab%22%7D%7D"), "[|-|sha256:ab]");
    EXPECT_EQ(got("documentId=x"), "[|-|x]");
    EXPECT_EQ(got("query={a}&extensions=null"), "[{a}|-|]");
}

TEST(GraphqlRequest, RefusesParametersThatReadersMayTakeDifferently) {
    for (const char* part : {"query={a}&query={b}", "query={a}&%71uery={b}", "query={a}&Query={b}",
                             "query={a}&operationName=A&operationName=B", "query={a}&x=1;query={b}", "x=1;query={b}",
                             ";query={b}", "query={a}&x;y;operationName=B", "query={a};x", "query[]={a}", "+query={a}",
                             "%20%20query={a}", "query%00x={a}", "query={a}&query%5Bb%5D=c",
                             "query"
                             "={a}&quer%79={b}",
                             "extension%C5%BF={}&query={a}"}) {
        EXPECT_TRUE(ambiguous(got(part))) << part << " " << got(part);
        EXPECT_TRUE(ambiguous(posted(part, "", BodyKind::kForm))) << part;
    }
    EXPECT_TRUE(ambiguous(got("query={a}&" + std::string(300, '+') + "query={b}")));
    for (const char* part : {"query=%7", "query=%", "query={a}%zz", "operationName=%u0041&query={a}",
                             "query={a}&extensions=x", "query={a}&extensions=[]", "query={a}&extensions={}{}"}) {
        EXPECT_TRUE(malformed(got(part))) << part << " " << got(part);
    }
}

TEST(GraphqlRequest, MergesTheUrlIntoABodyAndRefusesDifferences) {
    EXPECT_EQ(posted(R"({"query":"query A {a}"})", "operationName=A"), "[query A {a}|A|]");
    EXPECT_EQ(posted("{}", "query={a}"), "[{a}|-|]");
    EXPECT_EQ(posted(R"({"query":"{a}"})", "query={a}&x=1"), "[{a}|-|]");
    EXPECT_TRUE(ambiguous(posted(R"({"query":"{a}"})", "query={b}")));
    EXPECT_TRUE(ambiguous(posted(R"({"query":"{a}","operationName":"A"})", "operationName=B")));
    EXPECT_TRUE(ambiguous(posted(R"({"query":"{a}"})", "documentId=x")));
    EXPECT_TRUE(ambiguous(posted(R"({"documentId":"x"})", "query={a}")));
    EXPECT_TRUE(ambiguous(posted(R"({"id":"x"})", "id=y")));
    EXPECT_TRUE(ambiguous(posted(R"([{"query":"{a}"}])", "query={b}")));
    EXPECT_TRUE(ambiguous(posted(R"({"extensions":{"persistedQuery":{"sha256Hash":"a"}}})",
                                 R"(extensions={"persistedQuery":{"sha256Hash":"b"}})")));
    EXPECT_TRUE(ambiguous(posted("query={a}", "query={b}", BodyKind::kForm)));
    EXPECT_TRUE(ambiguous(posted("{a}", "query={b}", BodyKind::kDocument)));
    EXPECT_EQ(posted("query={a}", "operationName=A", BodyKind::kForm), "[{a}|A|]");
    EXPECT_EQ(posted("query A {a}", "operationName=A", BodyKind::kDocument), "[query A {a}|A|]");
}

TEST(GraphqlRequest, KnowsBodiesByTheirContentType) {
    const auto kind = [](std::string_view type) {
        const auto result = body_kind(type);
        return result ? static_cast<int>(*result) : -1;
    };
    EXPECT_EQ(kind("application/json"), 0);
    EXPECT_EQ(kind("Application/JSON; charset=\"UTF-8\""), 0);
    EXPECT_EQ(kind("application/graphql+json;charset=utf8 ; x=y"), 0);
    EXPECT_EQ(kind("application/x-www-form-urlencoded"), 1);
    EXPECT_EQ(kind("application/graphql"), 2);
    for (const char* type :
         {"", "text/plain", "multipart/form-data; boundary=a", "application/json; charset=utf-7",
          "application/json; charset=utf-16", "application/json; charset", "application/json; CHARSET = utf-7",
          "application/json; charset=utf-8; charset=utf-7", "application/json, application/graphql"}) {
        EXPECT_EQ(kind(type), -1) << type;
    }
}

TEST(GraphqlRequest, AReaderForgetsTheRequestBefore) {
    RequestReader reader;
    EXPECT_EQ(
        text_of(reader.read_get("query={a}&operationName=A&extensions={\"persistedQuery\":{\"sha256Hash\":\"h\"}}")),
        "[{a}|A|sha256:h]");
    EXPECT_EQ(text_of(reader.read_get("documentId=x")), "[|-|x]");
    EXPECT_EQ(text_of(reader.read_post(BodyKind::kJson, R"([{"query":"{b}"}])", "", 1)), "batch [{b}|-|]");
    EXPECT_EQ(text_of(reader.read_post(BodyKind::kForm, "query={c}", "", 1)), "[{c}|-|]");
}

}  // namespace
}  // namespace weir::protocol::graphql
