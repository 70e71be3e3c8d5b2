// What one decision of the bucket table costs: on one bucket, on many (in and beyond the processor's caches), on two
// buckets at once, for each algorithm, on one thread and on two.
//
//     build/bench/table_bench --benchmark_format=json
//
// The names are hashed beforehand, as the gateway does at a connection's handshake.
#include <array>
#include <benchmark/benchmark.h>
#include <string>
#include <vector>

#include "limit/table.h"

namespace {

using weir::Hash128;
using weir::limit::Algorithm;
using weir::limit::BucketRule;
using weir::limit::BucketTable;
using weir::limit::Decision;
using weir::limit::Take;

// A rate that admits for as long as the benchmark runs, so that the path measured is the one that takes.
BucketRule rule_of(std::int64_t algorithm) {
    return {{1'000'000'000, std::chrono::seconds(1)}, static_cast<Algorithm>(algorithm), 1'000'000'000, false};
}

std::vector<Hash128> names_of(std::int64_t buckets) {
    std::vector<Hash128> names;
    for (std::int64_t i = 0; i < buckets; ++i) names.push_back(weir::siphash128({1, 2}, std::to_string(i)));
    return names;
}

// A million buckets, filled before the clock runs; made by the thread that comes here before all others, kept for all.
BucketTable& shared_table() {
    static BucketTable table({.buckets_max = 1'200'000, .shards = 64});
    return table;
}

// Each thread starts elsewhere, and steps so that neighbours in time are not neighbours in memory.
class Walk {
  public:
    Walk(const benchmark::State& state, std::size_t names)
        : at_(names / static_cast<std::size_t>(state.threads()) * static_cast<std::size_t>(state.thread_index())),
          names_(names) {}
    std::size_t next() {
        at_ += 1;
        if (at_ >= names_) at_ = 0;
        return at_;
    }

  private:
    std::size_t at_;
    std::size_t names_;
};

void take_one(benchmark::State& state) {
    const BucketRule rule = rule_of(state.range(0));
    const std::vector<Hash128> names = names_of(state.range(1));
    BucketTable& table = shared_table();
    Walk walk(state, names.size());
    weir::MonoTime now{std::chrono::hours(1)};
    Decision decision;
    for (const Hash128& name : names) {
        const Take take{name, &rule, 1};
        table.take_now({&take, 1}, now, {&decision, 1});
    }
    for (auto _ : state) {
        const Take take{names[walk.next()], &rule, 1};
        now += std::chrono::nanoseconds(50);
        benchmark::DoNotOptimize(table.take_now({&take, 1}, now, {&decision, 1}));
    }
    state.SetItemsProcessed(state.iterations());
}

void take_two(benchmark::State& state) {
    const BucketRule rule = rule_of(state.range(0));
    const std::vector<Hash128> names = names_of(state.range(1));
    BucketTable& table = shared_table();
    Walk walk(state, names.size());
    weir::MonoTime now{std::chrono::hours(1)};
    std::array<Decision, 2> decisions;
    for (auto _ : state) {
        const std::size_t at = walk.next();
        const std::array<Take, 2> takes{
            {{names[at], &rule, 1}, {names[(at + names.size() / 4) % names.size()], &rule, 1}}};
        now += std::chrono::nanoseconds(50);
        benchmark::DoNotOptimize(table.take_now(takes, now, decisions));
    }
    state.SetItemsProcessed(state.iterations());
}

// A full table, and every event a new name: what a key flood costs.
void flood(benchmark::State& state) {
    static BucketTable table({.buckets_max = 100'000, .shards = 64});
    const BucketRule rule = rule_of(state.range(0));
    const weir::MonoTime now{std::chrono::hours(1)};
    std::uint64_t next = 0;
    Decision decision;
    const auto one = [&] {
        next += 0x9E3779B97F4A7C15U;
        const Take take{Hash128{next * 0xBF58476D1CE4E5B9U, next >> 7U}, &rule, 1};
        return table.take_now({&take, 1}, now, {&decision, 1});
    };
    for (int i = 0; i < 200'000; ++i) one();
    for (auto _ : state) benchmark::DoNotOptimize(one());
    state.SetItemsProcessed(state.iterations());
}

void each_algorithm(benchmark::internal::Benchmark* benchmark, std::initializer_list<std::int64_t> buckets) {
    benchmark->ArgNames({"algorithm", "buckets"});
    for (std::int64_t algorithm = 0; algorithm < 3; ++algorithm) {
        for (const std::int64_t count : buckets) benchmark->Args({algorithm, count});
    }
    benchmark->Threads(1)->Threads(2)->UseRealTime();
}

BENCHMARK(take_one)->Apply([](auto* benchmark) { each_algorithm(benchmark, {1, 1'000, 1'000'000}); });
BENCHMARK(take_two)->Apply([](auto* benchmark) { each_algorithm(benchmark, {1'000}); });
BENCHMARK(flood)->ArgName("algorithm")->Arg(0)->Arg(1)->Arg(2);

}  // namespace

BENCHMARK_MAIN();
