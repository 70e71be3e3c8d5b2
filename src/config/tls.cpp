#include "config/tls.h"

#include <algorithm>

namespace weir::config {
namespace {

constexpr std::string_view kHttp11 = "http/1.1";

// A certificate and its key, as the keys `certificate` and `key` of a section name them.
struct KeyPair {
    std::string certificate_pem;
    std::string key_pem;
};

class TlsBuilder {
  public:
    TlsBuilder(const Sources& sources, Report& report) : sources_(sources), report_(report) {}

    std::shared_ptr<const net::TlsServer> server(const Section& tls) {
        net::TlsServerOptions options;
        std::vector<Section> places;
        bool good = true;
        const auto add = [&](const Section& section) {
            KeyPair pair;
            if (!key_pair(section, pair)) {
                good = false;
                return;
            }
            options.certificates.push_back({std::move(pair.certificate_pem), std::move(pair.key_pem)});
            places.push_back(section);
        };
        if (tls.has("certificate")) {
            add(tls);
        } else if (tls.has("key")) {
            report_.error(tls.place("key"), "tls: 'key' without 'certificate'");
        }
        for (const Section& more : tls.sections("certificates")) {
            if (more.has("certificate")) {
                add(more);
            } else {
                report_.error(more.place(), "tls.certificates: expected 'certificate', a PEM file");
                good = false;
            }
        }
        good = client_authority(tls, options) && good;
        options.version_least = tls.choice<net::TlsVersion>("min_version");
        if (!good) return nullptr;
        if (options.certificates.empty()) {
            report_.error(tls.place(), "tls: expected 'certificate', a PEM file");
            return nullptr;
        }
        return made(tls, options, places);
    }

    void upstream(const Section& section, Upstream& upstream, const Place& place) {
        const std::string name = section.text("server_name");
        const auto client = peer(section, place, "upstream " + upstream.name, std::string(kHttp11), {});
        if (client == nullptr) return;
        for (UpstreamAddress& address : upstream.addresses) {
            if (address.secure) address.tls.client = client->for_server(name.empty() ? address.host : name);
        }
    }

    store::StoreTls store(const Section& section, const Place& place) {
        const std::string name = section.text("server_name");
        return {.client = peer(section, place, "store", {}, name), .one_name = !name.empty()};
    }

    std::shared_ptr<const net::TlsClient> client(const Section& section, std::string_view ca_key,
                                                 const std::string& host, const Place& place) {
        net::TlsClientOptions options{.server_name = host, .alpn = std::string(kHttp11)};
        if (section.has(ca_key) && !read(section, ca_key, options.ca_pem)) return nullptr;
        std::string why;
        auto client = net::TlsClient::make(options, why);
        if (client == nullptr) {
            report_.error(section.has(ca_key) ? section.place(ca_key) : place, section.name() + ": " + why);
        }
        return client;
    }

  private:
    // Whom Weir connects to. `who` is what errors that no key is to blame for begin with.
    std::shared_ptr<const net::TlsClient> peer(const Section& section, const Place& place, const std::string& who,
                                               const std::string& alpn, const std::string& server_name) {
        net::TlsClientOptions options{.server_name = server_name, .alpn = alpn};
        bool good = true;
        if (section.has("ca")) good = read(section, "ca", options.ca_pem);
        KeyPair pair;
        if (section.has("certificate")) {
            good = key_pair(section, pair) && good;
            options.certificate_pem = std::move(pair.certificate_pem);
            options.key_pem = std::move(pair.key_pem);
        } else if (section.has("key")) {
            report_.error(section.place("key"), section.name() + ": 'key' without 'certificate'");
        }
        options.verify = section.boolean("verify");
        options.version_least = section.choice<net::TlsVersion>("min_version");
        if (!options.verify) {
            report_.warning(section.place("verify"),
                            section.name() + ": 'verify: false': whoever answers in that name is believed");
        }
        if (!good) return nullptr;
        std::string why;
        auto client = net::TlsClient::make(options, why);
        if (client == nullptr) {
            report_.error(section.has("ca") || section.has("certificate") ? section.place() : place, who + ": " + why);
        }
        return client;
    }

