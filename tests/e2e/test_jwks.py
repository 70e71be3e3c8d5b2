"""`identity.jwt.jwks` with a URL: keys that are fetched over TLS from a server that is not ours, and what holds when they can't be."""

import json
import random
import subprocess
import time

import pytest
from aiohttp import web

from backends import _Loop
from certificates import Authority
from common import passing
from gateway import free_port
from tokens import Key, b64, hs256
from wire import wait_until

LIMITS = {"CALLS": {"authenticated": "1002/h", "anonymous": "1001/h", "algorithm": "fixed_window"}}
USER, NOBODY = "1002", "1001"
ROUTES = [passing(limit="CALLS")]


def secret_of(kid):
    return f"the secret of the key {kid}"


def oct_key(kid):
    return {"kty": "oct", "kid": kid, "alg": "HS256", "k": b64(secret_of(kid).encode())}


def public_jwk(key, kid):
    """An Ed25519 key as a JWK: the last 32 bytes of its DER form are the key."""
    der = subprocess.run(["openssl", "pkey", "-pubin", "-in", key.public, "-outform", "DER"], capture_output=True, check=True)
    return {"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": kid, "x": b64(der.stdout[-32:])}


class Issuer:
    """Serves `keys` under /keys, or `answer(request)` in their place."""

    def __init__(self, *kids, tls=None, port=0):
        self.keys = [oct_key(kid) for kid in kids]
        self.answer = None
        self.fetches = []
        self._tls = tls
        self._io = _Loop()
        self._runner = self._io.call(self._start(port))
        self.port = self._runner.addresses[0][1]
        self.url = f"{'https://localhost' if tls else 'http://127.0.0.1'}:{self.port}/keys"

    async def _start(self, port):
        app = web.Application()
        app.router.add_get("/keys", self._serve)
        app.router.add_get("/elsewhere", self._elsewhere)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, ssl_context=self._tls).start()
        return runner

    async def _elsewhere(self, request):
        return web.json_response({"keys": [oct_key("elsewhere")]})

    async def _serve(self, request):
        self.fetches.append(time.monotonic())
        if self.answer is not None:
            return self.answer()
        return web.json_response({"keys": self.keys}, content_type="application/jwk-set+json")

    def close(self):
        if self._runner is not None:
            self._io.call(self._runner.cleanup())
            self._runner = None
            self._io.end()


@pytest.fixture
def issuer():
    made = []

    def make(*kids, **options):
        made.append(Issuer(*kids, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


def start(weir, backend, url, **jwt):
    settings = {"from": ["authorization"], "jwks": url, **jwt}
    return weir(backend, ROUTES, limits=LIMITS, identity={"jwt": settings})


def who(gateway, token):
    response = gateway.get("/", headers=(("Authorization", f"Bearer {token}"),))
    assert response.status == 200, response
    return response.headers["X-RateLimit-Limit"]


def token(kid):
    return hs256(secret_of(kid), {"sub": "ann"}, kid=kid)


def fetches(gateway, outcome):
    return gateway.metric("weir_jwks_fetches_total", outcome=outcome)


def test_keys_that_are_changed_behind_https_are_fetched_by_the_token_that_names_one(weir, http_backend, issuer, authority, tmp_path):
    server = issuer(tls=authority.server(authority.sign("DNS:localhost")))
    old, new = (Key("EdDSA", tmp_path / name) for name in ("old", "new") if (tmp_path / name).mkdir() is None)
    server.keys = [public_jwk(old, "old")]
    gateway = start(weir, http_backend, server.url, jwks_ca=authority.file)
    assert who(gateway, old.sign({"sub": "ann"}, kid="old")) == USER
    server.keys = [public_jwk(new, "new")]
    assert who(gateway, new.sign({"sub": "ann"}, kid="new")) == USER  # the request waited for them
    assert who(gateway, old.sign({"sub": "ann"}, kid="old")) == NOBODY
    for kid in range(20):
        assert who(gateway, token(f"made up {kid}")) == NOBODY
    assert len(server.fetches) == 2 == fetches(gateway, "fetched")
    assert gateway.get("/", headers=()).status == 200


def test_an_issuer_whose_certificate_nobody_trusts_gives_no_keys(weir, http_backend, issuer, authority):
    server = issuer("one", tls=authority.server(authority.sign("DNS:localhost")))
    gateway = start(weir, http_backend, server.url, on_invalid="reject")
    wait_until(lambda: fetches(gateway, "unreachable") >= 1, "the handshake has failed")
    assert gateway.get("/", headers=(("Authorization", f"Bearer {token('one')}"),)).status == 401
    assert server.fetches == []
    ready = json.loads(gateway.admin("/readyz").body)
    assert ready["status"] == "degraded" and "key set not fetched" in ready["reasons"][0], ready


def test_the_gateway_starts_without_the_issuer_and_finds_it_later(weir, http_backend, issuer):
    port = free_port()
    gateway = start(weir, http_backend, f"http://127.0.0.1:{port}/keys")
    wait_until(lambda: fetches(gateway, "unreachable") >= 1, "the issuer was asked")
    assert who(gateway, token("one")) == NOBODY
    issuer("one", port=port)
    wait_until(lambda: who(gateway, token("one")) == USER, "the keys have come")
    assert gateway.admin("/readyz").body == b"ready\n"


def test_old_keys_serve_while_the_issuer_answers_nonsense(weir, http_backend, issuer):
    server = issuer("one")
    gateway = start(weir, http_backend, server.url, jwks_refresh="1s")
    assert who(gateway, token("one")) == USER

    def redirect():
        raise web.HTTPFound("/elsewhere")

    def huge():
        return web.Response(body=b" " * 3_000_000 + json.dumps({"keys": [oct_key("two")]}).encode())

    answers = [huge, redirect, lambda: web.Response(text="<html>"), lambda: web.Response(status=503)]
    server.answer = lambda: random.choice(answers)()
    wait_until(lambda: fetches(gateway, "unusable") >= 1, "it was asked in vain", 20)
    assert who(gateway, token("one")) == USER
    assert who(gateway, token("elsewhere")) == NOBODY == who(gateway, token("two"))
    assert any(line.get("then") == "the keys from before serve" for line in gateway.log_lines())


def test_a_reload_with_the_same_url_keeps_the_keys(weir, http_backend, issuer):
    server = issuer("one")
    gateway = start(weir, http_backend, server.url)
    assert who(gateway, token("one")) == USER
    server.close()
    config = json.loads(gateway.file.read_text())
    config["identity"]["jwt"]["jwks_refresh"] = "30m"
    gateway.reload(config)
    assert who(gateway, token("one")) == USER
    assert len(server.fetches) == 1
