#include "cli/explain.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <ostream>

#include "base/text.h"
#include "config/describe.h"
#include "config/tree.h"
#include "config/values.h"
#include "gateway/operation_judge.h"
#include "policy/event.h"

namespace weir::cli {

namespace {

using config::array;
using config::literal;
using config::Node;
using config::object;
using config::put;
using config::word;

// One bucket that an event would take from.
struct Line {
    std::string limit;
    std::string group;
    std::string rate;
    std::string algorithm;
    std::uint64_t cost = 1;
    std::string bucket;
    std::string why;
};

// A message rule of the route and what a message that it matches would take.
struct RuleLines {
    std::string when;
    bool unlimited = false;
    std::vector<Line> lines;
};

struct Explanation {
    std::string route, pattern, upstream, subject, tier, address;
    std::string event;  // "connect", "message", "request"
    std::vector<Line> decision;
    std::vector<RuleLines> rules;    // of a handshake: what messages would meet
    std::vector<std::string> notes;  // what overrides all of it
};

class Explainer {
  public:
    Explainer(const config::Config& config, const ExplainOptions& options, policy::Caller caller)
        : config_(config),
          options_(options),
          caller_(std::move(caller)),
          planner_({.limits = config.limits.get(),
                    .key_prefix = config.key_prefix,
                    .hash_key = {},
                    .subject = config.subject}) {}

    Explanation explain(const config::Route& route) {
        Explanation all;
        const config::Upstream& upstream = config_.upstreams[route.upstream];
        all.route = route.name;
        all.pattern = route.path.text();
        all.upstream = upstream.name;
        all.subject = policy::subject_of(caller_, {}, kConnection, config_.subject);
        all.tier = config_.limits->tiers()[caller_.tier].name;
        all.address = caller_.address.to_string();
        add_exceptions(all);
        if (options_.message && (route.graphql || route.calls)) {
            explain_body(route, all);
        } else if (options_.message) {
            explain_message(route, all);
        } else if (route.websocket && options_.method.empty()) {
            explain_connect(*route.websocket, all);
        } else {
            explain_request(route, all);
        }
        return all;
    }

  private:
    static constexpr std::uint64_t kConnection = 1;  // "connection:1" stands for whichever connection it is

    std::vector<Line> lines(const std::vector<policy::LimitId>& limits, const std::string& reason,
                            std::uint64_t cost = 1) const {
        std::vector<std::unique_ptr<std::string>> subjects;
        std::vector<Line> all;
        for (const policy::PlannedTake& planned : planner_.plan(caller_, kConnection, limits, subjects)) {
            const policy::Limit& limit = config_.limits->at(planned.limit);
            const limit::BucketRule& rule = *planned.take.rule;
            Line line{.limit = limit.name,
                      .group = std::string(planned.take.group),
                      .rate = limit::format_rate(rule.rate),
                      .algorithm = std::string(config::algorithm_name(rule.algorithm)),
                      .cost = planned.take.cost * cost,
                      .bucket = planner_.bucket_name(planned.take.subject, planned.take.group),
                      .why = reason + "; " + limit.why[caller_.tier]};
            if (limit.shadow) line.why += "; shadow: counted, never denied";
            all.push_back(std::move(line));
        }
        return all;
    }

    // What stands above limits.
    void add_exceptions(Explanation& all) const {
        const auto has_network = [this](const std::vector<Cidr>& list) {
            return std::ranges::any_of(list, [this](const Cidr& each) { return each.contains(caller_.address); });
        };
        const auto has_subject = [&](const std::vector<std::string>& list) {
            return std::ranges::find(list, all.subject) != list.end();
        };
        if (config_.disabled) all.notes.emplace_back("limits are disabled: everything is allowed, nothing is counted");
        if (has_network(config_.block_addresses) || has_subject(config_.block_subjects)) {
            all.notes.emplace_back("the caller is in 'block': refused with 403");
        } else if (has_network(config_.allow_addresses) || has_subject(config_.allow_subjects)) {
            all.notes.emplace_back("the caller is in 'allow': never limited");
        }
        if (config_.lookup) {
            all.notes.emplace_back("a request that carries a credential is asked about at " +
                                   config_.lookup->address.url +
                                   " ('identity.lookup'): --user and --tier stand for the answer");
        }
        if (config_.penalty) {
            const config::Penalty& penalty = *config_.penalty;
            all.notes.push_back("penalty: more than " + limit::format_rate(penalty.after) + " denials block for " +
                                config::format_duration(penalty.block_for) +
                                (config_.shadow ? "; shadow: logged, never blocked" : ""));
        }
        if (config_.shadow) all.notes.emplace_back("shadow: counted, never denied");
    }

