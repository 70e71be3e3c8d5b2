// What is generated from the table of keys: the JSON Schema and the page of the manual.
#include <algorithm>

#include "config/load.h"
#include "config/schema.h"
#include "config/section.h"
#include "config/tree.h"

namespace weir::config {

namespace {

Node pattern(std::string_view regex) {
    return object({{"type", word("string")}, {"pattern", word(std::string(regex) + R"(|\$\{)")}});
}

// A value that is no string may also be a variable, which is one.
Node or_variable(Node schema) {
    return object({{"anyOf", array({std::move(schema), object({{"$ref", word("#/$defs/variable")}})})}});
}

Node whole_number(const Key& key) {
    Node node = object({{"type", word("integer")}});
    const std::size_t dots = key.bounds.find("..");
    if (dots != std::string_view::npos) {
        put(node, "minimum", literal(key.bounds.substr(0, dots)));
        put(node, "maximum", literal(key.bounds.substr(dots + 2)));
    }
    return node;
}

Node scalar_schema(const Key& key) {
    const auto reference = [](std::string_view name) {
        return object({{"$ref", word(std::string("#/$defs/").append(name))}});
    };
    switch (key.scalar) {
        case Scalar::kBoolean:
            return or_variable(object({{"type", word("boolean")}}));
        case Scalar::kInteger:
        case Scalar::kSignedInteger:
            return or_variable(whole_number(key));
        case Scalar::kNumber:
            return or_variable(object({{"type", word("number")}, {"exclusiveMinimum", literal("0")}}));
        case Scalar::kDuration:
            return reference("duration");
        case Scalar::kSize:
            return reference("size");
        case Scalar::kRate:
            return reference("rate");
        case Scalar::kChoice: {
            std::vector<Node> all;
            for (const std::string_view choice : choices(key)) {
                all.push_back(is_json_number(choice) ? literal(choice) : word(choice));
            }
            return or_variable(object({{"enum", array(std::move(all))}}));
        }
        case Scalar::kUpstream:
        case Scalar::kLookupUrl:
            return pattern("^(https?://|unix:/)");
        case Scalar::kCredential:
            return pattern("^(authorization$|cookie:.|header:.|query:.)");
        case Scalar::kPath:
            return pattern("^/");
        case Scalar::kWho:
        case Scalar::kNetwork:
            return object({{"type", word("string")}});
        case Scalar::kToken:
            return pattern("^(authorization$|query:.|cookie:.|subprotocol:.)");
        case Scalar::kSubject:
            return pattern("^(ip|user|connection|global)$|^(claim|header):.");
        case Scalar::kStore:
            return pattern("^(memory$|redis://|redis\\+(unix|cluster|sentinel)://|unix:/)");
        case Scalar::kJsonScalar:
            return object({{"type", array({word("string"), word("number"), word("boolean"), word("null")})}});
        case Scalar::kIntegerOrAuto:
            return or_variable(object({{"anyOf", array({object({{"const", word("auto")}}), whole_number(key)})}}));
        case Scalar::kText:
        case Scalar::kSecret:
        case Scalar::kFile:
        case Scalar::kJwks:
        case Scalar::kName:
        case Scalar::kLimit:
        case Scalar::kHeader:
            // What looks like a number or a boolean is text as well.
            return object({{"type", array({word("string"), word("number"), word("boolean")})}});
        case Scalar::kNone:
        case Scalar::kEndpoint:
        case Scalar::kListen:
        case Scalar::kOrigin:
            break;
    }
    return object({{"type", word("string")}});
}

// A list of these says something, so that an empty one is refused.
bool empty_list_refused(const Key& key) {
    return key.scalar == Scalar::kListen || key.scalar == Scalar::kUpstream || key.scalar == Scalar::kToken ||
           key.scalar == Scalar::kSubject || key.scalar == Scalar::kLimit || key.path == "routes" ||
           key.shape == Shape::kConditionList;
}

Node list_schema(const Key& key, Node items) {
    Node list = object({{"type", word("array")}, {"items", std::move(items)}});
    if (empty_list_refused(key)) put(list, "minItems", literal("1"));
    return list;
}

// A map that must not be empty.
bool says_something(std::string_view path) {
    return path == "upstreams" || path == "when" || path == "when.json" || path == "when.json.equals";
}

Node map_schema(std::string_view path, bool null_allowed);

Node shape_schema(const Key& key) {
    const auto reference = [] { return object({{"$ref", word("#/$defs/condition")}}); };
    switch (key.shape) {
        case Shape::kOne:
            return scalar_schema(key);
        case Shape::kOneOrList:
            return object({{"anyOf", array({scalar_schema(key), list_schema(key, scalar_schema(key))})}});
        case Shape::kMap:
        case Shape::kNamed:
            return map_schema(key.path, !says_something(key.path));
        case Shape::kMapOrOne:
            return object({{"anyOf", array({scalar_schema(key), map_schema(key.path, false)})}});
        case Shape::kMaps:
            return list_schema(key, map_schema(std::string(key.path) + "[]", false));
        case Shape::kCondition:
            return reference();
        case Shape::kConditionList:
            return list_schema(key, reference());
    }
    return {};
}

Node key_schema(const Key& key) {
    const std::string description(key.description);
    if (!key.available) {
        Node never = object({});
        return object(
            {{"not", std::move(never)}, {"description", word("Not available in this version. " + description)}});
    }
    Node schema = shape_schema(key);
    put(schema, "description", word(description));
    if (!key.standard.empty()) put(schema, "default", default_value(key));
    if (!key.example.empty() && key.scalar != Scalar::kSecret) {
        Key example = key;
        example.standard = key.example;
        put(schema, "examples", array({default_value(example)}));
    }
    return schema;
}

// An object with the keys below `path`; those that the user names under additionalProperties.
Node map_schema(std::string_view path, bool null_allowed) {
    Node properties = object({});
    Node others = literal("false");
    for (const Key* key : keys_below(path)) {
        if (key->name() == "*") {
            others = key_schema(*key);
        } else {
            put(properties, key->name(), key_schema(*key));
        }
    }
    Node schema = object({});
    put(schema, "type", null_allowed ? array({word("object"), word("null")}) : word("object"));
    if (!properties.entries.empty()) put(schema, "properties", std::move(properties));
    put(schema, "additionalProperties", std::move(others));
    if (path.empty()) put(schema, "required", array({word("upstreams")}));
    if (path == "routes[]") put(schema, "required", array({word("path")}));
    if (path == "routes[].websocket.messages[]") put(schema, "required", array({word("limit")}));
    if (says_something(path)) put(schema, "minProperties", literal("1"));
    const Key* row = find_key(path);
    if (row != nullptr && row->shape == Shape::kNamed && !row->any_names) {
        put(schema, "propertyNames", object({{"pattern", word("^[A-Za-z0-9_.-]{1,64}$")}}));
    }
    return schema;
}

// ---- The page.

std::string cell(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '|') out.push_back('\\');
        out.push_back(c);
    }
    return out;
}

