// The admin interface: a small HTTP server on a thread and a reactor of its own, so that a scrape never waits for the
// gateway's workers and they never wait for a scrape.
//
// Bounds: kConnectionsMax connections (a few more are told 503 and closed, what comes then is closed at once), a head
// of kHeadBytesMax, one answer at a time on a connection, kUnsentBytesMax bytes of answers in all. A request has
// kHeadTime to arrive, an answer kSendTime without progress, a connection kIdleTime between requests. Bodies are not
// read: a request with one is answered and its connection closed.
//
// An address that is not loopback needs a bearer token (for all but the two probes): `start` refuses it otherwise. A
// Unix socket is guarded by its file mode.
//
// Threads: `start` and `stop` from one thread; `Control` is called on the server's own.
#pragma once

#include <memory>
#include <string>

#include "admin/control.h"
#include "base/clock.h"
#include "base/result.h"
#include "log/logger.h"
#include "net/endpoint.h"

namespace weir::admin {

inline constexpr std::size_t kConnectionsMax = 64;
inline constexpr std::size_t kHeadBytesMax = 8 * 1024;
inline constexpr std::size_t kUnsentBytesMax = 64 * 1024 * 1024;
inline constexpr Nanos kHeadTime = std::chrono::seconds(10);
inline constexpr Nanos kSendTime = std::chrono::seconds(10);
inline constexpr Nanos kIdleTime = std::chrono::seconds(75);

struct AdminOptions {
    std::string bearer_token;  // empty: none
};

class AdminServer {
  public:
    AdminServer(net::Endpoint endpoint, Control& control, Clock& clock, log::Logger& logger, AdminOptions options = {});
    ~AdminServer();  // stops
    AdminServer(const AdminServer&) = delete;
    AdminServer& operator=(const AdminServer&) = delete;

    // Listens, and serves until `stop`. kForbidden: an address that is not loopback, without a token; else what
    // Reactor::listen says.
    [[nodiscard]] Result<void> start();
    // Where it listens: the port that the system chose when 0 was asked for. After `start`.
    [[nodiscard]] net::Endpoint endpoint() const;
    void stop();

    struct Impl;

  private:
    std::unique_ptr<Impl> impl_;
};

// 127.0.0.0/8, ::1 and Unix sockets.
[[nodiscard]] bool is_local(const net::Endpoint& endpoint);

}  // namespace weir::admin
