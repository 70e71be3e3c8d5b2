#include "net/epoll_reactor.h"
#include "net/io_uring_reactor.h"
#include "net/reactor.h"

namespace weir::net {

Result<std::unique_ptr<Reactor>> make_reactor(ReactorKind kind, Clock& clock, const ReactorOptions& options) {
    if (kind == ReactorKind::kEpoll) return EpollReactor::make(clock, options);
    auto reactor = IoUringReactor::make(clock, options);
    if (reactor || kind == ReactorKind::kIoUring) return reactor;
    return EpollReactor::make(clock, options);
}

}  // namespace weir::net
