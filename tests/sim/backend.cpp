#include "backend.h"

#include <algorithm>
#include <fmt/format.h>

#include "protocol/http/body.h"
#include "protocol/ws/handshake.h"

namespace weir::sim {

namespace http = protocol::http;

namespace {

int number_behind(std::string_view target, std::string_view name) {
    const std::size_t at = target.find(name);
    return at == std::string_view::npos ? -1 : std::stoi(std::string(target.substr(at + name.size())));
}

}  // namespace

std::string answer_body(int client, int number) {
    Rng random(static_cast<std::uint64_t>(client) * 1000 + static_cast<std::uint64_t>(number));
    return random_text(random, random.one_in(4) ? 0 : random.below(random.one_in(5) ? 20'000 : 500));
}

void Backend::listen(const net::Endpoint& endpoint) {
    network_.listen(endpoint, [this](net::SimulatedPeer peer) {
        connections_.push_back({.peer = peer, .bytes = {}, .socket = nullptr});
        const std::size_t index = connections_.size() - 1;
        peer.on_change([this, index](const net::SimulatedPeer&) { on_change(index); });
    });
}

void Backend::on_change(std::size_t index) {
    Connection& connection = connections_[index];
    if (connection.gone) return;
    if (connection.peer.was_reset()) {
        connection.gone = true;
        if (connection.socket) connection.socket->quiet = connection.socket->reset = true;
        return;
    }
    connection.bytes += connection.peer.take_received();
    if (!connection.socket) read_head(connection);
    if (connection.socket) {
        connection.socket->received += std::exchange(connection.bytes, {});
        read_frames(*connection.socket);
    }
    if (!connection.peer.ended() || connection.gone) return;
    // A server that hears the end ends too; some never do.
    if (random_.one_in(10)) return;
    connection.gone = true;
    if (connection.socket) connection.socket->quiet = connection.socket->finished = true;
    connection.peer.finish();
}

void Backend::read_head(Connection& connection) {
    while (!connection.gone && !connection.socket && read_request(connection)) {
    }
}

bool Backend::read_request(Connection& connection) {
    const std::size_t length = http::head_length(connection.bytes, 0);
    if (length == 0) return false;
    http::RequestHead head;
    const std::string text = connection.bytes.substr(0, length);
    if (!http::parse_request_head(text, head)) {
        fail_("the backend got a malformed head: " + text);
        connection.gone = true;
        return false;
    }
    const int client = number_behind(head.target, "c=");
    if (head.field("x-forwarded-for") != scenario_.forwarded_for(client))
        fail_("the backend is told a wrong address: " + text);
    if (scenario_.rejected(client)) fail_("the backend hears of a caller whose token is refused: " + text);
    if (protocol::ws::wants_websocket(head)) {
        connection.bytes.erase(0, length);
        if (head.count("x-weir-limited") > 0) marked_handshakes_.insert(client);
        // A kept connection that breaks with the handshake on it: a GET may be asked again, once.
        if (++handshakes_[client] > 2) fail_(fmt::format("the handshake of client {} came again and again", client));
        answer_handshake(connection, client, !head.field("sec-websocket-extensions").empty());
        return true;
    }
    http::BodyReader reader(head.framing, head.content_length, {});
    HeardRequest request{.client = client,
                         .number = number_behind(head.target, "r="),
                         .method = std::string(head.method),
                         .body = {},
                         .marked = head.field("x-weir-limited") == "h"};
    if (!request.marked && head.count("x-weir-limited") > 0) fail_("a mark of another limit: " + text);
    std::size_t used = length;
    while (!reader.done()) {
        if (used == connection.bytes.size()) return false;  // not whole yet
        const auto piece = reader.next(std::string_view(connection.bytes).substr(used));
        if (!piece) {
            fail_("the backend got a malformed body");
            connection.gone = true;
            return false;
        }
        request.body += piece->content;
        used += piece->consumed;
    }
    connection.bytes.erase(0, used);
    answer_request(connection, request, head.version_minor == 0);
    requests_.push_back(std::move(request));
    return true;
}

void Backend::answer_handshake(Connection& connection, int client, bool offered_deflate) {
    if (!scenario_.peers_behave) {
        switch (random_.below(20)) {
            case 0:
                connection.peer.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 4\r\n\r\nnono");
                connection.gone = true;
                return;
            case 1:
                connection.gone = true;
                return connection.peer.reset();
            case 2:
                connection.gone = true;  // never answers
                return;
            case 3:
                connection.peer.send(
                    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Accept: wrong\r\n\r\n");
                connection.gone = true;
                return;
            default:
                break;
        }
    }
    const bool deflate = offered_deflate && random_.one_in(2);
    connection.peer.send(
        fmt::format("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "
                    "Upgrade\r\nSec-WebSocket-Accept: {}\r\n{}\r\n",
                    protocol::ws::accept_key("dGhlIHNhbXBsZSBub25jZQ=="),
                    deflate ? "Sec-WebSocket-Extensions: permessage-deflate\r\n" : ""));
    connection.socket = std::make_unique<BackendSocket>();
    connection.socket->client = client;
    connection.socket->peer = connection.peer;
    if (random_.one_in(3)) say_something(*connection.socket);  // right behind the 101
}

void Backend::answer_request(Connection& connection, HeardRequest& request, bool http10) {
    const std::string body = request.method == "HEAD" ? std::string() : answer_body(request.client, request.number);
    const std::string mark = fmt::format("X-Sim: {}.{}\r\n", request.client, request.number);
    std::string out;
    if (!http10 && random_.one_in(6)) out += "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";
    const std::uint64_t way = random_.below(scenario_.peers_behave ? 6 : 10);
    bool whole = true;
    bool ends = false;
    if (way < 3 || http10 || request.method == "HEAD") {
        out += fmt::format("HTTP/1.1 200 OK\r\n{}Content-Length: {}\r\n\r\n{}", mark, body.size(), body);
    } else if (way < 5 || way == 9) {
        out += "HTTP/1.1 200 OK\r\n" + mark + "Transfer-Encoding: chunked\r\n\r\n";
        for (std::size_t at = 0; at < body.size();) {
            const std::size_t size = random_.between(1, body.size() - at);
            out += fmt::format("{:X}\r\n{}\r\n", size, std::string_view(body).substr(at, size));
            at += size;
        }
        out += "0\r\n\r\n";
    } else if (way < 7) {
        out += "HTTP/1.1 200 OK\r\n" + mark + "Connection: close\r\n\r\n" + body;
        ends = true;
    } else if (way == 7) {
        out += fmt::format("HTTP/1.1 200 OK\r\n{}Content-Length: {}\r\n\r\n{}", mark, body.size() + 10, body);
        whole = false;  // cut off
        ends = true;
    } else {
        whole = false;
        out.clear();
        if (random_.one_in(2)) {
            connection.gone = true;
            return connection.peer.reset();
        }
        if (random_.one_in(2)) {
            connection.gone = true;  // never answers
            return;
        }
        ends = true;
    }
    request.answered = whole;
    connection.peer.send(out);
    if (!ends) return;
    connection.gone = true;
    connection.peer.finish();
}

void Backend::say(BackendSocket& socket, const Frame& frame) {
    const std::string bytes = encode(frame, nullptr);
    socket.sent += bytes;
    if (frame.opcode < 8) socket.in_message = !frame.fin;
    if (!socket.in_message) socket.boundaries.insert(socket.sent.size());
    socket.peer.send(bytes);
}

void Backend::say_something(BackendSocket& socket) {
    if (random_.one_in(6))
        return say(socket,
                   {.opcode = random_.one_in(2) ? 9U : 10U, .payload = random_text(random_, random_.below(126))});
    const std::size_t size = random_.below(random_.one_in(10) ? 70'000 : 300);
    say(socket, {.fin = !random_.one_in(4),
                 .opcode = socket.in_message   ? 0U
                           : random_.one_in(2) ? 1U
                                               : 2U,
                 .payload = random_bytes(random_, size)});
}

void Backend::say_close(BackendSocket& socket) {
    say(socket,
        {.opcode = 8, .payload = random_.one_in(3) ? std::string() : close_payload(random_.one_in(2) ? 1000 : 4500)});
    socket.quiet = true;
}

// An echo: each whole message is answered, each Close too.
void Backend::read_frames(BackendSocket& socket) {
    while (const auto decoded = decode(std::string_view(socket.received).substr(socket.read))) {
        socket.read += decoded->size;
        if (socket.quiet) continue;
        if (decoded->frame.opcode == 8) {
            say(socket, {.opcode = 8, .payload = close_payload(1000)});
            socket.quiet = true;
            if (random_.one_in(2)) {
                socket.finished = true;
                socket.peer.finish();
            }
            return;
        }
        if (decoded->frame.opcode == 9) {
            say(socket, {.opcode = 10, .payload = decoded->frame.payload});
        } else if (decoded->frame.opcode < 8 && decoded->frame.fin && !socket.in_message) {
            say(socket, {.opcode = 2, .payload = decoded->frame.payload});
        }
    }
}

void Backend::act() {
    if (connections_.empty()) return;
    Connection& connection = connections_[random_.below(connections_.size())];
    if (!connection.socket || connection.gone || connection.socket->quiet) return;
    BackendSocket& socket = *connection.socket;
    switch (random_.below(scenario_.peers_behave ? 12 : 16)) {
        case 10:
            return connection.peer.stop_reading();
        case 11:
            return connection.peer.start_reading();
        case 12:
            if (random_.one_in(6)) say_close(socket);
            return;
        case 13:
            if (!random_.one_in(6)) return;
            socket.quiet = socket.finished = true;
            return connection.peer.finish();
        case 14:
            if (!random_.one_in(6)) return;
            socket.quiet = socket.reset = connection.gone = true;
            return connection.peer.reset();
        default:
            for (std::uint64_t n = random_.below(4); n > 0; --n) say_something(socket);
    }
}

void Backend::read_on() {
    for (Connection& connection : connections_) {
        connection.peer.start_reading();
        if (connection.socket && connection.socket->in_message && !connection.socket->quiet) {
            say(*connection.socket, {.opcode = 0, .payload = "end"});
        }
    }
}

const BackendSocket* Backend::socket_of(int client) const {
    // The last one is in use, where a handshake was asked again.
    const auto found = std::find_if(connections_.rbegin(), connections_.rend(), [&](const Connection& connection) {
        return connection.socket && connection.socket->client == client;
    });
    return found == connections_.rend() ? nullptr : found->socket.get();
}

}  // namespace weir::sim
