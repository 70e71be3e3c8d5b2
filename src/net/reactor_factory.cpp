#include "net/epoll_reactor.h"
#include "net/reactor.h"

namespace weir::net {

Result<std::unique_ptr<Reactor>> make_reactor(ReactorKind kind, Clock& clock, const ReactorOptions& options) {
    if (kind == ReactorKind::kIoUring) {
        return Error{ErrorCode::kUnsupported, ErrorSource::kConfiguration, false, "io_uring is not built in"};
    }
    return EpollReactor::make(clock, options);
}

}  // namespace weir::net
