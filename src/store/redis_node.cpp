#include "store/redis_node.h"

#include <algorithm>
#include <utility>

#include "protocol/resp/command.h"

namespace weir::store {

namespace resp = protocol::resp;

namespace {

constexpr std::uint64_t kProbe = kNodeTags + 1;
constexpr std::uint64_t kScriptLoad = kNodeTags + 2;
// A connection on which nothing is answered for so long, or for so many time-outs, is given up.
constexpr Nanos kStallLeast = std::chrono::milliseconds(250);
constexpr int kStallTimeouts = 4;

constexpr Error kBreakerOpen{ErrorCode::kStoreUnavailable, ErrorSource::kStore, true,
                             "the store does not answer in time"};

std::string encoded(std::initializer_list<std::string_view> arguments) {
    std::string out;
    resp::append_command(out, arguments);
    return out;
}

Nanos stall_of(Nanos timeout) {
    return std::max<Nanos>(kStallTimeouts * timeout, kStallLeast);
}

RedisConnection::Options connection_options(const RedisNode::Options& options) {
    RedisConnection::Options out;
    if (!options.password.empty()) {
        out.greeting.push_back(options.user.empty() ? encoded({"AUTH", options.password})
                                                    : encoded({"AUTH", options.user, options.password}));
    }
    if (options.database > 0) out.greeting.push_back(encoded({"SELECT", std::to_string(options.database)}));
    out.greeting.push_back(encoded({"PING"}));
    if (options.script != nullptr) options.script->append_load(out.preload);
    out.stall = stall_of(options.timeout);
    return out;
}

}  // namespace

RedisNode::RedisNode(net::SocketHost& host, NodeUser& user, Options options, std::uint64_t seed)
    : host_(host),
      user_(user),
      options_(std::move(options)),
      random_(seed),
      breaker_(options_.breaker),
      connection_(host, *this, connection_options(options_), seed ^ 0x5EEDU) {}

RedisNode::~RedisNode() {
    stop();
}

void RedisNode::stop() {
    if (std::exchange(stopped_, true)) return;
    connection_.stop();
    stop_failing();
}

void RedisNode::rest() {
    resting_ = true;
    stop_failing();
    connection_.rest({ErrorCode::kStoreUnavailable, ErrorSource::kStore, true, "the server left the store"});
    static_cast<void>(breaker_.on_success());
}

void RedisNode::stop_failing() {
    if (!std::exchange(failing_, false)) return;
    if (options_.shard != nullptr) options_.shard->add(options_.breaker_cell, -1);
    if (options_.health != nullptr) options_.health->on_gone();
}

std::optional<Error> RedisNode::unusable() const {
    if (!breaker_.closed()) return kBreakerOpen;
    if (connection_.down()) {
        return Error{ErrorCode::kStoreUnavailable, ErrorSource::kStore, true, connection_.last_error().detail};
    }
    return std::nullopt;
}

Result<void> RedisNode::ask(std::string_view command, std::uint64_t tag) {
    if (!breaker_.closed()) return kBreakerOpen;
    return connection_.ask(command, tag);
}

void RedisNode::load_script() {
    if (std::exchange(script_on_its_way_, true)) return;
    std::string load;
    options_.script->append_load(load);
    if (!connection_.ask(load, kScriptLoad)) script_on_its_way_ = false;
}

void RedisNode::set_timeout(Nanos timeout) {
    options_.timeout = timeout;
    connection_.set_stall(stall_of(timeout));
}

void RedisNode::tend() {
    if (resting_) return;
    const MonoTime now = host_.reactor().now();
    if (probe_sent_ && now - *probe_sent_ >= options_.timeout) {
        probe_sent_.reset();
        failed();
    }
    if (breaker_.closed()) {
        if (connection_.ready() && !probe_sent_ && now - answered_ >= kHeartbeat) probe();
    } else if (!probe_sent_ && breaker_.begin_probe(now)) {
        if (connection_.ready()) {
            probe();
        } else {
            failed();
        }
    }
}

void RedisNode::probe() {
    probe_sent_ = host_.reactor().now();
    if (!connection_.ask(encoded({"PING"}), kProbe)) {
        probe_sent_.reset();
        failed();
    }
}

void RedisNode::succeeded() {
    answered_ = host_.reactor().now();
    if (breaker_.on_success()) settle_health({});
}

void RedisNode::failed() {
    if (breaker_.on_failure(host_.reactor().now(), random_)) settle_health(kBreakerOpen);
}

void RedisNode::note_timeout() {
    failed();
}

// While it is being connected again, what was holds on.
void RedisNode::settle_health(const Error& why) {
    const bool usable = breaker_.closed() && connection_.ready();
    const bool failing = !breaker_.closed() || connection_.down() || (failing_ && !usable);
    if (failing == failing_ || stopped_ || resting_) return;
    failing_ = failing;
    if (options_.shard != nullptr) options_.shard->add(options_.breaker_cell, failing ? 1 : -1);
    if (options_.health == nullptr) return;
    const MonoTime now = host_.reactor().now();
    if (failing) {
        options_.health->on_failing(options_.host.to_string(), why, now);
    } else {
        options_.health->on_recovered(now);
    }
}

void RedisNode::on_reply(RedisConnection& /*connection*/, std::uint64_t tag, const resp::Reply& reply) {
    switch (tag) {
        case kProbe:
            // One that came too late was given up by `tend`, or is about to be.
            if (probe_sent_ && host_.reactor().now() - *probe_sent_ < options_.timeout) {
                probe_sent_.reset();
                succeeded();
            }
            return;
        case kScriptLoad:
            script_on_its_way_ = false;
            return;
        case kNoAnswerWanted:
            return;
        default:
            if (!user_.still_wants(tag)) return;  // it came too late
            succeeded();
            user_.on_answer(*this, tag, reply);
    }
}

void RedisNode::on_lost(RedisConnection& /*connection*/, std::uint64_t tag, const Error& why) {
    if (tag == kProbe) {
        if (std::exchange(probe_sent_, std::nullopt)) failed();
    } else if (tag == kScriptLoad) {
        script_on_its_way_ = false;
    } else if (tag != kNoAnswerWanted) {
        user_.on_failed(*this, tag, why);
    }
}

bool RedisNode::still_wants(std::uint64_t tag) const {
    return tag >= kNodeTags || user_.still_wants(tag);
}

void RedisNode::on_ready(RedisConnection& /*connection*/) {
    answered_ = host_.reactor().now();
    if (!breaker_.closed()) {
        // It was greeted, perhaps slowly: a probe says whether it answers in time.
        breaker_.hurry(host_.reactor().now());
        tend();
    }
    settle_health({});
}

void RedisNode::on_down(RedisConnection& /*connection*/, const Error& why) {
    if (resting_) return;
    settle_health(why);
    user_.on_node_down(*this);
}

Result<net::Endpoint> RedisNode::endpoint_of(RedisConnection& /*connection*/) {
    return user_.endpoint_of(*this);
}

const net::TlsClient* RedisNode::tls_of(RedisConnection& /*connection*/) {
    tls_ = options_.tls.for_host(options_.host);
    return tls_.get();
}

}  // namespace weir::store
