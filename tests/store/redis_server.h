// A real Redis (or what WEIR_TEST_REDIS names, such as valkey-server) on a unix socket of its own, for as long as this
// lives, and a blocking connection to it that pipelines. For tests: what fails, fails the test.
#pragma once

#include <gtest/gtest.h>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

#include "protocol/resp/reply.h"

namespace weir::store {

class RedisServer {
  public:
    // Waits until the server says that it is ready. `options` as on its command line: {"--maxmemory", "1mb"}.
    explicit RedisServer(const std::vector<std::string>& options = {});
    ~RedisServer();
    RedisServer(const RedisServer&) = delete;
    RedisServer& operator=(const RedisServer&) = delete;

    [[nodiscard]] const std::string& socket() const { return socket_; }

  private:
    std::string directory_;
    std::string socket_;
    pid_t process_ = -1;
    int log_ = -1;
};

class BlockingClient {
  public:
    explicit BlockingClient(const RedisServer& server);
    ~BlockingClient();
    BlockingClient(const BlockingClient&) = delete;
    BlockingClient& operator=(const BlockingClient&) = delete;

    void send(std::string_view commands);
    protocol::resp::Reply receive();
    // One command, written out, and its reply.
    protocol::resp::Reply ask(std::string_view command);
    protocol::resp::Reply ask(std::initializer_list<std::string_view> arguments);

  private:
    int socket_ = -1;
    protocol::resp::ReplyReader reader_;
};

}  // namespace weir::store
