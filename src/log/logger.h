// Log lines, as JSON or text, through spdlog's asynchronous sink (drops rather than blocks).
//
// A line is a message and fields; both are escaped and bounded, since attackers write parts of them. Tokens, cookies
// and message contents never come here: callers have no business to pass them, and tests look for them. Thread-safety:
// any thread.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <variant>

#include "base/error.h"

namespace weir::log {

struct LogField {
    std::string_view name;
    std::variant<std::string_view, std::int64_t, double> value;
};

enum class Format : std::uint8_t { kJson, kText };

class Logger {
  public:
    virtual ~Logger() = default;
    [[nodiscard]] virtual bool enabled(LogLevel level) const = 0;
    virtual void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) = 0;
    virtual void set_level(LogLevel level) = 0;
    virtual void flush() = 0;
};

// Writes to standard error.
[[nodiscard]] std::unique_ptr<Logger> make_logger(LogLevel level, Format format);

}  // namespace weir::log
