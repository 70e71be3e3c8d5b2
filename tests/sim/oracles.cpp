// What must be true of every run.
#include <algorithm>
#include <deque>
#include <fmt/format.h>

#include "protocol/ws/frame.h"
#include "simulation.h"

namespace weir::sim {

namespace {

constexpr std::string_view kAnswerStart = "{\"type\": \"RATE_LIMITED\"";

std::string shown(std::string_view bytes) {
    std::string out;
    for (const char c : bytes.substr(0, 24)) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
    return out;
}

}  // namespace

std::vector<std::string> Simulation::groups_of(const Item& item) const {
    const policy::MessageRules& rules = config_->find_route("/ws/room")->websocket->messages;
    std::string content = item.text;
    std::uint64_t size = content.size();
    bool complete = true;
    if (content.size() > rules.inspect_bytes() && rules.needs_content()) {
        complete = false;
        if (item.compressed) {
            content.resize(rules.inspect_bytes());
        } else {
            // Judged at the frame that leads beyond what may be looked at.
            content.clear();
            size = 0;
            for (const Item::Piece& piece : item.pieces) {
                if (size <= rules.inspect_bytes()) size += piece.payload_bytes;
            }
        }
    }
    const std::size_t bytes = content.size();
    content.resize(bytes + policy::kJsonPadding);
    policy::ContentJudge judge;
    std::size_t rule = judge.judge(rules, {.content = std::string_view(content).substr(0, bytes),
                                           .complete = complete,
                                           .binary = item.binary,
                                           .size_least = size});
    if (rule == policy::MessageRules::kUnjudgeable) rule = rules.strictest(*config_->limits, policy::kAnonymous);
    std::vector<std::string> groups;
    if (rule == policy::MessageRules::kNoRule) return groups;
    for (const policy::LimitId limit : rules.rules()[rule].limits) {
        // What is in shadow decides nothing, and the store is not asked.
        const std::string& group = config_->limits->at(limit).group;
        if (!scenario_.shadowed(group)) groups.push_back(group);
    }
    return groups;
}

std::vector<const SimStore::Entry*> Simulation::entries_of(const WebsocketClient& client) const {
    std::vector<const SimStore::Entry*> entries;
    for (const SimStore::Entry& entry : store_.entries()) {
        if (entry.client == client.id() && entry.groups.front() != "c") entries.push_back(&entry);
    }
    return entries;
}

// The backend has what the client sent, byte for byte and in order, but for whole messages that are missing; at the end
// perhaps Weir's own Close.
Simulation::Fate Simulation::check_upstream_bytes(const WebsocketClient& client, const BackendSocket& socket) {
    std::string_view left = socket.received;
    Fate fate;
    fate.passed.resize(client.items().size());
    const auto is_weirs_close = [&] {
        if (left.size() < 8) return left.starts_with(std::string_view("\x88\x82").substr(0, left.size()));  // cut off
        const auto frame = decode(left);
        return frame && frame->frame.opcode == 8 && close_code(frame->frame.payload) == 1001 &&
               frame->size == left.size();
    };
    for (std::size_t i = 0; i < client.items().size(); ++i) {
        const Item& item = client.items()[i];
        // What of the item is still to come, in order. Control frames may go ahead of a message that is held.
        std::deque<const Item::Piece*> pieces;
        for (const Item::Piece& piece : item.pieces) pieces.push_back(&piece);
        std::optional<bool>& passed = fate.passed[i];
        if (item.kind == Item::Kind::kControl) passed = true;
        while (!pieces.empty()) {
            if (left.empty() || is_weirs_close()) return fate;
            const auto matches = [&](const Item::Piece* piece) {
                return item.kind != Item::Kind::kBroken &&
                       (left.starts_with(piece->bytes) || piece->bytes.starts_with(left));
            };
            auto next = pieces.begin();
            if (!matches(*next) && passed != true) {
                next = std::find_if(pieces.begin(), pieces.end(), [](const auto* piece) { return piece->control; });
                if (next == pieces.end() || !matches(*next)) next = pieces.end();
            }
            if (next == pieces.end()) {
                const bool complete =
                    std::none_of(pieces.begin(), pieces.end(), [](const auto* piece) { return piece->control; });
                if (complete && item.kind == Item::Kind::kMessage && passed != true) {
                    passed = false;
                    break;
                }
            }
            if (next == pieces.end() || !matches(*next)) {
                const std::string_view wanted = pieces.front()->bytes;
                const auto at = static_cast<std::size_t>(
                    std::mismatch(left.begin(), left.end(), wanted.begin(), wanted.end()).first - left.begin());
                fail(fmt::format(
                    "client {}, item {}: a frame differs from byte {} of {} on: the backend has {} in place of {}",
                    client.id(), i, at, wanted.size(), shown(left.substr(at)), shown(wanted.substr(at))));
                return fate;
            }
            if (left.size() < (*next)->bytes.size()) return fate;  // cut off here
            if (!(*next)->control) passed = true;
            left.remove_prefix((*next)->bytes.size());
            pieces.erase(next);
        }
    }
    if (!left.empty() && !is_weirs_close()) {
        fail(fmt::format("client {}: the backend has bytes that nobody sent: {}", client.id(), shown(left)));
    }
    return fate;
}

// What passed is what the limits admitted.
void Simulation::check_verdicts(const WebsocketClient& client, const Fate& fate) {
    const auto entries = entries_of(client);
    std::size_t next = 0;
    std::size_t denials = 0;
    for (std::size_t i = 0; i < client.items().size(); ++i) {
        const Item& item = client.items()[i];
        if (item.kind != Item::Kind::kMessage) continue;
        const auto groups = groups_of(item);
        if (groups.empty()) {
            // After one denial too many (close_after: 5/m) nothing passes any more.
            const bool closed = scenario_.close_after && denials > 5;
            if (fate.passed[i] == false && !closed)
                fail(fmt::format("client {}, item {}: dropped, and no limit covers it", client.id(), i));
            continue;
        }
        if (next == entries.size()) {
            if (fate.passed[i] == true)
                fail(fmt::format("client {}, item {}: passed without a decision", client.id(), i));
            continue;
        }
        const SimStore::Entry& entry = *entries[next++];
        denials += entry.answered && !entry.allowed ? 1 : 0;
        if (entry.groups != groups) {
            fail(fmt::format("client {}, item {}: counted in {}, not in {}", client.id(), i,
                             fmt::join(entry.groups, "+"), fmt::join(groups, "+")));
            return;
        }
        if (!fate.passed[i]) continue;
        if (!entry.answered) {
            fail(fmt::format("client {}, item {}: {} before the store had answered", client.id(), i,
                             *fate.passed[i] ? "passed" : "dropped"));
        } else if (*fate.passed[i] != entry.allowed) {
            fail(fmt::format("client {}, item {}: {} though {}", client.id(), i, *fate.passed[i] ? "passed" : "dropped",
                             entry.allowed ? "allowed" : "denied"));
        }
    }
    const bool cut = client.broke_framing() || client.sent_too_much();
    if (next < entries.size() && !cut) {
        fail(fmt::format("client {}: {} decisions about {} messages", client.id(), entries.size(), next));
    }
}

// The client has what the backend sent, byte for byte and in order, with Weir's messages between messages only.
Simulation::Heard Simulation::check_downstream_bytes(const WebsocketClient& client, const BackendSocket& socket) {
    Heard heard;
    std::string_view left = client.body();
    const std::string_view sent = socket.sent;
    while (!left.empty()) {
        if (heard.close_code != 0) {
            fail(fmt::format("client {}: bytes after Weir's Close: {}", client.id(), shown(left)));
            return heard;
        }
        if (socket.boundaries.contains(heard.of_backend)) {
            const auto own = decode(left);
            if (own && own->frame.opcode == 1 && own->frame.payload.starts_with(kAnswerStart)) {
                ++heard.answers;
                left.remove_prefix(own->size);
                continue;
            }
            if (own && own->frame.opcode == 9 && own->frame.payload == "weir" && scenario_.ping_seconds > 0) {
                left.remove_prefix(own->size);
                continue;
            }
            const unsigned code = own && own->frame.opcode == 8 ? close_code(own->frame.payload) : 0;
            if (code == 1001 || code == 1002 || code == 1009 || code == 4029) {
                heard.close_code = code;
                check_close_code(client, code);
                left.remove_prefix(own->size);
                continue;
            }
            // One of Weir's own, cut off.
            const bool could_be_own = left.front() == '\x81' || left.front() == '\x88' || left.front() == '\x89';
            if (!own && could_be_own && left.size() < 300 && !sent.substr(heard.of_backend).starts_with(left))
                return heard;
        }
        if (heard.of_backend == sent.size() || left.front() != sent[heard.of_backend]) {
            fail(fmt::format("client {}: at byte {} of {} of the backend's it hears {}", client.id(), heard.of_backend,
                             sent.size(), shown(left)));
            return heard;
        }
        // Up to the next place where something else could stand.
        const auto boundary = socket.boundaries.upper_bound(heard.of_backend);
        const std::size_t stop = boundary == socket.boundaries.end() ? sent.size() : *boundary;
        const std::size_t size = std::min(stop - heard.of_backend, left.size());
        if (left.substr(0, size) != sent.substr(heard.of_backend, size)) {
            fail(fmt::format("client {}: the backend's message at byte {} was changed", client.id(), heard.of_backend));
            return heard;
        }
        left.remove_prefix(size);
        heard.of_backend += size;
    }
    return heard;
}

void Simulation::check_close_code(const WebsocketClient& client, unsigned code) {
    const bool legal = (code == 1002 && client.broke_framing()) || (code == 1009 && client.sent_too_much()) ||
                       (code == 4029 && scenario_.close_after) ||
                       (code == 1001 && (drained_ || scenario_.ping_seconds > 0 || scenario_.idle_seconds > 0));
    if (!legal) fail(fmt::format("client {}: closed with {} for no reason", client.id(), code));
}

// Refused at the connection level: no backend has heard of it.
void Simulation::check_refused(const WebsocketClient& client) {
    if (scenario_.rejected(client.id())) {
        tally_.rejected += client.open() ? 1 : 0;
        const auto close = client.open() ? decode(client.body()) : std::nullopt;
        const unsigned expected = scenario_.token_of(client.id()) == Token::kExpired ? 4001 : 4002;
        if (close && (close->frame.opcode != 8 || close_code(close->frame.payload) != expected))
            fail(fmt::format("client {}: a token that is refused is not told so", client.id()));
        return;
    }
    // A handshake passes unmarked when it is admitted, and marked when it is not.
    for (const SimStore::Entry& entry : store_.entries()) {
        if (entry.client != client.id() || entry.groups.front() != "c") continue;
        const bool marked = backend_.marked_handshake(client.id());
        if (backend_.heard_handshake(client.id()) && (!entry.answered || marked == entry.allowed))
            fail(fmt::format("client {}: its handshake reached the backend {}", client.id(),
                             marked ? "marked though it was admitted" : "unmarked though it was denied"));
        tally_.marked += marked ? 1 : 0;
    }
    if (backend_.heard_handshake(client.id())) return;
    if (client.open()) {
        const auto close = decode(client.body());
        if (close && (close->frame.opcode != 8 || close_code(close->frame.payload) != 4029)) {
            fail(fmt::format("client {}: a 101 without a backend, and no Close 4029", client.id()));
        }
        const bool limited = scenario_.connect_limited && !scenario_.connect_mark && !scenario_.shadowed("c");
        if (close && !limited && (scenario_.connections_max == 0 || scenario_.shadow))
            fail(fmt::format("client {}: refused for no reason", client.id()));
    }
}

// For reading a failure: what a client sent, what the backend got, and what was decided.
void Simulation::explain(const WebsocketClient& client) {
    std::string text = fmt::format("client {} sent:", client.id());
    for (const Item& item : client.items()) {
        text += fmt::format(
            " {}[", item.kind == Item::Kind::kMessage ? fmt::format("{}", fmt::join(groups_of(item), "+")) : "");
        for (const Item::Piece& piece : item.pieces)
            text += fmt::format("{}:{} ", shown(std::string_view(piece.bytes).substr(0, 6)), piece.bytes.size());
        text += "]";
    }
    text += "\n    the backend got:";
    if (const BackendSocket* socket = backend_.socket_of(client.id())) {
        std::string_view left = socket->received;
        while (!left.empty()) {
            const auto frame = decode(left);
            const std::size_t size = frame ? frame->size : left.size();
            text += fmt::format(" {}:{}", shown(left.substr(0, 6)), size);
            left.remove_prefix(size);
        }
    }
    text += "\n    decisions:";
    for (const SimStore::Entry& entry : store_.entries()) {
        if (entry.client != client.id() && entry.client != kNobody) continue;
        text += fmt::format(" {}{}:{}", entry.client == kNobody ? "timer " : "", fmt::join(entry.groups, "+"),
                            !entry.answered ? "pending"
                            : entry.allowed ? "yes"
                                            : "no");
    }
    fail(text);
}

void Simulation::check_client(const WebsocketClient& client) {
    const std::size_t failures_before = failures_.size();
    check_client_itself(client);
    if (failures_.size() > failures_before) explain(client);
}

void Simulation::check_client_itself(const WebsocketClient& client) {
    const BackendSocket* socket = backend_.socket_of(client.id());
    check_refused(client);
    if (socket == nullptr) {
        if (!entries_of(client).empty())
            fail(fmt::format("client {}: messages were judged without a backend", client.id()));
        return;
    }
    const Fate fate = check_upstream_bytes(client, *socket);
    check_verdicts(client, fate);
    if (!client.open()) return;
    const Heard heard = check_downstream_bytes(client, *socket);
    std::size_t denials = 0;
    for (const SimStore::Entry* entry : entries_of(client)) denials += entry->answered && !entry->allowed ? 1 : 0;
    if (heard.answers > denials)
        fail(fmt::format("client {}: {} answers to {} denials", client.id(), heard.answers, denials));
}

// After a while in which everybody reads, what was said has arrived.
void Simulation::check_settled() {
    for (auto& client : clients_) client->send_rest();
    backend_.read_on();
    for (auto& client : clients_) client->read_on();
    for (auto& client : http_clients_) client->read_on();
    network_.advance(std::chrono::seconds(200));
    for (auto& client : clients_) client->update();
    look();
    for (const auto& client : http_clients_) check_http_client(*client, true);
    if (scenario_.idle_seconds < 300 || scenario_.ping_seconds > 0 || scenario_.close_after || drained_) return;
    for (const auto& each : clients_) {
        const WebsocketClient& client = *each;
        const BackendSocket* socket = backend_.socket_of(client.id());
        if (!client.open() || !client.lively() || socket == nullptr || socket->quiet) continue;
        ++tally_.settled;
        const Fate fate = check_upstream_bytes(client, *socket);
        std::size_t expected_bytes = 0;
        std::size_t judged = 0;
        for (std::size_t i = 0; i < client.items().size(); ++i) {
            const Item& item = client.items()[i];
            judged += item.kind == Item::Kind::kMessage && !groups_of(item).empty() ? 1 : 0;
            const auto entries = entries_of(client);
            for (const Item::Piece& piece : item.pieces) {
                if (piece.control || fate.passed[i].value_or(false)) expected_bytes += piece.bytes.size();
            }
        }
        const auto entries = entries_of(client);
        if (entries.size() != judged)
            fail(fmt::format("client {}: {} decisions about {} messages when all has settled", client.id(),
                             entries.size(), judged));
        if (socket->received.size() != expected_bytes)
            fail(fmt::format("client {}: the backend misses bytes when all has settled", client.id()));
        const Heard heard = check_downstream_bytes(client, *socket);
        if (heard.of_backend != socket->sent.size()) {
            fail(fmt::format("client {}: has {} of {} bytes of the backend when all has settled", client.id(),
                             heard.of_backend, socket->sent.size()));
        }
        std::size_t denials = 0;
        for (const SimStore::Entry* entry : entries) denials += entry->allowed ? 0 : 1;
        const bool all_answered = !scenario_.notify && denials < 64 && socket->sent.size() < kSendQueueLowBytes;
        if (all_answered && !socket->in_message && heard.answers != denials) {
            fail(fmt::format("client {}: {} answers to {} denials when all has settled", client.id(), heard.answers,
                             denials));
        }
    }
}

// Each answer is the answer to its request; what was denied or broken off before has reached nobody.
void Simulation::check_http_client(const HttpClient& client, bool settled) {
    std::string error;
    const auto responses = client.responses(error);
    if (!error.empty()) fail(fmt::format("client {}: {}", client.id(), error));
    std::map<int, std::size_t> heard;
    std::set<int> marked;
    for (const HeardRequest& request : backend_.requests()) {
        if (request.client != client.id()) continue;
        if (request.marked) marked.insert(request.number);
        const bool sent = request.number >= 0 && static_cast<std::size_t>(request.number) < client.requests().size();
        if (!sent) {
            fail(fmt::format("client {}: the backend has a request that nobody sent", client.id()));
            continue;
        }
        const SentRequest& original = client.requests()[static_cast<std::size_t>(request.number)];
        if (request.body != original.body || request.method != original.method) {
            fail(fmt::format("client {}: request {} was changed", client.id(), request.number));
        }
        const bool again = original.body.empty() && original.method != "POST";
        if (++heard[request.number] > 1 && !again) {
            fail(fmt::format("client {}: request {} reached the backend twice", client.id(), request.number));
        }
    }
    // Each request is decided about once and in order, but for those that ask whether one may come.
    std::vector<const SimStore::Entry*> decisions;
    for (const SimStore::Entry& entry : store_.entries()) {
        if (entry.client == client.id()) decisions.push_back(&entry);
    }
    const bool limited = scenario_.http_limited && !scenario_.shadowed("h") && !scenario_.rejected(client.id());
    std::size_t decided = 0;
    for (std::size_t i = 0; i < client.requests().size(); ++i) {
        const int number = static_cast<int>(i);
        const bool judged = limited && !client.requests()[i].preflight;
        const SimStore::Entry* decision = judged && decided < decisions.size() ? decisions[decided++] : nullptr;
        if (marked.contains(number) && (decision == nullptr || decision->allowed || !scenario_.http_mark))
            fail(fmt::format("client {}: request {} is marked for no reason", client.id(), i));
        if (!heard.contains(number) || !judged) continue;
        if (decision == nullptr || !decision->answered)
            fail(fmt::format("client {}: request {} passed without a decision", client.id(), i));
        else if (!decision->allowed && !marked.contains(number))
            fail(fmt::format("client {}: request {} passed though it was denied", client.id(), i));
    }
    if (decided < decisions.size())
        fail(fmt::format("client {}: {} decisions about {} requests", client.id(), decisions.size(), decided));
    for (std::size_t i = 0; i < responses.size(); ++i) {
        const HeardResponse& response = responses[i];
        const bool reached = heard.contains(static_cast<int>(i));
        if (i >= client.requests().size()) {
            // A keep-alive that ran out in the middle of a head is answered too, and so is what the drain cuts off.
            if (!response.mark.empty()) fail(fmt::format("client {}: an answer to no request", client.id()));
            continue;
        }
        if (response.mark.empty()) {
            const bool deniable = limited && !scenario_.http_mark && !client.requests()[i].preflight;
            if (response.status == 429 && !deniable)
                fail(fmt::format("client {}: request {} was answered 429 for no reason", client.id(), i));
            if ((response.status == 401) != scenario_.rejected(client.id()) && response.status < 500 &&
                response.status != 408)
                if (response.status == 401 || scenario_.rejected(client.id()))
                    fail(fmt::format("client {}: request {} was answered {}", client.id(), i, response.status));
            if (response.status == 429 && reached)
                fail(fmt::format("client {}: denied request {} reached the backend", client.id(), i));
            if (response.status == 200) fail(fmt::format("client {}: a 200 of nobody", client.id()));
            continue;
        }
        if (response.mark != fmt::format("{}.{}", client.id(), i)) {
            fail(fmt::format("client {}: request {} got the answer to {}", client.id(), i, response.mark));
        }
        const std::string body =
            client.requests()[i].method == "HEAD" ? "" : answer_body(client.id(), static_cast<int>(i));
        if (response.whole ? response.body != body : !body.starts_with(response.body.substr(0, body.size()))) {
            fail(fmt::format("client {}: the answer to request {} was changed", client.id(), i));
        }
    }
    if (!settled) {
        tally_.requests += responses.size();
        tally_.marked += marked.size();
        for (const SentRequest& request : client.requests()) tally_.preflights += request.preflight ? 1 : 0;
    }
    const bool sound = scenario_.network_is_sound() && scenario_.peers_behave && !scenario_.second_backend && !drained_;
    if (settled && sound && !client.peer().over() && responses.size() != client.requests().size()) {
        fail(fmt::format("client {}: {} answers to {} requests when all has settled", client.id(), responses.size(),
                         client.requests().size()));
    }
}

void Simulation::check_metrics() {
    struct Counts {
        std::int64_t allowed = 0, denied = 0, error_open = 0, error_closed = 0;
    };
    std::map<std::string, Counts> counts;
    for (const SimStore::Entry& entry : store_.entries()) {
        if (!entry.answered) fail("a question to the store was never answered");
        for (std::size_t i = 0; i < entry.groups.size(); ++i) {
            Counts& of = counts[entry.groups[i]];
            if (entry.failed) {
                ++(scenario_.on_error == OnError::kOpen ? of.error_open : of.error_closed);
            } else if (!entry.allows[i]) {
                ++of.denied;
            } else if (entry.allowed) {
                ++of.allowed;
            }
        }
        tally_.known_users += entry.subject.starts_with("user:") ? 1 : 0;
        tally_.proxied += entry.subject.starts_with("ip:198.51.100.") ? 1 : 0;
        tally_.reloaded += entry.reloaded ? 1 : 0;
        ++(entry.failed ? tally_.failed : entry.allowed ? tally_.allowed : tally_.denied);
    }
    for (const auto& [group, limit] : scenario_.limits) {
        const Counts& of = counts[group];
        const auto check = [&, name = limit.name, group = group](std::string_view outcome, std::int64_t expected) {
            std::int64_t counted = 0;
            for (const char* route : {"ws", "http"}) {
                for (const char* tier : {"anonymous", "authenticated"}) {
                    counted += metrics_.value(metrics_.cell(metrics::Family::kDecisions, {route, name, tier, outcome}));
                }
            }
            if (outcome == "shadow_denied") {
                tally_.shadow_denied += static_cast<std::uint64_t>(counted);
                if (scenario_.shadowed(group)) return;
            }
            if (scenario_.shadowed(group) && outcome == "allowed") return;
            if (counted != expected)
                fail(fmt::format("metrics: {} {} of {}, the log has {}", counted, outcome, name, expected));
        };
        check("allowed", of.allowed);
        check("denied", of.denied);
        check("shadow_denied", 0);
        check("error_open", of.error_open);
        check("error_closed", of.error_closed);
    }
    for (const char* route : {"ws", "http"}) {
        const auto open = metrics_.value(metrics_.cell(metrics::Family::kConnections, {route}));
        if (open != 0) fail(fmt::format("metrics: {} WebSockets of {} are still open", open, route));
    }
}

void Simulation::check_end() {
    for (const auto& client : clients_) {
        check_client(*client);
        tally_.opened += client->open() ? 1 : 0;
        tally_.messages += client->items().size();
    }
    for (const auto& client : http_clients_) check_http_client(*client, false);
    check_metrics();
    if (store_.pending() != 0) fail("the store still has questions");
    for (std::size_t i = 0; i < workers_.size(); ++i) {
        if (workers_[i]->connection_count() != 0)
            fail(fmt::format("{} connections are still open", workers_[i]->connection_count()));
        if (reactors_[i]->open_sockets() != 0)
            fail(fmt::format("{} sockets are still open", reactors_[i]->open_sockets()));
        if (reactors_[i]->blocks().blocks_out() != 0)
            fail(fmt::format("{} blocks did not return", reactors_[i]->blocks().blocks_out()));
        if (drained_ && !workers_[i]->finished()) fail("a worker does not finish");
    }
    if (shared_.connections.load() != 0) fail("connections are still counted");
    const auto& counters = network_.counters();
    if (counters.opened != counters.closed)
        fail(fmt::format("{} sockets opened, {} closed", counters.opened, counters.closed));
    if (counters.closed_again != 0) fail("a socket was closed twice");
}

}  // namespace weir::sim
