// What was logged, as tests read it: one line of text each, its message and the fields that are texts.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <variant>

#include "log/logger.h"

namespace weir::log {

class LogLines final : public Logger {
  public:
    bool enabled(LogLevel) const override { return true; }
    void write(LogLevel, std::string_view message, std::initializer_list<LogField> fields) override {
        text.append(message);
        for (const LogField& field : fields) {
            if (const auto* value = std::get_if<std::string_view>(&field.value)) text.append(" ").append(*value);
        }
        text.append("\n");
    }
    void set_level(LogLevel) override {}
    void flush() override {}
    std::string text;
};

}  // namespace weir::log
