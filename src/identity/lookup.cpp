#include "identity/lookup.h"

#include <algorithm>
#include <array>
#include <simdjson.h>

#include "base/text.h"

namespace weir::identity {
namespace {

namespace dom = simdjson::dom;
namespace http = protocol::http;
using Kind = CredentialSource::Kind;

constexpr std::string_view kAuthorization = "Authorization";

Error unusable(std::string_view detail) {
    return {ErrorCode::kMalformed, ErrorSource::kUpstream, false, detail};
}

// RFC 9110 5.1: token.
bool is_field_name(std::string_view name) {
    constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
        const char lower = ascii_lower(c);
        return (lower >= 'a' && lower <= 'z') || ascii_digit(c) || kMarks.find(c) != std::string_view::npos;
    });
}

// Fields that say where a message ends, where it goes or how it is answered, and those that the question has anyway.
bool belongs_to_message(std::string_view name) {
    constexpr std::array<std::string_view, 7> kNames{"host",   "content-length", "content-type", "expect",
                                                     "accept", "connection",     "upgrade"};
    return http::is_hop_by_hop(name) ||
           std::any_of(kNames.begin(), kNames.end(), [&](std::string_view each) { return equals_folded(name, each); });
}

// A cookie's name is a token; a query parameter's may be anything that a form can say.
bool is_good_name(Kind kind, std::string_view name, std::string& reason) {
    if (kind == Kind::kCookie) return is_field_name(name);
    if (kind == Kind::kQuery) return name.size() <= kNameBytesMax;
    if (!is_field_name(name)) return false;
    if (equals_folded(name, "cookie")) {
        reason = "a cookie is named with cookie:NAME";
        return false;
    }
    if (belongs_to_message(name)) {
        reason = "this field belongs to the message and is no credential";
        return false;
    }
    return true;
}

void append_credentials(const http::RequestHead& head, const CredentialSource& source, std::vector<Credential>& found) {
    switch (source.kind) {
        case Kind::kHeader:
            for (const http::Field& field : head.fields) {
                // What `Connection` names ends at this hop: the application will not see it either.
                if (!equals_folded(field.name, source.name) || http::named_by_connection(head.fields, field.name))
                    continue;
                found.push_back({Kind::kHeader, field.name, field.value});
            }
            break;
        case Kind::kCookie:
            for (const std::string_view value : http::cookies(head.fields, source.name))
                found.push_back({Kind::kCookie, source.name, value});
            break;
        case Kind::kQuery:
            for (const std::string_view pair : http::query_pairs(head.target, source.name))
                found.push_back({Kind::kQuery, {}, pair});
            break;
    }
}

bool says_something(const Credential& credential) {
    if (credential.kind != Kind::kQuery) return !credential.value.empty();
    const std::size_t equals = credential.value.find('=');
    return equals != std::string_view::npos && equals + 1 < credential.value.size();
}

void append_length(std::string& out, std::size_t length) {
    for (unsigned shift = 0; shift < 32; shift += 8) out.push_back(static_cast<char>(length >> shift & 0xFFU));
}

// The one member of that name; nullopt when it is absent or null. `twice` when readers could disagree.
std::optional<dom::element> single_member(const dom::object& object, std::string_view name, bool& twice) {
    std::optional<dom::element> found;
    unsigned count = 0;
    for (const auto [key, value] : object) {
        if (key != name) continue;
        if (++count > 1) twice = true;
        found = value;
    }
    if (found && found->is_null()) found.reset();
    return found;
}

// As in the claims of a token: true, "true" or 1.
bool is_set(const std::optional<dom::element>& member) {
    if (!member) return false;
    bool flag = false;
    std::string_view text;
    std::int64_t number = 0;
    if (member->get_bool().get(flag) == simdjson::SUCCESS) return flag;
    if (member->get_string().get(text) == simdjson::SUCCESS) return text == "true";
    return member->is<std::int64_t>() && member->get_int64().get(number) == simdjson::SUCCESS && number == 1;
}

// A name or a whole number, as text; nullopt when it is neither.
std::optional<std::string> user_text(const dom::element& member) {
    std::string_view text;
    if (member.get_string().get(text) == simdjson::SUCCESS) return std::string(text);
    if (member.is<std::int64_t>()) return std::to_string(member.get<std::int64_t>().value_unsafe());
    if (member.is<std::uint64_t>()) return std::to_string(member.get<std::uint64_t>().value_unsafe());
    return std::nullopt;
}

struct Members {
    std::optional<dom::element> user, tier, superuser, usage_capped;
};

// By the same order as the claims of a token: a superuser is one whatever else is said, and the flag of a capped user
// lowers the ordinary tier only.
Result<policy::TierId> tier_of(const Members& members, const policy::LimitTable& limits) {
    std::optional<policy::TierId> named;
    if (members.tier) {
        std::string_view name;
        if (members.tier->get_string().get(name) != simdjson::SUCCESS) return unusable("its 'tier' is no text");
        named = limits.find_tier(name);
        if (!named) return unusable("its 'tier' is none that the configuration has");
    }
    if (is_set(members.superuser)) return policy::kSuperuser;
    if (named && *named != policy::kAuthenticated) return *named;
    return is_set(members.usage_capped) ? policy::kUsageCapped : policy::kAuthenticated;
}

}  // namespace

