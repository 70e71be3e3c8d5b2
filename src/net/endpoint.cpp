#include "net/endpoint.h"

#include "base/text.h"

namespace weir::net {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
// sockaddr_un::sun_path has 108 bytes, the last of them for the terminator.
constexpr std::size_t kUnixPathBytesMax = 107;

constexpr Error bad(std::string_view detail) {
    return {ErrorCode::kInvalidArgument, ErrorSource::kConfiguration, false, detail};
}

}  // namespace

std::string Endpoint::to_string() const {
    if (is_unix()) return std::string(kUnixPrefix) + unix_path;
    const std::string text = address.to_string();
    return (address.is_v4() ? text : "[" + text + "]") + ":" + std::to_string(port);
}

Result<Endpoint> Endpoint::parse(std::string_view text) {
    Endpoint endpoint;
    if (text.starts_with(kUnixPrefix)) {
        const std::string_view path = text.substr(kUnixPrefix.size());
        if (path.empty()) return bad("a Unix socket needs a path: unix:/run/NAME.sock");
        if (path.size() > kUnixPathBytesMax) return bad("a path of a Unix socket has at most 107 bytes");
        if (path.find('\0') != std::string_view::npos) return bad("a path of a Unix socket has no zero byte");
        endpoint.unix_path = path;
        return endpoint;
    }
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return bad("an address needs a port: 127.0.0.1:8080");
    std::string_view host = text.substr(0, colon);
    const auto port = parse_decimal(text.substr(colon + 1));
    if (!port || *port > 0xFFFF) return bad("a port is a number from 0 to 65535");
    endpoint.port = static_cast<std::uint16_t>(*port);
    if (host.empty() || host == "*") return endpoint;  // [::], which takes IPv4 too

    const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
    if (bracketed) host = host.substr(1, host.size() - 2);
    if (host == "localhost") host = "127.0.0.1";  // RFC 6761 6.3, without asking anybody
    const auto address = IpAddress::parse(host);
    const bool has_colon = host.find(':') != std::string_view::npos;
    if (!address || has_colon != bracketed) {
        return bad("an address is 203.0.113.7:PORT, [2001:db8::1]:PORT, *:PORT or unix:PATH");
    }
    endpoint.address = *address;
    return endpoint;
}

}  // namespace weir::net
