"""permessage-deflate goes on working when messages are dropped in the middle (RFC 7692)."""

import asyncio
import json

import aiohttp
import pytest
import websockets

from backends import node
from common import EVERY_MESSAGE, chat, fixed
from wire import BINARY, CONT, TEXT, Refused, deflated, frame, inflated, through

OFFER = [("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")]
WORDS = "the same words again and again " * 20

# Of twenty messages those that say "ai" are limited to three: drops lie between messages that pass.
RULES = [{"when": {"json": {"has": "ai"}}, "limit": "WS_AI_QUERY"}, {"limit": "none"}]
LIMITS = {"WS_AI_QUERY": fixed("3/h")}


def conversation():
    return [json.dumps({("ai" if n % 2 else "n"): n, "words": WORDS}) for n in range(20)]


def check(messages, answers, at_backend):
    """Each message was echoed or answered with a denial; the backend has exactly those that were echoed."""
    passed = []
    for message, answer in zip(messages, answers, strict=True):
        if answer == message:
            passed.append(message)
        else:
            assert json.loads(answer)["type"] == "RATE_LIMITED"
    assert sum('"ai"' in message for message in passed) == 3
    assert sum('"n"' in message for message in passed) == 10
    assert at_backend == passed


def test_python_websockets_keeps_its_compression_across_drops(weir, ws_backend):
    gateway = weir(ws_backend, [chat(RULES)], limits=LIMITS)

    async def talk():
        answers = []
        async with websockets.connect(f"ws://127.0.0.1:{gateway.port}/ws/", compression="deflate") as socket:
            assert any("permessage-deflate" in str(extension.name) for extension in socket.extensions)
            for message in conversation():
                await socket.send(message)
                answers.append(await asyncio.wait_for(socket.recv(), 10))
        return answers

    check(conversation(), asyncio.run(talk()), ws_backend.messages)


def test_aiohttp_keeps_its_compression_across_drops(weir, http_backend):
    gateway = weir(http_backend, [chat(RULES)], limits=LIMITS)

    async def talk():
        answers = []
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"http://127.0.0.1:{gateway.port}/ws/aiohttp", compress=15) as socket:
                assert socket.compress
                for message in conversation():
                    await socket.send_str(message)
                    answers.append((await socket.receive(timeout=10)).data)
        return answers

    check(conversation(), asyncio.run(talk()), http_backend.bodies)


def test_npm_ws_keeps_its_compression_across_drops_on_both_sides(weir, node_backend):
    gateway = weir(node_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("4/h")})
    seen = node("ws_client.mjs", f"ws://127.0.0.1:{gateway.port}/ws/", 10)
    assert "permessage-deflate" in seen["extensions"]
    assert [answer.get("n") for answer in seen["answers"][:4]] == [0, 1, 2, 3]
    assert [answer["type"] for answer in seen["answers"][4:]] == ["RATE_LIMITED"] * 6
    assert (seen["code"], seen["reason"]) == (1000, "done")
    received = node_backend.close()
    assert [json.loads(message)["n"] for message in received] == [0, 1, 2, 3]


def test_the_101_tells_the_client_to_start_each_message_afresh_where_messages_can_be_dropped(weir, ws_backend):
    limited = {**chat(EVERY_MESSAGE, path="/limited"), "name": "limited"}
    free = {**chat(path="/free"), "name": "free"}
    gateway = weir(ws_backend, [limited, free])
    assert "client_no_context_takeover" in gateway.websocket("/limited", OFFER).headers["Sec-WebSocket-Extensions"]
    assert "permessage-deflate" in gateway.websocket("/free", OFFER).headers["Sec-WebSocket-Extensions"]


def test_extensions_that_the_gateway_does_not_know_are_not_offered_to_the_upstream(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)])
    offer = "x-unknown; a=1, permessage-deflate; server_no_context_takeover, permessage-bzip2"
    client, backend = through(gateway, raw_backend, headers=[("Sec-WebSocket-Extensions", offer)])
    offered = ", ".join(backend.head.headers.all("Sec-WebSocket-Extensions"))
    assert "permessage-deflate; server_no_context_takeover" in offered
    assert "x-unknown" not in offered and "bzip2" not in offered
    assert "Sec-WebSocket-Extensions" not in client.headers
    client.close()


