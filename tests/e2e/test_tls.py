"""TLS with clients, with backends, and with whom else the gateway asks: certificates of the tests' own, peers of others."""

import asyncio
import json
import os
import ssl
import subprocess
import time
from pathlib import Path

import aiohttp
import pytest
import websockets

from backends import HttpBackend, WebsocketBackend, node
from certificates import Authority, RawTlsServer, dial_tls, https, names_served
from common import EVERY_MESSAGE, TRUSTED, chat, fixed, passing
from gateway import free_port, run
from whoami import WhoAmI
from wire import Closed, Stream, dial, http, read_head, read_response, request_bytes, wait_until

V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def signed(authority):
    return authority.sign("DNS:weir.test", "DNS:localhost", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("stranger"), "stranger")


@pytest.fixture
def closing():
    made = []

    def keep(what):
        made.append(what)
        return what

    yield keep
    for what in reversed(made):
        what.close()


def echoed(response):
    assert response.status == 200, response
    return json.loads(response.body)


# ---- Clients


@pytest.mark.parametrize("version", [V12, V13])
def test_a_request_and_a_large_body_pass_in_each_version(weir, http_backend, authority, signed, version):
    gateway = weir(http_backend, [passing()], tls=signed.pair)
    stream = dial_tls(gateway.port, authority.client(version))
    assert stream.sock.version() == {V12: "TLSv1.2", V13: "TLSv1.3"}[version]
    body = os.urandom(3_000_000)
    stream.send(request_bytes("/echo", "POST", body=body))
    seen = echoed(read_response(stream))
    assert seen["body"].encode("latin-1") == body
    assert ["X-Forwarded-Proto", "https"] in seen["headers"]
    stream.send(request_bytes("/sized/5000000"))  # the same connection
    assert read_response(stream).body == b"x" * 5_000_000
    stream.close()
    outcome = {"side": "downstream", "outcome": "full"}
    assert gateway.metric("weir_tls_handshakes_total", **outcome) == 1


def test_clients_that_are_not_ours_open_secure_websockets(weir, closing, authority, signed):
    backend = closing(WebsocketBackend())
    gateway = weir(backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("3/h")}, tls=signed.pair)
    url = f"wss://localhost:{gateway.port}/ws/"

    async def of_websockets():
        async with websockets.connect(url, ssl=authority.client()) as client:
            answers = []
            for text in ("a" * 100_000, "b", "c", "d"):
                await client.send(text)
                answers.append(await client.recv())
            return answers

    async def of_aiohttp():
        async with aiohttp.ClientSession() as session:
            async with session.ws_connect(url, ssl=authority.client()) as client:
                await client.send_str("denied")
                return json.loads((await client.receive()).data)

    answers = asyncio.run(of_websockets())
    assert answers[:3] == ["a" * 100_000, "b", "c"]
    assert json.loads(answers[3])["type"] == "RATE_LIMITED"
    assert asyncio.run(of_aiohttp())["type"] == "RATE_LIMITED"


def test_curl_and_npm_ws_are_content(weir, closing, authority, signed):
    backend = closing(WebsocketBackend())
    gateway = weir(backend, [chat()], tls=signed.pair)
    done = subprocess.run(
        ["env", f"NODE_EXTRA_CA_CERTS={authority.file}", "node", "tests/e2e/node/ws_client.mjs", f"wss://localhost:{gateway.port}/ws/", "5"],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert [answer["n"] for answer in json.loads(done.stdout)["answers"]] == [0, 1, 2, 3, 4]
    curl = ["curl", "-sS", "--cacert", authority.file, "--http1.1", "-o", "/dev/null", "-w", "%{http_code} %{ssl_verify_result}"]
    done = subprocess.run([*curl, f"https://localhost:{gateway.port}/nowhere"], capture_output=True, text=True, timeout=30)
    assert done.stdout == "404 0", done.stderr


def test_the_certificate_is_chosen_by_the_name_that_a_client_asks_for(weir, http_backend, authority, signed):
    one, wild = authority.sign("DNS:one.test"), authority.sign("DNS:*.wild.test", "DNS:wild.test", kind="rsa")
    gateway = weir(http_backend, [passing()], tls={**signed.pair, "certificates": [one.pair, wild.pair]})
    trusting = authority.client()
    assert names_served(gateway.port, trusting, "one.test") == ["one.test"]
    assert names_served(gateway.port, trusting, "ONE.test") == ["one.test"]
    assert names_served(gateway.port, trusting, "a.wild.test") == ["*.wild.test", "wild.test"]
    with pytest.raises(ssl.SSLCertVerificationError):  # a wildcard is one label; the first certificate is for the rest
        names_served(gateway.port, trusting, "a.b.wild.test")
    assert "weir.test" in names_served(gateway.port, trusting, "weir.test")


def test_an_older_version_than_configured_is_refused(weir, http_backend, authority, signed):
    gateway = weir(http_backend, [passing()], tls={**signed.pair, "min_version": "1.3"})
    with pytest.raises(ssl.SSLError):
        dial_tls(gateway.port, authority.client(V12))
    assert https(gateway.port, authority.client(V13)).status == 200
    assert gateway.metric("weir_tls_handshakes_total", side="downstream", outcome="failed") == 1


@pytest.mark.parametrize("version", [V12, V13])
def test_sessions_resume_at_every_worker_and_after_a_reload(weir, http_backend, authority, signed, version):
    gateway = weir(http_backend, [passing()], tls=signed.pair, workers=3)
    context = authority.client(version)

    def session_of(session=None):
        stream = dial_tls(gateway.port, context, session=session)
        stream.send(request_bytes("/", headers=(("Connection", "close"),)))
        assert read_response(stream).status == 200
        result = stream.sock.session, stream.sock.session_reused
        stream.close()
        return result

    session, reused = session_of()
    assert not reused
    for _ in range(8):
        session, reused = session_of(session)
        assert reused
    gateway.reload(gateway.config)
    assert session_of(session)[1]
    assert gateway.metric("weir_tls_handshakes_total", side="downstream", outcome="resumed") == 9


def test_openssl_reconnects_with_a_ticket(weir, http_backend, signed):
    gateway = weir(http_backend, [passing()], tls=signed.pair)
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{gateway.port}", "-tls1_2", "-reconnect"],
        input="", capture_output=True, text=True, timeout=30,
    )
    assert done.stdout.count("Reused, TLSv1.2") == 5


