// A configuration of any bytes: it is valid, or there is at least one error and each has its place in the text. What is
// valid is printed in full and loads again to the same print; the print as JSON is made too.
//
// Nothing outside is read: the environment is made up, and the one file that a configuration may name is a key set.
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "config/load.h"

namespace {

using weir::config::Problem;
using weir::config::Sources;

constexpr std::string_view kKeySet =
    R"({"keys": [{"kty": "oct", "k": "c2VjcmV0IHNlY3JldCBzZWNyZXQgc2VjcmV0ISE", "alg": "HS256"}]})";

Sources sources_of(std::string text) {
    Sources sources;
    sources.text = std::move(text);
    sources.environment = {"WORD=word", "NUMBER=5",       "EMPTY=",       "YES=true",
                           "RATE=3/m",  "ODD=a: [b, $c}", "PATH_A=/a/**", "SECRET=0123456789abcdef0123456789abcdef"};
    sources.read_file = [](const std::string& path, std::string& content) {
        content = kKeySet;
        return path == "keys.json";
    };
    return sources;
}

// The characters of each line; one more line than there are line ends, and one more column than there are characters,
// for what should stand behind them.
std::vector<int> line_lengths(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    std::vector<int> lengths{0};
    for (const char c : text) {
        if (c == '\n') {
            lengths.push_back(0);
        } else if ((static_cast<unsigned char>(c) & 0xC0U) != 0x80U) {
            ++lengths.back();
        }
    }
    return lengths;
}

void check_places(const std::vector<Problem>& problems, const Sources& sources) {
    const std::vector<int> lengths = line_lengths(sources.text);
    for (const Problem& problem : problems) {
        WEIR_ASSERT(!problem.message.empty());
        WEIR_ASSERT(problem.file == sources.file_name);
        WEIR_ASSERT(problem.line >= 1 && static_cast<std::size_t>(problem.line) <= lengths.size());
        // A line end, and the byte that is no character, have a column as well.
        WEIR_ASSERT(problem.column >= 1 && problem.column <= lengths[static_cast<std::size_t>(problem.line) - 1] + 2);
    }
}

// A secret is never printed; the one that stands in its place verifies no token, and is as good a secret.
std::string with_secret(std::string text) {
    constexpr std::string_view kHidden = "secret: \"***\"";
    const std::size_t at = text.find(kHidden);
    if (at != std::string::npos) text.replace(at, kHidden.size(), "secret: ${SECRET}");
    return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Sources sources = sources_of(std::string(reinterpret_cast<const char*>(data), size));
    const auto loaded = weir::config::load(sources);
    WEIR_ASSERT((loaded.config != nullptr) == loaded.problems.empty());
    check_places(loaded.problems, sources);
    check_places(loaded.warnings, sources);
    const std::string print = weir::config::effective_text(sources, false);
    WEIR_ASSERT(print.empty() == (loaded.config == nullptr));
    if (print.empty()) return 0;
    const Sources again = sources_of(with_secret(print));
    const auto reloaded = weir::config::load(again);
    WEIR_ASSERT(reloaded.problems.empty());
    WEIR_ASSERT(weir::config::effective_text(again, false) == print);
    // JSON tells text from what only looks alike.
    WEIR_ASSERT(weir::config::effective_text(again, true) == weir::config::effective_text(sources, true));
    return 0;
}
