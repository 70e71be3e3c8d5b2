// The GraphQL subscriptions that are active in one WebSocket, by their ids, so that there are never more than a bound.
//
// Both sides end them: a client's message, and a server's. The two may cross, and some servers answer a client's end
// with one of their own. So each operation that was ended, or replaced, from the client's side may still be told to
// have ended by the server, and the server's word counts for the oldest of its id that it may be about. Were it taken
// for the newest, a client that starts, stops and starts an id again would have one that is not counted.
//
// Bounded: by the bound on subscriptions, and kEndedIdsMax ids of those that the client has ended.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "protocol/graphql/ws_message.h"

namespace weir::gateway {

inline constexpr std::size_t kEndedIdsMax = 32;

class ActiveSubscriptions {
  public:
    using Dialect = protocol::graphql::WsDialect;

    // Whether one more may begin under the id; an active one of that id is replaced. An empty key: without a usable id.
    [[nodiscard]] bool has_room(std::string_view id_key, std::uint64_t most) const;
    // Without an id nothing can end it but the connection.
    void begin(std::string_view id_key, Dialect dialect);
    // An operation that is no subscription begins under the id; the server will say when it has ended.
    void begin_other(std::string_view id_key);
    // Does nothing to one that began in the other dialect: the server would not take that for its end.
    void ended_by_client(std::string_view id_key, Dialect dialect);
    void ended_by_server(std::string_view id_key);

    // With an id, so that a server may end them.
    [[nodiscard]] bool any() const { return named_ > 0; }
    [[nodiscard]] std::uint64_t count() const { return named_ + unnamed_; }

  private:
    struct Entry {
        Dialect dialect = Dialect::kTransport;
        bool active = false;
        std::uint32_t ends_due = 0;  // the server may still tell the end of so many before it
    };
    // The ids are the client's choice: a tree has no bad case.
    using Entries = std::map<std::string, Entry, std::less<>>;
    void forget(Entries::iterator ended);

    Entries entries_;
    std::deque<std::string> ended_;  // ids that are not active, those that ended longest ago in front
    std::uint64_t named_ = 0;        // active ones of entries_
    std::uint64_t unnamed_ = 0;
};

}  // namespace weir::gateway
