// Parts of a worker that have sockets and timers of their own on its reactor: who asks the application about callers,
// and who keeps buckets in a store over the network. The reactor has one owner, the worker; this is how it lends.
//
//   SocketHost   what such a part may do; the worker implements it
//   SocketOwner  what it is told; each of its sockets names it
//
// Clients' and backends' connections do not come here: their events take no virtual call. One worker's thread.
#pragma once

#include <cstdint>

#include "base/result.h"
#include "net/endpoint.h"
#include "net/reactor.h"
#include "net/slice.h"

namespace weir::net {

// As ReactorEvents, for the sockets and timers that are its own.
class SocketOwner {
  public:
    virtual void on_connected(SocketId socket, const Result<void>& outcome) = 0;
    virtual void on_received(SocketId socket, Slice bytes) = 0;
    virtual void on_received_end(SocketId socket) = 0;
    virtual void on_closed(SocketId socket, const Error& why) = 0;
    virtual void on_timer(std::uint64_t cookie) = 0;
    // Once after each turn, for those whom SocketHost::watch_turns has named: what a turn has made can leave together.
    virtual void on_turn_end() {}

  protected:
    ~SocketOwner() = default;
};

// A cookie of an owner's timer is below this.
inline constexpr std::uint64_t kOwnerCookies = std::uint64_t{1} << 56U;

class SocketHost {
  public:
    // Time, sending, blocks. Connecting, closing and timers of owners go by the calls below.
    [[nodiscard]] virtual Reactor& reactor() = 0;

    [[nodiscard]] virtual Result<SocketId> connect_for(SocketOwner& owner, const Endpoint& endpoint,
                                                       const TlsClient* tls = nullptr) = 0;
    virtual void close_for_owner(SocketId socket) = 0;

    [[nodiscard]] virtual TimerId set_timer_for(SocketOwner& owner, Nanos delay, std::uint64_t cookie) = 0;

    virtual void watch_turns(SocketOwner& owner) = 0;
    // It is told nothing more: its sockets are closed, its timers fire for nobody.
    virtual void forget_owner(SocketOwner& owner) = 0;

  protected:
    ~SocketHost() = default;
};

}  // namespace weir::net
