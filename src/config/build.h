// From a validated tree to a Config: resolves names, reads the files that the configuration names, and reports what
// only the whole shows. Goes on after a problem, so that all are told at once; the Config counts only when there is
// none.
#pragma once

#include <memory>

#include "config/config.h"
#include "config/document.h"
#include "config/load.h"
#include "config/section.h"

namespace weir::config {

[[nodiscard]] std::shared_ptr<Config> build_config(const Node& root, const Sources& sources, Report& report);

// The names of the built-in tiers and of those that the file adds.
[[nodiscard]] std::vector<std::string> tier_names(const Node& root);

// routes.cpp: `section` is the file; config.upstreams and config.limits are there.
void build_routes(const Section& section, Config& config, Report& report);

// condition.cpp: the condition of a message rule; null when the node is none.
[[nodiscard]] std::unique_ptr<policy::Condition> build_condition(const Node& node, Report& report);

}  // namespace weir::config
