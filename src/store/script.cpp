#include "store/script.h"

#include <algorithm>
#include <array>
#include <openssl/evp.h>

#include "base/error.h"
#include "protocol/resp/command.h"

namespace weir::store {
namespace {

std::string sha1_of(std::string_view text) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    WEIR_ASSERT(EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr) == 1 && size == 20);
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string hex;
    for (unsigned i = 0; i < size; ++i) {
        hex += kDigits[digest[i] >> 4U];
        hex += kDigits[digest[i] & 15U];
    }
    return hex;
}

}  // namespace

Script::Script(std::string_view name) {
    const auto files = script_files();
    const auto file = std::find_if(files.begin(), files.end(), [&](const ScriptFile& f) { return f.name == name; });
    WEIR_ASSERT(file != files.end());
    source_ = file->source;
    sha1_ = sha1_of(source_);
}

void Script::append_load(std::string& out) const {
    protocol::resp::append_command(out, {"SCRIPT", "LOAD", source_});
}

void Script::append_call(std::string& out, std::size_t keys, std::size_t arguments) const {
    protocol::resp::append_command_begin(out, 3 + keys + arguments);
    protocol::resp::append_argument(out, "EVALSHA");
    protocol::resp::append_argument(out, sha1_);
    protocol::resp::append_argument(out, static_cast<std::uint64_t>(keys));
}

}  // namespace weir::store
