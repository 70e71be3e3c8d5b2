// What an HTTP request asks a GraphQL server to run (GraphQL over HTTP, and what servers in use add): a document, or
// the id of one that the server keeps; one, or a batch.
//
// * GET: the target's query part. POST: the body, JSON, a form or a bare document, and the target's query part as well,
//   since some servers merge the two. A parameter in both, with two values, is refused.
// * "query", "operationName" and "extensions", and the ids "documentId", "doc_id", "id" and
//   extensions.persistedQuery.sha256Hash. A hash beside a document registers the document under it and runs it: the
//   document counts. "documentId" or "doc_id" beside a document is refused, for servers differ in which they run. A
//   string "id" beside a document is given with it: it may be the client's own number for an answer, or an id.
// * JSON is RFC 8259 as simdjson reads it: an integer beyond 64 bits or a number beyond a double, anywhere in it, and
//   nesting beyond kJsonDepthMax are refused. A byte order mark at the front is skipped.
//
// Refused is what readers may understand in more than one way; parameters.h says how names may be written.
// `multipart/form-data` (uploads) is not split here: its part `operations` is read as a JSON body.
//
// A RequestReader is one worker's, and reuses its memory. Outcomes and views are valid until its next call, and as
// long as what was read.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "protocol/graphql/problem.h"

namespace weir::protocol::graphql {

struct Request {
    std::string_view document;
    std::optional<std::string_view> operation_name;  // never empty
    // documentId, doc_id or id as given, or "sha256:" and the hash; what begins so is in lower case. Empty: none.
    std::string_view persisted_id;

    // One of them at least is true.
    [[nodiscard]] bool has_document() const { return !document.empty(); }
    [[nodiscard]] bool has_persisted_id() const { return !persisted_id.empty(); }
};

struct Requests {
    std::vector<Request> all;  // at least one
    bool batch = false;        // a JSON array, be it of one: its answer is an array as well
};

enum class BodyKind : std::uint8_t { kJson, kForm, kDocument };

// From a Content-Type: application/json, application/graphql+json, application/x-www-form-urlencoded,
// application/graphql. kUnsupported for others, and for any charset but UTF-8: some servers decode UTF-7 or UTF-16
// first, and would see another document.
[[nodiscard]] Result<BodyKind> body_kind(std::string_view content_type);

class RequestReader {
  public:
    RequestReader();
    ~RequestReader();
    RequestReader(const RequestReader&) = delete;
    RequestReader& operator=(const RequestReader&) = delete;

    // `query_part`: of the target, behind "?".
    [[nodiscard]] Outcome<Requests> read_get(std::string_view query_part);
    // `batch_max`: so many requests in an array; 0 admits no array.
    [[nodiscard]] Outcome<Requests> read_post(BodyKind kind, std::string_view body, std::string_view query_part,
                                              std::uint64_t batch_max);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace weir::protocol::graphql
