// The Lua scripts that run inside the shared store: src/store/*.lua, embedded by cmake/WeirScripts.cmake.
//
// A script is asked for by the SHA1 of its text (EVALSHA). A server that does not know it says NOSCRIPT: then SCRIPT
// LOAD on that connection, and the same EVALSHA again. Scripts are lost when a server restarts, fails over, or is told
// SCRIPT FLUSH, so that can happen at any time.
//
// Thread-safe: what is computed once is computed on first use.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"

namespace weir::store {

struct ScriptFile {
    std::string_view name;  // without ".lua"
    std::string_view source;
};
// Made by the build.
[[nodiscard]] std::span<const ScriptFile> script_files();

class Script {
  public:
    // The embedded file of that name, which must be there.
    explicit Script(std::string_view name);

    [[nodiscard]] std::string_view source() const { return source_; }
    [[nodiscard]] std::string_view sha1() const { return sha1_; }  // 40 hexadecimal digits, lower case

    // Appends SCRIPT LOAD; the reply is the SHA1.
    void append_load(std::string& out) const;
    // Appends the beginning of EVALSHA: `keys` keys, then `arguments` others, must follow (protocol/resp/command.h).
    void append_call(std::string& out, std::size_t keys, std::size_t arguments) const;

  private:
    std::string_view source_;
    std::string sha1_;
};

// What reading a reply says that none of our scripts would send.
inline constexpr Error kNoReplyOfScript{ErrorCode::kMalformed, ErrorSource::kStore, false,
                                        "the store's answer is none of the script's"};

}  // namespace weir::store
