"""GraphQL and JSON-RPC inside a WebSocket: npm graphql-ws and subscriptions-transport-ws on both sides, python
websockets for JSON-RPC, and bytes of our own where libraries are too well-behaved."""

import asyncio
import json

import pytest
import websockets

from backends import WebsocketBackend, node
from common import chat, fixed
from wire import CONT, TEXT, deflated, frame, http

LIMITS = {
    "READ": fixed("3/h"),
    "WRITE": fixed("2/h"),
    "LOGIN": fixed("1/h"),
    "CALLS": fixed("3/h"),
    "HEAVY": fixed("1/h"),
}
GRAPHQL = {
    "query": "READ",
    "mutation": "WRITE",
    "subscription": "none",
    "fields": {"Query.search": "LOGIN"},
    "bounds": {"subscriptions": 2},
}
NEW = "graphql-transport-ws"
OLD = "graphql-ws"


def route(graphql=GRAPHQL, **websocket):
    return {**chat(path="/graphql", graphql=graphql, **websocket), "graphql": graphql}


def run(gateway, protocol, *steps):
    return node("graphql_client.mjs", f"ws://127.0.0.1:{gateway.port}/graphql", protocol, json.dumps(steps))


def post(gateway, query):
    body = json.dumps({"query": query}).encode()
    headers = [("Content-Type", "application/json")]
    return http(gateway.port, "/graphql", method="POST", headers=headers, body=body)


def assert_limited(result, limit):
    (error,) = result["errors"]
    assert error["message"] == f"Limit exceeded: Max {limit} requests per hour. Please try again later."
    assert error["extensions"]["code"] == "RATE_LIMITED"
    assert error["extensions"]["limit"] == limit


@pytest.fixture(params=["new", "old"])
def protocol(request):
    return request.param


@pytest.fixture
def upstream(graphql_backend, protocol):
    return graphql_backend.url if protocol == "new" else graphql_backend.legacy_url


def test_operations_share_the_budget_of_http_and_a_denial_is_the_librarys_own_error(
    weir, graphql_backend, upstream, protocol
):
    gateway = weir(upstream, [route()], limits=LIMITS)
    assert post(gateway, "{ hello }").status == 200
    seen = run(gateway, protocol, {"run": ["{ hello }"]}, {"run": ["{ hello }"]}, {"run": ["{ hello }"]})
    assert seen[0] == seen[1] == [{"results": [{"hello": "world"}]}]
    assert_limited(seen[2][0], 3)
    assert post(gateway, "{ hello }").status == 429
    assert post(gateway, "mutation { add }").status == 200
    seen = run(gateway, protocol, {"run": ["mutation { a: add b: add }"]}, {"run": ["mutation { add }"]}, {"run": ["mutation { add }"]})
    assert_limited(seen[0][0], 2)
    assert seen[1] == [{"results": [{"add": 1}]}]
    assert_limited(seen[2][0], 2)
    assert graphql_backend.close() == ["hello"] * 3 + ["add"] * 2
    assert gateway.metric("weir_decisions_total", limit="READ", outcome="allowed") == 3
    assert gateway.metric("weir_decisions_total", limit="READ", outcome="denied") == 2


def test_of_several_operations_in_flight_each_has_its_own_end(weir, graphql_backend, upstream, protocol):
    gateway = weir(upstream, [route()], limits=LIMITS)
    queries = ["{ hello }"] * 5 + ["subscription { count(to: 3) }", '{ search(query: "a") }', '{ search(query: "b") }']
    (seen,) = run(gateway, protocol, {"run": queries})
    assert seen[:3] == [{"results": [{"hello": "world"}]}] * 3
    for denied in seen[3:5]:
        assert_limited(denied, 3)
    assert seen[5] == {"results": [{"count": 1}, {"count": 2}, {"count": 3}]}
    assert seen[6] == {"results": [{"search": "a"}]}
    assert_limited(seen[7], 1)
    assert sorted(graphql_backend.close()) == ["count"] + ["hello"] * 3 + ["search"]


def test_subscriptions_are_bounded_and_free_when_either_side_has_ended_them(weir, upstream, protocol):
    gateway = weir(upstream, [route()], limits=LIMITS)
    forever = "subscription { forever }"
    seen = run(
        gateway,
        protocol,
        {"start": "a", "query": forever},
        {"start": "b", "query": forever},
        {"start": "c", "query": forever},
        {"stop": "a"},
        {"run": ["subscription { count(to: 2) }"]},
        {"run": ["subscription { count(to: 2) }"]},
        {"start": "d", "query": forever},
        {"run": ["subscription { count(to: 2) }", "{ hello }"]},
    )
    assert seen[0] == seen[1] == seen[6] == {"first": {"forever": 1}}
    assert seen[2]["errors"][0]["message"] == "Too many subscriptions: at most 2 at once"
    assert seen[2]["errors"][0]["extensions"] == {"code": "TOO_MANY_SUBSCRIPTIONS"}
    assert seen[4] == seen[5] == [{"results": [{"count": 1}, {"count": 2}]}]
    assert seen[7][0]["errors"][0]["extensions"] == {"code": "TOO_MANY_SUBSCRIPTIONS"}
    assert seen[7][1] == {"results": [{"hello": "world"}]}


def test_what_is_malformed_reaches_nobody_and_is_no_denial(weir, graphql_backend, upstream, protocol):
    gateway = weir(upstream, [route(on_limit={"close_after": "1/h"})], limits=LIMITS)
    seen = run(gateway, protocol, {"run": ["{ hello"]}, {"run": ["{ a: b ...F } fragment F on Query { ...F }"]}, {"run": ["{ hello }"]})
    assert seen[0][0]["errors"][0]["extensions"] == {"code": "GRAPHQL_PARSE_FAILED"}
    assert seen[0][0]["errors"][0]["locations"] == [{"line": 1, "column": 8}]
    assert seen[1][0]["errors"][0]["extensions"] == {"code": "BAD_REQUEST"}
    assert seen[2] == [{"results": [{"hello": "world"}]}]
    assert graphql_backend.close() == ["hello"]


