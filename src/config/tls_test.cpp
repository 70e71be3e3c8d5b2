#include "config/tls.h"

#include <gtest/gtest.h>

#include "config/load.h"
#include "net/tls_testing.h"

namespace weir::config {
namespace {

using net::testing_tls::Authority;
using net::testing_tls::Signed;

class TlsConfig : public ::testing::Test {
  protected:
    Loaded load_text(const std::string& text) {
        Sources sources;
        sources.file_name = "weir.yaml";
        sources.text = text;
        sources.read_file = [this](const std::string& path, std::string& content) {
            const auto found = files_.find(path);
            if (found == files_.end()) return false;
            content = found->second;
            return true;
        };
        return load(sources);
    }
    static std::string messages(const std::vector<Problem>& problems) {
        std::string all;
        for (const Problem& problem : problems) all += problem.to_string() + "\n";
        return all;
    }

    Authority authority_;
    Signed one_ = authority_.sign({"DNS:one.test"});
    Signed two_ = authority_.sign({"DNS:*.two.test"});
    std::map<std::string, std::string> files_{{"one.pem", one_.certificate_pem},
                                              {"one.key", one_.key_pem},
                                              {"two.pem", two_.certificate_pem + two_.key_pem},
                                              {"ca.pem", authority_.pem()},
                                              {"empty", ""},
                                              {"junk.pem", "nothing of use"}};
};

constexpr const char* kPlain = "upstreams: {app: http://a}\n";

TEST_F(TlsConfig, AddressesSpeakTlsAndSocketsOfTheMachineDoNot) {
    const Loaded loaded =
        load_text(std::string(kPlain) +
                  "tls: {certificate: one.pem, key: one.key, certificates: [{certificate: two.pem}]}\n"
                  "listen: [0.0.0.0:443, http://0.0.0.0:80, https://0.0.0.0:8443, unix:/run/weir.sock]\n");
    ASSERT_NE(loaded.config, nullptr) << messages(loaded.problems);
    std::vector<bool> tls;
    for (const Listener& listener : loaded.config->listen) tls.push_back(listener.tls);
    EXPECT_EQ(tls, (std::vector<bool>{true, false, true, false}));
    EXPECT_EQ(loaded.config->tls->certificate_for("a.two.test"), 1U);
    EXPECT_EQ(loaded.config->tls->certificate_for("elsewhere"), 0U);
    EXPECT_EQ(messages(loaded.warnings), "");
}

TEST_F(TlsConfig, AFileThatIsOfNoUseIsAnErrorAtItsKey) {
    const std::pair<const char*, const char*> cases[] = {
        {"tls: {certificate: junk.pem, key: one.key}",
         "weir.yaml:2:20: tls.certificate: the file 'junk.pem' holds no "},
        {"tls: {certificate: one.pem, key: junk.pem}",
         "weir.yaml:2:34: tls.key: the file 'junk.pem' holds no private "},
        {"tls: {certificate: one.pem}", "weir.yaml:2:20: tls.certificate: the file 'one.pem' holds no private key"},
        {"tls: {certificate: one.pem, key: two.pem}",
         "weir.yaml:2:34: tls.key: the file 'two.pem' holds a key that is "},
        {"tls: {certificate: empty, key: one.key}", "weir.yaml:2:20: tls.certificate: the file is empty"},
        {"tls: {certificates: [{certificate: two.pem}, {certificate: junk.pem}]}",
         "weir.yaml:2:60: tls.certificates.certificate: the file 'junk.pem' holds no certificate"},
        {"tls: {certificate: two.pem, client_certificates: optional, client_ca: junk.pem}",
         "weir.yaml:2:71: tls.client_ca: the file 'junk.pem' holds no certificate of an authority"},
    };
    for (const auto& [text, expected] : cases) {
        const Loaded loaded = load_text(std::string(kPlain) + text + "\n");
        EXPECT_EQ(loaded.config, nullptr) << text;
        EXPECT_TRUE(messages(loaded.problems).starts_with(expected)) << text << "\n" << messages(loaded.problems);
    }
}

TEST_F(TlsConfig, EachSecureAddressOfAnUpstreamIsVerifiedByItsOwnName) {
    const Loaded loaded = load_text(
        "upstreams: {app: [\"https://a.test\", \"https://b.test:8443\", \"http://c.test\"]}\n"
        "upstream_tls: {app: {ca: ca.pem}}\n");
    ASSERT_NE(loaded.config, nullptr) << messages(loaded.problems);
    const auto& addresses = loaded.config->upstreams[0].addresses;
    EXPECT_EQ(addresses[0].tls.client->server_name(), "a.test");
    EXPECT_EQ(addresses[1].tls.client->server_name(), "b.test");
    EXPECT_EQ(addresses[2].tls.client, nullptr);
    EXPECT_TRUE(addresses[0].tls.client->verifies());
    EXPECT_FALSE(addresses[0].tls == addresses[1].tls);

    const Loaded again = load_text("upstreams: {app: \"https://a.test\"}\nupstream_tls: {app: {ca: ca.pem}}\n");
    EXPECT_TRUE(again.config->upstreams[0].addresses[0].tls == addresses[0].tls) << "the same files";
}

TEST_F(TlsConfig, WhatIsNotVerifiedIsWarnedOf) {
    const Loaded loaded =
        load_text("upstreams: {app: \"https://a.test\"}\nupstream_tls: {app: {verify: false, server_name: x.test}}\n");
    ASSERT_NE(loaded.config, nullptr) << messages(loaded.problems);
    EXPECT_FALSE(loaded.config->upstreams[0].addresses[0].tls.client->verifies());
    EXPECT_EQ(loaded.config->upstreams[0].addresses[0].tls.client->server_name(), "x.test");
    EXPECT_NE(messages(loaded.warnings).find("believed"), std::string::npos);
}

TEST_F(TlsConfig, SettingsWithoutEffectAreWarnedOf) {
    const Loaded loaded = load_text(std::string(kPlain) +
                                    "listen: http://0.0.0.0:80\ntls: {certificate: two.pem, client_ca: ca.pem}\n"
                                    "upstream_tls: {app: {}}\nidentity: {lookup: {url: http://a/who, ca: ca.pem}}\n");
    ASSERT_NE(loaded.config, nullptr) << messages(loaded.problems);
    EXPECT_EQ(loaded.warnings.size(), 4U) << messages(loaded.warnings);
}

}  // namespace
}  // namespace weir::config
