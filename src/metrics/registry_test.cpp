#include "metrics/registry.h"

#include <atomic>
#include <cctype>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

namespace weir::metrics {
namespace {

// A small reader of the text format, written from its description and not from the code that makes it: every line is a
// comment of the two known kinds or a sample, names and labels are well-formed, and a family's samples follow its TYPE.
struct Scrape {
    std::map<std::string, std::string> types;
    std::map<std::string, double> samples;  // by "name{labels}", labels unescaped

    explicit Scrape(const std::string& text) {
        EXPECT_TRUE(text.empty() || text.back() == '\n');
        std::string family;
        std::size_t start = 0;
        while (start < text.size()) {
            const std::size_t end = text.find('\n', start);
            read_line(text.substr(start, end - start), family);
            start = end + 1;
        }
    }

    void read_line(const std::string& line, std::string& family) {
        if (line.starts_with("# HELP ")) {
            family = line.substr(7, line.find(' ', 7) - 7);
            EXPECT_EQ(types.count(family), 0U) << "family " << family << " appears twice";
            EXPECT_EQ(line.find('\\'), std::string::npos);
            return;
        }
        if (line.starts_with("# TYPE ")) {
            EXPECT_EQ(line.substr(7, line.find(' ', 7) - 7), family);
            types[family] = line.substr(line.rfind(' ') + 1);
            return;
        }
        std::size_t at = 0;
        while (at < line.size() && (std::isalnum(static_cast<unsigned char>(line[at])) != 0 || line[at] == '_')) ++at;
        std::string key = line.substr(0, at);
        EXPECT_TRUE(key == family || (types[family] == "histogram" && key.starts_with(family + "_"))) << line;
        if (at < line.size() && line[at] == '{') key += read_labels(line, at);
        ASSERT_LT(at, line.size()) << line;
        EXPECT_EQ(line[at], ' ') << line;
        std::size_t used = 0;
        const std::string number = line.substr(at + 1);
        const double value = std::stod(number, &used);
        EXPECT_EQ(used, number.size()) << line;
        EXPECT_TRUE(samples.emplace(key, value).second) << "sample twice: " << key;
    }

