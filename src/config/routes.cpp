// The routes of a configuration: paths, upstreams and limits by name, message rules, and what order makes unreachable.
// Rules on operations are in operations.cpp.
#include <algorithm>
#include <set>

#include "config/build.h"
#include "config/limit_names.h"
#include "config/operations.h"
#include "config/values.h"
#include "protocol/http/grammar.h"

namespace weir::config {

namespace {

constexpr std::size_t kRoutesMax = 10'000;
constexpr std::size_t kMessageRulesMax = 256;
constexpr std::size_t kMethodBytesMax = 64;
constexpr std::size_t kAnswerBytesMax = 16 * 1024;

std::vector<std::string> segments(std::string_view pattern) {
    std::vector<std::string> all;
    std::size_t start = 1;  // behind the leading slash
    while (start <= pattern.size()) {
        const std::size_t slash = std::min(pattern.find('/', start), pattern.size());
        all.emplace_back(pattern.substr(start, slash - start));
        start = slash + 1;
    }
    return all;
}

// True when `wide` matches whatever `narrow` matches. May be false where it does, never the reverse.
bool covers(std::string_view wide, std::string_view narrow) {
    if (wide == narrow) return true;
    std::vector<std::string> a = segments(wide);
    const std::vector<std::string> b = segments(narrow);
    const bool prefix = a.back() == "**";
    if (prefix) a.pop_back();
    if (prefix ? b.size() <= a.size() : b.size() != a.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const bool any = a[i] == "*" && !b[i].empty() && b[i] != "**";
        if (!any && a[i] != b[i]) return false;
    }
    return true;
}

class RouteBuilder {
  public:
    RouteBuilder(Config& config, Report& report)
        : config_(config), report_(report), limits_(*config.limits, report), operations_(limits_, report) {}

    void add(const Section& section) {
        Route route;
        const std::string path = section.text("path");
        if (!section.has("path")) report_.error(section.place(), "a route needs a 'path'");
        if (auto pattern = policy::PathPattern::parse(path)) route.path = std::move(pattern).value();
        route.name = section.has("name") ? section.text("name") : path;
        check_name(route.name, section);
        route.upstream = find_upstream(section);
        if (section.has("websocket")) route.websocket = websocket(section.section("websocket"));
        if (section.has("http")) route.http = http(section.section("http"));
        operations_.add(route, section);
        if (route.graphql || route.calls) guard_websocket(route, section);
        warn_when_covered(route, section);
        config_.routes.push_back(std::move(route));
    }

  private:
    void check_name(const std::string& name, const Section& section) {
        if (name.empty() && section.has("name")) report_.error(section.place("name"), "a route's name is empty");
        if (name.empty()) return;
        constexpr std::size_t kNameMax = 200;
        if (name.size() > kNameMax) report_.error(section.place("name"), "a route's name has at most 200 bytes");
        if (!names_.insert(name).second) {
            report_.error(section.place(section.has("name") ? "name" : "path"),
                          "a second route is named " + in_quotes(name) + "; names must differ");
        }
    }

    std::size_t find_upstream(const Section& section) {
        if (!section.has("upstream")) {
            if (config_.upstreams.size() > 1) {
                report_.error(section.place(), "a route needs an 'upstream' where there are several, expected one of " +
                                                   upstream_names());
            }
            return 0;
        }
        const std::string name = section.text("upstream");
        const auto found = std::ranges::find(config_.upstreams, name, &Upstream::name);
        if (found != config_.upstreams.end()) return static_cast<std::size_t>(found - config_.upstreams.begin());
        if (!section.value("upstream").broken && !config_.upstreams.empty()) {
            report_.error(section.place("upstream"),
                          "unknown upstream " + in_quotes(name) + ", expected one of " + upstream_names());
        }
        return 0;
    }

    [[nodiscard]] std::string upstream_names() const {
        std::string text;
        for (const Upstream& upstream : config_.upstreams) text.append(text.empty() ? "" : ", ").append(upstream.name);
        return text;
    }

    WebsocketRoute websocket(const Section& section) {
        WebsocketRoute route;
        route.connect = limits_.read(section, "connect");
        route.message_bytes_max = section.size("max_message_bytes");
        route.connections_max_per_subject = section.section("max_connections").integer("per_subject");
        route.ping_interval = section.duration("ping_interval");
        route.messages = policy::MessageRules(message_rules(section), section.size("inspect_bytes"));
        const Section on_limit = section.section("on_limit");
        route.on_connect_limit = on_limit.choice<OnLimit>("connect");
        route.notify = on_limit.rate("notify");
        route.close_after = on_limit.rate("close_after");
        route.answer = on_limit.text("answer");
        if (route.answer.size() > kAnswerBytesMax) {
            report_.error(on_limit.place("answer"),
                          "an answer has at most " + std::to_string(kAnswerBytesMax) + " bytes");
        }
        if (section.has("graphql")) route.graphql = operations_.graphql(section.section("graphql"));
        if (section.has("jsonrpc")) route.jsonrpc = operations_.calls(section.section("jsonrpc"), false);
        if (route.graphql && route.jsonrpc) {
            report_.error(section.key_place("jsonrpc"),
                          "'jsonrpc' beside 'graphql': the messages of a WebSocket are of one kind");
        }
        return route;
    }

