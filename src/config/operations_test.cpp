// The sections `graphql`, `mcp`, `jsonrpc` and `http` of a route, loaded from text.
#include <gtest/gtest.h>

#include "config/test_load.h"

namespace weir::config {
namespace {

using policy::GraphqlOperation;

// None of the keys has its default.
constexpr const char* kEverything = R"(
upstreams: {app: http://a}
routes:
  - path: /graphql
    graphql:
      query: READ_MEDIUM
      mutation: [WRITE_MEDIUM, WRITE_HEAVY]
      subscription: none
      fields: {"Mutation.login": AUTH_LOGIN, "Query.search*": READ_HEAVY, "Subscription.chat": READ_LIGHT}
      persisted: {"SHA256:AB12": READ_HEAVY, GetUser: [READ_LIGHT], "doc-*": none}
      bounds: {depth: 1, aliases: 2, root_fields: 3, tokens: 4, batch: 5, subscriptions: 6}
      status: 200
      inspect_bytes: 2KiB
    websocket:
      connect: WS_CONNECT
      graphql: {query: READ_LIGHT, mutation: WRITE_LIGHT, inspect_bytes: 3KiB, bounds: {depth: 7}}
  - path: /mcp
    mcp:
      default: READ_LIGHT
      methods: {tools/call: AI_QUERY, "resources/*": READ_MEDIUM}
      tools: {search: READ_HEAVY}
      prompts: {summary: [AI_QUERY, READ_HEAVY]}
      resources: {"file:///a/*": EXPORT}
      deny_as: error
      code: -32000
      inspect_bytes: 4KiB
    websocket: {jsonrpc: {default: none, methods: {a: WRITE_LIGHT}, code: 7}}
  - path: /rpc
    jsonrpc: {default: READ_LIGHT, methods: {login: AUTH_LOGIN}, deny_as: http_429, code: 1, inspect_bytes: 5KiB}
  - path: /**
    http:
      limit: READ_LIGHT
      methods: {POST: WRITE_LIGHT, M-SEARCH: [READ_HEAVY, READ_LIGHT], HEAD: none}
      cost_bytes: 1MiB
)";

class Operations : public testing::Test {
  protected:
    const Config& load(const std::string& text) {
        loaded_ = load_text(text);
        EXPECT_EQ(messages(loaded_.problems), "");
        EXPECT_NE(loaded_.config, nullptr);
        return *loaded_.config;
    }
    // The names of the limits of a rule, joined; "none" of kUncounted.
    [[nodiscard]] std::string names(const policy::RuleLists& lists, policy::RuleIndex rule) const {
        return rule == policy::kUncounted ? "none" : names(lists.all().at(rule));
    }
    [[nodiscard]] std::string names(const std::vector<policy::LimitId>& limits) const {
        std::string text;
        for (const policy::LimitId id : limits) {
            text.append(text.empty() ? "" : " ").append(loaded_.config->limits->at(id).name);
        }
        return text;
    }
    [[nodiscard]] std::string field(const GraphqlRoute& route, GraphqlOperation type, std::string_view name) const {
        return names(route.rules.lists, route.rules.of_field(type, name));
    }
    [[nodiscard]] std::string call(const CallRoute& route, std::string_view method,
                                   std::optional<std::string_view> name = std::nullopt) const {
        return names(route.rules.lists, route.rules.of_call(method, name));
    }
    [[nodiscard]] std::string warnings() const { return messages(loaded_.warnings); }

    Loaded loaded_;
};

TEST_F(Operations, EveryKeyOfGraphqlReachesItsPlace) {
    const Config& c = load(kEverything);
    EXPECT_EQ(warnings(), "");
    const GraphqlRoute& route = c.find_route("/graphql")->graphql.value();
    EXPECT_EQ(field(route, GraphqlOperation::kQuery, "me"), "READ_MEDIUM");
    EXPECT_EQ(field(route, GraphqlOperation::kQuery, "searchAll"), "READ_HEAVY");
    EXPECT_EQ(field(route, GraphqlOperation::kQuery, "login"), "READ_MEDIUM");
    EXPECT_EQ(field(route, GraphqlOperation::kMutation, "login"), "AUTH_LOGIN");
    EXPECT_EQ(field(route, GraphqlOperation::kMutation, "search"), "WRITE_MEDIUM WRITE_HEAVY");
    EXPECT_EQ(field(route, GraphqlOperation::kSubscription, "news"), "none");
    EXPECT_EQ(field(route, GraphqlOperation::kSubscription, "chat"), "READ_LIGHT");
    const auto persisted = [&](std::string_view id, std::optional<std::string_view> name) {
        const auto rule = route.rules.of_persisted(id, name);
        return rule ? names(route.rules.lists, *rule) : "unknown";
    };
    EXPECT_EQ(persisted("sha256:ab12", std::nullopt), "READ_HEAVY");
    EXPECT_EQ(persisted("sha256:ab13", "GetUser"), "READ_LIGHT");
    EXPECT_EQ(persisted("doc-1", std::nullopt), "none");
    EXPECT_EQ(persisted("sha256:ab13", std::nullopt), "unknown");
    EXPECT_EQ(route.bounds.depth, 1U);
    EXPECT_EQ(route.bounds.aliases, 2U);
    EXPECT_EQ(route.bounds.root_fields, 3U);
    EXPECT_EQ(route.bounds.tokens, 4U);
    EXPECT_EQ(route.batch_max, 5U);
    EXPECT_EQ(route.subscriptions_max, 6U);
    EXPECT_EQ(route.denied_status, 200U);
    EXPECT_EQ(route.inspect_bytes, 2048U);

    const WebsocketRoute& websocket = c.find_route("/graphql")->websocket.value();
    EXPECT_EQ(names(websocket.connect), "WS_CONNECT");
    EXPECT_EQ(field(websocket.graphql.value(), GraphqlOperation::kMutation, "login"), "WRITE_LIGHT");
    EXPECT_EQ(field(websocket.graphql.value(), GraphqlOperation::kSubscription, "a"), "READ_LIGHT");  // as a query
    EXPECT_EQ(websocket.graphql->bounds.depth, 7U);
    EXPECT_EQ(websocket.graphql->inspect_bytes, 3072U);
    EXPECT_FALSE(websocket.jsonrpc);
}

TEST_F(Operations, EveryKeyOfCallsReachesItsPlace) {
    const Config& c = load(kEverything);
    const CallRoute& mcp = c.find_route("/mcp")->calls.value();
    EXPECT_TRUE(mcp.mcp);
    EXPECT_EQ(call(mcp, "initialize"), "READ_LIGHT");
    EXPECT_EQ(call(mcp, "tools/call", "search"), "READ_HEAVY");
    EXPECT_EQ(call(mcp, "tools/call", "other"), "AI_QUERY");
    EXPECT_EQ(call(mcp, "prompts/get", "summary"), "AI_QUERY READ_HEAVY");
    EXPECT_EQ(call(mcp, "resources/read", "file:///a/b"), "EXPORT");
    EXPECT_EQ(call(mcp, "resources/read", "file:///b"), "READ_MEDIUM");
    EXPECT_EQ(mcp.deny_as, DenyAs::kError);
    EXPECT_EQ(mcp.code, -32000);
    EXPECT_EQ(mcp.inspect_bytes, 4096U);
    const CallRoute& inside = c.find_route("/mcp")->websocket.value().jsonrpc.value();
    EXPECT_FALSE(inside.mcp);
    EXPECT_EQ(call(inside, "b"), "none");
    EXPECT_EQ(call(inside, "a"), "WRITE_LIGHT");
    EXPECT_EQ(inside.code, 7);

    const CallRoute& rpc = c.find_route("/rpc")->calls.value();
    EXPECT_FALSE(rpc.mcp);
    EXPECT_EQ(call(rpc, "login"), "AUTH_LOGIN");
    EXPECT_EQ(call(rpc, "logout"), "READ_LIGHT");
    EXPECT_EQ(rpc.deny_as, DenyAs::kHttp429);
    EXPECT_EQ(rpc.code, 1);
    EXPECT_EQ(rpc.inspect_bytes, 5120U);
}

TEST_F(Operations, MethodsOfPlainHttpReachTheirPlace) {
    const HttpRoute& http = load(kEverything).find_route("/x")->http;
    EXPECT_EQ(names(http.limits), "READ_LIGHT");
    ASSERT_EQ(http.by_method.size(), 3U);
    EXPECT_EQ(http.by_method[0].first, "POST");
    EXPECT_EQ(names(http.by_method[0].second), "WRITE_LIGHT");
    EXPECT_EQ(http.by_method[1].first, "M-SEARCH");
    EXPECT_EQ(names(http.by_method[1].second), "READ_HEAVY READ_LIGHT");
    EXPECT_TRUE(http.by_method[2].second.empty());
    EXPECT_EQ(http.cost_bytes, 1024U * 1024);
}

TEST_F(Operations, DefaultsOfTheTableAreThoseOfTheStruct) {
    const Config& c =
        load(std::string(kUpstream) +
             "routes:\n  - {path: /g, graphql: {query: READ_LIGHT, mutation: none}}\n"
             "  - {path: /m, mcp: {default: READ_LIGHT}}\n  - {path: /j, jsonrpc: {default: READ_LIGHT}}\n"
             "  - path: /w\n    websocket: {graphql: {query: READ_LIGHT, mutation: none}}\n"
             "  - {path: /v, websocket: {jsonrpc: {default: READ_LIGHT}}}\n  - {path: /**, http: {}}\n");
    EXPECT_EQ(warnings(), "");
    const GraphqlRoute standard;
    EXPECT_EQ(standard.bounds.depth, 15U);
    EXPECT_EQ(standard.bounds.tokens, 10'000U);
    for (const GraphqlRoute* route :
         {&c.find_route("/g")->graphql.value(), &c.find_route("/w")->websocket.value().graphql.value()}) {
        EXPECT_EQ(route->bounds.depth, standard.bounds.depth);
        EXPECT_EQ(route->bounds.aliases, standard.bounds.aliases);
        EXPECT_EQ(route->bounds.root_fields, standard.bounds.root_fields);
        EXPECT_EQ(route->bounds.tokens, standard.bounds.tokens);
        EXPECT_EQ(route->batch_max, standard.batch_max);
        EXPECT_EQ(route->subscriptions_max, standard.subscriptions_max);
        EXPECT_EQ(route->denied_status, standard.denied_status);
        EXPECT_EQ(route->inspect_bytes, standard.inspect_bytes);
    }
    const CallRoute calls;
    for (const CallRoute* route : {&c.find_route("/m")->calls.value(), &c.find_route("/j")->calls.value(),
                                   &c.find_route("/v")->websocket.value().jsonrpc.value()}) {
        EXPECT_EQ(route->deny_as, calls.deny_as);
        EXPECT_EQ(route->code, calls.code);
        EXPECT_EQ(route->inspect_bytes, calls.inspect_bytes);
    }
    EXPECT_EQ(c.find_route("/x")->http.cost_bytes, HttpRoute{}.cost_bytes);
}

TEST_F(Operations, AWebsocketIsNoWayAroundTheLimitsOfItsRoute) {
    const Config& c =
        load(std::string(kUpstream) +
             "routes:\n  - {path: /a, graphql: {query: READ_LIGHT, mutation: WRITE_LIGHT}}\n"
             "  - {path: /b, mcp: {default: READ_LIGHT, tools: {t: AI_QUERY}}, http: {limit: EXPORT, on_limit: mark}}\n"
             "  - path: /c\n    graphql: {query: READ_LIGHT, mutation: WRITE_LIGHT}\n"
             "    http: {limit: EXPORT, methods: {GET: READ_HEAVY}}\n"
             "  - path: /d\n    jsonrpc: {default: READ_LIGHT}\n"
             "    websocket: {connect: WS_CONNECT, messages: [{limit: WS_MESSAGE}]}\n"
             "  - path: /e\n    graphql: {query: READ_LIGHT, mutation: WRITE_LIGHT}\n"
             "    websocket: {jsonrpc: {default: WS_MESSAGE}}\n");
    const auto websocket = [&](const char* path) -> const WebsocketRoute& {
        return c.find_route(path)->websocket.value();
    };
    EXPECT_EQ(field(websocket("/a").graphql.value(), GraphqlOperation::kMutation, "x"), "WRITE_LIGHT");
    EXPECT_TRUE(websocket("/a").connect.empty());
    EXPECT_EQ(websocket("/a").message_bytes_max, WebsocketRoute{}.message_bytes_max);
    EXPECT_EQ(call(websocket("/b").jsonrpc.value(), "tools/call", "t"), "AI_QUERY");
    EXPECT_TRUE(websocket("/b").jsonrpc->mcp);
    // A handshake is a GET request, and counts as it did.
    EXPECT_EQ(names(websocket("/b").connect), "EXPORT");
    EXPECT_EQ(websocket("/b").on_connect_limit, OnLimit::kMark);
    EXPECT_EQ(names(websocket("/c").connect), "READ_HEAVY");
    EXPECT_EQ(websocket("/c").on_connect_limit, OnLimit::kClose);
    EXPECT_EQ(names(websocket("/d").connect), "WS_CONNECT");
    EXPECT_EQ(websocket("/d").messages.rules().size(), 1U);
    EXPECT_EQ(call(websocket("/d").jsonrpc.value(), "a"), "READ_LIGHT");
    EXPECT_FALSE(websocket("/e").graphql);
    EXPECT_TRUE(websocket("/e").jsonrpc);
}

TEST_F(Operations, WarnsOfWhatIsNotCounted) {
    const auto warned = [&](const std::string& route) {
        load(kUpstream + ("routes: [{path: /, " + route + "}]\n"));
        return warnings();
    };
    EXPECT_EQ(warned("graphql: {query: READ_LIGHT}"),
              "weir.yaml:2:29: routes.graphql: mutations are not counted: there is no 'mutation' ('mutation: none' if "
              "that is meant)\n");
    EXPECT_EQ(warned("graphql: {mutation: WRITE_LIGHT}"),
              "weir.yaml:2:29: routes.graphql: queries are not counted: there is no 'query' ('query: none' if that is "
              "meant)\nweir.yaml:2:29: routes.graphql: subscriptions are not counted: there is no 'subscription' "
              "('subscription: none' if that is meant)\n");
    EXPECT_EQ(warned("graphql: {query: none, mutation: WRITE_LIGHT}"), "");
    EXPECT_EQ(warned("graphql: {query: READ_LIGHT, fields: {\"Mutation.*\": WRITE_LIGHT}}"), "");
    EXPECT_EQ(warned("mcp: {tools: {a: READ_LIGHT}}"),
              "weir.yaml:2:25: routes.mcp: calls that nothing else names are not counted: there is no 'default' "
              "('default: none' if that is meant)\n");
    EXPECT_EQ(warned("websocket: {jsonrpc: {methods: {a: READ_LIGHT}}}"),
              "weir.yaml:2:41: routes.websocket.jsonrpc: calls that nothing else names are not counted: there is no "
              "'default' ('default: none' if that is meant)\n");
    EXPECT_EQ(warned("jsonrpc: {methods: {\"*\": READ_LIGHT}}"), "");
    EXPECT_EQ(warned("http: {methods: {post: READ_LIGHT}}"),
              "weir.yaml:2:37: methods are compared with case, and those in use are in upper case: 'post' matches no "
              "request of theirs\n");
    EXPECT_EQ(warned("http: {cost_bytes: 1MiB}"),
              "weir.yaml:2:39: routes.http.cost_bytes has no effect: there is no limit\n");
}

struct Bad {
    const char* route;
    const char* message;
};

void PrintTo(const Bad& bad, std::ostream* out) {
    *out << bad.route;
}

class OperationsRefuse : public testing::TestWithParam<Bad> {};

TEST_P(OperationsRefuse, AndSaysWhereAndWhy) {
    const Loaded loaded = load_text(kUpstream + ("routes: [{path: /, " + std::string(GetParam().route) + "}]\n"));
    EXPECT_EQ(loaded.config, nullptr);
    EXPECT_EQ(messages(loaded.problems), GetParam().message);
}

INSTANTIATE_TEST_SUITE_P(
    Routes, OperationsRefuse,
    testing::Values(
        Bad{"graphql: {}", "weir.yaml:2:29: routes.graphql limits nothing, expected at least one limit\n"},
        Bad{"graphql: {query: none, mutation: none}",
            "weir.yaml:2:29: routes.graphql limits nothing, expected at least one limit\n"},
        Bad{"mcp: {default: none}", "weir.yaml:2:25: routes.mcp limits nothing, expected at least one limit\n"},
        Bad{"websocket: {jsonrpc: {}}",
            "weir.yaml:2:41: routes.websocket.jsonrpc limits nothing, expected at least one limit\n"},
        Bad{"graphql: {query: READ_LITE, mutation: none}",
            "weir.yaml:2:37: unknown limit 'READ_LITE', did you mean 'READ_LIGHT'?\n"
            "weir.yaml:2:29: routes.graphql limits nothing, expected at least one limit\n"},
        Bad{"graphql: {query: [none, READ_LIGHT], mutation: none}",
            "weir.yaml:2:38: 'none' stands alone, not in a list with limits\n"},
        Bad{"graphql: {query: [READ_LIGHT, READ_MEDIUM, READ_HEAVY, WRITE_LIGHT, WRITE_MEDIUM, WRITE_HEAVY, EXPORT, "
            "IMPORT, AI_QUERY], mutation: none}",
            "weir.yaml:2:37: at most 8 limits may cover one event\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, querry: READ_LIGHT}",
            "weir.yaml:2:65: unknown key 'querry', did you mean 'query'?\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, fields: {login: AUTH_LOGIN}}",
            "weir.yaml:2:74: 'login' is no root field, expected Query.NAME, Mutation.NAME or Subscription.NAME, with "
            "one '*' in NAME or none\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, fields: {\"*.login\": AUTH_LOGIN}}",
            "weir.yaml:2:74: '*.login' is no root field, expected Query.NAME, Mutation.NAME or Subscription.NAME, "
            "with one '*' in NAME or none\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, fields: {\"query.a\": NOPE}}",
            "weir.yaml:2:74: 'query.a' is no root field, expected Query.NAME, Mutation.NAME or Subscription.NAME, "
            "with one '*' in NAME or none\n"
            "weir.yaml:2:85: unknown limit 'NOPE', expected a built-in limit or one of 'limits'\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, fields: {\"Query.a*b*\": READ_HEAVY}}",
            "weir.yaml:2:74: 'Query.a*b*' is no root field, expected Query.NAME, Mutation.NAME or Subscription.NAME, "
            "with one '*' in NAME or none\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, fields: {\"Query.a-b\": READ_HEAVY}}",
            "weir.yaml:2:74: 'Query.a-b' is no root field, expected Query.NAME, Mutation.NAME or Subscription.NAME, "
            "with one '*' in NAME or none\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, fields: {\"Query.a\": }}",
            "weir.yaml:2:74: routes.graphql.fields.Query.a: found nothing, expected the name of a limit, or none, or a "
            "list of such\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, persisted: {\"sha256:AB\": READ_HEAVY, \"sha256:ab\": none}}",
            "weir.yaml:2:102: 'sha256:ab' stands here twice\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, persisted: {\"*a*\": READ_HEAVY}}",
            "weir.yaml:2:77: '*a*' has more than one '*'\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, bounds: {depth: 0}}",
            "weir.yaml:2:81: routes.graphql.bounds.depth: found '0', expected a whole number from 1 to 1000\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, status: 403}",
            "weir.yaml:2:73: routes.graphql.status: found '403', expected one of 429, 200\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none, inspect_bytes: 17MiB}",
            "weir.yaml:2:80: routes.graphql.inspect_bytes: found '17MiB', expected a size such as 512, 4KiB or 1MiB "
            "from 1KiB to 16MiB\n"},
        Bad{"websocket: {graphql: {query: READ_LIGHT, mutation: none, status: 200}}",
            "weir.yaml:2:77: unknown key 'status', expected one of query, mutation, subscription, fields, persisted, "
            "bounds, inspect_bytes\n"},
        Bad{"websocket: {graphql: {query: READ_LIGHT, mutation: none}, jsonrpc: {default: READ_LIGHT}}",
            "weir.yaml:2:78: 'jsonrpc' beside 'graphql': the messages of a WebSocket are of one kind\n"},
        Bad{"graphql: {query: READ_LIGHT, mutation: none}, mcp: {default: READ_LITE}",
            "weir.yaml:2:66: 'mcp' beside 'graphql': the bodies of a route are of one kind; use a route for each\n"
            "weir.yaml:2:71: routes.mcp limits nothing, expected at least one limit\n"
            "weir.yaml:2:81: unknown limit 'READ_LITE', did you mean 'READ_LIGHT'?\n"},
        Bad{"mcp: {default: READ_LIGHT}, jsonrpc: {default: READ_LIGHT}",
            "weir.yaml:2:48: 'jsonrpc' beside 'mcp': the bodies of a route are of one kind; use a route for each\n"},
        Bad{"mcp: {default: READ_LIGHT, tools: {\"\": READ_LIGHT}}", "weir.yaml:2:55: the name is empty\n"},
        Bad{"mcp: {default: READ_LIGHT, deny_as: never}",
            "weir.yaml:2:56: routes.mcp.deny_as: found 'never', expected one of auto, error, http_429\n"},
        Bad{"mcp: {default: READ_LIGHT, code: 2147483648}",
            "weir.yaml:2:53: routes.mcp.code: found '2147483648', expected a whole number from -2147483648 to "
            "2147483647\n"},
        Bad{"mcp: {default: READ_LIGHT, code: '1'}",
            "weir.yaml:2:53: routes.mcp.code: found the text '1', expected a whole number from -2147483648 to "
            "2147483647\n"},
        Bad{"jsonrpc: {default: READ_LIGHT, tools: {a: READ_LIGHT}}",
            "weir.yaml:2:51: unknown key 'tools', expected one of default, methods, deny_as, code, inspect_bytes\n"},
        Bad{"http: {methods: {\"GET POST\": READ_LIGHT}}",
            "weir.yaml:2:37: 'GET POST' is no method, expected such as POST\n"},
        Bad{"http: {methods: {GET: READ_LITE}}",
            "weir.yaml:2:42: unknown limit 'READ_LITE', did you mean 'READ_LIGHT'?\n"}));

TEST(OperationsBounds, NamesWithAStarAreFewForEachIsTried) {
    std::string text =
        std::string(kUpstream) + "routes:\n  - path: /\n    mcp:\n      default: READ_LIGHT\n      tools:\n";
    for (int i = 0; i < 65; ++i) text += "        \"a" + std::to_string(i) + "*\": READ_LIGHT\n";
    EXPECT_EQ(messages(load_text(text).problems), "weir.yaml:7:9: routes.mcp.tools: at most 64 names may have a '*'\n");
}

TEST(OperationsBounds, DifferentListsOfOneSectionAreFew) {
    std::string text = std::string(kUpstream) + "limits:\n";
    for (int i = 0; i < 256; ++i) text += "  L" + std::to_string(i) + ": 1/m\n";
    text += "routes:\n  - path: /\n    jsonrpc:\n      default: none\n      methods:\n";
    std::string most = text;
    for (int i = 0; i < 256; ++i) {
        (i < 255 ? most : text) += "        m" + std::to_string(i) + ": L" + std::to_string(i) + "\n";
        if (i < 255) text += "        m" + std::to_string(i) + ": L" + std::to_string(i) + "\n";
    }
    EXPECT_EQ(messages(load_text(most).problems), "");
    EXPECT_EQ(messages(load_text(text).problems),
              "weir.yaml:261:7: routes.jsonrpc: at most 255 different lists of limits may stand here\n");
}

TEST(OperationsEffective, LoadsAgainAsItIs) {
    Sources sources;
    sources.text = kEverything;
    const std::string yaml = effective_text(sources, false);
    Sources again;
    again.text = yaml;
    EXPECT_EQ(messages(load(again).problems), "") << yaml;
    EXPECT_EQ(effective_text(again, false), yaml);
    for (const char* part : {"status: 200", "code: -32000", "tools/call: AI_QUERY", "root_fields: 50", "deny_as: auto",
                             "cost_bytes: 1MiB", "subscription: none"}) {
        EXPECT_NE(yaml.find(part), std::string::npos) << part << " in\n" << yaml;
    }
}

}  // namespace
}  // namespace weir::config
