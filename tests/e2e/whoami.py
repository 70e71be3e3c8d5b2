"""An application that says who a caller is: sessions, API keys and tokens, and every question that it was asked."""

import asyncio

from aiohttp import web

from backends import _Loop


class WhoAmI:
    """GET /whoami answers by cookie `sessionid`, field `X-API-Key`, bearer token or parameter `key`; any other path
    greets. `callers` maps a credential to the JSON of its answer; `status` and `text` replace every answer;
    `hold()` makes questions wait until `let_go()`."""

    def __init__(self, tls=None):
        self._tls = tls
        self.callers = {}
        self.questions = []  # (raw path, headers as pairs)
        self.greeted = []
        self.status = self.text = None
        self.headers = {}
        self.delay = {}
        self._io = _Loop()
        self._free = asyncio.run_coroutine_threadsafe(self._event(), self._io.loop).result(10)
        self._runner = self._io.call(self._start(0))
        self.port = self._runner.addresses[0][1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"

    @staticmethod
    async def _event():
        event = asyncio.Event()
        event.set()
        return event

    async def _start(self, port):
        app = web.Application()
        app.router.add_get("/whoami", self._whoami)
        app.router.add_route("*", "/{tail:.*}", self._greet)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=self._tls).start()
        return runner

    def hold(self):
        self._io.loop.call_soon_threadsafe(self._free.clear)
        self._io.call(asyncio.sleep(0))

    def let_go(self):
        self._io.loop.call_soon_threadsafe(self._free.set)

    @staticmethod
    def credential(request):
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        return request.cookies.get("sessionid") or request.headers.get("X-API-Key") or bearer or request.query.get("key")

    async def _whoami(self, request):
        self.questions.append((request.raw_path, [(k, v) for k, v in request.headers.items()]))
        credential = self.credential(request)
        if credential not in self.delay.get("not", ()):
            await self._free.wait()
        if self.status is not None or self.text is not None:
            return web.Response(status=self.status or 200, text=self.text or "", headers=self.headers)
        answer = self.callers.get(credential)
        return web.Response(status=401) if answer is None else web.json_response(answer)

    async def _greet(self, request):
        self.greeted.append(request.raw_path)
        return web.Response(text="hello")

    def go_down(self):
        """Nobody listens any more; `come_back` listens on the same port."""
        self._io.call(self._runner.cleanup())
        self._runner = None

    def come_back(self):
        self._runner = self._io.call(self._start(self.port))

    def close(self):
        self.let_go()
        if self._runner is not None:
            self._io.call(self._runner.cleanup())
        self._io.end()
