#include "config/config.h"

namespace weir::config {

const Route* Config::find_route(std::string_view normalised_path) const {
    for (const Route& route : routes) {
        if (route.path.matches(normalised_path)) return &route;
    }
    return nullptr;
}

}  // namespace weir::config
