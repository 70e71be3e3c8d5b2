"""`penalty`: who is denied too often is blocked for a time, told so, and let in again."""

import re

import pytest

from common import EVERY_MESSAGE, JWT, SECRET, TRUSTED, bearer, chat, fixed, forwarded, passing
from tokens import user_token
from wire import CLOSE, Refused, wait_until

HOUR = {"after": "3/m", "block_for": "1h"}
REASON = re.compile(r"Blocked for (\d+) seconds?: too many denied requests")


def start(weir, backend, penalty=None, messages=EVERY_MESSAGE, **more):
    """One message and one request an hour; a user is known by its token."""
    routes = more.pop("routes", None) or [chat(messages), {**passing("/limited/**", limit="READ_LIGHT"), "name": "limited"}, passing()]
    return weir(
        backend,
        routes,
        limits={"WS_MESSAGE": fixed("1/h"), "READ_LIGHT": fixed("1/h")},
        identity=JWT,
        trusted_proxies=TRUSTED,
        penalty=penalty or HOUR,
        **more,
    )


def offend(gateway, headers=(), denials=3):
    """A WebSocket on which so many messages have been denied; it is open."""
    client = gateway.websocket(headers=headers)
    client.send("the one that passes")
    client.receive()
    for _ in range(denials):
        client.send("denied")
        client.denied()
    return client


def get_blocked(gateway, headers=()):
    """Offends once more than may be: the subject of `headers` is blocked when this returns."""
    client = offend(gateway, headers)
    client.send("one too many")
    assert_blocked(client.receive_close())


def assert_blocked(close, most=3600):
    code, reason = close
    found = REASON.fullmatch(reason)
    assert code == 4029 and found and 1 <= int(found[1]) <= most, close
    assert len(reason.encode()) <= 123


def lines(gateway, message):
    return [line for line in gateway.log_lines() if message in line.values()]


def test_the_denial_that_is_one_too_many_closes_the_websocket_with_4029_that_says_until_when(weir, ws_backend):
    gateway = start(weir, ws_backend)
    client = offend(gateway)
    client.send("one too many")
    code, reason = client.receive_close()
    assert (code, reason) == (4029, "Blocked for 3600 seconds: too many denied requests")
    ws_backend.wait_closed()
    assert ws_backend.messages == ["the one that passes"]


def test_a_handshake_of_a_blocked_caller_is_completed_and_closed_and_the_backend_never_sees_it(weir, ws_backend):
    gateway = start(weir, ws_backend)
    get_blocked(gateway)
    assert_blocked(gateway.websocket().receive_close())
    assert len(ws_backend.connections) == 1
    assert gateway.metric("weir_connections_total", route="chat", outcome="blocked") == 1


def test_where_handshakes_are_refused_with_429_a_blocked_caller_gets_403_before_the_handshake(weir, ws_backend):
    gateway = start(weir, ws_backend, routes=[chat(EVERY_MESSAGE, on_limit={"connect": "http_429"})])
    get_blocked(gateway)
    with pytest.raises(Refused) as refused:
        gateway.websocket()
    response = refused.value.response
    assert response.status == 403
    assert 1 <= int(response.headers["Retry-After"]) <= 3600


def test_a_blocked_caller_gets_403_with_retry_after_on_every_route(weir, http_backend):
    gateway = start(weir, http_backend, cors={"origins": ["https://app.example"]})
    assert gateway.get("/limited/echo").status != 429
    for _ in range(4):
        assert gateway.get("/limited/echo").status == 429
    seen = len(http_backend.requests)
    for target in ("/limited/echo", "/echo"):
        response = gateway.get(target, headers=[("Origin", "https://app.example")])
        assert response.status == 403
        seconds = int(response.headers["Retry-After"])
        assert 1 <= seconds <= 3600
        assert response.body.decode() == f"Blocked for {seconds} seconds: too many denied requests\n"
        assert response.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert len(http_backend.requests) == seen
    # A preflight passes, so that a page may read the answer to what follows.
    preflight = [("Origin", "https://app.example"), ("Access-Control-Request-Method", "GET")]
    assert gateway.get("/echo", method="OPTIONS", headers=preflight).status != 403
    assert len(http_backend.requests) == seen + 1


def test_denials_of_messages_and_of_requests_count_together(weir, ws_backend, http_backend):
    gateway = weir(
        None,
        [chat(EVERY_MESSAGE), {**passing("/**", limit="READ_LIGHT"), "upstream": "http"}],
        upstreams={"app": ws_backend.url, "http": http_backend.url},
        limits={"WS_MESSAGE": fixed("1/h"), "READ_LIGHT": fixed("1/h")},
        penalty=HOUR,
    )
    offend(gateway, denials=2)
    assert gateway.get("/echo").status == 200
    assert [gateway.get("/echo").status for _ in range(3)] == [429, 429, 403]


