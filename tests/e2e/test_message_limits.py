"""How often a message may be sent inside a WebSocket."""

import json

import pytest

from common import EVERY_MESSAGE, JWT, SECRET, TRUSTED, bearer, chat, fixed, forwarded
from tokens import user_token
from wire import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    TEXT,
    Stream,
    dial,
    frame,
    handshake_bytes,
    read_frame,
    read_response,
    through,
    wait_until,
)

FIVE = {"WS_MESSAGE": fixed("5/m")}


def test_count_messages_pass_and_the_next_is_answered_and_never_reaches_the_backend(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits=FIVE)
    client = gateway.websocket()
    for n in range(5):
        client.send(f"message {n}")
        assert client.receive() == f"message {n}"
    client.send("one too many")
    answer = client.receive_json()
    retry_after = answer["data"].pop("retry_after")
    assert answer == {
        "type": "RATE_LIMITED",
        "content": "Rate limit exceeded: Max 5 requests per minute. Please try again later.",
        "data": {"limit": 5, "remaining": 0, "group": "ws_message"},
    }
    assert 1 <= retry_after <= 60
    client.barrier()  # the connection stays open
    client.end()
    assert ws_backend.messages == [f"message {n}" for n in range(5)]
    assert ws_backend.wait_closed() == (1000, "")


@pytest.mark.parametrize("algorithm", ["fixed_window", "sliding_window", "gcra"])
def test_each_algorithm_admits_exactly_count_at_once(weir, ws_backend, algorithm):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("7/h", algorithm=algorithm)})
    client = gateway.websocket()
    for n in range(20):
        client.send(str(n))
    echoes, denials = client.receive_sorted(20)
    assert echoes == [str(n) for n in range(7)]
    assert [denial["limit"] for denial in denials] == [7] * 13
    client.end()
    assert len(ws_backend.messages) == 7


def test_gcra_takes_a_smaller_burst_and_drips_on(weir, ws_backend):
    gateway = weir(
        ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("10/s", algorithm="gcra", burst=2)}
    )
    client = gateway.websocket()
    client.stream.send(b"".join(frame(TEXT, str(n)) for n in range(4)))
    echoes, denials = client.receive_sorted(4)
    assert echoes[:2] == ["0", "1"] and denials

    def admitted():
        client.send("again")
        return client.receive() == "again"

    wait_until(admitted, "a drop falls", 5)


def test_the_default_tiers_count_as_the_table_says(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], identity=JWT)
    table = [
        ([], 20),
        ([bearer(user_token(SECRET, "a"))], 60),
        ([bearer(user_token(SECRET, "b", is_usage_capped=True))], 30),
        ([bearer(user_token(SECRET, "c", is_superuser=True, is_usage_capped="true"))], 600),
    ]
    for headers, count in table:
        client = gateway.websocket(headers=headers)
        client.stream.send(b"".join(frame(TEXT, "m") for _ in range(count + 1)))
        answers = [client.receive() for _ in range(count + 1)]
        assert answers.count("m") == count
        assert json.loads(next(a for a in answers if a != "m"))["data"]["limit"] == count
        client.end()


def test_a_denied_message_is_dropped_with_all_its_fragments_and_control_frames_between_them_pass(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("1/m")})
    client_frames = [
        frame(TEXT, "allowed"),
        frame(TEXT, "den", fin=False),
        frame(PING, "between"),
        frame(CONT, "i", fin=False),
        frame(CONT, "ed"),
        frame(PING, "after"),
    ]
    client, backend = through(gateway, raw_backend)
    client.stream.send(b"".join(client_frames))
    assert client.denied()["limit"] == 1
    expected = client_frames[0] + client_frames[2] + client_frames[5]
    assert backend.read(len(expected)) == expected
    assert backend.quiet()
    client.close()


