// Path patterns of routes: "/ws/agent-chat/" exact; "/ws/**" any path that starts with "/ws/"; "*" one segment.
//
// Matched after normalising, since that is what upstreams do (the target is forwarded as it came):
// * an escape of a character that may stand in a segment anyway (RFC 3986 3.3, pchar) is that character. This is more
//   than RFC 3986 6.2.2.2 asks for, which stops at unreserved ones: an application that decodes its path takes "%40"
//   for "@", and must not be reached around a route by it. "%2F" stays escaped and separates nothing;
// * a character that may not stand in a path, such as a letter beyond ASCII, equals its escape;
// * repeated slashes are one, dot segments (also "%2e%2e") are removed.
// A trailing slash is significant.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::policy {

class PathPattern {
  public:
    // kInvalidArgument, with what is expected, for a text that is not absolute, has "**" elsewhere than at the end, "*"
    // as a part of a segment, a query, or dot segments.
    [[nodiscard]] static Result<PathPattern> parse(std::string_view text);
    [[nodiscard]] bool matches(std::string_view normalised_path) const;
    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    std::string text_;
    std::vector<std::string> segments_;  // what stands between slashes; "*" is a wildcard, a last "" a trailing slash
    bool prefix_ = false;                // ends in "**", which is not among the segments
};

// The path of a request target (origin or absolute form), normalised. nullopt when it climbs above the root, has a NUL,
// a bad escape, is not absolute, or is longer than kTargetBytesMax.
[[nodiscard]] std::optional<std::string> normalised_path(std::string_view target);

// True when the path of a target has an escaped slash or a backslash, which some applications take for a separator and
// others do not: "/ws%2Fchat/" is "/ws/chat/" to a server that decodes its path before it routes.
[[nodiscard]] bool has_disputed_separator(std::string_view target);
// A normalised path as such an application reads it: escaped slashes and backslashes are "/". To be normalised again.
[[nodiscard]] std::string with_decoded_separators(std::string_view normalised_path);

}  // namespace weir::policy
