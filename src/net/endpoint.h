// Where to listen or connect: an IP address and port, or a path of a Unix socket.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ip_address.h"
#include "base/result.h"

namespace weir::net {

struct Endpoint {
    IpAddress address;
    std::uint16_t port = 0;
    std::string unix_path;  // not empty: a Unix socket, and the other two mean nothing

    [[nodiscard]] bool is_unix() const { return !unix_path.empty(); }
    // "203.0.113.7:80", "[2001:db8::1]:80", "unix:/run/app.sock".
    [[nodiscard]] std::string to_string() const;
    // The same forms back; "*:80" and ":80" are all addresses. Names are not addresses: see gateway/resolved_names.h.
    [[nodiscard]] static Result<Endpoint> parse(std::string_view text);
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

}  // namespace weir::net
