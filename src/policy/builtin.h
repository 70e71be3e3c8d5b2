// The limits and tiers that come built in: every number of them stands here, and nowhere else.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string_view>

#include "limit/rate.h"
#include "policy/caller.h"

namespace weir::policy {

// How much of a rate a tier gets, as a fraction.
struct Ratio {
    std::uint64_t numerator = 1;
    std::uint64_t denominator = 1;
};

struct BuiltinTier {
    std::string_view name;
    double multiplier;       // of an operation limit's base rate
    Ratio of_authenticated;  // of a WebSocket limit's authenticated rate; 0: that limit gives the tier its own
};

// In the order of their fixed ids (policy/caller.h).
inline constexpr std::array<BuiltinTier, 4> kBuiltinTiers{{
    {"anonymous", 1, {0, 1}},
    {"authenticated", 2, {0, 1}},
    {"superuser", 10, {10, 1}},
    {"usage_capped", 1, {1, 2}},
}};

inline constexpr std::chrono::seconds kMinute{60};
inline constexpr std::chrono::seconds kHour{3600};

// Limits of WebSocket events: a rate for each of two tiers, of which the others follow.
struct BuiltinWebSocketLimit {
    std::string_view name;
    limit::Rate authenticated;
    limit::Rate anonymous;
};

inline constexpr std::array<BuiltinWebSocketLimit, 3> kBuiltinWebSocketLimits{{
    {"WS_CONNECT", {30, kMinute}, {10, kMinute}},
    {"WS_MESSAGE", {60, kMinute}, {20, kMinute}},
    {"WS_AI_QUERY", {20, kMinute}, {5, kMinute}},
}};

// Limits of operations: a base rate that each tier multiplies.
struct BuiltinOperationLimit {
    std::string_view name;
    limit::Rate base;
};

inline constexpr std::array<BuiltinOperationLimit, 15> kBuiltinOperationLimits{{
    {"AUTH_LOGIN", {5, kMinute}},
    {"AUTH_REGISTER", {3, kMinute}},
    {"AUTH_PASSWORD_RESET", {3, kHour}},
    {"READ_LIGHT", {100, kMinute}},
    {"READ_MEDIUM", {30, kMinute}},
    {"READ_HEAVY", {10, kMinute}},
    {"WRITE_LIGHT", {30, kMinute}},
    {"WRITE_MEDIUM", {10, kMinute}},
    {"WRITE_HEAVY", {5, kMinute}},
    {"AI_ANALYSIS", {5, kMinute}},
    {"AI_EXTRACT", {10, kMinute}},
    {"AI_QUERY", {20, kMinute}},
    {"EXPORT", {5, kHour}},
    {"IMPORT", {10, kHour}},
    {"ADMIN_OPERATION", {100, kMinute}},
}};

}  // namespace weir::policy
