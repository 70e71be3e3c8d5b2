// Where a shared store is, as the key `store` says it:
//
//   redis://[USER:PASSWORD@]HOST[:PORT][/DB]               one server; rediss:// with TLS
//   redis+unix://[USER:PASSWORD@]/PATH[?db=DB]             one server at a Unix socket; also unix:/PATH[?db=DB]
//   redis+cluster://[USER:PASSWORD@]H[:P],H[:P]...         Redis Cluster: some of its nodes, the others are asked for
//   redis+sentinel://[USER:PASSWORD@]H[:P],H[:P].../MASTER[/DB]   Sentinels that know the master
//
// User and password are percent-encoded (RFC 3986 2.1) and go to the servers that hold buckets. ":PASSWORD@" is a
// password alone, as before Redis 6. They are never printed: `to_string` and `without_password` leave them out.
//
// Pure; strict.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::store {

inline constexpr std::uint16_t kRedisPort = 6379;
inline constexpr std::uint16_t kSentinelPort = 26379;
inline constexpr std::size_t kStoreHostsMax = 32;
inline constexpr std::uint64_t kDatabaseMax = 65535;

struct StoreHost {
    std::string host;  // a name or an address; empty for a Unix socket
    std::uint16_t port = kRedisPort;
    std::string unix_path;
    [[nodiscard]] std::string to_string() const;
    friend bool operator==(const StoreHost&, const StoreHost&) = default;
};

enum class StoreKind : std::uint8_t { kMemory, kServer, kCluster, kSentinel };

struct StoreAddress {
    StoreKind kind = StoreKind::kMemory;
    bool tls = false;
    std::vector<StoreHost> hosts;  // one of a server; nodes or Sentinels to begin with of the others
    std::string user;
    std::string password;
    std::string master;          // kSentinel: the name that the Sentinels have for it
    std::uint64_t database = 0;  // always 0 in a cluster

    // For logs and labels: without credentials.
    [[nodiscard]] std::string to_string() const;
    friend bool operator==(const StoreAddress&, const StoreAddress&) = default;
};

// nullopt with what is wrong, as the end of a sentence; `reason` stays empty where nothing was recognised at all.
[[nodiscard]] std::optional<StoreAddress> parse_store_address(std::string_view text, std::string& reason);

// The text of an address with "***" for what stands where credentials do, whether it parses or not.
[[nodiscard]] std::string without_password(std::string_view text);

}  // namespace weir::store
