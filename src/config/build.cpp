#include "config/build.h"

#include <algorithm>
#include <set>

#include "base/hash.h"
#include "base/text.h"
#include "config/tls.h"
#include "config/values.h"
#include "store/store_address.h"

namespace weir::config {

namespace {

class Builder {
  public:
    Builder(const Node& root, const Sources& sources, Report& report)
        : root_(root), sources_(sources), report_(report), file_(&root, {.line = 1, .column = 1}, "") {}

    std::shared_ptr<Config> build() {
        doors();
        upstreams();
        limits();
        identity();
        store();
        exceptions();
        process();
        build_routes(file_, *config_, report_);
        return config_;
    }

  private:
    void doors() {
        config_->tls = server_tls(file_, sources_, report_);
        const bool has_tls = file_.has("tls");
        for (const Item& item : file_.list("listen")) {
            const auto parsed = parse_listen(item.text);
            if (!parsed) continue;
            const net::Endpoint& endpoint = parsed->endpoint;
            if (std::ranges::find(config_->listen, endpoint, &Listener::endpoint) != config_->listen.end()) {
                report_.error(item.place, "listen: " + in_quotes(item.text) + " stands here twice");
            }
            if (parsed->tls == true && !has_tls) {
                report_.error(item.place, "listen: " + in_quotes(item.text) +
                                              " needs a certificate, expected 'tls: {certificate: FILE, key: FILE}'");
            }
            config_->listen.push_back(
                {.endpoint = endpoint, .tls = parsed->tls.value_or(has_tls && !endpoint.is_unix())});
        }
        if (has_tls && std::ranges::none_of(config_->listen, &Listener::tls)) {
            report_.warning(file_.place("tls"), "'tls' has no effect: no address of 'listen' speaks TLS");
        }
        if (file_.value("listen").is(Node::Kind::kList) && file_.value("listen").items.empty()) {
            report_.error(file_.place("listen"), "listen: the list is empty, expected at least one address");
        }
        if (!file_.has("admin")) return;
        const auto admin = net::Endpoint::parse(file_.text("admin"));
        if (!admin) return;
        if (!admin->is_unix() && !admin->address.is_loopback()) {
            report_.error(file_.place("admin"), "admin: " + in_quotes(file_.text("admin")) +
                                                    " is not a loopback address; anyone could ask, and tokens for the "
                                                    "admin interface are not available in this version");
        }
        config_->admin = *admin;
    }

    void upstreams() {
        const Section section = file_.section("upstreams");
        if (section.node() == nullptr || section.node()->entries.empty()) {
            if (!file_.has("upstreams") || file_.value("upstreams").is(Node::Kind::kNull) ||
                section.node() != nullptr) {
                report_.error(
                    file_.place("upstreams"),
                    "'upstreams' names no backend, expected such as 'upstreams: {app: \"http://127.0.0.1:8000\"}'");
            }
            return;
        }
        for (const Entry& entry : section.node()->entries) {
            Upstream upstream{.name = entry.key, .addresses = {}};
            const auto add = [&](const Node& node) {
                std::string reason;
                if (auto address = parse_upstream(node.text, reason)) upstream.addresses.push_back(std::move(*address));
            };
            if (entry.value.is(Node::Kind::kList)) {
                std::ranges::for_each(entry.value.items, add);
                if (entry.value.items.empty()) report_.error(entry.value.place, "an upstream's list is empty");
            } else {
                add(entry.value);
            }
            config_->upstreams.push_back(std::move(upstream));
        }
        upstream_tls(file_, sources_, config_->upstreams, report_);
    }

