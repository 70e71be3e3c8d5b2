#include "net/socket.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

namespace weir::net {
namespace {

class UnixPath : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "weir_socket_XXXXXX").string();
        ASSERT_NE(::mkdtemp(name.data()), nullptr);
        folder_ = name;
        endpoint_.unix_path = folder_ + "/s";
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::string folder_;
    Endpoint endpoint_;
};

TEST(SocketAddress, KeepsEveryKindOfEndpoint) {
    for (const char* text : {"203.0.113.7:80", "[2001:db8::1]:443", "unix:/run/app.sock"}) {
        const auto endpoint = Endpoint::parse(text);
        const auto address = to_socket_address(*endpoint);
        ASSERT_TRUE(address);
        EXPECT_EQ(from_socket_address(*address), *endpoint) << text;
    }
    EXPECT_EQ(from_socket_address({}), Endpoint{});
    Endpoint long_path;
    long_path.unix_path = std::string(108, 'a');
    EXPECT_FALSE(to_socket_address(long_path));
}

TEST(Listener, TakesIpv4OnTheAddressOfAll) {
    auto listener = open_listener(*Endpoint::parse("*:0"), {});
    ASSERT_TRUE(listener);
    Endpoint to = local_endpoint(listener->get());
    ASSERT_NE(to.port, 0);
    to.address = IpAddress::from_v4({127, 0, 0, 1});
    const auto address = to_socket_address(to);
    const Descriptor client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(client.get(), address->get(), address->size), 0);
    const Descriptor accepted(::accept(listener->get(), nullptr, nullptr));
    ASSERT_TRUE(accepted.valid());
    int no_delay = 0;
    socklen_t size = sizeof no_delay;
    ASSERT_EQ(::getsockopt(accepted.get(), IPPROTO_TCP, TCP_NODELAY, &no_delay, &size), 0);
    EXPECT_NE(no_delay, 0) << "accepted sockets inherit it";
}

TEST(Listener, WorkersShareAPort) {
    auto one = open_listener(*Endpoint::parse("127.0.0.1:0"), {});
    ASSERT_TRUE(one);
    EXPECT_TRUE(open_listener(local_endpoint(one->get()), {}));
}

TEST_F(UnixPath, StaleSocketIsReplacedAndALiveOneIsNot) {
    ListenOptions options;
    options.unix_mode = 0622;
    {
        auto first = open_listener(endpoint_, options);
        ASSERT_TRUE(first);
        struct stat status {};
        ASSERT_EQ(::stat(endpoint_.unix_path.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777U, 0622U);
        const auto second = open_listener(endpoint_, options);
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().code, ErrorCode::kInvalidArgument);
    }
    ASSERT_TRUE(std::filesystem::exists(endpoint_.unix_path));
    EXPECT_TRUE(open_listener(endpoint_, options));
    remove_listener_file(endpoint_);
    EXPECT_FALSE(std::filesystem::exists(endpoint_.unix_path));
}

TEST_F(UnixPath, FileThatIsNoSocketStays) {
    std::ofstream(endpoint_.unix_path) << "precious";
    const auto listener = open_listener(endpoint_, {});
    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().code, ErrorCode::kInvalidArgument);
    remove_listener_file(endpoint_);
    EXPECT_EQ(std::filesystem::file_size(endpoint_.unix_path), 8U);
}

TEST_F(UnixPath, MissingFolderIsUnreachable) {
    endpoint_.unix_path = folder_ + "/none/s";
    const auto listener = open_listener(endpoint_, {});
    ASSERT_FALSE(listener);
    EXPECT_EQ(listener.error().code, ErrorCode::kUnreachable);
}

TEST(SocketErrors, SayWhoseFaultItIs) {
    const auto code = [](int number) { return error_of_errno(number, ErrorSource::kUpstream).code; };
    EXPECT_EQ(code(ECONNREFUSED), ErrorCode::kConnectionRefused);
    EXPECT_EQ(code(ECONNRESET), ErrorCode::kConnectionReset);
    EXPECT_EQ(code(EPIPE), ErrorCode::kConnectionReset);
    EXPECT_EQ(code(ETIMEDOUT), ErrorCode::kTimeout);
    EXPECT_EQ(code(EHOSTUNREACH), ErrorCode::kUnreachable);
    EXPECT_EQ(code(ENOENT), ErrorCode::kUnreachable);
    EXPECT_EQ(code(EMFILE), ErrorCode::kExhausted);
    EXPECT_EQ(code(EACCES), ErrorCode::kForbidden);
    EXPECT_EQ(code(EBADF), ErrorCode::kInternal);
}

}  // namespace
}  // namespace weir::net
