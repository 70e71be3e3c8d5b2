// What it costs to read a GraphQL document and count its operation's root fields.
//
//     build/bench/graphql_bench --benchmark_format=json
//
// The document of 1 KiB is to take less than kBoundNanoseconds; the label of its line says whether it did. A document
// of a machine is dense, one of a person is a third white space: there is one of each. The analyser is warm, as a
// worker's is.
#include <benchmark/benchmark.h>
#include <ctime>
#include <string>

#include "protocol/graphql/analysis.h"

namespace {

using weir::protocol::graphql::Analyser;

constexpr double kBoundNanoseconds = 2000;

// 1 KiB: variables, arguments, aliases, directives, nested selections, three fragments, a comment.
constexpr std::string_view kWritten = R"(query CorpusPage($id: ID!, $first: Int = 20, $after: String, $full: Boolean!) {
  me {
    id
    username
    email
  }
  corpus(id: $id) {
    ...CorpusFields
    documents(first: $first, after: $after, orderBy: {field: CREATED, direction: DESC}) {
      totalCount
      edges {
        cursor
        node {
          ...DocumentFields
          preview: page(number: 1, size: "small") @include(if: $full) {
            url
            width
            height
          }
        }
      }
      pageInfo {
        hasNextPage
        endCursor
      }
    }
  }
  recent: activity(last: 5, kinds: [COMMENT, UPLOAD]) {
    at
    actor {
      username
    }
  }
}

# Shared with the list of corpuses.
fragment CorpusFields on Corpus {
  id
  title
  description
  isPublic
  creator {
    ...UserFields
  }
}

fragment DocumentFields on Document {
  id
  title
  fileType
  created
  creator {
    ...UserFields
  }
}

fragment UserFields on User {
  id
  username
  avatar(size: 32, format: "png")
  isActive
  joined
}
)";
static_assert(kWritten.size() >= 1024 && kWritten.size() < 1200);

// The same, as a client that strips white space would send it.
std::string stripped() {
    std::string text;
    bool comment = false;
    for (const char c : kWritten) {
        if (c == '#') comment = true;
        if (c == '\n') comment = false;
        const bool space = c == ' ' || c == '\n';
        if (comment || (space && (text.empty() || text.back() == ' '))) continue;
        text += space ? ' ' : c;
    }
    return text;
}

void run(benchmark::State& state, const std::string& document) {
    Analyser analyser;
    const weir::protocol::graphql::Bounds bounds;
    if (!analyser.analyse(document, std::nullopt, bounds)) {
        state.SkipWithError("the document is not accepted");
        return;
    }
    const std::clock_t begin = std::clock();  // of the processor: other programs do not count
    for (auto _ : state) benchmark::DoNotOptimize(analyser.analyse(document, std::nullopt, bounds));
    const double seconds = static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
    const double each = seconds * 1e9 / static_cast<double>(state.iterations());
    state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(document.size()));
    state.counters["ns_per_document"] = each;
    state.SetLabel(each < kBoundNanoseconds ? "pass: below 2 us" : "FAIL: not below 2 us");
}

void analyse_1kib(benchmark::State& state) {
    run(state, std::string(kWritten));
}
void analyse_1kib_stripped(benchmark::State& state) {
    run(state, stripped());
}
void analyse_one_field(benchmark::State& state) {
    run(state, "mutation { login(name: \"a\", password: \"b\") { token } }");
}

BENCHMARK(analyse_1kib);
BENCHMARK(analyse_1kib_stripped);
BENCHMARK(analyse_one_field);

}  // namespace

BENCHMARK_MAIN();
