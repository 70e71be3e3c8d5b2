#include "base/error.h"

#include <array>
#include <cstdio>
#include <cstdlib>

namespace weir {
namespace {

constexpr std::array<ErrorRow, static_cast<std::size_t>(ErrorCode::kCount_)> kRows{{
    {ErrorCode::kMalformed, "malformed", 400, 1002, LogLevel::kInfo},
    {ErrorCode::kTooLarge, "too_large", 413, 1009, LogLevel::kInfo},
    {ErrorCode::kUnsupported, "unsupported", 501, 1003, LogLevel::kInfo},
    {ErrorCode::kTimeout, "timeout", 504, 1001, LogLevel::kInfo},
    {ErrorCode::kConnectionClosed, "closed", 502, 1001, LogLevel::kDebug},
    {ErrorCode::kConnectionReset, "reset", 502, 1001, LogLevel::kDebug},
    {ErrorCode::kConnectionRefused, "refused", 502, 1014, LogLevel::kWarning},
    {ErrorCode::kUnreachable, "unreachable", 502, 1014, LogLevel::kWarning},
    {ErrorCode::kExhausted, "exhausted", 503, 1013, LogLevel::kWarning},
    {ErrorCode::kStoreUnavailable, "store_unavailable", 503, 1013, LogLevel::kError},
    {ErrorCode::kUnauthorized, "unauthorized", 401, 4002, LogLevel::kInfo},
    {ErrorCode::kExpired, "expired", 401, 4001, LogLevel::kInfo},
    {ErrorCode::kForbidden, "forbidden", 403, 1008, LogLevel::kInfo},
    {ErrorCode::kNotFound, "not_found", 404, 1008, LogLevel::kInfo},
    {ErrorCode::kInvalidArgument, "invalid_argument", 400, 1002, LogLevel::kInfo},
    {ErrorCode::kInternal, "internal", 500, 1011, LogLevel::kError},
}};

}  // namespace

const ErrorRow& error_row(ErrorCode code) {
    const auto index = static_cast<std::size_t>(code);
    WEIR_ASSERT(index < kRows.size());
    return kRows[index];
}

void assertion_failed(const char* expression, const char* file, int line) {
    std::fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    std::abort();
}

}  // namespace weir
