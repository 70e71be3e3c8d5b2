"""Bytes on the wire, written and read without a library, so that a test can send what no library would send.

Frames (RFC 6455), HTTP/1.1 messages (RFC 9112), a blocking WebSocket client and a backend that a test drives by hand.
Every wait here has a bound; nothing sleeps but `wait_until`, which polls a condition.
"""

import base64
import collections
import hashlib
import json
import os
import select
import socket
import ssl  # noqa: F401  (imported so that a missing module fails here and not in a thread of aiohttp)
import struct
import tempfile
import time
import zlib

TIMEOUT = 10.0
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10


def wait_until(condition, what, timeout=TIMEOUT):
    """Polls until `condition()` is true and returns its value; fails with `what` after `timeout`."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(0.005)


class Closed(Exception):
    """The peer ended the connection where more was expected; `bytes` is what came before."""

    def __init__(self, rest=b"", reset=False):
        super().__init__(f"connection {'reset' if reset else 'closed'} after {rest!r}")
        self.bytes, self.reset = rest, reset


class Stream:
    """A socket with a buffer for what was received and not yet read."""

    def __init__(self, sock):
        self.sock, self.buffer = sock, b""
        self.sock.settimeout(TIMEOUT)

    def send(self, data):
        self.sock.sendall(data)

    def send_split(self, data, *points):
        """Sends `data` in pieces cut at `points`, each in a segment of its own as far as the kernel lets us."""
        last = 0
        for point in (*points, len(data)):
            self.sock.sendall(data[last:point])
            last = point

    def fill(self, timeout=TIMEOUT):
        """Receives once. Raises Closed at the end of the stream."""
        self.sock.settimeout(timeout)
        try:
            data = self.sock.recv(262144)
        except ConnectionResetError:
            raise Closed(self.buffer, reset=True) from None
        if not data:
            raise Closed(self.buffer)
        self.buffer += data

    def read(self, n, timeout=TIMEOUT):
        end = time.monotonic() + timeout
        while len(self.buffer) < n:
            left = end - time.monotonic()
            assert left > 0, f"{n} bytes wanted, {len(self.buffer)} came: {self.buffer[:200]!r}"
            self.fill(left)
        data, self.buffer = self.buffer[:n], self.buffer[n:]
        return data

    def read_until(self, mark, timeout=TIMEOUT):
        end = time.monotonic() + timeout
        while mark not in self.buffer:
            left = end - time.monotonic()
            assert left > 0, f"no {mark!r} in {self.buffer[:400]!r}"
            self.fill(left)
        at = self.buffer.index(mark) + len(mark)
        data, self.buffer = self.buffer[:at], self.buffer[at:]
        return data

    def read_to_end(self, timeout=TIMEOUT):
        """Everything up to the peer's FIN (or reset)."""
        end = time.monotonic() + timeout
        try:
            while True:
                left = end - time.monotonic()
                assert left > 0, f"the peer did not close; it sent {self.buffer[:200]!r}"
                self.fill(left)
        except Closed:
            data, self.buffer = self.buffer, b""
            return data

    def quiet(self):
        """True when nothing more has arrived up to now."""
        readable, _, _ = select.select([self.sock], [], [], 0)
        if not readable:
            return not self.buffer
        try:
            self.fill()
        except Closed:
            return False
        return False

    def shutdown(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


def dial(address):
    """`address`: a port on loopback, (host, port), or the path of a Unix socket."""
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(TIMEOUT)
        sock.connect(address)
        return sock
    if isinstance(address, int):
        address = ("127.0.0.1", address)
    sock = socket.create_connection(address, timeout=TIMEOUT)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


# ---------------------------------------------------------------------------------------------------- HTTP


class Headers:
    def __init__(self, pairs):
        self.pairs = pairs

    def __contains__(self, name):
        return any(k.lower() == name.lower() for k, _ in self.pairs)

    def __getitem__(self, name):
        for key, value in self.pairs:
            if key.lower() == name.lower():
                return value
        raise KeyError(f"{name} not in {self.pairs}")

    def get(self, name, default=None):
        return self[name] if name in self else default

    def all(self, name):
        return [v for k, v in self.pairs if k.lower() == name.lower()]

    def __repr__(self):
        return repr(self.pairs)


Message = collections.namedtuple("Message", "first_line headers raw")
Response = collections.namedtuple("Response", "status headers body interim")


def read_head(stream, timeout=TIMEOUT):
    raw = stream.read_until(b"\r\n\r\n", timeout)
    lines = raw[:-4].decode("latin-1").split("\r\n")
    pairs = []
    for line in lines[1:]:
        name, colon, value = line.partition(":")
        assert colon, f"not a field: {line!r}"
        pairs.append((name, value.strip()))
    return Message(lines[0], Headers(pairs), raw)


def read_chunk(stream, timeout=TIMEOUT):
    """One chunk's data; b"" is the last one (its trailers are read too)."""
    size = int(stream.read_until(b"\r\n", timeout).split(b";")[0], 16)
    if size == 0:
        while stream.read_until(b"\r\n", timeout) != b"\r\n":
            pass
        return b""
    data = stream.read(size, timeout)
    assert stream.read(2) == b"\r\n"
    return data


def read_body(stream, headers, until_close=False, timeout=TIMEOUT):
    if "Transfer-Encoding" in headers:
        assert "Content-Length" not in headers, headers
        parts = []
        while True:
            part = read_chunk(stream, timeout)
            if not part:
                return b"".join(parts)
            parts.append(part)
    if "Content-Length" in headers:
        return stream.read(int(headers["Content-Length"]), timeout)
    return stream.read_to_end(timeout) if until_close else b""


def read_request(stream, timeout=TIMEOUT):
    head = read_head(stream, timeout)
    return head, read_body(stream, head.headers, timeout=timeout)


def read_response(stream, method="GET", timeout=TIMEOUT):
    """The final response, with the interim ones (1xx but 101) that came before it."""
    interim = []
    while True:
        head = read_head(stream, timeout)
        status = int(head.first_line.split(" ")[1])
        if 100 <= status < 200 and status != 101:
            interim.append((status, head.headers))
            continue
        body = b""
        if method != "HEAD" and status not in (101, 204, 304):
            body = read_body(stream, head.headers, until_close=True, timeout=timeout)
        return Response(status, head.headers, body, interim)


def request_bytes(target="/", method="GET", headers=(), body=b"", host="example.test"):
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body and not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in headers):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def http(address, target="/", method="GET", headers=(), body=b"", timeout=TIMEOUT):
    """One request on a connection of its own."""
    stream = Stream(dial(address))
    try:
        stream.send(request_bytes(target, method, (*headers, ("Connection", "close")), body))
        return read_response(stream, method, timeout)
    finally:
        stream.close()


