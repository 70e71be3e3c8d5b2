#include "log/line.h"

#include <chrono>
#include <cmath>
#include <fmt/format.h>
#include <iterator>

#include "base/text.h"

namespace weir::log {
namespace {

// RFC 3339, UTC, milliseconds.
void append_time(std::string& out, WallTime time) {
    using namespace std::chrono;
    const auto day = floor<days>(time);
    const year_month_day date(day);
    const hh_mm_ss clock(floor<milliseconds>(time - day));
    fmt::format_to(std::back_inserter(out), "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                   static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()), clock.hours().count(),
                   clock.minutes().count(), clock.seconds().count(), clock.subseconds().count());
}

// At most kValueBytesMax bytes, not ending inside a UTF-8 sequence.
std::string_view bounded(std::string_view text, bool& cut) {
    cut = text.size() > kValueBytesMax;
    if (!cut) return text;
    std::size_t end = kValueBytesMax;
    for (int back = 0; back < 3 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U; ++back) --end;
    return text.substr(0, end);
}

void append_quoted(std::string& out, std::string_view text) {
    bool cut = false;
    const std::string_view part = bounded(text, cut);
    out += '"';
    append_json_escaped(out, part);
    if (cut) out += "...";
    out += '"';
}

bool harmless(std::string_view text) {
    if (text.empty() || text.size() > kValueBytesMax) return false;
    for (const char c : text) {
        const bool letter = ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z';
        if (!letter && !ascii_digit(c) && std::string_view("_-./:@+*[]|").find(c) == std::string_view::npos)
            return false;
    }
    return true;
}

void append_text(std::string& out, Format format, std::string_view text) {
    if (format == Format::kText && harmless(text)) {
        out += text;
    } else {
        append_quoted(out, text);
    }
}

void append_number(std::string& out, double value) {
    if (std::isfinite(value)) {
        fmt::format_to(std::back_inserter(out), "{}", value);
    } else {
        out += "null";  // JSON has no other word for it
    }
}

void append_value(std::string& out, Format format, const LogField& field) {
    if (const auto* text = std::get_if<std::string_view>(&field.value)) {
        append_text(out, format, *text);
    } else if (const auto* integer = std::get_if<std::int64_t>(&field.value)) {
        fmt::format_to(std::back_inserter(out), "{}", *integer);
    } else {
        append_number(out, *std::get_if<double>(&field.value));
    }
}

}  // namespace

std::string_view level_name(LogLevel level) {
    switch (level) {
        case LogLevel::kTrace:
            return "trace";
        case LogLevel::kDebug:
            return "debug";
        case LogLevel::kInfo:
            return "info";
        case LogLevel::kWarning:
            return "warning";
        case LogLevel::kError:
            return "error";
    }
    return "error";
}

std::string format_line(Format format, WallTime time, LogLevel level, std::string_view message,
                        std::initializer_list<LogField> fields) {
    const bool json = format == Format::kJson;
    std::string out;
    out.reserve(256);
    out += json ? "{\"time\":\"" : "time=";
    append_time(out, time);
    out += json ? "\",\"level\":\"" : " level=";
    out += level_name(level);
    out += json ? "\",\"message\":" : " message=";
    append_text(out, format, message);
    for (const LogField& field : fields) {
        out += json ? ",\"" : " ";
        out += field.name;
        out += json ? "\":" : "=";
        append_value(out, format, field);
    }
    if (json) out += '}';
    return out;
}

}  // namespace weir::log
