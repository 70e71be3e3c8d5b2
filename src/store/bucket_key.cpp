#include "store/bucket_key.h"

namespace weir::store {

void append_bucket_key(std::string& out, std::string_view prefix, std::string_view subject, std::string_view group) {
    out.append(prefix).append(":{").append(subject).append("}:").append(group);
}

}  // namespace weir::store
