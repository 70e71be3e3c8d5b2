// What one run of wsload saw, and how it is written down. Each worker fills its own; merge() sums them at the end.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "load/histogram.h"
#include "load/options.h"

namespace weir::bench {

struct Results {
    // replies that arrived inside the measured time
    std::uint64_t echoed = 0, limited = 0, other = 0, bytes = 0;
    // over the whole run
    std::uint64_t sent = 0, mismatched = 0, dropped = 0, unanswered = 0, pings = 0, opened = 0, protocol_errors = 0;
    std::uint64_t connect_errors = 0, eof = 0, resets = 0;
    std::map<int, std::uint64_t> http_status, close_codes;
    Histogram latency, limited_latency, handshake;
    double measured_s = 0, open_s = 0;
    std::uint64_t from_ns = 0, to_ns = 0;  // the measured time on CLOCK_MONOTONIC

    void merge(const Results& r) {
        echoed += r.echoed;
        limited += r.limited;
        other += r.other;
        bytes += r.bytes;
        sent += r.sent;
        mismatched += r.mismatched;
        dropped += r.dropped;
        unanswered += r.unanswered;
        pings += r.pings;
        opened += r.opened;
        protocol_errors += r.protocol_errors;
        connect_errors += r.connect_errors;
        eof += r.eof;
        resets += r.resets;
        for (auto [k, v] : r.http_status) http_status[k] += v;
        for (auto [k, v] : r.close_codes) close_codes[k] += v;
        latency.merge(r.latency);
        limited_latency.merge(r.limited_latency);
        handshake.merge(r.handshake);
        measured_s = std::max(measured_s, r.measured_s);
        open_s = std::max(open_s, r.open_s);
        from_ns = std::max(from_ns, r.from_ns);
        to_ns = std::max(to_ns, r.to_ns);
    }
};
std::string to_json(const Options& options, const Results& results);
void print_summary(const Options& options, const Results& results);

}  // namespace weir::bench
