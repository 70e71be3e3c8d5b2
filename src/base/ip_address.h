// An IP address as a value: 128 bits, IPv4 as IPv4-mapped IPv6 (RFC 4291 2.5.5.2), so that one comparison and
// one prefix match serve both. `Cidr` is an address and a prefix length.
//
// Parsing is strict: dotted decimal without leading zeros, RFC 4291 text for IPv6, no zone, no port, no brackets.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace weir {

class IpAddress {
  public:
    using Bytes = std::array<std::uint8_t, 16>;

    IpAddress() = default;  // ::
    [[nodiscard]] static IpAddress from_v4(std::array<std::uint8_t, 4> bytes);
    [[nodiscard]] static IpAddress from_v6(const Bytes& bytes);
    [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);

    [[nodiscard]] bool is_v4() const;
    [[nodiscard]] const Bytes& bytes() const { return bytes_; }
    // The address with all bits beyond `prefix_bits` (0 to 128 of the 128-bit form) cleared.
    [[nodiscard]] IpAddress masked(unsigned prefix_bits) const;
    // 127.0.0.0/8 (RFC 1122 3.2.1.3) and ::1.
    [[nodiscard]] bool is_loopback() const;
    // "203.0.113.7", "2001:db8::1" (RFC 5952).
    [[nodiscard]] std::string to_string() const;

    friend bool operator==(const IpAddress&, const IpAddress&) = default;
    friend auto operator<=>(const IpAddress&, const IpAddress&) = default;

  private:
    Bytes bytes_{};
};

struct Cidr {
    IpAddress network;           // masked
    unsigned prefix_bits = 128;  // of the 128-bit form: 96 + n for IPv4

    // "10.0.0.0/8", "2001:db8::/32", or a single address. nullopt when it is neither, or has bits set beyond the
    // prefix.
    [[nodiscard]] static std::optional<Cidr> parse(std::string_view text);
    [[nodiscard]] bool contains(const IpAddress& address) const { return address.masked(prefix_bits) == network; }
    [[nodiscard]] std::string to_string() const;
    friend bool operator==(const Cidr&, const Cidr&) = default;
};

}  // namespace weir
