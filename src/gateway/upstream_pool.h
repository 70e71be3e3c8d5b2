// One worker's view of its upstreams: which address is next, which of them is left out for a while, and the connections
// that wait to be used again.
//
// Round robin over the addresses of an upstream. One that refuses or times out is left out for kLeaveOut; when all are
// left out they are tried all the same, since refusing everything would be worse. One worker's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "config/config.h"
#include "net/endpoint.h"
#include "net/name_table.h"
#include "net/reactor.h"

namespace weir::gateway {

inline constexpr Nanos kLeaveOut = std::chrono::seconds(10);
inline constexpr Nanos kPooledIdleMax = std::chrono::seconds(60);
// Servers close idle connections after seconds (Node: 5): one that waited less than this is hardly being closed at this
// moment.
inline constexpr Nanos kPooledFresh = std::chrono::seconds(1);
// Of one upstream, those that are used: a request marks in one word what it has tried.
inline constexpr std::size_t kAddressesMax = 64;

struct AddressRef {
    std::size_t upstream = 0;
    std::size_t address = 0;
};

class UpstreamPool {
  public:
    UpstreamPool(const std::vector<config::Upstream>& upstreams, net::NameTable& names, std::uint64_t idle_max);

    // The next address to use; `tried` marks those that this request has tried (by index), nullopt when none is left or
    // the name is unknown.
    [[nodiscard]] std::optional<AddressRef> next(std::size_t upstream, std::uint64_t tried, MonoTime now);
    [[nodiscard]] std::optional<net::Endpoint> endpoint_of(const AddressRef& ref);
    // How to verify it; null: plain.
    [[nodiscard]] const net::TlsClient* tls_of(const AddressRef& ref) const {
        return upstreams_[ref.upstream].addresses[ref.address].configured.tls.client.get();
    }
    void failed(const AddressRef& ref, MonoTime now);
    void succeeded(const AddressRef& ref);

    // The most recently used connection, if it has waited less than `idle_most`; invalid when there is none.
    [[nodiscard]] net::SocketId take_idle(const AddressRef& ref, Nanos idle_most, MonoTime now);
    // False: no room, the caller closes it.
    [[nodiscard]] bool put_idle(const AddressRef& ref, net::SocketId socket, MonoTime now);
    void forget_idle(net::SocketId socket);
    // Calls `close` for each that has waited longer than kPooledIdleMax, or for all.
    template <typename Close>
    void expire(MonoTime now, bool all, Close&& close) {
        for (auto& upstream : upstreams_) {
            for (auto& address : upstream.addresses) {
                while (!address.idle.empty() && (all || now - address.idle.front().since > kPooledIdleMax)) {
                    const net::SocketId socket = address.idle.front().socket;
                    address.idle.erase(address.idle.begin());
                    close(socket);
                }
            }
        }
    }

  private:
    struct Idle {
        net::SocketId socket;
        MonoTime since;
    };
    struct Address {
        config::UpstreamAddress configured;
        std::optional<net::Endpoint> literal;
        std::size_t name_turn = 0;
        bool left_out = false;
        MonoTime left_out_until{};
        std::vector<Idle> idle;
    };
    struct Upstream {
        std::vector<Address> addresses;
        std::size_t turn = 0;
    };
    std::vector<Upstream> upstreams_;
    net::NameTable& names_;
    std::uint64_t idle_max_;
};

}  // namespace weir::gateway
