#include "protocol/graphql/analysis.h"

#include <algorithm>
#include <fmt/format.h>
#include <iterator>

namespace weir::protocol::graphql {
namespace {

constexpr std::size_t kShownBytesMax = 40;
constexpr std::size_t kShownFragmentsMax = 4;

// An order of names that is cheap to tell; it is not the alphabet's.
int compare(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return a.size() < b.size() ? -1 : 1;
    return a.compare(b);
}

std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) {
    const std::uint64_t sum = a + b;
    return sum < a ? std::numeric_limits<std::uint64_t>::max() : sum;
}

std::string_view shown(std::string_view name) {
    return name.substr(0, kShownBytesMax);
}

std::size_t offset_in(std::string_view text, std::string_view part) {
    return static_cast<std::size_t>(part.data() - text.data());
}

}  // namespace

Outcome<Operation> Analyser::analyse(std::string_view document, std::optional<std::string_view> operation_name,
                                     const Bounds& bounds) {
    if (!read_document(document, bounds.tokens, document_, problem_) || !check_names(document)) return &problem_;
    const Definition* selected = select(operation_name);
    if (selected == nullptr || !measure(document, *selected)) return &problem_;
    operation_.type = selected->type;
    operation_.name = selected->name;
    operation_.tokens = document_.tokens;
    if (!check_bound("depth", operation_.depth, bounds.depth, selected->offset, document) ||
        !check_bound("number of aliases", operation_.aliases, bounds.aliases, selected->offset, document))
        return &problem_;
    collect(*selected);
    count_fields();
    if (!check_bound("number of root fields", operation_.root_fields_total, bounds.root_fields, selected->offset,
                     document))
        return &problem_;
    return &operation_;
}

bool Analyser::refuse(ProblemKind kind, std::string_view text, std::size_t offset) {
    problem_.kind = kind;
    problem_.at = location_of(text, offset);
    problem_.message.clear();
    return false;
}

// No name is there twice, and an operation without a name is alone (specification 5.2.1.1, 5.2.2.1, 5.5.1.1). Sorts the
// fragments by the way.
bool Analyser::check_names(std::string_view text) {
    const auto refuse_twice = [&](std::string_view kind, const Definition& a, const Definition& b) {
        refuse(ProblemKind::kDuplicateName, text, std::max(a.offset, b.offset));
        fmt::format_to(std::back_inserter(problem_.message), "There can be only one {} named \"{}\"", kind,
                       shown(a.name));
        return false;
    };
    fragments_.clear();
    for (const Definition& fragment : document_.fragments) fragments_.push_back({&fragment, Visit::kNot, false, {}});
    std::sort(fragments_.begin(), fragments_.end(),
              [](const Fragment& a, const Fragment& b) { return compare(a.definition->name, b.definition->name) < 0; });
    for (std::size_t i = 1; i < fragments_.size(); ++i) {
        const Definition& before = *fragments_[i - 1].definition;
        if (before.name == fragments_[i].definition->name)
            return refuse_twice("fragment", before, *fragments_[i].definition);
    }
    if (document_.operations.size() < 2) return true;
    named_operations_.clear();
    for (const Definition& operation : document_.operations) {
        if (operation.name.empty()) {
            refuse(ProblemKind::kLoneAnonymous, text, operation.offset);
            problem_.message = "An operation without a name must be the only one of its document";
            return false;
        }
        named_operations_.push_back(&operation);
    }
    std::sort(named_operations_.begin(), named_operations_.end(),
              [](const Definition* a, const Definition* b) { return compare(a->name, b->name) < 0; });
    for (std::size_t i = 1; i < named_operations_.size(); ++i) {
        if (named_operations_[i - 1]->name == named_operations_[i]->name)
            return refuse_twice("operation", *named_operations_[i - 1], *named_operations_[i]);
    }
    return true;
}

// GetOperation (specification 6.1).
const Definition* Analyser::select(std::optional<std::string_view> operation_name) {
    const std::vector<Definition>& operations = document_.operations;
    const auto none = [this](ProblemKind kind, std::string_view message) {
        problem_.kind = kind;
        problem_.at = {};
        problem_.message = message;
        return nullptr;
    };
    if (operations.empty()) return none(ProblemKind::kNoOperation, "The document has no operation");
    if (!operation_name || operation_name->empty()) {
        if (operations.size() == 1) return &operations.front();
        return none(ProblemKind::kAmbiguous,
                    "The document has several operations: \"operationName\" must say which is to run");
    }
    for (const Definition& operation : operations) {
        if (operation.name == *operation_name) return &operation;
    }
    return none(ProblemKind::kUnknownOperation, "The document has no operation of the name in \"operationName\"");
}

std::uint32_t Analyser::find(std::string_view fragment) const {
    const auto found = std::lower_bound(
        fragments_.begin(), fragments_.end(), fragment,
        [](const Fragment& entry, std::string_view name) { return compare(entry.definition->name, name) < 0; });
    if (found == fragments_.end() || found->definition->name != fragment) return kNone;
    return static_cast<std::uint32_t>(found - fragments_.begin());
}

