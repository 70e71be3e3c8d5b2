"""Ways around a limit, a row each. The backend's own record says whether more was executed than the limit admits.

Where a row says that the server `runs` it, it is sent to the server without the gateway as well, and must there execute
more than the limit: a row that the server would not run proves nothing.
"""

import collections
import hashlib
import json
import threading
import urllib.parse

import pytest

from common import JWT, SECRET, TRUSTED, fixed, forwarded
from peers import JsonRpcBackend, NodeServer, json_body, post
from tokens import user_token
from wire import Closed, Stream, WsClient, dial, http, read_response, request_bytes

LIMIT = 3
JSON = ("Content-Type", "application/json")
LIMITS = {"SEARCHES": fixed(f"{LIMIT}/h"), "PLENTY": fixed("1000/h")}
GRAPHQL = {"query": "PLENTY", "mutation": "PLENTY", "fields": {"Query.search": "SEARCHES"}}
MCP = {"default": "PLENTY", "tools": {"search": "SEARCHES"}}

Attack = collections.namedtuple("Attack", "id requests runs times")


def attack(id, *requests, runs=True, times=LIMIT + 2):
    return pytest.param(Attack(id, requests, runs, times), id=id)


def body(text, content_type="application/json", target="/graphql", method="POST", headers=()):
    data = text.encode() if isinstance(text, str) else text if isinstance(text, bytes) else json_body(text)
    typed = [("Content-Type", content_type)] if content_type else []
    return request_bytes(target, method, [*typed, *headers, ("Connection", "close")], data)


def document(text, **members):
    return body({"query": text, **members})


def query(headers=(), target="/graphql?", **parameters):
    return request_bytes(target + urllib.parse.urlencode(parameters), headers=[*headers, ("Connection", "close")])


def send(port, request):
    """The status of the answer; None when the connection ended without one."""
    stream = Stream(dial(port))
    try:
        stream.send(request)
        return read_response(stream).status
    except (Closed, BrokenPipeError, ConnectionResetError):
        return None
    finally:
        stream.close()


def try_it(gateway, server, one, what):
    """Sends the attack without and with the gateway; `what` is executed at most LIMIT times through it."""
    server.reset()
    if one.runs:
        for _ in range(one.times):
            for request in one.requests:
                send(server.port, request)
        assert server.executed().count(what) > LIMIT, "the server does not run this"
        server.reset()
    statuses = [send(gateway.port, request) for _ in range(one.times) for request in one.requests]
    assert server.executed().count(what) <= LIMIT, statuses
    assert set(statuses) <= {200, 202, 400, 404, 405, 413, 415, 429, 500}, statuses
    return statuses


# ----------------------------------------------------------------------------------------------------- GraphQL

DIGEST = hashlib.sha256(b"{ search }").hexdigest()
HASHED = {"persistedQuery": {"version": 1, "sha256Hash": DIGEST}}
TWO_OPERATIONS = "query A { cheap } query B { search }"
BLOCK = 'query A { cheap(note: """\n} query B { cheap(note: "\n""") search }'

