"""What a client must not send, and what must not hurt the others when it does."""

import os
import resource
import select
import socket
import struct

import pytest

from common import EVERY_MESSAGE, chat, fixed, passing
from wire import (
    BINARY,
    CLOSE,
    CONT,
    PING,
    TEXT,
    Refused,
    WsClient,
    frame,
    http,
    read_frame,
    read_response,
    request_bytes,
    through,
    wait_until,
)

BROKEN = {
    "an unmasked frame": frame(TEXT, "x", mask=False),
    "RSV1 that nobody negotiated": frame(TEXT, "x", rsv=4),
    "RSV2": frame(TEXT, "x", rsv=2),
    "RSV3": frame(TEXT, "x", rsv=1),
    "an unknown data opcode": frame(3, "x"),
    "an unknown control opcode": frame(11, "x"),
    "a ping of 126 bytes": frame(PING, "p" * 126),
    "a fragmented ping": frame(PING, "p", fin=False),
    "a continuation of nothing": frame(CONT, "x"),
    "a message inside a message": frame(TEXT, "a", fin=False) + frame(TEXT, "b"),
    "a length that is not the shortest": b"\x81\xfe\x00\x05\0\0\0\0hello",
    "a long length that is not the shortest": b"\x81\xff" + struct.pack(">Q", 5) + b"\0\0\0\0hello",
    "a length with its top bit set": b"\x81\xff" + struct.pack(">Q", 1 << 63) + b"\0\0\0\0",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_framing_is_closed_with_1002_and_the_backend_sees_a_clean_close(weir, ws_backend, kind):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)])
    client = gateway.websocket()
    client.send("before")
    assert client.receive() == "before"
    client.stream.send(BROKEN[kind])
    code, _ = client.receive_close()
    assert code == 1002
    client.close()
    assert ws_backend.wait_closed()[0] not in (None, 1006)
    assert ws_backend.messages == ["before"]


OVERSIZE = {
    "one frame that says so": frame(BINARY, b"x" * 1025),
    "a header alone": b"\x82\xff" + struct.pack(">Q", 1 << 40) + b"\0\0\0\0",
    "fragments that add up": frame(BINARY, b"x" * 600, fin=False) + frame(CONT, b"x" * 600),
    "endless fragments": frame(TEXT, b"", fin=False) + frame(CONT, b"y" * 100, fin=False) * 11,
}


@pytest.mark.parametrize("kind", OVERSIZE)
def test_a_message_beyond_its_bound_is_closed_with_1009_and_the_backend_sees_a_clean_close(weir, ws_backend, kind):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE, max_message_bytes="1KiB")])
    client = gateway.websocket()
    client.send("x" * 1024)
    assert client.receive() == "x" * 1024
    client.stream.send(OVERSIZE[kind])
    assert client.receive_close()[0] == 1009
    client.close()
    assert ws_backend.wait_closed()[0] not in (None, 1006)
    assert ws_backend.messages == ["x" * 1024]


def test_bytes_that_are_no_utf8_pass(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)])
    client, backend = through(gateway, raw_backend)
    sent = frame(TEXT, b"\xc0\xaf\xff")
    client.stream.send(sent)
    assert backend.read(len(sent)) == sent
    client.close()


def test_what_follows_a_close_is_not_forwarded(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)])
    client, backend = through(gateway, raw_backend)
    closing = frame(CLOSE, struct.pack(">H", 1000))
    client.stream.send(closing + frame(TEXT, "after"))
    assert backend.read(len(closing)) == closing
    backend.send(frame(CLOSE, struct.pack(">H", 1000), mask=False))
    backend.shutdown()
    client.stream.read_to_end()
    assert backend.read_to_end() == b""


@pytest.mark.parametrize("payload", [b"\x03", struct.pack(">H", 1005), struct.pack(">H", 999) + b"x"])
def test_a_close_with_a_broken_payload_is_closed_with_1002_and_does_not_reach_the_backend(weir, ws_backend, payload):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)])
    client = gateway.websocket()
    client.send_frame(CLOSE, payload)
    assert client.receive_close()[0] == 1002
    client.close()
    assert ws_backend.wait_closed()[0] not in (None, 1006)