def test_an_extension_that_nobody_offered_is_a_bad_upstream(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)])
    with pytest.raises(Refused) as refused:
        through(gateway, raw_backend, extra=b"Sec-WebSocket-Extensions: x-surprise\r\n")
    assert refused.value.response.status == 502


def test_compressed_bytes_pass_as_they_came_and_answers_go_uncompressed(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("1/h")})
    client, backend = through(
        gateway, raw_backend, headers=OFFER, extra=b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    )
    body = deflated(WORDS)
    sent = frame(TEXT, body[:9], fin=False, rsv=4) + frame(CONT, body[9:20], fin=False) + frame(CONT, body[20:])
    client.stream.send(sent)
    assert backend.read(len(sent)) == sent
    client.send_frame(TEXT, deflated("denied"), rsv=4)
    answer = client.receive_frame()
    assert answer.rsv == 0 and b"RATE_LIMITED" in answer.payload
    reply = frame(TEXT, deflated("reply"), rsv=4, mask=False)
    backend.send(reply)
    got = client.receive_frame()
    assert got.rsv == 4 and inflated(got.payload) == b"reply"
    client.close()


@pytest.mark.parametrize(
    "message, group",
    [
        ('{"ai": 1}', "ws_ai_query"),
        ('{"\\u0061i": 1}', "ws_ai_query"),
        ('{"n": 1, "pad": "' + "x" * 3_000_000 + '", "ai": 1}', "ws_ai_query"),  # a few kB on the wire
    ],
    ids=["plain", "escaped", "a bomb that hides it"],
)
def test_a_content_rule_judges_compressed_messages_as_plain_ones(weir, raw_backend, message, group):
    rules = [{"when": {"json": {"has": "ai"}}, "limit": "WS_AI_QUERY"}, {"limit": "WS_MESSAGE"}]
    gateway = weir(
        raw_backend,
        [chat(rules, max_message_bytes="8MiB")],
        limits={"WS_AI_QUERY": fixed("1/h"), "WS_MESSAGE": fixed("100/h")},
    )
    client, backend = through(
        gateway, raw_backend, headers=OFFER, extra=b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    )
    sent = frame(TEXT, deflated(message), rsv=4)
    client.stream.send(sent)
    assert backend.read(len(sent)) == sent
    client.stream.send(sent)
    assert client.denied()["group"] == group
    free = frame(TEXT, deflated('{"n": 1}'), rsv=4)
    client.stream.send(free)
    assert backend.read(len(free)) == free
    client.close()


def test_a_message_that_inflates_beyond_its_bound_is_refused_with_1009(weir, raw_backend):
    rules = [{"when": {"json": {"has": "ai"}}, "limit": "WS_AI_QUERY"}, {"limit": "WS_MESSAGE"}]
    gateway = weir(raw_backend, [chat(rules, max_message_bytes="64KiB")])
    client, backend = through(
        gateway, raw_backend, headers=OFFER, extra=b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    )
    client.send_frame(TEXT, deflated(b" " * 10_000_000), rsv=4)
    assert client.receive_close()[0] == 1009
    assert backend.read(2)[0] == 0x88
    client.close()


def test_what_does_not_inflate_counts_under_the_strictest_rule_or_is_refused(weir, raw_backend):
    rules = [{"when": {"json": {"has": "ai"}}, "limit": "WS_AI_QUERY"}, {"limit": "none"}]
    gateway = weir(raw_backend, [chat(rules)], limits={"WS_AI_QUERY": fixed("1/h")})
    client, backend = through(
        gateway, raw_backend, headers=OFFER, extra=b"Sec-WebSocket-Extensions: permessage-deflate\r\n"
    )
    for _ in range(2):
        client.send_frame(BINARY, b"\xff\xff\xff\xff no deflate", rsv=4)
    got = client.receive_frame()
    assert b"RATE_LIMITED" in got.payload or got.payload[:2] in (b"\x03\xea", b"\x03\xef")  # 1002, 1007
    client.close()


def test_a_compressed_frame_without_the_extension_breaks_the_framing(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)])
    client, backend = through(gateway, raw_backend)
    client.send_frame(TEXT, deflated("x"), rsv=4)
    assert client.receive_close()[0] == 1002
    assert backend.read(2)[0] == 0x88
    client.close()


