#include "store/store_address.h"

#include <algorithm>
#include <array>

#include "base/ip_address.h"
#include "base/text.h"

namespace weir::store {
namespace {

constexpr std::size_t kUnixPathMax = 107;  // sockaddr_un, without its NUL
constexpr std::string_view kDatabaseReason = "the number of a database is from 0 to 65535";

struct Scheme {
    std::string_view name;
    StoreKind kind;
    bool tls;
    bool unix_socket;
};
constexpr std::array<Scheme, 8> kSchemes{{{"redis://", StoreKind::kServer, false, false},
                                          {"rediss://", StoreKind::kServer, true, false},
                                          {"redis+unix://", StoreKind::kServer, false, true},
                                          {"unix:", StoreKind::kServer, false, true},
                                          {"redis+cluster://", StoreKind::kCluster, false, false},
                                          {"rediss+cluster://", StoreKind::kCluster, true, false},
                                          {"redis+sentinel://", StoreKind::kSentinel, false, false},
                                          {"rediss+sentinel://", StoreKind::kSentinel, true, false}}};

const Scheme* scheme_of(std::string_view text) {
    const auto found = std::ranges::find_if(kSchemes, [&](const Scheme& each) { return text.starts_with(each.name); });
    return found == kSchemes.end() ? nullptr : &*found;
}

std::optional<unsigned> hex_digit(char c) {
    if (ascii_digit(c)) return static_cast<unsigned>(c - '0');
    const char lower = ascii_lower(c);
    if (lower >= 'a' && lower <= 'f') return static_cast<unsigned>(lower - 'a') + 10;
    return std::nullopt;
}

std::optional<std::string> percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out.push_back(text[i]);
            continue;
        }
        if (i + 2 >= text.size()) return std::nullopt;
        const auto high = hex_digit(text[i + 1]);
        const auto low = hex_digit(text[i + 2]);
        if (!high || !low) return std::nullopt;
        out.push_back(static_cast<char>(*high << 4U | *low));
        i += 2;
    }
    return out;
}

bool is_name(std::string_view text) {
    return !text.empty() && text.size() <= 253 && std::ranges::all_of(text, [](char c) {
        const char lower = ascii_lower(c);
        return (lower >= 'a' && lower <= 'z') || ascii_digit(c) || c == '-' || c == '.' || c == '_';
    });
}

// "HOST", "HOST:PORT", "[::1]:PORT".
std::optional<StoreHost> parse_host(std::string_view text, std::uint16_t standard_port, std::string& reason) {
    StoreHost host{.host = {}, .port = standard_port, .unix_path = {}};
    std::string_view port;
    if (text.starts_with('[')) {
        const std::size_t bracket = std::min(text.find(']'), text.size());
        host.host = text.substr(1, bracket - 1);
        const auto address = IpAddress::parse(host.host);
        if (bracket == text.size() || !address || host.host.find(':') == std::string::npos) {
            reason = "between brackets stands an IPv6 address";
            return std::nullopt;
        }
        port = text.substr(bracket + 1);
    } else {
        const std::size_t colon = std::min(text.find(':'), text.size());
        host.host = text.substr(0, colon);
        if (!is_name(host.host)) {
            reason = host.host.empty() ? "a host is missing" : "a host is a name, an IPv4 address or [IPv6]";
            return std::nullopt;
        }
        port = text.substr(colon);
    }
    if (port.empty()) return host;
    const auto number = port.front() == ':' ? parse_decimal(port.substr(1)) : std::nullopt;
    if (!number || *number == 0 || *number > 65535) {
        reason = "a port is a number from 1 to 65535";
        return std::nullopt;
    }
    host.port = static_cast<std::uint16_t>(*number);
    return host;
}

bool parse_database(std::string_view text, StoreAddress& address, std::string& reason) {
    const auto number = parse_decimal(text);
    if (!number || *number > kDatabaseMax) {
        reason = kDatabaseReason;
        return false;
    }
    address.database = *number;
    return true;
}

bool parse_credentials(std::string_view text, StoreAddress& address, std::string& reason) {
    const std::size_t colon = text.find(':');
    if (colon == std::string_view::npos) {
        reason = "credentials are USER:PASSWORD@ or :PASSWORD@";
        return false;
    }
    const auto user = percent_decoded(text.substr(0, colon));
    const auto password = percent_decoded(text.substr(colon + 1));
    if (!user || !password) {
        reason = "a '%' in credentials begins a two-digit hexadecimal number (%25 is a '%')";
        return false;
    }
    if (password->empty()) {
        reason = "the password is empty";
        return false;
    }
    address.user = *user;
    address.password = *password;
    return true;
}

