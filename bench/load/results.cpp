#include "load/results.h"

#include <algorithm>
#include <cstdio>

namespace weir::bench {
namespace {

std::string json_string(const std::string& s) {
    std::string out = "\"";
    for (const char ch : s) {
        if (ch == '"' || ch == '\\') {
            out += '\\';
            out += ch;
        } else if (std::uint8_t(ch) < 0x20) {
            char b[8];
            std::snprintf(b, sizeof b, "\\u%04x", ch);
            out += b;
        } else
            out += ch;
    }
    return out + "\"";
}

std::string json_latency(const Histogram& h) {
    char b[320];
    std::snprintf(b, sizeof b,
                  R"({"samples":%llu,"mean":%.1f,"p50":%.1f,"p90":%.1f,"p99":%.1f,"p99.9":%.1f,"max":%.1f})",
                  (unsigned long long)h.total(), h.mean_us(), h.percentile_us(50), h.percentile_us(90),
                  h.percentile_us(99), h.percentile_us(99.9), h.max_us());
    return b;
}

std::string json_counts(const std::map<int, std::uint64_t>& m) {
    std::string out = "{";
    for (auto [k, v] : m) out += (out.size() > 1 ? ",\"" : "\"") + std::to_string(k) + "\":" + std::to_string(v);
    return out + "}";
}

}  // namespace

std::string to_json(const Options& o, const Results& r) {
    const double s = std::max(r.measured_s, 1e-9);
    std::string out = "{";
    bool first = true;
    auto raw = [&](const char* key, const std::string& value) {
        out += (first ? "\n  \"" : ",\n  \"") + std::string(key) + "\": " + value;
        first = false;
    };
    auto num = [&](const char* key, double v) {
        char b[48];
        std::snprintf(b, sizeof b, "%.12g", v);
        raw(key, b);
    };
    raw("label", json_string(o.label));
    raw("mode", json_string(o.mode));
    raw("url", json_string(o.url));
    num("connections", double(o.connections));
    num("pipeline", o.pipeline == SIZE_MAX ? 0 : double(o.pipeline));
    num("size", double(o.size));
    num("rate", o.rate);
    num("threads", double(o.threads));
    num("measured_s", r.measured_s);
    raw("measure_from_ns", std::to_string(r.from_ns));
    raw("measure_to_ns", std::to_string(r.to_ns));
    num("opened", double(r.opened));
    num("open_s", r.open_s);
    if (o.mode == "connect") num("handshakes_per_s", double(r.opened) / s);
    num("messages_per_s", double(r.echoed) / s);
    num("limited_per_s", double(r.limited) / s);
    num("mb_per_s", double(r.bytes) / s / 1e6);
    num("sent", double(r.sent));
    num("echoed", double(r.echoed));
    num("limited", double(r.limited));
    num("other", double(r.other));
    num("dropped", double(r.dropped));
    num("unanswered", double(r.unanswered));
    num("mismatched", double(r.mismatched));
    num("protocol_errors", double(r.protocol_errors));
    num("connect_errors", double(r.connect_errors));
    num("eof", double(r.eof));
    num("resets", double(r.resets));
    num("pings", double(r.pings));
    raw("http_status", json_counts(r.http_status));
    raw("close_codes", json_counts(r.close_codes));
    raw("latency_us", json_latency(r.latency));
    raw("limited_latency_us", json_latency(r.limited_latency));
    raw("handshake_us", json_latency(r.handshake));
    return out + "\n}\n";
}

void print_summary(const Options& o, const Results& r) {
    const double s = std::max(r.measured_s, 1e-9);
    auto line = [](const char* name, const Histogram& h) {
        if (h.total())
            std::printf("%-10s p50 %.1f  p90 %.1f  p99 %.1f  p99.9 %.1f  max %.1f us  (%llu)\n", name,
                        h.percentile_us(50), h.percentile_us(90), h.percentile_us(99), h.percentile_us(99.9),
                        h.max_us(), (unsigned long long)h.total());
    };
    if (o.mode == "echo")
        std::printf("%.0f messages/s, %.0f limited/s, %.1f MB/s; dropped %llu, unanswered %llu, mismatched %llu\n",
                    double(r.echoed) / s, double(r.limited) / s, double(r.bytes) / s / 1e6,
                    (unsigned long long)r.dropped, (unsigned long long)r.unanswered, (unsigned long long)r.mismatched);
    if (o.mode == "connect") std::printf("%.0f handshakes/s\n", double(r.opened) / s);
    std::printf("opened %llu in %.2f s; connect errors %llu, eof %llu, resets %llu; status %s, close codes %s\n",
                (unsigned long long)r.opened, r.open_s, (unsigned long long)r.connect_errors, (unsigned long long)r.eof,
                (unsigned long long)r.resets, json_counts(r.http_status).c_str(), json_counts(r.close_codes).c_str());
    line("latency", r.latency);
    line("limited", r.limited_latency);
    line("handshake", r.handshake);
}

}  // namespace weir::bench
