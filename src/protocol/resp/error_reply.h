// What an error reply of Redis or Valkey says about us, the server and the cluster, by its first word.
// The words: "Redis serialization protocol", "Redis cluster specification", and redis 7.0's createSharedObjects.
//
// Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace weir::protocol::resp {

enum class ErrorReply : std::uint8_t {
    kNoScript,       // NOSCRIPT: load the script and ask again
    kMoved,          // MOVED SLOT HOST:PORT: another node has the slot from now on
    kAsk,            // ASK SLOT HOST:PORT: another node has this key already; ASKING, once
    kTryAgain,       // TRYAGAIN: the keys of a slot on its way lie on two nodes
    kClusterDown,    // CLUSTERDOWN: the slot has no node
    kLoading,        // LOADING: reads its data from disk
    kReadOnly,       // READONLY: a replica, which was the master before a fail-over
    kMasterDown,     // MASTERDOWN: a replica without its master
    kOutOfMemory,    // OOM: beyond maxmemory
    kMisconfigured,  // MISCONF: can't persist, and refuses writes for that
    kNoReplicas,     // NOREPLICAS: fewer than min-replicas-to-write
    kBusy,           // BUSY: runs a script for too long
    kBusyKey,        // BUSYKEY: the key is there
    kNoAuth,         // NOAUTH: asks for a password that we did not send
    kWrongPassword,  // WRONGPASS, or ERR invalid password
    kNoPermission,   // NOPERM: an ACL forbids it
    kWrongType,      // WRONGTYPE: our key holds what we did not put there
    kBadValue,       // BADVALUE: our own scripts' word for a value that they can't read
    kOther,
};

// `text` is that of a reply of kind kError, without the "-".
[[nodiscard]] ErrorReply classify_error(std::string_view text);

// The error that it means for whoever asked, with static text; retryable where the same question, asked again soon or
// of another server, may be answered.
[[nodiscard]] Error error_of(ErrorReply kind);

// The word of the metric's label and the log: "noscript", "moved", ..., "other".
[[nodiscard]] std::string_view name_of(ErrorReply kind);

// "MOVED 3999 127.0.0.1:6381": where to go. An empty host means the host that was asked (redis 7). `host` points into
// `text`.
struct Redirection {
    std::uint16_t slot = 0;
    std::string_view host;
    std::uint16_t port = 0;
};
inline constexpr std::uint16_t kSlots = 16'384;
[[nodiscard]] std::optional<Redirection> parse_redirection(std::string_view text);

}  // namespace weir::protocol::resp
