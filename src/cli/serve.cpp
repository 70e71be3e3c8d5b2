#include "cli/serve.h"

#include <CLI/CLI.hpp>
#include <csignal>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <utility>

#include "admin/admin_server.h"
#include "gateway/gateway.h"

namespace weir::cli {
namespace {

// Of the snapshot: what a crash may cost.
constexpr std::chrono::seconds kSaveInterval{30};
constexpr timespec kSignalWait{.tv_sec = 0, .tv_nsec = 100'000'000};

// Signals are taken one after the other by the main thread; the others never see them.
class Signals {
  public:
    Signals() {
        ::sigemptyset(&set_);
        for (const int number : {SIGHUP, SIGTERM, SIGINT}) ::sigaddset(&set_, number);
        ::pthread_sigmask(SIG_BLOCK, &set_, nullptr);
        ::signal(SIGPIPE, SIG_IGN);
    }
    // The next signal, or 0 when none has come for a while.
    [[nodiscard]] int next() const {
        const int number = ::sigtimedwait(&set_, nullptr, &kSignalWait);
        return number > 0 ? number : 0;
    }

  private:
    sigset_t set_{};
};

// As many descriptors as the system allows us: two for each WebSocket.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

// What the admin interface sees of the gateway.
class GatewayControl final : public admin::Control {
  public:
    GatewayControl(gateway::Gateway& gateway, metrics::Registry& metrics) : gateway_(gateway), metrics_(metrics) {}
    admin::Health health() override { return {}; }
    admin::Readiness readiness() override {
        admin::Readiness readiness;
        if (gateway_.draining()) {
            readiness.ready = false;
            readiness.reasons.emplace_back("draining");
        }
        if (const auto why = gateway_.store_failing()) readiness.reasons.push_back("store unreachable: " + *why);
        if (const auto why = gateway_.keys_failing()) readiness.reasons.push_back("key set not fetched: " + *why);
        return readiness;
    }
    std::string metrics_text() override {
        gateway_.refresh_metrics();
        return metrics_.text();
    }

  private:
    gateway::Gateway& gateway_;
    metrics::Registry& metrics_;
};

config::Loaded load(const ServeOptions& options, std::ostream& err) {
    auto sources = make_sources(options.choice, err);
    if (!sources) return {};
    sources->listen = options.listen;
    sources->admin = options.admin;
    return config::load(*sources);
}

void count_reload(metrics::Registry& metrics, std::string_view outcome, std::int64_t& count) {
    metrics.set(metrics.cell(metrics::Family::kConfigReloads, {outcome}), ++count);
}

class Server {
  public:
    Server(const ServeOptions& options, const Signals& signals, std::ostream& err)
        : options_(options), signals_(signals), err_(err) {}

    int run() {
        const config::Loaded loaded = load(options_, err_);
        print_problems(loaded.problems, "", err_);
        print_problems(loaded.warnings, "warning: ", err_);
        if (loaded.config == nullptr) return kWrongUsage;
        const config::Config& config = *loaded.config;
        logger_ = log::make_logger(config.log_level, config.log_format);
        (void)metrics_.cell(metrics::Family::kConfigReloads, {metrics::label::kApplied});
        (void)metrics_.cell(metrics::Family::kConfigReloads, {metrics::label::kInvalid});
        metrics_.set(metrics_.cell(metrics::Family::kBuildInfo, {WEIR_VERSION}), 1);
        auto started = gateway::Gateway::start(loaded.config, {.clock = clock_, .log = *logger_, .metrics = metrics_});
        if (!started) return failed("can't start the gateway", started.error());
        gateway_ = std::move(*started);
        GatewayControl control(*gateway_, metrics_);
        std::unique_ptr<admin::AdminServer> admin;
        if (config.admin) {
            admin = std::make_unique<admin::AdminServer>(*config.admin, control, clock_, *logger_);
            if (const auto bound = admin->start(); !bound)
                return failed("can't serve the admin address", bound.error());
        }
        announce(config, admin.get());
        watch();
        gateway_->wait();
        if (admin != nullptr) admin->stop();
        gateway_.reset();
        logger_->write(LogLevel::kInfo, "ended", {});
        logger_->flush();
        return kDone;
    }

  private:
    int failed(std::string_view what, const Error& error) {
        err_ << "weir: " << what << ": " << (error.detail.empty() ? error_row(error.code).label : error.detail) << '\n';
        return kFailed;
    }