def test_the_answer_is_the_routes_own_template(weir, ws_backend):
    template = '{"error":"slow {down}","l":{limit},"r":{remaining},"after":{retry_after},"p":"{period}","g":"{group}"}'
    gateway = weir(
        ws_backend, [chat(EVERY_MESSAGE, on_limit={"answer": template})], limits={"WS_MESSAGE": fixed("1/10s")}
    )
    client = gateway.websocket()
    client.send("one")
    assert client.receive() == "one"
    client.send("two")
    answer = client.receive_json()
    assert 1 <= answer.pop("after") <= 10
    assert answer == {"error": "slow {down}", "l": 1, "r": 0, "p": "10 seconds", "g": "ws_message"}


def test_notify_bounds_the_answers_of_one_connection(weir, ws_backend):
    gateway = weir(
        ws_backend, [chat(EVERY_MESSAGE, on_limit={"notify": "2/h"})], limits={"WS_MESSAGE": fixed("1/h")}
    )
    client = gateway.websocket()
    client.stream.send(b"".join(frame(TEXT, str(n)) for n in range(50)))
    echoes, denials = client.receive_sorted(3)
    assert echoes == ["0"] and len(denials) == 2
    assert client.barrier() == []
    other = gateway.websocket()
    other.send("the address has nothing left, and this connection was told nothing yet")
    other.denied()
    assert ws_backend.messages == ["0"]


def test_close_after_closes_a_connection_that_goes_on(weir, ws_backend):
    gateway = weir(
        ws_backend, [chat(EVERY_MESSAGE, on_limit={"close_after": "3/h"})], limits={"WS_MESSAGE": fixed("2/h")}
    )
    client = gateway.websocket()
    for n in range(2 + 3):
        client.send(str(n))
    echoes, denials = client.receive_sorted(5)
    assert echoes == ["0", "1"] and len(denials) == 3
    assert client.barrier() == []
    client.send("the denial that is too much")
    got = client.receive_frame()
    if got.opcode == TEXT:  # it may be answered before the Close
        got = client.receive_frame()
    assert got.opcode == CLOSE and got.payload[:2] == (4029).to_bytes(2, "big")
    assert ws_backend.wait_closed()[0] in (1000, 1001)
    assert ws_backend.messages == ["0", "1"]


def test_limit_none_passes_uncounted(weir, ws_backend):
    rules = [{"when": {"json": {"equals": {"type": "ping"}}}, "limit": "none"}, {"limit": "WS_MESSAGE"}]
    gateway = weir(ws_backend, [chat(rules)], limits={"WS_MESSAGE": fixed("1/m")})
    client = gateway.websocket()
    client.send_json({"type": "text"})
    assert client.receive_json() == {"type": "text"}
    for _ in range(20):
        client.send_json({"type": "ping"})
        assert client.receive_json() == {"type": "ping"}
    client.send_json({"type": "pong"})
    assert client.denied()["limit"] == 1


def test_of_several_limits_all_must_admit_and_a_denied_one_takes_from_none(weir, ws_backend):
    rules = [{"when": {"json": {"has": "query"}}, "limit": ["WS_AI_QUERY", "WS_MESSAGE"]}, {"limit": "WS_MESSAGE"}]
    gateway = weir(
        ws_backend, [chat(rules)], limits={"WS_MESSAGE": fixed("6/m"), "WS_AI_QUERY": fixed("2/m")}
    )
    client = gateway.websocket()
    for _ in range(2):
        client.send_json({"query": "why"})
        assert client.receive_json() == {"query": "why"}
    for _ in range(5):
        client.send_json({"query": "why"})
        assert client.denied()["group"] == "ws_ai_query"
    for _ in range(4):  # 6 - 2: the denied queries took nothing
        client.send('{"text": "chat"}')
        assert client.receive() == '{"text": "chat"}'
    client.send('{"text": "chat"}')
    assert client.denied()["group"] == "ws_message"


