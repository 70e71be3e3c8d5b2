"""A shared store over TLS (rediss://): counted as over plain TCP, and nothing is said to a server that is not verified."""

import pytest

from certificates import Authority
from common import EVERY_MESSAGE, chat, fixed
from gateway import free_port
from redis_server import Redis
from wire import wait_until


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


class SecureRedis(Redis):
    def __init__(self, folder, authority, signed, *options, **more):
        self.tls_port = free_port()
        tls = ["--tls-port", self.tls_port, "--tls-cert-file", signed.certificate, "--tls-key-file", signed.key]
        super().__init__(folder, *map(str, tls), "--tls-ca-cert-file", authority.file, *options, **more)

    @property
    def url(self):
        credentials = f":{self.password}@" if self.password else ""
        return f"rediss://{credentials}127.0.0.1:{self.tls_port}"


@pytest.fixture
def redis_of(tmp_path, authority):
    started = []

    def start(signed, *options, **more):
        started.append(SecureRedis(tmp_path / f"redis-{len(started)}", authority, signed, *options, **more))
        return started[-1]

    yield start
    for server in started:
        server.close()


def gateway_with(weir, backend, store, store_tls=None):
    more = {} if store_tls is None else {"store_tls": store_tls}
    return weir(
        backend, [chat(EVERY_MESSAGE)], store=store, limits={"WS_MESSAGE": fixed("3/h")}, store_timeout="200ms", **more
    )


def passes(client):
    client.send("x")
    return client.receive() == "x"


def test_gateways_share_a_budget_over_tls(weir, ws_backend, authority, redis_of):
    signed = authority.sign("IP:127.0.0.1")
    # The certificate of the client is asked for and verified: Redis does so unless it is told otherwise.
    redis = redis_of(signed, password="secret word")
    tls = {"ca": authority.file, **authority.sign().pair}
    url = redis.url.replace("secret word", "secret%20word")
    clients = [gateway_with(weir, ws_backend, url, tls).websocket() for _ in range(2)]
    assert [passes(clients[n % 2]) for n in range(5)] == [True, True, True, False, False]
    assert redis.keys() == ["rl:{ip:127.0.0.1}:ws_message"]


@pytest.mark.parametrize("case", ["unknown authority", "wrong name"])
def test_a_store_that_is_not_verified_hears_no_password(weir, ws_backend, tmp_path, authority, redis_of, case):
    signed = authority.sign("IP:127.0.0.1" if case == "unknown authority" else "DNS:elsewhere.test")
    redis = redis_of(signed, "--tls-auth-clients", "no", password="secret")
    trusted = authority if case == "wrong name" else Authority(tmp_path / "stranger", "stranger")
    with redis.client() as ask:
        ask("CONFIG", "RESETSTAT")
        gateway = gateway_with(weir, ws_backend, redis.url, {"ca": trusted.file})
        assert not passes(gateway.websocket())  # on_store_error: closed
        assert "cmdstat_auth" not in ask("INFO", "commandstats").decode()
        assert ask("DBSIZE") == 0
    if case == "wrong name":
        named = gateway_with(weir, ws_backend, redis.url, {"ca": authority.file, "server_name": "elsewhere.test"})
        client = named.websocket()
        wait_until(lambda: passes(client), "a name that is configured is looked for")
