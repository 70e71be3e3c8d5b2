#include "cli/command_line.h"

#include <array>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>

#include "cli/check.h"
#include "cli/config_command.h"
#include "cli/explain.h"
#include "config/load.h"

namespace weir::cli {
namespace {

struct Outcome {
    int code = -1;
    std::string out;
    std::string err;
};

Outcome run(std::vector<std::string> arguments) {
    constexpr std::array<AddCommand, 3> kCommands{add_check_command, add_explain_command, add_config_command};
    std::ostringstream out;
    std::ostringstream err;
    const int code = run_command_line(std::move(arguments), kCommands, out, err);
    return {.code = code, .out = out.str(), .err = err.str()};
}

// A file of the tree, whatever directory the test runs in.
std::string tree_path(const std::string& path) {
    const std::string here = __FILE__;
    return here.substr(0, here.rfind("src/cli/")) + path;
}

ExplainOptions preset_options(std::string path) {
    ExplainOptions options;
    options.config.preset = "opencontracts";
    options.path = std::move(path);
    return options;
}

Outcome explain(const ExplainOptions& options) {
    std::ostringstream out;
    std::ostringstream err;
    const int code = run_explain(options, out, err);
    return {.code = code, .out = out.str(), .err = err.str()};
}

bool has(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

TEST(CommandLine, WrongUsageIsTwo) {
    EXPECT_EQ(run({}).code, kWrongUsage);
    EXPECT_EQ(run({"bogus"}).code, kWrongUsage);
    EXPECT_EQ(run({"check"}).code, kWrongUsage);
    EXPECT_EQ(run({"explain", "--preset", "opencontracts"}).code, kWrongUsage);
    EXPECT_EQ(run({"explain", "--preset", "a", "--config", "b", "--path", "/"}).code, kWrongUsage);
    EXPECT_EQ(run({"config", "show"}).code, kWrongUsage);
    EXPECT_EQ(run({"config", "show", "--preset", "none"}).code, kWrongUsage);
    EXPECT_EQ(run({"check", "/does/not/exist"}).code, kWrongUsage);
}

TEST(Check, AsJsonIsForScripts) {
    const std::string path = testing::TempDir() + "weir_check_json.yaml";
    const auto check = [&](std::string_view text) {
        std::ofstream(path) << text;
        std::ostringstream out;
        std::ostringstream err;
        const int code = run_check({.file = path, .json = true, .environment = {"RATELIMIT_NOTHING=1"}}, out, err);
        EXPECT_EQ(err.str(), "");
        return std::pair(code, out.str());
    };
    const std::string warning =
        "{\n      \"file\": \"environment\",\n      \"line\": 0,\n      \"column\": 0,\n      \"message\": "
        "\"'RATELIMIT_NOTHING' names no limit and no setting, and has no effect\"\n    }";
    EXPECT_EQ(check("upstreams: {app: http://127.0.0.1:8000}\n"),
              std::pair(+kDone,
                        "{\n  \"valid\": true,\n  \"errors\": [],\n  \"warnings\": [\n    " + warning + "\n  ]\n}\n"));
    const auto [code, text] = check("upstreams: {app: http://127.0.0.1:8000}\nshadow: \"maybe\"\n");
    EXPECT_EQ(code, kWrongUsage);
    EXPECT_TRUE(has(text, "\"valid\": false"));
    EXPECT_TRUE(has(text,
                    "\"line\": 2,\n      \"column\": 9,\n      \"message\": \"shadow: found the text 'maybe', "
                    "expected true or false\""))
        << text;
    std::filesystem::remove(path);
    const Outcome missing = run({"check", "/does/not/exist", "--json"});
    EXPECT_EQ(missing.code, kWrongUsage);
    EXPECT_EQ(missing.err, "");
    EXPECT_TRUE(has(missing.out,
                    "\"file\": \"/does/not/exist\",\n      \"line\": 0,\n      \"column\": 0,\n      "
                    "\"message\": \"can't read this file"))
        << missing.out;
}

TEST(CommandLine, HelpOfEachCommandHasAnExample) {
    for (const std::vector<std::string>& command :
         {std::vector<std::string>{}, {"check"}, {"explain"}, {"config"}, {"config", "show"}, {"config", "schema"}}) {
        std::vector<std::string> arguments = command;
        arguments.emplace_back("--help");
        const Outcome outcome = run(arguments);
        EXPECT_EQ(outcome.code, kDone);
        EXPECT_TRUE(has(outcome.out, "Example: weir ")) << outcome.out;
    }
    EXPECT_EQ(run({"--version"}).out, "weir " WEIR_VERSION "\n");
}

TEST(CheckCommand, SaysValidOrEveryProblem) {
    const std::string good = tree_path("examples/quickstart.yaml");
    const Outcome valid = run({"check", good});
    EXPECT_EQ(valid.code, kDone) << valid.err;
    EXPECT_EQ(valid.out, good + ": valid\n");

    const std::string bad = tree_path("LICENSE");
    const Outcome invalid = run({"check", bad});
    EXPECT_EQ(invalid.code, kWrongUsage);
    EXPECT_EQ(invalid.out, "");
    EXPECT_TRUE(invalid.err.starts_with(bad + ":")) << invalid.err;
}

TEST(ConfigCommand, PrintsPresetsAsTheyAreWritten) {
    const Outcome outcome = run({"config", "show", "--preset", "opencontracts", "--upstream", "http://10.0.0.9:81"});
    EXPECT_EQ(outcome.code, kDone);
    EXPECT_EQ(outcome.out, config::preset_text("opencontracts", "http://10.0.0.9:81"));
    EXPECT_TRUE(has(outcome.out, "app: \"http://10.0.0.9:81\""));
}

TEST(ConfigCommand, PrintsFilesAsWhatTheyComeTo) {
    const Outcome yaml = run({"config", "show", "--config", tree_path("examples/quickstart.yaml")});
    EXPECT_EQ(yaml.code, kDone);
    EXPECT_TRUE(has(yaml.out, "  handshake: 10s\n")) << yaml.out;
    const Outcome json = run({"config", "show", "--config", tree_path("examples/quickstart.yaml"), "--json"});
    EXPECT_TRUE(has(json.out, "\"handshake\": \"10s\"")) << json.out;
    EXPECT_EQ(run({"config", "schema"}).out, config::json_schema());
    EXPECT_EQ(run({"config", "reference"}).out, config::reference_page());
}

TEST(ExplainCommand, AHandshakeShowsItsLimitsAndTheRulesOfMessages) {
    ExplainOptions options = preset_options("/ws/agent-chat/");
    options.user = "42";
    const Outcome outcome = explain(options);
    EXPECT_EQ(outcome.code, kDone) << outcome.err;
    EXPECT_TRUE(has(outcome.out, "subject   user:42\ntier      authenticated\n")) << outcome.out;
    EXPECT_TRUE(has(outcome.out, "WS_CONNECT  30/m fixed_window, takes 1 from rl:{user:42}:ws_connect"));
    EXPECT_TRUE(has(outcome.out, "1. when {json: {equals: {type: AUTH}}}\n"));
    EXPECT_TRUE(has(outcome.out, "WS_AI_QUERY  20/m fixed_window, takes 1 from rl:{user:42}:ws_ai_query"));
}

TEST(ExplainCommand, SaysThatTheApplicationWouldBeAsked) {
    ExplainOptions options;
    options.config.file = tree_path("examples/sessions.yaml");
    options.path = "/ws/chat/";
    options.user = "42";
    const Outcome outcome = explain(options);
    EXPECT_EQ(outcome.code, kDone) << outcome.err;
    EXPECT_TRUE(has(outcome.out, "is asked about at http://127.0.0.1:8000 ('identity.lookup')")) << outcome.out;
}

TEST(ExplainCommand, NamesThePenaltyInForce) {
    ExplainOptions options;
    options.config.file = tree_path("examples/penalties.yaml");
    options.path = "/ws/chat/";
    const Outcome outcome = explain(options);
    EXPECT_EQ(outcome.code, kDone) << outcome.err;
    EXPECT_TRUE(has(outcome.out, "note      penalty: more than 100/10m denials block for 1h\n")) << outcome.out;
    EXPECT_FALSE(has(explain(preset_options("/ws/agent-chat/")).out, "penalty"));
}

TEST(ExplainCommand, TheJsonHasTheShapeThatScriptsRelyOn) {
    ExplainOptions options = preset_options("/ws/agent-chat/");
    options.ip = "2001:db8:1:2::7";
    options.message = R"({"query": "hi"})";
    options.json = true;
    const Outcome outcome = explain(options);
    EXPECT_EQ(outcome.code, kDone) << outcome.err;
    EXPECT_EQ(outcome.out, R"({
  "route": "agent-chat",
  "upstream": "app",
  "subject": "ip:2001:db8:1:2::/64",
  "tier": "anonymous",
  "address": "2001:db8:1:2::7",
  "event": "message",
  "decision": [
    {
      "limit": "WS_AI_QUERY",
      "group": "ws_ai_query",
      "rate": "5/m",
      "algorithm": "fixed_window",
      "cost": 1,
      "bucket": "rl:{ip:2001:db8:1:2::/64}:ws_ai_query",
      "why": "message rule 2, any message; built-in rate of tier anonymous"
    }
  ],
  "notes": []
}
)");
}

TEST(ExplainCommand, AMessageThatCanNotBeJudgedCountsUnderTheStrictestRule) {
    ExplainOptions options = preset_options("/ws/agent-chat/");
    options.user = "42";
    options.message = R"({"type": "AUTH", "type": "query"})";
    const Outcome outcome = explain(options);
    EXPECT_EQ(outcome.code, kDone);
    EXPECT_TRUE(has(outcome.out, "can't be judged, so that the strictest rule counts")) << outcome.out;
    EXPECT_TRUE(has(outcome.out, "WS_AI_QUERY")) << outcome.out;
}

TEST(ExplainCommand, AMethodAsksForThePlainRequest) {
    ExplainOptions options = preset_options("/graphql/");
    options.method = "POST";
    options.user = "root";
    options.tier = "superuser";
    EXPECT_TRUE(has(explain(options).out, "its operations count as well")) << explain(options).out;
    options.path = "/elsewhere";
    EXPECT_TRUE(has(explain(options).out, "requests of this route are not limited"));
}

TEST(ExplainCommand, ADocumentShowsWhatItsRootFieldsCountAs) {
    ExplainOptions options = preset_options("/graphql/");
    options.user = "root";
    options.tier = "superuser";
    options.message = "{a: corpuses {id} b: corpuses {id} semanticSearch {id}}";
    const std::string out = explain(options).out;
    EXPECT_TRUE(has(out, "READ_MEDIUM  300/m fixed_window, takes 2 from rl:{user:root}:read_medium")) << out;
    EXPECT_TRUE(has(out, "because: root field Query.corpuses; ")) << out;
    EXPECT_TRUE(has(out, "READ_HEAVY  100/m fixed_window, takes 1 from")) << out;
    for (const char* method : {"GET", "POST"}) {
        options.method = method;
        EXPECT_EQ(explain(options).out, out);
    }
    options.method.clear();
    options.message = R"({"query": "mutation A {tokenAuth {token}} query B {corpuses {id}}", "operationName": "A"})";
    EXPECT_TRUE(has(explain(options).out, "because: root field Mutation.tokenAuth; ")) << explain(options).out;
}

TEST(ExplainCommand, AnOperationIsChosenByItsName) {
    ExplainOptions options = preset_options("/graphql/");
    options.message = "mutation A {tokenAuth {token}} query B {corpuses {id}}";
    EXPECT_TRUE(has(explain(options).out, "it is refused and reaches nobody: ")) << explain(options).out;
    options.operation = "A";
    EXPECT_TRUE(has(explain(options).out, "AUTH_LOGIN  5/m")) << explain(options).out;
    options.operation = "B";
    EXPECT_FALSE(has(explain(options).out, "AUTH_LOGIN")) << explain(options).out;
    EXPECT_TRUE(has(explain(options).out, "READ_MEDIUM")) << explain(options).out;
}

TEST(ExplainCommand, ACallShowsWhyItCountsAsItDoes) {
    ExplainOptions options = preset_options("/mcp");
    options.message = R"({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search_corpus"}})";
    EXPECT_TRUE(has(explain(options).out, "because: tool search_corpus; ")) << explain(options).out;
    EXPECT_TRUE(has(explain(options).out, "READ_HEAVY  10/m")) << explain(options).out;
    options.message = R"({"jsonrpc": "2.0", "id": 1, "method": "tools/list"})";
    EXPECT_TRUE(has(explain(options).out, "because: method tools/list; ")) << explain(options).out;
    options.message = R"({"jsonrpc": "2.0", "method": "notifications/initialized"})";
    EXPECT_TRUE(has(explain(options).out, "notifications and responses are not counted")) << explain(options).out;
    options.message = "no json";
    EXPECT_TRUE(has(explain(options).out, "it is refused and reaches nobody: ")) << explain(options).out;
}

TEST(ExplainCommand, AMethodCountsUnderItsOwnLimit) {
    ExplainOptions options;
    options.config.file = tree_path("examples/http.yaml");
    options.path = "/api/x";
    options.method = "POST";
    EXPECT_TRUE(has(explain(options).out, "WRITE_LIGHT")) << explain(options).out;
    options.method = "GET";
    EXPECT_TRUE(has(explain(options).out, "READ_LIGHT")) << explain(options).out;
    options.method = "HEAD";
    options.path = "/api/upload/x";
    EXPECT_TRUE(has(explain(options).out, "requests of this route are not limited")) << explain(options).out;
}

TEST(ExplainCommand, RefusesCallersAndPathsThatCanNotBe) {
    ExplainOptions options = preset_options("/ws/agent-chat/");
    options.tier = "king";
    EXPECT_EQ(explain(options).code, kWrongUsage);
    options.tier.clear();
    options.ip = "300.1.1.1";
    EXPECT_EQ(explain(options).code, kWrongUsage);
    options.ip.clear();
    options.path = "/../..";
    EXPECT_EQ(explain(options).code, kWrongUsage);
}

}  // namespace
}  // namespace weir::cli
