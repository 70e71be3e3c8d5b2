#include "gateway/gateway.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <random>
#include <sys/stat.h>
#include <unistd.h>

#include "limit/snapshot.h"
#include "net/tls_reactor.h"

namespace weir::gateway {
namespace {

// For a client that speaks plain HTTP where TLS is spoken.
constexpr std::string_view kPlainTextAnswer =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 44\r\n"
    "Connection: close\r\n\r\nthis port speaks TLS: ask with https or wss\n";

unsigned worker_count(const config::Config& config) {
    return config.workers > 0 ? config.workers : std::max(1U, std::thread::hardware_concurrency());
}

std::string read_whole(const std::string& path, bool& found) {
    std::string content;
    std::FILE* file = std::fopen(path.c_str(), "rb");
    found = file != nullptr;
    if (file == nullptr) return content;
    char buffer[65536];
    for (std::size_t n = 0; (n = std::fread(buffer, 1, sizeof buffer, file)) > 0;) content.append(buffer, n);
    std::fclose(file);
    return content;
}

// Under another name, then renamed: a crash in between leaves the old one whole. Readable by its owner alone, as the
// hash key is in it.
bool write_whole(const std::string& path, const std::string& content) {
    const std::string temporary = path + ".new";
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return false;
    std::size_t written = 0;
    while (written < content.size()) {
        const ssize_t n = ::write(fd, content.data() + written, content.size() - written);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        written += static_cast<std::size_t>(n);
    }
    const bool synced = written == content.size() && ::fsync(fd) == 0;
    ::close(fd);
    if (synced && ::rename(temporary.c_str(), path.c_str()) == 0) return true;
    ::unlink(temporary.c_str());
    return false;
}

// Workers share a port (SO_REUSEPORT), and so would another Weir that runs already: it would lose half of its
// connections to us without a word. Listening once without sharing tells.
Result<void> check_free(const net::Endpoint& endpoint, Clock& clock) {
    if (endpoint.is_unix() || endpoint.port == 0) return {};
    const auto reactor = net::make_reactor(net::ReactorKind::kEpoll, clock, {});
    if (!reactor) return reactor.error();
    const auto listener = (*reactor)->listen(endpoint, {.reuse_port = false});
    return listener ? Result<void>() : Result<void>(listener.error());
}

}  // namespace

Gateway::Gateway(std::shared_ptr<const config::Config> config, const Dependencies& dependencies)
    : dependencies_(dependencies),
      hash_key_(random_hash_key()),
      table_(std::make_unique<limit::BucketTable>(limit::TableOptions{.buckets_max = config->buckets_max})),
      names_(std::make_unique<ResolvedNames>()) {
    restore_buckets(*config);
    shared_ = std::make_unique<Shared>(*table_, table_.get(), dependencies.metrics, dependencies.log, hash_key_);
    if (config->store.kind != store::StoreKind::kMemory) shared_->use(config->store);
    names_->watch(*config);
    shared_->adopt(std::make_shared<const Snapshot>(std::move(config), hash_key_, generation_, dependencies.metrics));
}

Result<std::unique_ptr<Gateway>> Gateway::start(std::shared_ptr<const config::Config> config,
                                                const Dependencies& dependencies) {
    const auto& settings = *config;
    std::unique_ptr<Gateway> gateway(new Gateway(config, dependencies));
    if (const auto opened = gateway->open(settings); !opened) return opened.error();
    return gateway;
}

Result<void> Gateway::open(const config::Config& config) {
    std::random_device entropy;
    for (unsigned i = 0; i < worker_count(config); ++i) {
        auto sockets = net::make_reactor(config.reactor, dependencies_.clock, {});
        if (!sockets) return sockets.error();
        auto reactor = std::make_unique<net::TlsReactor>(
            std::move(*sockets),
            net::TlsReactorOptions{.tickets = &ticket_keys_, .plain_text_answer = kPlainTextAnswer});
        reactor_name_ = reactor->name();
        const std::uint64_t seed = (static_cast<std::uint64_t>(entropy()) << 32U) | entropy();
        workers_.push_back(std::make_unique<Worker>(std::move(reactor), *shared_, *names_, seed));
    }
    for (const auto& [wanted, tls] : config.listen) {
        net::Endpoint endpoint = wanted;
        if (const auto is_free = check_free(wanted, dependencies_.clock); !is_free) {
            report_unusable(wanted, is_free.error());
            return is_free.error();
        }
        for (std::size_t i = 0; i < workers_.size(); ++i) {
            // A Unix socket has one listener: it can't be shared by name.
            if (endpoint.is_unix() && i > 0) break;
            const auto bound = workers_[i]->listen(endpoint, tls);
            if (!bound) {
                report_unusable(wanted, bound.error());
                return bound.error();
            }
            endpoint = *bound;  // port 0 becomes the same port for all
        }
        endpoints_.push_back(endpoint);
    }
    for (auto& worker : workers_) threads_.emplace_back([&worker] { worker->run(); });
    return {};
}

void Gateway::report_unusable(const net::Endpoint& endpoint, const Error& why) {
    dependencies_.log.write(LogLevel::kError, "can't listen",
                            {{"address", endpoint.to_string()}, {"reason", why.detail}});
}

void Gateway::hurry() {
    for (auto& worker : workers_) worker->request_hurry();
}

Gateway::~Gateway() {
    for (auto& worker : workers_) worker->request_stop();
    for (std::thread& thread : threads_) {
        if (thread.joinable()) thread.join();
    }
    workers_.clear();
}

void Gateway::reload(std::shared_ptr<const config::Config> config) {
    names_->watch(*config);
    dependencies_.log.set_level(config->log_level);
    const auto before = shared_->snapshot();
    shared_->adopt(std::make_shared<const Snapshot>(std::move(config), hash_key_, ++generation_, dependencies_.metrics,
                                                    before.get()));
    for (auto& worker : workers_) worker->request_reload();
}

void Gateway::drain() {
    draining_.store(true, std::memory_order_release);
    for (auto& worker : workers_) worker->request_drain();
}

bool Gateway::finished() const {
    return std::all_of(workers_.begin(), workers_.end(), [](const auto& worker) { return worker->finished(); });
}

void Gateway::wait() {
    for (std::thread& thread : threads_) {
        if (thread.joinable()) thread.join();
    }
    save_buckets();
}

void Gateway::refresh_metrics() {
    using metrics::Family;
    dependencies_.metrics.set(dependencies_.metrics.cell(Family::kBuckets, {}),
                              static_cast<std::int64_t>(table_->size()));
    dependencies_.metrics.set(dependencies_.metrics.cell(Family::kBucketEvictions, {}),
                              static_cast<std::int64_t>(table_->evictions()));
    shared_->penalties.expire(dependencies_.clock.now());
    dependencies_.metrics.set(dependencies_.metrics.cell(Family::kBlockedSubjects, {}),
                              static_cast<std::int64_t>(shared_->penalties.size()));
    const auto snapshot = shared_->snapshot();
    dependencies_.metrics.set(dependencies_.metrics.cell(Family::kLookupEntries, {}),
                              snapshot->lookup == nullptr ? 0 : static_cast<std::int64_t>(snapshot->lookup->size()));
}

// A snapshot that can't be read costs the counters, not the start.
void Gateway::restore_buckets(const config::Config& config) {
    snapshot_path_ = config.snapshot_path;
    if (snapshot_path_.empty()) return;
    bool found = false;
    const std::string bytes = read_whole(snapshot_path_, found);
    if (!found) return;
    const auto key = limit::restore_snapshot(*table_, bytes, dependencies_.clock.now(), dependencies_.clock.wall_now());
    if (!key) {
        dependencies_.log.write(LogLevel::kWarning, "the snapshot of buckets can't be used, counting starts anew",
                                {{"file", snapshot_path_}, {"reason", key.error().detail}});
        return;
    }
    hash_key_ = *key;
    dependencies_.log.write(LogLevel::kInfo, "buckets restored",
                            {{"file", snapshot_path_}, {"buckets", static_cast<std::int64_t>(table_->size())}});
}

void Gateway::save_buckets() {
    if (snapshot_path_.empty()) return;
    const std::string bytes =
        limit::serialize_snapshot(*table_, hash_key_, dependencies_.clock.now(), dependencies_.clock.wall_now());
    const bool written = write_whole(snapshot_path_, bytes);
    dependencies_.log.write(written ? LogLevel::kDebug : LogLevel::kError,
                            written ? "buckets saved" : "the snapshot of buckets can't be written",
                            {{"file", snapshot_path_}, {"buckets", static_cast<std::int64_t>(table_->size())}});
}

}  // namespace weir::gateway
