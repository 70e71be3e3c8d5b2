"""MCP between client and server of its TypeScript SDK: what is counted, and how a denial reaches the client."""

import json

import pytest

from backends import node
from common import JWT, SECRET, bearer, fixed
from peers import NodeServer, post, quotas
from tokens import user_token
from wire import dial, http, read_chunk, read_head, request_bytes, wait_until, Stream

LIMITS = {
    "CALLS": fixed("50/h"),
    "TOOLS": fixed("2/h"),
    "SEARCHES": fixed("3/h"),
    "PROMPTS": fixed("2/h"),
    "FILES": fixed("2/h"),
}
BOTH = ("Accept", "application/json, text/event-stream")


def mcp(path="/**", **section):
    return {"name": "mcp", "path": path, "upstream": "app", "mcp": {"default": "CALLS", **section}}


ROUTE = mcp(methods={"tools/call": "TOOLS"}, tools={"search": "SEARCHES"}, prompts={"sum*": "PROMPTS"},
            resources={"file:///*": "FILES"})


@pytest.fixture(scope="module")
def started():
    made = NodeServer("mcp_backend.mjs")
    yield made
    made.close()


@pytest.fixture
def server(started):
    started.reset()
    return started


def client(gateway, steps, kind="http", path="/mcp", headers=None):
    """What the SDK's client got: of connecting, and of each step."""
    url = f"http://127.0.0.1:{gateway.port}{path}"
    return node("mcp_client.mjs", kind, url, json.dumps(steps), json.dumps(headers or {}))


def call(method, id=1, **params):
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def call_tool(where, name="search", headers=(), **kwargs):
    return post(where.port, "/json", call("tools/call", name=name, arguments={}), (BOTH, *headers), **kwargs)


# ---------------------------------------------------------------------------------------------- transports


@pytest.mark.parametrize("path", ["/mcp", "/json"])
def test_everything_works_through_the_gateway_until_a_limit(weir, server, path):
    gateway = weir(server, [ROUTE], limits=LIMITS)
    steps = [["tools", None], ["tool", "search"], ["resource", "file:///a"], ["prompt", "summary"], ["resources", None],
             ["prompts", None], ["ping", None], ["notify", None]]
    assert client(gateway, steps, path=path) == client(server, steps, path=path)
    expected = ["tools", "tool:search", "resource:file:///a", "prompt:summary", "resources", "prompts"]
    wait_until(lambda: path == "/json" or server.executed().count("notified") == 2, "both notifications have arrived")
    assert [what for what in server.executed() if what != "notified"] == expected * 2


@pytest.mark.parametrize("path", ["/mcp", "/json"])
def test_a_denied_tool_is_a_result_that_a_model_can_read(weir, server, path):
    gateway = weir(server, [ROUTE], limits=LIMITS)
    told = client(gateway, [["tool", "search"]] * 4 + [["tool", "other"], ["tools", None]], path=path)
    assert [list(each) for each in told] == [["result"]] * 7
    denied = told[4]["result"]
    assert denied["isError"] is True
    text = denied["content"][0]["text"]
    assert text.startswith("Rate limit exceeded: Max 3 requests per hour.")
    assert " seconds before you call this tool" in text
    assert told[5]["result"]["content"][0]["text"] == "did other", "another tool has a budget of its own"
    assert server.executed() == ["tool:search"] * 3 + ["tool:other", "tools"]


@pytest.mark.parametrize("path", ["/mcp", "/json"])
@pytest.mark.parametrize("step, group", [(["prompt", "summary"], "prompts"), (["resource", "file:///a"], "files")])
def test_another_method_that_is_denied_is_an_error_of_code_429(weir, server, path, step, group):
    gateway = weir(server, [ROUTE], limits=LIMITS)
    told = client(gateway, [step] * 3, path=path)
    assert [list(each) for each in told] == [["result"]] * 3 + [["error"]]
    error = told[3]["error"]
    assert (error["name"], error["code"]) == ("McpError", 429)
    assert "Max 2 requests per hour" in error["message"]
    wait = error["data"].pop("retry_after")
    assert 0 < wait <= 3600 and error["data"] == {"limit": 2, "remaining": 0, "group": group}
    assert len(server.executed()) == 2


