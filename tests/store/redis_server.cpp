#include "redis_server.h"

#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "protocol/resp/command.h"

namespace weir::store {
namespace {

[[noreturn]] void fail(const std::string& what) {
    throw std::runtime_error(what);
}

}  // namespace

RedisServer::RedisServer(const std::vector<std::string>& options) {
    std::string directory = (std::filesystem::temp_directory_path() / "weir-redis-XXXXXX").string();
    if (mkdtemp(directory.data()) == nullptr) fail("mkdtemp");
    directory_ = directory;
    socket_ = directory_ + "/socket";
    const char* named = std::getenv("WEIR_TEST_REDIS");
    std::vector<std::string> arguments{named != nullptr ? named : "redis-server",
                                       "--port",
                                       "0",
                                       "--unixsocket",
                                       socket_,
                                       "--dir",
                                       directory_,
                                       "--save",
                                       "",
                                       "--appendonly",
                                       "no",
                                       "--daemonize",
                                       "no",
                                       "--logfile",
                                       ""};
    arguments.insert(arguments.end(), options.begin(), options.end());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);

    std::array<int, 2> pipe_ends{};
    if (pipe(pipe_ends.data()) != 0) fail("pipe");
    process_ = fork();
    if (process_ < 0) fail("fork");
    if (process_ == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        dup2(pipe_ends[1], STDOUT_FILENO);
        dup2(pipe_ends[1], STDERR_FILENO);
        close(pipe_ends[0]);
        close(pipe_ends[1]);
        execvp(argv[0], argv.data());
        _exit(127);
    }
    close(pipe_ends[1]);
    log_ = pipe_ends[0];
    std::string log;
    std::array<char, 4096> buffer{};
    while (log.find("eady to accept connections") == std::string::npos &&
           log.find("now ready to accept") == std::string::npos) {
        const ssize_t got = read(log_, buffer.data(), buffer.size());
        if (got <= 0) fail("the server did not start: " + log);
        log.append(buffer.data(), static_cast<std::size_t>(got));
    }
}

RedisServer::~RedisServer() {
    if (process_ > 0) {
        kill(process_, SIGKILL);
        waitpid(process_, nullptr, 0);
    }
    if (log_ >= 0) close(log_);
    std::error_code ignored;
    std::filesystem::remove_all(directory_, ignored);
}

BlockingClient::BlockingClient(const RedisServer& server) : socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (server.socket().size() >= sizeof(address.sun_path)) fail("the socket's path is too long");
    std::memcpy(address.sun_path, server.socket().data(), server.socket().size());
    if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) fail("connect");
}

BlockingClient::~BlockingClient() {
    if (socket_ >= 0) close(socket_);
}

void BlockingClient::send(std::string_view commands) {
    while (!commands.empty()) {
        const ssize_t sent = ::send(socket_, commands.data(), commands.size(), MSG_NOSIGNAL);
        if (sent <= 0) fail("send");
        commands.remove_prefix(static_cast<std::size_t>(sent));
    }
}

protocol::resp::Reply BlockingClient::receive() {
    std::array<char, 64 * 1024> buffer;
    while (true) {
        auto next = reader_.next();
        if (!next) fail(std::string(next.error().detail));
        if (*next) return std::move(**next);
        const ssize_t got = recv(socket_, buffer.data(), buffer.size(), 0);
        if (got <= 0) fail("recv");
        reader_.feed({buffer.data(), static_cast<std::size_t>(got)});
    }
}

protocol::resp::Reply BlockingClient::ask(std::string_view command) {
    send(command);
    return receive();
}

protocol::resp::Reply BlockingClient::ask(std::initializer_list<std::string_view> arguments) {
    std::string command;
    protocol::resp::append_command(command, arguments);
    return ask(command);
}

}  // namespace weir::store
