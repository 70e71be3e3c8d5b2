#include "admin/pages.h"

#include <gtest/gtest.h>
#include <string>

namespace weir::admin {
namespace {

using protocol::http::RequestHead;

class FakeControl final : public Control {
  public:
    Health health() override { return health_; }
    Readiness readiness() override { return readiness_; }
    std::string metrics_text() override { return "weir_buckets 1\n"; }
    Health health_;
    Readiness readiness_;
};

RequestHead request(std::string_view method, std::string_view target) {
    RequestHead head;
    head.method = method;
    head.target = target;
    return head;
}

class Pages : public testing::Test {
  protected:
    Page get(std::string_view target, std::string_view token = "") {
        return page_for(request("GET", target), control_, token);
    }
    FakeControl control_;
};

TEST_F(Pages, HealthIsOkWhileTheProcessIsAliveEvenWhenItIsNotReady) {
    control_.readiness_ = {.ready = false, .reasons = {"draining"}};
    EXPECT_EQ(get("/healthz").status, 200U);
    EXPECT_EQ(get("/healthz").body, "ok\n");
    control_.health_ = {.alive = false, .detail = "worker 3 \"stuck\""};
    EXPECT_EQ(get("/healthz").status, 503U);
    EXPECT_EQ(get("/healthz").body, "{\"status\":\"not alive\",\"detail\":\"worker 3 \\\"stuck\\\"\"}\n");
}

TEST_F(Pages, ReadinessSaysWhyNotAndWhatIsDegraded) {
    EXPECT_EQ(get("/readyz").body, "ready\n");
    control_.readiness_ = {.ready = false, .reasons = {"draining", "store unreachable"}};
    EXPECT_EQ(get("/readyz").status, 503U);
    EXPECT_EQ(get("/readyz").content_type, "application/json");
    EXPECT_EQ(get("/readyz").body, "{\"status\":\"not ready\",\"reasons\":[\"draining\",\"store unreachable\"]}\n");
    control_.readiness_ = {.ready = true, .reasons = {"store unreachable"}};
    EXPECT_EQ(get("/readyz").status, 200U);
    EXPECT_EQ(get("/readyz").body, "{\"status\":\"degraded\",\"reasons\":[\"store unreachable\"]}\n");
}

TEST_F(Pages, FindsThePathInBothFormsOfATargetAndWithoutItsQuery) {
    EXPECT_EQ(get("/healthz?verbose=/readyz").body, "ok\n");
    EXPECT_EQ(get("http://127.0.0.1:9180/healthz").body, "ok\n");
    EXPECT_EQ(get("http://127.0.0.1:9180").status, 404U);
    for (const char* target : {"/", "/healthz/", "/HEALTHZ", "*", "", "/x?http://h/healthz", "//healthz"}) {
        EXPECT_EQ(get(target).status, 404U) << target;
    }
}

TEST_F(Pages, OtherMethodsAreToldWhichAreAllowed) {
    for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "get"}) {
        const Page page = page_for(request(method, "/metrics"), control_, "");
        EXPECT_EQ(page.status, 405U) << method;
        EXPECT_EQ(page.extra_field, "Allow: GET, HEAD\r\n");
    }
    EXPECT_EQ(page_for(request("POST", "/nothing"), control_, "").status, 404U);
}

TEST_F(Pages, WithATokenMetricsAskForItAndProbesDoNot) {
    const auto with = [&](std::string_view value) {
        RequestHead head = request("GET", "/metrics");
        head.fields.push_back({"Authorization", value});
        return page_for(head, control_, "s3cret").status;
    };
    EXPECT_EQ(get("/metrics", "s3cret").status, 401U);
    EXPECT_EQ(get("/healthz", "s3cret").status, 200U);
    EXPECT_EQ(get("/readyz", "s3cret").status, 200U);
    EXPECT_EQ(with("Bearer s3cret"), 200U);
    EXPECT_EQ(with("bearer  s3cret"), 200U);
    for (const char* wrong : {"Bearer s3creT", "Bearer s3cre", "Bearer ", "Bearer", "Basic s3cret", "s3cret", ""}) {
        EXPECT_EQ(with(wrong), 401U) << wrong;
    }
}

TEST(AdminResponse, HasADateALengthAndNoBodyForHead) {
    const WallTime time{std::chrono::seconds(784111777)};  // RFC 9110 5.6.7
    const Page page{.body = "ok\n"};
    EXPECT_EQ(response_text(page, {}, time),
              "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Type: text/plain; charset=utf-8\r\n"
              "Content-Length: 3\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\nok\n");
    const std::string head = response_text(page, {.keep_alive = false, .head_only = true}, time);
    EXPECT_NE(head.find("Content-Length: 3\r\n"), std::string::npos);
    EXPECT_TRUE(head.ends_with("\r\nConnection: close\r\n\r\n")) << head;
}

}  // namespace
}  // namespace weir::admin
