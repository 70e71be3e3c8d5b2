// A GraphQL request that brings files (the GraphQL multipart request specification,
// github.com/jaydenseric/graphql-multipart-request-spec): which of its bytes are the operations to be judged.
//
//   operations   the request, or a batch, as JSON; comes before `map` and every file
//   map          which file is which variable; comes before every file
//   0, 1, ...    files
//
// The order lets a server, and Weir, decide before the files have arrived: feed() until `operations_complete()`, judge
// `operations()`, and go on feeding while the bytes travel on. What comes behind can still be refused, and the upstream
// must then not get the end of the body: a second `operations` or `map`, or a field with a name that servers read a
// plain form's query from (query, operationName, id ...), because servers differ in which of them counts. So are names
// that such servers may turn into one of those: another case, white space or quotes around, "operations[]".
// `operations` must be a field of UTF-8, not a file, and no field `_charset_` (RFC 7578 4.6) may say otherwise. Other
// fields without a file pass: what follows the specification ignores them.
//
// Pure, resumable at any byte. What is held: the operations, up to a bound; whoever holds bytes back until the
// operations are complete needs a bound of its own, since preamble and other fields may come before.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "protocol/multipart/multipart.h"

namespace weir::protocol::multipart {

class GraphqlUpload final : private PartListener {
  public:
    // `boundary` as boundary_of gave it.
    GraphqlUpload(std::string_view boundary, std::size_t operations_bytes_max);

    [[nodiscard]] Result<void> feed(std::string_view bytes) { return scanner_.feed(bytes, *this); }
    // The body ended here.
    [[nodiscard]] Result<void> end();

    [[nodiscard]] bool operations_complete() const { return operations_complete_; }
    // Once complete, with policy::kJsonPadding readable bytes behind; else empty.
    [[nodiscard]] std::string_view operations() const;

  private:
    enum class Field : std::uint8_t { kOperations, kOther };

    [[nodiscard]] Result<void> on_part(const Part& part) override;
    [[nodiscard]] Result<void> on_data(std::string_view data) override;
    [[nodiscard]] Result<void> on_part_end() override;
    [[nodiscard]] Result<void> begin_operations(const Part& part);

    Scanner scanner_;
    std::size_t operations_bytes_max_;
    Field current_ = Field::kOther;
    bool has_operations_ = false;
    bool has_map_ = false;
    bool has_file_ = false;
    bool operations_complete_ = false;
    std::size_t operations_bytes_ = 0;
    std::string operations_;  // and its padding, once complete
};

}  // namespace weir::protocol::multipart
