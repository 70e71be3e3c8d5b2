// With whom a shared store is spoken to over TLS (rediss://): whom to trust, and what name a server's certificate must
// bear. A cluster and Sentinels name servers that the configuration does not know, so the name is made for each.
#pragma once

#include <memory>

#include "net/tls.h"
#include "store/store_address.h"

namespace weir::store {

struct StoreTls {
    std::shared_ptr<const net::TlsClient> client;  // null: without TLS
    bool one_name = false;                         // every server has the name that `client` has

    [[nodiscard]] std::shared_ptr<const net::TlsClient> for_host(const StoreHost& host) const {
        if (client == nullptr || one_name) return client;
        return client->for_server(host.host);
    }
    // Made of the same files and words.
    friend bool operator==(const StoreTls& a, const StoreTls& b) {
        return a.one_name == b.one_name && (a.client == nullptr) == (b.client == nullptr) &&
               (a.client == nullptr || a.client->fingerprint() == b.client->fingerprint());
    }
};

}  // namespace weir::store
