"""Plain HTTP through the gateway: bodies, connections, fields, and what must not pass."""

import json
import re
import socket

import pytest

from backends import HttpBackend
from common import JWT, SECRET, TRUSTED, bearer, chat, fixed, forwarded, passing
from gateway import free_port
from tokens import user_token
from wire import (
    Closed,
    Refused,
    WsClient,
    http,
    read_chunk,
    read_head,
    read_request,
    read_response,
    request_bytes,
    wait_until,
)

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def exchange(stream, backend_stream, target="/", answer=OK, method="GET"):
    stream.send(request_bytes(target, method))
    head, _ = read_request(backend_stream)
    backend_stream.send(answer)
    return head, read_response(stream, method)


# -------------------------------------------------------------------------------------------- connections


def test_both_sides_are_kept_alive(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/0"))
    peer = raw_backend.accept()
    read_request(peer)
    peer.send(OK)
    assert read_response(stream).body == b"ok"
    for n in range(1, 4):
        head, response = exchange(stream, peer, f"/{n}")
        assert head.first_line == f"GET /{n} HTTP/1.1" and response.body == b"ok"
    assert raw_backend.nobody_called()


def test_a_pooled_upstream_connection_serves_the_next_client(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    first = gateway.stream()
    first.send(request_bytes("/1"))
    peer = raw_backend.accept()
    read_request(peer)
    peer.send(OK)
    read_response(first)
    first.close()
    second = gateway.stream()
    _, response = exchange(second, peer, "/2")
    assert response.status == 200 and raw_backend.nobody_called()


def test_a_pooled_connection_that_died_is_replaced(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    for n in range(3):
        stream.send(request_bytes(f"/{n}"))
        peer = raw_backend.accept()
        read_request(peer)
        peer.send(OK)
        assert read_response(stream).status == 200
        peer.close()


def test_a_request_that_is_not_safe_is_not_sent_twice(weir, raw_backend):
    """RFC 9110 9.2.2: the upstream may have acted on a POST before it closed."""
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/pay", "POST", body=b"once"))
    peer = raw_backend.accept()
    read_request(peer)
    peer.close()
    assert read_response(stream).status == 502
    assert raw_backend.nobody_called()


def test_pipelined_requests_are_answered_in_order(weir, http_backend):
    gateway = weir(http_backend, [passing()])
    stream = gateway.stream()
    stream.send(b"".join(request_bytes(f"/echo/{n}") for n in range(5)))
    for n in range(5):
        assert json.loads(read_response(stream).body)["target"] == f"/echo/{n}"


def test_a_request_of_http_1_0_is_answered_and_its_connection_closed(weir, http_backend):
    gateway = weir(http_backend, [passing()])
    stream = gateway.stream()
    stream.send(b"GET / HTTP/1.0\r\nHost: example.test\r\n\r\n")
    head = read_head(stream)
    assert head.first_line.split(" ")[1] == "200" and "Transfer-Encoding" not in head.headers
    assert stream.read_to_end() == b"hello from app"


def test_connection_close_of_the_client_is_obeyed(weir, http_backend):
    gateway = weir(http_backend, [passing()])
    assert gateway.get("/").body == b"hello from app"  # the helper asks to close
    stream = gateway.stream()
    stream.send(request_bytes("/", headers=[("Connection", "close")]))
    assert read_response(stream).body == b"hello from app"
    assert stream.read_to_end() == b""


def test_unix_sockets_work_on_both_sides(weir, unix_http_backend, tmp_path):
    path = str(tmp_path / "weir.sock")
    gateway = weir(unix_http_backend, [passing()], listen=f"unix:{path}")
    assert http(path, "/").body == b"hello from app"
    assert gateway.port is None


def test_several_listeners_serve_alike(weir, http_backend):
    ports = [free_port(), free_port()]
    weir(http_backend, [passing()], listen=[f"127.0.0.1:{port}" for port in ports])
    for port in ports:
        assert http(port, "/").body == b"hello from app"


# ------------------------------------------------------------------------------------------------- bodies


def test_a_sized_body_streams_to_the_upstream(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/up", "POST", headers=[("Content-Length", "10")]) + b"first")
    peer = raw_backend.accept()
    assert read_head(peer).headers["Content-Length"] == "10"
    assert peer.read(5) == b"first"  # before the rest was sent
    stream.send(b"other")
    assert peer.read(5) == b"other"
    peer.send(OK)
    assert read_response(stream).status == 200


def test_a_chunked_body_streams_to_the_upstream(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/up", "PUT", headers=[("Transfer-Encoding", "chunked")]) + b"5\r\nfirst\r\n")
    peer = raw_backend.accept()
    head = read_head(peer)
    assert head.headers["Transfer-Encoding"] == "chunked" and "Content-Length" not in head.headers
    assert read_chunk(peer) == b"first"
    stream.send(b"A\r\n0123456789\r\n0\r\nX-Trailer: x\r\n\r\n")
    assert read_chunk(peer) == b"0123456789"
    assert read_chunk(peer) == b""
    peer.send(OK)
    assert read_response(stream).status == 200
    _, again = exchange(stream, peer)
    assert again.status == 200


def test_large_bodies_pass_whole_both_ways(weir, http_backend):
    gateway = weir(http_backend, [passing()])
    body = bytes(range(256)) * 8192  # 2 MiB
    assert gateway.get("/echo", method="POST", body=body).status == 200
    assert http_backend.bodies == [body]
    assert gateway.get("/sized/3000000").body == b"x" * 3000000


def test_expect_100_continue_is_answered_before_the_body_is_sent(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/up", "POST", headers=[("Content-Length", "4"), ("Expect", "100-continue")]))
    peer = raw_backend.accept()
    head = read_head(peer)
    if "Expect" in head.headers:  # handed on: then the 100 is the upstream's
        peer.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert read_head(stream).first_line.startswith("HTTP/1.1 100")
    stream.send(b"body")
    assert peer.read(4) == b"body"
    peer.send(OK)
    assert read_response(stream).status == 200


def test_an_answer_before_the_end_of_the_body_reaches_the_client(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/up", "POST", headers=[("Content-Length", "1000000")]) + b"begin")
    peer = raw_backend.accept()
    read_head(peer)
    peer.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch")
    peer.shutdown()
    response = read_response(stream)
    assert response.status == 413 and response.body == b"much"


@pytest.mark.parametrize("target, status", [("/nothing", 204), ("/unchanged", 304), ("/sized/9", 200)])
def test_answers_without_a_body_leave_the_connection_usable(weir, http_backend, target, status):
    gateway = weir(http_backend, [passing()])
    stream = gateway.stream()
    method = "HEAD" if status == 200 else "GET"
    stream.send(request_bytes(target, method))
    response = read_response(stream, method)
    assert response.status == status
    if status == 200:
        assert response.headers["Content-Length"] == "9"
    stream.send(request_bytes("/"))
    assert read_response(stream).body == b"hello from app"


def test_a_chunked_answer_passes(weir, http_backend):
    gateway = weir(http_backend, [passing()])
    stream = gateway.stream()
    for _ in range(2):
        stream.send(request_bytes("/chunked"))
        response = read_response(stream)
        assert response.body == b"one,two,three" and response.headers["Transfer-Encoding"] == "chunked"


def test_an_answer_that_ends_with_its_connection_passes_whole(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/"))
    peer = raw_backend.accept()
    read_request(peer)
    peer.send(b"HTTP/1.1 200 OK\r\n\r\n" + b"z" * 100000)
    peer.close()
    assert read_response(stream).body == b"z" * 100000


def test_an_answer_that_is_cut_off_is_not_passed_off_as_whole(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    for head in (b"Content-Length: 10\r\n\r\nshort", b"Transfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"):
        stream = gateway.stream()
        stream.send(request_bytes("/"))
        peer = raw_backend.accept()
        read_request(peer)
        peer.send(b"HTTP/1.1 200 OK\r\n" + head)
        peer.close()
        with pytest.raises(Closed):
            read_response(stream)


def test_server_sent_events_arrive_as_they_are_sent(weir, http_backend):
    gateway = weir(http_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/events"))
    assert read_head(stream).headers["Content-Type"] == "text/event-stream"
    assert read_chunk(stream) == b"data: one\n\n"  # the second is not sent until we let go
    http_backend.let_go()
    assert read_chunk(stream) == b"data: two\n\n"


def test_interim_answers_pass(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/"))
    peer = raw_backend.accept()
    read_request(peer)
    peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n")
    assert read_head(stream).first_line.startswith("HTTP/1.1 103")
    peer.send(OK)
    assert read_response(stream).body == b"ok"


# ---------------------------------------------------------------------------------------------- upstreams


def test_requests_go_round_the_addresses_of_an_upstream(weir):
    backends = [HttpBackend(name=name) for name in "ab"]
    try:
        gateway = weir([backend.url for backend in backends], [passing()])
        names = [gateway.get("/").headers["X-Backend"] for _ in range(10)]
        assert names.count("a") == names.count("b") == 5
    finally:
        for backend in backends:
            backend.close()


def test_a_dead_address_is_left_out(weir, http_backend, ws_backend):
    dead = f"http://127.0.0.1:{free_port()}"
    gateway = weir([dead, http_backend.url], [passing()])
    assert [gateway.get("/").status for _ in range(10)] == [200] * 10
    chatting = weir([dead, ws_backend.url], [chat()])
    for n in range(4):
        client = chatting.websocket()
        client.send(str(n))
        assert client.receive() == str(n)
        client.end()


def test_an_upstream_that_refuses_is_502_and_counted(weir):
    gateway = weir(f"http://127.0.0.1:{free_port()}", [chat(), passing()])
    assert gateway.get("/").status == 502
    with pytest.raises(Refused) as refused:
        gateway.websocket()
    assert refused.value.response.status == 502
    assert gateway.metric("weir_upstream_errors_total", upstream="app") >= 2


def test_a_unix_socket_that_is_not_there_is_502(weir, tmp_path):
    assert weir(f"unix:{tmp_path}/nobody.sock", [passing()]).get("/").status == 502


def test_an_upstream_that_does_not_answer_in_time_is_504(weir, raw_backend):
    gateway = weir(
        raw_backend, [chat(), passing()], timeouts={"upstream_response": "300ms", "handshake": "300ms"}
    )
    assert gateway.get("/").status == 504
    with pytest.raises(Refused) as refused:
        gateway.websocket()
    assert refused.value.response.status == 504


@pytest.mark.parametrize("nonsense", [b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n", b""])
def test_an_upstream_that_speaks_nonsense_is_502(weir, raw_backend, nonsense):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/", "POST", body=b"x"))
    peer = raw_backend.accept()
    read_request(peer)
    peer.send(nonsense)
    peer.close()
    assert read_response(stream).status == 502


def test_a_refusal_of_the_handshake_by_the_upstream_passes(weir, raw_backend):
    gateway = weir(raw_backend, [chat()])

    def answer():
        peer = raw_backend.accept()
        read_request(peer)
        peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: origin\r\n\r\nno")

    with pytest.raises(Refused) as refused:
        WsClient(gateway.port, "/ws/", meanwhile=answer)
    response = refused.value.response
    assert (response.status, response.body, response.headers["X-Why"]) == (403, b"no", "origin")


def test_an_unlimited_route_passes_a_websocket_too(weir, ws_backend):
    gateway = weir(ws_backend, [passing()])
    client = gateway.websocket("/anything")
    client.send("passes")
    assert client.receive() == "passes"


def test_a_path_without_a_route_is_404(weir, http_backend):
    gateway = weir(http_backend, [passing("/api/**")])
    assert gateway.get("/api/x").status == 200
    assert gateway.get("/other").status == 404
    assert [path for _, path, _ in http_backend.requests] == ["/api/x"]


# ------------------------------------------------------------------------------------------------- fields


def test_fields_of_one_hop_do_not_travel(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    hop = [
        ("Connection", "keep-alive, X-Mine"),
        ("X-Mine", "1"),
        ("Keep-Alive", "timeout=5"),
        ("Proxy-Connection", "keep-alive"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
        ("X-End-To-End", "stays"),
    ]
    stream.send(request_bytes("/", headers=hop))
    peer = raw_backend.accept()
    head, _ = read_request(peer)
    names = {name.lower() for name, _ in head.headers.pairs}
    assert not names & {"x-mine", "keep-alive", "proxy-connection", "te", "upgrade"}
    assert head.headers["X-End-To-End"] == "stays"
    peer.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: X-Theirs\r\nX-Theirs: 1\r\nKeep-Alive: timeout=9\r\n"
        b"X-End-To-End: too\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nok"
    )
    response = read_response(stream)
    assert "X-Theirs" not in response.headers and "Keep-Alive" not in response.headers
    assert response.headers["X-End-To-End"] == "too"
    assert response.headers.all("Set-Cookie") == ["a=1", "b=2"]


def test_the_upstream_is_told_who_asked_and_for_what(weir, http_backend):
    gateway = weir(http_backend, [passing()], trusted_proxies=TRUSTED)
    told = dict(json.loads(gateway.get("/echo?q=1", headers=[forwarded("203.0.113.7")]).body)["headers"])
    assert "203.0.113.7" in told["X-Forwarded-For"]
    assert told["X-Forwarded-Proto"] == "http" and told["X-Forwarded-Host"] == "example.test"
    assert told["Host"] == "example.test"


@pytest.mark.parametrize("target", ["/echo/a%2Fb?c=%20d&&e", "/echo//x/../y/./z", "/echo/%7Euser;v=1?x=/../"])
def test_a_target_is_forwarded_as_it_came(weir, http_backend, target):
    gateway = weir(http_backend, [passing()])
    assert json.loads(gateway.get(target).body)["target"] == target


def test_routes_match_the_normalised_path(weir, http_backend):
    limited = {**passing("/echo/secret/**", limit="READ_LIGHT"), "name": "secret"}
    gateway = weir(http_backend, [limited, passing()])
    for target in ("/echo/secret/x", "/echo/./secret/x", "/echo//secret/x", "/echo/a/../secret/x", "/echo/%73ecret/x"):
        assert "X-RateLimit-Limit" in gateway.get(target).headers, target


SMUGGLED = {
    "both lengths": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX",
    "two lengths": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    "a list of lengths": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1, 2\r\n\r\nab",
    "a signed length": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\na",
    "a negative length": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: -1\r\n\r\na",
    "a hexadecimal length": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0x1\r\n\r\na",
    "a length beyond 64 bits": b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999999999999999\r\n\r\na",
    "identity, chunked": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "xchunked": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunked with a tab before": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in 1.0": b"POST / HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a space before the colon": b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\nHost: h\r\nX-A: b\r\n c\r\n\r\n",
    "a bare LF": b"GET / HTTP/1.1\nHost: h\r\n\r\n",
    "a bare LF between fields": b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n",
    "a bare CR": b"GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n",
    "a NUL": b"GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "a space in the target": b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n",
    "a name with a space": b"GET / HTTP/1.1\r\nHost: h\r\nX Y: z\r\n\r\n",
    "an empty name": b"GET / HTTP/1.1\r\nHost: h\r\n: z\r\n\r\n",
    "no request line": b"hello there\r\n\r\n",
    "another version": b"GET / HTTP/9.9\r\nHost: h\r\n\r\n",
}


@pytest.mark.parametrize("reactor", ["epoll"], indirect=True)
@pytest.mark.parametrize("kind", SMUGGLED)
def test_what_two_parsers_may_read_in_two_ways_is_400_and_reaches_nobody(weir, raw_backend, kind):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(SMUGGLED[kind])
    response = read_response(stream)
    assert response.status == (505 if kind == "another version" else 400)
    stream.read_to_end()
    assert raw_backend.nobody_called()


@pytest.mark.parametrize(
    "body", [b"5;ext=1\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n", b"5\r\nhelloX\r\n0\r\n\r\n", b"-5\r\n", b"fffffffffffffffff\r\n"]
)
def test_a_chunk_that_is_written_oddly_ends_the_exchange(weir, raw_backend, body):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/", "POST", headers=[("Transfer-Encoding", "chunked")]) + body)
    try:
        assert read_response(stream).status == 400
    except Closed:
        pass  # the head had gone upstream already
    stream.read_to_end()
    stream.close()


def test_a_head_that_is_too_large_is_431(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X-Pad: " + b"p" * 40000 + b"\r\n\r\n")
    assert read_response(stream).status == 431
    stream = gateway.stream()
    stream.send(b"GET / HTTP/1.1\r\nHost: h\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(300)) + b"\r\n")
    assert read_response(stream).status in (400, 431)
    assert raw_backend.nobody_called()


def test_a_head_that_comes_too_slowly_is_given_up(weir, raw_backend):
    gateway = weir(raw_backend, [passing()], timeouts={"handshake": "200ms"})
    stream = gateway.stream()
    stream.send(b"GET / HTTP/1.1\r\nHost: h")
    answer = stream.read_to_end()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 408 ")
    idle = gateway.stream()
    assert not idle.read_to_end().startswith(b"HTTP/1.1 2")
    assert raw_backend.nobody_called()


# -------------------------------------------------------------------------------------------------- limits


def test_a_limited_request_is_429_with_problem_details(weir, http_backend):
    gateway = weir(http_backend, [passing(limit="READ_LIGHT")], limits={"READ_LIGHT": fixed("2/m")})
    for left in (1, 0):
        response = gateway.get("/")
        assert response.status == 200
        assert response.headers["X-RateLimit-Limit"] == "2"
        assert response.headers["X-RateLimit-Remaining"] == str(left)
        assert response.headers["RateLimit-Policy"] == '"read_light";q=2;w=60'
        assert re.fullmatch(rf'"read_light";r={left};t=\d+', response.headers["RateLimit"])
        assert "Retry-After" not in response.headers
    denied = gateway.get("/")
    assert denied.status == 429
    assert denied.headers["Content-Type"] == "application/problem+json"
    assert 1 <= int(denied.headers["Retry-After"]) <= 60
    assert denied.headers["X-RateLimit-Remaining"] == "0"
    problem = json.loads(denied.body)
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem["violated-policies"] == ["read_light"]
    assert len(http_backend.requests) == 2


def test_a_denied_post_leaves_the_connection_in_step(weir, http_backend):
    gateway = weir(http_backend, [passing(limit="WRITE_LIGHT")], limits={"WRITE_LIGHT": fixed("1/h")})
    stream = gateway.stream()
    stream.send(request_bytes("/", "POST", body=b"1"))
    assert read_response(stream).status == 200
    # Its body looks like a request; it must never be taken for one.
    stream.send(request_bytes("/", "POST", body=request_bytes("/smuggled")))
    assert read_response(stream).status == 429
    assert [path for _, path, _ in http_backend.requests] == ["/"]
    rest = b""
    try:
        stream.send(request_bytes("/after"))
        rest = read_response(stream).status
    except (Closed, OSError):
        rest = 429  # closing after the refusal is as good
    assert rest == 429
    assert [path for _, path, _ in http_backend.requests] == ["/"]


def test_on_limit_mark_lets_requests_pass_and_tells_the_upstream(weir, http_backend):
    gateway = weir(
        http_backend, [passing(limit="READ_LIGHT", on_limit="mark")], limits={"READ_LIGHT": fixed("1/h")}
    )
    told = [dict(json.loads(gateway.get("/echo", headers=[("X-Weir-Limited", "no")]).body)["headers"]) for _ in range(2)]
    assert "X-Weir-Limited" not in told[0]
    assert told[1]["X-Weir-Limited"] == "read_light"


def test_base_rates_are_multiplied_by_the_tier(weir, http_backend):
    gateway = weir(http_backend, [passing(limit="READ_MEDIUM")], identity=JWT)
    table = [((), "30"), ([bearer(user_token(SECRET, "1"))], "60")]
    table.append(([bearer(user_token(SECRET, "2", is_superuser=True))], "300"))
    table.append(([bearer(user_token(SECRET, "3", is_usage_capped=True))], "30"))
    for headers, count in table:
        assert gateway.get("/", headers=headers).headers["X-RateLimit-Limit"] == count


def test_of_several_limits_the_tightest_speaks_and_ratelimit_lists_all(weir, http_backend):
    gateway = weir(
        http_backend,
        [passing(limit=["READ_LIGHT", "READ_HEAVY"])],
        limits={"READ_LIGHT": fixed("9/h"), "READ_HEAVY": fixed("2/m")},
    )
    response = gateway.get("/")
    assert response.headers["X-RateLimit-Limit"] == "2"
    policies = ", ".join(response.headers.all("RateLimit-Policy"))
    assert '"read_light";q=9;w=3600' in policies and '"read_heavy";q=2;w=60' in policies
    assert '"read_light";r=8' in ", ".join(response.headers.all("RateLimit"))
    gateway.get("/")
    assert json.loads(gateway.get("/").body)["violated-policies"] == ["read_heavy"]


def test_http_and_websockets_share_one_budget(weir, http_backend):
    gateway = weir(
        http_backend,
        [{**chat(connect="SHARED"), "name": "ws"}, passing(limit="SHARED")],
        limits={"SHARED": fixed("2/h")},
    )
    assert gateway.get("/").status == 200
    gateway.websocket("/ws/aiohttp").end()
    assert gateway.get("/").status == 429
    assert gateway.websocket("/ws/aiohttp").receive_close()[0] == 4029


PREFLIGHT = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "POST")]


def test_a_preflight_is_never_counted(weir, http_backend):
    gateway = weir(http_backend, [passing(limit="READ_LIGHT")], limits={"READ_LIGHT": fixed("1/h")})
    for _ in range(3):
        assert gateway.get("/", method="OPTIONS", headers=PREFLIGHT).status == 200
    assert gateway.get("/").status == 200
    assert gateway.get("/").status == 429


def test_our_own_answers_carry_cors_fields_where_configured(weir, http_backend):
    gateway = weir(
        http_backend,
        [passing(limit="READ_LIGHT")],
        limits={"READ_LIGHT": fixed("1/h")},
        cors={"origins": ["https://app.example"]},
    )
    gateway.get("/")
    denied = gateway.get("/", headers=PREFLIGHT[:1])
    assert denied.status == 429
    assert denied.headers["Access-Control-Allow-Origin"] == "https://app.example"
    exposed = denied.headers["Access-Control-Expose-Headers"].lower()
    for name in ("retry-after", "x-ratelimit-remaining", "ratelimit"):
        assert name in exposed
    stranger = gateway.get("/", headers=[("Origin", "https://other.example")])
    assert "Access-Control-Allow-Origin" not in stranger.headers


def test_a_client_that_half_closes_still_gets_its_answer(weir, http_backend):
    gateway = weir(http_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/slow"))
    stream.sock.shutdown(socket.SHUT_WR)
    wait_until(lambda: http_backend.requests, "the request is at the backend")
    http_backend.let_go()
    assert read_response(stream).body == b"at last"


def test_a_client_that_goes_away_frees_its_upstream_connection(weir, raw_backend):
    gateway = weir(raw_backend, [passing()])
    stream = gateway.stream()
    stream.send(request_bytes("/"))
    peer = raw_backend.accept()
    read_request(peer)
    stream.reset()
    assert peer.read_to_end() == b""
