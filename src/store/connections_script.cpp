#include "store/connections_script.h"

#include <algorithm>

#include "protocol/resp/command.h"
#include "protocol/resp/error_reply.h"

namespace weir::store {
namespace {

namespace resp = protocol::resp;

constexpr std::chrono::milliseconds kLeaseMax = std::chrono::hours(24);
// As the script bounds what it reads.
constexpr std::uint64_t kConnectionsMax = 1'000'000'000;

void append_operation(std::string& out, std::string_view operation, const ConnectionLease& lease,
                      std::uint64_t number) {
    WEIR_ASSERT(lease.length.count() > 0 && lease.length <= kLeaseMax);
    connections_script().append_call(out, 1, 4);
    resp::append_joined_argument(out, {lease.prefix, ":{", lease.subject, "}:@connections:", lease.route});
    resp::append_argument(out, operation);
    resp::append_argument(out, lease.holder);
    resp::append_argument(out, static_cast<std::uint64_t>(lease.length.count()));
    resp::append_argument(out, std::min(number, kConnectionsMax));
}

}  // namespace

const Script& connections_script() {
    static const Script kScript("connections_script");
    return kScript;
}

void append_acquire_connection(std::string& out, const ConnectionLease& lease, std::uint64_t most) {
    append_operation(out, "acquire", lease, most);
}

void append_release_connection(std::string& out, const ConnectionLease& lease) {
    append_operation(out, "release", lease, 0);
}

void append_renew_connections(std::string& out, const ConnectionLease& lease, std::uint64_t count) {
    append_operation(out, "renew", lease, count);
}

Result<ConnectionCount> read_connection_count(const resp::Reply& reply) {
    using Kind = resp::Reply::Kind;
    if (reply.kind == Kind::kError) return resp::error_of(resp::classify_error(reply.text));
    if (reply.kind != Kind::kArray || reply.elements.size() != 2) return kNoReplyOfScript;
    const resp::Reply& acquired = reply.elements[0];
    const resp::Reply& held = reply.elements[1];
    if (acquired.kind != Kind::kInteger || held.kind != Kind::kInteger || held.integer < 0 ||
        (acquired.integer != 0 && acquired.integer != 1))
        return kNoReplyOfScript;
    return ConnectionCount{acquired.integer == 1, static_cast<std::uint64_t>(held.integer)};
}

}  // namespace weir::store
