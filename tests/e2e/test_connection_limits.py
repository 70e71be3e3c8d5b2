"""How often, and how many at once: limits on opening a WebSocket."""

import re

import pytest

from common import EVERY_MESSAGE, JWT, SECRET, TRUSTED, bearer, chat, fixed, forwarded, passing
from tokens import user_token
from wire import CLOSE, Refused, close_frame, wait_until


def connect_and_leave(gateway, headers=()):
    gateway.websocket(headers=headers).end()


def test_the_connect_after_the_last_is_completed_and_closed_with_4029_and_the_backend_never_sees_it(weir, ws_backend):
    gateway = weir(ws_backend, [chat(connect="WS_CONNECT")])
    for _ in range(10):
        connect_and_leave(gateway)
    client = gateway.websocket()  # the handshake is completed, so that a browser can read the Close
    assert client.receive_close() == (4029, "Rate limit exceeded: 10/minute")
    client.stream.send(close_frame(4029))
    assert client.stream.read_to_end() == b""
    assert len(ws_backend.connections) == 10


def test_a_known_user_may_connect_as_often_as_its_tier_says(weir, ws_backend):
    gateway = weir(ws_backend, [chat(connect="WS_CONNECT")], identity=JWT)
    for _ in range(30):
        connect_and_leave(gateway, [bearer(user_token(SECRET, "42"))])
    client = gateway.websocket(headers=[bearer(user_token(SECRET, "42"))])
    assert client.receive_close() == (4029, "Rate limit exceeded: 30/minute")
    connect_and_leave(gateway, [bearer(user_token(SECRET, "43"))])
    connect_and_leave(gateway)  # and the address has a budget of its own


def test_the_closed_connection_ends_even_when_the_client_never_answers_the_close(weir, ws_backend):
    gateway = weir(
        ws_backend, [chat(connect="WS_CONNECT")], limits={"WS_CONNECT": fixed("1/m")}, timeouts={"close": "200ms"}
    )
    connect_and_leave(gateway)
    client = gateway.websocket()
    assert client.receive_close()[0] == 4029
    assert client.stream.read_to_end() == b""


def test_on_limit_http_429_refuses_the_handshake_with_retry_after(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(connect="WS_CONNECT", on_limit={"connect": "http_429"})],
        limits={"WS_CONNECT": fixed("2/m")},
    )
    connect_and_leave(gateway)
    connect_and_leave(gateway)
    with pytest.raises(Refused) as refused:
        gateway.websocket()
    response = refused.value.response
    assert response.status == 429
    assert 1 <= int(response.headers["Retry-After"]) <= 60
    assert response.headers["X-RateLimit-Remaining"] == "0"
    assert len(ws_backend.connections) == 2


def test_on_limit_mark_lets_the_handshake_pass_and_tells_the_upstream(weir, ws_backend):
    gateway = weir(
        ws_backend, [chat(connect="WS_CONNECT", on_limit={"connect": "mark"})], limits={"WS_CONNECT": fixed("1/m")}
    )
    for _ in range(2):
        client = gateway.websocket(headers=[("X-Weir-Limited", "forged")])
        client.send("still served")
        assert client.receive() == "still served"
        client.end()
    unmarked, marked = ws_backend.connections
    assert "X-Weir-Limited" not in unmarked.headers
    assert marked.headers.get_all("X-Weir-Limited") == ["ws_connect"]


def test_a_subject_has_no_more_connections_at_once_than_it_may(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(max_connections={"per_subject": 2})],
        trusted_proxies=TRUSTED,
    )
    held = [gateway.websocket() for _ in range(2)]
    assert gateway.websocket().receive_close()[0] == 4029
    other = gateway.websocket(headers=[forwarded("203.0.113.9")])
    other.send("another subject")
    assert other.receive() == "another subject"
    held.pop().end()

    def freed():
        client = gateway.websocket()
        client.send("a place is free again")
        return client.receive_frame().opcode != CLOSE

    wait_until(freed, "a connection that ended makes room")
    assert len(ws_backend.connections) == 4


def test_a_blocked_address_gets_403_before_the_handshake(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(connect="WS_CONNECT"), passing()],
        trusted_proxies=TRUSTED,
        block=["203.0.113.0/24", "user:mallory"],
        identity=JWT,
    )
    blocked = ([forwarded("203.0.113.77")], [bearer(user_token(SECRET, "mallory"))])
    for headers in blocked:
        with pytest.raises(Refused) as refused:
            gateway.websocket(headers=headers)
        assert refused.value.response.status == 403
        assert gateway.get("/", headers=headers).status == 403
    connect_and_leave(gateway, [forwarded("203.0.114.1")])
    assert len(ws_backend.connections) == 1


def test_an_allowed_subject_is_never_limited(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE, connect="WS_CONNECT")],
        limits={"WS_CONNECT": fixed("1/m"), "WS_MESSAGE": fixed("1/m")},
        trusted_proxies=TRUSTED,
        allow=["10.1.0.0/16", "user:monitoring"],
        identity=JWT,
    )
    for headers in ([forwarded("10.1.2.3")], [bearer(user_token(SECRET, "monitoring"))]):
        for _ in range(3):
            client = gateway.websocket(headers=headers)
            for n in range(3):
                client.send(str(n))
                assert client.receive() == str(n)
            client.end()


def test_a_101_tells_the_budget_in_both_kinds_of_fields(weir, ws_backend):
    gateway = weir(ws_backend, [chat(connect="WS_CONNECT")], limits={"WS_CONNECT": fixed("5/m")})
    for left in (4, 3):
        client = gateway.websocket()
        assert client.headers["X-RateLimit-Limit"] == "5"
        assert client.headers["X-RateLimit-Remaining"] == str(left)
        assert 1 <= int(client.headers["X-RateLimit-Reset"]) <= 60
        assert client.headers["RateLimit-Policy"] == '"ws_connect";q=5;w=60'
        found = re.fullmatch(rf'"ws_connect";r={left};t=(\d+)', client.headers["RateLimit"])
        assert found and 1 <= int(found[1]) <= 60
        client.end()


def test_the_closing_101_tells_that_nothing_remains(weir, ws_backend):
    gateway = weir(ws_backend, [chat(connect="WS_CONNECT")], limits={"WS_CONNECT": fixed("1/m")})
    connect_and_leave(gateway)
    client = gateway.websocket()
    assert client.headers["X-RateLimit-Remaining"] == "0"
    assert client.receive_close()[0] == 4029


def test_shadow_decides_and_counts_but_lets_everything_pass(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE, connect="WS_CONNECT")],
        limits={"WS_CONNECT": fixed("1/m"), "WS_MESSAGE": fixed("1/m")},
        shadow=True,
    )
    for _ in range(3):
        client = gateway.websocket()
        client.send("passes")
        assert client.receive() == "passes"
        client.end()
    assert gateway.metric("weir_decisions_total", limit="WS_CONNECT", outcome="shadow_denied") == 2
    assert gateway.metric("weir_decisions_total", limit="WS_MESSAGE", outcome="shadow_denied") == 2


def test_a_window_that_has_ended_gives_its_budget_back(weir, ws_backend):
    gateway = weir(ws_backend, [chat(connect="WS_CONNECT")], limits={"WS_CONNECT": fixed("1/s")})
    connect_and_leave(gateway)

    def admitted():
        client = gateway.websocket()
        client.send("?")
        return client.receive_frame().opcode != CLOSE

    assert not admitted()
    wait_until(admitted, "the next window opens", 5)
