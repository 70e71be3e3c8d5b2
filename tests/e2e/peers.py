"""Servers of node/ that run beside the tests and keep a record of what they have executed, and what tests ask them."""

import json
import re
import subprocess

from aiohttp import web

from backends import HERE, _Loop
from wire import http


class NodeServer:
    """A script of node/ that prints {"port", "record"}: where it serves, and where it tells what it has executed."""

    def __init__(self, script, *args):
        self.process = subprocess.Popen(
            ["node", str(HERE / "node" / script), *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        ports = json.loads(self.process.stdout.readline())
        self.port, self._record = ports["port"], ports["record"]
        self.url = f"http://127.0.0.1:{self.port}"

    def executed(self):
        return json.loads(http(self._record).body)

    def reset(self):
        http(self._record, method="POST")

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(20) == 0


def json_body(value):
    return json.dumps(value).encode()


def post(address, target, value, headers=(), **kwargs):
    """`value`: a text as it is, or what becomes JSON."""
    body = value if isinstance(value, bytes) else json_body(value)
    typed = any(name.lower() == "content-type" for name, _ in headers)
    fields = (*headers,) if typed else (*headers, ("Content-Type", "application/json"))
    return http(address, target, "POST", fields, body, **kwargs)


def quotas(response):
    """{group: remaining} of the field RateLimit."""
    return {group: int(left) for group, left in re.findall(r'"([^"]+)";r=(\d+)', response.headers.get("RateLimit", ""))}


class JsonRpcBackend:
    """JSON-RPC 2.0 on aiohttp: runs every call that has a method, in batches too, and answers those with an id."""

    def __init__(self):
        self._executed = []
        self._io = _Loop()
        self._runner = self._io.call(self._start())
        self.port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self.port}"

    async def _start(self):
        app = web.Application()
        app.router.add_post("/{tail:.*}", self._serve)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return runner

    async def _serve(self, request):
        try:
            asked = json.loads(await request.read())
        except ValueError:
            return web.json_response({"jsonrpc": "2.0", "id": None, "error": {"code": -32700, "message": "no JSON"}})
        answers = [self._run(call) for call in (asked if isinstance(asked, list) else [asked])]
        answers = [answer for answer in answers if answer]
        if not answers:
            return web.Response(status=204)
        return web.json_response(answers if isinstance(asked, list) else answers[0])

    def _run(self, call):
        if not isinstance(call, dict) or "method" not in call:
            return {"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "no request"}}
        self._executed.append(call["method"])
        return {"jsonrpc": "2.0", "id": call["id"], "result": call["method"]} if "id" in call else None

    def executed(self):
        return list(self._executed)

    def reset(self):
        self._executed.clear()

    def close(self):
        self._io.call(self._runner.cleanup())
        self._io.end()
