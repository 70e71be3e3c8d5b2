"""Backends that are not ours: python websockets, aiohttp, npm ws and graphql-ws. Each runs beside the test and records what it saw."""

import asyncio
import json
import os
import subprocess
import tempfile
import threading
from pathlib import Path

import websockets
from aiohttp import web

from wire import wait_until

HERE = Path(__file__).resolve().parent


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(20)

    def end(self):
        self.call(self._cancel_rest())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()

    async def _cancel_rest(self):
        tasks = [task for task in asyncio.all_tasks(self.loop) if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Seen:
    """One connection as the backend saw it."""

    def __init__(self, path, headers):
        self.path, self.headers = path, headers
        self.messages = []
        self.close = None  # (code, reason) once it has ended


class WebsocketBackend:
    """python websockets: echoes every message and records it with its connection."""

    def __init__(self, compression="deflate", subprotocols=None, echo=True):
        self.connections = []
        self.echo = echo
        self._io = _Loop()
        self._server = self._io.call(self._start(compression, subprotocols))
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def _start(self, compression, subprotocols):
        return await websockets.serve(
            self._serve,
            "127.0.0.1",
            0,
            compression=compression,
            subprotocols=subprotocols,
            ping_interval=None,
            close_timeout=5,
            max_size=16 * 1024 * 1024,
            backlog=4096,
        )

    async def _serve(self, connection):
        seen = Seen(connection.path, connection.request_headers)
        seen.connection = connection
        self.connections.append(seen)
        try:
            async for message in connection:
                seen.messages.append(message)
                if self.echo:
                    await connection.send(message)
        except websockets.ConnectionClosed:
            pass
        finally:
            await connection.wait_closed()
            seen.close = (connection.close_code, connection.close_reason)

    @property
    def messages(self):
        return [message for seen in list(self.connections) for message in list(seen.messages)]

    def send(self, index, message):
        self._io.call(self.connections[index].connection.send(message))

    def close_connection(self, index, code, reason=""):
        self._io.call(self.connections[index].connection.close(code, reason))

    def wait_messages(self, count):
        wait_until(lambda: len(self.messages) >= count, f"{count} messages at the backend")

    def wait_closed(self, index=0):
        return wait_until(lambda: len(self.connections) > index and self.connections[index].close, "the backend's connection has ended")

    def close(self):
        self._server.close()
        self._io.call(self._server.wait_closed())
        self._io.end()


class HttpBackend:
    """aiohttp: what an application answers, by path. /echo tells method, target, headers and body back."""

    def __init__(self, unix=False, name="app", tls=None):
        self.name, self._tls = name, tls
        self.requests = []  # (method, raw path, headers)
        self.bodies = []
        self._io = _Loop()
        self.release = asyncio.run_coroutine_threadsafe(self._event(), self._io.loop).result(10)
        self._runner = self._io.call(self._start(unix))
        if unix:
            self.url = f"unix:{self.path}"
        else:
            self.port = self._runner.addresses[0][1]
            self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    @staticmethod
    async def _event():
        return asyncio.Event()

    def let_go(self):
        """Lets the handlers that wait (/slow, /events) go on."""
        self._io.loop.call_soon_threadsafe(self.release.set)

    async def _start(self, unix):
        app = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[self._record])
        app.router.add_route("*", "/echo{tail:.*}", self._echo)
        app.router.add_get("/sized/{bytes}", self._sized)
        app.router.add_get("/chunked", self._chunked)
        app.router.add_get("/events", self._events)
        app.router.add_get("/slow", self._slow)
        app.router.add_get("/nothing", self._status(204))
        app.router.add_get("/unchanged", self._status(304))
        app.router.add_get("/ws/aiohttp", self._websocket)
        app.router.add_route("*", "/{tail:.*}", self._plain)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        if unix:
            self.path = os.path.join(tempfile.mkdtemp(prefix="weir-"), "app.sock")
            await web.UnixSite(runner, self.path).start()
        else:
            await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=self._tls).start()
        return runner

    @web.middleware
    async def _record(self, request, handler):
        self.requests.append((request.method, request.raw_path, request.headers))
        request.app  # noqa: B018
        response = await handler(request)
        return response

    async def _plain(self, request):
        return web.Response(text=f"hello from {self.name}", headers={"X-Backend": self.name})

    async def _echo(self, request):
        body = await request.read()
        self.bodies.append(body)
        return web.json_response(
            {
                "method": request.method,
                "target": request.raw_path,
                "headers": [[k, v] for k, v in request.headers.items()],
                "body": body.decode("latin-1"),
                "peer": str(request.transport.get_extra_info("peername")),
            }
        )

    async def _sized(self, request):
        return web.Response(body=b"x" * int(request.match_info["bytes"]))

    async def _chunked(self, request):
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for part in (b"one,", b"two,", b"three"):
            await response.write(part)
        await response.write_eof()
        return response

    async def _events(self, request):
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(b"data: one\n\n")
        await self.release.wait()
        await response.write(b"data: two\n\n")
        await response.write_eof()
        return response

    async def _slow(self, request):
        await self.release.wait()
        return web.Response(text="at last")

    @staticmethod
    def _status(status):
        async def answer(request):
            return web.Response(status=status, headers={"ETag": '"1"'})

        return answer

    async def _websocket(self, request):
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            self.bodies.append(message.data)
            if message.type.name == "TEXT":
                await socket.send_str(message.data)
            elif message.type.name == "BINARY":
                await socket.send_bytes(message.data)
        return socket

    def close(self):
        self.let_go()
        self._io.call(self._runner.cleanup())
        self._io.end()


class NodeBackend:
    """npm ws: echoes; what it saw is asked for with a message that starts with "?"."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["node", str(HERE / "node" / "ws_backend.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.url = f"http://127.0.0.1:{self.port}"

    def close(self):
        """Ends it; returns the messages that it received."""
        out, _ = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        return json.loads(out)["messages"]


class GraphqlBackend:
    """npm graphql-ws, HTTP beside it, and npm subscriptions-transport-ws for the older protocol on another port."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["node", str(HERE / "node" / "graphql_ws_backend.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ports = json.loads(self.process.stdout.readline())
        self.port = ports["port"]
        self.url = f"http://127.0.0.1:{self.port}"
        self.legacy_url = f"http://127.0.0.1:{ports['legacyPort']}"

    def close(self):
        """Ends it; returns the names of the root fields that it ran."""
        out, _ = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        return json.loads(out)["ran"]


def node(script, *args, timeout=60):
    """Runs a script of node/ and returns the JSON that it prints last."""
    done = subprocess.run(
        ["node", str(HERE / "node" / script), *map(str, args)], capture_output=True, text=True, timeout=timeout
    )
    assert done.returncode == 0, f"{script} {args}:\n{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.strip().splitlines()[-1])
