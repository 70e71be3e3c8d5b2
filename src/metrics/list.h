// The one list of metrics: name, kind, help, labels and histogram bounds, a row each. docs/reference/metrics.md is
// generated from it (reference.h), and registry_test.cpp checks that every family has its row.
//
// A new metric is a new enumerator and a new row here; nothing else lists them. Label values are closed sets that stand
// below, or names that the configuration gives (route, limit, tier, upstream): never a user, an address or any other
// text that a peer chose.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace weir::metrics {

enum class Family : std::uint8_t {
    kDecisions,
    kDecisionSeconds,
    kConnections,
    kConnectionsTotal,
    kMessages,
    kBytes,
    kBuckets,
    kBucketEvictions,
    kConfigReloads,
    kUpstreamErrors,
    kTlsHandshakes,
    kLookups,
    kLookupSeconds,
    kLookupEntries,
    kJwksFetches,
    kPenalties,
    kBlockedSubjects,
    kStoreErrors,
    kStoreSeconds,
    kBreakerState,
    kBuildInfo,
    kCount_,
};
inline constexpr std::size_t kFamilies = static_cast<std::size_t>(Family::kCount_);

enum class Kind : std::uint8_t { kCounter, kGauge, kHistogram };

// As the exposition format and the manual call it.
[[nodiscard]] constexpr std::string_view kind_name(Kind kind) {
    switch (kind) {
        case Kind::kCounter:
            return "counter";
        case Kind::kGauge:
            return "gauge";
        case Kind::kHistogram:
            return "histogram";
    }
    return "untyped";
}

// Values of the labels that are closed sets.
namespace label {
inline constexpr std::string_view kOther = "_other";  // what a bound made us throw together

// weir_decisions_total{outcome}
inline constexpr std::string_view kAllowed = "allowed";
inline constexpr std::string_view kDenied = "denied";
inline constexpr std::string_view kShadowDenied = "shadow_denied";
inline constexpr std::string_view kErrorOpen = "error_open";
inline constexpr std::string_view kErrorClosed = "error_closed";

// weir_connections_total{outcome}; `denied` as above
inline constexpr std::string_view kAccepted = "accepted";
inline constexpr std::string_view kRefused = "refused";
inline constexpr std::string_view kRejected = "rejected";
inline constexpr std::string_view kBlocked = "blocked";
inline constexpr std::string_view kUpstreamError = "upstream_error";

// weir_penalties_total{outcome}; `blocked` as above
inline constexpr std::string_view kShadowBlocked = "shadow_blocked";

// {direction}
inline constexpr std::string_view kUpstream = "upstream";
inline constexpr std::string_view kDownstream = "downstream";

// weir_lookups_total{outcome}
inline constexpr std::string_view kHit = "hit";
inline constexpr std::string_view kFailureKept = "failure_kept";
inline constexpr std::string_view kShared = "shared";
inline constexpr std::string_view kUser = "user";
inline constexpr std::string_view kAnonymous = "anonymous";
inline constexpr std::string_view kTimeout = "timeout";
inline constexpr std::string_view kUnreachable = "unreachable";
inline constexpr std::string_view kUnusable = "unusable";

// weir_jwks_fetches_total{outcome}; `timeout`, `unreachable`, `unusable` as above
inline constexpr std::string_view kFetched = "fetched";

// weir_tls_handshakes_total{outcome}; {side} is kUpstream or kDownstream
inline constexpr std::string_view kFull = "full";
inline constexpr std::string_view kResumed = "resumed";
inline constexpr std::string_view kFailed = "failed";
inline constexpr std::string_view kPlainText = "plain_text";

// weir_config_reloads_total{outcome}
inline constexpr std::string_view kApplied = "applied";
inline constexpr std::string_view kInvalid = "invalid";
}  // namespace label

struct LabelRow {
    std::string_view name;
    std::string_view values;  // for the manual: what a value may be
};

inline constexpr std::size_t kLabelsMax = 4;
inline constexpr std::size_t kBoundsMax = 12;

struct FamilyRow {
    Family family;
    std::string_view name;
    Kind kind;
    std::string_view help;
    std::array<LabelRow, kLabelsMax> labels = {};  // the rows with a name count
    std::array<double, kBoundsMax> bounds = {};    // of a histogram, rising, in seconds; the positive ones count