std::string code(std::string_view text) {
    return text.empty() ? std::string() : "`" + cell(text) + "`";
}

// "one of a, b, c" reads well in a message and needs less in a table.
std::string takes(const Key& key) {
    return key.available ? cell(expectation(key)) : "not available in this version";
}

std::string meaning(const Key& key) {
    std::string text = cell(key.description);
    if (!key.available) return text;
    if (!key.example.empty()) text += " Example: " + code(key.example) + ".";
    if (!key.variable.empty()) text += " The environment variable " + code(key.variable) + " wins.";
    if (key.change == Change::kRestart) text += " A change needs a restart.";
    return text;
}

std::string default_text(const Key& key) {
    return key.standard.empty() ? std::string("none") : code(key.standard);
}

void append_rows(std::string& page, std::string_view prefix) {
    page += "| key | takes | default | meaning |\n| --- | --- | --- | --- |\n";
    for (const Key& key : keys()) {
        const std::string_view path = key.path;
        const bool below = path.size() > prefix.size() && path.starts_with(prefix) &&
                           (path[prefix.size()] == '.' || path[prefix.size()] == '[');
        if (!below) continue;
        page += "| " + code(path) + " | " + takes(key) + " | " + default_text(key) + " | " + meaning(key) + " |\n";
    }
}

