// A map of the file together with its rows of the table: reads a key's value, or else the table's default, as what it
// is. Values that do not parse have been reported by validate(); here they read as nothing or zero.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/document.h"
#include "config/schema.h"
#include "config/values.h"

namespace weir::config {

struct Item {
    std::string text;
    Place place;
};

class Section {
  public:
    // `node` may be null: the section is absent. `path` is the row's.
    Section(const Node* node, Place place, std::string path)
        : node_(node != nullptr && node->is(Node::Kind::kMap) ? node : nullptr),
          place_(place),
          path_(std::move(path)) {}

    // Present as a map, or as a key without a value.
    [[nodiscard]] bool has(std::string_view key) const { return node_ != nullptr && node_->find(key) != nullptr; }
    // The table has the key here.
    [[nodiscard]] bool takes(std::string_view key) const { return find_key(joined(path_, key)) != nullptr; }
    [[nodiscard]] Section section(std::string_view key) const;
    // The elements of a list of maps.
    [[nodiscard]] std::vector<Section> sections(std::string_view key) const;
    [[nodiscard]] const Node* node() const { return node_; }
    // What the file says, else the default; kNull when there is neither.
    [[nodiscard]] Node value(std::string_view key) const;
    // Of the value, or of the section when it is absent.
    [[nodiscard]] Place place(std::string_view key) const;
    [[nodiscard]] Place place() const { return place_; }
    // Of the key itself, where the section has it.
    [[nodiscard]] Place key_place(std::string_view key) const;
    // As messages call it: "routes.graphql".
    [[nodiscard]] std::string name() const;

    [[nodiscard]] std::string text(std::string_view key) const;
    // A scalar is a list of one. What could not be replaced is left out.
    [[nodiscard]] std::vector<Item> list(std::string_view key) const;
    [[nodiscard]] bool boolean(std::string_view key) const { return parse_boolean(text(key)).value_or(false); }
    [[nodiscard]] std::uint64_t integer(std::string_view key) const;  // "auto" is 0
    [[nodiscard]] std::int64_t signed_integer(std::string_view key) const;
    [[nodiscard]] std::uint64_t size(std::string_view key) const;  // "auto" is 0
    [[nodiscard]] Nanos duration(std::string_view key) const;
    [[nodiscard]] std::optional<limit::Rate> rate(std::string_view key) const;
    // The index of the value among the choices of its row.
    template <typename Enum>
    [[nodiscard]] Enum choice(std::string_view key) const {
        return static_cast<Enum>(choice_index(key));
    }

  private:
    [[nodiscard]] std::size_t choice_index(std::string_view key) const;
    [[nodiscard]] const Key& row(std::string_view key) const;

    const Node* node_;
    Place place_;
    std::string path_;
};

// The scalars of a scalar or a list; what could not be replaced is left out.
[[nodiscard]] std::vector<Item> items_of(const Node& value);

// The default of a row as a node; kNull when it has none.
[[nodiscard]] Node default_value(const Key& key);

}  // namespace weir::config
