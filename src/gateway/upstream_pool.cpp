#include "gateway/upstream_pool.h"

#include <algorithm>

namespace weir::gateway {

UpstreamPool::UpstreamPool(const std::vector<config::Upstream>& upstreams, net::NameTable& names,
                           std::uint64_t idle_max)
    : names_(names), idle_max_(idle_max) {
    for (const config::Upstream& configured : upstreams) {
        Upstream upstream;
        for (const config::UpstreamAddress& address : configured.addresses) {
            if (upstream.addresses.size() == kAddressesMax) break;
            Address entry;
            entry.configured = address;
            if (!address.unix_path.empty()) {
                entry.literal = net::Endpoint{.address = {}, .port = 0, .unix_path = address.unix_path};
            } else if (const auto ip = IpAddress::parse(address.host)) {
                entry.literal = net::Endpoint{.address = *ip, .port = address.port, .unix_path = {}};
            }
            upstream.addresses.push_back(std::move(entry));
        }
        upstreams_.push_back(std::move(upstream));
    }
}

std::optional<AddressRef> UpstreamPool::next(std::size_t upstream, std::uint64_t tried, MonoTime now) {
    Upstream& chosen = upstreams_[upstream];
    const std::size_t count = chosen.addresses.size();
    std::optional<std::size_t> fallback;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t index = (chosen.turn + i) % count;
        if ((tried >> index & 1U) != 0) continue;
        Address& address = chosen.addresses[index];
        if (address.left_out && now < address.left_out_until) {
            if (!fallback) fallback = index;
            continue;
        }
        chosen.turn = (index + 1) % count;
        return AddressRef{upstream, index};
    }
    if (!fallback) return std::nullopt;
    chosen.turn = (*fallback + 1) % count;
    return AddressRef{upstream, *fallback};
}

std::optional<net::Endpoint> UpstreamPool::endpoint_of(const AddressRef& ref) {
    Address& address = upstreams_[ref.upstream].addresses[ref.address];
    if (address.literal) return address.literal;
    const auto known = names_.addresses_of(address.configured.host);
    if (known.empty()) return std::nullopt;
    return net::Endpoint{
        .address = known[address.name_turn++ % known.size()], .port = address.configured.port, .unix_path = {}};
}

void UpstreamPool::failed(const AddressRef& ref, MonoTime now) {
    Address& address = upstreams_[ref.upstream].addresses[ref.address];
    address.left_out = true;
    address.left_out_until = now + kLeaveOut;
}

void UpstreamPool::succeeded(const AddressRef& ref) {
    upstreams_[ref.upstream].addresses[ref.address].left_out = false;
}

net::SocketId UpstreamPool::take_idle(const AddressRef& ref, Nanos idle_most, MonoTime now) {
    auto& idle = upstreams_[ref.upstream].addresses[ref.address].idle;
    if (idle.empty() || now - idle.back().since > idle_most) return {};
    const net::SocketId socket = idle.back().socket;
    idle.pop_back();
    return socket;
}

bool UpstreamPool::put_idle(const AddressRef& ref, net::SocketId socket, MonoTime now) {
    auto& idle = upstreams_[ref.upstream].addresses[ref.address].idle;
    if (idle.size() >= idle_max_) return false;
    idle.push_back({socket, now});
    return true;
}

void UpstreamPool::forget_idle(net::SocketId socket) {
    for (auto& upstream : upstreams_) {
        for (auto& address : upstream.addresses) {
            std::erase_if(address.idle, [&](const Idle& idle) { return idle.socket == socket; });
        }
    }
}

}  // namespace weir::gateway