def test_open_websockets_of_the_caller_are_closed_too_on_whichever_worker_they_are(weir, ws_backend):
    gateway = start(weir, ws_backend, workers=2)
    mallory, alice = [bearer(user_token(SECRET, "mallory"))], [bearer(user_token(SECRET, "alice"))]
    silent = [gateway.websocket(headers=mallory) for _ in range(8)]
    other = gateway.websocket(headers=alice)
    wait_until(lambda: len(ws_backend.connections) == 9, "all are open")
    get_blocked(gateway, mallory)
    for client in silent[:4]:
        client.send("not a byte of it passes")
    for client in silent:
        assert_blocked(client.receive_close())
    other.send("nothing happened to others")
    assert other.receive() == "nothing happened to others"
    assert "not a byte of it passes" not in ws_backend.messages


def test_a_block_is_of_the_user_and_not_of_its_address(weir, ws_backend):
    gateway = start(weir, ws_backend)
    get_blocked(gateway, [bearer(user_token(SECRET, "mallory"))])
    for headers in ([bearer(user_token(SECRET, "alice"))], []):
        client = gateway.websocket(headers=headers)
        client.send("x")
        assert client.receive() == "x"
    assert_blocked(gateway.websocket(headers=[bearer(user_token(SECRET, "mallory"))]).receive_close())


def test_a_block_ends_by_itself_and_neither_denials_nor_attempts_extend_it(weir, ws_backend):
    gateway = start(weir, ws_backend, {"after": "3/m", "block_for": "1s"})
    get_blocked(gateway)

    def admitted():
        client = gateway.websocket()
        client.send("?")
        return client.receive_frame().opcode != CLOSE

    assert not admitted()
    wait_until(admitted, "the block ends although it is tried all the time", 5)
    assert gateway.metric("weir_blocked_subjects") == 0
    assert gateway.metric("weir_penalties_total", outcome="blocked") == 1


def test_it_is_logged_once_as_a_warning_and_counted(weir, ws_backend):
    gateway = start(weir, ws_backend)
    assert gateway.metric("weir_blocked_subjects") == 0
    get_blocked(gateway, [forwarded("203.0.113.5")])
    for _ in range(3):
        gateway.websocket(headers=[forwarded("203.0.113.5")]).close()
    (line,) = wait_until(lambda: lines(gateway, "subject blocked"), "the log tells")
    assert line["level"].startswith("warn")
    assert line["subject"] == "ip:203.0.113.5" and line["route"] == "chat"
    assert line["denials"] == 4 and line["seconds"] == 3600
    assert gateway.metric("weir_penalties_total", route="chat", outcome="blocked") == 1
    assert gateway.metric("weir_blocked_subjects") == 1
    assert "203.0.113.5" not in gateway.admin("/metrics").body.decode()


def test_allow_exempts(weir, ws_backend):
    gateway = start(weir, ws_backend, allow=["10.1.0.0/16"])
    client = gateway.websocket(headers=[forwarded("10.1.2.3")])
    for n in range(20):
        client.send(str(n))
        assert client.receive() == str(n)
    assert gateway.metric("weir_penalties_total") == 0


def test_a_limit_in_shadow_never_blocks(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE)],
        limits={"WS_MESSAGE": fixed("1/h", shadow=True)},
        penalty=HOUR,
    )
    client = gateway.websocket()
    for n in range(20):
        client.send(str(n))
        assert client.receive() == str(n)
    assert gateway.metric("weir_penalties_total") == 0


def test_with_shadow_for_everything_a_block_is_told_and_nobody_is_blocked(weir, ws_backend):
    gateway = start(weir, ws_backend, shadow=True)
    client = gateway.websocket()
    for n in range(20):
        client.send(str(n))
        assert client.receive() == str(n)
    assert len(wait_until(lambda: lines(gateway, "subject would be blocked (shadow)"), "the log tells")) == 1
    assert not lines(gateway, "subject blocked")
    assert gateway.metric("weir_penalties_total", outcome="shadow_blocked") == 1
    assert gateway.metric("weir_blocked_subjects") == 0


def test_a_reload_that_changes_the_penalty_keeps_blocks_and_one_that_removes_it_lifts_them(weir, ws_backend):
    gateway = start(weir, ws_backend)
    get_blocked(gateway)
    gateway.reload({**gateway.config, "penalty": {"after": "1000/m", "block_for": "1s"}})
    assert_blocked(gateway.websocket().receive_close())
    without = {key: value for key, value in gateway.config.items() if key != "penalty"}
    gateway.reload(without)

    def admitted():
        client = gateway.websocket()
        client.send("?")
        return client.receive_frame().opcode != CLOSE

    wait_until(admitted, "the block is lifted")
    wait_until(lambda: gateway.metric("weir_blocked_subjects") == 0, "the gauge follows")
    gateway.reload(gateway.config)
    assert admitted(), "what was lifted does not come back"


def test_without_a_penalty_denials_never_block(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("1/h")})
    offend(gateway, denials=30)
    client = gateway.websocket()
    client.send("x")
    client.denied()
