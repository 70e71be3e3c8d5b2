// Fetches the key set of `identity.jwt.jwks`: a worker's side of JwksSource. One GET over a connection of its own,
// within kJwksTimeout; a 200 with a key set of at most kJwksBytesMax bytes is believed and nothing else is. Redirects
// are not followed: whoever can answer for the URL could send Weir anywhere with one.
//
// Nobody is told from inside a call: who waits for keys hears through the workers' mailboxes. One worker's thread.
#pragma once

#include <memory>
#include <string_view>

#include "gateway/jwks_source.h"
#include "gateway/response_reader.h"
#include "gateway/upstream_pool.h"
#include "net/socket_owner.h"

namespace weir::gateway {

class Worker;

class JwksClient final : public net::SocketOwner {
  public:
    JwksClient(Worker& worker, net::NameTable& names) : worker_(worker), names_(names) {}
    JwksClient(const JwksClient&) = delete;
    JwksClient& operator=(const JwksClient&) = delete;

    // Fetches when it is time to and no other worker does: called now and then, and after another configuration.
    void tend();
    // True: the request waits for keys and is told, with an answer of no meaning, once there may be others.
    [[nodiscard]] bool wait(JwksSource& source, const LookupWaiter& waiter);
    // At the worker's end: closes everything and tells nobody.
    void abandon();

    // SocketOwner
    void on_connected(net::SocketId socket, const Result<void>& outcome) override;
    void on_received(net::SocketId socket, net::Slice bytes) override;
    void on_received_end(net::SocketId socket) override;
    void on_closed(net::SocketId socket, const Error& why) override;
    void on_timer(std::uint64_t cookie) override;

  private:
    static constexpr ResponseBounds kBounds{protocol::jwt::kJwksBytesMax, "it is longer than 1 MiB"};

    struct Fetch {
        std::shared_ptr<JwksSource> source;
        net::SocketId socket;
        net::TimerId timer;
        ResponseReader response;
    };

    void begin(const std::shared_ptr<JwksSource>& source);
    void connect();
    void take();
    void fail(const Error& why);
    void end(std::shared_ptr<const protocol::jwt::KeySet> keys, std::string_view why);
    [[nodiscard]] bool owns(net::SocketId socket) const;

    Worker& worker_;
    net::NameTable& names_;
    std::optional<Fetch> fetch_;  // that is under way
    std::uint64_t fetches_ = 0;   // a timer's cookie: one of an earlier fetch says nothing
};

}  // namespace weir::gateway
