#include "metrics/registry.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

#include "base/error.h"

namespace weir::metrics {
namespace {

constexpr double kObservedSecondsMax = 86'400;

// How many values a series of the family takes.
constexpr std::size_t cells_of(const FamilyRow& row) {
    return row.kind == Kind::kHistogram ? row.bound_count() + 2 : 1;
}

// A label's value: backslash, quote and line feed are escaped, and nothing else is.
void append_label_value(std::string& out, std::string_view value) {
    for (const char c : value) {
        switch (c) {
            case '\\':
                out += "\\\\";
                break;
            case '"':
                out += "\\\"";
                break;
            case '\n':
                out += "\\n";
                break;
            default:
                out += c;
        }
    }
}

// `route="chat",outcome="denied"`: what stands between the braces, and the name of a series inside its family.
template <typename Values>
std::string label_text(const FamilyRow& row, const Values& values) {
    std::string out;
    std::size_t i = 0;
    for (const std::string_view value : values) {
        if (i > 0) out += ',';
        out += row.labels[i++].name;
        out += "=\"";
        append_label_value(out, value);
        out += '"';
    }
    return out;
}

std::string key_of(const FamilyRow& row, std::string_view labels) {
    return fmt::format("{}{{{}}}", row.name, labels);
}

void append_sample(std::string& out, std::string_view name, std::string_view suffix, std::string_view labels) {
    out += name;
    out += suffix;
    if (labels.empty()) return;
    out += '{';
    out += labels;
    out += '}';
}

}  // namespace

Shard::Shard() = default;

Shard::~Shard() {
    for (auto& chunk : chunks_) delete chunk.load(std::memory_order_relaxed);
}

void Shard::grow(std::size_t cells) {
    for (std::size_t i = 0; i * kChunkCells < cells; ++i) {
        if (chunks_[i].load(std::memory_order_relaxed) == nullptr) {
            chunks_[i].store(new Chunk, std::memory_order_release);
        }
    }
}

void Shard::observe(Cell histogram, double seconds) {
    if ((histogram & kIndexMask) == 0) return;
    const FamilyRow& row = kList[histogram >> kFamilyShift];
    WEIR_ASSERT(row.kind == Kind::kHistogram);
    const double taken = seconds > 0 ? std::min(seconds, kObservedSecondsMax) : 0.0;
    const std::size_t bounds = row.bound_count();
    std::uint32_t bucket = 0;
    while (bucket < bounds && taken > row.bounds[bucket]) ++bucket;
    add(histogram + bucket);
    add(histogram + static_cast<Cell>(bounds) + 1, static_cast<std::int64_t>(taken * 1e9));
}

Registry::Registry() : own_(new Shard) {
    own_->grow(cells_used_);
    // The series for what a bound throws together take their room before anything else can.
    for (const FamilyRow& row : kList) new_series(row, label_text(row, std::vector(row.label_count(), label::kOther)));
}

Registry::~Registry() = default;

bool Registry::has_room(const FamilyRow& row) const {
    return cells_used_ + cells_of(row) <= kCellsMax;
}

std::size_t Registry::new_series(const FamilyRow& row, std::string labels) {
    const auto index = static_cast<Cell>(cells_used_);
    cells_used_ += cells_of(row);
    own_->grow(cells_used_);
    for (const auto& shard : shards_) shard->grow(cells_used_);

    auto& family_series = series_[static_cast<std::size_t>(row.family)];
    const std::size_t place = family_series.size();
    places_.emplace(key_of(row, labels), place);
    const Cell cell = (static_cast<Cell>(row.family) << Shard::kFamilyShift) | index;
    family_series.push_back({.labels = std::move(labels), .cell = cell});
    return place;
}

Cell Registry::cell(Family family, std::initializer_list<std::string_view> labels) {
    const FamilyRow& row = family_row(family);
    WEIR_ASSERT(labels.size() == row.label_count());
    std::string text = label_text(row, labels);

    const std::lock_guard lock(mutex_);
    std::size_t place = 0;
    if (const auto found = places_.find(key_of(row, text)); found != places_.end()) {
        place = found->second;
    } else if (has_room(row)) {
        place = new_series(row, std::move(text));
    }
    Series& series = series_[static_cast<std::size_t>(family)][place];
    series.shown = true;
    return series.cell;
}

Shard& Registry::new_shard() {
    const std::lock_guard lock(mutex_);
    shards_.push_back(std::unique_ptr<Shard>(new Shard));
    shards_.back()->grow(cells_used_);
    return *shards_.back();
}

std::int64_t Registry::sum(std::uint32_t index) const {
    std::int64_t total = own_->read(index);
    for (const auto& shard : shards_) total += shard->read(index);
    return total;
}

std::int64_t Registry::value(Cell cell) const {
    const std::lock_guard lock(mutex_);
    const std::uint32_t index = cell & Shard::kIndexMask;
    const FamilyRow& row = kList[cell >> Shard::kFamilyShift];
    if (index == 0 || row.kind != Kind::kHistogram) return sum(index);
    std::int64_t observations = 0;
    for (std::uint32_t i = 0; i <= row.bound_count(); ++i) observations += sum(index + i);
    return observations;
}

void Registry::set(Cell cell, std::int64_t value) {
    own_->at(cell & Shard::kIndexMask).store(value, std::memory_order_relaxed);
}

void Registry::add(Cell cell, std::int64_t by) {
    own_->at(cell & Shard::kIndexMask).fetch_add(by, std::memory_order_relaxed);
}

void Registry::append_series(std::string& out, const FamilyRow& row, const Series& series) const {
    const auto end = std::back_inserter(out);
    const std::uint32_t index = series.cell & Shard::kIndexMask;
    if (row.kind != Kind::kHistogram) {
        append_sample(out, row.name, "", series.labels);
        fmt::format_to(end, " {}\n", sum(index));
        return;
    }
    // The count is the sum of the buckets as they are read here, so that the lines of one scrape agree with each other.
    const auto bounds = static_cast<std::uint32_t>(row.bound_count());
    const std::string_view comma = series.labels.empty() ? "" : ",";
    std::int64_t cumulative = 0;
    for (std::uint32_t i = 0; i <= bounds; ++i) {
        cumulative += sum(index + i);
        const std::string bound = i < bounds ? fmt::format("{}", row.bounds[i]) : "+Inf";
        append_sample(out, row.name, "_bucket", fmt::format("{}{}le=\"{}\"", series.labels, comma, bound));
        fmt::format_to(end, " {}\n", cumulative);
    }
    append_sample(out, row.name, "_sum", series.labels);
    fmt::format_to(end, " {}\n", static_cast<double>(sum(index + bounds + 1)) / 1e9);
    append_sample(out, row.name, "_count", series.labels);
    fmt::format_to(end, " {}\n", cumulative);
}

std::string Registry::text() const {
    std::string out;
    const std::lock_guard lock(mutex_);
    for (const FamilyRow& row : kList) {
        const auto& family_series = series_[static_cast<std::size_t>(row.family)];
        const auto shown = [](const Series& series) { return series.shown; };
        if (std::none_of(family_series.begin(), family_series.end(), shown)) continue;
        // A help text has neither a backslash nor a line feed: registry_test.cpp sees to it.
        fmt::format_to(std::back_inserter(out), "# HELP {} {}\n# TYPE {} {}\n", row.name, row.help, row.name,
                       kind_name(row.kind));
        for (const Series& series : family_series) {
            if (series.shown) append_series(out, row, series);
        }
    }
    return out;
}

}  // namespace weir::metrics