    void limits() {
        policy::LimitTable::Options options;
        options.default_algorithm = file_.choice<limit::Algorithm>("default_algorithm");
        tiers(options);
        const Section section = file_.section("limits");
        std::set<std::string> broken;
        if (section.node() != nullptr) {
            for (const Entry& entry : section.node()->entries) {
                options.specs.push_back(limit_spec(entry, broken));
            }
        }
        std::vector<std::string> ignored;
        const policy::LimitTable known = policy::LimitTable::build(options, ignored);
        std::vector<std::string> problems;
        for (auto& spec : policy::limits_from_environment(sources_.environment, known, problems)) {
            options.specs.push_back(std::move(spec));
        }
        for (std::string& problem : problems) report_.error({.origin = "environment"}, std::move(problem));
        problems.clear();
        config_->limits = std::make_shared<policy::LimitTable>(policy::LimitTable::build(options, problems));
        for (const std::string& problem : problems) place_limit_problem(problem, broken);
    }

    void tiers(policy::LimitTable::Options& options) {
        const Node* node = file_.section("tiers").node();
        if (node == nullptr) return;
        for (const Entry& entry : node->entries) {
            if (find_key(joined("limits.*", entry.key)) != nullptr) {
                report_.error(entry.place,
                              in_quotes(entry.key) + " is no name for a tier: limits have a key of this name");
            }
            const bool good = check_scalar(*find_key("tiers.*"), entry.value).empty();
            const double multiplier = good ? parse_number(entry.value.text).value_or(1) : 1;
            const auto known = std::ranges::find(options.tiers, entry.key, &policy::TierSpec::name);
            if (known != options.tiers.end()) {
                known->multiplier = multiplier;
            } else {
                options.tiers.push_back({.name = entry.key, .multiplier = multiplier});
            }
        }
    }

    policy::LimitSpec limit_spec(const Entry& entry, std::set<std::string>& broken) {
        policy::LimitSpec spec;
        spec.name = entry.key;
        const auto rate_of = [&](const Node& node) -> std::optional<limit::Rate> {
            const auto rate = limit::parse_rate(node.text);
            if (rate) return *rate;
            broken.insert(entry.key);
            return std::nullopt;
        };
        if (!entry.value.is(Node::Kind::kMap)) {
            spec.base = rate_of(entry.value);
            return spec;
        }
        const Section section(&entry.value, entry.value.place, "limits.*");
        if (const Node* rate = entry.value.find("rate")) spec.base = rate_of(*rate);
        if (section.has("algorithm")) spec.algorithm = section.choice<limit::Algorithm>("algorithm");
        if (section.has("burst")) spec.burst = section.integer("burst");
        if (section.has("group")) spec.group = section.text("group");
        if (section.has("count_denied")) spec.count_denied = section.boolean("count_denied");
        if (section.has("shadow")) spec.shadow = section.boolean("shadow");
        if (section.has("per")) spec.per = subject_parts(section, entry.key, broken);
        for (const Entry& part : entry.value.entries) {
            const Key* row = find_key(joined("limits.*", part.key));
            if (row == nullptr || part.key == "*") {
                if (const auto rate = rate_of(part.value)) spec.by_tier.emplace(part.key, *rate);
            } else if (row->shape == Shape::kOne && !check_scalar(*row, part.value).empty()) {
                broken.insert(entry.key);
            }
        }
        return spec;
    }

    std::vector<policy::SubjectPart> subject_parts(const Section& section, const std::string& name,
                                                   std::set<std::string>& broken) {
        std::vector<policy::SubjectPart> parts;
        for (const Item& item : section.list("per")) {
            const auto part = policy::parse_subject_part(item.text);
            if (!part) {
                broken.insert(name);
                continue;
            }
            if (std::ranges::find(parts, *part) != parts.end()) {
                report_.error(item.place, "per: " + in_quotes(item.text) + " stands here twice");
            }
            parts.push_back(*part);
        }
        if (section.value("per").is(Node::Kind::kList) && section.value("per").items.empty()) {
            report_.error(section.place("per"), "per: the list is empty");
            broken.insert(name);
        }
        return parts;
    }

    // "limit NAME: what is wrong" goes where the file names it; one that is already known to be broken stays silent.
    void place_limit_problem(const std::string& problem, const std::set<std::string>& broken) {
        Place place = file_.place("limits");
        for (const auto& [section, prefix] : {std::pair("limits", "limit "), std::pair("tiers", "tier ")}) {
            const Node* node = root_.find(section);
            if (node == nullptr) continue;
            for (const Entry& entry : node->entries) {
                if (!problem.starts_with(prefix + entry.key + ":")) continue;
                if (broken.contains(entry.key)) return;
                place = entry.place;
            }
        }
        report_.error(place, problem);
    }

