#include "config/document.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <tuple>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include "base/text.h"

namespace weir::config {

namespace {

constexpr std::size_t kProblemsMax = 100;  // a file that is wrong in more places is not a configuration

Place place_of(const YAML::Mark& mark) {
    if (mark.is_null()) return {};
    return {.line = mark.line + 1, .column = mark.column + 1};
}

Node make_node(Node::Kind kind, const YAML::Mark& mark) {
    Node node;
    node.kind = kind;
    node.place = place_of(mark);
    return node;
}

std::size_t nodes_of(const Node& node) {
    std::size_t count = 1;
    for (const Node& item : node.items) count += nodes_of(item);
    for (const Entry& entry : node.entries) count += nodes_of(entry.value) + 1;
    return count;
}

// Thrown through yaml-cpp when going on makes no sense; what was wrong is in the report.
struct Abandoned {};

// Builds the tree from the parser's events.
class TreeBuilder final : public YAML::EventHandler {
  public:
    TreeBuilder(const Environment& environment, Report& report) : environment_(environment), report_(report) {}

    Node take() { return std::move(root_); }

    void OnDocumentStart(const YAML::Mark& mark) override { root_.place = place_of(mark); }
    void OnDocumentEnd() override {}

    void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        finish(make_node(Node::Kind::kNull, mark), anchor);
    }

    void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
        const auto found = anchors_.find(anchor);
        if (found == anchors_.end()) {
            report_.error(place_of(mark), "an alias can't stand inside what it refers to");
            finish(make_node(Node::Kind::kNull, mark), 0);
            return;
        }
        count(nodes_of(found->second), place_of(mark));
        finish(found->second, 0);
    }

    void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  const std::string& value) override {
        Node node = make_node(Node::Kind::kScalar, mark);
        node.text = value;
        node.plain = tag == "?";
        if (tag != "?" && tag != "!" && tag != "tag:yaml.org,2002:str") refuse_tag(node.place, tag);
        finish(std::move(node), anchor);
    }

    void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                         YAML::EmitterStyle::value) override {
        open(make_node(Node::Kind::kList, mark), tag, anchor);
    }
    void OnSequenceEnd() override { close(); }
    void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                    YAML::EmitterStyle::value) override {
        open(make_node(Node::Kind::kMap, mark), tag, anchor);
    }
    void OnMapEnd() override { close(); }

  private:
    struct Open {
        Node node;
        YAML::anchor_t anchor = 0;
        std::optional<Entry> pending;  // kMap: a key that waits for its value
        bool skip_value = false;       // kMap: the key was refused
    };

    void refuse_tag(const Place& place, const std::string& tag) {
        if (!tag.empty() && tag != "?" && tag != "!") report_.error(place, "tags ('" + tag + "') are not supported");
    }

    void count(std::size_t nodes, const Place& place) {
        nodes_ += nodes;
        if (nodes_ <= kNodesMax) return;
        report_.error(place, "too many values; at most " + std::to_string(kNodesMax) + ", aliases counted as copies");
        throw Abandoned{};
    }

    void open(Node node, const std::string& tag, YAML::anchor_t anchor) {
        refuse_tag(node.place, tag);
        stack_.push_back({.node = std::move(node), .anchor = anchor, .pending = {}});
    }

    void close() {
        Open done = std::move(stack_.back());
        stack_.pop_back();
        finish(std::move(done.node), done.anchor);
    }

    // A whole node goes to its place in the one above it.
    void finish(Node node, YAML::anchor_t anchor) {
        count(1, node.place);
        const bool is_key = !stack_.empty() && stack_.back().node.is(Node::Kind::kMap) && !stack_.back().pending &&
                            !stack_.back().skip_value;
        if (!is_key && node.is(Node::Kind::kScalar)) replace_variables(node);
        if (anchor != 0) anchors_[anchor] = node;
        if (stack_.empty()) {
            root_ = std::move(node);
            return;
        }
        Open& above = stack_.back();
        if (above.node.is(Node::Kind::kList)) {
            above.node.items.push_back(std::move(node));
        } else if (is_key) {
            take_key(above, std::move(node));
        } else {
            if (above.pending) {
                above.pending->value = std::move(node);
                above.node.entries.push_back(std::move(*above.pending));
            }
            above.pending.reset();
            above.skip_value = false;
        }
    }

    void take_key(Open& above, Node key) {
        above.skip_value = true;
        if (!key.is(Node::Kind::kScalar)) {
            report_.error(key.place, "a key must be a name");
        } else if (key.text == "<<" && key.plain) {
            report_.error(key.place, "merge keys ('<<') are not supported");
        } else if (const auto other = std::ranges::find(above.node.entries, key.text, &Entry::key);
                   other != above.node.entries.end()) {
            report_.error(key.place,
                          "duplicate key '" + key.text + "', already set on line " + std::to_string(other->place.line));
        } else {
            above.skip_value = false;
            above.pending = Entry{.key = std::move(key.text), .place = key.place, .value = {}};
        }
    }

    void replace_variables(Node& node) {
        if (node.text.find('$') == std::string::npos) return;
        std::string out;
        std::string reason;
        if (!substitute(node.text, environment_, out, reason)) {
            report_.error(node.place, reason);
            node.broken = true;
            return;
        }
        node.substituted = node.text.find("${") != std::string::npos;
        node.text = std::move(out);
    }

    const Environment& environment_;
    Report& report_;
    Node root_;
    std::vector<Open> stack_;
    std::map<YAML::anchor_t, Node> anchors_;
    std::size_t nodes_ = 0;
};

