// wsload: a load generator for WebSocket proxies on loopback. Open or closed loop, latency from the intended send time.
//
// Closed loop: each answer releases the next message; good for CPU time per message, its latencies are mostly queueing.
// Open loop: message k is due at k / rate and its latency runs from then, also when it could not be sent then.
#include <atomic>
#include <barrier>
#include <cstdio>
#include <fstream>
#include <memory>
#include <thread>
#include <vector>

#include "load/worker.h"

int main(int argc, char** argv) {
    using namespace weir::bench;
    const Options o = parse_options(argc, argv);
    raise_fd_limit(1'000'000);
    stop_on_signals();

    std::barrier<> barrier(static_cast<std::ptrdiff_t>(o.threads));
    std::atomic<std::size_t> handshakes{0}, ready{0};
    std::vector<std::unique_ptr<Worker>> workers;
    for (std::size_t i = 0; i < o.threads; ++i)
        workers.push_back(std::make_unique<Worker>(o, i, barrier, handshakes, ready));
    std::vector<std::thread> threads;
    for (std::size_t i = 1; i < o.threads; ++i) threads.emplace_back([&, i] { workers[i]->run(); });
    workers[0]->run();
    for (std::thread& t : threads) t.join();

    Results total;
    for (const auto& w : workers) total.merge(w->results());
    if (!o.quiet) print_summary(o, total);
    if (!o.json.empty()) {
        const std::string text = to_json(o, total);
        if (o.json == "-")
            std::fputs(text.c_str(), stdout);
        else {
            std::ofstream f(o.json);
            f << text;
            f.close();
            if (!f) die("cannot write " + o.json);
        }
    }
    return total.opened || o.mode == "connect" ? 0 : 1;
}