    void identity() {
        identity::Options& options = config_->identity;
        const Section address = file_.section("client_address");
        options.trusted_proxies = networks("trusted_proxies");
        options.trust_unix_peers = address.boolean("trust_unix");
        options.address_source = address.choice<identity::AddressSource>("from");
        config_->subject.ipv6_prefix_bits = static_cast<unsigned>(address.integer("ipv6_prefix"));
        options.limits = config_->limits.get();
        const Section section = file_.section("identity");
        if (section.has("jwt")) jwt(section.section("jwt"));
        if (section.has("lookup")) lookup(section.section("lookup"));
        if (section.has("trusted_headers")) {
            const Section headers = section.section("trusted_headers");
            options.trusted_headers = {.user = headers.text("user"), .tier = headers.text("tier")};
            if (equals_ignoring_case(options.trusted_headers->user, options.trusted_headers->tier)) {
                report_.error(headers.place("tier"), "identity.trusted_headers: user and tier are the same field");
            }
            const bool local =
                options.trust_unix_peers &&
                std::ranges::any_of(config_->listen, [](const Listener& one) { return one.endpoint.is_unix(); });
            if (options.trusted_proxies.empty() && !local) {
                report_.warning(headers.place(),
                                "identity.trusted_headers has no effect: there are no 'trusted_proxies'");
            }
        }
        attributes();
    }

    // What limits ask for beyond user and address.
    void attributes() {
        std::vector<std::string>& names = config_->identity.attributes;
        for (std::size_t i = 0; i < config_->limits->size(); ++i) {
            for (const policy::SubjectPart& part : config_->limits->at(static_cast<policy::LimitId>(i)).per) {
                if (part.kind != policy::SubjectKind::kAttribute) continue;
                if (std::ranges::find(names, part.attribute) == names.end()) names.push_back(part.attribute);
            }
        }
        const bool claims = std::ranges::any_of(names, [](const auto& name) { return name.starts_with("claim:"); });
        if (claims && !config_->identity.jwt) {
            report_.warning(file_.place("limits"),
                            "limits count per claim, but there is no 'identity.jwt': they count the caller");
        }
    }

    void jwt(const Section& section) {
        identity::JwtOptions options;
        for (const Item& item : section.list("from")) {
            if (auto source = identity::parse_token_source(item.text)) options.from.push_back(std::move(*source));
        }
        if (section.value("from").is(Node::Kind::kList) && section.value("from").items.empty()) {
            report_.error(section.place("from"),
                          "identity.jwt.from: the list is empty, so that no token is ever found");
        }
        options.requirements = {.issuer = section.text("issuer"),
                                .audience = section.text("audience"),
                                .leeway = std::chrono::duration_cast<std::chrono::seconds>(section.duration("leeway"))};
        const Section claims = section.section("claims");
        options.claims = {.user = claim_names(claims, "user"),
                          .tier = claim_names(claims, "tier"),
                          .superuser = claim_names(claims, "superuser"),
                          .usage_capped = claim_names(claims, "usage_capped")};
        options.reject_invalid = section.text("on_invalid") == "reject";
        options.keys = token_keys(section, options.reject_invalid);
        config_->identity.jwt = std::move(options);
    }

