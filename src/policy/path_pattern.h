// Path patterns of routes: "/ws/agent-chat/" exact; "/ws/**" any path that starts with "/ws/"; "*" one segment.
//
// Matched after normalising (RFC 3986 6.2.2: percent-encoded unreserved characters decoded, dot segments removed, and
// repeated slashes merged), since that is what upstreams do; the target is forwarded as it came.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::policy {

class PathPattern {
  public:
    [[nodiscard]] static Result<PathPattern> parse(std::string_view text);
    [[nodiscard]] bool matches(std::string_view normalised_path) const;
    [[nodiscard]] const std::string& text() const { return text_; }

  private:
    std::string text_;
    std::vector<std::string> segments_;  // "*" is a wildcard
    bool prefix_ = false;                // ends in "**"
};

// The path of a request target, normalised. nullopt when it climbs above the root, has a NUL, a bad escape or is not
// absolute.
[[nodiscard]] std::optional<std::string> normalised_path(std::string_view target);

}  // namespace weir::policy