def test_certificates_of_clients_are_asked_for_and_verified(weir, http_backend, authority, stranger, signed):
    good, bad = authority.sign("DNS:client"), stranger.sign("DNS:client")
    tls = {**signed.pair, "client_ca": authority.file, "client_certificates": "required"}
    gateway = weir(http_backend, [passing()], tls=tls)

    def answered(certificate, version):
        try:
            return https(gateway.port, authority.client(version, certificate)).status == 200
        except (ssl.SSLError, Closed, OSError):
            return False

    for version in (V12, V13):
        assert answered(good, version)
        assert not answered(None, version)
        assert not answered(bad, version)
    gateway.reload({**gateway.config, "tls": {**tls, "client_certificates": "optional"}})
    wait_until(lambda: answered(None, V13), "no certificate is needed after the reload")
    assert not answered(bad, V13)


def test_a_reload_brings_a_new_certificate_and_drops_nobody(weir, http_backend, authority, signed):
    gateway = weir(http_backend, [passing()], tls=signed.pair)
    open_one = dial_tls(gateway.port, authority.client())
    open_one.send(request_bytes("/echo"))
    read_response(open_one)
    fresh = authority.sign("DNS:weir.test", "DNS:fresh.test")
    gateway.reload({**gateway.config, "tls": fresh.pair})
    wait_until(lambda: "fresh.test" in names_served(gateway.port, authority.client(), "weir.test"), "the new certificate")
    open_one.send(request_bytes("/echo"))
    echoed(read_response(open_one))
    open_one.close()

    # One that can't be used leaves the old in force, and is told of with its place.
    Path(fresh.certificate).write_text("this is no certificate\n")
    gateway.reload({**gateway.config, "tls": fresh.pair})
    assert gateway.metric("weir_config_reloads_total", outcome="invalid") == 1
    problems = wait_until(lambda: [l["problem"] for l in gateway.log_lines() if "problem" in l], "the log says why")
    assert "weir.yaml:" in problems[0] and "holds no certificate" in problems[0]
    assert "fresh.test" in names_served(gateway.port, authority.client(), "weir.test")


def test_a_listener_may_stay_plain(weir, http_backend, authority, signed):
    secure, plain = free_port(), free_port()
    listen = [f"127.0.0.1:{secure}", f"http://127.0.0.1:{plain}"]
    weir(http_backend, [passing()], tls=signed.pair, listen=listen)
    assert ["X-Forwarded-Proto", "http"] in echoed(http(plain, "/echo"))["headers"]
    assert ["X-Forwarded-Proto", "https"] in echoed(https(secure, authority.client(), "/echo"))["headers"]


def test_plain_http_on_a_tls_port_is_told_so(weir, http_backend, signed):
    gateway = weir(http_backend, [passing()], tls=signed.pair)
    response = http(gateway.port, "/secret")
    assert response.status == 400
    assert b"TLS" in response.body
    assert gateway.metric("weir_tls_handshakes_total", outcome="plain_text") == 1
    assert http_backend.requests == []
    for _ in range(20):
        http(gateway.port, "/")
    lines = lambda: [line for line in gateway.log_lines() if line["message"] == "TLS handshake failed"]  # noqa: E731
    wait_until(lines, "the log tells of it")
    assert len(lines()) == 1  # anybody can make these