    void lookup(const Section& section) {
        Lookup lookup;
        if (!section.has("url")) {
            report_.error(section.place(), "identity.lookup: expected 'url', where the application is asked");
            return;
        }
        std::string reason;
        if (auto url = parse_lookup_url(section.text("url"), reason)) {
            lookup.address = std::move(url->address);
            lookup.target = std::move(url->target);
            if (lookup.address.secure) {
                lookup.address.tls.client =
                    client_tls(section, "ca", lookup.address.host, section.place("url"), sources_, report_);
            } else if (section.has("ca")) {
                report_.warning(section.place("ca"), "identity.lookup.ca has no effect: 'url' is not https");
            }
        }
        for (const Item& item : section.list("forward")) {
            auto source = identity::parse_credential_source(item.text, reason);
            if (!source) continue;
            if (std::ranges::find(lookup.forward, *source) != lookup.forward.end()) {
                report_.error(item.place, "identity.lookup.forward: " + in_quotes(item.text) + " stands here twice");
            }
            lookup.forward.push_back(std::move(*source));
        }
        if (section.value("forward").is(Node::Kind::kList) && section.value("forward").items.empty()) {
            report_.error(section.place("forward"),
                          "identity.lookup.forward: the list is empty, so that nobody is ever asked about");
        }
        lookup.cache = section.duration("cache");
        lookup.timeout = section.duration("timeout");
        lookup.on_error = section.choice<identity::OnLookupError>("on_error");
        lookup.entries_max = section.integer("max_entries");
        config_->lookup = std::move(lookup);
    }

    static std::vector<std::string> claim_names(const Section& claims, std::string_view key) {
        std::vector<std::string> names;
        for (Item& item : claims.list(key)) names.push_back(std::move(item.text));
        return names;
    }

    std::shared_ptr<const protocol::jwt::KeySet> token_keys(const Section& section, bool reject) {
        using protocol::jwt::KeySet;
        std::vector<std::string_view> given;
        for (const std::string_view key : {"secret", "public_key", "jwks"}) {
            if (section.has(key)) given.push_back(key);
        }
        if (given.size() != 1) {
            const Place place = given.empty() ? section.place() : section.place(given.back());
            report_.error(place, "identity.jwt: expected exactly one of 'secret', 'public_key' and 'jwks'");
            return nullptr;
        }
        const std::string_view key = given.front();
        const bool remote = key == "jwks" && is_url(section.text(key));
        for (const std::string_view setting : {"jwks_refresh", "jwks_ca"}) {
            if (!remote && section.has(setting)) {
                report_.warning(section.place(setting),
                                "identity.jwt." + std::string(setting) + " has no effect: 'jwks' is no URL");
            }
        }
        if (section.value(key).broken) return nullptr;
        if (remote) {
            remote_keys(section);
            return nullptr;
        }
        std::string material = section.text(key);
        if (key == "secret" && material.empty()) {
            empty_secret(section, reject);
            material = unguessable_secret();
        } else if (key != "secret" && !read_named_file(material, section.place(key), sources_, report_, material)) {
            return nullptr;
        }
        Result<KeySet> keys = key == "secret"       ? KeySet::from_secret(material)
                              : key == "public_key" ? KeySet::from_pem(material)
                                                    : KeySet::from_jwks(material);
        if (!keys) {
            report_.error(section.place(key),
                          "identity.jwt." + std::string(key) + ": " + std::string(keys.error().detail));
            return nullptr;
        }
        return std::make_shared<const KeySet>(std::move(keys).value());
    }

    void remote_keys(const Section& section) {
        std::string reason;
        auto url = parse_jwks_url(section.text("jwks"), reason);
        if (!url) return;  // reported with its row
        RemoteJwks jwks{.address = std::move(url->address),
                        .target = std::move(url->target),
                        .refresh = section.duration("jwks_refresh")};
        if (jwks.address.secure) {
            jwks.address.tls.client =
                client_tls(section, "jwks_ca", jwks.address.host, section.place("jwks"), sources_, report_);
        } else if (section.has("jwks_ca")) {
            report_.warning(section.place("jwks_ca"), "identity.jwt.jwks_ca has no effect: 'jwks' is not https");
        }
        config_->jwks = std::move(jwks);
    }

    void empty_secret(const Section& section, bool reject) {
        if (reject) {
            report_.error(section.place("secret"),
                          "identity.jwt.secret is empty, and 'on_invalid: reject' would refuse every token");
        } else {
            report_.warning(section.place("secret"),
                            "identity.jwt.secret is empty: no token can be verified and every caller is anonymous");
        }
    }

