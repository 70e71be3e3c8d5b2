"""Start, reload, drain, restart."""

import json
import signal
import socket
import subprocess

import pytest

from common import EVERY_MESSAGE, JWT, SECRET, bearer, chat, fixed, passing
from gateway import PROGRAM, clean_environment, free_port, run
from tokens import user_token
from wire import PING, PONG, Stream, dial, read_response, request_bytes, wait_until


def spend(client, count):
    for n in range(count):
        client.send(str(n))
        assert client.receive() == str(n)


# ---------------------------------------------------------------------------------------------- health


def test_health_and_readiness_are_told_on_the_admin_address(weir, ws_backend):
    gateway = weir(ws_backend, [chat()])
    assert gateway.admin("/healthz").status == 200
    assert gateway.admin("/readyz").status == 200
    assert gateway.admin("/nothing-here").status == 404
    metrics = gateway.admin("/metrics")
    assert metrics.status == 200 and metrics.headers["Content-Type"].startswith("text/plain")


def test_without_an_admin_address_none_is_opened(weir, ws_backend, tmp_path):
    port = free_port()
    config = {
        "listen": f"127.0.0.1:{port}",
        "upstreams": {"app": ws_backend.url},
        "routes": [passing()],
        "timeouts": {"drain": "100ms"},
    }
    path = tmp_path / "plain.yaml"
    path.write_text(json.dumps(config))
    process = subprocess.Popen(
        [str(PROGRAM), "serve", "--config", str(path)], stderr=subprocess.DEVNULL, env=clean_environment()
    )

    def listening():
        try:
            return dial(port)
        except OSError:
            return None

    wait_until(listening, "the gateway listens").close()
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0


# ---------------------------------------------------------------------------------------------- reload


def test_a_reload_keeps_connections_and_counters(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("5/h")})
    old = gateway.websocket()
    spend(old, 3)
    gateway.reload({**gateway.config, "limits": {"WS_MESSAGE": fixed("4/h")}})
    new = gateway.websocket()
    spend(new, 1)  # three of four were used before
    new.send("one too many")
    assert new.denied()["limit"] == 4
    assert old.barrier() == []  # still open
    old.end()
    assert gateway.metric("weir_config_reloads_total") == 1


def test_a_reload_brings_routes_and_upstreams(weir, http_backend, raw_backend):
    gateway = weir(raw_backend, [passing("/old/**")])
    assert gateway.get("/new/x").status == 404
    gateway.reload({**gateway.config, "upstreams": {"app": http_backend.url}, "routes": [passing("/new/**")]})
    assert gateway.get("/new/x").body == b"hello from app"
    assert gateway.get("/old/x").status == 404


def test_an_invalid_reload_keeps_the_old_configuration_and_says_why(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("2/h")})
    client = gateway.websocket()
    spend(client, 1)
    gateway.reload({**gateway.config, "limits": {"WS_MESSAGE": "no rate"}, "ruotes": []})
    wait_until(lambda: "ruotes" in gateway.log() and "no rate" in gateway.log(), "the log says what is wrong")
    assert "weir.yaml:" in gateway.log()
    spend(client, 1)
    client.send("denied by the old rate")
    assert client.denied()["limit"] == 2
    gateway.reload({**gateway.config, "limits": {"WS_MESSAGE": fixed("3/h")}})
    new = gateway.websocket()
    spend(new, 1)


# ----------------------------------------------------------------------------------------------- drain


def test_sigterm_drains_and_then_closes_with_1001(weir, ws_backend):
    gateway = weir(ws_backend, [chat()], timeouts={"drain": "1s"})
    client = gateway.websocket()
    spend(client, 1)
    gateway.signal(signal.SIGTERM)
    wait_until(lambda: gateway.admin("/readyz").status == 503, "readiness fails")

    def refused():
        try:
            stream = Stream(dial(gateway.port))
        except OSError:
            return True
        try:
            stream.send(request_bytes("/"))
            return stream.read_to_end() == b""
        except OSError:
            return True

    wait_until(refused, "new connections are refused")
    client.send("still served while it drains")
    assert client.receive() == "still served while it drains"
    assert client.receive_close()[0] == 1001
    client.stream.send(b"\x88\x82\0\0\0\0\x03\xe9")
    assert client.stream.read_to_end() == b""
    assert gateway.wait() == 0
    assert ws_backend.wait_closed()[0] == 1001


