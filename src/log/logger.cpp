// The logger of the program, over spdlog's asynchronous queue: a caller formats its line and leaves it in a bounded
// queue; one thread writes. When standard error is slower than we are, the oldest lines go, and a line says how many.
#include "log/logger.h"

#define SPDLOG_NO_EXCEPTIONS  // of its headers; what its library throws while it writes, it catches itself
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/sinks/sink.h>
#include <string>

#include "base/clock.h"
#include "log/line.h"

namespace weir::log {
namespace {

constexpr std::size_t kQueueLines = 8192;
constexpr std::chrono::seconds kFlushWait{2};

// Whole lines to standard error, unbuffered. Its `log` and `flush` run on the writing thread.
class StandardErrorSink final : public spdlog::sinks::sink {
  public:
    explicit StandardErrorSink(Format format) : format_(format) {}

    void log(const spdlog::details::log_msg& message) override {
        report_drops();
        write_line({message.payload.data(), message.payload.size()});
    }
    void flush() override {
        report_drops();
        std::fflush(stderr);
        const std::lock_guard lock(mutex_);
        ++flushes_;
        flushed_.notify_all();
    }
    void set_pattern(const std::string&) override {}
    void set_formatter(std::unique_ptr<spdlog::formatter>) override {}

    // Waits until the writing thread has come as far as a flush that `post` leaves in the queue. Bounded: the flush may
    // be among what is dropped.
    template <typename Post>
    void wait_for_flush(const Post& post) {
        std::unique_lock lock(mutex_);
        const std::uint64_t before = flushes_;
        lock.unlock();
        post();
        lock.lock();
        flushed_.wait_for(lock, kFlushWait, [&] { return flushes_ > before; });
    }

    void watch(spdlog::details::thread_pool* pool) { pool_ = pool; }

  private:
    void report_drops() {
        const std::size_t dropped = pool_.load() == nullptr ? 0 : pool_.load()->overrun_counter();
        if (dropped == dropped_) return;
        const auto now = static_cast<std::int64_t>(dropped - dropped_);
        dropped_ = dropped;
        write_line(format_line(format_, SystemClock().wall_now(), LogLevel::kWarning, "log lines were dropped",
                               {{"dropped", now}}));
    }

    static void write_line(std::string_view line) {
        std::string whole(line);
        whole += '\n';
        // Standard error that can't be written to has nobody who could be told.
        static_cast<void>(std::fwrite(whole.data(), 1, whole.size(), stderr));
    }

    Format format_;
    std::atomic<spdlog::details::thread_pool*> pool_{nullptr};
    std::size_t dropped_ = 0;  // of the writing thread
    std::mutex mutex_;
    std::condition_variable flushed_;
    std::uint64_t flushes_ = 0;
};

class AsyncLogger final : public Logger {
  public:
    AsyncLogger(LogLevel level, Format format)
        : level_(level),
          format_(format),
          sink_(std::make_shared<StandardErrorSink>(format)),
          pool_(std::make_shared<spdlog::details::thread_pool>(kQueueLines, 1)),
          lines_(std::make_shared<spdlog::async_logger>("weir", sink_, pool_,
                                                        spdlog::async_overflow_policy::overrun_oldest)) {
        lines_->set_level(spdlog::level::trace);  // `enabled` has decided
        sink_->watch(pool_.get());
    }
    ~AsyncLogger() override {
        AsyncLogger::flush();
        pool_.reset();  // joins the writing thread, so that everything it holds ends on this one
    }
    AsyncLogger(const AsyncLogger&) = delete;
    AsyncLogger& operator=(const AsyncLogger&) = delete;

    bool enabled(LogLevel level) const override { return level >= level_.load(std::memory_order_relaxed); }

    void write(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) override {
        if (!enabled(level)) return;
        const std::string line = format_line(format_, SystemClock().wall_now(), level, message, fields);
        lines_->log(spdlog::level::info, spdlog::string_view_t(line.data(), line.size()));
    }

    void set_level(LogLevel level) override { level_.store(level, std::memory_order_relaxed); }

    void flush() override {
        sink_->wait_for_flush([this] { lines_->flush(); });
    }

  private:
    std::atomic<LogLevel> level_;
    const Format format_;
    std::shared_ptr<StandardErrorSink> sink_;
    std::shared_ptr<spdlog::details::thread_pool> pool_;
    std::shared_ptr<spdlog::async_logger> lines_;
};

}  // namespace

std::unique_ptr<Logger> make_logger(LogLevel level, Format format) {
    return std::make_unique<AsyncLogger>(level, format);
}

}  // namespace weir::log
