// Names that stand for addresses, as far as they are known now: what a worker asks, so that it never waits for a name
// server. Shared by the workers; filled off the reactor.
#pragma once

#include <string>
#include <vector>

#include "base/ip_address.h"

namespace weir::net {

class NameTable {
  public:
    virtual ~NameTable() = default;
    // The addresses of a name that the configuration has; empty when it can't be resolved (yet).
    [[nodiscard]] virtual std::vector<IpAddress> addresses_of(const std::string& name) = 0;
};

}  // namespace weir::net
