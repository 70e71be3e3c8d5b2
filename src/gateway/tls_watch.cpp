#include "gateway/tls_watch.h"

namespace weir::gateway {

TlsWatch::TlsWatch(Shared& shared, metrics::Shard& shard) : shared_(shared), shard_(shard) {
    namespace label = metrics::label;
    for (std::size_t side = 0; side < cells_.size(); ++side) {
        constexpr std::array kOutcomes{label::kFull, label::kResumed, label::kFailed, label::kPlainText};
        for (std::size_t outcome = 0; outcome < kOutcomes.size(); ++outcome) {
            cells_[side][outcome] =
                shared.metrics.cell(metrics::Family::kTlsHandshakes,
                                    {side == 1 ? label::kDownstream : label::kUpstream, kOutcomes[outcome]});
        }
    }
}

void TlsWatch::note(const net::TlsHandshake& handshake, MonoTime now, Nanos log_interval) {
    Outcome outcome = handshake.resumed ? kResumed : kFull;
    if (!handshake.succeeded()) outcome = handshake.plain_text ? kPlainText : kFailed;
    shard_.add(cells_[handshake.incoming ? 1 : 0][outcome]);
    if (handshake.succeeded() || !handshake.incoming) return;
    if (logged_ && now - *logged_ < log_interval) {
        ++left_out_;
        return;
    }
    shared_.log.write(LogLevel::kInfo, "TLS handshake failed", {{"reason", handshake.why}, {"left_out", left_out_}});
    logged_ = now;
    left_out_ = 0;
}

}  // namespace weir::gateway
