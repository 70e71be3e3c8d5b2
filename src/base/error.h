// What can go wrong, whose fault it is, and how each fault shows outside.
//
// Peers cause errors; programmers cause assertion failures (`WEIR_ASSERT`, on in release too). A denied
// event is not an error but a limit::Decision.
//
// One table (`error_row`) maps a code to its HTTP status, WebSocket close code, metric label and log level, so
// that no two places answer one fault differently. error_test.cpp checks that every enumerator has its row.
// Errors are values without allocation; `detail` points to static text.
#pragma once

#include <cstdint>
#include <string_view>

namespace weir {

enum class ErrorCode : std::uint8_t {
    kMalformed,          // bytes that break their protocol
    kTooLarge,           // a head, body, message or value beyond its bound
    kUnsupported,        // well-formed, and not spoken here
    kTimeout,            // a peer was too slow
    kConnectionClosed,   // the peer closed in the middle
    kConnectionReset,    // the peer, or the network, reset
    kConnectionRefused,  // nobody listens there
    kUnreachable,        // no route, no such name, no such socket
    kExhausted,          // a bound of ours (connections, buffers, descriptors)
    kStoreUnavailable,   // the store of buckets can't answer
    kUnauthorized,       // a credential that does not verify
    kExpired,            // a credential past its time
    kForbidden,          // refused by configuration
    kNotFound,
    kInvalidArgument,  // a value that is out of its range or form
    kInternal,
    kCount_,
};

enum class ErrorSource : std::uint8_t { kDownstream, kUpstream, kStore, kConfiguration, kInternal };

struct Error {
    ErrorCode code = ErrorCode::kInternal;
    ErrorSource source = ErrorSource::kInternal;
    bool retryable = false;
    std::string_view detail = {};  // static text

    friend bool operator==(const Error&, const Error&) = default;
};

enum class LogLevel : std::uint8_t { kTrace, kDebug, kInfo, kWarning, kError };

struct ErrorRow {
    ErrorCode code;
    std::string_view label;         // metric label and log field
    std::uint16_t http_status;      // when the downstream client is to hear of it
    std::uint16_t websocket_close;  // RFC 6455 7.4
    LogLevel log_level;
};

[[nodiscard]] const ErrorRow& error_row(ErrorCode code);

// Called by WEIR_ASSERT: prints where and what, and aborts.
[[noreturn]] void assertion_failed(const char* expression, const char* file, int line);

}  // namespace weir

#define WEIR_ASSERT(expression) \
    (static_cast<bool>(expression) ? static_cast<void>(0) : ::weir::assertion_failed(#expression, __FILE__, __LINE__))
