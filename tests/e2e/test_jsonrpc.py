"""JSON-RPC 2.0 over HTTP: which limit a call counts under, and how a denial is written."""

import json

import pytest

from common import fixed
from peers import JsonRpcBackend, post, quotas
from wire import http

LIMITS = {"CALLS": fixed("20/h"), "READS": fixed("10/h"), "LOGS": fixed("2/h")}


@pytest.fixture
def backend():
    made = JsonRpcBackend()
    yield made
    made.close()


def rpc(**section):
    return {"name": "rpc", "path": "/rpc", "upstream": "app", "jsonrpc": {"default": "CALLS", **section}}


ROUTE = rpc(methods={"eth_*": "READS", "eth_getLogs": ["LOGS", "READS"], "health": "none"})


def call(method, id=1, **more):
    return {"jsonrpc": "2.0", "method": method, "id": id, **more}


def notification(method):
    return {"jsonrpc": "2.0", "method": method}


def test_methods_patterns_and_the_default(weir, backend):
    gateway = weir(backend, [ROUTE], limits=LIMITS)

    def counted(method):
        response = post(gateway.port, "/rpc", call(method))
        assert json.loads(response.body) == {"jsonrpc": "2.0", "id": 1, "result": method}
        return quotas(response)

    assert counted("eth_call") == {"reads": 9}
    assert counted("eth_getLogs") == {"logs": 1, "reads": 8}
    assert counted("net_version") == {"calls": 19}
    assert counted("ETH_call") == {"calls": 18}, "methods are compared with case"
    assert counted("health") == {}
    assert counted("tools/call") == {"calls": 17}, "MCP means nothing here"


def test_a_denied_call_is_answered_with_an_error_of_its_id(weir, backend):
    gateway = weir(backend, [ROUTE], limits=LIMITS)
    for _ in range(2):
        assert "result" in json.loads(post(gateway.port, "/rpc", call("eth_getLogs")).body)
    for id, answered in ((7, 7), ("seven", "seven"), (1.5, 1.5), (None, None), ({"a": 1}, None), ("x" * 300, None)):
        response = post(gateway.port, "/rpc", call("eth_getLogs", id))
        answer = json.loads(response.body)
        assert response.status == 200 and response.headers["Content-Type"] == "application/json"
        wait = answer["error"]["data"].pop("retry_after")
        assert 0 < wait <= 3600 and abs(int(response.headers["Retry-After"]) - wait) <= 1
        assert answer == {
            "jsonrpc": "2.0",
            "id": answered,
            "error": {
                "code": 429,
                "message": "Rate limit exceeded: Max 2 requests per hour. Please try again later.",
                "data": {"limit": 2, "remaining": 0, "group": "logs"},
            },
        }
    assert backend.executed() == ["eth_getLogs"] * 2


@pytest.mark.parametrize("code", [-32029, 0, 2147483647])
def test_the_code_is_configurable(weir, backend, code):
    gateway = weir(backend, [rpc(default="LOGS", code=code)], limits=LIMITS)
    answers = [json.loads(post(gateway.port, "/rpc", call("x")).body) for _ in range(3)]
    assert answers[2]["error"]["code"] == code


def test_deny_as_http_429(weir, backend):
    gateway = weir(backend, [rpc(default="LOGS", deny_as="http_429")], limits=LIMITS)
    responses = [post(gateway.port, "/rpc", call("x")) for _ in range(3)]
    assert [response.status for response in responses] == [200, 200, 429]
    assert json.loads(responses[2].body)["violated-policies"] == ["logs"]


def test_notifications_count_as_calls_do(weir, backend):
    gateway = weir(backend, [rpc(default="LOGS")], limits=LIMITS)
    responses = [post(gateway.port, "/rpc", notification("x")) for _ in range(3)]
    assert [response.status for response in responses] == [204, 204, 429], "nobody waits for an error"
    assert backend.executed() == ["x", "x"]


def test_a_batch_counts_each_and_is_admitted_whole_or_not(weir, backend):
    gateway = weir(backend, [ROUTE], limits=LIMITS)
    batch = [call("eth_getLogs", 1), call("net_version", 2), notification("eth_call")]
    passed = post(gateway.port, "/rpc", batch)
    assert quotas(passed) == {"logs": 1, "reads": 8, "calls": 19}
    assert [answer["id"] for answer in json.loads(passed.body)] == [1, 2]
    denied = json.loads(post(gateway.port, "/rpc", [call("eth_getLogs", "a"), *batch]).body)
    assert [answer["id"] for answer in denied] == ["a", 1, 2]
    assert {answer["error"]["code"] for answer in denied} == {429}
    assert backend.executed() == ["eth_getLogs", "net_version", "eth_call"]
    assert quotas(post(gateway.port, "/rpc", call("eth_getLogs"))) == {"logs": 0, "reads": 7}


@pytest.mark.parametrize("body", [b"", b"hello", b"\x00\x01", b"42"])
def test_what_is_no_call_is_a_parse_error_and_reaches_nobody(weir, backend, body):
    gateway = weir(backend, [ROUTE], limits=LIMITS)
    response = post(gateway.port, "/rpc", body)
    answer = json.loads(response.body)
    assert response.status == 400 and answer["id"] is None and answer["error"]["code"] == -32700
    assert backend.executed() == []


def test_a_batch_beyond_its_bound_reaches_nobody(weir, backend):
    gateway = weir(backend, [rpc(default="none", methods={"other": "CALLS"})], limits=LIMITS)
    assert post(gateway.port, "/rpc", [call("x")] * 256).status == 200
    assert post(gateway.port, "/rpc", [call("x")] * 257).status == 400
    assert backend.executed() == ["x"] * 256


def test_bodies_that_can_not_be_read_are_refused(weir, backend):
    gateway = weir(backend, [rpc(inspect_bytes="4KiB")], limits=LIMITS)
    assert post(gateway.port, "/rpc", call("x", params=["y" * 5000])).status == 413
    assert post(gateway.port, "/rpc", call("x"), [("Content-Encoding", "gzip")]).status == 415
    assert backend.executed() == []


def test_requests_without_a_body_pass(weir, http_backend):
    gateway = weir(http_backend, [ROUTE], limits=LIMITS)
    response = http(gateway.port, "/rpc")
    assert response.status == 200 and quotas(response) == {}
