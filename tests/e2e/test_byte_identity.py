"""What passes, passes byte for byte, in both directions and however the bytes are cut."""

import os
import random

import pytest

from common import EVERY_MESSAGE, chat, fixed
from wire import BINARY, CLOSE, CONT, PING, PONG, TEXT, close_frame, frame, through

CONVERSATION = b"".join(
    [
        frame(TEXT, "a first message", key=b"\x01\x02\x03\x04"),
        frame(BINARY, b"", key=b"\0\0\0\0"),
        frame(TEXT, "frag", fin=False),
        frame(PING, "between"),
        frame(CONT, "", fin=False),
        frame(CONT, "men", fin=False),
        frame(PONG, ""),
        frame(CONT, "ted"),
        frame(PING, b"p" * 125),
        frame(BINARY, bytes(range(256))),
        frame(TEXT, b"\xff\xfe no UTF-8, and not ours to judge"),
        frame(BINARY, b"k" * 66000),
        frame(TEXT, "last"),
    ]
)
MESSAGES = 6

# Without content a decision falls at the first header; with content the message waits until it is judged.
RULES = {
    "unlimited": None,
    "decided at the header": EVERY_MESSAGE,
    "decided by content": [{"when": {"json": {"has": "query"}}, "limit": "WS_AI_QUERY"}, {"limit": "WS_MESSAGE"}],
}


@pytest.fixture(params=RULES)
def gateway(request, weir, raw_backend):
    return weir(
        raw_backend,
        [chat(RULES[request.param])],
        limits={"WS_MESSAGE": fixed("100000/h"), "WS_AI_QUERY": fixed("100000/h")},
    )


def test_what_a_client_sends_arrives_as_it_was_sent_at_many_split_points(gateway, raw_backend):
    chance = random.Random(7)
    early = list(range(1, 90))
    for round_number in range(12):
        points = sorted(set(chance.sample(range(1, len(CONVERSATION)), 20) + chance.sample(early, 15)))
        client, backend = through(gateway, raw_backend)
        client.stream.send_split(CONVERSATION, *points)
        assert backend.read(len(CONVERSATION)) == CONVERSATION, f"round {round_number}, cut at {points}"
        assert backend.quiet()
        client.close()


def test_a_conversation_that_comes_byte_by_byte_arrives_as_it_was_sent(gateway, raw_backend):
    client, backend = through(gateway, raw_backend)
    head = CONVERSATION[:600]
    client.stream.send_split(head, *range(1, len(head)))
    client.stream.send(CONVERSATION[600:])
    assert backend.read(len(CONVERSATION)) == CONVERSATION
    client.close()


def test_what_the_backend_sends_arrives_as_it_was_sent(gateway, raw_backend):
    sent = b"".join(
        [
            frame(TEXT, "one", mask=False),
            frame(BINARY, b"fr", fin=False, mask=False),
            frame(PING, "hey", mask=False),
            frame(CONT, b"ag", mask=False),
            frame(BINARY, os.urandom(300000), mask=False),
            frame(TEXT, b"\xc3\x28", mask=False),
        ]
    )
    client, backend = through(gateway, raw_backend)
    backend.send_split(sent, *range(1, 40), 1000, 70000)
    assert client.stream.read(len(sent)) == sent
    client.close()


def test_bytes_behind_the_heads_belong_to_the_first_frames_on_both_sides(gateway, raw_backend):
    ours, theirs = frame(TEXT, "right behind my request"), frame(TEXT, "right behind my 101", mask=False)
    client, backend = through(gateway, raw_backend, first=ours, behind=theirs)
    assert client.stream.read(len(theirs)) == theirs
    assert backend.read(len(ours)) == ours
    client.close()


def test_a_large_message_streams_both_ways_while_it_is_sent(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE, max_message_bytes="8MiB")])
    client, backend = through(gateway, raw_backend)
    body = os.urandom(4 * 1024 * 1024)
    sent = frame(BINARY, body)
    client.stream.send(sent[:70000])
    assert backend.read(60000) == sent[:60000]  # long before its end
    rest, offset = [], 70000
    while offset < len(sent):
        client.stream.send(sent[offset : offset + 65536])
        offset += 65536
        rest.append(backend.read(min(65536, len(sent) - 60000 - sum(map(len, rest)))))
    rest.append(backend.read(len(sent) - 60000 - sum(map(len, rest))))
    assert b"".join(rest) == sent[60000:]
    client.close()


