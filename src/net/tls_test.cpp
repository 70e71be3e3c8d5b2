#include "net/tls.h"

#include <gtest/gtest.h>

#include "net/tls_testing.h"

namespace weir::net {
namespace {

using testing_tls::Authority;
using testing_tls::Signed;

TEST(TlsServerNames, AWildcardStandsForOneLabelAndAnExactNameWins) {
    const Authority authority;
    TlsServerOptions options;
    for (const auto& names : std::vector<std::vector<std::string>>{
             {"DNS:first.test"}, {"DNS:*.wild.test"}, {"DNS:Exact.wild.test"}, {"DNS:first.test"}}) {
        const Signed made = authority.sign(names);
        options.certificates.push_back({made.certificate_pem, made.key_pem});
    }
    TlsProblem problem;
    const auto server = TlsServer::make(options, problem);
    ASSERT_NE(server, nullptr) << problem.why;
    EXPECT_EQ(server->certificate_for("a.wild.test"), 1U);
    EXPECT_EQ(server->certificate_for("A.WILD.test."), 1U);
    EXPECT_EQ(server->certificate_for("exact.wild.test"), 2U);
    EXPECT_EQ(server->certificate_for("a.b.wild.test"), 0U);
    EXPECT_EQ(server->certificate_for("wild.test"), 0U);
    EXPECT_EQ(server->certificate_for(".wild.test"), 0U);
    EXPECT_EQ(server->certificate_for("*.wild.test"), 1U) << "no host, and harmless";
    EXPECT_EQ(server->certificate_for("first.test"), 0U) << "who comes first keeps a name";
    EXPECT_EQ(server->certificate_for(""), 0U);
}

TEST(TlsServerNames, ProblemsSayWhichCertificateAndWhichPart) {
    const Authority authority;
    const Signed good = authority.sign({"DNS:a"});
    const Signed other = authority.sign({"DNS:b"});
    const auto problem_of = [](const TlsServerOptions& options) {
        TlsProblem problem;
        EXPECT_EQ(TlsServer::make(options, problem), nullptr);
        EXPECT_FALSE(problem.why.empty());
        return problem;
    };
    TlsServerOptions options{.certificates = {{good.certificate_pem, good.key_pem}, {other.certificate_pem, "x"}}};
    EXPECT_EQ(problem_of(options).part, TlsProblem::Part::kKey);
    EXPECT_EQ(problem_of(options).certificate, 1U);
    options.certificates[1] = {other.certificate_pem, good.key_pem};
    EXPECT_EQ(problem_of(options).part, TlsProblem::Part::kKey);
    options.certificates[1] = {good.certificate_pem.substr(0, 200), good.key_pem};
    EXPECT_EQ(problem_of(options).part, TlsProblem::Part::kCertificate);
    options.certificates.pop_back();
    options.client_certificates = ClientCertificates::kRequired;
    EXPECT_EQ(problem_of(options).part, TlsProblem::Part::kClientCa);
    EXPECT_EQ(problem_of({}).part, TlsProblem::Part::kOther);
}

TEST(TicketKeysAge, AKeySealsForAWhileAndOpensForLonger) {
    TicketKeys keys;
    MonoTime now{std::chrono::hours(1000)};
    const auto first = keys.sealing(now);
    ASSERT_TRUE(first);
    EXPECT_EQ(keys.sealing(now + TicketKeys::kSealFor)->name, first->name);
    now += TicketKeys::kSealFor + std::chrono::seconds(1);
    const auto second = keys.sealing(now);
    EXPECT_NE(second->name, first->name);
    const auto old = keys.opening(first->name.data(), now);
    ASSERT_TRUE(old);
    EXPECT_FALSE(old->current);
    EXPECT_EQ(old->key.cipher, first->cipher);
    EXPECT_TRUE(keys.opening(second->name.data(), now)->current);
    now += 2 * TicketKeys::kSealFor;
    EXPECT_FALSE(keys.opening(first->name.data(), now));
    EXPECT_FALSE(keys.opening(std::array<std::uint8_t, TicketKeys::kNameBytes>{}.data(), now));
}

TEST(TlsClientTrust, FingerprintsTellWhatIsTheSame) {
    const Authority authority;
    std::string why;
    const TlsClientOptions options{.server_name = "a.test", .ca_pem = authority.pem()};
    const auto one = TlsClient::make(options, why);
    ASSERT_NE(one, nullptr) << why;
    EXPECT_EQ(one->fingerprint(), TlsClient::make(options, why)->fingerprint());
    EXPECT_NE(one->fingerprint(), one->for_server("b.test")->fingerprint());
    TlsClientOptions unverified = options;
    unverified.verify = false;
    EXPECT_NE(one->fingerprint(), TlsClient::make(unverified, why)->fingerprint());
    EXPECT_EQ(TlsClient::make({.ca_pem = "junk"}, why), nullptr);
    EXPECT_NE(why.find("authority"), std::string::npos);
}

}  // namespace
}  // namespace weir::net