def test_a_gateway_without_connections_ends_at_once(weir, ws_backend):
    gateway = weir(ws_backend, [chat()], timeouts={"drain": "1h"})
    gateway.signal(signal.SIGTERM)
    assert gateway.wait(5) == 0


def test_a_gateway_ends_when_its_last_connection_does(weir, ws_backend):
    gateway = weir(ws_backend, [chat()], timeouts={"drain": "1h"})
    client = gateway.websocket()
    gateway.signal(signal.SIGTERM)
    wait_until(lambda: gateway.admin("/readyz").status == 503, "readiness fails")
    client.end()
    assert gateway.wait(5) == 0


def test_a_second_signal_does_not_wait_for_the_drain(weir, ws_backend):
    gateway = weir(ws_backend, [chat()], timeouts={"drain": "1h", "close": "100ms"})
    client = gateway.websocket()
    gateway.signal(signal.SIGTERM)
    wait_until(lambda: gateway.admin("/readyz").status == 503, "readiness fails")
    gateway.signal(signal.SIGTERM)
    client.stream.read_to_end()
    assert gateway.wait(5) == 0


def test_a_request_in_flight_is_answered_while_draining(weir, http_backend):
    gateway = weir(http_backend, [passing()], timeouts={"drain": "10s"})
    stream = gateway.stream()
    stream.send(request_bytes("/slow"))
    wait_until(lambda: http_backend.requests, "the request is at the backend")
    gateway.signal(signal.SIGTERM)
    wait_until(lambda: gateway.admin("/readyz").status == 503, "readiness fails")
    http_backend.let_go()
    assert read_response(stream).body == b"at last"
    assert gateway.wait(5) == 0


# -------------------------------------------------------------------------------------------- snapshot


def test_counters_come_back_from_the_snapshot_after_a_restart(weir, ws_backend, tmp_path):
    more = {
        "limits": {"WS_MESSAGE": fixed("5/h")},
        "identity": JWT,
        "memory": {"snapshot": str(tmp_path / "buckets")},
    }
    token = [bearer(user_token(SECRET, "42"))]
    first = weir(ws_backend, [chat(EVERY_MESSAGE)], **more)
    client = first.websocket(headers=token)
    spend(client, 4)
    client.end()
    first.stop()
    second = weir(ws_backend, [chat(EVERY_MESSAGE)], **more)
    client = second.websocket(headers=token)
    spend(client, 1)
    client.send("the sixth in all")
    assert client.denied()["limit"] == 5
    other = second.websocket()
    spend(other, 5)


@pytest.mark.parametrize("content", [b"", b"no snapshot at all", b"\0" * 4096])
def test_a_snapshot_that_can_not_be_read_does_not_stop_the_start(weir, ws_backend, tmp_path, content):
    path = tmp_path / "buckets"
    path.write_bytes(content)
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], memory={"snapshot": str(path)})
    spend(gateway.websocket(), 1)


# ---------------------------------------------------------------------------------------- configuration

WRONG = """listen: 127.0.0.1:0x
upstreams: {app: "http://127.0.0.1:1"}
limits:
  WS_MESSAGE: often
routes:
  - name: a
    path: /
    upstream: nobody
    ruote: x
"""


@pytest.mark.parametrize("command", [["serve", "--config"], ["check"]])
def test_a_bad_configuration_ends_with_2_and_every_error_with_its_place(tmp_path, command):
    path = tmp_path / "weir.yaml"
    path.write_text(WRONG)
    done = run(*command, path)
    assert done.returncode == 2
    said = done.stdout + done.stderr
    for place, word in ((":1:", "0x"), (":4:", "often"), (":8:", "nobody"), (":9:", "ruote")):
        assert any(place in line and word in line for line in said.splitlines()), (place, word, said)