    [[nodiscard]] constexpr std::size_t label_count() const {
        std::size_t n = 0;
        while (n < labels.size() && !labels[n].name.empty()) ++n;
        return n;
    }
    [[nodiscard]] constexpr std::size_t bound_count() const {
        std::size_t n = 0;
        while (n < bounds.size() && bounds[n] > 0) ++n;
        return n;
    }
};

inline constexpr LabelRow kRouteLabel{"route", "the name of a route of the configuration"};
inline constexpr LabelRow kDirectionLabel{"direction",
                                          "`upstream` (from client to backend), `downstream` (from backend to client)"};

inline constexpr std::array<FamilyRow, kFamilies> kList{{
    {Family::kDecisions,
     "weir_decisions_total",
     Kind::kCounter,
     "Decisions about events (connections, messages, requests), one for each limit that covered the event.",
     {{kRouteLabel,
       {"limit", "the name of a limit"},
       {"tier", "the name of the caller's tier"},
       {"outcome",
        "`allowed`, `denied`, `shadow_denied` (would have been denied, and passed since `shadow` is on), `error_open` "
        "and `error_closed` (the store could not answer, and the event passed or not by `on_store_error`)"}}}},
    {Family::kDecisionSeconds,
     "weir_decision_seconds",
     Kind::kHistogram,
     "Time that a decision took, from the question to the store's answer.",
     {},
     {0.000001, 0.000002, 0.000005, 0.00001, 0.00002, 0.00005, 0.0001, 0.001, 0.01, 0.1, 1}},
    {Family::kConnections,
     "weir_connections",
     Kind::kGauge,
     "WebSocket connections that are open now.",
     {{kRouteLabel}}},
    {Family::kConnectionsTotal,
     "weir_connections_total",
     Kind::kCounter,
     "WebSocket handshakes by how they ended.",
     {{kRouteLabel,
       {"outcome",
        "`accepted` (the backend took it), `denied` (a limit), `refused` (a bound on connections, `bounds` or "
        "`max_connections`), `rejected` (a token that does not verify, with `on_invalid: reject`, or a caller who "
        "could not be asked about, with `on_error: reject`), `blocked` (the "
        "block list, or a penalty), `upstream_error` (no backend could be reached, or it did not answer with a valid "
        "101)"}}}},
    {Family::kMessages,
     "weir_messages_total",
     Kind::kCounter,
     "WebSocket messages that were passed on.",
     {{kRouteLabel, kDirectionLabel}}},
    {Family::kBytes,
     "weir_bytes_total",
     Kind::kCounter,
     "Bytes passed on: WebSocket frames with their headers, and bodies of HTTP messages.",
     {{kRouteLabel, kDirectionLabel}}},
    {Family::kBuckets, "weir_buckets", Kind::kGauge, "Buckets that the in-process table holds now."},
    {Family::kBucketEvictions, "weir_bucket_evictions_total", Kind::kCounter,
     "Buckets with something left to say that were forgotten because the table was full."},
    {Family::kConfigReloads,
     "weir_config_reloads_total",
     Kind::kCounter,
     "Attempts to read the configuration again.",
     {{{"outcome", "`applied`, `invalid` (the old configuration stays)"}}}},
    {Family::kUpstreamErrors,
     "weir_upstream_errors_total",
     Kind::kCounter,
     "Failures of backends.",
     {{{"upstream", "the name of an upstream of the configuration"},
       {"kind",
        "`refused`, `unreachable` (no route, no such name), `timeout`, `reset`, `closed` (in the middle of an answer), "
        "`malformed` (an answer that breaks HTTP or WebSocket), `too_large` (a response head beyond its bound), "
        "`exhausted` (a bound of Weir's own), `_other`"}}}},
    {Family::kTlsHandshakes,
     "weir_tls_handshakes_total",
     Kind::kCounter,
     "TLS handshakes by how they ended.",
     {{{"side", "`downstream` (with clients), `upstream` (with backends and whom else Weir connects to)"},
       {"outcome",
        "`full`, `resumed` (by a ticket of an earlier session), `failed`, `plain_text` (the client spoke HTTP without "
        "TLS)"}}}},
    {Family::kLookups,
     "weir_lookups_total",
     Kind::kCounter,
     "Questions of `identity.lookup`, who a caller is, by where the answer came from.",
     {{{"outcome",
        "asked now: `user` and `anonymous` (what the application said), `timeout`, `unreachable` and `unusable` (it "
        "could not be asked, or its answer is none); not asked: `hit` (the answer was kept), `failure_kept` (the "
        "application had failed just before), `shared` (another caller of the same credential was asking)"}}}},
    {Family::kLookupSeconds,
     "weir_lookup_seconds",
     Kind::kHistogram,
     "Time that the application took to say who a caller is.",
     {},
     {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5}},
    {Family::kLookupEntries, "weir_lookup_entries", Kind::kGauge, "Answers of `identity.lookup` that are kept now."},
    {Family::kJwksFetches,
     "weir_jwks_fetches_total",
     Kind::kCounter,
     "Fetches of the key set behind the URL of `identity.jwt.jwks`, by how they ended.",
     {{{"outcome",
        "`fetched`; `timeout`, `unreachable`, `unusable` (no 200, too long, or no key set with a key for signatures): "
        "the keys from before go on serving"}}}},
    {Family::kPenalties,
     "weir_penalties_total",
     Kind::kCounter,
     "Subjects that were denied more often than `penalty` allows, by the route of the denial that was one too many.",
     {{kRouteLabel, {"outcome", "`blocked`, `shadow_blocked` (would have been, and was not since `shadow` is on)"}}}},
    {Family::kBlockedSubjects, "weir_blocked_subjects", Kind::kGauge,
     "Subjects that are blocked for a time now; those of the block list do not count."},
    {Family::kStoreErrors,
     "weir_store_errors_total",
     Kind::kCounter,
     "Decisions that the shared store could not make, or not at once.",
     {{{"store", "the address of the store, without credentials"},
       {"kind",
        "`timeout` (no answer within `store_timeout`), `store_unavailable` (failed at once, as the breaker is open or "
        "the store can't be reached), `closed`, `reset`, `refused`, `unreachable` (the connection), `exhausted` (too "
        "many "
        "decisions wait), `malformed` (no answer of Redis), or the word of an error of the store: `oom`, `readonly`, "
        "`loading`, `busy`, `misconf`, `noreplicas`, `masterdown`, `clusterdown`, `noauth`, `wrongpass`, `noperm`, "
        "`wrongtype`, `badvalue`, `other`"}}}},
    {Family::kStoreSeconds,
     "weir_store_seconds",
     Kind::kHistogram,
     "Time that the shared store took for a decision, or until it was given up.",
     {},
     {0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1}},
    {Family::kBreakerState, "weir_breaker_state", Kind::kGauge,
     "Servers of the shared store that are not asked now, as they do not answer in time or can't be reached: events "
     "that would "
     "ask them fail at once. Each worker counts its own; 0 is well."},
    {Family::kBuildInfo,
     "weir_build_info",
     Kind::kGauge,
     "Always 1; says in its label what is running.",
     {{{"version", "the version, as `weir --version` prints it"}}}},
}};

[[nodiscard]] constexpr const FamilyRow& family_row(Family family) {
    return kList[static_cast<std::size_t>(family)];
}

// A row stands at its enumerator's place, has a name and a help text; exactly the histograms have bounds, and they
// rise.
[[nodiscard]] constexpr bool list_is_sound() {
    for (std::size_t i = 0; i < kList.size(); ++i) {
        const FamilyRow& row = kList[i];
        if (static_cast<std::size_t>(row.family) != i || !row.name.starts_with("weir_") || row.help.empty())
            return false;
        if ((row.kind == Kind::kCounter) != row.name.ends_with("_total")) return false;
        if ((row.kind == Kind::kHistogram) != (row.bound_count() > 0)) return false;
        for (std::size_t b = 1; b < row.bound_count(); ++b) {
            if (row.bounds[b] <= row.bounds[b - 1]) return false;
        }
    }
    return true;
}
static_assert(list_is_sound());

}  // namespace weir::metrics
