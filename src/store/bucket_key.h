// The name under which a shared store keeps a bucket: PREFIX:{SUBJECT}:GROUP, e.g. rl:{user:42}:ws_ai_query.
//
// The braces are a hash tag of Redis Cluster: all buckets of a subject lie in one slot. A tag ends at the first closing
// brace, so a subject that holds one shares its slot with others of the same beginning, never its key. A subject
// always begins with its kind ("user:"), so no tag is empty; the configuration refuses a prefix with a brace.
#pragma once

#include <string>
#include <string_view>

namespace weir::store {

// Appends the key to `out`.
void append_bucket_key(std::string& out, std::string_view prefix, std::string_view subject, std::string_view group);

// The same as an argument of a command (protocol/resp/command.h).
void append_bucket_key_argument(std::string& out, std::string_view prefix, std::string_view subject,
                                std::string_view group);

}  // namespace weir::store
