// Commands to Redis and Valkey: an array of bulk strings, *N\r\n and then $LENGTH\r\nBYTES\r\n for each argument.
//
// Written here and not by hiredis: redisFormatCommandArgv allocates each command and wants it copied from there, while
// many commands of one turn of the reactor go into one string. Lengths go before bytes, so no argument needs escaping.
//
// Pure.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace weir::protocol::resp {

void append_command(std::string& out, std::span<const std::string_view> arguments);
inline void append_command(std::string& out, std::initializer_list<std::string_view> arguments) {
    append_command(out, std::span(arguments.begin(), arguments.size()));
}

// The same in pieces, for arguments that are written as they are computed: the count of all arguments, then each.
void append_command_begin(std::string& out, std::size_t arguments);
void append_argument(std::string& out, std::string_view argument);
void append_argument(std::string& out, std::uint64_t argument);

// One argument, in parts that stand apart in memory.
void append_joined_argument(std::string& out, std::initializer_list<std::string_view> parts);

}  // namespace weir::protocol::resp
