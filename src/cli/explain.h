// `weir explain`: which route, subject, limits and rates an event would meet, and why. It asks the gateway's own code:
// policy::ContentJudge and
// gateway::OperationJudge pick the rules, policy::Planner the buckets. Nothing is counted.
#pragma once

#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include "cli/command_line.h"

namespace weir::cli {

struct ExplainOptions {
    ConfigChoice config;
    std::string path;
    std::string user;
    std::string tier;                     // default: authenticated for a user, else anonymous
    std::string ip;                       // default: 127.0.0.1
    std::optional<std::string> message;   // explains this message or body instead of the handshake
    std::string operation;                // of a GraphQL document with several: which runs
    bool binary = false;                  // the message is binary
    std::string method;                   // explains this HTTP request instead of a WebSocket; of a body: POST
    std::vector<std::string> attributes;  // "claim:org_id=acme", "header:x-org=acme"
    bool json = false;
};

int run_explain(const ExplainOptions& options, std::ostream& out, std::ostream& err);
void add_explain_command(CLI::App& app, Selected& selected);

}  // namespace weir::cli
