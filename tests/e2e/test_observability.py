"""Logs and metrics: what they say, and what they never say."""

import json

from common import EVERY_MESSAGE, SECRET, TRUSTED, bearer, chat, fixed, forwarded, passing
from tokens import user_token
from wire import TEXT, frame, wait_until


def denials(gateway):
    """The log lines that speak of a denial by WS_MESSAGE."""
    return [line for line in gateway.log_lines() if "WS_MESSAGE" in json.dumps(line)]


def test_a_denial_is_logged_once_per_subject_with_what_an_operator_needs(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("1/h")}, trusted_proxies=TRUSTED)
    client = gateway.websocket(headers=[forwarded("203.0.113.5")])
    client.stream.send(b"".join(frame(TEXT, "x") for _ in range(31)))
    echoes, answers = client.receive_sorted(31)
    assert echoes == ["x"] and len(answers) == 30
    line = wait_until(lambda: denials(gateway), "the denial is in the log")
    assert len(line) == 1
    said = json.dumps(line[0])
    for word in ("203.0.113.5", "chat", "WS_MESSAGE", "1/h"):
        assert word in said, (word, said)
    other = gateway.websocket(headers=[forwarded("203.0.113.6")])
    other.send("x")
    other.receive()
    other.send("x")
    other.denied()
    wait_until(lambda: len(denials(gateway)) == 2, "another subject has a line of its own")


def test_a_later_line_says_how_many_were_left_out(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE)],
        limits={"WS_MESSAGE": fixed("1/h")},
        log={"level": "info", "format": "json", "denial_interval": "1s"},
    )
    client = gateway.websocket()
    client.send("x")
    client.receive()
    for _ in range(25):
        client.send("x")
        client.denied()

    def second_line():
        client.send("x")
        client.denied()
        return len(denials(gateway)) >= 2

    wait_until(second_line, "the next interval has a line")
    numbers = [value for value in denials(gateway)[1].values() if isinstance(value, int)]
    assert any(value >= 24 for value in numbers), denials(gateway)


def test_tokens_cookies_and_message_texts_are_never_logged(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE, connect="WS_CONNECT"), passing(limit="READ_LIGHT")],
        limits={"WS_MESSAGE": fixed("1/h"), "READ_LIGHT": fixed("1/h")},
        identity={
            "jwt": {
                "from": ["authorization", "query:token", "cookie:session", "subprotocol:app.jwt"],
                "secret": SECRET,
                "on_invalid": "reject",
            }
        },
        log={"level": "trace", "format": "json"},
    )
    good, bad = user_token(SECRET, "42"), user_token("another secret of thirty-two bytes", "42")
    for token in (good, bad):
        for place in (
            {"headers": [bearer(token)]},
            {"path": f"/ws/?token={token}"},
            {"headers": [("Cookie", f"session={token}; other=a-secret-cookie")]},
            {"headers": [("Sec-WebSocket-Protocol", f"app.jwt, {token}")]},
        ):
            client = gateway.websocket(**place)
            if token == good:
                for _ in range(2):
                    client.send("a very private message text")
                    client.receive_frame()
            client.stream.send(b"\x81\x05nomask")
            client.receive_frame()
            client.close()
    for _ in range(2):
        gateway.get(f"/path?token={good}", headers=[("Cookie", "other=a-secret-cookie")])
    gateway.stop()
    log = gateway.log()
    for secret in (good, bad, good.split(".")[2], bad.split(".")[2], "a-secret-cookie", "a very private message", SECRET):
        assert secret not in log
    assert "WS_MESSAGE" in log


def test_what_attackers_write_can_not_forge_a_log_line(weir, http_backend):
    gateway = weir(
        http_backend,
        [passing(limit="READ_LIGHT")],
        limits={"READ_LIGHT": {"rate": "1/h", "per": "header:X-Org", "algorithm": "fixed_window"}},
    )
    org = 'a"}{"level":"forged' + "z" * 5000
    for _ in range(2):
        gateway.get("/", headers=[("X-Org", org)])
    wait_until(lambda: "READ_LIGHT" in gateway.log(), "the denial is in the log")
    for line in gateway.log().splitlines():
        parsed = json.loads(line)
        assert parsed.get("level") != "forged"
        assert len(line) < 5000


def test_metrics_tell_what_happened(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE, connect="WS_CONNECT"), passing()],
        limits={"WS_MESSAGE": fixed("5/h")},
    )
    client = gateway.websocket()
    for n in range(8):
        client.send("hello")
        client.receive()
    assert gateway.metric("weir_connections", route="chat") == 1
    decided = {"route": "chat", "limit": "WS_MESSAGE", "tier": "anonymous"}
    assert gateway.metric("weir_decisions_total", outcome="allowed", **decided) == 5
    assert gateway.metric("weir_decisions_total", outcome="denied", **decided) == 3
    assert gateway.metric("weir_decisions_total", limit="WS_CONNECT", outcome="allowed") == 1
    assert gateway.metric("weir_buckets") == 2
    directions = {labels for (name, labels) in gateway.metrics() if name == "weir_messages_total"}
    counts = sorted(gateway.metrics()["weir_messages_total", labels] for labels in directions if dict(labels)["route"] == "chat")
    assert counts == [5, 5]  # of both directions: what passed
    client.end()
    wait_until(lambda: gateway.metric("weir_connections", route="chat") == 0, "the gauge falls")
    assert gateway.metric("weir_connections_total", route="chat") == 1
    assert gateway.metric("weir_bytes_total", route="chat") >= 2 * 5 * len("hello")
    assert gateway.metric("weir_build_info") == 1
    text = gateway.admin("/metrics").body.decode()
    assert "# TYPE weir_decision_seconds histogram" in text
    assert "127.0.0.1" not in text and "ip:" not in text


def test_no_label_holds_a_user_or_an_address(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE, connect="WS_CONNECT")],
        limits={"WS_MESSAGE": fixed("1/h")},
        identity={"jwt": {"from": ["authorization"], "secret": SECRET}},
        trusted_proxies=TRUSTED,
    )
    client = gateway.websocket(headers=[bearer(user_token(SECRET, "somebody")), forwarded("203.0.113.5")])
    for _ in range(3):
        client.send("x")
        client.receive()
    text = gateway.admin("/metrics").body.decode()
    assert "somebody" not in text and "203.0.113.5" not in text
    assert gateway.metric("weir_decisions_total", tier="authenticated", outcome="denied") == 2