// Bytes of the UTF-8 character at `at`; 0 when there is none (RFC 3629, overlong forms and surrogates refused).
std::size_t utf8_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) {
        return i < text.size() ? static_cast<unsigned char>(text[i]) : static_cast<unsigned char>(0);
    };
    const auto tail = [&](std::size_t i) { return (byte(i) & 0xC0U) == 0x80U; };
    const unsigned char lead = byte(at);
    if (lead < 0x80) return 1;
    if (lead >= 0xC2 && lead <= 0xDF) return tail(at + 1) ? 2 : 0;
    if (lead >= 0xE0 && lead <= 0xEF) {
        const unsigned char next = byte(at + 1);
        if ((lead == 0xE0 && next < 0xA0) || (lead == 0xED && next > 0x9F)) return 0;
        return tail(at + 1) && tail(at + 2) ? 3 : 0;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        const unsigned char next = byte(at + 1);
        if ((lead == 0xF0 && next < 0x90) || (lead == 0xF4 && next > 0x8F)) return 0;
        return tail(at + 1) && tail(at + 2) && tail(at + 3) ? 4 : 0;
    }
    return 0;
}

// Looks for what yaml-cpp would accept in silence or refuse with a riddle. False: don't parse.
bool check_bytes(std::string_view text, Report& report) {
    if (text.size() > kFileBytesMax) {
        report.error({}, "the file has " + std::to_string(text.size()) + " bytes; at most " +
                             std::to_string(kFileBytesMax) + " are read");
        return false;
    }
    Place place{.line = 1, .column = 1};
    bool indentation = true;
    bool ok = true;
    std::optional<Place> tab;
    for (std::size_t at = 0; at < text.size();) {
        const char c = text[at];
        const std::size_t length = utf8_length(text, at);
        if (length == 0 || (static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7F) {
            report.error(place, length == 0 ? "the file is not UTF-8 text" : "the file has a control character");
            return false;
        }
        if (indentation && c == '\t' && !tab) tab = place;
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r') {
            if (indentation && tab && c != '#') {
                report.error(*tab, "a tab in the indentation; YAML wants spaces");
                ok = false;
            }
            indentation = false;
        }
        at += length;
        ++place.column;
        if (c == '\n') {
            place = {.line = place.line + 1, .column = 1};
            indentation = true;
            tab.reset();
        }
    }
    return ok;
}

