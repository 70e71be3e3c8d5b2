#include "config/tree.h"

#include <algorithm>

#include "base/text.h"

namespace weir::config {

namespace {

using Kind = Node::Kind;

// Whether a scalar without quotes reads back as the same text in every place: in flow and block, as key and value.
bool safe_plain(std::string_view text) {
    constexpr std::string_view kSafe = "_-./+";
    if (is_json_number(text)) return true;
    if (text == "null" || text == "Null" || text == "NULL") return false;
    if (text.empty() || text.front() == '-' || text.front() == '.') return false;
    return std::ranges::all_of(text, [&](char c) {
        const char lower = ascii_lower(c);
        return (lower >= 'a' && lower <= 'z') || ascii_digit(c) || kSafe.find(c) != std::string_view::npos;
    });
}

std::string json_string(std::string_view text) {
    std::string out = "\"";
    append_json_escaped(out, text);
    return out + "\"";
}

std::string yaml_scalar(const Node& node, bool is_key = false) {
    if (node.is(Kind::kNull)) return "null";
    if (node.plain && safe_plain(node.text)) return node.text;
    std::string doubled;
    for (const char c : node.text) {
        doubled.push_back(c);
        if (c == '$' && !is_key) doubled.push_back('$');
    }
    return json_string(doubled);
}

std::string yaml_flow(const Node& node) {
    std::string out;
    if (node.is(Kind::kList)) {
        for (const Node& item : node.items) out.append(out.empty() ? "" : ", ").append(yaml_flow(item));
        return "[" + out + "]";
    }
    if (node.is(Kind::kMap)) {
        for (const Entry& entry : node.entries) {
            out.append(out.empty() ? "" : ", ").append(yaml_scalar(literal(entry.key), true)).append(": ");
            out.append(yaml_flow(entry.value));
        }
        return "{" + out + "}";
    }
    return yaml_scalar(node);
}

void yaml_block(const Node& node, std::size_t indent, std::string& out);

// A short value goes behind its key; a long one below it.
void yaml_entry(const Entry& entry, std::size_t indent, std::string& out) {
    constexpr std::size_t kColumns = 140;
    out.append(yaml_scalar(literal(entry.key), true)).append(":");
    const bool maps =
        entry.value.is(Kind::kList) && !entry.value.items.empty() && entry.value.items.front().is(Kind::kMap);
    const std::string flow = maps ? std::string() : yaml_flow(entry.value);
    const bool leaf = entry.value.is(Kind::kScalar) || entry.value.is(Kind::kNull) || entry.value.is(Kind::kList);
    if (!maps && (leaf || indent + entry.key.size() + flow.size() + 2 <= kColumns) && (leaf || indent > 0)) {
        out.append(" ").append(flow).append("\n");
        return;
    }
    out.append("\n");
    yaml_block(entry.value, indent + 2, out);
}

void yaml_block(const Node& node, std::size_t indent, std::string& out) {
    if (node.is(Kind::kList)) {
        for (const Node& item : node.items) {
            out.append(indent, ' ').append("- ");
            if (!item.is(Kind::kMap) || item.entries.empty()) {
                out.append(yaml_flow(item)).append("\n");
                continue;
            }
            for (std::size_t i = 0; i < item.entries.size(); ++i) {
                if (i > 0) out.append(indent + 2, ' ');
                yaml_entry(item.entries[i], indent + 2, out);
            }
        }
        return;
    }
    for (const Entry& entry : node.entries) {
        out.append(indent, ' ');
        yaml_entry(entry, indent, out);
    }
}

bool is_json_literal(const Node& node) {
    return node.plain && (node.text == "true" || node.text == "false" || is_json_number(node.text));
}

void json_block(const Node& node, std::size_t indent, std::string& out) {
    const auto container = [&](char open, char close, const auto& elements, const auto& each) {
        out.push_back(open);
        bool first = true;
        for (const auto& element : elements) {
            out.append(first ? "\n" : ",\n").append(indent + 2, ' ');
            first = false;
            each(element);
        }
        if (!first) out.append("\n").append(indent, ' ');
        out.push_back(close);
    };
    switch (node.kind) {
        case Kind::kNull:
            out.append("null");
            return;
        case Kind::kScalar:
            out.append(is_json_literal(node) ? node.text : json_string(node.text));
            return;
        case Kind::kList:
            container('[', ']', node.items, [&](const Node& item) { json_block(item, indent + 2, out); });
            return;
        case Kind::kMap:
            container('{', '}', node.entries, [&](const Entry& entry) {
                out.append(json_string(entry.key)).append(": ");
                json_block(entry.value, indent + 2, out);
            });
            return;
    }
}

}  // namespace

bool is_json_number(std::string_view text) {
    std::size_t at = 0;
    const auto digits = [&] {
        const std::size_t start = at;
        while (at < text.size() && ascii_digit(text[at])) ++at;
        return at - start;
    };
    if (at < text.size() && text[at] == '-') ++at;
    const bool zero = at < text.size() && text[at] == '0';
    const std::size_t whole = digits();
    if (whole == 0 || (zero && whole > 1)) return false;
    if (at < text.size() && text[at] == '.') {
        ++at;
        if (digits() == 0) return false;
    }
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        ++at;
        if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
        if (digits() == 0) return false;
    }
    return at == text.size();
}

Node word(std::string_view text) {
    Node node;
    node.kind = Kind::kScalar;
    node.text = text;
    node.plain = false;
    return node;
}

Node literal(std::string_view text) {
    Node node = word(text);
    node.plain = true;
    return node;
}

Node object(std::initializer_list<std::pair<std::string_view, Node>> members) {
    Node node;
    node.kind = Kind::kMap;
    for (const auto& [key, value] : members) put(node, key, value);
    return node;
}

Node array(std::vector<Node> items) {
    Node node;
    node.kind = Kind::kList;
    node.items = std::move(items);
    return node;
}

void put(Node& object, std::string_view key, Node value) {
    object.entries.push_back({.key = std::string(key), .place = {}, .value = std::move(value)});
}

std::string to_yaml(const Node& node) {
    std::string out;
    yaml_block(node, 0, out);
    return out;
}

std::string to_yaml_flow(const Node& node) {
    return yaml_flow(node);
}

std::string to_json(const Node& node) {
    std::string out;
    json_block(node, 0, out);
    return out.append("\n");
}

}  // namespace weir::config
