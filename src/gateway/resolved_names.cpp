#include "gateway/resolved_names.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace weir::gateway {
namespace {

std::vector<IpAddress> ask(const std::string& name) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    std::vector<IpAddress> addresses;
    if (::getaddrinfo(name.c_str(), nullptr, &hints, &found) != 0) return addresses;
    for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
        IpAddress address;
        if (entry->ai_family == AF_INET) {
            sockaddr_in v4{};
            std::memcpy(&v4, entry->ai_addr, sizeof v4);
            std::array<std::uint8_t, 4> bytes{};
            std::memcpy(bytes.data(), &v4.sin_addr, bytes.size());
            address = IpAddress::from_v4(bytes);
        } else if (entry->ai_family == AF_INET6) {
            sockaddr_in6 v6{};
            std::memcpy(&v6, entry->ai_addr, sizeof v6);
            IpAddress::Bytes bytes{};
            std::memcpy(bytes.data(), &v6.sin6_addr, bytes.size());
            address = IpAddress::from_v6(bytes);
        } else {
            continue;
        }
        if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) addresses.push_back(address);
    }
    ::freeaddrinfo(found);
    // IPv4 before IPv6: a server that listens on one of the two most often listens on that.
    std::stable_partition(addresses.begin(), addresses.end(), [](const IpAddress& address) { return address.is_v4(); });
    return addresses;
}

}  // namespace

ResolvedNames::~ResolvedNames() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    changed_.notify_all();
    if (thread_.joinable()) thread_.join();
}

void ResolvedNames::watch(const config::Config& config) {
    std::map<std::string, std::vector<IpAddress>> wanted;
    const auto want = [&wanted](const std::string& host) {
        if (!host.empty() && !IpAddress::parse(host)) wanted[host];
    };
    for (const config::Upstream& upstream : config.upstreams) {
        for (const config::UpstreamAddress& address : upstream.addresses) {
            want(address.host);
        }
    }
    if (config.lookup) want(config.lookup->address.host);
    if (config.jwks) want(config.jwks->address.host);
    for (const store::StoreHost& host : config.store.hosts) {
        want(host.host);
    }
    for (auto& [name, addresses] : wanted) {
        addresses = addresses_of(name);
        if (addresses.empty()) addresses = ask(name);
    }
    const std::lock_guard lock(mutex_);
    known_ = std::move(wanted);
    if (!known_.empty() && !thread_.joinable()) thread_ = std::thread([this] { run(); });
}

std::vector<IpAddress> ResolvedNames::addresses_of(const std::string& name) {
    const std::lock_guard lock(mutex_);
    const auto found = known_.find(name);
    return found == known_.end() ? std::vector<IpAddress>() : found->second;
}

void ResolvedNames::run() {
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, kRefresh, [this] { return stopping_; })) {
        std::vector<std::string> names;
        for (const auto& [name, addresses] : known_) names.push_back(name);
        lock.unlock();
        std::map<std::string, std::vector<IpAddress>> answers;
        for (const std::string& name : names) answers[name] = ask(name);
        lock.lock();
        for (auto& [name, addresses] : answers) {
            const auto found = known_.find(name);
            if (found != known_.end() && !addresses.empty()) found->second = std::move(addresses);
        }
    }
}

}  // namespace weir::gateway