    void explain_connect(const config::WebsocketRoute& websocket, Explanation& all) const {
        all.event = "connect";
        all.decision = lines(websocket.connect, "opening a WebSocket");
        const auto& rules = websocket.messages.rules();
        for (std::size_t i = 0; i < rules.size(); ++i) {
            all.rules.push_back({.when = rules[i].when ? config::describe(*rules[i].when) : "any",
                                 .unlimited = rules[i].unlimited,
                                 .lines = lines(rules[i].limits, rule_name(websocket, i))});
        }
        if (all.decision.empty()) all.notes.emplace_back("connecting is not limited");
        if (websocket.graphql || websocket.jsonrpc) {
            all.notes.emplace_back("messages are operations: --message shows what one counts as");
        } else if (all.rules.empty()) {
            all.notes.emplace_back("messages are not limited");
        }
    }

    static std::string rule_name(const config::WebsocketRoute& websocket, std::size_t rule) {
        const auto& when = websocket.messages.rules()[rule].when;
        return "message rule " + std::to_string(rule + 1) +
               (when ? ", when " + config::describe(*when) : ", any message");
    }

    void explain_message(const config::Route& route, Explanation& all) {
        all.event = "message";
        if (!route.websocket) {
            all.notes.emplace_back("the route has no 'websocket': messages pass unlimited");
            return;
        }
        const config::WebsocketRoute& websocket = *route.websocket;
        if (websocket.graphql || websocket.jsonrpc) {
            if (websocket.graphql) explain_graphql(*websocket.graphql, all);
            if (websocket.jsonrpc) explain_calls(*websocket.jsonrpc, all);
            return;
        }
        if (options_.message->size() > websocket.message_bytes_max) {
            all.notes.emplace_back("the message is longer than max_message_bytes: the connection closes with 1009");
        }
        std::string content = *options_.message;
        content.append(policy::kJsonPadding, '\0');
        const std::size_t shown = std::min<std::uint64_t>(options_.message->size(), websocket.messages.inspect_bytes());
        const policy::MessageView view{.content = std::string_view(content).substr(0, shown),
                                       .complete = shown == options_.message->size(),
                                       .binary = options_.binary,
                                       .size_least = options_.message->size()};
        policy::ContentJudge judge;
        std::size_t rule = judge.judge(websocket.messages, view);
        std::string reason;
        if (rule == policy::MessageRules::kUnjudgeable) {
            rule = websocket.messages.strictest(*config_.limits, caller_.tier);
            reason = "the message can't be judged, so that the strictest rule counts: ";
        }
        if (rule == policy::MessageRules::kNoRule) {
            all.notes.emplace_back(reason.empty() ? "no message rule matches: the message passes unlimited"
                                                  : reason + "none of the route limits");
            return;
        }
        reason += rule_name(websocket, rule);
        all.decision = lines(websocket.messages.rules()[rule].limits, reason);
        if (all.decision.empty()) all.notes.push_back(reason + ": passes uncounted");
    }

    // A body, or what a GET asks for: what the request counts as, and then its operations.
    void explain_body(const config::Route& route, Explanation& all) {
        const std::string method = options_.method.empty() ? "POST" : options_.method;
        add_request(route.http, method, method == "GET" ? 0 : options_.message->size(), all);
        all.event = "operation";
        if (route.graphql) {
            explain_graphql(*route.graphql, all);
        } else {
            explain_calls(*route.calls, all);
        }
    }