def test_a_denied_initialize_is_an_error_and_no_hang(weir, server):
    gateway = weir(server, [mcp(methods={"initialize": "TOOLS"})], limits=LIMITS)
    outcomes = [client(gateway, [])[0] for _ in range(3)]
    assert [list(each) for each in outcomes] == [["result"], ["result"], ["error"]]
    assert outcomes[2]["error"]["code"] == 429


def test_the_older_transport_works_and_reports_a_denial_as_http_429(weir, server):
    gateway = weir(server, [ROUTE], limits=LIMITS)
    told = client(gateway, [["tool", "search"]] * 4 + [["prompt", "summary"]], kind="sse", path="/sse")
    assert [list(each) for each in told] == [["result"]] * 4 + [["error"], ["result"]]
    assert "HTTP 429" in told[4]["error"]["message"]
    assert server.executed() == ["tool:search"] * 3 + ["prompt:summary"]


def test_a_client_ends_its_session(weir, server):
    gateway = weir(server, [ROUTE], limits=LIMITS)
    assert client(gateway, [["tools", None], ["end", None]])[2] == {"result": None}
    assert server.executed() == ["tools", "session ended"]


def initialize(gateway):
    params = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    response = post(gateway.port, "/mcp", call("initialize", **params), [BOTH])
    assert response.status == 200
    session = ("Mcp-Session-Id", response.headers["Mcp-Session-Id"])
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert post(gateway.port, "/mcp", ready, [BOTH, session]).status == 202
    return session


def test_events_of_the_stream_arrive_as_they_are_sent_and_the_stream_is_not_counted(weir, server):
    gateway = weir(server, [ROUTE], limits=LIMITS)
    session = initialize(gateway)
    stream = Stream(dial(gateway.port))
    stream.send(request_bytes("/mcp", headers=[("Accept", "text/event-stream"), session]))
    head = read_head(stream)
    assert head.first_line.startswith("HTTP/1.1 200") and head.headers["Content-Type"] == "text/event-stream"
    assert "RateLimit" not in head.headers
    for word in ("one", "two", "three"):
        http(server._record, f"/say?text={word}")
        event = read_chunk(stream)  # the next is not sent before this one has arrived
        assert f'"data":"{word}"'.encode() in event
    stream.close()


# --------------------------------------------------------------------------------------------- what is counted


def test_notifications_and_responses_are_free_and_calls_without_an_id_are_not(weir, server):
    gateway = weir(server, [ROUTE], limits=LIMITS)
    session = initialize(gateway)  # one of CALLS
    free = [
        {"jsonrpc": "2.0", "method": "notifications/roots/list_changed"},
        {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 9}},
        {"jsonrpc": "2.0", "id": 77, "result": {}},
        {"jsonrpc": "2.0", "id": 78, "error": {"code": 1, "message": "no"}},
    ]
    for message in free * 3:
        response = post(gateway.port, "/mcp", message, [BOTH, session])
        assert response.status == 202 and quotas(response) == {}
    assert quotas(post(gateway.port, "/json", call("ping"), [BOTH])) == {"calls": 48}
    without_id = {"jsonrpc": "2.0", "method": "tools/list"}
    assert quotas(post(gateway.port, "/json", without_id, [BOTH])) == {"calls": 47}


