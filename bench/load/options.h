// The command line of wsload, read and checked; `wsload --help` prints what each option means.
#pragma once

#include <cstdint>
#include <netinet/in.h>
#include <string>
#include <vector>

namespace weir::bench {

struct Options {
    std::string mode = "echo", url = "ws://127.0.0.1:9001/", json, payload = R"({"query":"%s"})";
    std::string host, path, body, token_param = "token", label, close_how = "clean";
    sockaddr_in target{};
    std::vector<std::string> headers, tokens;
    std::uint32_t source_first = 0, source_count = 0;
    std::size_t connections = 1, pipeline = 1, size = 128, threads = 1, connecting = 128, count = 0;
    double rate = 0, duration = 5, warmup = 1, drain = 2, connect_timeout = 15;
    bool pipeline_given = false, verify = false, quiet = false;
};

// Ends the program with a message when the command line makes no sense. The target must be in 127.0.0.0/8, so that a
// slip of the hand never turns the generator on somebody else's machine.
Options parse_options(int argc, char** argv);

}  // namespace weir::bench