def test_garbage_and_silence_end_in_time(weir, http_backend, signed):
    gateway = weir(http_backend, [passing()], tls=signed.pair, timeouts={"handshake": "300ms"})
    silent = Stream(dial(gateway.port))
    garbage = Stream(dial(gateway.port))
    garbage.send(b"\x16\x03\x01\xff\xff" + os.urandom(200))
    half = Stream(dial(gateway.port))
    half.send(b"\x16\x03\x01\x02\x00\x01")
    start = time.monotonic()
    for stream in (silent, garbage, half):
        stream.read_to_end()  # perhaps an alert
    assert time.monotonic() - start < 5
    wait_until(lambda: gateway.metric("weir_tls_handshakes_total", outcome="failed") >= 1, "the failure is counted")


def test_ends_are_orderly_both_ways(weir, http_backend, authority, signed):
    gateway = weir(http_backend, [passing()], tls=signed.pair, timeouts={"keep_alive": "300ms"})
    stream = dial_tls(gateway.port, authority.client())
    stream.send(request_bytes("/sized/100000", headers=(("Connection", "close"),)))
    assert len(read_response(stream).body) == 100_000
    assert stream.sock.recv(1) == b""  # close_notify; without it an SSLEOFError
    stream.close()
    idle = dial_tls(gateway.port, authority.client())
    idle.send(request_bytes("/"))
    read_response(idle)
    assert idle.sock.recv(1) == b""  # the keep-alive time-out
    idle.close()


def test_a_proxy_header_stands_before_the_handshake(weir, http_backend, authority, signed):
    gateway = weir(
        http_backend, [passing()], tls=signed.pair, trusted_proxies=TRUSTED, client_address={"from": "proxy-protocol"}
    )
    plain = dial(gateway.port)
    plain.sendall(b"PROXY TCP4 203.0.113.9 127.0.0.1 4000 443\r\n")
    stream = Stream(authority.client().wrap_socket(plain, server_hostname="weir.test"))
    stream.send(request_bytes("/echo"))
    seen = dict(echoed(read_response(stream))["headers"])
    assert seen["X-Forwarded-For"].startswith("203.0.113.9") and seen["X-Forwarded-Proto"] == "https"
    stream.close()


def test_a_client_that_does_not_read_holds_the_backend_back(weir, http_backend, authority, signed):
    gateway = weir(http_backend, [passing()], tls=signed.pair)
    https(gateway.port, authority.client())
    before = gateway.resident_bytes()
    streams = [dial_tls(gateway.port, authority.client()) for _ in range(4)]
    for stream in streams:
        stream.send(request_bytes("/sized/20000000"))
        read_head(stream)

    def settled():
        was = gateway.resident_bytes()
        time.sleep(0.1)
        return was == gateway.resident_bytes()

    wait_until(settled, "nothing moves any more")
    assert gateway.resident_bytes() - before < 24 * 1024 * 1024  # of 80 MB that the backend would like to send
    for stream in streams:
        left = 20_000_000 - len(stream.buffer)
        while left > 0:
            left -= len(stream.sock.recv(1 << 20))
        stream.close()


# ---- Backends


def upstream_of(backend, name="localhost"):
    return f"https://{name}:{backend.port}"


def test_a_backend_is_verified_by_name_and_authority(weir, closing, authority, stranger, signed):
    backend = closing(HttpBackend(tls=authority.server(signed)))
    other = closing(HttpBackend(tls=authority.server(authority.sign("DNS:other.test"))))
    unknown = closing(HttpBackend(tls=stranger.server(stranger.sign("DNS:localhost", "IP:127.0.0.1"))))
    trust = {"ca": authority.file}
    gateway = weir(
        upstreams={
            "name": upstream_of(backend),
            "address": upstream_of(backend, "127.0.0.1"),
            "wrong": upstream_of(other),
            "renamed": upstream_of(other),
            "unknown": upstream_of(unknown),
            "system": upstream_of(backend),
            "blind": upstream_of(unknown),
        },
        upstream_tls={
            "name": trust,
            "address": trust,
            "wrong": trust,
            "renamed": {**trust, "server_name": "other.test"},
            "unknown": trust,
            "blind": {"verify": False},
        },
        routes=[{"name": n, "path": f"/echo/{n}", "upstream": n} for n in ("name", "address", "wrong", "renamed", "unknown", "system", "blind")],
    )
    for good in ("name", "address", "renamed", "blind"):
        assert gateway.get(f"/echo/{good}").status == 200, good
    for bad in ("wrong", "unknown", "system"):
        assert gateway.get(f"/echo/{bad}").status == 502, bad
    wait_until(lambda: "hostname mismatch" in gateway.log().lower(), "the log says what is wrong")
    assert "believed" in gateway.log()  # the warning of verify: false
    assert gateway.metric("weir_tls_handshakes_total", side="upstream", outcome="failed") >= 3
    assert gateway.get("/echo/name").status == 200
    assert gateway.metric("weir_tls_handshakes_total", side="upstream", outcome="full") == 4  # the connection was kept


