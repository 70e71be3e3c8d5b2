#include "store/store_address.h"

#include <gtest/gtest.h>

namespace weir::store {
namespace {

StoreAddress parsed(std::string_view text) {
    std::string reason;
    const auto address = parse_store_address(text, reason);
    EXPECT_TRUE(address) << text << ": " << reason;
    return address.value_or(StoreAddress{});
}

std::string refused(std::string_view text) {
    std::string reason;
    EXPECT_FALSE(parse_store_address(text, reason)) << text;
    return reason;
}

TEST(StoreAddress, MemoryIsTheProcessItself) {
    EXPECT_EQ(parsed("memory").kind, StoreKind::kMemory);
    EXPECT_EQ(parsed("memory").to_string(), "memory");
}

TEST(StoreAddress, AServerHasStandardPortAndDatabase) {
    const StoreAddress address = parsed("redis://cache.example");
    EXPECT_EQ(address.kind, StoreKind::kServer);
    EXPECT_FALSE(address.tls);
    EXPECT_EQ(address.hosts, (std::vector<StoreHost>{{"cache.example", 6379, ""}}));
    EXPECT_EQ(address.database, 0U);
    EXPECT_EQ(address.to_string(), "redis://cache.example:6379");
    EXPECT_EQ(parsed("redis://[2001:db8::1]:7000/3").to_string(), "redis://[2001:db8::1]:7000/3");
    EXPECT_EQ(parsed("redis://h/").database, 0U);
    EXPECT_TRUE(parsed("rediss://h").tls);
    EXPECT_EQ(parsed("rediss://h").to_string(), "rediss://h:6379");
}

TEST(StoreAddress, CredentialsAreDecodedAndNeverPrinted) {
    const StoreAddress address = parsed("redis://weir:p%40ss%3Aw%2f@h:6380/2");
    EXPECT_EQ(address.user, "weir");
    EXPECT_EQ(address.password, "p@ss:w/");
    EXPECT_EQ(address.to_string(), "redis://h:6380/2");
    EXPECT_EQ(parsed("redis://:secret@h").password, "secret");
    EXPECT_EQ(parsed("redis://:secret@h").user, "");
    EXPECT_EQ(parsed("redis://:se@cr:et@h").password, "se@cr:et");
    EXPECT_EQ(without_password("redis://weir:secret@h:6380/2"), "redis://***@h:6380/2");
    EXPECT_EQ(without_password("redis://:se@cr/et@h"), "redis://***@h");
    EXPECT_EQ(without_password("redis://h:6380/2"), "redis://h:6380/2");
    EXPECT_EQ(without_password("rodis://a:b@h"), "rodis://***@h");
    EXPECT_EQ(without_password("a:b@h"), "***@h");
    EXPECT_EQ(without_password("redis+unix://a:b@/run/r.sock"), "redis+unix://***@/run/r.sock");
    EXPECT_EQ(without_password("memory"), "memory");
}

TEST(StoreAddress, AServerMayBeAtAUnixSocket) {
    for (const char* text : {"redis+unix:///run/redis.sock?db=4", "unix:/run/redis.sock?db=4"}) {
        const StoreAddress address = parsed(text);
        EXPECT_EQ(address.kind, StoreKind::kServer);
        EXPECT_EQ(address.hosts.at(0).unix_path, "/run/redis.sock");
        EXPECT_EQ(address.database, 4U);
        EXPECT_EQ(address.to_string(), "unix:/run/redis.sock?db=4");
    }
    EXPECT_EQ(parsed("redis+unix://:pw@/run/redis.sock").password, "pw");
}

TEST(StoreAddress, AClusterAndSentinelsAreLists) {
    const StoreAddress cluster = parsed("redis+cluster://a:7000,b,[::1]:7002,a:7000");
    EXPECT_EQ(cluster.kind, StoreKind::kCluster);
    EXPECT_EQ(cluster.to_string(), "redis+cluster://a:7000,b:6379,[::1]:7002");
    const StoreAddress sentinel = parsed("redis+sentinel://:pw@s1,s2:26380/my-master/1");
    EXPECT_EQ(sentinel.kind, StoreKind::kSentinel);
    EXPECT_EQ(sentinel.master, "my-master");
    EXPECT_EQ(sentinel.password, "pw");
    EXPECT_EQ(sentinel.to_string(), "redis+sentinel://s1:26379,s2:26380/my-master/1");
}

TEST(StoreAddress, WhatIsWrongIsSaid) {
    EXPECT_EQ(refused(""), "");
    EXPECT_EQ(refused("redis"), "");
    EXPECT_EQ(refused("http://h"), "");
    EXPECT_EQ(refused("redis://"), "a host is missing");
    EXPECT_EQ(refused("redis://a,,b"), "a host is missing");
    EXPECT_EQ(refused("redis://a b"), "an address has printable ASCII without spaces");
    EXPECT_EQ(refused("redis://a/b"), "the number of a database is from 0 to 65535");
    EXPECT_EQ(refused("redis://a/65536"), "the number of a database is from 0 to 65535");
    EXPECT_EQ(refused("redis://a:0"), "a port is a number from 1 to 65535");
    EXPECT_EQ(refused("redis://a:65536"), "a port is a number from 1 to 65535");
    EXPECT_EQ(refused("redis://a:"), "a port is a number from 1 to 65535");
    EXPECT_EQ(refused("redis://[::1"), "between brackets stands an IPv6 address");
    EXPECT_EQ(refused("redis://[1.2.3.4]"), "between brackets stands an IPv6 address");
    EXPECT_EQ(refused("redis://a!b"), "a host is a name, an IPv4 address or [IPv6]");
    EXPECT_EQ(refused("redis://secret@h"), "credentials are USER:PASSWORD@ or :PASSWORD@");
    EXPECT_EQ(refused("redis://user:@h"), "the password is empty");
    EXPECT_EQ(refused("redis://u:%4@h"), "a '%' in credentials begins a two-digit hexadecimal number (%25 is a '%')");
    EXPECT_EQ(refused("redis://h?db=1"),
              "an address has no query; the database stands in the path: "
              "redis://HOST:6379/1");
    EXPECT_EQ(refused("redis://a,b"), "one server has one address; several are redis+cluster:// or redis+sentinel://");
    EXPECT_EQ(refused("redis+cluster://a/1"), "a cluster has no numbered databases");
    EXPECT_EQ(refused("redis+sentinel://a"),
              "behind the Sentinels stands the name of the master: redis+sentinel://HOST:26379/MASTER");
    EXPECT_EQ(refused("unix:run"), "the path of a Unix socket starts with / and has at most 107 bytes");
    EXPECT_EQ(refused("unix:/run?x=1"), "behind the path of a Unix socket may stand ?db=N alone");
    std::string many = "redis+cluster://h0";
    for (int i = 1; i <= 32; ++i) many += ",h" + std::to_string(i);
    EXPECT_EQ(refused(many), "at most 32 hosts are named");
}

}  // namespace
}  // namespace weir::store