    // A WebSocket is no way around the limits of a route's operations: it counts by them, too, where the file says
    // nothing else. Without a section `websocket` a handshake counts as the GET request that it is.
    void guard_websocket(Route& route, const Section& section) {
        if (!route.websocket) {
            route.websocket = websocket(Section(nullptr, section.place(), "routes[].websocket"));
            const auto get =
                std::ranges::find(route.http.by_method, "GET", [](const auto& each) { return each.first; });
            route.websocket->connect = get == route.http.by_method.end() ? route.http.limits : get->second;
            if (route.http.on_limit == OnLimit::kMark) route.websocket->on_connect_limit = OnLimit::kMark;
        }
        if (route.websocket->graphql || route.websocket->jsonrpc) return;
        route.websocket->graphql = route.graphql;
        route.websocket->jsonrpc = route.calls;
    }

    std::vector<policy::MessageRule> message_rules(const Section& section) {
        std::vector<policy::MessageRule> rules;
        const std::vector<Section> all = section.sections("messages");
        if (all.size() > kMessageRulesMax) {
            report_.error(section.place("messages"),
                          "at most " + std::to_string(kMessageRulesMax) + " message rules may stand in a route");
        }
        bool unreachable = false;
        for (const Section& each : all) {
            policy::MessageRule rule;
            if (unreachable) {
                report_.error(each.place(),
                              "this rule is never reached: the one before has no 'when' and matches every message");
            }
            if (each.has("when")) {
                rule.when = build_condition(each.value("when"), report_);
            } else {
                unreachable = true;
            }
            if (!each.has("limit"))
                report_.error(each.place(), "a message rule needs a 'limit': a name, a list or none");
            rule.limits = limits_.read(each, "limit", &rule.unlimited);
            rules.push_back(std::move(rule));
        }
        return rules;
    }

    HttpRoute http(const Section& section) {
        HttpRoute route;
        route.limits = limits_.read(section, "limit");
        route.on_limit = section.text("on_limit") == "mark" ? OnLimit::kMark : OnLimit::kHttp429;
        route.body_bytes_max = section.size("max_body_bytes");
        route.cost_bytes = section.size("cost_bytes");
        const Section methods = section.section("methods");
        if (methods.node() != nullptr) {
            for (const Entry& entry : methods.node()->entries) add_method(route, entry);
        }
        const bool limited = !route.limits.empty() || std::ranges::any_of(route.by_method, [](const auto& each) {
            return !each.second.empty();
        });
        if (route.cost_bytes > 0 && !limited) {
            report_.warning(section.place("cost_bytes"), "routes.http.cost_bytes has no effect: there is no limit");
        }
        return route;
    }

    // RFC 9110 9.1: a method is a token, and compared with case.
    void add_method(HttpRoute& route, const Entry& entry) {
        if (entry.key.size() > kMethodBytesMax || !protocol::http::is_token(entry.key)) {
            report_.error(entry.place, in_quotes(entry.key) + " is no method, expected such as POST");
        } else if (std::ranges::any_of(entry.key, [](char c) { return c >= 'a' && c <= 'z'; })) {
            report_.warning(entry.place, "methods are compared with case, and those in use are in upper case: " +
                                             in_quotes(entry.key) + " matches no request of theirs");
        }
        route.by_method.emplace_back(entry.key, limits_.read(entry.value, entry.value.place));
    }

    void warn_when_covered(const Route& route, const Section& section) {
        if (route.path.text().empty()) return;
        for (const Route& earlier : config_.routes) {
            if (earlier.path.text().empty() || !covers(earlier.path.text(), route.path.text())) continue;
            report_.warning(section.place("path"), "this route never matches: route " + in_quotes(earlier.name) +
                                                       " stands before it and covers its path");
            return;
        }
    }

    Config& config_;
    Report& report_;
    LimitNames limits_;
    OperationsBuilder operations_;
    std::set<std::string> names_;
};

}  // namespace

void build_routes(const Section& section, Config& config, Report& report) {
    RouteBuilder builder(config, report);
    const Node list = section.value("routes");
    if (list.is(Node::Kind::kList) && list.items.empty()) {
        report.error(section.place("routes"), "there are no routes, expected at least one");
    }
    if (list.items.size() > kRoutesMax) {
        report.error(section.place("routes"), "at most " + std::to_string(kRoutesMax) + " routes are read");
        return;
    }
    for (const Node& item : list.items) {
        if (item.is(Node::Kind::kMap)) builder.add(Section(&item, item.place, "routes[]"));
    }
}

}  // namespace weir::config
