#include "metrics/reference.h"

#include <fmt/format.h>
#include <iterator>

#include "metrics/list.h"

namespace weir::metrics {
namespace {

constexpr std::string_view kIntroduction =
    R"(# Metrics

<!-- Made from src/metrics/list.h. Do not edit: `make pages` writes it again. -->

`GET /metrics` on the admin address answers in the Prometheus text format (version 0.0.4). No label ever holds a user,
an address, a token or other text that a client chose. A counter survives a reload of the configuration and starts at 0
with the process. A series appears when the configuration that it belongs to is read, or with its first event.

The number of series is bounded; a series beyond the bound is counted in the one whose labels are all `_other`.

)";

void append_family(std::string& out, const FamilyRow& row) {
    const auto end = std::back_inserter(out);
    fmt::format_to(end, "\n## `{}`\n\nA {}. {}\n", row.name, kind_name(row.kind), row.help);
    if (row.label_count() > 0) {
        out += "\n| label | values |\n| --- | --- |\n";
        for (std::size_t i = 0; i < row.label_count(); ++i) {
            fmt::format_to(end, "| `{}` | {} |\n", row.labels[i].name, row.labels[i].values);
        }
    }
    if (row.bound_count() > 0) {
        out += "\nUpper bounds of its buckets, in seconds:";
        for (std::size_t i = 0; i < row.bound_count(); ++i) {
            fmt::format_to(end, "{} `{}`", i == 0 ? "" : ",", row.bounds[i]);
        }
        out += ", `+Inf`.\n";
    }
}

}  // namespace

std::string reference_page() {
    std::string out(kIntroduction);
    out += "| metric | kind | labels |\n| --- | --- | --- |\n";
    for (const FamilyRow& row : kList) {
        fmt::format_to(std::back_inserter(out), "| `{}` | {} |", row.name, kind_name(row.kind));
        for (std::size_t i = 0; i < row.label_count(); ++i) {
            fmt::format_to(std::back_inserter(out), "{} `{}`", i == 0 ? "" : ",", row.labels[i].name);
        }
        out += " |\n";
    }
    for (const FamilyRow& row : kList) append_family(out, row);
    return out;
}

}  // namespace weir::metrics
