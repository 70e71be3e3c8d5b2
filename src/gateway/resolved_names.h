// Names of upstreams as addresses: asked off the reactor, kept, and asked again, so that a worker never waits for a
// name server.
//
// The system's resolver (getaddrinfo: hosts file, name service switch, DNS) is asked on a thread of its own, at once
// for a name that is new and every kRefresh after. A name that can't be resolved any more keeps the addresses that it
// had. Thread-safety: any thread.
#pragma once

#include <condition_variable>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "config/config.h"
#include "net/name_table.h"

namespace weir::gateway {

class ResolvedNames final : public net::NameTable {
  public:
    static constexpr std::chrono::seconds kRefresh{30};

    ResolvedNames() = default;
    ~ResolvedNames() override;

    // The names that `config` has; asks for the new ones before it returns, so that the start knows them.
    void watch(const config::Config& config);
    std::vector<IpAddress> addresses_of(const std::string& name) override;

  private:
    void run();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::string, std::vector<IpAddress>> known_;
    std::thread thread_;
    bool stopping_ = false;
};

}  // namespace weir::gateway
