// The limits that a configuration's rules name: from a scalar or a list of the file to ids, with what is wrong with it.
#pragma once

#include <string>
#include <vector>

#include "config/document.h"
#include "config/section.h"
#include "policy/limits.h"

namespace weir::config {

class LimitNames {
  public:
    LimitNames(const policy::LimitTable& limits, Report& report);

    // A limit, a list of which all must admit, or `none`: an empty list, and `unlimited` is true.
    [[nodiscard]] std::vector<policy::LimitId> read(const Section& section, std::string_view key,
                                                    bool* unlimited = nullptr) const;
    [[nodiscard]] std::vector<policy::LimitId> read(const Node& value, const Place& place,
                                                    bool* unlimited = nullptr) const;

  private:
    [[nodiscard]] std::string unknown(const std::string& name) const;

    const policy::LimitTable& limits_;
    Report& report_;
    std::vector<std::string> names_;
};

}  // namespace weir::config
