// The members of interest of a JSON object that a peer wrote, where readers may disagree about them: twice with
// different values (or with objects or arrays, which are not compared), under a name that differs in case alone, with a
// NUL in a name, where readers in C stop. What is found is what every reader finds; else the reason why the object
// can't be judged.
//
// Included by sources only: simdjson.h is large. Pure.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <optional>
#include <simdjson.h>
#include <string_view>

#include "policy/member_name.h"

namespace weir::protocol::jsonrpc {

// Empty: nothing to object to. Else why the object can't be judged, in static text.
using Reason = std::string_view;

inline constexpr Reason kCase = "a member's name differs from one of interest in case alone";
inline constexpr Reason kNul = "a NUL within a name";

// What an object says of one member of interest.
struct Seen {
    bool there = false;
    bool exact = false;
    std::size_t index = 0;  // among the object's members
    simdjson::dom::element value;
};

[[nodiscard]] bool has_nul(std::string_view text);
[[nodiscard]] Reason note(Seen& seen, policy::NameMatch match, std::size_t index, const simdjson::dom::element& value);

// Looks for the members called `names`, over all readings of an object.
template <std::size_t kCount>
[[nodiscard]] Reason find_members(const simdjson::dom::object& object,
                                  const std::array<std::string_view, kCount>& names, std::array<Seen, kCount>& seen) {
    std::size_t index = 0;
    for (const auto [name, value] : object) {
        if (has_nul(name)) return kNul;
        for (std::size_t i = 0; i < kCount; ++i) {
            const policy::NameMatch match = policy::match_name(name, names[i]);
            if (match == policy::NameMatch::kNone) continue;
            if (const Reason reason = note(seen[i], match, index, value); !reason.empty()) return reason;
            break;
        }
        ++index;
    }
    const bool folded = std::any_of(seen.begin(), seen.end(), [](const Seen& one) { return one.there && !one.exact; });
    return folded ? kCase : Reason{};
}

// The text of a member, if it is there and not null. A value that is an array or a number is no text, though it turns
// into one as a key of a JavaScript object.
[[nodiscard]] Reason text_of(const Seen& seen, std::optional<std::string_view>& text);

// How the member at `index` of an object is written; `object` is the text that it was parsed from.
[[nodiscard]] std::string_view raw_member(std::string_view object, std::size_t index);

}  // namespace weir::protocol::jsonrpc
