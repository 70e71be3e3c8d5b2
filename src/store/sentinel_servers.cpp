#include "store/sentinel_servers.h"

#include <utility>

#include "base/text.h"
#include "protocol/resp/command.h"

namespace weir::store {

namespace resp = protocol::resp;

namespace {

RedisConnection::Options sentinel_options() {
    RedisConnection::Options options;
    options.greeting.emplace_back();
    resp::append_command(options.greeting.back(), {"PING"});
    return options;
}

std::optional<StoreHost> master_of(const resp::Reply& reply) {
    using Kind = resp::Reply::Kind;
    if (reply.kind != Kind::kArray || reply.elements.size() != 2) return std::nullopt;
    const resp::Reply& host = reply.elements[0];
    const auto port = parse_decimal(reply.elements[1].text);
    if (host.kind != Kind::kBulk || host.text.empty() || !port || *port == 0 || *port > 65535) return std::nullopt;
    return StoreHost{.host = host.text, .port = static_cast<std::uint16_t>(*port), .unix_path = {}};
}

}  // namespace

SentinelServers::SentinelServers(const StoreAddress& address, ServerTools tools)
    : host_(tools.host),
      names_(tools.names),
      sentinels_(address.hosts),
      tls_(tools.node.tls),
      turn_(tools.seed % sentinels_.size()),
      sentinel_(tools.host, *this, sentinel_options(), tools.seed ^ 0x5E17U) {
    resp::append_command(question_, {"SENTINEL", "get-master-addr-by-name", address.master});
    // Until it is known: what the log calls it.
    tools.node.host = {.host = address.master, .port = kRedisPort, .unix_path = {}};
    master_ = std::make_unique<RedisNode>(tools.host, tools.user, std::move(tools.node), tools.seed);
}

void SentinelServers::start() {
    look();
}

void SentinelServers::stop() {
    sentinel_.stop();
    master_->stop();
}

Result<net::Endpoint> SentinelServers::endpoint_of(RedisNode& /*node*/) {
    if (confirmed_) return resolve(*known_, names_, name_turn_);
    look();
    return Error{ErrorCode::kUnreachable, ErrorSource::kStore, true, "no Sentinel has said yet where the master is"};
}

void SentinelServers::on_down(RedisNode& /*node*/) {
    confirmed_ = false;
}

void SentinelServers::on_misplaced(RedisNode& node, const Error& why) {
    confirmed_ = false;
    node.reconnect(why);
}

void SentinelServers::tend() {
    master_->tend();
    if (asking_ && sentinel_.down()) sentinel_.connect_now();
    // When nobody tells, that is why the store can't be reached.
    if (asking_ && !confirmed_ && master_->down() && host_.reactor().now() - looked_ >= kLookAgain) {
        master_->connect_now();
    }
    if (!asking_ && host_.reactor().now() - looked_ >= kLookAgain) look();
}

void SentinelServers::look() {
    if (std::exchange(asking_, true)) return;
    looked_ = host_.reactor().now();
    sent_ = false;
    if (sentinel_.ready()) {
        send_question();
    } else {
        sentinel_.connect_now();
    }
}

void SentinelServers::send_question() {
    if (!std::exchange(sent_, true)) static_cast<void>(sentinel_.ask(question_, 0));
}

// `tend` goes on with it.
void SentinelServers::ask_next() {
    turn_ = (turn_ + 1) % sentinels_.size();
    sent_ = false;
}

void SentinelServers::on_ready(RedisConnection& /*connection*/) {
    if (asking_) send_question();
}

void SentinelServers::on_down(RedisConnection& /*connection*/, const Error& /*why*/) {
    ask_next();
}

void SentinelServers::on_lost(RedisConnection& connection, std::uint64_t /*tag*/, const Error& /*why*/) {
    sent_ = false;
    if (!connection.down()) ask_next();
}

void SentinelServers::on_reply(RedisConnection& connection, std::uint64_t /*tag*/, const resp::Reply& reply) {
    const auto master = master_of(reply);
    if (!master) {
        // It does not know the name, or is no Sentinel.
        connection.reset({ErrorCode::kNotFound, ErrorSource::kStore, true, "the Sentinel does not know the master"});
        return;
    }
    asking_ = sent_ = false;
    found(*master);
}

Result<net::Endpoint> SentinelServers::endpoint_of(RedisConnection& /*connection*/) {
    return resolve(sentinels_[turn_], names_, name_turn_);
}

const net::TlsClient* SentinelServers::tls_of(RedisConnection& /*connection*/) {
    sentinel_tls_ = tls_.for_host(sentinels_[turn_]);
    return sentinel_tls_.get();
}

void SentinelServers::found(const StoreHost& master) {
    const bool moved = known_.has_value() && *known_ != master;
    known_ = master;
    confirmed_ = true;
    master_->set_host(master);
    if (moved)
        master_->reconnect({ErrorCode::kConnectionClosed, ErrorSource::kStore, true, "the store has another master"});
    master_->connect_now();  // nothing, where it is connected
}

}  // namespace weir::store
