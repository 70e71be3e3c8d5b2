#include "gateway/jwks_client.h"

#include "gateway/worker.h"

namespace weir::gateway {

namespace jwt = protocol::jwt;

namespace {

constexpr AddressRef kAddress{0, 0};

std::string request_for(const config::RemoteJwks& jwks) {
    return "GET " + jwks.target + " HTTP/1.1\r\nHost: " + jwks.address.host_header +
           "\r\nAccept: application/jwk-set+json, application/json\r\nConnection: close\r\n\r\n";
}

Error unusable(std::string_view detail) {
    return {ErrorCode::kMalformed, ErrorSource::kUpstream, false, detail};
}

}  // namespace

void JwksClient::tend() {
    const std::shared_ptr<JwksSource>& source = worker_.snapshot()->jwks;
    if (fetch_ && fetch_->source != source) end(nullptr, "another key set is configured");
    if (source == nullptr || fetch_ || worker_.draining()) return;
    if (source->claim(worker_.reactor().now(), worker_.snapshot()->config->jwks->refresh)) begin(source);
}

bool JwksClient::wait(JwksSource& source, const LookupWaiter& waiter) {
    // While it fetches for a configuration that has been replaced it can't fetch for this one.
    const std::shared_ptr<JwksSource>& current = worker_.snapshot()->jwks;
    if (&source != current.get() || (fetch_ && fetch_->source != current)) return false;
    const auto found = source.wait(waiter, worker_.reactor().now());
    if (found.claimed && !fetch_) begin(current);
    return found.waits;
}

void JwksClient::abandon() {
    if (fetch_ && fetch_->socket.valid()) worker_.close_for_owner(fetch_->socket);
    fetch_.reset();
}

void JwksClient::begin(const std::shared_ptr<JwksSource>& source) {
    const auto timer = worker_.set_timer_for(*this, kJwksTimeout, ++fetches_ % net::kOwnerCookies);
    fetch_ = Fetch{.source = source, .socket = {}, .timer = timer, .response = ResponseReader(kBounds)};
    connect();
}

void JwksClient::connect() {
    const config::Upstream upstream{.name = "jwks", .addresses = {fetch_->source->options().address}};
    UpstreamPool pool(std::vector{upstream}, names_, 0);
    const auto endpoint = pool.endpoint_of(kAddress);
    if (!endpoint) {
        fail({ErrorCode::kUnreachable, ErrorSource::kUpstream, true, "its name has no address"});
        return;
    }
    // The fetch holds the address, and with it what TLS trusts, for as long as the socket is open.
    const auto socket = worker_.connect_for(*this, *endpoint, fetch_->source->options().address.tls.client.get());
    if (!socket) {
        fail(socket.error());
        return;
    }
    fetch_->socket = *socket;
}

bool JwksClient::owns(net::SocketId socket) const {
    return fetch_ && fetch_->socket == socket;
}

void JwksClient::on_connected(net::SocketId socket, const Result<void>& outcome) {
    if (!owns(socket)) return;
    if (!outcome) {
        fetch_->socket = {};
        fail(outcome.error());
        return;
    }
    worker_.reactor().send(socket, worker_.reactor().blocks().copy(request_for(fetch_->source->options())));
}

void JwksClient::on_received(net::SocketId socket, net::Slice bytes) {
    using enum ResponseReader::Progress;
    if (!owns(socket)) return;
    std::string_view text = bytes.text();
    ResponseReader& response = fetch_->response;
    auto progress = response.read(text, worker_.response_scratch());
    if (progress && *progress == kHead) {
        const unsigned status = response.status();
        if (status != 200) {
            fail(unusable(status >= 300 && status < 400 ? "it is a redirect, which is not followed"
                                                        : "its status is not 200"));
            return;
        }
        progress = response.read(text, worker_.response_scratch());
    }
    if (!progress) {
        fail(progress.error());
    } else if (*progress == kDone) {
        take();
    }
}

void JwksClient::on_received_end(net::SocketId socket) {
    if (!owns(socket)) return;
    if (fetch_->response.ended_whole()) {
        take();
    } else {
        fail({ErrorCode::kConnectionClosed, ErrorSource::kUpstream, true, "it closed the connection"});
    }
}

void JwksClient::on_closed(net::SocketId socket, const Error& why) {
    if (!owns(socket)) return;
    fetch_->socket = {};
    fail(why);
}

void JwksClient::on_timer(std::uint64_t cookie) {
    if (!fetch_ || cookie != fetches_ % net::kOwnerCookies) return;
    fetch_->timer = {};
    fail({ErrorCode::kTimeout, ErrorSource::kUpstream, true, "it did not answer in time"});
}

void JwksClient::take() {
    auto keys = jwt::KeySet::from_jwks(fetch_->response.body());
    if (!keys) {
        fail(unusable(keys.error().detail));
        return;
    }
    const JwksSource& source = *fetch_->source;
    worker_.shard().add(source.cells().fetched);
    worker_.shared().log.write(LogLevel::kInfo, "the key set was fetched",
                               {{"address", source.options().address.url},
                                {"bytes", static_cast<std::int64_t>(fetch_->response.body().size())}});
    end(std::make_shared<const jwt::KeySet>(std::move(keys).value()), {});
}

void JwksClient::fail(const Error& why) {
    const JwksSource& source = *fetch_->source;
    worker_.shard().add(why.code == ErrorCode::kTimeout ? source.cells().timeout
                        : is_unreachable(why.code)      ? source.cells().unreachable
                                                        : source.cells().unusable);
    const bool has_keys = source.keys() != nullptr;
    log::Logger& log = worker_.shared().log;
    const log::LogField address{"address", source.options().address.url};
    const log::LogField reason{"reason", why.detail};
    const log::LogField then{"then", has_keys ? "the keys from before serve" : "no token can be verified yet"};
    constexpr std::string_view kMessage = "the key set can't be fetched";
    if (const unsigned status = fetch_->response.status(); status == 0) {
        log.write(LogLevel::kWarning, kMessage, {address, reason, then});
    } else {
        log.write(LogLevel::kWarning, kMessage, {address, reason, {"status", static_cast<std::int64_t>(status)}, then});
    }
    end(nullptr, why.detail);
}

void JwksClient::end(std::shared_ptr<const jwt::KeySet> keys, std::string_view why) {
    Fetch fetch = std::move(*fetch_);
    fetch_.reset();
    if (fetch.timer.valid()) worker_.reactor().cancel_timer(fetch.timer);
    if (fetch.socket.valid()) worker_.close_for_owner(fetch.socket);
    for (const LookupWaiter& waiter : fetch.source->finish(std::move(keys), why)) {
        waiter.worker->post_lookup(waiter, {});
    }
}

}  // namespace weir::gateway