bool parse_unix(std::string_view rest, StoreAddress& address, std::string& reason) {
    const std::size_t query = std::min(rest.find('?'), rest.size());
    const std::string_view path = rest.substr(0, query);
    if (!path.starts_with('/') || path.size() > kUnixPathMax || path.find('\0') != std::string_view::npos) {
        reason = "the path of a Unix socket starts with / and has at most 107 bytes";
        return false;
    }
    address.hosts.push_back({.host = {}, .port = 0, .unix_path = std::string(path)});
    if (query == rest.size()) return true;
    const std::string_view parameter = rest.substr(query + 1);
    if (parameter.starts_with("db=")) return parse_database(parameter.substr(3), address, reason);
    reason = "behind the path of a Unix socket may stand ?db=N alone";
    return false;
}

bool parse_hosts(std::string_view list, StoreAddress& address, std::string& reason) {
    const std::uint16_t port = address.kind == StoreKind::kSentinel ? kSentinelPort : kRedisPort;
    for (bool more = true; more;) {
        const std::size_t comma = std::min(list.find(','), list.size());
        const auto host = parse_host(list.substr(0, comma), port, reason);
        if (!host) return false;
        if (std::ranges::find(address.hosts, *host) == address.hosts.end()) address.hosts.push_back(*host);
        more = comma < list.size();
        if (more) list.remove_prefix(comma + 1);
    }
    if (address.kind == StoreKind::kServer && address.hosts.size() > 1) {
        reason = "one server has one address; several are redis+cluster:// or redis+sentinel://";
        return false;
    }
    if (address.hosts.size() > kStoreHostsMax) {
        reason = "at most 32 hosts are named";
        return false;
    }
    return true;
}

// What stands behind the hosts, without its '/'.
bool parse_path(std::string_view path, StoreAddress& address, std::string& reason) {
    if (address.kind == StoreKind::kSentinel) {
        const std::size_t slash = std::min(path.find('/'), path.size());
        address.master = path.substr(0, slash);
        if (!is_name(address.master)) {
            reason = "behind the Sentinels stands the name of the master: redis+sentinel://HOST:26379/MASTER";
            return false;
        }
        path = slash == path.size() ? std::string_view{} : path.substr(slash + 1);
    }
    if (path.empty()) return true;
    if (address.kind == StoreKind::kCluster) {
        reason = "a cluster has no numbered databases";
        return false;
    }
    return parse_database(path, address, reason);
}

}  // namespace

std::string StoreHost::to_string() const {
    if (!unix_path.empty()) return "unix:" + unix_path;
    const std::string name = host.find(':') == std::string::npos ? host : "[" + host + "]";
    return name + ":" + std::to_string(port);
}

std::string StoreAddress::to_string() const {
    if (kind == StoreKind::kMemory) return "memory";
    const bool unix_socket = !hosts.empty() && !hosts.front().unix_path.empty();
    if (unix_socket) {
        return "unix:" + hosts.front().unix_path + (database > 0 ? "?db=" + std::to_string(database) : "");
    }
    std::string out = tls ? "rediss" : "redis";
    out += kind == StoreKind::kCluster ? "+cluster://" : kind == StoreKind::kSentinel ? "+sentinel://" : "://";
    for (std::size_t i = 0; i < hosts.size(); ++i) out += (i > 0 ? "," : "") + hosts[i].to_string();
    if (!master.empty()) out += "/" + master;
    if (database > 0) out += "/" + std::to_string(database);
    return out;
}

std::optional<StoreAddress> parse_store_address(std::string_view text, std::string& reason) {
    StoreAddress address;
    if (text == "memory") return address;
    const Scheme* scheme = scheme_of(text);
    if (scheme == nullptr) return std::nullopt;
    address.kind = scheme->kind;
    address.tls = scheme->tls;
    std::string_view rest = text.substr(scheme->name.size());
    if (!std::ranges::all_of(rest, [](char c) { return c > ' ' && c < 0x7F; })) {
        reason = "an address has printable ASCII without spaces";
        return std::nullopt;
    }
    if (const std::size_t at = rest.rfind('@'); at != std::string_view::npos) {
        if (!parse_credentials(rest.substr(0, at), address, reason)) return std::nullopt;
        rest.remove_prefix(at + 1);
    }
    if (scheme->unix_socket) {
        if (!parse_unix(rest, address, reason)) return std::nullopt;
        return address;
    }
    if (rest.find_first_of("?#") != std::string_view::npos) {
        reason = "an address has no query; the database stands in the path: redis://HOST:6379/1";
        return std::nullopt;
    }
    const std::size_t slash = std::min(rest.find('/'), rest.size());
    if (!parse_hosts(rest.substr(0, slash), address, reason)) return std::nullopt;
    const std::string_view path = slash == rest.size() ? std::string_view{} : rest.substr(slash + 1);
    if (!parse_path(path, address, reason)) return std::nullopt;
    return address;
}

std::string without_password(std::string_view text) {
    const std::size_t scheme = text.find("://");
    const std::size_t begin = scheme != std::string_view::npos ? scheme + 3 : text.starts_with("unix:") ? 5 : 0;
    std::string out(text);
    const std::size_t at = text.rfind('@');
    if (at != std::string_view::npos && at >= begin) out.replace(begin, at - begin, "***");
    return out;
}

}  // namespace weir::store
