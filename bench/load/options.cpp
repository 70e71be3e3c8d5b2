#include "load/options.h"

#include <algorithm>
#include <fstream>
#include <netdb.h>

#include "common.h"

namespace weir::bench {
namespace {

const char kUsage[] = R"(usage: wsload --url ws://HOST:PORT/PATH [options]
  --mode echo|connect|idle|http   what to do (default echo)
  --connections N            connections; in connect mode: handshakes in flight (default 1)
  --rate R                   messages/s in all, open loop; 0: closed loop (default 0)
  --pipeline P               messages in flight per connection (default 1; open loop: no bound)
  --size B                   payload bytes (default 128)
  --payload TEMPLATE         payload, %s is sequence number and padding (default {"query":"%s"})
  --body TEXT                http mode: POST this JSON instead of GET
  --duration S --warmup S    measured time and time before it (default 5 and 1)
  --drain S                  how long to wait for late answers at the end (default 2)
  --threads N                threads (default 1)
  --source-range A-B         source addresses, used in turn, e.g. 127.0.1.1-127.0.1.250
  --token-file F             one token a line, used in turn, sent as ?token=
  --token-param NAME         name of that query parameter; "Authorization" sends a bearer header
  --header 'K: V'            extra handshake header, repeatable; %t is the token, %n the connection's number
  --connecting N             handshakes in flight while connections open (default 128)
  --connect-timeout S        give up opening after S seconds (default 15)
  --count N                  connect mode: stop after N handshakes
  --close clean|rst          connect mode: close handshake (tells 4029 from admitted) or reset (default clean)
  --verify                   compare every byte of every echo
  --json FILE                write the result there ("-": stdout)
  --label TEXT               copied into the JSON
  --quiet                    no summary on stdout
)";

std::uint32_t parse_ipv4(const std::string& s) {
    in_addr a{};
    if (inet_pton(AF_INET, s.c_str(), &a) != 1) die("not an IPv4 address: " + s);
    return ntohl(a.s_addr);
}

}  // namespace

Options parse_options(int argc, char** argv) {
    Options o;
    std::string source, token_file;
    for (int i = 1; i < argc; ++i) {
        const std::string a = argv[i];
        if (a == "--verify") {
            o.verify = true;
            continue;
        }
        if (a == "--quiet") {
            o.quiet = true;
            continue;
        }
        if (a == "--help" || i + 1 >= argc) {
            std::fputs(kUsage, a == "--help" ? stdout : stderr);
            std::exit(a == "--help" ? 0 : 2);
        }
        const std::string v = argv[++i];
        auto num = [&] {
            char* end = nullptr;
            const double d = std::strtod(v.c_str(), &end);
            if (v.empty() || *end || !(d >= 0)) die(a + ": not a number: " + v);
            return d;
        };
        if (a == "--mode")
            o.mode = v;
        else if (a == "--url")
            o.url = v;
        else if (a == "--connections")
            o.connections = std::size_t(num());
        else if (a == "--rate")
            o.rate = num();
        else if (a == "--pipeline") {
            o.pipeline = std::max<std::size_t>(1, std::size_t(num()));
            o.pipeline_given = true;
        } else if (a == "--size")
            o.size = std::size_t(num());
        else if (a == "--payload")
            o.payload = v;
        else if (a == "--body")
            o.body = v;
        else if (a == "--duration")
            o.duration = num();
        else if (a == "--warmup")
            o.warmup = num();
        else if (a == "--drain")
            o.drain = num();
        else if (a == "--threads")
            o.threads = std::max<std::size_t>(1, std::size_t(num()));
        else if (a == "--source-range")
            source = v;
        else if (a == "--token-file")
            token_file = v;
        else if (a == "--token-param")
            o.token_param = v;
        else if (a == "--header")
            o.headers.push_back(v);
        else if (a == "--connecting")
            o.connecting = std::max<std::size_t>(1, std::size_t(num()));
        else if (a == "--connect-timeout")
            o.connect_timeout = num();
        else if (a == "--count")
            o.count = std::size_t(num());
        else if (a == "--close")
            o.close_how = v;
        else if (a == "--json")
            o.json = v;
        else if (a == "--label")
            o.label = v;
        else
            die("unknown option " + a);
    }
    if (o.mode != "echo" && o.mode != "connect" && o.mode != "idle" && o.mode != "http")
        die("--mode is echo, connect, idle or http");
    if (o.close_how != "clean" && o.close_how != "rst") die("--close is clean or rst");
    if (o.url.rfind("ws://", 0) != 0) die("--url must start with ws://");
    const std::string rest = o.url.substr(5);
    const std::size_t slash = rest.find('/');
    o.host = rest.substr(0, slash);
    o.path = slash == std::string::npos ? "/" : rest.substr(slash);
    const std::size_t colon = o.host.rfind(':');
    const std::string name = o.host.substr(0, colon),
                      port = colon == std::string::npos ? "80" : o.host.substr(colon + 1);
    addrinfo hints{}, *res = nullptr;
    hints.ai_family = AF_INET;
    hints.ai_socktype = SOCK_STREAM;
    if (getaddrinfo(name.c_str(), port.c_str(), &hints, &res) != 0 || !res) die("cannot resolve " + o.host);
    std::memcpy(&o.target, res->ai_addr, sizeof o.target);
    freeaddrinfo(res);
    if (ntohl(o.target.sin_addr.s_addr) >> 24 != 127) die("the target must be in 127.0.0.0/8");
    if (!source.empty()) {
        const std::size_t dash = source.find('-');
        const std::uint32_t first = parse_ipv4(source.substr(0, dash)),
                            last = dash == std::string::npos ? first : parse_ipv4(source.substr(dash + 1));
        if (first >> 24 != 127 || last >> 24 != 127 || last < first) die("--source-range must be inside 127.0.0.0/8");
        o.source_first = first;
        o.source_count = last - first + 1;
    }
    if (!token_file.empty()) {
        std::ifstream f(token_file);
        for (std::string line; std::getline(f, line);)
            if (!line.empty()) o.tokens.push_back(line);
        if (o.tokens.empty()) die("no token in " + token_file);
    }
    if (o.rate > 0 && !o.pipeline_given) o.pipeline = SIZE_MAX;
    if (o.connections == 0) die("--connections must be at least 1");
    o.threads = std::min(o.threads, o.connections);
    return o;
}

}  // namespace weir::bench
