// Who sent an event, as identity/ found it out, and the subjects that limits count it under.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/ip_address.h"

namespace weir::policy {

// Index into the tier table of the configuration. The four built-in tiers have fixed indexes.
using TierId = std::uint16_t;
inline constexpr TierId kAnonymous = 0;
inline constexpr TierId kAuthenticated = 1;
inline constexpr TierId kSuperuser = 2;
inline constexpr TierId kUsageCapped = 3;

struct Caller {
    std::string user;  // empty: nobody known
    TierId tier = kAnonymous;
    IpAddress address;          // the client's, after proxies; not yet grouped
    bool address_known = true;  // false: a unix-socket peer that told no address; counted as "ip:unix"
    // What `per: "claim:NAME"` and `per: "header:NAME"` of the configured limits ask for, and only that.
    // Keys as written in the configuration ("claim:org_id"); an absent one makes the limit fall back to the caller.
    std::vector<std::pair<std::string, std::string>> attributes;
};

// How a limit names who is counted.
enum class SubjectKind : std::uint8_t { kCaller, kIp, kUser, kConnection, kGlobal, kAttribute };

struct SubjectPart {
    SubjectKind kind = SubjectKind::kCaller;
    std::string attribute;  // kAttribute: "claim:org_id", "header:x-org"
    friend bool operator==(const SubjectPart&, const SubjectPart&) = default;
};

// "ip", "user", "connection", "global", "claim:NAME", "header:NAME" (header names in lower case: they ignore it);
// nullopt when it is none of them.
[[nodiscard]] std::optional<SubjectPart> parse_subject_part(std::string_view text);

// Settings that subjects depend on.
struct SubjectOptions {
    unsigned ipv6_prefix_bits = 64;
};

// "user:42", "ip:203.0.113.7", "ip:2001:db8:1:2::/64", "connection:17", "global", "claim:org_id:acme"; several parts
// are joined by "|", equal ones once. No parts: the caller. A `per: user` without a user counts the address, an absent
// claim or header the caller. `connection_id` is unique in the process, and should start elsewhere in the next one when
// counters survive a restart.
//
// Two callers never share a subject by how their names are written: what a client can choose is percent-encoded where
// it would end a part or the bucket's name ('%', '{', '}', '|', control characters), in an attribute's name ':' too. A
// ':' in a value stays, since nothing follows a value in its part.
[[nodiscard]] std::string subject_of(const Caller& caller, const std::vector<SubjectPart>& parts,
                                     std::uint64_t connection_id, const SubjectOptions& options);

// The subject of a user's name as operators write it: "42" is "user:42".
[[nodiscard]] std::string user_subject(std::string_view user);

// The address part alone: "203.0.113.7", "2001:db8:1:2::/64", or "unix" when no address is known.
[[nodiscard]] std::string address_group(const Caller& caller, const SubjectOptions& options);

}  // namespace weir::policy