def connect(gateway, subprotocol=NEW, deflate=False):
    """A client of our own that has been greeted."""
    headers = [("Sec-WebSocket-Protocol", subprotocol)]
    if deflate:
        headers.append(("Sec-WebSocket-Extensions", "permessage-deflate"))
    client = gateway.websocket("/graphql", headers)
    client.send_json({"type": "connection_init"})
    return client


def subscribe(number, query):
    return json.dumps({"id": number, "type": "subscribe", "payload": {"query": query}})


def test_an_id_is_used_again_after_its_operation_has_ended(weir, graphql_backend):
    gateway = weir(graphql_backend, [route({**GRAPHQL, "bounds": {"subscriptions": 1}})], limits=LIMITS)
    client = connect(gateway)
    assert client.receive_json() == {"type": "connection_ack"}
    for _ in range(3):
        client.send(subscribe("same", "subscription { count(to: 1) }"))
        assert client.receive_json()["type"] == "next"
        assert client.receive_json() == {"id": "same", "type": "complete"}
    client.send(subscribe("other", "subscription { count(to: 1) }"))
    assert client.receive_json()["type"] == "next"
    client.close()


def test_fragments_and_compression_change_nothing(weir, graphql_backend):
    gateway = weir(graphql_backend, [route()], limits=LIMITS)
    client = connect(gateway, deflate=True)
    assert "server_no_context_takeover" in client.headers["Sec-WebSocket-Extensions"]
    client.receive_frame()  # connection_ack, compressed
    message = subscribe("1", "mutation { a: add b: add }")
    whole = deflated(message)
    client.stream.send(frame(TEXT, whole[:7], fin=False, rsv=4) + frame(CONT, whole[7:]))
    assert client.receive_frame().rsv == 4  # the result
    assert client.receive_frame().rsv == 4  # complete
    for sent in (
        frame(TEXT, whole, rsv=4),
        frame(TEXT, message),
        frame(TEXT, message[:30], fin=False) + frame(CONT, message[30:31], fin=False) + frame(CONT, message[31:]),
    ):
        client.stream.send(sent)
        answer = client.receive_json()
        assert (answer["type"], answer["id"]) == ("error", "1")
        assert answer["payload"][0]["extensions"]["code"] == "RATE_LIMITED"
    client.close()
    assert graphql_backend.close() == ["add", "add"]


@pytest.mark.parametrize(
    "message",
    [
        '{"id": "1", "type": "ping", "type": "subscribe", "payload": {"query": "{ hello }"}}',
        '{"id": "1", "TYPE": "subscribe", "payload": {"query": "{ hello }"}}',
        '{"id": "1", "type": "subscribe", "payload": {"query": "{ hello }"},}',
    ],
    ids=["a member that is there twice", "another case", "no strict JSON"],
)
def test_what_cannot_be_judged_counts_under_the_strictest_rule(weir, ws_backend, message):
    gateway = weir(ws_backend, [route(graphql={**GRAPHQL, "bounds": {"subscriptions": 0}})], limits=LIMITS)
    client = gateway.websocket("/graphql")
    client.send(message)
    assert client.receive() == message
    client.send(message)
    assert client.denied()["group"] == "login"
    client.close()


def test_messages_that_are_no_operation_count_by_the_rules_on_messages(weir, ws_backend):
    gateway = weir(ws_backend, [route(messages=[{"limit": "CALLS"}])], limits=LIMITS)
    client = gateway.websocket("/graphql")
    for _ in range(3):
        client.send_json({"type": "ping"})
        assert client.receive_json() == {"type": "ping"}
    client.send_json({"type": "ping"})
    assert client.denied()["group"] == "calls"
    client.send(subscribe("1", "{ hello }"))
    assert client.receive_json()["id"] == "1"
    client.close()


def test_calls_of_json_rpc_count_by_method_and_are_denied_under_their_ids(weir):
    backend = WebsocketBackend()
    calls = {"default": "CALLS", "methods": {"heavy": "HEAVY"}}
    gateway = weir(backend, [chat(jsonrpc=calls)], limits=LIMITS)

    def call(number, method):
        return {"jsonrpc": "2.0", "id": number, "method": method}

    async def talk():
        async with websockets.connect(f"ws://127.0.0.1:{gateway.port}/ws/") as socket:

            async def ask(message):
                await socket.send(json.dumps(message))
                return json.loads(await asyncio.wait_for(socket.recv(), 10))

            assert await ask(call(1, "heavy")) == call(1, "heavy")
            denied = await ask(call("two", "heavy"))
            assert (denied["id"], denied["error"]["code"]) == ("two", 429)
            assert denied["error"]["data"]["group"] == "heavy"
            batch = [call(3, "x"), {"jsonrpc": "2.0", "method": "note"}, call(4, "heavy")]
            assert [answer["id"] for answer in await ask(batch)] == [3, 4]
            await socket.send(json.dumps({"jsonrpc": "2.0", "method": "heavy"}))  # denied, and nobody is told
            assert await ask(batch[:2]) == batch[:2]
            assert await ask(call(5, "x")) == call(5, "x")
            assert (await ask(call(6, "x")))["error"]["data"]["group"] == "calls"
            assert await ask({"jsonrpc": "2.0", "id": 7, "result": 1}) == {"jsonrpc": "2.0", "id": 7, "result": 1}

    try:
        asyncio.run(talk())
        assert len(backend.messages) == 4
    finally:
        backend.close()