    void explain_graphql(const config::GraphqlRoute& route, Explanation& all) {
        using protocol::graphql::BodyKind;
        std::string body = *options_.message;
        const std::size_t size = body.size();
        const bool json = looks_like_json(body);
        std::string query;
        if (!options_.operation.empty()) query = "operationName=" + percent_encoded(options_.operation);
        const bool get = options_.method == "GET" && !json;
        if (get) query += (query.empty() ? "query=" : "&query=") + percent_encoded(body);
        if (!get && size > route.inspect_bytes) all.notes.emplace_back("the message is longer than inspect_bytes");
        body.append(policy::kJsonPadding, '\0');
        const auto requests =
            get ? judge_.requests().read_get(query)
                : judge_.requests().read_post(json ? BodyKind::kJson : BodyKind::kDocument,
                                              std::string_view(body).substr(0, size), query, route.batch_max);
        const gateway::JudgedGraphql& judged = judge_.judge(route, requests, *config_.limits, caller_.tier);
        if (judged.problem != nullptr) {
            all.decision.clear();
            all.notes.push_back("it is refused and reaches nobody: " + judged.problem->message);
            return;
        }
        // Of a batch only the last one's type is known here.
        add_uses(route.rules.lists, judged.uses, judged.requests == 1 ? type_name(judged.type) : "", all);
    }

    void explain_calls(const config::CallRoute& route, Explanation& all) {
        std::string body = *options_.message;
        const std::size_t size = body.size();
        if (size > route.inspect_bytes) all.notes.emplace_back("the message is longer than inspect_bytes");
        body.append(policy::kJsonPadding, '\0');
        const gateway::JudgedCalls& judged =
            judge_.judge(route, std::string_view(body).substr(0, size), *config_.limits, caller_.tier);
        if (!judged.refused.empty()) {
            all.decision.clear();
            all.notes.push_back("it is refused and reaches nobody: " + std::string(judged.refused));
            return;
        }
        if (judged.uses.empty()) all.notes.emplace_back("notifications and responses are not counted");
        add_uses(route.rules.lists, judged.uses, "", all);
    }

    // `type` stands before the names of root fields: "Mutation.".
    void add_uses(const policy::RuleLists& lists, const std::vector<gateway::RuleUse>& uses, std::string_view type,
                  Explanation& all) const {
        for (const gateway::RuleUse& use : uses) {
            std::string reason(use.what);
            if (!use.name.empty()) {
                reason += ' ';
                if (use.what == "root field") reason += type;
                reason += use.name;
            }
            if (use.rule == policy::kUncounted) {
                all.notes.push_back(reason + ": passes uncounted");
                continue;
            }
            for (Line& line : lines(lists.all()[use.rule], reason, use.events)) all.decision.push_back(std::move(line));
        }
    }

    static std::string_view type_name(policy::GraphqlOperation type) {
        switch (type) {
            case policy::GraphqlOperation::kQuery:
                return "Query.";
            case policy::GraphqlOperation::kMutation:
                return "Mutation.";
            case policy::GraphqlOperation::kSubscription:
                return "Subscription.";
        }
        return {};
    }

    // A request in JSON, rather than a GraphQL document: an array, or an object that begins with a member.
    static bool looks_like_json(std::string_view text) {
        constexpr std::string_view kSpace = " \t\r\n";
        const std::size_t first = text.find_first_not_of(kSpace);
        if (first == std::string_view::npos) return false;
        if (text[first] != '{') return text[first] == '[';
        const std::size_t next = text.find_first_not_of(kSpace, first + 1);
        return next != std::string_view::npos && (text[next] == '"' || text[next] == '}');
    }

    static std::string percent_encoded(std::string_view text) {
        constexpr std::string_view kHex = "0123456789ABCDEF";
        std::string out;
        for (const char c : text) {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += kHex[byte >> 4U];
            out += kHex[byte & 0xFU];
        }
        return out;
    }

    // What a plain request counts under, by its method and the bytes of its body.
    void add_request(const config::HttpRoute& http, const std::string& method, std::uint64_t bytes,
                     Explanation& all) const {
        const auto own = std::ranges::find(http.by_method, method, [](const auto& each) { return each.first; });
        const auto& limits = own == http.by_method.end() ? http.limits : own->second;
        const std::uint64_t cost =
            http.cost_bytes == 0 || bytes == 0 ? 1 : bytes / http.cost_bytes + (bytes % http.cost_bytes != 0 ? 1 : 0);
        for (Line& line : lines(limits, method.empty() ? "a request" : "a " + method + " request", cost)) {
            all.decision.push_back(std::move(line));
        }
    }