def test_limits_of_one_group_share_a_bucket(weir, ws_backend):
    rules = [{"when": {"binary": True}, "limit": "BLOBS"}, {"limit": "WS_MESSAGE"}]
    gateway = weir(
        ws_backend,
        [chat(rules)],
        limits={"WS_MESSAGE": fixed("4/m", group="talk"), "BLOBS": fixed("4/m", group="talk")},
    )
    client = gateway.websocket()
    for n in range(4):
        client.send("text" if n % 2 else b"binary")
        client.receive()
    client.send(b"binary")
    assert client.denied()["group"] == "talk"
    client.send("text")
    assert client.denied()["group"] == "talk"


DODGES = {
    "plain": [(TEXT, '{"query": "x"}')],
    "an escaped name": [(TEXT, '{"qu\\u0065ry": "x"}')],
    "a duplicate member first": [(TEXT, '{"type": "ping", "type": "query", "query": 1}')],
    "white space": [(TEXT, '\n\t {\r\n "query"\t:\n"x"}  ')],
    "fragments": [(TEXT, '{"que'), (CONT, 'ry": '), (CONT, '"x"}')],
    "an empty first fragment": [(TEXT, ""), (CONT, '{"query": "x"}')],
    "padding beyond inspect_bytes": [(TEXT, " " * 200000 + '{"query": "x"}')],
    "a late member": [(TEXT, '{"type":"ping","pad":"' + "p" * 200000 + '","query":"x"}')],
    "deep nesting": [(TEXT, '{"a":' * 100 + "1" + "}" * 100)],
    "not quite JSON": [(TEXT, "{'query': 'x'}")],
    "a binary frame": [(BINARY, '{"query": "x"}')],
}


@pytest.mark.parametrize("dodge", DODGES)
def test_a_content_rule_is_not_dodged_by(weir, ws_backend, dodge):
    """A message that can't be judged counts under the strictest rule, so no writing is cheaper than the plain one."""
    rules = [
        {"when": {"json": {"equals": {"type": "ping"}}}, "limit": "none"},
        {"when": {"json": {"has": "query"}}, "limit": "WS_AI_QUERY"},
        {"limit": "WS_MESSAGE"},
    ]
    gateway = weir(
        ws_backend, [chat(rules)], limits={"WS_MESSAGE": fixed("50/m"), "WS_AI_QUERY": fixed("2/m")}
    )
    client = gateway.websocket()
    parts = DODGES[dodge]
    message = b"".join(
        frame(opcode, text, fin=n == len(parts) - 1) for n, (opcode, text) in enumerate(parts)
    )
    sent = "".join(text for _, text in parts)
    for _ in range(2):
        client.stream.send(message)
        got = client.receive()
        assert (got.decode() if isinstance(got, bytes) else got) == sent
    client.stream.send(message)
    assert client.denied()["group"] == "ws_ai_query"


def test_conditions_on_size_and_kind_and_their_combinations(weir, ws_backend):
    rules = [
        {"when": {"all": [{"binary": True}, {"larger_than": "1KiB"}]}, "limit": "BIG"},
        {"when": {"any": [{"json": {"equals": {"/a/b": 1}}}, {"json": {"equals": {"kind": "x"}}}]}, "limit": "PICKED"},
        {"when": {"not": {"binary": True}}, "limit": "WORDS"},
        {"limit": "none"},
    ]
    gateway = weir(
        ws_backend,
        [chat(rules)],
        limits={"BIG": fixed("1/m"), "PICKED": fixed("1/m"), "WORDS": fixed("1/m")},
    )
    client = gateway.websocket()

    def outcome(message):
        client.send(message)
        got = client.receive()
        return "passed" if got == message else json.loads(got)["data"]["group"]

    assert outcome(b"b" * 1025) == "passed"
    assert outcome(b"b" * 1025) == "big"
    assert outcome(b"b" * 1024) == "passed"
    assert outcome('{"a": {"b": 1}}') == "passed"
    assert outcome('{"a": {"b": 1.0}}') == "picked"
    assert outcome('{"kind": "x"}') == "picked"
    assert outcome('{"kind": "y"}') == "passed"
    assert outcome('{"kind": "words"}') == "words"
    assert outcome(b"small") == "passed"