    bool read(const Section& section, std::string_view key, std::string& content) {
        if (section.value(key).broken) return false;
        if (!read_named_file(section.text(key), section.place(key), sources_, report_, content)) return false;
        if (!content.empty()) return true;
        report_.error(section.place(key), section.name() + "." + std::string(key) + ": the file is empty");
        return false;
    }

    bool key_pair(const Section& section, KeyPair& pair) {
        const bool certificate = read(section, "certificate", pair.certificate_pem);
        if (section.has("key")) return read(section, "key", pair.key_pem) && certificate;
        pair.key_pem = pair.certificate_pem;
        return certificate;
    }

    bool client_authority(const Section& tls, net::TlsServerOptions& options) {
        options.client_certificates = tls.choice<net::ClientCertificates>("client_certificates");
        const bool asked = options.client_certificates != net::ClientCertificates::kNone;
        if (tls.has("client_ca")) {
            if (!asked) {
                report_.warning(tls.place("client_ca"), "tls.client_ca has no effect: 'client_certificates' is none");
            }
            return read(tls, "client_ca", options.client_ca_pem);
        }
        if (!asked) return true;
        report_.error(tls.place("client_certificates"),
                      "tls.client_certificates: expected 'client_ca', whose certificates count");
        return false;
    }

    std::shared_ptr<const net::TlsServer> made(const Section& tls, const net::TlsServerOptions& options,
                                               const std::vector<Section>& places) {
        net::TlsProblem problem;
        auto server = net::TlsServer::make(options, problem);
        if (server != nullptr) return server;
        using enum net::TlsProblem::Part;
        const Section& section = problem.part == kClientCa ? tls : places[problem.certificate];
        std::string_view key = "certificate";
        if (problem.part == kClientCa) key = "client_ca";
        if (problem.part == kKey && section.has("key")) key = "key";
        report_.error(section.place(key), section.name() + "." + std::string(key) + ": the file " +
                                              in_quotes(section.text(key)) + " " + problem.why);
        return nullptr;
    }

    const Sources& sources_;
    Report& report_;
};

}  // namespace

bool read_named_file(const std::string& path, const Place& place, const Sources& sources, Report& report,
                     std::string& content) {
    std::string text;
    if (sources.read_file ? sources.read_file(path, text) : read_file(path, text)) {
        content = std::move(text);
        return true;
    }
    report.error(place, "can't read the file " + in_quotes(path));
    return false;
}

std::shared_ptr<const net::TlsServer> server_tls(const Section& file, const Sources& sources, Report& report) {
    if (!file.has("tls")) return nullptr;
    return TlsBuilder(sources, report).server(file.section("tls"));
}

void upstream_tls(const Section& file, const Sources& sources, std::vector<Upstream>& upstreams, Report& report) {
    const Section all = file.section("upstream_tls");
    TlsBuilder builder(sources, report);
    const auto is_secure = [](const Upstream& upstream) {
        return std::ranges::any_of(upstream.addresses, &UpstreamAddress::secure);
    };
    if (all.node() != nullptr) {
        for (const Entry& entry : all.node()->entries) {
            const auto upstream = std::ranges::find(upstreams, entry.key, &Upstream::name);
            if (upstream == upstreams.end()) {
                report.error(entry.place, "upstream_tls: there is no upstream " + in_quotes(entry.key));
            } else if (!is_secure(*upstream)) {
                report.warning(entry.place, "upstream_tls: upstream " + in_quotes(entry.key) + " has no https address");
            }
        }
    }
    for (Upstream& upstream : upstreams) {
        if (!is_secure(upstream)) continue;
        const Node* node = all.node() == nullptr ? nullptr : all.node()->find(upstream.name);
        const Place place = node == nullptr ? file.place("upstreams") : node->place;
        builder.upstream(Section(node, place, "upstream_tls.*"), upstream, place);
    }
}

store::StoreTls store_tls(const Section& file, const Sources& sources, Report& report) {
    return TlsBuilder(sources, report).store(file.section("store_tls"), file.place("store"));
}

std::shared_ptr<const net::TlsClient> client_tls(const Section& section, std::string_view ca_key,
                                                 const std::string& host, const Place& place, const Sources& sources,
                                                 Report& report) {
    return TlsBuilder(sources, report).client(section, ca_key, host, place);
}

}  // namespace weir::config
