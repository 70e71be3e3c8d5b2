// Client addresses that proxies name: X-Forwarded-For, Forwarded (RFC 7239), and PROXY protocol v1 and v2 (haproxy's
// proxy-protocol.txt).
//
// Pure. Whom to believe is the caller's business (identity/).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/ip_address.h"
#include "base/result.h"

namespace weir::protocol::forwarded {

// More entries than this are not read: no honest chain is so long, and the walk ends at the last one read.
inline constexpr std::size_t kEntriesMax = 64;
// A PROXY v2 header may claim 64 KiB of TLVs; a client that claims more than this is refused (kTooLarge).
inline constexpr std::size_t kProxyHeaderBytesMax = 4096;

// Entries from the nearest proxy outwards (right to left over all fields of the name). An entry that is no address is
// nullopt and ends the walk; nothing behind it is returned. X-Forwarded-For also in the forms with a port:
// "1.2.3.4:80", "[2001:db8::1]:80".
[[nodiscard]] std::vector<std::optional<IpAddress>> x_forwarded_for(std::span<const std::string_view> values);
// The `for` parameters; quoted strings with brackets and port; "unknown" and "_hidden" are no address.
[[nodiscard]] std::vector<std::optional<IpAddress>> forwarded_for(std::span<const std::string_view> values);

struct ProxyHeader {
    std::size_t header_bytes = 0;
    std::optional<IpAddress> source;  // nullopt: UNKNOWN or LOCAL, the peer itself speaks
    std::uint16_t source_port = 0;
};
// The header at the start of `bytes`. nullopt: more bytes are needed. kMalformed: no PROXY header, or one that breaks
// its format.
[[nodiscard]] Result<std::optional<ProxyHeader>> parse_proxy_header(std::string_view bytes);

}  // namespace weir::protocol::forwarded
