// A client that opens a WebSocket and does what comes to its mind, and remembers all that it did.
#pragma once

#include <string>
#include <vector>

#include "net/simulated_network.h"
#include "scenario.h"
#include "wire.h"

namespace weir::sim {

// What a client sent, in order: a message with the control frames between its fragments, or a control frame.
struct Item {
    enum class Kind : std::uint8_t { kMessage, kControl, kClose, kBroken };
    struct Piece {
        std::string bytes;  // one frame
        bool control = false;
        std::size_t payload_bytes = 0;
    };
    Kind kind = Kind::kMessage;
    std::vector<Piece> pieces;
    bool binary = false;
    bool compressed = false;
    std::string text = {};  // before it was compressed
};

class WebsocketClient {
  public:
    WebsocketClient(int id, net::SimulatedPeer peer, const Scenario& scenario, Rng& random)
        : id_(id), peer_(peer), scenario_(scenario), random_(random) {}

    void shake_hands();
    // Looks at what has come.
    void update();
    // One thing that clients do.
    void act();
    void read_on() { peer_.start_reading(); }
    // The end of the run: says goodbye or just waits.
    void wind_up();
    // Sends what it still has of a frame that it sent in parts.
    void send_rest();

    [[nodiscard]] int id() const { return id_; }
    [[nodiscard]] const net::SimulatedPeer& peer() const { return peer_; }
    [[nodiscard]] unsigned status() const { return status_; }  // 0: none yet
    [[nodiscard]] bool open() const { return status_ == 101; }
    [[nodiscard]] bool compressing() const { return compressing_; }
    [[nodiscard]] const std::string& head() const { return head_; }
    [[nodiscard]] std::string_view body() const { return std::string_view(peer_.received()).substr(head_.size()); }
    [[nodiscard]] const std::vector<Item>& items() const { return items_; }
    // It may still be spoken to and speaks: nothing that it did ends the connection.
    [[nodiscard]] bool lively() const { return !quiet_ && !peer_.over(); }
    [[nodiscard]] bool broke_framing() const { return broke_framing_; }
    [[nodiscard]] bool sent_too_much() const { return sent_too_much_; }

  private:
    void send_message();
    void send_control();
    void send_close();
    void send_broken();
    void send(std::string_view bytes);
    Item new_message();
    [[nodiscard]] std::string new_text(bool binary);

    int id_;
    net::SimulatedPeer peer_;
    const Scenario& scenario_;
    Rng& random_;
    unsigned status_ = 0;
    bool compressing_ = false;
    bool quiet_ = false;  // it has closed, finished or reset: it sends nothing any more that counts
    bool broke_framing_ = false;
    bool sent_too_much_ = false;
    std::string head_;
    std::string rest_;
    std::vector<Item> items_;
};

}  // namespace weir::sim
