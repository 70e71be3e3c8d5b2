// A YAML text as a tree of nodes that know their place: what yaml-cpp reads, without what a configuration has no use
// for. Refused: duplicate keys (yaml-cpp keeps both), merge keys, tags, keys that are not scalars, several documents,
// bytes that are not UTF-8, tabs in the indentation. Aliases are copied, within kNodesMax.
//
// yaml-cpp throws; its exceptions end here.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/load.h"

namespace weir::config {

inline constexpr std::size_t kFileBytesMax = 1024 * 1024;
inline constexpr std::size_t kNodesMax = 100'000;

// Line and column count from 1; 0 is "no place". `origin` is empty for the file itself.
struct Place {
    std::string_view origin = {};  // static text: "environment", "command line"
    int line = 0;
    int column = 0;
};

struct Entry;

struct Node {
    enum class Kind : std::uint8_t { kNull, kScalar, kList, kMap };
    Kind kind = Kind::kNull;
    Place place;
    std::string text;            // kScalar
    bool plain = true;           // kScalar: written without quotes
    bool substituted = false;    // kScalar: part of it came from the environment
    bool broken = false;         // kScalar: a variable could not be replaced; that has been reported
    std::vector<Node> items;     // kList
    std::vector<Entry> entries;  // kMap, in the order of the file

    [[nodiscard]] const Node* find(std::string_view key) const;
    [[nodiscard]] bool is(Kind wanted) const { return kind == wanted; }
};

struct Entry {
    std::string key;
    Place place;
    Node value;
};

// Where problems go; all of them, to be sorted at the end.
class Report {
  public:
    explicit Report(std::string file) : file_(std::move(file)) {}
    void error(const Place& place, std::string message) { add(problems_, place, std::move(message)); }
    void warning(const Place& place, std::string message) { add(warnings_, place, std::move(message)); }
    [[nodiscard]] bool clean() const { return problems_.empty(); }
    [[nodiscard]] std::size_t problem_count() const { return problems_.size(); }
    // Both lists sorted by place, each message once.
    void finish(std::vector<Problem>& problems, std::vector<Problem>& warnings);

  private:
    void add(std::vector<Problem>& list, const Place& place, std::string message);

    std::string file_;
    std::vector<Problem> problems_;
    std::vector<Problem> warnings_;
};

using Environment = std::map<std::string, std::string, std::less<>>;
[[nodiscard]] Environment environment_map(const std::vector<std::string>& lines);

// The text as a tree, with ${NAME} replaced in its values. What is wrong goes to `report`; the tree is what could be
// read; nullopt when that is nothing.
[[nodiscard]] std::optional<Node> parse_document(std::string_view text, const Environment& environment, Report& report);

// `text` with ${NAME} and ${NAME:-default} replaced and $$ made $; false, with the reason, when it can't be.
[[nodiscard]] bool substitute(std::string_view text, const Environment& environment, std::string& out,
                              std::string& reason);

}  // namespace weir::config