def test_check_accepts_a_good_file(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text(json.dumps({"listen": "127.0.0.1:8080", "upstreams": {"app": "http://127.0.0.1:1"}, "routes": [passing()]}))
    done = run("check", path)
    assert done.returncode == 0, done.stderr


def test_a_missing_file_and_wrong_usage_end_with_2(tmp_path):
    assert run("serve", "--config", tmp_path / "none.yaml").returncode == 2
    assert run("serve", "--no-such-option").returncode == 2
    assert run("no-such-command").returncode == 2


def test_an_address_in_use_stops_the_start_and_says_so(ws_backend, tmp_path):
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        address = f"127.0.0.1:{holder.getsockname()[1]}"
        path = tmp_path / "weir.yaml"
        path.write_text(json.dumps({"listen": address, "upstreams": {"app": ws_backend.url}, "routes": [passing()]}))
        done = run("serve", "--config", path)
    assert done.returncode == 1
    assert address in done.stdout + done.stderr


def test_environment_variables_win_over_the_file(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE)],
        limits={"WS_MESSAGE": fixed("9/h")},
        identity=JWT,
        env={"RATELIMIT_WS_MESSAGE": "3/h", "RATELIMIT_WS_MESSAGE_ANONYMOUS": "2/h"},
    )
    for headers, count in (([], 2), ([bearer(user_token(SECRET, "1"))], 3)):
        client = gateway.websocket(headers=headers)
        spend(client, count)
        client.send("one too many")
        assert client.denied()["limit"] == count


def test_values_of_the_file_are_filled_in_from_the_environment(weir, ws_backend):
    gateway = weir(
        ws_backend, [chat(EVERY_MESSAGE)], limits={"WS_MESSAGE": fixed("${MY_RATE:-9/h}")}, env={"MY_RATE": "1/h"}
    )
    client = gateway.websocket()
    spend(client, 1)
    client.send("one too many")
    assert client.denied()["limit"] == 1


def test_ratelimit_disable_lets_everything_pass(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE, connect="WS_CONNECT")],
        limits={"WS_MESSAGE": fixed("1/h"), "WS_CONNECT": fixed("1/h")},
        env={"RATELIMIT_DISABLE": "true"},
    )
    for _ in range(2):
        spend(gateway.websocket(), 5)


def test_a_variable_that_does_not_parse_stops_the_start_and_is_named(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text(json.dumps({"listen": "127.0.0.1:8080", "upstreams": {"app": "http://127.0.0.1:1"}, "routes": [passing()]}))
    done = run("check", path, env={"RATELIMIT_WS_MESSAGE": "plenty", "RATELIMIT_IPV6_MASK": "200"})
    assert done.returncode == 2
    said = done.stdout + done.stderr
    for word in ("RATELIMIT_WS_MESSAGE", "plenty", "RATELIMIT_IPV6_MASK", "200"):
        assert word in said


def test_admin_beyond_loopback_is_refused_without_a_token(tmp_path):
    path = tmp_path / "weir.yaml"
    path.write_text(
        json.dumps(
            {"listen": "127.0.0.1:8080", "admin": "0.0.0.0:9180", "upstreams": {"app": "http://127.0.0.1:1"}, "routes": [passing()]}
        )
    )
    assert run("check", path).returncode == 2


# -------------------------------------------------------------------------------------------- time-outs


def test_an_idle_websocket_is_ended(weir, ws_backend):
    gateway = weir(ws_backend, [chat()], timeouts={"idle": "300ms"})
    client = gateway.websocket()
    assert client.receive_close()[0] in (1000, 1001)
    client.close()
    assert ws_backend.wait_closed()[0] in (1000, 1001)


def test_a_busy_websocket_outlives_the_idle_time(weir, ws_backend):
    gateway = weir(ws_backend, [chat()], timeouts={"idle": "400ms"})
    busy, idle = gateway.websocket(), gateway.websocket()
    ended = []

    def until_the_idle_one_ended():
        busy.send_frame(PING, "x")
        assert busy.receive_frame().opcode == PONG
        if not ended and not idle.stream.quiet():
            ended.append(True)
        return ended

    wait_until(until_the_idle_one_ended, "the idle connection is ended")
    spend(busy, 1)


def test_a_keep_alive_connection_is_closed_when_nothing_comes(weir, http_backend):
    gateway = weir(http_backend, [passing()], timeouts={"keep_alive": "200ms"})
    stream = gateway.stream()
    stream.send(request_bytes("/"))
    assert read_response(stream).status == 200
    assert stream.read_to_end() == b""
