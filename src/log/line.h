// One log line as text, JSON or logfmt-like. Pure: the logger gives the time.
//
//   {"time":"2026-01-31T12:00:00.123Z","level":"info","message":"denied","subject":"user:42","left_out":3}
//   time=2026-01-31T12:00:00.123Z level=info message=denied subject=user:42 left_out=3
//
// Attackers write parts of lines. So every text is cut at kValueBytesMax (at a character's border, and marked by
// "..."), and escaped: in JSON as base/text.h does; in the text form a value is bare only if it is made of harmless
// characters, else it is quoted and escaped as in JSON. A line never holds a line feed.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "log/logger.h"

namespace weir::log {

inline constexpr std::size_t kValueBytesMax = 256;

// Without a line feed at the end.
[[nodiscard]] std::string format_line(Format format, WallTime time, LogLevel level, std::string_view message,
                                      std::initializer_list<LogField> fields);

// "trace", "debug", "info", "warning", "error".
[[nodiscard]] std::string_view level_name(LogLevel level);

}  // namespace weir::log
