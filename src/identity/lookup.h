// `identity.lookup`, its pure half: which credentials a request carries, the question to the application, and what its
// answer means.
//
// Credentials are passed on as they came and all of them: where a name stands twice (two cookies, two fields, two query
// parameters), the application reads the question as it reads the request itself, so that nobody can show one session
// to Weir and another to the application. For the same reason a field is found under any spelling that a CGI-like
// application folds ("X_API_Key"). Nothing else of the client goes along: the answer is kept per credential, and must
// depend on nothing else.
//
// Immutable or local: any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "identity/identity.h"
#include "policy/caller.h"
#include "protocol/http/head.h"

namespace weir::identity {

// An answer that is longer is not read.
inline constexpr std::size_t kLookupBodyBytesMax = 64 * 1024;

struct CredentialSource {
    enum class Kind : std::uint8_t { kHeader, kCookie, kQuery };
    Kind kind = Kind::kHeader;
    std::string name;
    friend bool operator==(const CredentialSource&, const CredentialSource&) = default;
};
// "authorization", "header:NAME", "cookie:NAME", "query:NAME". nullopt with what is wrong, as the end of a sentence, or
// without when it has none of these forms. A field that frames or routes a message is no credential.
[[nodiscard]] std::optional<CredentialSource> parse_credential_source(std::string_view text, std::string& reason);

// Views into a request's head.
struct Credential {
    CredentialSource::Kind kind = CredentialSource::Kind::kHeader;
    std::string_view name;   // as it was written; of a query parameter empty
    std::string_view value;  // of a query parameter the whole pair, as it was written
};
// In the order of `sources`; empty when the request carries none that says anything.
[[nodiscard]] std::vector<Credential> credentials_of(const protocol::http::RequestHead& head,
                                                     const std::vector<CredentialSource>& sources);
// The same for the same credentials only.
[[nodiscard]] Hash128 hash_of(const std::vector<Credential>& credentials, const HashKey& key);

// The whole GET request. `target` is in origin form, with or without a query.
[[nodiscard]] std::string lookup_request(std::string_view target, std::string_view host,
                                         const std::vector<Credential>& credentials);

struct LookupAnswer {
    enum class Kind : std::uint8_t {
        kUser,       // this user, in this tier
        kAnonymous,  // nobody
        kFailed,     // the application could not be asked, or did not answer usefully
    };
    Kind kind = Kind::kFailed;
    std::string user;
    policy::TierId tier = policy::kAnonymous;
    friend bool operator==(const LookupAnswer&, const LookupAnswer&) = default;
};

// Whether `status` alone is the answer (401, 403), or the body is (200), or neither: kFailed.
[[nodiscard]] Result<std::optional<LookupAnswer>> answer_of_status(unsigned status);
// The body of a 200. The error's detail says what is wrong with it.
[[nodiscard]] Result<LookupAnswer> parse_lookup_answer(std::string_view body, const policy::LimitTable& limits);

enum class OnLookupError : std::uint8_t { kToken, kAnonymous, kReject };

// What the answer makes of a caller whom token, headers and address have described so far.
void apply_lookup(const LookupAnswer& answer, OnLookupError on_error, Identified& who);

}  // namespace weir::identity