def test_what_a_backend_breaks_passes_as_it_came_and_nothing_of_ours_is_mixed_in(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("1/h", per="connection")})
    for broken in (frame(TEXT, "masked"), b"\x83\x00", frame(PING, "p" * 126, mask=False)):
        client, backend = through(gateway, raw_backend)
        backend.send(broken)
        assert client.stream.read(len(broken)) == broken
        sent = [frame(TEXT, "one"), frame(TEXT, "denied"), frame(PING, "?")]
        client.stream.send(b"".join(sent))
        assert backend.read(len(sent[0] + sent[2])) == sent[0] + sent[2]
        assert client.stream.quiet()  # no answer to the denial where no boundary is known
        client.close()
        backend.read_to_end()
    client, backend = through(gateway, raw_backend)
    client.send_frame(PING, "?")
    assert read_frame(backend).payload == b"?"


@pytest.mark.parametrize(
    "field, value, status",
    [("Sec-WebSocket-Version", "8", (400, 426)), ("Sec-WebSocket-Key", "short", (400,)), ("Sec-WebSocket-Key", None, (400,))],
)
def test_a_broken_handshake_is_refused_and_reaches_nobody(weir, raw_backend, field, value, status):
    gateway = weir(raw_backend, [chat()])
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
    }
    fields[field] = value
    response = http_upgrade(gateway, [(k, v) for k, v in fields.items() if v is not None])
    assert response.status in status
    if response.status == 426:
        assert response.headers["Sec-WebSocket-Version"] == "13"
    assert raw_backend.nobody_called()


def http_upgrade(gateway, fields):
    stream = gateway.stream()
    stream.send(request_bytes("/ws/", headers=fields))
    return read_response(stream)


def test_an_upstream_with_the_wrong_accept_key_is_502(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)])

    def answer():
        peer = raw_backend.accept()
        peer.read_until(b"\r\n\r\n")
        peer.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
        )

    with pytest.raises(Refused) as refused:
        WsClient(gateway.port, "/ws/", meanwhile=answer)
    assert refused.value.response.status == 502


@pytest.mark.parametrize(
    "start", [b"GET /", b"GET / HTTP/1.1\r\nHost: h\r\nX: ", b"\r\n\r\n\r\n", b"\x16\x03\x01\x02\0\x01", os.urandom(64)]
)
def test_an_endless_head_is_cut_off_and_costs_no_memory(weir, http_backend, start):
    gateway = weir(http_backend, [passing()])
    before = gateway.resident_bytes()
    streams = [gateway.stream() for _ in range(20)]
    for stream in streams:
        try:
            stream.send(start + b"a" * 200_000)
        except OSError:
            pass  # refused in the middle
    for stream in streams:
        answer = stream.read_to_end()
        assert answer == b"" or answer.split(b" ")[1] in (b"400", b"414", b"431", b"505"), answer[:100]
    assert gateway.resident_bytes() - before < 24 * 1024 * 1024
    assert gateway.get("/").status == 200


def flood(stream, data, bound):
    """Sends until the other side takes no more for a while; how many bytes went."""
    sent = 0
    stream.sock.setblocking(False)
    while sent < bound:
        if not select.select([], [stream.sock], [], 0.3)[1]:
            break
        try:
            sent += stream.sock.send(data)
        except BlockingIOError:
            continue
    stream.sock.setblocking(True)
    return sent


BOUND = 64 * 1024 * 1024


