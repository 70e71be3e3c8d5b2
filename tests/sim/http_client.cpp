#include "http_client.h"

#include <fmt/format.h>

#include "protocol/http/body.h"
#include "wire.h"

namespace weir::sim {

namespace http = protocol::http;

void HttpClient::send_request() {
    constexpr const char* kMethods[] = {"GET", "GET", "HEAD", "POST", "PUT", "DELETE"};
    SentRequest request{.method = kMethods[random_.below(6)], .body = {}};
    const bool http10 = random_.one_in(12);
    request.preflight = scenario_.cors && random_.one_in(3);
    if (request.preflight) request.method = "OPTIONS";
    std::string text = fmt::format("{} /http/x?c={}&r={}{} HTTP/1.{}\r\nHost: app.example\r\n", request.method, id_,
                                   requests_.size(), scenario_.query_of(id_), http10 ? 0 : 1);
    if (scenario_.cors) text += "Origin: https://app.example\r\n";
    if (request.preflight) text += "Access-Control-Request-Method: POST\r\n";
    const bool with_body = request.method[0] == 'P';
    if (with_body) request.body = random_bytes(random_, random_.below(random_.one_in(5) ? 19'000 : 400));
    if (with_body && !http10 && random_.one_in(2)) {
        text += "Transfer-Encoding: chunked\r\n\r\n";
        for (std::size_t at = 0; at < request.body.size();) {
            const std::size_t size = random_.between(1, request.body.size() - at);
            text += fmt::format("{:x}\r\n", size) + request.body.substr(at, size) + "\r\n";
            at += size;
        }
        text += "0\r\n\r\n";
    } else {
        if (with_body) text += fmt::format("Content-Length: {}\r\n", request.body.size());
        text += "\r\n" + request.body;
    }
    quiet_ = http10;
    requests_.push_back(std::move(request));
    rest_ += text;
    if (!random_.one_in(3)) return read_on();
    const std::size_t part = random_.below(rest_.size() + 1);
    peer_.send(std::string_view(rest_).substr(0, part));
    rest_.erase(0, part);
}

void HttpClient::act() {
    if (peer_.over() || (quiet_ && !random_.one_in(10))) return;
    if (!rest_.empty() && random_.one_in(2)) return read_on();
    switch (random_.below(scenario_.peers_behave ? 10 : 14)) {
        case 8:
            return peer_.stop_reading();
        case 9:
            return peer_.start_reading();
        case 10:
            if (!random_.one_in(6)) return;
            quiet_ = true;
            return random_.one_in(2) ? peer_.reset() : peer_.close();
        case 11:
            if (!random_.one_in(6)) return;
            quiet_ = true;
            return peer_.finish();
        default:
            for (std::uint64_t n = random_.one_in(4) ? random_.between(2, 5) : 1; n > 0 && !quiet_; --n) send_request();
    }
}

void HttpClient::read_on() {
    if (!rest_.empty()) peer_.send(rest_);
    rest_.clear();
    peer_.start_reading();
}

void HttpClient::wind_up() {
    read_on();
    if (random_.one_in(2)) peer_.finish();
}

std::vector<HeardResponse> HttpClient::responses(std::string& error) const {
    std::vector<HeardResponse> responses;
    std::string_view left = peer_.received();
    http::ResponseHead head;
    while (!left.empty()) {
        const std::size_t length = http::head_length(left, 0);
        if (length == 0) break;
        const std::string method = responses.size() < requests_.size() ? requests_[responses.size()].method : "GET";
        if (!http::parse_response_head(left.substr(0, length), method, head)) {
            error = "a response that can't be read: " + std::string(left.substr(0, length));
            return responses;
        }
        HeardResponse response{.status = head.status, .mark = std::string(head.field("x-sim")), .body = {}};
        left.remove_prefix(length);
        if (head.status < 200) continue;
        http::BodyReader reader(head.framing, head.content_length, {.source = ErrorSource::kUpstream});
        while (!reader.done() && !left.empty()) {
            const auto piece = reader.next(left);
            if (!piece) {
                error = "a body that can't be read";
                return responses;
            }
            response.body += piece->content;
            left.remove_prefix(piece->consumed);
        }
        response.whole = reader.done() || (peer_.ended() && reader.end().has_value());
        responses.push_back(std::move(response));
    }
    return responses;
}

}  // namespace weir::sim
