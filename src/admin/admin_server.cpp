#include "admin/admin_server.h"

#include <atomic>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "admin/pages.h"
#include "net/reactor.h"
#include "protocol/http/head.h"

namespace weir::admin {
namespace {

using protocol::http::BodyFraming;
using protocol::http::RequestHead;

constexpr std::size_t kRefusedMax = 16;  // connections beyond the bound that are still told so
constexpr Nanos kSweepInterval = std::chrono::seconds(1);
constexpr std::size_t kBlocksMax = 256;

enum class Phase : std::uint8_t {
    kIdle,     // between requests; nothing of a head has come
    kHead,     // a part of a head has come
    kClosing,  // the last answer is on its way; what comes is dropped until the peer has closed too
};

struct Connection {
    net::SocketId socket;
    Phase phase = Phase::kIdle;
    bool refused = false;  // beyond kConnectionsMax
    bool ended = false;    // the peer has closed its half, and we ours behind the last answer
    std::string input;     // at most kHeadBytesMax and what one event brought
    std::size_t searched = 0;
    std::size_t unsent = 0;  // when we last looked
    MonoTime deadline;
};

}  // namespace

bool is_local(const net::Endpoint& endpoint) {
    return endpoint.is_unix() || endpoint.address.is_loopback();
}

struct AdminServer::Impl final : net::ReactorEvents {
    Impl(net::Endpoint endpoint, Control& control, Clock& clock, log::Logger& logger, AdminOptions options)
        : endpoint_(std::move(endpoint)),
          control_(control),
          clock_(clock),
          logger_(logger),
          options_(std::move(options)) {}

    Result<void> start();
    void stop();
    void run();

    void on_accepted(net::SocketId socket, std::uint32_t listener, const net::Endpoint& peer) override;
    void on_connected(net::SocketId, Result<void>) override {}
    void on_received(net::SocketId socket, net::Slice bytes) override;
    void on_received_end(net::SocketId socket) override;
    void on_drained(net::SocketId socket) override;
    void on_closed(net::SocketId socket, Error why) override;
    void on_timer(net::TimerId timer, std::uint64_t cookie) override;
    void on_wake() override {}

    Connection* find(net::SocketId socket);
    void close(net::SocketId socket);
    void serve_input(Connection& connection);
    void serve_request(Connection& connection, std::string_view head);
    void answer(Connection& connection, const Page& page, Framing framing);
    void sweep(Connection& connection, std::vector<net::SocketId>& late);
    void finish(Connection& connection);
    [[nodiscard]] std::size_t unsent_bytes() const;
    // The peer reads too slowly to be given more: its next request waits for on_drained.
    [[nodiscard]] bool blocked(const Connection& connection) const {
        return reactor_->unsent_bytes(connection.socket) > kSendQueueHighBytes;
    }
    void set_phase(Connection& connection, Phase phase, Nanos time) {
        connection.phase = phase;
        connection.deadline = reactor_->now() + time;
    }

    net::Endpoint endpoint_;
    Control& control_;
    Clock& clock_;
    log::Logger& logger_;
    AdminOptions options_;

    std::unique_ptr<net::Reactor> reactor_;
    std::thread thread_;
    std::atomic<bool> stopping_{false};

