#include "config/describe.h"

#include <charconv>

#include "config/schema.h"
#include "config/tree.h"
#include "config/values.h"

namespace weir::config {

namespace {

using policy::Condition;

Node node_of(const Condition& condition);

Node list_of(const policy::Conditions& conditions) {
    Node list = array({});
    for (const Condition& each : conditions) list.items.push_back(node_of(each));
    return list;
}

Node node_of(const policy::JsonScalar& value) {
    if (const auto* text = std::get_if<std::string>(&value)) {
        return parse_boolean(*text) || is_json_number(*text) ? word(*text) : literal(*text);
    }
    if (const auto* flag = std::get_if<bool>(&value)) return literal(*flag ? "true" : "false");
    if (const auto* integer = std::get_if<std::int64_t>(&value)) return literal(std::to_string(*integer));
    if (const auto* number = std::get_if<double>(&value)) {
        char text[64];
        const auto [end, error] = std::to_chars(text, text + sizeof text, *number);
        return literal(error == std::errc{} ? std::string_view(text, end) : "?");
    }
    return {};
}

Node node_of(const Condition& condition) {
    struct Visitor {
        Node operator()(const Condition::JsonHas& is) const {
            return object({{"json", object({{"has", literal(is.pointer)}})}});
        }
        Node operator()(const Condition::JsonEquals& is) const {
            return object({{"json", object({{"equals", object({{is.pointer, node_of(is.value)}})}})}});
        }
        Node operator()(const Condition::Binary& is) const {
            return object({{"binary", literal(is.binary ? "true" : "false")}});
        }
        Node operator()(const Condition::LargerThan& is) const {
            return object({{"larger_than", literal(format_size(is.bytes))}});
        }
        Node operator()(const Condition::All& is) const { return object({{"all", list_of(is.of)}}); }
        Node operator()(const Condition::Any& is) const { return object({{"any", list_of(is.of)}}); }
        Node operator()(const Condition::Not& is) const { return object({{"not", node_of(*is.of)}}); }
    };
    return std::visit(Visitor{}, condition.is);
}

}  // namespace

std::string_view algorithm_name(limit::Algorithm algorithm) {
    return choices(*find_key("default_algorithm"))[static_cast<std::size_t>(algorithm)];
}

std::string describe(const policy::Condition& condition) {
    return to_yaml_flow(node_of(condition));
}

}  // namespace weir::config