GRAPHQL_ATTACKS = [
    attack("plain", document("{ search }")),
    attack("aliases", document("{ a: search b: search }"), times=2 * LIMIT),
    attack("many aliases at once", document("{ a: search b: search c: search d: search }"), times=1),
    attack("alias of another field", document("{ cheap: search }")),
    attack("fragment", document("{ ...F } fragment F on Query { search }")),
    attack("fragments in fragments", document("{ ...F } fragment F on Query { ...G } fragment G on Query { search }")),
    attack("inline fragments", document("{ ... { ... on Query { ... @include(if: true) { search } } } }")),
    attack(
        "one fragment under two aliases",
        document("{ ...F b: search } fragment F on Query { a: search }"),
        times=2 * LIMIT,
    ),
    attack(
        "skip and include",
        document("query($n: Boolean!) { search @skip(if: $n) cheap @include(if: $n) }", variables={"n": False}),
    ),
    attack(
        "two variables of one field",
        document("query($q: String) { a: search(q: $q) b: search(q: \"x\") }", variables={"q": "y"}),
    ),
    attack("mutation first", document("mutation M { note } query Q { search }", operationName="Q")),
    attack("get", query(query="{ search }")),
    attack("get and post in turn", query(query="{ search }"), document("{ search }")),
    attack("get with an operation name", query(query=TWO_OPERATIONS, operationName="B")),
    attack("head", query(query="{ search }").replace(b"GET", b"HEAD", 1), runs=False),
    attack("post with the query in the target", body("{}", target="/graphql?query=%7Bsearch%7D"), runs=False),
    attack(
        "another query in the target",
        body({"query": "{ cheap }"}, target="/graphql?query=%7Bsearch%7D"),
        runs=False,
    ),
    attack("another query in the body", body({"query": "{ search }"}, target="/graphql?query=%7Bcheap%7D")),
    attack(
        "get with a body",
        body({"query": "{ search }"}, method="GET", target="/graphql?query=%7Bcheap%7D"),
        runs=False,
    ),
    attack("operation name", document(TWO_OPERATIONS, operationName="B")),
    attack("empty operation name", document(TWO_OPERATIONS, operationName=""), runs=False),
    attack("operation name of another type", document(TWO_OPERATIONS, operationName=["B"]), runs=False),
    attack("two operation names", body('{"query": "%s", "operationName": "A", "operationName": "B"}' % TWO_OPERATIONS)),
    attack(
        "operation name in target and body",
        body({"query": TWO_OPERATIONS, "operationName": "B"}, target="/graphql?operationName=A"),
    ),
    attack("a comment that looks like an end", document("{ cheap # }\n search }")),
    attack("a comment that a carriage return ends", document("{ cheap # }\r search }")),
    attack("a comment that a line separator ends", document("{ cheap # \u2028 search\n search }")),
    attack("commas and marks for white space", document("\ufeff{,,cheap,\ufeff,search,}")),
    attack("a string that looks like an end", document('{ cheap(note: "} query B { cheap") search }')),
    attack("a block string that looks like an operation", document(BLOCK)),
    attack("an escaped block string", document('{ cheap(note: """ \\""" } """) search }')),
    attack("a quotation mark in a block string", document('{ cheap(note: """ " } query X { cheap # """) search }')),
    attack("mark in front of the body", body(b"\xef\xbb\xbf" + json_body({"query": "{ search }"})), runs=False),
    attack("two queries", body('{"query": "{ cheap }", "query": "{ search }"}')),
    attack("two queries, one in other case", body('{"Query": "{ cheap }", "query": "{ search }"}')),
    attack("escapes in a key", body('{"\\u0071uery": "{ search }"}')),
    attack("escaped twin", body('{"query": "{ cheap }", "\\u0071uery": "{ search }"}')),
    attack("escapes in the document", body('{"query": "{ \\u0073earch }"}')),
    attack("padding before the query", body(json.dumps({"variables": {"x": "y" * 100_000}, "query": "{ search }"}))),
    attack("deep variables", body('{"variables": {"x": ' + "[" * 40 + "]" * 40 + '}, "query": "{ search }"}')),
    attack("type with parameters", body({"query": "{ search }"}, "application/json; charset=utf-8")),
    attack("type in another case", body({"query": "{ search }"}, "Application/JSON")),
    attack("application/graphql+json", body({"query": "{ search }"}, "application/graphql+json"), runs=False),
    attack("text/plain", body({"query": "{ search }"}, "text/plain"), runs=False),
    attack("no type", body({"query": "{ search }"}, None), runs=False),
    attack("two types", body({"query": "{ search }"}, "text/plain", headers=[JSON]), runs=False),
    attack(
        "form",
        body(urllib.parse.urlencode({"query": "{ search }"}), "application/x-www-form-urlencoded"),
        runs=False,
    ),
    attack("bare document", body("{ search }", "application/graphql"), runs=False),
    attack(
        "chunked",
        request_bytes(
            "/graphql",
            "POST",
            [JSON, ("Transfer-Encoding", "chunked")],
            b'13\r\n{"query": "{ search\r\n3\r\n }"\r\n1\r\n}\r\n0\r\n\r\n',
        ),
    ),
    attack("method override", body({"query": "{ search }"}, headers=[("X-HTTP-Method-Override", "OPTIONS")])),
    attack("upgrade to a websocket that is none", body({"query": "{ search }"}, headers=[("Upgrade", "websocket")])),
    attack(
        "half a preflight",
        body(
            {"query": "{ search }"},
            headers=[("Origin", "https://a.example"), ("Access-Control-Request-Method", "POST")],
        ),
    ),
    attack("http/1.0", document("{ search }").replace(b"HTTP/1.1", b"HTTP/1.0", 1)),
]

