#include "config/config.h"

namespace weir::config {

const Route* Config::find_route(std::string_view normalised_path) const {
    for (const Route& route : routes) {
        if (route.path.matches(normalised_path)) return &route;
    }
    return nullptr;
}

Result<const Route*> Config::route_of_target(std::string_view target) const {
    const auto refused = [](ErrorCode code, std::string_view detail) {
        return Error{code, ErrorSource::kDownstream, false, detail};
    };
    const auto path = policy::normalised_path(target);
    if (!path) return refused(ErrorCode::kMalformed, "the request target is not a path that can be matched");
    const Route* route = find_route(*path);
    if (policy::has_disputed_separator(target)) {
        const auto decoded = policy::normalised_path(policy::with_decoded_separators(*path));
        if (!decoded || find_route(*decoded) != route) {
            return refused(ErrorCode::kMalformed, "the request target can be read in two ways");
        }
    }
    if (route == nullptr) return refused(ErrorCode::kNotFound, "no route matches this path");
    return route;
}

}  // namespace weir::config