    void explain_request(const config::Route& route, Explanation& all) const {
        all.event = "request";
        add_request(route.http, options_.method, 0, all);
        const bool operations = route.graphql || route.calls;
        if (operations) {
            all.notes.emplace_back("its operations count as well: --message shows them");
        } else if (all.decision.empty()) {
            all.notes.emplace_back("requests of this route are not limited");
        }
        if (route.http.cost_bytes > 0) {
            all.notes.push_back("it costs one for each begun " + std::to_string(route.http.cost_bytes) +
                                " bytes of its body");
        }
        if (options_.method == "OPTIONS") all.notes.emplace_back("a CORS preflight is never counted");
    }

    const config::Config& config_;
    const ExplainOptions& options_;
    policy::Caller caller_;
    policy::Planner planner_;
    gateway::OperationJudge judge_;
};

Node json_lines(const std::vector<Line>& lines) {
    Node all = array({});
    for (const Line& line : lines) {
        all.items.push_back(object({{"limit", word(line.limit)},
                                    {"group", word(line.group)},
                                    {"rate", word(line.rate)},
                                    {"algorithm", word(line.algorithm)},
                                    {"cost", literal(std::to_string(line.cost))},
                                    {"bucket", word(line.bucket)},
                                    {"why", word(line.why)}}));
    }
    return all;
}

void print_json(const Explanation& all, std::ostream& out) {
    Node root = object({{"route", word(all.route)},
                        {"upstream", word(all.upstream)},
                        {"subject", word(all.subject)},
                        {"tier", word(all.tier)},
                        {"address", word(all.address)},
                        {"event", word(all.event)},
                        {"decision", json_lines(all.decision)}});
    if (!all.rules.empty()) {
        Node rules = array({});
        for (const RuleLines& rule : all.rules) {
            rules.items.push_back(object({{"when", word(rule.when)}, {"decision", json_lines(rule.lines)}}));
        }
        put(root, "messages", std::move(rules));
    }
    Node notes = array({});
    for (const std::string& note : all.notes) notes.items.push_back(word(note));
    put(root, "notes", std::move(notes));
    out << config::to_json(root);
}

void print_lines(const std::vector<Line>& lines, std::string_view indent, bool with_why, std::ostream& out) {
    for (const Line& line : lines) {
        out << indent << line.limit << "  " << line.rate << " " << line.algorithm << ", takes " << line.cost << " from "
            << line.bucket << '\n';
        if (with_why) out << indent << "  because: " << line.why << '\n';
    }
}

void print_text(const Explanation& all, bool address_assumed, std::ostream& out) {
    out << "route     " << all.route << " (" << all.pattern << ")\n"
        << "upstream  " << all.upstream << '\n'
        << "subject   " << all.subject << '\n'
        << "tier      " << all.tier << '\n'
        << "address   " << all.address << (address_assumed ? " (assumed; --ip says another)" : "") << '\n';
    for (const std::string& note : all.notes) out << "note      " << note << '\n';
    if (!all.decision.empty()) out << '\n' << all.event << '\n';
    print_lines(all.decision, "  ", true, out);
    if (!all.rules.empty()) out << "\nmessages, the first rule that matches counts\n";
    for (std::size_t i = 0; i < all.rules.size(); ++i) {
        const RuleLines& rule = all.rules[i];
        out << "  " << i + 1 << ". when " << rule.when << (rule.unlimited ? ": passes uncounted" : "") << '\n';
        print_lines(rule.lines, "     ", false, out);
    }
}

// The caller that the options describe; nullopt when they make none, which `err` was told then.
std::optional<policy::Caller> make_caller(const ExplainOptions& options, const config::Config& config,
                                          std::ostream& err) {
    policy::Caller caller;
    caller.user = options.user;
    const auto address = IpAddress::parse(options.ip.empty() ? "127.0.0.1" : options.ip);
    if (!address) {
        err << "--ip: '" << options.ip << "' is no address\n";
        return std::nullopt;
    }
    caller.address = *address;
    const std::string tier = !options.tier.empty()  ? options.tier
                             : options.user.empty() ? "anonymous"
                                                    : "authenticated";
    const auto id = config.limits->find_tier(tier);
    if (!id) {
        err << "--tier: there is no tier '" << tier << "', expected one of";
        for (const policy::TierSpec& each : config.limits->tiers()) err << ' ' << each.name;
        err << '\n';
        return std::nullopt;
    }
    caller.tier = *id;
    for (const std::string& attribute : options.attributes) {
        const std::size_t equals = attribute.find('=');
        if (equals == std::string::npos) {
            err << "--attribute: '" << attribute << "', expected such as claim:org_id=acme\n";
            return std::nullopt;
        }
        const auto part = policy::parse_subject_part(attribute.substr(0, equals));
        if (!part || part->kind != policy::SubjectKind::kAttribute) {
            err << "--attribute: '" << attribute << "', expected such as claim:org_id=acme or header:X-Org=acme\n";
            return std::nullopt;
        }
        caller.attributes.emplace_back(part->attribute, attribute.substr(equals + 1));
    }
    return caller;
}

}  // namespace

int run_explain(const ExplainOptions& options, std::ostream& out, std::ostream& err) {
    const auto sources = make_sources(options.config, err);
    if (!sources) return kWrongUsage;
    const config::Loaded loaded = config::load(*sources);
    print_problems(loaded.problems, "", err);
    if (loaded.config == nullptr) return kWrongUsage;
    const auto caller = make_caller(options, *loaded.config, err);
    if (!caller) return kWrongUsage;
    if (!policy::normalised_path(options.path)) {
        err << "--path: '" << options.path << "' is no path, expected such as /ws/chat/\n";
        return kWrongUsage;
    }
    const auto route = loaded.config->route_of_target(options.path);
    if (!route) {
        const ErrorRow& row = error_row(route.error().code);
        err << options.path << ": " << route.error().detail << ": it is answered " << row.http_status << "\n";
        return kFailed;
    }
    const Explanation explanation = Explainer(*loaded.config, options, *caller).explain(**route);
    if (options.json) {
        print_json(explanation, out);
    } else {
        print_text(explanation, options.ip.empty(), out);
    }
    return kDone;
}

void add_explain_command(CLI::App& app, Selected& selected) {
    auto options = std::make_shared<ExplainOptions>();
    CLI::App* command =
        app.add_subcommand("explain", "Says which route, subject, limits and rates would apply, and why.");
    add_config_options(*command, options->config, true);
    command->add_option("--path", options->path, "the path of the request")->type_name("P")->required();
    command->add_option("--user", options->user, "the user who sends it")->type_name("U");
    command->add_option("--tier", options->tier, "the user's tier (authenticated)")->type_name("T");
    command->add_option("--ip", options->ip, "the address that sends it (127.0.0.1)")->type_name("A");
    command
        ->add_option("--message", options->message,
                     "a message inside the WebSocket; of a route of operations a GraphQL document, a request in JSON, "
                     "or an MCP or JSON-RPC call")
        ->type_name("TEXT");
    command->add_option("--operation", options->operation, "which operation of the GraphQL document runs")
        ->type_name("NAME")
        ->needs("--message");
    command->add_flag("--binary", options->binary, "the message is binary");
    command->add_option("--method", options->method, "a plain HTTP request of this method, or how --message is sent")
        ->type_name("M");
    command->add_option("--attribute", options->attributes, "what a limit per claim or header counts")
        ->type_name("claim:NAME=VALUE");
    command->add_flag("--json", options->json, "as JSON");
    command->footer(
        "Example: weir explain --config weir.yaml --path /ws/chat/ --user 42 --message '{\"query\": \"hi\"}'\n"
        "         weir explain --config weir.yaml --path /graphql --ip 192.0.2.7 --message '{me {id}}'\n"
        "Exit codes: 0 explained, 1 no route matches, 2 wrong usage or invalid configuration.");
    command->callback([options, &selected] {
        options->config.environment = process_environment();
        selected.run = [options](std::ostream& out, std::ostream& err) { return run_explain(*options, out, err); };
    });
}

}  // namespace weir::cli
