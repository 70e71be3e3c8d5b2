// The routes of a configuration: paths, upstreams and limits by name, message rules, and what order makes unreachable.
#include <algorithm>
#include <set>

#include "base/limits.h"
#include "config/build.h"
#include "config/values.h"

namespace weir::config {

namespace {

constexpr std::size_t kRoutesMax = 10'000;
constexpr std::size_t kMessageRulesMax = 256;
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
    RouteBuilder(Config& config, Report& report) : config_(config), report_(report) {
        for (std::size_t i = 0; i < config.limits->size(); ++i) {
            limit_names_.push_back(config.limits->at(static_cast<policy::LimitId>(i)).name);
        }
    }

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

    // A limit, a list of which all must admit, or `none`: then `unlimited` is true.
    std::vector<policy::LimitId> limits(const Section& section, std::string_view key, bool* unlimited = nullptr) {
        const std::vector<Item> items = section.list(key);
        std::vector<policy::LimitId> ids;
        for (const Item& item : items) {
            if (item.text == "none") {
                if (items.size() > 1) report_.error(item.place, "'none' stands alone, not in a list with limits");
                if (unlimited != nullptr) *unlimited = true;
                continue;
            }
            const policy::LimitId id = config_.limits->find(item.text);
            if (id == policy::kNoLimit) {
                const std::string near = nearest(item.text, limit_names_);
                report_.error(item.place, "unknown limit " + in_quotes(item.text) +
                                              (near.empty() ? ", expected a built-in limit or one of 'limits'"
                                                            : ", did you mean '" + near + "'?"));
            } else if (std::ranges::find(ids, id) != ids.end()) {
                report_.error(item.place, "limit " + in_quotes(item.text) + " stands here twice");
            } else {
                ids.push_back(id);
            }
        }
        if (items.size() > kLimitsPerRuleMax) {
            report_.error(section.place(key),
                          "at most " + std::to_string(kLimitsPerRuleMax) + " limits may cover one event");
        }
        if (section.value(key).is(Node::Kind::kList) && section.value(key).items.empty()) {
            report_.error(section.place(key), "the list of limits is empty, expected a limit or 'none'");
        }
        return ids;
    }

    WebsocketRoute websocket(const Section& section) {
        WebsocketRoute route;
        route.connect = limits(section, "connect");
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
        return route;
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
            rule.limits = limits(each, "limit", &rule.unlimited);
            rules.push_back(std::move(rule));
        }
        return rules;
    }

    HttpRoute http(const Section& section) {
        HttpRoute route;
        route.limits = limits(section, "limit");
        route.on_limit = section.text("on_limit") == "mark" ? OnLimit::kMark : OnLimit::kHttp429;
        route.body_bytes_max = section.size("max_body_bytes");
        return route;
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
    std::vector<std::string> limit_names_;
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