// Depth and aliases of the operation with its fragments, depth first, each fragment once; refuses what spreads itself
// or an unknown fragment. The stack is ours: fragments may chain as long as the document is.
bool Analyser::measure(std::string_view text, const Definition& operation) {
    frames_.clear();
    frames_.push_back({&operation, kNone, operation.spreads_begin, {operation.depth, operation.aliases}});
    for (;;) {
        Frame& frame = frames_.back();
        if (frame.cursor != frame.definition->spreads_end) {
            if (!follow(text, document_.spreads[frame.cursor])) return false;
            continue;
        }
        if (frame.fragment == kNone) break;
        // The frame below looks at its spread again, and finds it done.
        fragments_[frame.fragment].visit = Visit::kDone;
        fragments_[frame.fragment].totals = frame.totals;
        frames_.pop_back();
    }
    operation_.depth = frames_.back().totals.depth;
    operation_.aliases = frames_.back().totals.aliases;
    return true;
}

// The next spread of the topmost frame: adds what the fragment holds, or opens the fragment to measure it before.
bool Analyser::follow(std::string_view text, const Spread& spread) {
    const std::uint32_t index = find(spread.fragment);
    if (index == kNone) {
        refuse(ProblemKind::kUndefinedFragment, text, offset_in(text, spread.fragment));
        fmt::format_to(std::back_inserter(problem_.message), "The document has no fragment \"{}\"",
                       shown(spread.fragment));
        return false;
    }
    Fragment& fragment = fragments_[index];
    switch (fragment.visit) {
        case Visit::kOpen:
            return refuse_cycle(text, spread);
        case Visit::kNot:
            fragment.visit = Visit::kOpen;
            frames_.push_back({fragment.definition,
                               index,
                               fragment.definition->spreads_begin,
                               {fragment.definition->depth, fragment.definition->aliases}});
            return true;
        default:
            break;
    }
    Frame& frame = frames_.back();
    frame.totals.depth = std::max(frame.totals.depth, spread.depth + fragment.totals.depth);
    frame.totals.aliases = saturating_add(frame.totals.aliases, fragment.totals.aliases);
    frame.cursor += 1;
    return true;
}

bool Analyser::refuse_cycle(std::string_view text, const Spread& spread) {
    refuse(ProblemKind::kFragmentCycle, text, offset_in(text, spread.fragment));
    const auto out = std::back_inserter(problem_.message);
    fmt::format_to(out, "The fragment \"{}\" spreads itself", shown(spread.fragment));
    auto frame = std::find_if(frames_.begin() + 1, frames_.end(),
                              [&](const Frame& one) { return one.definition->name == spread.fragment; });
    std::size_t between = 0;
    for (++frame; frame != frames_.end() && between < kShownFragmentsMax; ++frame, ++between)
        fmt::format_to(out, "{} \"{}\"", between == 0 ? " through" : ",", shown(frame->definition->name));
    if (frame != frames_.end()) problem_.message += ", ...";
    return false;
}

bool Analyser::check_bound(std::string_view what, std::uint64_t count, std::uint64_t bound, std::size_t offset,
                           std::string_view text) {
    if (count <= bound) return true;
    refuse(ProblemKind::kBoundExceeded, text, offset);
    fmt::format_to(std::back_inserter(problem_.message), "The {} of the operation is {}; the bound is {}", what, count,
                   bound);
    return false;
}

// Into `selected_`: what stands at the root, through fragments. All of them are known by now.
void Analyser::collect(const Definition& operation) {
    selected_.clear();
    to_collect_.assign(1, &operation);
    while (!to_collect_.empty()) {
        const Definition& definition = *to_collect_.back();
        to_collect_.pop_back();
        selected_.insert(selected_.end(), document_.roots.begin() + definition.roots_begin,
                         document_.roots.begin() + definition.roots_end);
        for (std::uint32_t i = definition.spreads_begin; i < definition.spreads_end; ++i) {
            const Spread& spread = document_.spreads[i];
            if (spread.depth != 0) continue;
            Fragment& fragment = fragments_[find(spread.fragment)];
            if (fragment.collected) continue;
            fragment.collected = true;
            to_collect_.push_back(fragment.definition);
        }
    }
}

// From `selected_` into the operation: equal fields under one response key are one.
void Analyser::count_fields() {
    if (selected_.size() > 1) {
        std::sort(selected_.begin(), selected_.end(), [](const RootSelection& a, const RootSelection& b) {
            const int names = compare(a.name, b.name);
            return names < 0 || (names == 0 && compare(a.key, b.key) < 0);
        });
    }
    std::vector<RootField>& fields = operation_.root_fields;
    fields.clear();
    operation_.root_fields_total = 0;
    std::string_view key;
    for (const RootSelection& one : selected_) {
        const bool another = fields.empty() || fields.back().name != one.name;
        if (another) fields.push_back({one.name, 0});
        RootField& field = fields.back();
        field.name =
            std::min(field.name, one.name, [](std::string_view a, std::string_view b) { return a.data() < b.data(); });
        if (!another && key == one.key) continue;
        key = one.key;
        field.count += 1;
        operation_.root_fields_total += 1;
    }
    std::sort(fields.begin(), fields.end(),
              [](const RootField& a, const RootField& b) { return a.name.data() < b.name.data(); });
}

}  // namespace weir::protocol::graphql
