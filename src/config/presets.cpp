#include "config/presets.h"

#include <algorithm>

#include "base/text.h"
#include "config/load.h"

namespace weir::config {

namespace {

// What the upstream of every preset is until the user names another.
constexpr std::string_view kPresetUpstream = "http://127.0.0.1:8000";

// As YAML: whatever stands in the argument stays one scalar, and is refused as an upstream if it is none.
std::string yaml_text(std::string_view text) {
    std::string out = "\"";
    std::string escaped;
    append_json_escaped(escaped, text);
    for (const char c : escaped) out.append(c == '$' ? "$$" : std::string(1, c));
    return out.append("\"");
}

}  // namespace

std::string preset_text(std::string_view name, std::string_view upstream_url) {
    const auto preset = std::ranges::find(presets(), name, &Preset::name);
    if (preset == presets().end()) return {};
    std::string text(preset->text);
    if (upstream_url.empty() || upstream_url == kPresetUpstream) return text;
    const std::string entry = "  app: " + std::string(kPresetUpstream);
    std::size_t at = text.find(entry);
    WEIR_ASSERT(at != std::string::npos);
    at += entry.size() - kPresetUpstream.size();
    return text.replace(at, kPresetUpstream.size(), yaml_text(upstream_url));
}

std::vector<std::string> preset_names() {
    std::vector<std::string> names;
    for (const Preset& preset : presets()) names.emplace_back(preset.name);
    return names;
}

}  // namespace weir::config