APOLLO_ATTACKS = [
    attack("batch", body([{"query": "{ search }"}] * (LIMIT + 1)), times=1),
    attack("batches of one", body([{"query": "{ search }"}])),
    attack("batch behind something cheap", body([{"query": "{ cheap }"}, {"query": "{ search }"}])),
    attack("batch with aliases", body([{"query": "{ a: search b: search }"}] * 2), times=2),
    attack("batch in a batch", body([[{"query": "{ search }"}]]), runs=False),
    attack("persisted", body({"query": "{ search }", "extensions": HASHED}), body({"extensions": HASHED})),
    attack(
        "persisted, by get",
        body({"query": "{ search }", "extensions": HASHED}), query(extensions=json.dumps(HASHED)),
    ),
    attack(
        "persisted, under another name",
        body({"query": "{ search }", "extensions": HASHED}), body({"extensions": HASHED, "operationName": "Cheap"}),
        runs=False,
    ),
    attack(
        "persisted, hash in upper case",
        body({"query": "{ search }", "extensions": HASHED}),
        body({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": DIGEST.upper()}}}),
        runs=False,
    ),
]


@pytest.fixture(scope="module", params=["graphql-http", "apollo"])
def graphql_server(request):
    made = NodeServer("graphql_backend.mjs", request.param)
    yield made
    made.close()


@pytest.fixture(scope="module")
def apollo():
    made = NodeServer("graphql_backend.mjs", "apollo")
    yield made
    made.close()


def graphql_gateway(weir, server, *more, **config):
    routes = [{"name": "graphql", "path": "/graphql", "upstream": "app", "graphql": GRAPHQL}, *more]
    return weir(server, routes, limits={**LIMITS, **config.pop("limits", {})}, **config)


@pytest.mark.parametrize("one", GRAPHQL_ATTACKS)
def test_no_way_of_writing_an_operation_is_a_way_around(weir, graphql_server, one):
    try_it(graphql_gateway(weir, graphql_server), graphql_server, one, "Query.search")


@pytest.mark.parametrize("one", APOLLO_ATTACKS)
def test_batches_and_persisted_documents_are_no_way_around(weir, apollo, one):
    try_it(graphql_gateway(weir, apollo), apollo, one, "Query.search")


PATHS = [
    "/graphql?x=1",
    "/%67raphql",
    "//graphql",
    "/./graphql",
    "/x/../graphql",
    "/graphql/../graphql",
    "/graphql%3Fa",
    "/graphql%2F",
    "/graphql/",
    "/graphql/.",
    "/graphql;a=b",
    "/GRAPHQL",
    "/GraphQL",
    "http://example.test/graphql",
]


@pytest.mark.parametrize("path", PATHS)
def test_another_spelling_of_the_path_is_no_way_around(weir, apollo, path):
    """This server answers on every path, so whatever the route does not cover must not pass to it."""
    one = Attack(path, (body({"query": "{ search }"}, target=path),), True, LIMIT + 2)
    try_it(graphql_gateway(weir, apollo), apollo, one, "Query.search")


# ------------------------------------------------------------------------------------------- doors and connections


def test_many_connections_of_one_user_share_a_budget(weir, apollo):
    apollo.reset()
    gateway = graphql_gateway(weir, apollo, identity=JWT, trusted_proxies=TRUSTED, workers=2)
    token = user_token(SECRET, "alice")
    start = threading.Barrier(5)
    statuses = []

    def connection(n):
        headers = [JSON, ("Authorization", f"Bearer {token}"), forwarded(f"198.51.100.{n}")]
        request = request_bytes("/graphql", "POST", headers, json_body({"query": "{ search }"}))
        stream = gateway.stream()
        start.wait(10)
        stream.send(request * 4)
        statuses.extend(read_response(stream).status for _ in range(4))
        stream.close()

    threads = [threading.Thread(target=connection, args=(n,)) for n in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(statuses) == [200] * LIMIT + [429] * (20 - LIMIT)
    assert apollo.executed() == ["Query.search"] * LIMIT


def test_a_token_in_another_place_is_the_same_user(weir, apollo):
    apollo.reset()
    gateway = graphql_gateway(weir, apollo, identity=JWT)
    token = user_token(SECRET, "alice")
    for _ in range(2):
        post(gateway.port, "/graphql", {"query": "{ search }"}, [("Authorization", f"Bearer {token}")])
        post(gateway.port, "/graphql", {"query": "{ search }"}, [("Authorization", f"JWT {token}")])
        post(gateway.port, f"/graphql?token={token}", {"query": "{ search }"})
    assert apollo.executed() == ["Query.search"] * LIMIT


def test_a_forged_address_is_no_second_budget(weir, apollo):
    apollo.reset()
    gateway = graphql_gateway(weir, apollo)
    for n in range(LIMIT + 2):
        headers = [forwarded(f"198.51.100.{n}"), ("X-Real-IP", f"198.51.100.{n}"), ("Forwarded", f"for=198.51.100.{n}")]
        post(gateway.port, "/graphql", {"query": "{ search }"}, headers)
    assert apollo.executed() == ["Query.search"] * LIMIT


def test_one_budget_is_spent_through_graphql_a_plain_request_and_a_websocket(weir, apollo, http_backend, ws_backend):
    apollo.reset()
    grouped = {
        name: fixed(f"{LIMIT}/h", group="search") for name in ("SEARCHES", "SEARCH_REQUESTS", "SEARCH_MESSAGES")
    }
    gateway = graphql_gateway(
        weir,
        None,
        {"name": "rest", "path": "/search", "upstream": "rest", "http": {"limit": "SEARCH_REQUESTS"}},
        {"name": "ws", "path": "/ws/", "upstream": "ws", "websocket": {"messages": [{"limit": "SEARCH_MESSAGES"}]}},
        limits=grouped,
        upstreams={"app": apollo.url, "rest": http_backend.url, "ws": ws_backend.url},
    )
    client = WsClient(gateway.port, "/ws/")
    outcomes = []
    for _ in range(2):
        outcomes.append(post(gateway.port, "/graphql", {"query": "{ search }"}).status)
        outcomes.append(http(gateway.port, "/search").status)
        client.send("search")
        outcomes.append("denied" if '"RATE_LIMITED"' in client.receive() else "echo")
    assert outcomes == [200, 200, "echo", 429, 429, "denied"]
    assert (len(apollo.executed()), len(http_backend.requests), len(ws_backend.messages)) == (1, 1, 1)


# ------------------------------------------------------------------------------------------------ MCP and JSON-RPC

BOTH = [("Accept", "application/json, text/event-stream")]
SEARCH = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "search", "arguments": {}}}
TEXT = json.dumps(SEARCH)


def mcp_body(text, headers=(), content_type="application/json"):
    return body(text, content_type, "/json", headers=[*BOTH, *headers])


MCP_ATTACKS = [
    attack("plain", mcp_body(SEARCH)),
    attack("a header that lies", mcp_body(SEARCH, [("Mcp-Method", "ping"), ("Mcp-Name", "other")])),
    attack(
        "a session of one's own",
        *(mcp_body(SEARCH, [("Mcp-Session-Id", f"s{n}")]) for n in range(LIMIT + 2)),
        times=1,
    ),
    attack("batch", mcp_body([{**SEARCH, "id": n} for n in range(LIMIT + 1)]), times=1),
    attack("batches of one", mcp_body([SEARCH])),
    attack("without an id", mcp_body({k: v for k, v in SEARCH.items() if k != "id"}), runs=False),
    attack("an id of null", mcp_body({**SEARCH, "id": None}), runs=False),
    attack("escapes", mcp_body(TEXT.replace("tools/call", "tools\\/c\\u0061ll").replace('"search"', '"se\\u0061rch"'))),
    attack("escapes in keys", mcp_body(TEXT.replace('"method"', '"m\\u0065thod"').replace('"name"', '"n\\u0061me"'))),
    attack("two names", mcp_body(TEXT.replace('"name": "search"', '"name": "other", "name": "search"'))),
    attack("two methods", mcp_body(TEXT.replace('"method":', '"method": "ping", "method":'))),
    attack("two params", mcp_body(TEXT.replace('"params":', '"params": {"name": "other"}, "params":'))),
    attack("a name in an array", mcp_body({**SEARCH, "params": {"name": ["search"]}}), runs=False),
    attack("keys in another case", mcp_body(TEXT.replace('"method"', '"Method"')), runs=False),
    attack("mark in front", mcp_body(b"\xef\xbb\xbf" + TEXT.encode())),
    attack("padding", mcp_body(TEXT.replace('"arguments": {}', '"arguments": {"x": "%s"}' % ("y" * 100_000)))),
    attack("white space", mcp_body(" \r\n\t" * 1000 + TEXT)),
    attack("type in another case", mcp_body(SEARCH, content_type="Application/JSON; Charset=UTF-8"), runs=False),
    attack("query part", body(SEARCH, target="/json?method=ping", headers=BOTH)),
]


@pytest.fixture(scope="module")
def mcp_server():
    made = NodeServer("mcp_backend.mjs")
    yield made
    made.close()


@pytest.mark.parametrize("one", MCP_ATTACKS)
def test_no_way_of_writing_a_tool_call_is_a_way_around(weir, mcp_server, one):
    gateway = weir(mcp_server, [{"name": "mcp", "path": "/**", "upstream": "app", "mcp": MCP}], limits=LIMITS)
    try_it(gateway, mcp_server, one, "tool:search")


CALL = '{"jsonrpc": "2.0", "id": 1, "method": "expensive"}'
RPC_ATTACKS = [
    attack("plain", body(CALL)),
    attack("without an id", body('{"jsonrpc": "2.0", "method": "expensive"}')),
    attack("without a version", body('{"id": 1, "method": "expensive"}')),
    attack("two methods", body(CALL.replace('"method":', '"method": "cheap", "method":'))),
    attack("not a number, as some readers take it", body(CALL.replace('"id": 1', '"id": NaN'))),
    attack(
        "control characters in a text, as some readers take them",
        body(CALL.replace('"id": 1', '"id": "a\tb"')),
        runs=False,
    ),
    attack("batch", body(f"[{CALL}, {CALL}, {CALL}, {CALL}]"), times=1),
    attack("batch with something that is no call", body(f"[1, {CALL}, null, {CALL}]")),
    attack("no type", body(CALL, None)),
    attack("text/plain", body(CALL, "text/plain")),
    attack("a form", body(CALL, "application/x-www-form-urlencoded")),
    attack("utf-16", body(CALL.encode("utf-16")), times=LIMIT + 2),
    attack("utf-16 without a mark", body(CALL.encode("utf-16-le")), times=LIMIT + 2),
    attack("utf-8 with a mark", body(b"\xef\xbb\xbf" + CALL.encode())),
    attack("put", body(CALL, method="PUT"), runs=False),
]


@pytest.fixture
def rpc_backend():
    made = JsonRpcBackend()
    yield made
    made.close()


@pytest.mark.parametrize("one", RPC_ATTACKS)
def test_no_way_of_writing_a_call_is_a_way_around(weir, rpc_backend, one):
    """Python's reader is a lenient one: it takes NaN, doubled members, and guesses the encoding."""
    rules = {"default": "PLENTY", "methods": {"expensive": "SEARCHES"}}
    gateway = weir(rpc_backend, [{"name": "rpc", "path": "/**", "upstream": "app", "jsonrpc": rules}], limits=LIMITS)
    try_it(gateway, rpc_backend, one, "expensive")