def test_a_client_that_never_reads_stops_its_backend_and_hurts_nobody(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)])
    before = gateway.resident_bytes()
    client, backend = through(gateway, raw_backend)
    piece = frame(BINARY, b"f" * 65526, mask=False)
    assert len(piece) == 65530
    sent = flood(backend, piece, BOUND)
    assert sent < BOUND, "the backend was never stopped"
    assert gateway.resident_bytes() - before < 16 * 1024 * 1024
    other, other_backend = through(gateway, raw_backend)
    other.send("still served")
    assert read_frame(other_backend).payload == b"still served"
    assert client.stream.read(sent) == (piece * (sent // len(piece) + 1))[:sent]  # and it goes on where it stopped
    rest = piece[sent % len(piece) :] if sent % len(piece) else b""
    backend.send(rest + frame(TEXT, "end", mask=False))
    assert client.stream.read(len(rest)) == rest
    assert client.receive() == "end"
    client.close()


def test_a_backend_that_never_reads_stops_its_client(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("1000000/h")})
    before = gateway.resident_bytes()
    client, backend = through(gateway, raw_backend)
    piece = frame(BINARY, b"f" * 65522, key=b"abcd")
    sent = flood(client.stream, piece, BOUND)
    assert sent < BOUND, "the client was never stopped"
    assert gateway.resident_bytes() - before < 16 * 1024 * 1024
    assert backend.read(sent) == (piece * (sent // len(piece) + 1))[:sent]
    client.close()


def test_a_denied_client_that_never_reads_is_not_written_to_without_bound(weir, raw_backend):
    """The answers of denials are the amplification: they must not pile up."""
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("1/h")})
    before = gateway.resident_bytes()
    client, _ = through(gateway, raw_backend)
    flood(client.stream, frame(TEXT, "x", key=b"abcd") * 5000, 8 * 1024 * 1024)
    assert gateway.resident_bytes() - before < 16 * 1024 * 1024
    other, other_backend = through(gateway, raw_backend)
    other.send_frame(PING, "!")
    assert read_frame(other_backend).payload == b"!"
    client.stream.reset()


def test_a_slow_download_does_not_pile_up_either(weir, http_backend):
    gateway = weir(http_backend, [passing()])
    before = gateway.resident_bytes()
    stream = gateway.stream()
    stream.send(request_bytes(f"/sized/{48 * 1024 * 1024}"))
    wait_until(lambda: http_backend.requests, "the request is at the backend")
    assert gateway.get("/").status == 200
    assert gateway.resident_bytes() - before < 16 * 1024 * 1024
    assert len(read_response(stream, timeout=30).body) == 48 * 1024 * 1024


def test_two_thousand_idle_connections_are_held_and_served(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("100000/h")}, workers=2)
    before = gateway.resident_bytes()
    clients = [gateway.websocket() for _ in range(2000)]
    assert gateway.metric("weir_connections", route="chat") == 2000
    grown = gateway.resident_bytes() - before
    assert grown < 2000 * 16 * 1024, f"{grown} bytes for 2000 idle connections"
    for client in clients[::100]:
        client.send("awake")
    for client in clients[::100]:
        assert client.receive() == "awake"
    for client in clients:
        client.close()
    wait_until(lambda: gateway.metric("weir_connections", route="chat") == 0, "the gauge falls to 0", 20)


def test_ten_thousand_connections_that_say_nothing_cost_the_others_nothing(weir, http_backend):
    # As many as this machine lets one process have, where that is less.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(10_000, hard - 1000)
    gateway = weir(http_backend, [passing()], timeouts={"handshake": "1m"}, workers=2)
    before = gateway.resident_bytes()
    held = []
    try:
        for _ in range(count):
            held.append(socket.create_connection(("127.0.0.1", gateway.port)))
            held[-1].send(b"GET / HT")
        assert http(gateway.port, "/").status == 200
        grown = gateway.resident_bytes() - before
        assert grown < count * 4096, f"{grown} bytes for {count} idle connections"
    finally:
        for connection in held:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert http(gateway.port, "/").status == 200


def test_connections_beyond_the_bound_are_refused_clearly(weir, http_backend):
    gateway = weir(http_backend, [passing()], bounds={"max_connections": 10})
    held = []
    for _ in range(10):
        stream = gateway.stream()
        stream.send(request_bytes("/"))
        assert read_response(stream).status == 200
        held.append(stream)
    beyond = gateway.stream()
    answer = b""
    try:
        beyond.send(request_bytes("/"))
        answer = beyond.read_to_end()
    except OSError:
        pass
    assert answer == b"" or answer.startswith(b"HTTP/1.1 503 ")
    held.pop().close()

    def served():
        try:
            return http(gateway.port, "/").status == 200
        except (OSError, Exception):  # noqa: BLE001  refused as before
            return False

    wait_until(served, "a connection that ended makes room")
