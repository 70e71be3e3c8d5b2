// The parts of the configuration that speak of certificates: reads their files, and makes of them what handshakes need.
// A file that can't be used is an error at the key that names it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"
#include "config/document.h"
#include "config/load.h"
#include "config/section.h"
#include "net/tls.h"

namespace weir::config {

// The content of a file that the configuration names; false after an error was reported at `place`.
[[nodiscard]] bool read_named_file(const std::string& path, const Place& place, const Sources& sources, Report& report,
                                   std::string& content);

// `tls`; null without it, and after an error.
[[nodiscard]] std::shared_ptr<const net::TlsServer> server_tls(const Section& file, const Sources& sources,
                                                               Report& report);

// `upstream_tls`, for those addresses that are https.
void upstream_tls(const Section& file, const Sources& sources, std::vector<Upstream>& upstreams, Report& report);

// `store_tls`, for an address that begins with rediss.
[[nodiscard]] store::StoreTls store_tls(const Section& file, const Sources& sources, Report& report);

// For one https URL whose authorities stand under `ca_key` of a section. `place` is the URL's.
[[nodiscard]] std::shared_ptr<const net::TlsClient> client_tls(const Section& section, std::string_view ca_key,
                                                               const std::string& host, const Place& place,
                                                               const Sources& sources, Report& report);

}  // namespace weir::config