constexpr std::string_view kIntroduction = R"(# Configuration reference

<!-- Made by `weir config reference` from src/config/schema.h; edit that. -->

One YAML file. Every key has a default except `upstreams`. Unknown keys, duplicate keys and values of the wrong type
are errors with file, line and column; all errors are told at once. `weir check FILE` tells them without starting.

* In values, never in keys, `${NAME}` is replaced by the environment variable `NAME`, which must be set;
  `${NAME:-text}` by `text` where it is unset or empty. `$$` is a literal `$`.
* A duration has a unit: `20ms`, `10s`, `5m`, `1h`, `2d`. A size is a number of bytes or has one: `4KiB`, `1MiB`, `1GiB`.
  A rate is `COUNT/PERIOD`: `30/m`, `5/10s`, `3/h`, `1000/d`.
* SIGHUP makes a running gateway read the file again; an invalid one is refused and the old one stays. Where a change needs a restart, the key says so.
* Editors complete and check the file with [weir.schema.json](weir.schema.json): put
  `# yaml-language-server: $schema=weir.schema.json` at its top.

In the tables `[]` stands for each element of a list, and `*` for a name that you choose.
)";

constexpr std::string_view kEnvironmentPart = R"(
## Environment variables

They win over the file. A value that does not parse stops the start. A name that begins with `RATELIMIT_` and is none of
these is a warning, as it may be the application's own.

| variable | meaning |
| --- | --- |
| `RATELIMIT_<LIMIT>` | rate of a limit for authenticated callers (WebSocket limits), or its base rate (operation limits) |
| `RATELIMIT_<LIMIT>_ANONYMOUS` | rate of a limit for anonymous callers |
| `RATELIMIT_DISABLE` | `true`: everything is allowed, nothing is counted |
| `RATELIMIT_FAIL_OPEN` | `true`: allow when the store can't answer |
| `RATELIMIT_KEY_PREFIX` | what the names of all buckets begin with |
| `RATELIMIT_IPV6_MASK` | IPv6 addresses that share so many leading bits are one client |
)";

}  // namespace

std::string json_schema() {
    Node schema = object(
        {{"$schema", word("https://json-schema.org/draft/2020-12/schema")}, {"title", word("Weir configuration")}});
    Node root = map_schema("", false);
    for (Entry& entry : root.entries) schema.entries.push_back(std::move(entry));
    Node size = object({{"anyOf", array({object({{"type", word("integer")}, {"minimum", literal("0")}}),
                                         pattern("^[0-9]+(B|KiB|MiB|GiB|TiB)?$")})}});
    put(schema, "$defs",
        object({{"variable", object({{"type", word("string")}, {"pattern", word(R"(\$\{)")}})},
                {"duration", pattern("^[0-9]+(ms|s|m|h|d)$")},
                {"rate", pattern("^0*[1-9][0-9]*/(0*[1-9][0-9]*)?[smhd]$")},
                {"size", std::move(size)},
                {"condition", map_schema("when", false)}}));
    return to_json(schema);
}

std::string reference_page() {
    std::string page(kIntroduction);
    for (const Key* key : keys_below("")) {
        page += "\n## `" + std::string(key->name()) + "`\n\n" + meaning(*key) + "\n\n";
        const bool has_rows = std::ranges::any_of(keys(), [&](const Key& other) {
            return other.path.starts_with(joined(key->path, "")) ||
                   other.path.starts_with(std::string(key->path) + "[");
        });
        page += "Takes " + takes(*key) + ". Default: " + default_text(*key) + ".\n";
        if (!key->available) continue;
        if (has_rows) {
            page += "\n";
            append_rows(page, key->path);
        }
        if (key->path == "routes") {
            page +=
                "\n### Conditions\n\nWhat `when` of a message rule takes. Several keys in one condition must all "
                "hold.\n\n";
            append_rows(page, "when");
        }
    }
    return page.append(kEnvironmentPart);
}

}  // namespace weir::config
