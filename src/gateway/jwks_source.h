// The key set behind the URL of `identity.jwt.jwks`, for all workers of a process: its keys, when it is fetched again
// and by whom, and who waits for it. How it is fetched is a worker's JwksClient's business.
//
// Fetched at the start, every `jwks_refresh`, and when a token names a key that is not there: that at most once in
// kUnknownKeyApart, as anybody can make such tokens up. What fails is tried again after a second, then two, four, up to
// kJwksRetryMost; while there are keys, after kJwksRetryMost or `jwks_refresh`, whichever is shorter. Whatever fails,
// the keys that were fetched last serve.
//
// One worker fetches at a time: `claim` and `wait` say to whom it falls. One that does not come back (it has ended)
// loses its claim after kJwksTimeout and a little.
//
// Thread-safety: any thread. Time is an argument.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "config/config.h"
#include "gateway/lookup_cache.h"
#include "identity/remote_keys.h"
#include "metrics/registry.h"

namespace weir::gateway {

inline constexpr Nanos kJwksTimeout = std::chrono::seconds(5);  // of one fetch, from the connection to the last byte
inline constexpr Nanos kUnknownKeyApart = std::chrono::seconds(60);
inline constexpr Nanos kJwksRetryMost = std::chrono::seconds(60);
// A request waits so long for keys, then it is judged by what is there.
inline constexpr Nanos kKeysWait = std::chrono::seconds(2);
// More don't wait and are judged at once.
inline constexpr std::size_t kKeyWaitersMax = 10'000;

struct JwksCells {
    metrics::Cell fetched, timeout, unreachable, unusable;
};

class JwksSource final : public identity::RemoteKeys {
  public:
    JwksSource(const config::RemoteJwks& options, metrics::Registry& registry);

    [[nodiscard]] const config::RemoteJwks& options() const { return options_; }
    [[nodiscard]] std::shared_ptr<const protocol::jwt::KeySet> keys() const override;
    [[nodiscard]] const JwksCells& cells() const { return cells_; }
    // Whether its keys are right under another configuration too: the same URL, verified in the same way.
    [[nodiscard]] bool serves(const config::RemoteJwks& options) const;

    // True: a fetch is due, and the caller has to do it and to call `finish`.
    [[nodiscard]] bool claim(MonoTime now, Nanos refresh);

    struct Wait {
        bool waits = false;    // the waiter is told when the fetch has ended
        bool claimed = false;  // and it is for the caller to fetch, as after `claim`
    };
    // Of a request whose token may verify under keys that are not here.
    [[nodiscard]] Wait wait(const LookupWaiter& waiter, MonoTime now);

    // Ends a fetch; `keys` null: it failed, for this reason. Everyone to tell.
    [[nodiscard]] std::vector<LookupWaiter> finish(std::shared_ptr<const protocol::jwt::KeySet> keys,
                                                   std::string_view why);

    // Why the keys are not the newest, or not there: nullopt when the last fetch did not fail.
    [[nodiscard]] std::optional<std::string> failing() const;

  private:
    [[nodiscard]] bool fetching(MonoTime now) const;
    void begin(MonoTime now);

    const config::RemoteJwks options_;
    const JwksCells cells_;
    mutable std::mutex mutex_;
    bool fetching_ = false;
    std::optional<MonoTime> begun_;          // the last fetch
    std::optional<MonoTime> unknown_asked_;  // the last that an unknown key brought about
    std::shared_ptr<const protocol::jwt::KeySet> keys_;
    unsigned failures_ = 0;  // in a row
    std::string why_;
    std::vector<LookupWaiter> waiters_;
};

}  // namespace weir::gateway