std::optional<CredentialSource> parse_credential_source(std::string_view text, std::string& reason) {
    if (text == "authorization") return CredentialSource{Kind::kHeader, std::string(kAuthorization)};
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos || colon + 1 == text.size()) return std::nullopt;
    const std::string_view kind = text.substr(0, colon);
    const std::string_view name = text.substr(colon + 1);
    CredentialSource source{Kind::kHeader, std::string(name)};
    if (kind == "cookie") {
        source.kind = Kind::kCookie;
    } else if (kind == "query") {
        source.kind = Kind::kQuery;
    } else if (kind != "header") {
        return std::nullopt;
    }
    if (!is_good_name(source.kind, name, reason)) return std::nullopt;
    return source;
}

std::vector<Credential> credentials_of(const http::RequestHead& head, const std::vector<CredentialSource>& sources) {
    std::vector<Credential> found;
    for (const CredentialSource& source : sources) append_credentials(head, source, found);
    if (std::none_of(found.begin(), found.end(), says_something)) found.clear();
    return found;
}

Hash128 hash_of(const std::vector<Credential>& credentials, const HashKey& key) {
    std::string bytes;  // lengths before texts: no two lists read the same
    for (const Credential& credential : credentials) {
        bytes.push_back(static_cast<char>(credential.kind));
        append_length(bytes, credential.name.size());
        bytes.append(credential.name);
        append_length(bytes, credential.value.size());
        bytes.append(credential.value);
    }
    return siphash128(key, bytes);
}

std::string lookup_request(std::string_view target, std::string_view host, const std::vector<Credential>& credentials) {
    std::string out = "GET ";
    out.append(target);
    char mark = target.find('?') == std::string_view::npos ? '?' : '&';
    std::string cookies;
    std::string fields;
    for (const Credential& credential : credentials) {
        switch (credential.kind) {
            case Kind::kHeader:
                fields.append(credential.name).append(": ").append(credential.value).append("\r\n");
                break;
            case Kind::kCookie:
                cookies.append(cookies.empty() ? "Cookie: " : "; ");
                cookies.append(credential.name).append("=").append(credential.value);
                break;
            case Kind::kQuery:
                out.push_back(mark);
                out.append(credential.value);
                mark = '&';
                break;
        }
    }
    out.append(" HTTP/1.1\r\nHost: ").append(host).append("\r\nAccept: application/json\r\n").append(fields);
    if (!cookies.empty()) out.append(cookies).append("\r\n");
    return out.append("\r\n");
}

Result<std::optional<LookupAnswer>> answer_of_status(unsigned status) {
    if (status == 200) return std::optional<LookupAnswer>();
    if (status == 401 || status == 403)
        return std::optional<LookupAnswer>({.kind = LookupAnswer::Kind::kAnonymous, .user = {}});
    return unusable("its status is none of 200, 401 and 403");
}

Result<LookupAnswer> parse_lookup_answer(std::string_view body, const policy::LimitTable& limits) {
    if (body.size() > kLookupBodyBytesMax) return unusable("it is longer than 64 KiB");
    dom::parser parser;
    dom::object object;
    if (parser.allocate(body.size(), kJsonDepthMax) != simdjson::SUCCESS ||
        parser.parse(body.data(), body.size()).get_object().get(object) != simdjson::SUCCESS)
        return unusable("it is no JSON object");
    bool twice = false;
    const Members members{.user = single_member(object, "user", twice),
                          .tier = single_member(object, "tier", twice),
                          .superuser = single_member(object, "superuser", twice),
                          .usage_capped = single_member(object, "usage_capped", twice)};
    if (twice) return unusable("it has a member twice");
    const auto tier = tier_of(members, limits);
    if (!tier) return tier.error();
    LookupAnswer answer;
    answer.kind = LookupAnswer::Kind::kAnonymous;
    if (!members.user) return answer;
    auto user = user_text(*members.user);
    if (!user) return unusable("its 'user' is neither text nor a whole number");
    if (user->size() > kNameBytesMax) return unusable("its 'user' is longer than 256 bytes");
    if (user->empty()) return answer;
    return LookupAnswer{.kind = LookupAnswer::Kind::kUser, .user = *std::move(user), .tier = *tier};
}

void apply_lookup(const LookupAnswer& answer, OnLookupError on_error, Identified& who) {
    const auto set_tier = [&](policy::TierId tier) {
        if (!who.tier_of_proxy) who.caller.tier = tier;
    };
    if (answer.kind == LookupAnswer::Kind::kUser) {
        who.caller.user = answer.user;
        set_tier(answer.tier);
        return;
    }
    if (answer.kind == LookupAnswer::Kind::kFailed && on_error != OnLookupError::kAnonymous) return;
    // The application is the authority: what a token claimed counts for nothing.
    who.caller.user.clear();
    set_tier(policy::kAnonymous);
    std::erase_if(who.caller.attributes, [](const auto& attribute) { return attribute.first.starts_with("claim:"); });
}

}  // namespace weir::identity
