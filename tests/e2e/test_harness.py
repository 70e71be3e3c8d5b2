"""The clients and backends of these tests, proven against each other without a gateway between them."""

import asyncio

import aiohttp
import pytest
import websockets

from backends import HttpBackend, NodeBackend, WebsocketBackend, node
from wire import (
    BINARY,
    PING,
    PONG,
    TEXT,
    Closed,
    RawBackend,
    Refused,
    Stream,
    WsClient,
    close_frame,
    deflated,
    dial,
    frame,
    http,
    inflated,
    read_frame,
    read_request,
    read_response,
    request_bytes,
)


def test_the_raw_client_and_python_websockets_understand_each_other(ws_backend):
    client = WsClient(ws_backend.port, "/ws/here")
    for message in ("hello", b"\x00\xff", "x" * 200, "y" * 70000):
        client.send(message)
        assert client.receive() == message
    client.send_frame(PING, b"?")
    assert client.receive_frame()[2:] == (PONG, b"?")
    client.end(1001)
    assert ws_backend.wait_closed() == (1001, "")
    assert ws_backend.connections[0].path == "/ws/here"


def test_the_raw_client_speaks_compressed_messages(ws_backend):
    client = WsClient(
        ws_backend.port, headers=[("Sec-WebSocket-Extensions", "permessage-deflate; client_no_context_takeover")]
    )
    assert "permessage-deflate" in client.headers["Sec-WebSocket-Extensions"]
    client.send_frame(TEXT, deflated("again and again"), rsv=4)
    got = client.receive_frame()
    assert got.rsv == 4 and inflated(got.payload) == b"again and again"
    assert ws_backend.messages == ["again and again"]
    client.close()


def test_the_raw_backend_records_exact_bytes(raw_backend):
    stream = Stream(dial(raw_backend.port))
    sent = request_bytes("/a?b", "POST", body=b"body")
    stream.send_split(sent, 1, 7, 30)
    peer = raw_backend.accept()
    head, body = read_request(peer)
    assert head.first_line == "POST /a?b HTTP/1.1" and body == b"body" and head.raw + body == sent
    peer.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    response = read_response(stream)
    assert response.status == 200 and response.body == b"ok" and response.interim[0][0] == 103
    peer.close()
    with pytest.raises(Closed):
        stream.read(1)


def test_frames_are_written_as_they_are_read(raw_backend):
    left = Stream(dial(raw_backend.port))
    right = raw_backend.accept()
    for size in (0, 1, 125, 126, 65535, 65536):
        left.send(frame(BINARY, b"z" * size))
        assert read_frame(right) == (True, 0, BINARY, b"z" * size)
    assert frame(TEXT, "Hello", key=bytes.fromhex("37fa213d")).hex() == "818537fa213d7f9f4d5158"  # RFC 6455 5.7
    assert close_frame(1000, "x", mask=False) == b"\x88\x03\x03\xe8x"


def test_the_http_backend_answers_in_all_its_ways(http_backend, unix_http_backend):
    assert http(http_backend.port, "/").body == b"hello from app"
    assert http(unix_http_backend.path, "/").body == b"hello from app"
    assert http(http_backend.port, "/chunked").body == b"one,two,three"
    assert http(http_backend.port, "/nothing").status == 204
    assert http(http_backend.port, "/unchanged").status == 304
    assert len(http(http_backend.port, "/sized/100000").body) == 100000
    assert http(http_backend.port, "/sized/9", method="HEAD").headers["Content-Length"] == "9"
    with pytest.raises(Refused):
        WsClient(http_backend.port, "/")


def test_npm_ws_is_a_client_and_a_backend(node_backend, ws_backend):
    seen = node("ws_client.mjs", f"ws://127.0.0.1:{node_backend.port}/", 3)
    assert [answer["n"] for answer in seen["answers"]] == [0, 1, 2] and seen["code"] == 1000
    assert len(node_backend.close()) == 3
    assert "permessage-deflate" in node("ws_client.mjs", f"ws://127.0.0.1:{ws_backend.port}/", 1)["extensions"]


def test_aiohttp_and_python_websockets_are_clients(http_backend, ws_backend):
    async def talk():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(f"{ws_backend.url}/ws/", compress=15) as socket:
                await socket.send_str("one")
                assert (await socket.receive(timeout=5)).data == "one"
        async with websockets.connect(f"ws://127.0.0.1:{http_backend.port}/ws/aiohttp") as socket:
            await socket.send("two")
            assert await asyncio.wait_for(socket.recv(), 5) == "two"

    asyncio.run(talk())