@pytest.mark.parametrize("workers", [1, 2])
def test_forty_connections_of_one_user_admit_exactly_count_together(weir, ws_backend, workers):
    ws_backend.echo = False
    gateway = weir(
        ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("100/h")}, identity=JWT, workers=workers
    )
    clients = [gateway.websocket(headers=[bearer(user_token(SECRET, "42"))]) for _ in range(40)]
    burst = b"".join(frame(TEXT, f"m{n}") for n in range(10))
    for client in clients:
        client.stream.send(burst)
    denials = 0
    for client in clients:
        denials += sum(1 for got in client.barrier() if got.opcode == TEXT)
    assert denials == 400 - 100
    assert len(ws_backend.messages) == 100


def test_two_users_and_two_addresses_are_counted_apart(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits=FIVE, identity=JWT, trusted_proxies=TRUSTED)
    for headers in (
        [bearer(user_token(SECRET, "42"))],
        [bearer(user_token(SECRET, "43"))],
        [forwarded("203.0.113.1")],
        [forwarded("203.0.113.2")],
    ):
        client = gateway.websocket(headers=headers)
        for _ in range(5):
            client.send("x")
            assert client.receive() == "x"
        client.send("x")
        client.denied()
        client.end()


def test_ipv6_addresses_of_one_64_share_a_budget(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("1/m")}, trusted_proxies=TRUSTED)
    outcomes = []
    for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1", "::ffff:198.51.100.7", "198.51.100.7"):
        client = gateway.websocket(headers=[forwarded(address)])
        client.send("x")
        outcomes.append(client.receive() == "x")
        client.end()
    assert outcomes == [True, False, True, True, False]


@pytest.mark.parametrize(
    "per, alike",
    [("connection", "own"), ("global", "shared"), ("ip", "shared"), ("claim:org_id", "shared"), ("user", "own")],
)
def test_a_limit_may_count_per(weir, ws_backend, per, alike):
    gateway = weir(
        ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("1/m", per=per)}, identity=JWT
    )
    outcomes = []
    for user in ("1", "2"):
        client = gateway.websocket(headers=[bearer(user_token(SECRET, user, org_id="acme"))])
        client.send("x")
        outcomes.append(client.receive() == "x")
    assert outcomes == ([True, True] if alike == "own" else [True, False])


def test_messages_behind_the_handshake_in_one_segment_are_counted_too(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("2/m")})
    stream = Stream(dial(gateway.port))
    stream.send(handshake_bytes("/ws/") + b"".join(frame(TEXT, str(n)) for n in range(3)))
    assert read_response(stream).status == 101
    got = [read_frame(stream).payload for _ in range(3)]
    assert got[:2] == [b"0", b"1"] or b"RATE_LIMITED" in b"".join(got)
    wait_until(lambda: ws_backend.messages == ["0", "1"], "two of three messages at the backend")
    stream.close()


def test_an_answer_is_never_placed_inside_a_fragmented_message_of_the_backend(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("1/m")})
    client, backend = through(gateway, raw_backend)
    backend.send(frame(TEXT, "be", fin=False, mask=False))
    assert client.receive_frame() == (False, 0, TEXT, b"be")
    client.send("one")
    client.send("two, denied")
    client.send_frame(PING, "mark")
    assert read_frame(backend).payload == b"one"
    assert read_frame(backend).payload == b"mark"  # the gateway has dealt with the denied message between them
    backend.send(frame(CONT, "tw", fin=False, mask=False) + frame(CONT, "een", mask=False))
    assert client.receive_frame() == (False, 0, CONT, b"tw")
    assert client.receive_frame() == (True, 0, CONT, b"een")
    assert client.denied()["limit"] == 1
    client.close()
