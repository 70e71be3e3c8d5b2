#include "base/ip_address.h"

#include <arpa/inet.h>
#include <charconv>
#include <cstring>

#include "base/error.h"

namespace weir {
namespace {

constexpr IpAddress::Bytes kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0, 0, 0};
constexpr std::size_t kAddressTextMax = INET6_ADDRSTRLEN;

}  // namespace

IpAddress IpAddress::from_v4(std::array<std::uint8_t, 4> bytes) {
    IpAddress address;
    address.bytes_ = kMappedPrefix;
    std::memcpy(address.bytes_.data() + 12, bytes.data(), 4);
    return address;
}

IpAddress IpAddress::from_v6(const Bytes& bytes) {
    IpAddress address;
    address.bytes_ = bytes;
    return address;
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
    if (text.empty() || text.size() >= kAddressTextMax || text.find('\0') != std::string_view::npos)
        return std::nullopt;
    char terminated[kAddressTextMax] = {};
    std::memcpy(terminated, text.data(), text.size());
    if (std::array<std::uint8_t, 4> v4{}; ::inet_pton(AF_INET, terminated, v4.data()) == 1) return from_v4(v4);
    if (Bytes v6{}; ::inet_pton(AF_INET6, terminated, v6.data()) == 1) return from_v6(v6);
    return std::nullopt;
}

bool IpAddress::is_v4() const {
    return std::memcmp(bytes_.data(), kMappedPrefix.data(), 12) == 0;
}

IpAddress IpAddress::masked(unsigned prefix_bits) const {
    WEIR_ASSERT(prefix_bits <= 128);
    IpAddress result = *this;
    for (unsigned i = 0; i < 16; ++i) {
        const unsigned bits_before = i * 8;
        if (bits_before >= prefix_bits) {
            result.bytes_[i] = 0;
        } else if (prefix_bits - bits_before < 8) {
            result.bytes_[i] &= static_cast<std::uint8_t>(0xFF00U >> (prefix_bits - bits_before));
        }
    }
    return result;
}

bool IpAddress::is_loopback() const {
    static const Cidr kV4 = *Cidr::parse("127.0.0.0/8");
    static const Cidr kV6 = *Cidr::parse("::1/128");
    return kV4.contains(*this) || kV6.contains(*this);
}

std::string IpAddress::to_string() const {
    char text[kAddressTextMax] = {};
    if (is_v4()) {
        // By hand, as every refused connection is logged by its address and inet_ntop goes through printf.
        char* end = text;
        for (std::size_t i = 12; i < bytes_.size(); ++i) {
            if (i > 12) *end++ = '.';
            end = std::to_chars(end, text + sizeof text, bytes_[i]).ptr;
        }
        return {text, end};
    }
    ::inet_ntop(AF_INET6, bytes_.data(), text, sizeof text);
    return text;
}

std::optional<Cidr> Cidr::parse(std::string_view text) {
    const std::size_t slash = text.find('/');
    const auto address = IpAddress::parse(text.substr(0, slash));
    if (!address) return std::nullopt;
    const unsigned offset = address->is_v4() ? 96 : 0;
    unsigned bits = 128 - offset;
    if (slash != std::string_view::npos) {
        const std::string_view digits = text.substr(slash + 1);
        const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), bits);
        if (error != std::errc{} || end != digits.data() + digits.size() || bits > 128 - offset) return std::nullopt;
    }
    Cidr cidr{*address, offset + bits};
    if (cidr.network.masked(cidr.prefix_bits) != cidr.network) return std::nullopt;
    return cidr;
}

std::string Cidr::to_string() const {
    const unsigned bits = network.is_v4() && prefix_bits >= 96 ? prefix_bits - 96 : prefix_bits;
    return network.to_string() + "/" + std::to_string(bits);
}

}  // namespace weir