def test_each_of_a_batch_costs_and_a_denied_one_is_answered_with_an_array(weir, server):
    gateway = weir(server, [ROUTE], limits=LIMITS)
    batch = [call("tools/call", id=1, name="search"), call("tools/call", id="two", name="search"), call("ping", id=3)]
    passed = post(gateway.port, "/json", batch, [BOTH])
    assert passed.status == 200 and quotas(passed) == {"searches": 1, "calls": 49}
    assert sorted(str(each["id"]) for each in json.loads(passed.body)) == ["1", "3", "two"]
    batch.append({"jsonrpc": "2.0", "method": "notifications/roots/list_changed"})
    denied = post(gateway.port, "/json", batch, [BOTH])
    assert denied.status == 200 and int(denied.headers["Retry-After"]) > 0
    answers = json.loads(denied.body)
    assert [each["id"] for each in answers] == [1, "two", 3]
    assert [each.get("result", {}).get("isError") for each in answers] == [True, True, None]
    assert answers[2]["error"]["code"] == 429
    assert server.executed() == ["tool:search"] * 2
    assert quotas(post(gateway.port, "/json", call("ping"), [BOTH])) == {"calls": 48}, "a denied batch takes nothing"


def test_one_user_has_one_budget_over_all_sessions_and_transports(weir, server):
    gateway = weir(server, [ROUTE], limits=LIMITS, identity=JWT)
    alice = {"Authorization": f"Bearer {user_token(SECRET, 'alice')}"}
    told = [
        client(gateway, [["tool", "search"]], path="/mcp", headers=alice),
        client(gateway, [["tool", "search"]], path="/mcp", headers=alice),
        client(gateway, [["tool", "search"]], path="/json", headers=alice),
        client(gateway, [["tool", "search"]], path="/mcp", headers=alice),
    ]
    assert [each[1]["result"].get("isError", False) for each in told] == [False, False, False, True]
    assert server.executed() == ["tool:search"] * 3
    bob = bearer(user_token(SECRET, "bob"))
    assert quotas(call_tool(gateway, headers=[bob])) == {"searches": 2}


# ------------------------------------------------------------------------------------------------ how it is denied


def denied_tool(weir, server, **section):
    gateway = weir(server, [mcp(tools={"search": "SEARCHES"}, **section)], limits=LIMITS)
    for _ in range(3):
        assert call_tool(gateway).status == 200
    return gateway, call_tool(gateway)


def test_deny_as_http_429_is_a_plain_one(weir, server):
    gateway, denied = denied_tool(weir, server, deny_as="http_429")
    assert denied.status == 429 and denied.headers["Content-Type"] == "application/problem+json"
    assert int(denied.headers["Retry-After"]) > 0 and json.loads(denied.body)["violated-policies"] == ["searches"]
    told = client(gateway, [["tool", "search"]], path="/json")
    assert "HTTP 429" in told[1]["error"]["message"]


def test_deny_as_error_with_a_code_of_ones_own(weir, server):
    _, denied = denied_tool(weir, server, deny_as="error", code=-32029)
    answer = json.loads(denied.body)
    assert denied.status == 200 and answer["id"] == 1 and answer["error"]["code"] == -32029


def test_a_client_that_takes_events_alone_is_answered_with_one(weir, server):
    gateway, _ = denied_tool(weir, server)
    message = call("tools/call", id="a\nb", name="search")
    denied = post(gateway.port, "/json", message, [("Accept", "text/event-stream")])
    assert denied.status == 200 and denied.headers["Content-Type"].startswith("text/event-stream")
    event, data, *rest = denied.body.decode().splitlines()
    assert event == "event: message" and rest == [""]
    answer = json.loads(data.removeprefix("data: "))
    assert answer["id"] == "a\nb" and answer["result"]["isError"] is True


def test_what_is_no_json_is_answered_with_a_parse_error(weir, raw_backend):
    gateway = weir(raw_backend, [ROUTE], limits=LIMITS)
    response = post(gateway.port, "/mcp", b"tools/call", [BOTH])
    assert response.status == 400 and json.loads(response.body)["error"]["code"] == -32700
    assert raw_backend.nobody_called()
