#include "cli/demo_backend.h"

#include <algorithm>
#include <fmt/format.h>
#include <utility>

#include "base/text.h"
#include "cli/web_files.h"
#include "protocol/ws/handshake.h"

namespace weir::cli {

namespace http = protocol::http;
namespace ws = protocol::ws;

namespace {

constexpr Nanos kHeadTimeout = std::chrono::seconds(75);  // also the time that an idle connection is kept
constexpr Nanos kCloseTimeout = std::chrono::seconds(2);
constexpr Nanos kTurn = std::chrono::seconds(1);

// The page loads its own files and speaks to its own origin; nothing else.
constexpr std::string_view kPageFields =
    "Cache-Control: no-store\r\n"
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "X-Content-Type-Options: nosniff\r\n";

std::span<const std::uint8_t> as_bytes(std::string_view text) {
    return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

const WebFile* find_file(std::string_view path) {
    const std::string_view name = path == "/" ? std::string_view("demo.html") : path.substr(1);
    for (const WebFile& file : web_files()) {
        if (file.name == name) return &file;
    }
    return nullptr;
}

}  // namespace

Result<std::unique_ptr<DemoBackend>> DemoBackend::create(net::ReactorKind kind, Clock& clock) {
    net::ReactorOptions options;
    options.blocks_max = 256;
    options.sockets_max = kConnectionsMax + 16;
    auto reactor = net::make_reactor(kind, clock, options);
    if (!reactor) return reactor.error();
    std::unique_ptr<DemoBackend> backend(new DemoBackend(std::move(*reactor)));
    const auto anywhere = net::Endpoint::parse("127.0.0.1:0");
    if (!anywhere) return anywhere.error();
    const auto listener = backend->reactor_->listen(anywhere.value(), net::ListenOptions{.reuse_port = false});
    if (!listener) return listener.error();
    backend->endpoint_ = backend->reactor_->listener_endpoint(listener.value());
    return backend;
}

DemoBackend::DemoBackend(std::unique_ptr<net::Reactor> reactor) : reactor_(std::move(reactor)) {
    reactor_->set_events(this);
}

void DemoBackend::run() {
    while (!stopped_.load(std::memory_order_acquire)) reactor_->turn(kTurn);
    for (auto& connection : connections_) {
        if (connection) drop(*connection);
    }
}

void DemoBackend::stop() {
    stopped_.store(true, std::memory_order_release);
    reactor_->wake();
}

// Connections.

DemoBackend::Connection* DemoBackend::find(net::SocketId socket) {
    if (socket.index >= connections_.size()) return nullptr;
    Connection* connection = connections_[socket.index].get();
    return connection != nullptr && connection->socket == socket ? connection : nullptr;
}

void DemoBackend::forget(Connection& connection) {
    if (connection.deadline.valid()) reactor_->cancel_timer(connection.deadline);
    --open_;
    connections_[connection.socket.index].reset();
}

void DemoBackend::set_deadline(Connection& connection, Nanos delay) {
    if (connection.deadline.valid()) reactor_->cancel_timer(connection.deadline);
    connection.deadline = reactor_->set_timer(
        delay, (static_cast<std::uint64_t>(connection.socket.index) << 32U) | connection.socket.generation);
}

void DemoBackend::send(Connection& connection, std::string_view bytes) {
    send(connection, reactor_->blocks().copy(bytes));
}

void DemoBackend::send(Connection& connection, net::Slice bytes) {
    reactor_->send(connection.socket, std::move(bytes));
    if (congested(connection)) reactor_->pause_receiving(connection.socket);
}

// True when the peer reads more slowly than it asks: then nothing more is taken from it until `on_drained`.
bool DemoBackend::congested(const Connection& connection) const {
    return reactor_->unsent_bytes(connection.socket) > kSendQueueHighBytes;
}

// Everything was said: our FIN follows it, and the peer has a moment for its own.
void DemoBackend::finish(Connection& connection) {
    connection.stage = Stage::kClosing;
    connection.input.clear();
    connection.message.clear();
    reactor_->shutdown_send(connection.socket);
    set_deadline(connection, kCloseTimeout);
}

void DemoBackend::drop(Connection& connection) {
    reactor_->close(connection.socket);
    forget(connection);
}

void DemoBackend::on_accepted(net::SocketId socket, std::uint32_t /*listener*/, const net::Endpoint& /*peer*/) {
    if (open_ >= kConnectionsMax) return reactor_->close(socket);
    if (socket.index >= connections_.size()) connections_.resize(socket.index + 1);
    connections_[socket.index] = std::make_unique<Connection>();
    Connection& connection = *connections_[socket.index];
    connection.socket = socket;
    ++open_;
    set_deadline(connection, kHeadTimeout);
}

void DemoBackend::on_connected(net::SocketId /*socket*/, Result<void> /*outcome*/) {}  // we call nobody

void DemoBackend::on_received(net::SocketId socket, net::Slice bytes) {
    Connection* connection = find(socket);
    if (connection == nullptr || connection->stage == Stage::kClosing) return;  // what comes late is not read
    connection->input.append(bytes.text());
    read(*connection);
}

void DemoBackend::read(Connection& connection) {
    if (connection.stage == Stage::kHttp) read_heads(connection);
    if (connection.stage == Stage::kWebsocket) read_frames(connection);  // also what came behind the handshake
}

void DemoBackend::on_received_end(net::SocketId socket) {
    Connection* connection = find(socket);
    if (connection == nullptr) return;
    if (reactor_->unsent_bytes(socket) == 0) return drop(*connection);
    if (connection->stage != Stage::kClosing) finish(*connection);
}

void DemoBackend::on_drained(net::SocketId socket) {
    Connection* connection = find(socket);
    if (connection == nullptr) return;
    reactor_->resume_receiving(socket);
    read(*connection);
}

void DemoBackend::on_closed(net::SocketId socket, Error /*why*/) {
    if (Connection* connection = find(socket)) forget(*connection);
}

void DemoBackend::on_timer(net::TimerId /*timer*/, std::uint64_t cookie) {
    const net::SocketId socket{static_cast<std::uint32_t>(cookie >> 32U), static_cast<std::uint32_t>(cookie)};
    Connection* connection = find(socket);
    if (connection == nullptr) return;
    connection->deadline = {};
    drop(*connection);
}

// HTTP.

void DemoBackend::read_heads(Connection& connection) {
    while (connection.stage == Stage::kHttp && !congested(connection)) {
        const std::size_t length = http::head_length(connection.input, connection.searched);
        if (length == 0) {
            connection.searched = connection.input.size();
            if (connection.input.size() > kHeaderBytesMax) refuse(connection, "431 Request Header Fields Too Large");
            return;
        }
        const std::string bytes = connection.input.substr(0, length);
        connection.input.erase(0, length);
        connection.searched = 0;
        if (!http::parse_request_head(bytes, head_)) return refuse(connection, "400 Bad Request");
        set_deadline(connection, kHeadTimeout);
        answer(connection, head_);
    }
}

void DemoBackend::answer(Connection& connection, const http::RequestHead& head) {
    const std::string_view path = head.target.substr(0, head.target.find('?'));
    if (ws::wants_websocket(head) && path == "/ws/chat") return upgrade(connection, head);
    if (head.framing != http::BodyFraming::kNone) return refuse(connection, "413 Content Too Large");
    if (head.method != "GET" && head.method != "HEAD") return refuse(connection, "405 Method Not Allowed");

    std::string_view status = "200 OK";
    std::string_view type = "text/plain; charset=utf-8";
    std::string_view body = "There is no such page.\n";
    if (const WebFile* file = find_file(path)) {
        type = file->content_type;
        body = file->bytes;
    } else if (path.starts_with("/budget/")) {
        body = "The answer is in the X-RateLimit fields, which the gateway has added.\n";
    } else {
        status = "404 Not Found";
    }
    send(connection, fmt::format("HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}{}\r\n", status, type,
                                 body.size(), kPageFields, head.keep_alive ? "" : "Connection: close\r\n"));
    if (head.method == "GET") send(connection, net::Slice::of_static(body));
    if (!head.keep_alive) finish(connection);
}

void DemoBackend::refuse(Connection& connection, std::string_view status) {
    send(connection, fmt::format("HTTP/1.1 {}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status));
    finish(connection);
}

// The WebSocket.

void DemoBackend::upgrade(Connection& connection, const http::RequestHead& head) {
    if (!ws::check_handshake(head)) return refuse(connection, "400 Bad Request");
    send(connection, ws::switching_protocols(head.field("Sec-WebSocket-Key"), {}, {}));
    send(connection, ws::server_frame(ws::Opcode::kText, R"({"type": "hello"})"));
    connection.stage = Stage::kWebsocket;
    reactor_->cancel_timer(connection.deadline);  // how long it may be idle is the gateway's business
    connection.deadline = {};
}

void DemoBackend::read_frames(Connection& connection) {
    std::size_t at = 0;
    while (connection.stage == Stage::kWebsocket && !congested(connection)) {
        const std::string_view rest = std::string_view(connection.input).substr(at);
        const auto header = ws::parse_frame_header(as_bytes(rest), {.masked = true, .rsv1_allowed = false});
        if (!header) return close_websocket(connection, 1002, "broken framing");
        if (!header.value()) break;
        const ws::FrameHeader& frame = *header.value();
        if (frame.payload_bytes > kMessageBytesMax) return close_websocket(connection, 1009, "too long");
        const auto size = static_cast<std::size_t>(frame.payload_bytes);
        if (rest.size() - std::min(rest.size(), frame.header_bytes) < size) break;
        std::string payload(size, '\0');
        ws::apply_mask(as_bytes(rest.substr(frame.header_bytes, size)), frame.mask, 0,
                       {reinterpret_cast<std::uint8_t*>(payload.data()), size});
        at += frame.header_bytes + size;
        take_frame(connection, frame, std::move(payload));
    }
    if (connection.stage == Stage::kWebsocket) connection.input.erase(0, at);
}

void DemoBackend::take_frame(Connection& connection, const ws::FrameHeader& header, std::string payload) {
    switch (header.opcode) {
        case ws::Opcode::kPing:
            return send(connection, ws::server_frame(ws::Opcode::kPong, payload));
        case ws::Opcode::kPong:
            return;
        case ws::Opcode::kClose: {
            const auto status = ws::parse_close_payload(payload);
            if (!status) return close_websocket(connection, 1002, "broken close");
            send(connection, ws::server_frame(ws::Opcode::kClose, payload));
            return finish(connection);
        }
        case ws::Opcode::kContinuation:
        case ws::Opcode::kText:
        case ws::Opcode::kBinary:
            break;
    }
    const bool continues = header.opcode == ws::Opcode::kContinuation;
    if (continues != connection.in_message) return close_websocket(connection, 1002, "fragments out of order");
    if (connection.message.size() + payload.size() > kMessageBytesMax) {
        return close_websocket(connection, 1009, "too long");
    }
    connection.message.append(payload);
    connection.in_message = !header.fin;
    if (header.fin) echo(connection);
}

void DemoBackend::echo(Connection& connection) {
    std::string text = R"({"type": "chat", "n": )";
    text.append(std::to_string(++connection.echoed)).append(R"(, "text": ")");
    append_json_escaped(text, connection.message);
    text.append("\"}");
    connection.message.clear();
    send(connection, ws::server_frame(ws::Opcode::kText, text));
}

void DemoBackend::close_websocket(Connection& connection, std::uint16_t code, std::string_view reason) {
    send(connection, ws::server_frame(ws::Opcode::kClose, ws::close_payload(code, reason)));
    finish(connection);
}

}  // namespace weir::cli
