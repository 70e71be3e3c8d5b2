#!/usr/bin/env python3
"""Stands in for an application: echoes every WebSocket message, and answers every request with what it received.

    echo.py 8000

Nothing but Python is needed. It is for trying a gateway: it serves on 127.0.0.1, and checks little.
"""

import asyncio
import base64
import hashlib
import json
import struct
import sys

GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
CLOSE, PING, PONG = 8, 9, 10


async def serve(reader, writer):
    try:
        while True:
            request = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = request[0].split(" ", 2)
            fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in request[1:] if line)}
            if fields.get("upgrade", "").lower() == "websocket":
                return await echo(reader, writer, fields)
            await skip_body(reader, fields)
            told = {"method": method, "target": target, "forwarded_for": fields.get("x-forwarded-for"),
                    "forwarded_proto": fields.get("x-forwarded-proto"), "host": fields.get("host")}
            body = json.dumps(told).encode() + b"\n"
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + (b"" if method == "HEAD" else body))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has gone
    finally:
        writer.close()


async def skip_body(reader, fields):
    await reader.readexactly(int(fields.get("content-length", 0)))
    if "chunked" in fields.get("transfer-encoding", ""):
        while (size := int(await reader.readuntil(b"\r\n"), 16)) > 0:
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")


async def echo(reader, writer, fields):
    key = base64.b64encode(hashlib.sha1(fields["sec-websocket-key"].encode() + GUID).digest()).decode()
    writer.write(f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n\r\n".encode())
    while True:
        first, second = await reader.readexactly(2)
        size = second & 127
        if size > 125:
            size = struct.unpack(">H" if size == 126 else ">Q", await reader.readexactly(2 if size == 126 else 8))[0]
        mask = await reader.readexactly(4)
        payload = await reader.readexactly(size)
        payload = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        opcode = first & 15
        if opcode != PONG:
            send(writer, PONG if opcode == PING else opcode, payload, first & 128)
            await writer.drain()
        if opcode == CLOSE:
            return


def send(writer, opcode, payload, final):
    size = len(payload)
    length = bytes([size]) if size < 126 else struct.pack(">BH", 126, size) if size < 65536 else struct.pack(">BQ", 127, size)
    writer.write(bytes([final | opcode]) + length + payload)


async def main(port):
    async with await asyncio.start_server(serve, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: echo.py PORT")
    try:
        asyncio.run(main(int(sys.argv[1])))
    except KeyboardInterrupt:
        pass
