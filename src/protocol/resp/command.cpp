#include "protocol/resp/command.h"

#include <array>
#include <charconv>

namespace weir::protocol::resp {
namespace {

class Decimal {
  public:
    explicit Decimal(std::uint64_t value)
        : size_(static_cast<std::size_t>(std::to_chars(digits_.data(), digits_.data() + digits_.size(), value).ptr -
                                         digits_.data())) {}
    [[nodiscard]] std::string_view text() const { return {digits_.data(), size_}; }

  private:
    std::array<char, 20> digits_{};
    std::size_t size_;
};

void append_length(std::string& out, char kind, std::size_t length) {
    out += kind;
    out += Decimal(length).text();
    out += "\r\n";
}

}  // namespace

void append_command_begin(std::string& out, std::size_t arguments) {
    append_length(out, '*', arguments);
}

void append_argument(std::string& out, std::string_view argument) {
    append_length(out, '$', argument.size());
    out += argument;
    out += "\r\n";
}

void append_argument(std::string& out, std::uint64_t argument) {
    append_argument(out, Decimal(argument).text());
}

void append_joined_argument(std::string& out, std::initializer_list<std::string_view> parts) {
    std::size_t bytes = 0;
    for (const std::string_view part : parts) bytes += part.size();
    append_length(out, '$', bytes);
    for (const std::string_view part : parts) out += part;
    out += "\r\n";
}

void append_command(std::string& out, std::span<const std::string_view> arguments) {
    append_command_begin(out, arguments.size());
    for (const std::string_view argument : arguments) append_argument(out, argument);
}

}  // namespace weir::protocol::resp
