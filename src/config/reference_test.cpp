#include <gtest/gtest.h>
#include <simdjson.h>

#include "config/load.h"
#include "config/schema.h"
#include "config/test_load.h"

namespace weir::config {
namespace {

// The schema object that stands for a key, found by walking as a validator would.
simdjson::dom::element schema_of(simdjson::dom::element root, std::string_view path) {
    simdjson::dom::element at = root;
    if (path.starts_with("when.")) at = root["$defs"]["condition"];
    std::string_view rest = path.starts_with("when.") ? path.substr(5) : path;
    while (!rest.empty()) {
        const std::size_t dot = rest.find('.');
        std::string_view name = rest.substr(0, dot);
        rest = dot == std::string_view::npos ? std::string_view{} : rest.substr(dot + 1);
        const bool list = name.ends_with("[]");
        if (list) name.remove_suffix(2);
        simdjson::dom::array branches;
        if (at["anyOf"].get(branches) == simdjson::SUCCESS) at = branches.at(branches.size() - 1);
        at = name == "*" ? at["additionalProperties"] : at["properties"][name];
        if (list) at = at["items"];
    }
    return at;
}

TEST(JsonSchema, IsJsonAndKnowsEveryKey) {
    simdjson::dom::parser parser;
    const std::string text = json_schema();
    simdjson::dom::element root = parser.parse(text);
    EXPECT_EQ(std::string_view(root["$schema"]), "https://json-schema.org/draft/2020-12/schema");
    for (const Key& key : keys()) {
        std::string_view description;
        ASSERT_NO_THROW(description = schema_of(root, key.path)["description"]) << key.path;
        EXPECT_TRUE(description.ends_with(key.description)) << key.path;
        EXPECT_EQ(schema_of(root, key.path)["not"].error() == simdjson::SUCCESS, !key.available) << key.path;
    }
}

TEST(ReferencePage, HasEveryKeyAndEveryVariable) {
    const std::string page = reference_page();
    for (const Key& key : keys()) {
        EXPECT_NE(page.find("`" + std::string(key.path) + "`"), std::string::npos) << key.path;
        if (key.variable.empty()) continue;
        EXPECT_NE(page.find("| `" + std::string(key.variable) + "` |"), std::string::npos);
    }
}

}  // namespace
}  // namespace weir::config