    // Of the server's thread.
    std::unordered_map<std::uint32_t, Connection> connections_;
    std::size_t refused_ = 0;
    RequestHead request_;
};

Result<void> AdminServer::Impl::start() {
    if (!is_local(endpoint_) && options_.bearer_token.empty()) {
        return Error{.code = ErrorCode::kForbidden,
                     .source = ErrorSource::kConfiguration,
                     .detail = "an admin address that is not loopback needs a bearer token"};
    }
    net::ReactorOptions reactor_options;
    reactor_options.blocks_max = kBlocksMax;
    reactor_options.sockets_max = kConnectionsMax + 2 * kRefusedMax;
    Result<std::unique_ptr<net::Reactor>> reactor =
        net::make_reactor(net::ReactorKind::kEpoll, clock_, reactor_options);
    if (!reactor) return reactor.error();
    reactor_ = std::move(*reactor);
    reactor_->set_events(this);

    net::ListenOptions listen_options;
    listen_options.reuse_port = false;  // a second process on this address is a mistake that must show
    listen_options.backlog = 128;
    const Result<std::uint32_t> listener = reactor_->listen(endpoint_, listen_options);
    if (!listener) {
        reactor_.reset();
        return listener.error();
    }
    endpoint_ = reactor_->listener_endpoint(*listener);
    stopping_ = false;
    thread_ = std::thread([this] { run(); });
    return {};
}

void AdminServer::Impl::stop() {
    if (!thread_.joinable()) return;
    stopping_ = true;
    reactor_->wake();
    thread_.join();
    connections_.clear();
    refused_ = 0;
    reactor_.reset();
}

void AdminServer::Impl::run() {
    static_cast<void>(reactor_->set_timer(kSweepInterval, 0));
    while (!stopping_.load()) reactor_->turn(kSweepInterval);
    for (const auto& [index, connection] : connections_) reactor_->close(connection.socket);
}

Connection* AdminServer::Impl::find(net::SocketId socket) {
    const auto found = connections_.find(socket.index);
    return found == connections_.end() || found->second.socket != socket ? nullptr : &found->second;
}

void AdminServer::Impl::close(net::SocketId socket) {
    const Connection* connection = find(socket);
    if (connection == nullptr) return;
    if (connection->refused) --refused_;
    connections_.erase(socket.index);
    reactor_->close(socket);
}

void AdminServer::Impl::on_accepted(net::SocketId socket, std::uint32_t, const net::Endpoint&) {
    const bool refused = connections_.size() - refused_ >= kConnectionsMax;
    if (refused && refused_ >= kRefusedMax) {
        reactor_->close(socket);
        return;
    }
    Connection& connection = connections_[socket.index];
    connection = Connection{};
    connection.socket = socket;
    connection.refused = refused;
    set_phase(connection, Phase::kIdle, kHeadTime);  // the time until a request has come counts from here
    if (!refused) return;
    ++refused_;
    logger_.write(LogLevel::kWarning, "admin: too many connections", {});
    answer(connection, error_page(503), {.keep_alive = false});
}

void AdminServer::Impl::on_received(net::SocketId socket, net::Slice bytes) {
    Connection* connection = find(socket);
    if (connection == nullptr || connection->phase == Phase::kClosing) return;
    connection->input += bytes.text();
    serve_input(*connection);
    if (connection->input.size() >= kHeadBytesMax) reactor_->pause_receiving(socket);
}

void AdminServer::Impl::on_drained(net::SocketId socket) {
    Connection* connection = find(socket);
    if (connection == nullptr || connection->phase == Phase::kClosing) return;
    reactor_->resume_receiving(socket);
    serve_input(*connection);
}

// A peer that closes its half after its request still gets its answer.
void AdminServer::Impl::on_received_end(net::SocketId socket) {
    Connection* connection = find(socket);
    if (connection == nullptr) return;
    if (reactor_->unsent_bytes(socket) == 0) return close(socket);
    finish(*connection);
    connection->ended = true;
}

void AdminServer::Impl::on_closed(net::SocketId socket, Error) {
    const Connection* connection = find(socket);
    if (connection == nullptr) return;
    if (connection->refused) --refused_;
    connections_.erase(socket.index);
}

// Serves the requests that have come, as long as the peer takes its answers.
void AdminServer::Impl::serve_input(Connection& connection) {
    while (connection.phase != Phase::kClosing && !connection.input.empty() && !blocked(connection)) {
        const std::size_t length = protocol::http::head_length(connection.input, connection.searched);
        if (length > kHeadBytesMax || (length == 0 && connection.input.size() >= kHeadBytesMax)) {
            return answer(connection, error_page(431), {.keep_alive = false});
        }
        if (length == 0) {
            if (protocol::http::head_hopeless(connection.input)) {
                return answer(connection, error_page(400), {.keep_alive = false});
            }
            connection.searched = connection.input.size();
            if (connection.phase == Phase::kIdle) set_phase(connection, Phase::kHead, kHeadTime);
            return;
        }
        const std::string head = connection.input.substr(0, length);
        connection.input.erase(0, length);
        connection.searched = 0;
        serve_request(connection, head);
    }
}

void AdminServer::Impl::serve_request(Connection& connection, std::string_view head) {
    if (const Result<void> parsed = protocol::http::parse_request_head(head, request_); !parsed) {
        return answer(connection, error_page(error_row(parsed.error().code).http_status), {.keep_alive = false});
    }
    const bool has_body = request_.framing != BodyFraming::kNone &&
                          (request_.framing != BodyFraming::kLength || request_.content_length > 0);
    const bool keep_alive = request_.keep_alive && request_.version_minor > 0 && !has_body;
    const Framing framing{.keep_alive = keep_alive, .head_only = request_.method == "HEAD"};
    Page page = page_for(request_, control_, options_.bearer_token);
    if (unsent_bytes() + page.body.size() > kUnsentBytesMax) page = error_page(503);
    answer(connection, page, framing);
}

void AdminServer::Impl::answer(Connection& connection, const Page& page, Framing framing) {
    reactor_->send(connection.socket, reactor_->blocks().copy(response_text(page, framing, reactor_->wall_now())));
    connection.unsent = reactor_->unsent_bytes(connection.socket);
    if (framing.keep_alive) {
        set_phase(connection, Phase::kIdle, blocked(connection) ? kSendTime : kIdleTime);
    } else {
        finish(connection);
    }
}

// Closing at once would reset a peer that is still sending, and take its answer from it (RFC 9112 9.6).
void AdminServer::Impl::finish(Connection& connection) {
    reactor_->shutdown_send(connection.socket);
    connection.input.clear();
    reactor_->resume_receiving(connection.socket);
    set_phase(connection, Phase::kClosing, kSendTime);
}

std::size_t AdminServer::Impl::unsent_bytes() const {
    std::size_t total = 0;
    for (const auto& [index, connection] : connections_) total += reactor_->unsent_bytes(connection.socket);
    return total;
}

void AdminServer::Impl::on_timer(net::TimerId, std::uint64_t) {
    static_cast<void>(reactor_->set_timer(kSweepInterval, 0));
    std::vector<net::SocketId> late;
    for (auto& [index, connection] : connections_) sweep(connection, late);
    for (const net::SocketId socket : late) close(socket);
}

void AdminServer::Impl::sweep(Connection& connection, std::vector<net::SocketId>& late) {
    const std::size_t before = std::exchange(connection.unsent, reactor_->unsent_bytes(connection.socket));
    if (connection.ended && connection.unsent == 0) return late.push_back(connection.socket);
    if (connection.unsent > 0 && connection.unsent < before) {  // a slow reader that reads may go on
        connection.deadline = reactor_->now() + kSendTime;
        return;
    }
    if (reactor_->now() < connection.deadline) return;
    if (connection.phase == Phase::kHead) {
        answer(connection, error_page(408), {.keep_alive = false});
    } else {
        late.push_back(connection.socket);
    }
}

AdminServer::AdminServer(net::Endpoint endpoint, Control& control, Clock& clock, log::Logger& logger,
                         AdminOptions options)
    : impl_(std::make_unique<Impl>(std::move(endpoint), control, clock, logger, std::move(options))) {}

AdminServer::~AdminServer() {
    stop();
}

Result<void> AdminServer::start() {
    return impl_->start();
}

net::Endpoint AdminServer::endpoint() const {
    return impl_->endpoint_;
}

void AdminServer::stop() {
    impl_->stop();
}

}  // namespace weir::admin