    static std::string read_labels(const std::string& line, std::size_t& at) {
        std::string out;
        bool quoted = false;
        for (; at < line.size(); ++at) {
            const char c = line[at];
            if (quoted && c == '\\') {
                const char escaped = line.at(++at);
                EXPECT_TRUE(escaped == '\\' || escaped == '"' || escaped == 'n') << line;
                out += escaped == 'n' ? '\n' : escaped;
                continue;
            }
            if (c == '"') quoted = !quoted;
            out += c;
            if (!quoted && c == '}') {
                ++at;
                return out;
            }
        }
        ADD_FAILURE() << "labels without an end: " << line;
        return out;
    }
};

TEST(MetricsList, EveryFamilyHasARowWithDistinctNamesAndAPlainHelpText) {
    std::set<std::string_view> names;
    for (const FamilyRow& row : kList) {
        EXPECT_TRUE(names.insert(row.name).second) << row.name;
        EXPECT_EQ(row.help.find_first_of("\\\n"), std::string_view::npos) << row.name;
        EXPECT_TRUE(row.help.ends_with('.')) << row.name;
    }
}

TEST(Registry, ACellIsTheSameForTheSameLabelsAndAnotherForOthers) {
    Registry registry;
    const Cell chat = registry.cell(Family::kMessages, {"chat", label::kUpstream});
    EXPECT_EQ(chat, registry.cell(Family::kMessages, {"chat", label::kUpstream}));
    EXPECT_NE(chat, registry.cell(Family::kMessages, {"chat", label::kDownstream}));
    EXPECT_NE(chat, registry.cell(Family::kBytes, {"chat", label::kUpstream}));
}

TEST(Registry, LabelValuesThatLookLikeOtherLabelsDoNotShareACell) {
    Registry registry;
    const Cell odd = registry.cell(Family::kMessages, {"a\",direction=\"b", "c"});
    EXPECT_NE(odd, registry.cell(Family::kMessages, {"a", "b\",direction=\"c"}));
}

TEST(Registry, SumsOverShards) {
    Registry registry;
    Shard& one = registry.new_shard();
    const Cell cell = registry.cell(Family::kConnections, {"chat"});
    Shard& two = registry.new_shard();
    one.add(cell, 5);
    two.add(cell);
    two.add(cell, -2);
    EXPECT_EQ(registry.value(cell), 4);
    EXPECT_EQ(Scrape(registry.text()).samples.at("weir_connections{route=\"chat\"}"), 4);
}

TEST(Registry, ShowsACellAtZeroOnceItWasAskedForAndNoFamilyThatWasNot) {
    Registry registry;
    EXPECT_EQ(registry.text(), "");
    static_cast<void>(registry.cell(Family::kConfigReloads, {label::kInvalid}));
    EXPECT_EQ(registry.text(),
              "# HELP weir_config_reloads_total Attempts to read the configuration again.\n"
              "# TYPE weir_config_reloads_total counter\n"
              "weir_config_reloads_total{outcome=\"invalid\"} 0\n");
}

TEST(Registry, EscapesBackslashQuoteAndLineFeedInLabelValues) {
    Registry registry;
    registry.set(registry.cell(Family::kBuildInfo, {"a\\b\"c\nd{}=,"}), 1);
    const std::string text = registry.text();
    EXPECT_NE(text.find("weir_build_info{version=\"a\\\\b\\\"c\\nd{}=,\"} 1\n"), std::string::npos) << text;
    EXPECT_EQ(Scrape(text).samples.at("weir_build_info{version=\"a\\b\"c\nd{}=,\"}"), 1);
}

TEST(Registry, AFamilyWithoutLabelsHasNoBraces) {
    Registry registry;
    registry.set(registry.cell(Family::kBuckets, {}), 12);
    EXPECT_TRUE(registry.text().ends_with("\nweir_buckets 12\n")) << registry.text();
}

TEST(Registry, SetReplacesAndAddAddsFromAThreadWithoutAShard) {
    Registry registry;
    const Cell cell = registry.cell(Family::kConfigReloads, {label::kApplied});
    registry.set(cell, 7);
    registry.add(cell);
    registry.add(cell, 2);
    EXPECT_EQ(registry.value(cell), 10);
}

TEST(Registry, TheCellThatNobodyAskedForCountsNothing) {
    Registry registry;
    Shard& shard = registry.new_shard();
    shard.add(Cell{});
    shard.observe(Cell{}, 1);
    registry.set(Cell{}, 3);
    EXPECT_EQ(registry.text(), "");
}

TEST(Histogram, CountsEachObservationInItsBucketAndAllAboveIt) {
    Registry registry;
    Shard& shard = registry.new_shard();
    const Cell cell = registry.cell(Family::kDecisionSeconds, {});
    shard.observe(cell, 0.000001);  // on a bound: belongs to it
    shard.observe(cell, 0.0000011);
    shard.observe(cell, 0.5);
    shard.observe(cell, 30);
    EXPECT_EQ(registry.value(cell), 4);

    const Scrape scrape(registry.text());
    EXPECT_EQ(scrape.types.at("weir_decision_seconds"), "histogram");
    EXPECT_EQ(scrape.samples.at("weir_decision_seconds_bucket{le=\"1e-06\"}"), 1);
    EXPECT_EQ(scrape.samples.at("weir_decision_seconds_bucket{le=\"2e-06\"}"), 2);
    EXPECT_EQ(scrape.samples.at("weir_decision_seconds_bucket{le=\"0.1\"}"), 2);
    EXPECT_EQ(scrape.samples.at("weir_decision_seconds_bucket{le=\"1\"}"), 3);
    EXPECT_EQ(scrape.samples.at("weir_decision_seconds_bucket{le=\"+Inf\"}"), 4);
    EXPECT_EQ(scrape.samples.at("weir_decision_seconds_count"), 4);
    EXPECT_NEAR(scrape.samples.at("weir_decision_seconds_sum"), 30.5000021, 1e-8);
}

TEST(Histogram, TakesWhatIsNoDurationForNone) {
    Registry registry;
    Shard& shard = registry.new_shard();
    const Cell cell = registry.cell(Family::kDecisionSeconds, {});
    shard.observe(cell, -1);
    shard.observe(cell, std::numeric_limits<double>::quiet_NaN());
    shard.observe(cell, std::numeric_limits<double>::infinity());
    const Scrape scrape(registry.text());
    EXPECT_EQ(scrape.samples.at("weir_decision_seconds_bucket{le=\"1e-06\"}"), 2);
    EXPECT_EQ(scrape.samples.at("weir_decision_seconds_count"), 3);
    EXPECT_EQ(scrape.samples.at("weir_decision_seconds_sum"), 86400);
}

TEST(Registry, ThrowsTogetherWhatIsBeyondTheBoundAndKeepsWhatWasThere) {
    Registry registry;
    Shard& shard = registry.new_shard();
    const Cell kept = registry.cell(Family::kConnections, {"kept"});
    Cell last = 0;
    for (std::size_t i = 0; i < kCellsMax + 10; ++i) {
        last = registry.cell(Family::kConnections, {std::to_string(i)});
        shard.add(last);
    }
    EXPECT_EQ(last, registry.cell(Family::kConnections, {label::kOther}));
    EXPECT_GE(registry.value(last), 10);
    shard.add(kept);
    EXPECT_EQ(registry.value(kept), 1);
    // A family that comes late has its series all the same.
    shard.add(registry.cell(Family::kMessages, {"late", label::kUpstream}), 3);
    EXPECT_EQ(registry.value(registry.cell(Family::kMessages, {label::kOther, label::kOther})), 3);
}

// Run under the thread sanitizer by `make test`: writers on shards of their own, a reload that adds series and a
// worker, and a scraper, all at once; nothing is lost.
TEST(Registry, CountsWhileItGrowsAndIsScraped) {
    Registry registry;
    constexpr int kWriters = 3;
    constexpr int kEvents = 20'000;
    const Cell shared = registry.cell(Family::kBytes, {"chat", label::kUpstream});
    const Cell histogram = registry.cell(Family::kDecisionSeconds, {});
    std::atomic<Cell> latest{Cell{}};
    std::atomic<bool> done{false};

    std::vector<std::thread> threads;
    for (int w = 0; w < kWriters; ++w) {
        threads.emplace_back([&, &shard = registry.new_shard()] {
            for (int i = 0; i < kEvents; ++i) {
                shard.add(shared);
                shard.add(latest.load());
                shard.observe(histogram, 0.001);
            }
        });
    }
    std::thread reloader([&] {
        for (int i = 0; i < 3000; ++i) {
            latest.store(registry.cell(Family::kBytes, {std::to_string(i), label::kDownstream}));
            if (i % 1000 == 0) static_cast<void>(registry.new_shard());
        }
    });
    std::thread scraper([&] {
        double before = 0;
        while (!done.load()) {
            const Scrape scrape(registry.text());
            const double now = scrape.samples.at("weir_bytes_total{route=\"chat\",direction=\"upstream\"}");
            EXPECT_GE(now, before);
            EXPECT_EQ(scrape.samples.at("weir_decision_seconds_bucket{le=\"+Inf\"}"),
                      scrape.samples.at("weir_decision_seconds_count"));
            before = now;
        }
    });
    for (std::thread& thread : threads) thread.join();
    reloader.join();
    done.store(true);
    scraper.join();
    EXPECT_EQ(registry.value(shared), kWriters * kEvents);
    EXPECT_EQ(registry.value(histogram), kWriters * kEvents);
}

}  // namespace
}  // namespace weir::metrics
