#include "store/bucket_key.h"

#include "protocol/resp/command.h"

namespace weir::store {
namespace {

constexpr std::string_view kBeforeSubject = ":{";
constexpr std::string_view kBehindSubject = "}:";

}  // namespace

void append_bucket_key(std::string& out, std::string_view prefix, std::string_view subject, std::string_view group) {
    out.append(prefix).append(kBeforeSubject).append(subject).append(kBehindSubject).append(group);
}

void append_bucket_key_argument(std::string& out, std::string_view prefix, std::string_view subject,
                                std::string_view group) {
    protocol::resp::append_joined_argument(out, {prefix, kBeforeSubject, subject, kBehindSubject, group});
}

}  // namespace weir::store