def test_a_denied_message_leaves_no_byte_wherever_it_is_cut(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("1/h", per="connection")})
    allowed = frame(TEXT, "allowed", key=b"abcd")
    denied = [
        frame(TEXT, "d" * 130, fin=False, key=b"efgh"),
        frame(CONT, "e" * 5, fin=False, key=b"ijkl"),
        frame(CONT, "f", key=b"mnop"),
    ]
    ping = frame(PING, "x", key=b"qrst")
    stop = frame(PING, "stop", key=b"uvwx")
    sent = allowed + denied[0] + ping + denied[1] + denied[2] + frame(BINARY, b"also denied") + stop
    expected = allowed + ping + stop
    for cut in (*range(len(allowed) - 2, len(allowed) + 20), *range(len(allowed) + 130, len(sent) - 1, 3)):
        client, backend = through(gateway, raw_backend)
        client.stream.send_split(sent, cut)
        assert backend.read(len(expected)) == expected, f"cut at {cut}"
        assert backend.quiet()
        client.denied()
        client.denied()
        client.close()


@pytest.mark.parametrize("code, reason", [(1000, ""), (1001, "going"), (3000, "library"), (4321, "é" * 60)])
def test_close_codes_and_reasons_pass_both_ways(gateway, raw_backend, code, reason):
    client, backend = through(gateway, raw_backend)
    closing = close_frame(code, reason)
    client.stream.send(closing)
    assert backend.read(len(closing)) == closing
    answer = close_frame(code, reason, mask=False)
    backend.send(answer)
    assert client.stream.read(len(answer)) == answer
    backend.close()
    assert client.stream.read_to_end() == b""

    client, backend = through(gateway, raw_backend)
    backend.send(answer)
    assert client.stream.read(len(answer)) == answer
    client.stream.send(closing)
    assert backend.read(len(closing)) == closing
    client.close()
    assert backend.read_to_end() == b""


def test_a_close_without_a_body_passes(gateway, raw_backend):
    client, backend = through(gateway, raw_backend)
    client.send_frame(CLOSE, b"")
    assert backend.read(6)[:2] == b"\x88\x80"
    backend.send(frame(CLOSE, b"", mask=False))
    assert client.receive_close() == (1005, "")
    client.close()


def test_a_close_from_both_sides_at_once_ends_both(gateway, raw_backend):
    client, backend = through(gateway, raw_backend)
    client.stream.send(close_frame(1000, "mine"))
    backend.send(close_frame(1001, "theirs", mask=False))
    assert client.receive_close() == (1001, "theirs")
    assert backend.read(len(close_frame(1000, "mine")))[:1] == b"\x88"
    client.stream.shutdown()
    assert backend.read_to_end() == b""
    backend.close()
    assert client.stream.read_to_end() == b""


def test_a_reset_on_one_side_ends_the_other(gateway, raw_backend):
    client, backend = through(gateway, raw_backend)
    client.send_frame(TEXT, "half a mess", fin=False)
    client.send_frame(PING, "")
    assert backend.read(2)[0] in (0x01, 0x89)  # a message that must be judged by its content is still held
    client.stream.reset()
    backend.read_to_end()

    client, backend = through(gateway, raw_backend)
    backend.send(b"\x81\x7e")  # the beginning of a header
    backend.reset()
    client.stream.read_to_end()


def test_pings_and_pongs_of_both_sides_reach_the_other_side(gateway, raw_backend):
    client, backend = through(gateway, raw_backend)
    client.stream.send(frame(PING, "from the client"))
    assert backend.read(21)[0] == 0x89
    backend.send(frame(PONG, "from the client", mask=False) + frame(PING, "from the backend", mask=False))
    assert client.receive_frame() == (True, 0, PONG, b"from the client")
    assert client.receive_frame() == (True, 0, PING, b"from the backend")
    client.stream.send(frame(PONG, "from the backend"))
    assert backend.read(22)[0] == 0x8A
    client.close()
