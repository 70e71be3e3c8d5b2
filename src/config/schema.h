// The one table of the configuration's keys. A row says what a key is called, what it takes, what holds when it is
// absent, and what it is for. Everything that speaks of keys is made from it: the checks of a file and their messages,
// the defaults, the JSON Schema and the reference page.
//
// A path names the place of a key: "timeouts.idle"; "routes[].path" is a key of each element of a list; "upstreams.*"
// is any name that the user chooses. Rows that begin with "when" describe the conditions of message rules, which nest.
//
// Immutable; any thread may read.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace weir::config {

// How values are arranged.
enum class Shape : std::uint8_t {
    kOne,            // a scalar
    kOneOrList,      // a scalar, or a list of them
    kMap,            // the keys below it
    kMapOrOne,       // the keys below it, or a scalar (the short form)
    kNamed,          // names that the user chooses, each with a value as the row PATH.* says
    kMaps,           // a list of maps with the keys below "PATH[]"
    kCondition,      // a condition: the keys below "when"
    kConditionList,  // a list of conditions
};

// What a scalar is.
enum class Scalar : std::uint8_t {
    kNone,
    kText,
    kSecret,  // text that is never printed
    kBoolean,
    kInteger,
    kSignedInteger,
    kNumber,
    kDuration,
    kSize,
    kRate,
    kChoice,      // one of `bounds`
    kEndpoint,    // where to listen
    kListen,      // the same, perhaps with http:// or https:// before it
    kUpstream,    // where a backend is
    kLookupUrl,   // whom to ask who a caller is
    kCredential,  // what of a request is passed on with that question
    kNetwork,     // an address or a CIDR block
    kWho,         // a network, or a subject such as user:42
    kFile,        // a path of a file
    kJwks,        // a path of a file, or a URL
    kToken,       // where a token may stand
    kSubject,     // who a limit counts
    kLimit,       // the name of a limit, or none
    kName,        // an identifier that other keys refer to
    kPath,        // a path pattern
    kStore,       // where buckets are kept
    kOrigin,      // an origin of a web page
    kHeader,      // the name of a header field
    kJsonScalar,  // any JSON scalar
    kIntegerOrAuto,
};

enum class Change : std::uint8_t { kReload, kRestart };

struct Key {
    std::string_view path;
    Shape shape = Shape::kOne;
    Scalar scalar = Scalar::kNone;
    std::string_view standard = {};  // the default, as YAML; empty: absent
    std::string_view bounds = {};    // kChoice: "a|b|c"; numbers, sizes and durations: "LOW..HIGH"
    Change change = Change::kReload;
    bool optional_section = false;  // kMap: absent is not the same as empty
    bool any_names = false;         // kNamed: a name is whatever the user writes, and checked where it is used
    bool available = true;          // false: known by name, and refused in this version
    std::string_view description = {};
    std::string_view example = {};
    std::string_view variable = {};  // the environment variable that wins over the file

    // The last part of the path: "idle", "*".
    [[nodiscard]] std::string_view name() const;
};

[[nodiscard]] std::span<const Key> keys();
[[nodiscard]] const Key* find_key(std::string_view path);
// The keys directly below a map ("" is the file itself), in the table's order; the row of "*" among them.
[[nodiscard]] std::vector<const Key*> keys_below(std::string_view path);
// `path` and a key of the map there, joined.
[[nodiscard]] std::string joined(std::string_view path, std::string_view name);
// The choices of a kChoice.
[[nodiscard]] std::vector<std::string_view> choices(const Key& key);
// "a duration such as 20ms, 10s, 1h", for "expected ...".
[[nodiscard]] std::string expectation(const Key& key);

// Of `candidates` the one that `word` was probably meant to be; empty when none is near.
[[nodiscard]] std::string nearest(std::string_view word, const std::vector<std::string>& candidates);

}  // namespace weir::config
