#include "cli/demo.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <fmt/format.h>
#include <memory>
#include <ostream>
#include <thread>

#include "cli/demo_backend.h"
#include "config/load.h"
#include "gateway/gateway.h"
#include "log/logger.h"
#include "metrics/registry.h"

namespace weir::cli {

namespace {

// A budget for each door would show less: both doors share the buckets DEMO_MESSAGE and DEMO_CONNECT, so that the page
// reads what is left of a WebSocket's budget in the fields of an HTTP answer, which a browser can see.
constexpr std::string_view kConfiguration = R"(
listen: 127.0.0.1:{port}
upstreams: {{backend: "http://127.0.0.1:{backend_port}"}}
limits:
  DEMO_MESSAGE: {{authenticated: 20/m, anonymous: 20/m, algorithm: fixed_window}}
  DEMO_CONNECT: {{authenticated: 10/m, anonymous: 10/m, algorithm: fixed_window}}
routes:
  - name: chat
    path: /ws/chat
    upstream: backend
    websocket:
      connect: DEMO_CONNECT
      max_message_bytes: 16KiB
      messages: [{{limit: DEMO_MESSAGE}}]
  - {{name: budget-messages, path: /budget/messages, upstream: backend, http: {{limit: DEMO_MESSAGE}}}}
  - {{name: budget-connects, path: /budget/connects, upstream: backend, http: {{limit: DEMO_CONNECT}}}}
  - {{name: page, path: "/**", upstream: backend}}
log: {{level: info, format: text}}
timeouts: {{drain: 1s}}
workers: 1
)";

// Blocks SIGINT and SIGTERM for this thread and those that it starts, so that `wait` alone takes them.
class EndSignals {
  public:
    EndSignals() {
        sigemptyset(&set_);
        sigaddset(&set_, SIGINT);
        sigaddset(&set_, SIGTERM);
        pthread_sigmask(SIG_BLOCK, &set_, &before_);
    }
    ~EndSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    EndSignals(const EndSignals&) = delete;
    EndSignals& operator=(const EndSignals&) = delete;

    void wait() const {
        int taken = 0;
        while (sigwait(&set_, &taken) != 0) {
        }
    }

  private:
    sigset_t set_{};
    sigset_t before_{};
};

// The backend on a thread of its own, ended when this goes.
class BackendThread {
  public:
    explicit BackendThread(DemoBackend& backend) : backend_(backend), thread_([&backend] { backend.run(); }) {}
    ~BackendThread() {
        backend_.stop();
        thread_.join();
    }
    BackendThread(const BackendThread&) = delete;
    BackendThread& operator=(const BackendThread&) = delete;

  private:
    DemoBackend& backend_;
    std::thread thread_;
};

int failed(std::ostream& err, std::string_view what, const Error& error) {
    err << "weir demo: " << what << ": " << error_row(error.code).label;
    if (!error.detail.empty()) err << ": " << error.detail;
    err << '\n';
    return kFailed;
}

}  // namespace

std::string demo_configuration(std::uint16_t port, std::uint16_t backend_port) {
    return fmt::format(kConfiguration, fmt::arg("port", port), fmt::arg("backend_port", backend_port));
}

int run_demo(const DemoOptions& options, std::ostream& out, std::ostream& err) {
    const EndSignals signals;  // before any thread
    SystemClock clock;
    auto backend = DemoBackend::create(net::ReactorKind::kAuto, clock);
    if (!backend) return failed(err, "the chat backend can't listen", backend.error());

    config::Sources sources;
    sources.file_name = "demo";
    sources.text = demo_configuration(options.port, backend.value()->endpoint().port);
    const config::Loaded loaded = config::load(sources);
    print_problems(loaded.problems, "", err);
    if (loaded.config == nullptr) return kFailed;

    const auto logger = log::make_logger(loaded.config->log_level, loaded.config->log_format);
    metrics::Registry metrics;
    const BackendThread running(*backend.value());
    auto gateway = gateway::Gateway::start(loaded.config, {.clock = clock, .log = *logger, .metrics = metrics});
    if (!gateway) {
        return failed(err, "the gateway can't start", gateway.error());
    }

    out << "Weir demo: http://" << gateway.value()->endpoints().front().to_string() << "/\n"
        << "Ctrl-C ends it.\n"
        << std::flush;
    signals.wait();
    gateway.value()->drain();
    gateway.value()->wait();
    return kDone;
}

void add_demo_command(CLI::App& app, Selected& selected) {
    auto options = std::make_shared<DemoOptions>();
    CLI::App* command = app.add_subcommand(
        "demo", "Runs a small chat, the gateway in front of it, and a page that shows limits at work.");
    command->add_option("--port", options->port, "where the page is served on 127.0.0.1; a free port when absent");
    command->footer("Example: weir demo --port 8080\nExit codes: 0 ended by a signal, 1 failed.");
    command->callback([options, &selected] {
        selected.run = [options](std::ostream& out, std::ostream& err) { return run_demo(*options, out, err); };
    });
}

}  // namespace weir::cli
