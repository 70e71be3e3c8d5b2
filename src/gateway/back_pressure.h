// Back-pressure between the two sockets of a connection: a queue that is above the high watermark stops the other
// side's reads, and half of it lets them go on.
#pragma once

#include <cstddef>

#include "base/limits.h"
#include "net/reactor.h"

namespace weir::gateway {

// Whether a socket with so many unsent bytes holds up the other side; `was`: it did when last looked at.
[[nodiscard]] constexpr bool is_full(bool was, std::size_t unsent) {
    return unsent > (was ? kSendQueueLowBytes : kSendQueueHighBytes);
}

// Brings what a socket does in line with what is wanted of it.
inline void set_receiving(net::Reactor& reactor, net::SocketId socket, bool& receiving, bool wanted) {
    if (receiving == wanted) return;
    receiving = wanted;
    wanted ? reactor.resume_receiving(socket) : reactor.pause_receiving(socket);
}

}  // namespace weir::gateway
