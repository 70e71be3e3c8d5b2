// Parsing JSON of a peer with a parser that is kept: its memory grows in steps, and nesting ends at kJsonDepthMax.
//
// Included by sources only: simdjson.h is large. Pure.
#pragma once

#include <simdjson.h>
#include <string_view>

#include "policy/content.h"

namespace weir::policy {

static_assert(kJsonPadding >= simdjson::SIMDJSON_PADDING);

// `text` has at least kJsonPadding readable bytes behind. Strings of `root` are the parser's: they live until it parses
// again, and outlive `text`.
[[nodiscard]] simdjson::error_code parse_bounded(simdjson::dom::parser& parser, std::string_view text,
                                                 simdjson::dom::element& root);

}  // namespace weir::policy