# ------------------------------------------------------------------------------------------------ WebSocket

Frame = collections.namedtuple("Frame", "fin rsv opcode payload")


def masked(payload, key):
    if not payload:
        return b""
    keys = (key * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(keys, "big")).to_bytes(len(payload), "big")


def frame(opcode, payload=b"", fin=True, rsv=0, mask=True, key=None):
    """The bytes of one frame. `mask`: as a client sends it; `rsv`: the three bits, 4 is RSV1."""
    if isinstance(payload, str):
        payload = payload.encode()
    head = bytes([(0x80 if fin else 0) | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if len(payload) < 126:
        head += bytes([bit | len(payload)])
    elif len(payload) < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", len(payload))
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
    if not mask:
        return head + payload
    key = os.urandom(4) if key is None else key
    return head + key + masked(payload, key)


def close_frame(code, reason="", mask=True):
    return frame(CLOSE, struct.pack(">H", code) + reason.encode(), mask=mask)


def read_frame(stream, timeout=TIMEOUT):
    first, second = stream.read(2, timeout)
    length = second & 0x7F
    if length == 126:
        (length,) = struct.unpack(">H", stream.read(2, timeout))
    elif length == 127:
        (length,) = struct.unpack(">Q", stream.read(8, timeout))
    key = stream.read(4, timeout) if second & 0x80 else None
    payload = stream.read(length, timeout)
    return Frame(bool(first & 0x80), first >> 4 & 7, first & 15, masked(payload, key) if key else payload)


def close_status(payload):
    return (struct.unpack(">H", payload[:2])[0], payload[2:].decode()) if payload else (1005, "")


def deflated(payload):
    """A message as permessage-deflate sends it, standing alone."""
    if isinstance(payload, str):
        payload = payload.encode()
    engine = zlib.compressobj(9, zlib.DEFLATED, -15)
    return (engine.compress(payload) + engine.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(payload):
    return zlib.decompressobj(-15).decompress(payload + b"\x00\x00\xff\xff")


def accept_key(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def handshake_bytes(path, headers=(), key="dGhlIHNhbXBsZSBub25jZQ==", host="example.test"):
    return request_bytes(
        path,
        headers=(
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Key", key),
            ("Sec-WebSocket-Version", "13"),
            *headers,
        ),
        host=host,
    )


class Refused(Exception):
    """The handshake was answered with something else than 101."""

    def __init__(self, response):
        super().__init__(f"{response.status} {response.headers} {response.body[:200]!r}")
        self.response = response


class WsClient:
    """A blocking WebSocket client that hides nothing: pings are not answered, closes are not echoed."""

    def __init__(self, address, path="/ws/", headers=(), before=b"", behind=b"", meanwhile=None):
        """`before`, `behind`: bytes around the request, in its segment. `meanwhile`: called once it is sent."""
        self.stream = Stream(dial(address))
        key = base64.b64encode(os.urandom(16)).decode()
        self.stream.send(before + handshake_bytes(path, headers, key) + behind)
        if meanwhile is not None:
            meanwhile()
        self.response = read_response(self.stream)
        if self.response.status != 101:
            self.stream.close()
            raise Refused(self.response)
        self.headers = self.response.headers
        assert self.headers["Sec-WebSocket-Accept"] == accept_key(key)
        assert self.headers["Upgrade"].lower() == "websocket"

    def send(self, message):
        self.stream.send(frame(TEXT if isinstance(message, str) else BINARY, message))

    def send_json(self, value):
        self.send(json.dumps(value))

    def send_frame(self, *args, **kwargs):
        self.stream.send(frame(*args, **kwargs))

    def receive_frame(self, timeout=TIMEOUT):
        return read_frame(self.stream, timeout)

    def receive(self, timeout=TIMEOUT):
        """The next data message; a control frame where one was expected is a failure."""
        parts, opcode = b"", None
        while True:
            got = self.receive_frame(timeout)
            assert got.opcode not in (CLOSE, PING, PONG), f"a message was expected: {got}"
            opcode = got.opcode if opcode is None else opcode
            parts += got.payload
            if got.fin:
                return parts.decode() if opcode == TEXT else parts

    def receive_json(self):
        return json.loads(self.receive())

    def receive_close(self, timeout=TIMEOUT):
        got = self.receive_frame(timeout)
        assert got.opcode == CLOSE, f"a Close was expected: {got}"
        return close_status(got.payload)

    def denied(self):
        """The next message, which must be a RATE_LIMITED answer; its data."""
        answer = self.receive_json()
        assert answer["type"] == "RATE_LIMITED", answer
        return answer["data"]

    def receive_sorted(self, count):
        """The next `count` messages as (echoes, data of denials): a denial is answered at once and may come before
        the echo of what was sent earlier."""
        echoes, denials = [], []
        for _ in range(count):
            message = self.receive()
            if isinstance(message, str) and '"RATE_LIMITED"' in message:
                denials.append(json.loads(message)["data"])
            else:
                echoes.append(message)
        return echoes, denials

    def barrier(self, backend_echoes=True):
        """Everything sent before has been dealt with when this returns: a ping goes there and back."""
        mark = os.urandom(8)
        self.send_frame(PING, mark)
        frames = []
        while True:
            got = self.receive_frame()
            if got.opcode == PONG and got.payload == mark:
                return frames
            frames.append(got)

    def end(self, code=1000):
        """A clean close from our side."""
        self.stream.send(close_frame(code))
        while self.receive_frame().opcode != CLOSE:
            pass
        self.stream.close()

    def close(self):
        self.stream.close()


class RawBackend:
    """A listening socket whose connections the test accepts and answers by hand."""

    def __init__(self, unix=False):
        if unix:
            self.path = os.path.join(tempfile.mkdtemp(prefix="weir-"), "backend.sock")
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(self.path)
            self.url = f"unix:{self.path}"
        else:
            self.sock = socket.socket()
            self.sock.bind(("127.0.0.1", 0))
            self.port = self.sock.getsockname()[1]
            self.url = f"http://127.0.0.1:{self.port}"
        self.sock.listen(128)
        self.streams = []

    def accept(self, timeout=TIMEOUT):
        self.sock.settimeout(timeout)
        sock, _ = self.sock.accept()
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream = Stream(sock)
        self.streams.append(stream)
        return stream

    def nobody_called(self):
        return not select.select([self.sock], [], [], 0)[0]

    def accept_websocket(self, extra=b"", behind=b""):
        """Accepts and completes one handshake; `behind` is sent in the segment of the 101."""
        stream = self.accept()
        stream.head = read_head(stream)
        self.answer_handshake(stream, extra, behind)
        return stream

    @staticmethod
    def answer_handshake(stream, extra=b"", behind=b""):
        key = stream.head.headers["Sec-WebSocket-Key"]
        stream.send(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + accept_key(key).encode() + b"\r\n" + extra + b"\r\n" + behind
        )

    def close(self):
        self.sock.close()
        for stream in self.streams:
            stream.close()


def through(gateway, backend, path="/ws/", headers=(), extra=b"", behind=b"", first=b""):
    """One connection with both its ends: the client's and that of a RawBackend, which answers `extra` and `behind`
    with its 101; `first` comes right behind the client's request."""
    ends = []
    client = WsClient(
        gateway.port,
        path,
        headers,
        behind=first,
        meanwhile=lambda: ends.append(backend.accept_websocket(extra, behind)),
    )
    return client, ends[0]
