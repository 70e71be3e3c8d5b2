// Which operation of a GraphQL document runs, and what it asks for at its root: what the gateway counts.
//
// The root fields are those of CollectFields (specification 6.3.2) with all that only the upstream can know taken as
// "yes": every @skip and @include is present, every type condition applies. So what executes is never more than what is
// counted. As in CollectFields a named fragment is entered once, which also keeps this linear, and a field that is
// selected twice under one response key (its alias, else its name) is one field, since execution merges it. One
// response key over two different fields is an error upstream; both are counted.
//
// Depth (fields inside fields) and aliases are of the operation with its fragments spread as often as they are written,
// so that fragments multiply nothing unseen; each fragment is measured once, and sums saturate.
//
// An Analyser is one worker's: not for two threads. It reuses its memory. An outcome and all views in it are valid
// until its next call, and as long as the document.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <string_view>
#include <vector>

#include "protocol/graphql/document.h"
#include "protocol/graphql/problem.h"

namespace weir::protocol::graphql {

// The most that is admitted of each.
struct Bounds {
    std::uint64_t tokens = 10'000;
    std::uint64_t depth = 15;
    std::uint64_t aliases = 50;
    std::uint64_t root_fields = 50;
};

struct RootField {
    std::string_view name;    // in the schema, never the alias
    std::uint32_t count = 0;  // under so many response keys
};

struct Operation {
    OperationType type = OperationType::kQuery;
    std::string_view name;                // empty: none
    std::vector<RootField> root_fields;   // each name once, in the order of the document
    std::uint64_t root_fields_total = 0;  // the sum of their counts
    std::uint64_t depth = 0;
    std::uint64_t aliases = 0;
    std::uint64_t tokens = 0;  // of the whole document
};

class Analyser {
  public:
    // `operation_name` as the request gives it; an empty one counts as none, as some servers have it: then there must
    // be one operation and no more, so that it does not matter.
    [[nodiscard]] Outcome<Operation> analyse(std::string_view document, std::optional<std::string_view> operation_name,
                                             const Bounds& bounds);

  private:
    struct Totals {
        std::uint64_t depth = 0;
        std::uint64_t aliases = 0;
    };
    enum class Visit : std::uint8_t { kNot, kOpen, kDone };
    // A fragment with what is known of it. Sorted by name.
    struct Fragment {
        const Definition* definition = nullptr;
        Visit visit = Visit::kNot;
        bool collected = false;
        Totals totals;
    };
    struct Frame {
        const Definition* definition = nullptr;
        std::uint32_t fragment = 0;  // index of fragments_; of the operation's frame nothing
        std::uint32_t cursor = 0;    // the next of its spreads
        Totals totals;
    };

    bool check_names(std::string_view text);
    const Definition* select(std::optional<std::string_view> operation_name);
    bool measure(std::string_view text, const Definition& operation);
    bool follow(std::string_view text, const Spread& spread);
    bool check_bound(std::string_view what, std::uint64_t count, std::uint64_t bound, std::size_t offset,
                     std::string_view text);
    void collect(const Definition& operation);
    void count_fields();
    [[nodiscard]] std::uint32_t find(std::string_view fragment) const;
    bool refuse(ProblemKind kind, std::string_view text, std::size_t offset);
    bool refuse_cycle(std::string_view text, const Spread& spread);

    static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

    Document document_;
    std::vector<Fragment> fragments_;
    std::vector<const Definition*> named_operations_;
    std::vector<Frame> frames_;
    std::vector<const Definition*> to_collect_;
    std::vector<RootSelection> selected_;
    Operation operation_;
    Problem problem_;
};

}  // namespace weir::protocol::graphql
