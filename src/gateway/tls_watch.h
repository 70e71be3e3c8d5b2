// What a worker counts and logs of TLS handshakes. A failed one of a client costs at most a line in an interval:
// anybody can make them fail. Those with backends are logged where the connection was wanted. One worker's thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "gateway/shared.h"
#include "net/reactor.h"

namespace weir::gateway {

class TlsWatch {
  public:
    TlsWatch(Shared& shared, metrics::Shard& shard);
    void note(const net::TlsHandshake& handshake, MonoTime now, Nanos log_interval);

  private:
    enum Outcome : std::uint8_t { kFull, kResumed, kFailed, kPlainText };

    Shared& shared_;
    metrics::Shard& shard_;
    std::array<std::array<metrics::Cell, 4>, 2> cells_;  // by incoming, by Outcome
    std::optional<MonoTime> logged_;
    std::int64_t left_out_ = 0;
};

}  // namespace weir::gateway
