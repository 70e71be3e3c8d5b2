#include "protocol/resp/error_reply.h"

#include <array>

#include "base/text.h"

namespace weir::protocol::resp {
namespace {

struct Row {
    ErrorReply kind;
    std::string_view word;  // what the reply begins with
    std::string_view name;
    bool retryable;
    std::string_view detail;
};

constexpr std::array kRows{
    Row{ErrorReply::kNoScript, "NOSCRIPT", "noscript", true, "the store does not have the script"},
    Row{ErrorReply::kMoved, "MOVED", "moved", true, "another node of the store has the slot"},
    Row{ErrorReply::kAsk, "ASK", "ask", true, "another node of the store has the key"},
    Row{ErrorReply::kTryAgain, "TRYAGAIN", "tryagain", true, "the store is moving the slot"},
    Row{ErrorReply::kClusterDown, "CLUSTERDOWN", "clusterdown", true, "the store's cluster is down"},
    Row{ErrorReply::kLoading, "LOADING", "loading", true, "the store is loading its data"},
    Row{ErrorReply::kReadOnly, "READONLY", "readonly", true, "the store is a replica that can't be written to"},
    Row{ErrorReply::kMasterDown, "MASTERDOWN", "masterdown", true, "the store is a replica without its master"},
    Row{ErrorReply::kOutOfMemory, "OOM", "oom", false, "the store has no memory left (maxmemory)"},
    Row{ErrorReply::kMisconfigured, "MISCONF", "misconf", false, "the store can't persist and refuses writes"},
    Row{ErrorReply::kNoReplicas, "NOREPLICAS", "noreplicas", true, "the store has too few replicas to write"},
    Row{ErrorReply::kBusy, "BUSY", "busy", true, "the store runs a script that does not end"},
    Row{ErrorReply::kBusyKey, "BUSYKEY", "busykey", false, "the store has that key already"},
    Row{ErrorReply::kNoAuth, "NOAUTH", "noauth", false, "the store asks for a password"},
    Row{ErrorReply::kWrongPassword, "WRONGPASS", "wrongpass", false, "the store refuses the user or password"},
    Row{ErrorReply::kNoPermission, "NOPERM", "noperm", false, "the store's user may not run the command"},
    Row{ErrorReply::kWrongType, "WRONGTYPE", "wrongtype", false, "a key of the store holds another type of value"},
    Row{ErrorReply::kBadValue, "BADVALUE", "badvalue", false,
        "a key of the store holds a value that Weir did not write"},
    Row{ErrorReply::kOther, "", "other", false, "the store answered with an error"},
};

constexpr bool rows_are_in_order() {
    for (std::size_t i = 0; i < kRows.size(); ++i) {
        if (static_cast<std::size_t>(kRows[i].kind) != i) return false;
    }
    return static_cast<std::size_t>(ErrorReply::kOther) + 1 == kRows.size();
}
static_assert(rows_are_in_order());

}  // namespace

ErrorReply classify_error(std::string_view text) {
    const std::string_view word = text.substr(0, text.find(' '));
    for (const Row& row : kRows) {
        if (!row.word.empty() && word == row.word) return row.kind;
    }
    // Before ACLs (redis 6), and what redis 6 and 7.0 say to AUTH of a default user.
    if (text.starts_with("ERR invalid password")) return ErrorReply::kWrongPassword;
    return ErrorReply::kOther;
}

Error error_of(ErrorReply kind) {
    const Row& row = kRows[static_cast<std::size_t>(kind)];
    return {ErrorCode::kStoreUnavailable, ErrorSource::kStore, row.retryable, row.detail};
}

std::string_view name_of(ErrorReply kind) {
    return kRows[static_cast<std::size_t>(kind)].name;
}

std::optional<Redirection> parse_redirection(std::string_view text) {
    const std::size_t slot_at = text.find(' ');
    if (slot_at == std::string_view::npos) return std::nullopt;
    const std::size_t host_at = text.find(' ', slot_at + 1);
    if (host_at == std::string_view::npos) return std::nullopt;
    const auto slot = parse_decimal(text.substr(slot_at + 1, host_at - slot_at - 1));
    // The last colon: an IPv6 address has others, and stands without brackets.
    const std::size_t colon = text.rfind(':');
    if (!slot || *slot >= kSlots || colon == std::string_view::npos || colon <= host_at) return std::nullopt;
    const auto port = parse_decimal(text.substr(colon + 1));
    if (!port || *port == 0 || *port > UINT16_MAX) return std::nullopt;
    return Redirection{static_cast<std::uint16_t>(*slot), text.substr(host_at + 1, colon - host_at - 1),
                       static_cast<std::uint16_t>(*port)};
}

}  // namespace weir::protocol::resp