    // Nobody can sign for it: tokens are found, and never valid.
    static std::string unguessable_secret() {
        std::string secret;
        for (int i = 0; i < 2; ++i) {
            for (const std::uint64_t word : random_hash_key()) secret += std::to_string(word);
        }
        return secret;
    }

    void store() {
        config_->key_prefix = file_.text("key_prefix");
        config_->disabled = file_.boolean("disabled");
        if (config_->disabled) {
            report_.warning(file_.place("disabled"), "limits are disabled: everything is allowed, nothing is counted");
        }
        std::string reason;
        if (auto address = store::parse_store_address(file_.text("store"), reason)) {
            config_->store = std::move(*address);
            if (config_->store.tls) {
                config_->store_tls = store_tls(file_, sources_, report_);
            } else if (file_.has("store_tls")) {
                report_.warning(file_.place("store_tls"),
                                "'store_tls' has no effect: 'store' does not begin with rediss");
            }
        }
        config_->on_store_error = file_.choice<OnStoreError>("on_store_error");
        config_->store_timeout = file_.duration("store_timeout");
        const Section memory = file_.section("memory");
        config_->buckets_max = memory.integer("max_buckets");
        config_->snapshot_path = memory.text("snapshot");
    }

    std::vector<Cidr> networks(std::string_view key) {
        std::vector<Cidr> all;
        for (const Item& item : file_.list(key)) {
            if (const auto network = Cidr::parse(item.text)) all.push_back(*network);
        }
        return all;
    }

    std::vector<std::string> subjects(std::string_view key) {
        std::vector<std::string> all;
        for (Item& item : file_.list(key)) {
            if (is_subject_name(item.text)) all.push_back(std::move(item.text));
        }
        return all;
    }

    void exceptions() {
        config_->allow_addresses = networks("allow");
        config_->allow_subjects = subjects("allow");
        config_->block_addresses = networks("block");
        config_->block_subjects = subjects("block");
        if (file_.has("penalty")) {
            const Section penalty = file_.section("penalty");
            config_->penalty = {.after = penalty.rate("after").value_or(limit::Rate{}),
                                .block_for = penalty.duration("block_for")};
        }
        for (Item& item : file_.section("cors").list("origins")) config_->cors_origins.push_back(std::move(item.text));
        config_->shadow = file_.boolean("shadow");
    }

    void process() {
        const Section log = file_.section("log");
        config_->log_level = log.choice<LogLevel>("level");
        config_->log_format = log.choice<log::Format>("format");
        config_->log_denial_interval = log.duration("denial_interval");
        const Section timeouts = file_.section("timeouts");
        config_->timeouts = {.handshake = timeouts.duration("handshake"),
                             .upstream_connect = timeouts.duration("upstream_connect"),
                             .upstream_response = timeouts.duration("upstream_response"),
                             .body = timeouts.duration("body"),
                             .keep_alive = timeouts.duration("keep_alive"),
                             .idle = timeouts.duration("idle"),
                             .close = timeouts.duration("close"),
                             .drain = timeouts.duration("drain")};
        const Section bounds = file_.section("bounds");
        config_->bounds = {.connections_max = bounds.integer("max_connections"),
                           .upstream_idle_max = bounds.integer("max_idle_upstream"),
                           .held_bodies_max = bounds.size("max_held_bodies")};
        config_->workers = static_cast<unsigned>(file_.integer("workers"));
        config_->reactor = file_.choice<net::ReactorKind>("reactor");
    }

    const Node& root_;
    const Sources& sources_;
    Report& report_;
    Section file_;
    std::shared_ptr<Config> config_ = std::make_shared<Config>();
};

}  // namespace

std::vector<std::string> tier_names(const Node& root) {
    std::vector<std::string> names;
    for (policy::TierSpec& tier : policy::builtin_tiers()) names.push_back(std::move(tier.name));
    if (const Node* tiers = root.find("tiers")) {
        for (const Entry& entry : tiers->entries) names.push_back(entry.key);
    }
    return names;
}

std::shared_ptr<Config> build_config(const Node& root, const Sources& sources, Report& report) {
    return Builder(root, sources, report).build();
}

}  // namespace weir::config
