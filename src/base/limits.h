// The compile-time bounds of the program: everything a peer can make us hold has one, and here they stand together.
// What a user may set is in config/schema.h.
#pragma once

#include <cstddef>
#include <cstdint>

namespace weir {

// HTTP (RFC 9112). A head beyond this is 431 (request) or 502 (response).
inline constexpr std::size_t kHeaderBytesMax = 32 * 1024;
inline constexpr std::size_t kHeaderFieldsMax = 128;
inline constexpr std::size_t kTargetBytesMax = 16 * 1024;
static_assert(kTargetBytesMax < kHeaderBytesMax);

// WebSocket (RFC 6455).
inline constexpr std::size_t kFrameHeaderBytesMax = 14;
inline constexpr std::size_t kControlPayloadBytesMax = 125;
inline constexpr std::size_t kCloseReasonBytesMax = 123;

// A rule names at most so many limits.
inline constexpr std::size_t kLimitsPerRuleMax = 8;
// One event is covered by at most so many buckets: those of a rule, or of all the rules that a GraphQL request or a
// batch of calls counts under.
inline constexpr std::size_t kBucketsPerEventMax = 16;
static_assert(kBucketsPerEventMax >= kLimitsPerRuleMax);

// Tokens longer than this are not verified but invalid.
inline constexpr std::size_t kTokenBytesMax = 8 * 1024;

// Penalties: subjects whose denials are counted, subjects that are blocked at once, and how much of a name is kept.
inline constexpr std::size_t kDenialCountersMax = 64 * 1024;
inline constexpr std::size_t kBlocksMax = 16 * 1024;
inline constexpr std::size_t kBlockedSubjectBytesMax = 256;

// Nesting that is followed in JSON; deeper is "can't be judged".
inline constexpr std::size_t kJsonDepthMax = 64;

// Nesting that is followed in a GraphQL document, of selection sets and of values; deeper is refused.
inline constexpr std::size_t kGraphqlNestingMax = 200;

// Buffers (net/slice.h).
inline constexpr std::size_t kBlockBytes = 64 * 1024;
// A socket that owes its peer more than this makes the other side stop reading; half of it resumes.
inline constexpr std::size_t kSendQueueHighBytes = 128 * 1024;
inline constexpr std::size_t kSendQueueLowBytes = kSendQueueHighBytes / 2;
static_assert(kSendQueueHighBytes >= kBlockBytes);

}  // namespace weir
