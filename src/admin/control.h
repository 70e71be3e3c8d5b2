// What the admin interface may ask of the running gateway: the only door between the two.
//
// Implemented by whoever owns the gateway (cli/); tests have their own. Every member is called on the admin thread, so
// the implementation is safe against the workers, and quick: while it runs, no other scrape is answered.
#pragma once

#include <string>
#include <vector>

namespace weir::admin {

struct Health {
    bool alive = true;   // false: a worker has stopped turning, and a restart is the remedy
    std::string detail;  // a word or two for people, when it is not alive
};

struct Readiness {
    bool ready = true;  // may new connections be sent here
    // Why not: "starting", "draining", "store unreachable". With `ready` they say what is degraded meanwhile.
    std::vector<std::string> reasons;
};

class Control {
  public:
    virtual ~Control() = default;
    [[nodiscard]] virtual Health health() = 0;
    [[nodiscard]] virtual Readiness readiness() = 0;
    [[nodiscard]] virtual std::string metrics_text() = 0;  // Prometheus text format 0.0.4
};

}  // namespace weir::admin