    void announce(const config::Config& config, const admin::AdminServer* admin) {
        std::string listening;
        for (const net::Endpoint& endpoint : gateway_->endpoints()) {
            if (!listening.empty()) listening += ", ";
            listening += endpoint.to_string();
        }
        const std::string admin_address = admin == nullptr ? "off" : admin->endpoint().to_string();
        logger_->write(LogLevel::kInfo, "listening",
                       {{"version", std::string_view(WEIR_VERSION)},
                        {"address", listening},
                        {"admin", admin_address},
                        {"reactor", gateway_->reactor_name()},
                        {"routes", static_cast<std::int64_t>(config.routes.size())},
                        {"store", config.store.to_string()}});
        if (config.disabled) logger_->write(LogLevel::kWarning, "RATELIMIT_DISABLE is set: everything is allowed", {});
    }

    // Until the gateway has drained.
    void watch() {
        MonoTime saved = clock_.now();
        while (!gateway_->finished()) {
            const int signal = signals_.next();
            if (clock_.now() - saved >= kSaveInterval) {
                gateway_->save_buckets();
                saved = clock_.now();
            }
            if (signal == SIGHUP) reload();
            if (signal != SIGTERM && signal != SIGINT) continue;
            if (gateway_->draining()) {
                logger_->write(LogLevel::kWarning, "a second signal ends the drain", {});
                gateway_->hurry();
            } else {
                logger_->write(LogLevel::kInfo, "draining",
                               {{"connections", static_cast<std::int64_t>(gateway_->connections())}});
                gateway_->drain();
            }
        }
    }

    void reload() {
        std::ostringstream problems;
        const config::Loaded loaded = load(options_, problems);
        if (loaded.config == nullptr) {
            print_problems(loaded.problems, "", problems);
            std::istringstream lines(problems.str());
            for (std::string line; std::getline(lines, line);) {
                logger_->write(LogLevel::kError, "configuration invalid, the old one stays in force",
                               {{"problem", line}});
            }
            count_reload(metrics_, metrics::label::kInvalid, reloads_invalid_);
            return;
        }
        warn_of_restarts(*gateway_->config(), *loaded.config);
        gateway_->reload(loaded.config);
        count_reload(metrics_, metrics::label::kApplied, reloads_applied_);
        logger_->write(LogLevel::kInfo, "configuration reloaded",
                       {{"routes", static_cast<std::int64_t>(loaded.config->routes.size())}});
    }

    // What was chosen at the start and can't change while running.
    void warn_of_restarts(const config::Config& before, const config::Config& after) {
        const std::pair<std::string_view, bool> changes[] = {
            {"listen", before.listen != after.listen},
            {"tls", (before.tls == nullptr) != (after.tls == nullptr)},
            {"admin", before.admin != after.admin},
            {"workers", before.workers != after.workers},
            {"reactor", before.reactor != after.reactor},
            {"store", before.store != after.store},
            {"store_tls", before.store_tls != after.store_tls},
            {"memory.max_buckets", before.buckets_max != after.buckets_max},
            {"memory.snapshot", before.snapshot_path != after.snapshot_path},
            {"log.format", before.log_format != after.log_format},
        };
        for (const auto& [key, changed] : changes) {
            if (changed) logger_->write(LogLevel::kWarning, "this change needs a restart", {{"key", key}});
        }
    }

    const ServeOptions& options_;
    const Signals& signals_;
    std::ostream& err_;
    SystemClock clock_;
    metrics::Registry metrics_;
    std::unique_ptr<log::Logger> logger_;
    std::unique_ptr<gateway::Gateway> gateway_;
    std::int64_t reloads_applied_ = 0;
    std::int64_t reloads_invalid_ = 0;
};

}  // namespace

int run_serve(const ServeOptions& options, std::ostream& /*out*/, std::ostream& err) {
    const Signals signals;  // before any thread
    raise_descriptor_limit();
    return Server(options, signals, err).run();
}

void add_serve_command(CLI::App& app, Selected& selected) {
    auto options = std::make_shared<ServeOptions>();
    CLI::App* command = app.add_subcommand("serve", "Runs the gateway.");
    add_config_options(*command, options->choice, true);
    command->add_option("--listen", options->listen, "where to listen; wins over the file")->type_name("ADDRESS");
    command->add_option("--admin", options->admin, "the admin address; wins over the file")->type_name("ADDRESS");
    command->footer(
        "Example: weir serve --config weir.yaml\n"
        "         weir serve --preset opencontracts --upstream http://127.0.0.1:8000\n"
        "Signals: SIGHUP reloads the configuration, SIGTERM and SIGINT drain.\n"
        "Exit codes: 0 drained, 1 failed, 2 invalid configuration.");
    command->callback([options, &selected] {
        options->choice.environment = process_environment();
        selected.run = [options](std::ostream& out, std::ostream& err) { return run_serve(*options, out, err); };
    });
}

}  // namespace weir::cli