bool name_start(char c) {
    return c == '_' || (ascii_lower(c) >= 'a' && ascii_lower(c) <= 'z');
}

}  // namespace

const Node* Node::find(std::string_view key) const {
    const auto found = std::ranges::find(entries, key, &Entry::key);
    return found == entries.end() ? nullptr : &found->value;
}

void Report::add(std::vector<Problem>& list, const Place& place, std::string message) {
    if (list.size() >= kProblemsMax) return;
    list.push_back({.file = place.origin.empty() ? file_ : std::string(place.origin),
                    .line = place.line,
                    .column = place.column,
                    .message = std::move(message)});
}

void Report::finish(std::vector<Problem>& problems, std::vector<Problem>& warnings) {
    const auto sort = [this](std::vector<Problem>& list) {
        const auto key = [this](const Problem& problem) {
            return std::tuple(problem.file != file_, problem.file, problem.line, problem.column);
        };
        std::ranges::stable_sort(list, {}, key);
        const auto same = [](const Problem& a, const Problem& b) { return a.to_string() == b.to_string(); };
        list.erase(std::unique(list.begin(), list.end(), same), list.end());
        return std::move(list);
    };
    problems = sort(problems_);
    warnings = sort(warnings_);
}

Environment environment_map(const std::vector<std::string>& lines) {
    Environment map;
    for (const std::string& line : lines) {
        const std::size_t equals = line.find('=');
        if (equals != std::string::npos && equals > 0) map.emplace(line.substr(0, equals), line.substr(equals + 1));
    }
    return map;
}

std::optional<Node> parse_document(std::string_view text, const Environment& environment, Report& report) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    if (!check_bytes(text, report)) return std::nullopt;
    TreeBuilder builder(environment, report);
    try {
        std::istringstream stream{std::string(text)};
        YAML::Parser parser(stream);
        if (!parser.HandleNextDocument(builder)) return Node{};
        Report ignored("");
        TreeBuilder second(environment, ignored);
        if (parser.HandleNextDocument(second)) {
            report.error(second.take().place, "a second document; a configuration is one");
        }
    } catch (const Abandoned&) {
        return std::nullopt;
    } catch (const YAML::Exception& error) {
        report.error(place_of(error.mark), "not valid YAML: " + error.msg);
        return std::nullopt;
    }
    return builder.take();
}

bool substitute(std::string_view text, const Environment& environment, std::string& out, std::string& reason) {
    out.clear();
    for (std::size_t at = 0; at < text.size();) {
        const char next = at + 1 < text.size() ? text[at + 1] : '\0';
        if (text[at] != '$' || (next != '$' && next != '{')) {
            out.push_back(text[at++]);
            continue;
        }
        if (next == '$') {
            out.push_back('$');
            at += 2;
            continue;
        }
        const std::size_t end = text.find('}', at);
        if (end == std::string_view::npos) {
            reason = "'${' has no '}'; a literal '$' is written '$$'";
            return false;
        }
        const std::string_view inside = text.substr(at + 2, end - at - 2);
        const std::size_t dash = inside.find(":-");
        const std::string_view name = inside.substr(0, dash);
        const bool named = !name.empty() && name_start(name.front()) &&
                           std::ranges::all_of(name, [](char c) { return name_start(c) || ascii_digit(c); });
        if (!named) {
            reason =
                "'${" + std::string(inside) + "}' names no environment variable, expected ${NAME} or ${NAME:-default}";
            return false;
        }
        const auto found = environment.find(name);
        const bool empty = found == environment.end() || found->second.empty();
        if (dash != std::string_view::npos) {
            out.append(empty ? inside.substr(dash + 2) : std::string_view(found->second));
        } else if (found != environment.end()) {
            out.append(found->second);
        } else {
            reason = "the environment variable " + std::string(name) + " is not set, and ${" + std::string(name) +
                     "} has no default; expected ${" + std::string(name) + ":-default} or a variable that is set";
            return false;
        }
        at = end + 1;
    }
    return true;
}

}  // namespace weir::config
