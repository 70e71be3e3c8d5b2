#include "websocket_client.h"

#include <algorithm>
#include <fmt/format.h>

namespace weir::sim {

void WebsocketClient::shake_hands() {
    const bool offer = random_.one_in(2);
    std::string key = "dGhlIHNhbXBsZSBub25jZQ==";
    peer_.send(
        scenario_.proxy_header(id_) +
        fmt::format("GET /ws/room?c={}{} HTTP/1.1\r\nHost: app.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {}\r\n{}\r\n",
                    id_, scenario_.query_of(id_), key,
                    offer ? "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" : ""));
}

void WebsocketClient::update() {
    if (status_ != 0) return;
    const std::size_t end = peer_.received().find("\r\n\r\n");
    if (end == std::string::npos) return;
    head_ = peer_.received().substr(0, end + 4);
    status_ = static_cast<unsigned>(std::stoul(head_.substr(9, 3)));
    compressing_ = head_.find("permessage-deflate") != std::string::npos;
}

void WebsocketClient::send(std::string_view bytes) {
    rest_ += bytes;
    if (random_.one_in(4)) {
        const std::size_t part = random_.below(rest_.size() + 1);
        peer_.send(std::string_view(rest_).substr(0, part));
        rest_.erase(0, part);
        return;
    }
    send_rest();
}

void WebsocketClient::send_rest() {
    if (rest_.empty()) return;
    peer_.send(rest_);
    rest_.clear();
}

std::string WebsocketClient::new_text(bool binary) {
    const std::size_t size = random_.one_in(8) ? 0 : random_.below(random_.one_in(5) ? 3000 : 200);
    if (binary) return random_bytes(random_, size);
    switch (random_.below(5)) {
        case 0:
            return R"({"type": "ping", "pad": ")" + random_text(random_, size) + "\"}";
        case 1:
            return R"({"query": ")" + random_text(random_, size) + "\"}";
        case 2:
            return R"({"pad": ")" + random_text(random_, size) + R"(", "type": "ping", "query": 1})";
        case 3:
            return R"({"pad": ")" + random_text(random_, size);  // no JSON, but for a lenient reader
        default:
            return random_text(random_, size);
    }
}

Item WebsocketClient::new_message() {
    Item item;
    item.binary = random_.one_in(3);
    item.text = new_text(item.binary);
    item.compressed = compressing_ && random_.one_in(2);
    const std::string payload = item.compressed ? deflate_message(item.text) : item.text;
    const std::size_t fragments = random_.one_in(3) ? random_.between(2, 5) : 1;
    std::size_t at = 0;
    for (std::size_t i = 0; i < fragments; ++i) {
        const bool last = i + 1 == fragments;
        const std::size_t size = last ? payload.size() - at : random_.below(payload.size() - at + 1);
        const Frame frame{.fin = last,
                          .rsv1 = i == 0 && item.compressed,
                          .opcode = i > 0         ? 0U
                                    : item.binary ? 2U
                                                  : 1U,
                          .payload = payload.substr(at, size)};
        item.pieces.push_back({encode(frame, &random_), false, size});
        at += size;
        if (!last && random_.one_in(3)) {
            const Frame control{.opcode = random_.one_in(2) ? 9U : 10U,
                                .payload = random_text(random_, random_.below(126))};
            item.pieces.push_back({encode(control, &random_), true, 0});
        }
    }
    if (std::max(item.text.size(), payload.size()) > scenario_.message_bytes_max) sent_too_much_ = quiet_ = true;
    return item;
}

void WebsocketClient::send_message() {
    // Most stay within the bound, so that runs are not over at once.
    Item item = new_message();
    std::string bytes;
    for (const Item::Piece& piece : item.pieces) bytes += piece.bytes;
    items_.push_back(std::move(item));
    send(bytes);
}

void WebsocketClient::send_control() {
    const Frame frame{.opcode = random_.one_in(2) ? 9U : 10U, .payload = random_text(random_, random_.below(126))};
    Item item{.kind = Item::Kind::kControl, .pieces = {{encode(frame, &random_), true, 0}}};
    items_.push_back(item);
    send(item.pieces.front().bytes);
}

void WebsocketClient::send_close() {
    const Frame frame{.opcode = 8,
                      .payload = random_.one_in(3) ? std::string() : close_payload(random_.one_in(2) ? 1000 : 3001)};
    Item item{.kind = Item::Kind::kClose, .pieces = {{encode(frame, &random_), true, 0}}};
    items_.push_back(item);
    send(item.pieces.front().bytes);
    send_rest();
    quiet_ = true;
    // What follows a Close is nothing.
    if (random_.one_in(4)) peer_.send(encode({.payload = "late"}, &random_));
    if (random_.one_in(4)) peer_.finish();
}

void WebsocketClient::send_broken() {
    std::string bytes;
    switch (random_.below(5)) {
        case 0:
            bytes = encode({.opcode = 3, .payload = "reserved"}, &random_);
            break;
        case 1:
            bytes = encode({.payload = "not masked"}, nullptr);
            break;
        case 2:
            bytes = encode({.opcode = 0, .payload = "continues nothing"}, &random_);
            break;
        case 3:
            bytes = encode({.fin = false, .opcode = 9, .payload = "half a ping"}, &random_);
            break;
        default:
            bytes = "\xFF\xFFgarbage";
            break;
    }
    Item item{.kind = Item::Kind::kBroken, .pieces = {{bytes, true, 0}}};
    items_.push_back(std::move(item));
    send(bytes);
    send_rest();
    quiet_ = broke_framing_ = true;
}

void WebsocketClient::act() {
    if (peer_.over() && !peer_.ended()) return;
    // Before the 101 came, an impatient client sends now and then.
    if (!open() && (status_ != 0 || !random_.one_in(10))) return;
    if (quiet_) {
        if (random_.one_in(10)) peer_.close();
        return;
    }
    if (!rest_.empty() && random_.one_in(2)) {
        send_rest();
        return;
    }
    switch (random_.below(scenario_.peers_behave ? 16 : 24)) {
        case 12:
            return peer_.stop_reading();
        case 13:
            return peer_.start_reading();
        case 14:
        case 15:
            return send_control();
        case 20:
            return random_.one_in(4) ? send_close() : send_control();
        case 21:
            return random_.one_in(4) ? send_broken() : send_control();
        case 22:
            if (!random_.one_in(4)) return;
            quiet_ = true;
            return peer_.finish();
        case 23:
            if (!random_.one_in(4)) return;
            quiet_ = true;
            return random_.one_in(2) ? peer_.reset() : peer_.close();
        default:
            for (std::uint64_t n = random_.one_in(5) ? random_.between(2, 12) : 1; n > 0 && !quiet_; --n)
                send_message();
    }
}

void WebsocketClient::wind_up() {
    peer_.start_reading();
    send_rest();
    if (quiet_ || peer_.over()) return;
    switch (random_.below(4)) {
        case 0:
            return;  // leaves it to the time-outs
        case 1:
            return send_close();
        case 2:
            return peer_.finish();
        default:
            return peer_.close();
    }
}

}  // namespace weir::sim
