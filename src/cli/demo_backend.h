// The small chat backend of `weir demo`: an application that knows nothing of limits, for the gateway to stand before.
//
// GET / and its files answer the page, GET /budget/... a short text, and /ws/chat is a WebSocket that says hello and
// then echoes every message as {"type": "chat", "text": ..., "n": ...}. It is not a server to build on: one thread, no
// compression, messages up to kMessageBytesMax. Yet bytes come from anybody, so that all of it is bounded: heads,
// messages, connections, what waits to be sent.
//
// Threads: everything on the thread that calls `run`, but `stop`, which any thread may call.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "net/endpoint.h"
#include "net/reactor.h"
#include "protocol/http/head.h"
#include "protocol/ws/frame.h"

namespace weir::cli {

class DemoBackend final : private net::ReactorEvents {
  public:
    static constexpr std::size_t kMessageBytesMax = 16 * 1024;
    static constexpr std::size_t kConnectionsMax = 1024;

    // Listens on a free port of 127.0.0.1.
    [[nodiscard]] static Result<std::unique_ptr<DemoBackend>> create(net::ReactorKind kind, Clock& clock);
    ~DemoBackend() = default;
    DemoBackend(const DemoBackend&) = delete;
    DemoBackend& operator=(const DemoBackend&) = delete;

    [[nodiscard]] net::Endpoint endpoint() const { return endpoint_; }
    void run();  // returns after `stop`
    void stop();

  private:
    enum class Stage : std::uint8_t { kHttp, kWebsocket, kClosing };
    struct Connection {
        net::SocketId socket;
        Stage stage = Stage::kHttp;
        std::string input;         // bytes that are not yet a whole head or frame
        std::size_t searched = 0;  // of `input`, for the end of a head
        std::string message;       // fragments of a message that has not ended
        bool in_message = false;
        std::uint64_t echoed = 0;
        net::TimerId deadline;  // for a head, or for the peer's half of a close
    };

    explicit DemoBackend(std::unique_ptr<net::Reactor> reactor);

    void on_accepted(net::SocketId socket, std::uint32_t listener, const net::Endpoint& peer) override;
    void on_connected(net::SocketId socket, Result<void> outcome) override;
    void on_received(net::SocketId socket, net::Slice bytes) override;
    void on_received_end(net::SocketId socket) override;
    void on_drained(net::SocketId socket) override;
    void on_closed(net::SocketId socket, Error why) override;
    void on_timer(net::TimerId timer, std::uint64_t cookie) override;
    void on_wake() override {}

    Connection* find(net::SocketId socket);
    void forget(Connection& connection);
    void set_deadline(Connection& connection, Nanos delay);
    void send(Connection& connection, std::string_view bytes);
    void send(Connection& connection, net::Slice bytes);
    [[nodiscard]] bool congested(const Connection& connection) const;
    void read(Connection& connection);
    void finish(Connection& connection);
    void drop(Connection& connection);

    void read_heads(Connection& connection);
    void answer(Connection& connection, const protocol::http::RequestHead& head);
    void refuse(Connection& connection, std::string_view status_line);
    void upgrade(Connection& connection, const protocol::http::RequestHead& head);
    void read_frames(Connection& connection);
    void take_frame(Connection& connection, const protocol::ws::FrameHeader& header, std::string payload);
    void echo(Connection& connection);
    void close_websocket(Connection& connection, std::uint16_t code, std::string_view reason);

    std::unique_ptr<net::Reactor> reactor_;
    net::Endpoint endpoint_;
    std::vector<std::unique_ptr<Connection>> connections_;  // by SocketId::index
    std::size_t open_ = 0;
    protocol::http::RequestHead head_;  // scratch
    std::atomic<bool> stopped_ = false;
};

}  // namespace weir::cli