def test_a_backend_may_ask_for_our_certificate(weir, closing, authority, signed):
    backend = closing(HttpBackend(tls=authority.server(signed, client_certificates=True)))
    with_one = {"ca": authority.file, **authority.sign("DNS:weir").pair}
    gateway = weir(upstream_of(backend), [passing()], upstream_tls={"app": with_one})
    assert gateway.get("/").status == 200
    without = weir(upstream_of(backend), [passing()], upstream_tls={"app": {"ca": authority.file}})
    assert without.get("/").status == 502


def test_websockets_and_large_bodies_pass_to_a_secure_backend(weir, closing, authority, signed):
    backend = closing(HttpBackend(tls=authority.server(signed)))
    gateway = weir(upstream_of(backend), [chat(path="/ws/**"), passing()], upstream_tls={"app": {"ca": authority.file}}, tls=signed.pair)

    async def talk():
        async with websockets.connect(f"wss://localhost:{gateway.port}/ws/aiohttp", ssl=authority.client()) as client:
            await client.send("z" * 200_000)
            return await client.recv()

    assert asyncio.run(talk()) == "z" * 200_000
    body = os.urandom(2_000_000)
    seen = echoed(https(gateway.port, authority.client(), "/echo", method="POST", body=body))
    assert seen["body"].encode("latin-1") == body


def test_a_body_that_was_cut_off_is_not_taken_for_whole(weir, closing, authority, signed):
    def serve(stream):
        request = stream.recv(65536)
        stream.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhalf of it")
        if b"/whole" in request:
            stream.unwrap()  # close_notify
        else:
            stream.close()

    backend = closing(RawTlsServer(authority.server(signed), serve))
    gateway = weir(backend.url, [passing()], upstream_tls={"app": {"ca": authority.file}}, tls=signed.pair)
    assert https(gateway.port, authority.client(), "/whole").body == b"half of it"
    with pytest.raises(Closed):
        https(gateway.port, authority.client(), "/cut")
    # HTTP/1.0: for this client the end of the connection is the end of the body, so that must not be an orderly one.
    old = dial_tls(gateway.port, authority.client())
    old.send(b"GET /cut HTTP/1.0\r\nHost: weir.test\r\n\r\n")
    with pytest.raises((ssl.SSLError, OSError)):
        while old.sock.recv(65536):
            pass
    old.close()


# ---- The application


def test_the_application_is_asked_over_tls(weir, http_backend, closing, authority, signed):
    application = closing(WhoAmI(tls=authority.server(signed)))
    application.callers["s1"] = {"user": "42"}
    lookup = {"url": f"https://localhost:{application.port}/whoami", "forward": ["cookie:sessionid"], "ca": authority.file}
    limits = {"READ_LIGHT": {"authenticated": "5/h", "anonymous": "1/h", "algorithm": "fixed_window"}}
    gateway = weir(http_backend, [passing(limit="READ_LIGHT")], identity={"lookup": lookup}, limits=limits)
    response = gateway.get("/", headers=(("Cookie", "sessionid=s1"),))
    assert response.headers["X-RateLimit-Limit"] == "5"
    assert len(application.questions) == 1


# ---- Configuration


@pytest.mark.parametrize(
    "tls, complaint",
    [
        ("{certificate: /nowhere/cert.pem, key: /nowhere/key.pem}", "can't read the file"),
        ("{}", "expected 'certificate'"),
        ("{certificate: CERT, key: CERT}", "holds no private key"),
        ("{certificate: KEY, key: KEY}", "holds no certificate"),
        ("{certificate: CERT, key: OTHER}", "not the one of the certificate"),
        ("{certificate: CERT, key: KEY, client_certificates: required}", "expected 'client_ca'"),
        ("{certificate: CERT, key: KEY, min_version: 1.1}", "expected one of 1.2, 1.3"),
    ],
)
def test_files_that_can_not_be_used_are_errors_with_their_place(tmp_path, authority, signed, tls, complaint):
    other = authority.sign("DNS:other")
    for name, value in (("CERT", signed.certificate), ("KEY", signed.key), ("OTHER", other.key)):
        tls = tls.replace(name, value)
    file = tmp_path / "weir.yaml"
    file.write_text(f"upstreams: {{app: 'http://127.0.0.1:1'}}\ntls: {tls}\n")
    done = run("check", file)
    assert done.returncode == 2
    assert f"{file}:2:" in done.stderr + done.stdout and complaint in done.stderr + done.stdout
