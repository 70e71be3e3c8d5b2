// Questions about the callers of hostile requests: each is one well-formed request, and carries the credentials that
// the request carried, no more and no less.
#include <cstdint>
#include <string_view>

#include "identity/lookup.h"

namespace {

std::vector<weir::identity::CredentialSource> sources() {
    std::vector<weir::identity::CredentialSource> all;
    for (const std::string_view text : {"authorization", "cookie:sessionid", "header:X-API-Key", "query:key"}) {
        std::string reason;
        all.push_back(*weir::identity::parse_credential_source(text, reason));
    }
    return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    namespace identity = weir::identity;
    namespace http = weir::protocol::http;
    static const auto kSources = sources();
    constexpr weir::HashKey kKey{1, 2};
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    http::RequestHead head;
    if (!http::parse_request_head(bytes, head)) return 0;
    const auto credentials = identity::credentials_of(head, kSources);
    if (credentials.empty()) return 0;
    const std::string question = identity::lookup_request("/whoami?from=weir", "app:8000", credentials);
    WEIR_ASSERT(http::head_length(question) == question.size());
    http::RequestHead asked;
    // The question has up to three lines that the request may not have had: at its bounds it may be beyond them.
    if (head.fields.size() > weir::kHeaderFieldsMax - 3 || head.target.size() > weir::kTargetBytesMax - 64) return 0;
    WEIR_ASSERT(http::parse_request_head(question, asked).has_value());
    WEIR_ASSERT(asked.method == "GET" && asked.framing == http::BodyFraming::kNone && asked.host == "app:8000");
    const auto carried = identity::credentials_of(asked, kSources);
    WEIR_ASSERT(carried.size() == credentials.size());
    WEIR_ASSERT(identity::hash_of(carried, kKey) == identity::hash_of(credentials, kKey));
    return 0;
}
