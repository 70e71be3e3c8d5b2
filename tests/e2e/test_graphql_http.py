"""GraphQL over HTTP in front of servers that we did not write: what is counted, what is denied, and what passes."""

import asyncio
import hashlib
import json
import subprocess
import urllib.parse

import aiohttp
import pytest

from common import fixed
from peers import NodeServer, json_body, post, quotas
from wire import dial, http, read_head, read_response, request_bytes, Stream

GRAPHQL_JSON = "application/graphql-response+json"
LIMITS = {
    "QUERIES": fixed("20/h"),
    "MUTATIONS": fixed("10/h"),
    "SEARCHES": fixed("3/h"),
    "LOGINS": fixed("2/h"),
    "REQUESTS": fixed("1000/h"),
}


def graphql(path="/graphql", http_section=None, **section):
    rules = {"query": "QUERIES", "mutation": "MUTATIONS", **section}
    more = {"http": http_section} if http_section else {}
    return {"name": "graphql", "path": path, "upstream": "app", "graphql": rules, **more}


SEARCHES = {"Query.search": "SEARCHES"}


@pytest.fixture(scope="module", params=["graphql-http", "apollo"])
def any_server(request):
    made = NodeServer("graphql_backend.mjs", request.param)
    made.kind = request.param
    yield made
    made.close()


@pytest.fixture(scope="module")
def apollo_server():
    made = NodeServer("graphql_backend.mjs", "apollo")
    yield made
    made.close()


@pytest.fixture
def server(any_server):
    any_server.reset()
    return any_server


@pytest.fixture
def apollo(apollo_server):
    apollo_server.reset()
    return apollo_server


def ask(where, document, headers=(), **members):
    return post(where.port, "/graphql", {"query": document, **members}, headers)


def get(where, document, headers=(), **members):
    target = "/graphql?" + urllib.parse.urlencode({"query": document, **members})
    return http(where.port, target, headers=headers)


def is_denied(response, status=429):
    assert response.status == status, (response.status, response.body)
    error = json.loads(response.body)["errors"][0]
    assert error["extensions"]["code"] == "RATE_LIMITED", error
    return error


# --------------------------------------------------------------------------------------- as without a gateway


@pytest.mark.parametrize(
    "document",
    ["{ me { id name friend { name } } }", "mutation { note(text: \"hi\") }", "{ nosuch }", "{ me { nosuch } }"],
)
def test_operations_are_answered_as_without_the_gateway(weir, server, document):
    gateway = weir(server, [graphql()], limits=LIMITS)
    for accept in (GRAPHQL_JSON, "application/json"):
        directly, through = (ask(where, document, [("Accept", accept)]) for where in (server, gateway))
        assert (through.status, through.body) == (directly.status, directly.body)
        assert through.headers["Content-Type"] == directly.headers["Content-Type"]


def test_a_get_is_answered_as_without_the_gateway_and_counts(weir, server):
    gateway = weir(server, [graphql(fields=SEARCHES)], limits=LIMITS)
    directly = get(server, "{ search }")
    for left in (2, 1, 0):
        through = get(gateway, "{ search }")
        assert (through.status, through.body) == (directly.status, directly.body)
        assert quotas(through) == {"searches": left}
    is_denied(get(gateway, "{ search }"))
    assert server.executed() == ["Query.search"] * 4


def test_curl_reads_the_denial_and_when_to_come_back(weir, server):
    gateway = weir(server, [graphql(fields=SEARCHES)], limits=LIMITS)
    command = ["curl", "-sS", "-i", "-H", "Content-Type: application/json", "--data-binary", '{"query": "{ search }"}']
    command += ["-H", f"Accept: {GRAPHQL_JSON}", f"http://127.0.0.1:{gateway.port}/graphql"]
    for _ in range(3):
        assert "200 OK" in subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    out = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
    assert out.startswith("HTTP/1.1 429 ") and "\nRetry-After: " in out and '"RATE_LIMITED"' in out
    assert server.executed() == ["Query.search"] * 3


def test_concurrent_requests_of_aiohttp_never_exceed_the_limit(weir, server):
    gateway = weir(server, [graphql(fields=SEARCHES)], limits=LIMITS, workers=2)

    async def all_at_once():
        async with aiohttp.ClientSession() as session:

            async def one():
                url = f"http://127.0.0.1:{gateway.port}/graphql"
                async with session.post(url, json={"query": "{ search }"}) as response:
                    return response.status, await response.json(content_type=None)

            return await asyncio.gather(*(one() for _ in range(20)))

    statuses = [status for status, _ in asyncio.run(all_at_once())]
    assert sorted(statuses) == [200] * 3 + [429] * 17
    assert server.executed() == ["Query.search"] * 3


# ------------------------------------------------------------------------------------------------- denials


@pytest.mark.parametrize(
    "accept, expected",
    [
        (GRAPHQL_JSON, GRAPHQL_JSON),
        (f"{GRAPHQL_JSON}; charset=utf-8, application/json;q=0.9", GRAPHQL_JSON),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        (f"{GRAPHQL_JSON};q=0, application/json", "application/json"),
        (None, "application/json"),
    ],
)
@pytest.mark.parametrize("status", [429, 200])
def test_a_denial_is_a_graphql_error_of_the_type_that_the_client_takes(weir, server, accept, expected, status):
    gateway = weir(server, [graphql(fields=SEARCHES, status=status)], limits=LIMITS)
    headers = [("Accept", accept)] if accept else []
    for _ in range(3):
        assert ask(gateway, "{ search }", headers).status == 200
    response = ask(gateway, "{ search }", headers)
    error = is_denied(response, status)
    assert response.headers["Content-Type"].split(";")[0] == expected
    assert error["message"] == "Limit exceeded: Max 3 requests per hour. Please try again later."
    wait = int(response.headers["Retry-After"])
    assert 0 < wait <= 3600
    extensions = error["extensions"]
    assert abs(extensions.pop("retry_after") - wait) <= 1
    assert extensions == {"code": "RATE_LIMITED", "limit": 3, "remaining": 0, "group": "searches"}
    assert response.headers["X-RateLimit-Limit"] == "3" and response.headers["X-RateLimit-Remaining"] == "0"
    assert quotas(response) == {"searches": 0}
    assert server.executed() == ["Query.search"] * 3


def test_a_denied_batch_is_answered_with_an_error_for_each_and_runs_no_part(weir, apollo):
    gateway = weir(apollo, [graphql(fields=SEARCHES)], limits=LIMITS)
    batch = [{"query": "{ cheap }"}, {"query": "{ a: search b: search }"}, {"query": "{ c: search d: search }"}]
    response = post(gateway.port, "/graphql", batch)
    assert response.status == 429
    answers = json.loads(response.body)
    assert [answer["errors"][0]["extensions"]["code"] for answer in answers] == ["RATE_LIMITED"] * 3
    assert apollo.executed() == []
    assert quotas(ask(gateway, "{ search cheap }")) == {"searches": 2, "queries": 19}, "a denied batch takes nothing"


def test_cors_fields_let_a_page_read_a_denial_and_preflights_are_free(weir, apollo):
    origin = ("Origin", "https://app.example")
    gateway = weir(apollo, [graphql(fields=SEARCHES)], limits=LIMITS, cors={"origins": ["https://app.example"]})
    preflight = [origin, ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "content-type")]
    for _ in range(5):
        assert http(gateway.port, "/graphql", "OPTIONS", preflight).status == 204
    for _ in range(3):
        assert ask(gateway, "{ search }", [origin]).status == 200
    denied = ask(gateway, "{ search }", [origin])
    is_denied(denied)
    assert denied.headers["Access-Control-Allow-Origin"] == "https://app.example"
    assert "retry-after" in denied.headers["Access-Control-Expose-Headers"].lower()
    malformed = ask(gateway, "{ search", [origin])
    assert malformed.status == 400 and malformed.headers["Access-Control-Allow-Origin"] == "https://app.example"


# --------------------------------------------------------------------------------------------------- costs

FRAGMENTS = """
query Q { ...A ... on Query { b: cheap } ... { c: cheap } }
fragment A on Query { a: cheap ...B }
fragment B on Query { d: cheap me { id } }
"""


@pytest.mark.parametrize(
    "members, cost",
    [
        pytest.param({"query": "{ cheap }"}, 1, id="one field"),
        pytest.param({"query": "{ cheap me { id friend { id } } }"}, 2, id="two fields"),
        pytest.param({"query": "{ a: cheap b: cheap c: cheap }"}, 3, id="aliases"),
        pytest.param({"query": "{ me { id } me { name } }"}, 1, id="merged"),
        pytest.param({"query": FRAGMENTS}, 5, id="fragments"),
        pytest.param({"query": "query($x: Boolean!) { a: cheap @skip(if: $x) b: cheap @include(if: $x) }",
                      "variables": {"x": True}}, 2, id="skip and include"),
        pytest.param({"query": "query A { cheap } query B { a: cheap b: cheap }", "operationName": "B"}, 2, id="named"),
        pytest.param({"query": "{ __typename }"}, 1, id="typename"),
    ],
)
@pytest.mark.parametrize("door", ["post", "get", "chunked"])
def test_an_operation_costs_one_for_each_root_field(weir, server, members, cost, door):
    gateway = weir(server, [graphql()], limits=LIMITS)
    if door == "get":
        query = {k: v if isinstance(v, str) else json.dumps(v) for k, v in members.items()}
        response = http(gateway.port, "/graphql?" + urllib.parse.urlencode(query))
    elif door == "post":
        response = post(gateway.port, "/graphql", members)
    else:
        body = json_body(members)
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(body[i : i + 7]), body[i : i + 7]) for i in range(0, len(body), 7))
        headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]
        response = http(gateway.port, "/graphql", "POST", headers, chunks + b"0\r\n\r\n")
    assert response.status == 200, response.body
    assert "errors" not in json.loads(response.body)
    assert quotas(response) == {"queries": 20 - cost}
    assert len(server.executed()) <= cost


def test_each_operation_of_a_batch_costs(weir, apollo):
    gateway = weir(apollo, [graphql(fields=SEARCHES)], limits=LIMITS)
    batch = [{"query": "{ cheap }"}, {"query": "{ a: cheap b: search }"}, {"query": "mutation { note }"}]
    response = post(gateway.port, "/graphql", batch)
    assert response.status == 200 and len(json.loads(response.body)) == 3
    assert quotas(response) == {"queries": 18, "searches": 2, "mutations": 9}


def test_fields_patterns_and_operation_types_have_limits_of_their_own(weir, server):
    limits = {**LIMITS, "FINDS": fixed("7/h")}
    fields = {
        "Query.search*": "FINDS",
        "Query.search": ["SEARCHES", "QUERIES"],
        "Mutation.login": "LOGINS",
        "Query.cheap": "none",
    }
    gateway = weir(server, [graphql(fields=fields)], limits=limits)
    assert quotas(ask(gateway, "{ searchUsers }")) == {"finds": 6}
    assert quotas(ask(gateway, "{ search }")) == {"searches": 2, "queries": 19}
    assert quotas(ask(gateway, "{ cheap }")) == {}
    assert quotas(ask(gateway, "{ search: me { id } }")) == {"queries": 18}, "an alias is no field"
    assert quotas(ask(gateway, "mutation { note }")) == {"mutations": 9}
    assert quotas(ask(gateway, "mutation { search: login note }")) == {"logins": 1, "mutations": 8}


def test_one_limit_that_denies_spares_the_others(weir, server):
    gateway = weir(server, [graphql(fields={"Mutation.login": "LOGINS"})], limits=LIMITS)
    for _ in range(2):
        assert ask(gateway, "mutation { login }").status == 200
    denied = ask(gateway, "mutation { note login }")
    assert is_denied(denied)["extensions"]["group"] == "logins"
    assert quotas(ask(gateway, "mutation { note }")) == {"mutations": 9}
    assert server.executed() == ["Mutation.login", "Mutation.login", "Mutation.note"]


def test_what_the_route_counts_of_requests_is_counted_besides(weir, server):
    gateway = weir(server, [graphql(http_section={"limit": "REQUESTS"})], limits=LIMITS)
    assert quotas(ask(gateway, "{ a: cheap b: cheap }")) == {"requests": 999, "queries": 18}


# -------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "members, message",
    [
        pytest.param({"query": "{ me { friend { friend { id } } } }"}, "depth", id="depth"),
        pytest.param({"query": "{ me { ...F } } fragment F on User { friend { friend { id } } }"}, "depth", id="in F"),
        pytest.param({"query": "{ a: cheap b: cheap c: cheap d: cheap }"}, "aliases", id="aliases"),
        pytest.param({"query": "{ cheap me { id } search searchUsers __typename }"}, "root fields", id="root fields"),
        pytest.param({"query": "{ cheap " + "cheap " * 50 + "}"}, "tokens", id="tokens"),
    ],
)
def test_an_operation_beyond_a_bound_is_400_with_its_place(weir, server, members, message):
    bounds = {"depth": 3, "aliases": 3, "root_fields": 4, "tokens": 40, "batch": 2}
    gateway = weir(server, [graphql(bounds=bounds)], limits=LIMITS)
    response = post(gateway.port, "/graphql", members)
    error = json.loads(response.body)["errors"][0]
    assert response.status == 400 and message in error["message"]
    assert error["locations"][0]["line"] == 1
    assert server.executed() == []
    assert quotas(ask(gateway, "{ cheap }")) == {"queries": 19}, "a refused request costs nothing"


def test_a_batch_beyond_its_bound_is_400(weir, apollo):
    gateway = weir(apollo, [graphql(bounds={"batch": 2})], limits=LIMITS)
    assert post(gateway.port, "/graphql", [{"query": "{ cheap }"}] * 2).status == 200
    refused = post(gateway.port, "/graphql", [{"query": "{ cheap }"}] * 3)
    assert refused.status == 400 and "batch" in json.loads(refused.body)["errors"][0]["message"]
    assert apollo.executed() == ["Query.cheap"] * 2


@pytest.mark.parametrize(
    "body, place",
    [
        pytest.param({"query": "{ cheap\n  me { id }"}, (2, 12), id="unclosed"),
        pytest.param({"query": "{ cheap ) }"}, (1, 9), id="stray"),
        pytest.param({"query": "query A { cheap } query B { cheap }"}, None, id="several and no name"),
        pytest.param({"query": "query A { cheap }", "operationName": "C"}, None, id="unknown name"),
        pytest.param({"query": "{ ...A } fragment A on Query { ...A }"}, (1, 32), id="cycle"),
        pytest.param({"query": ""}, None, id="empty"),
        pytest.param({}, None, id="nothing"),
        pytest.param(b"[]", None, id="empty batch"),
        pytest.param(b'{"query": "{ cheap }"', None, id="no JSON"),
        pytest.param(b"", None, id="no body"),
    ],
)
def test_a_malformed_request_is_400_and_reaches_nobody(weir, raw_backend, body, place):
    gateway = weir(raw_backend, [graphql()], limits=LIMITS)
    response = post(gateway.port, "/graphql", body)
    assert response.status == 400
    error = json.loads(response.body)["errors"][0]
    assert error["message"]
    if place:
        assert error["locations"] == [{"line": place[0], "column": place[1]}]
    assert raw_backend.nobody_called()


def test_a_body_that_is_too_long_is_413_whether_its_length_is_told_or_not(weir, raw_backend):
    gateway = weir(raw_backend, [graphql(inspect_bytes="4KiB")], limits=LIMITS)
    long = json_body({"query": "{ cheap }", "variables": {"x": "y" * 5000}})
    assert post(gateway.port, "/graphql", long).status == 413
    headers = [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")]
    assert http(gateway.port, "/graphql", "POST", headers, b"%x\r\n%s\r\n0\r\n\r\n" % (len(long), long)).status == 413
    assert raw_backend.nobody_called()


@pytest.mark.parametrize(
    "headers",
    [
        [("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
        [("Content-Type", "text/plain")],
        [("Content-Type", "application/json; charset=utf-16")],
        [("Content-Type", "application/json"), ("Content-Type", "application/graphql")],
    ],
)
def test_a_body_that_can_not_be_read_is_415(weir, raw_backend, headers):
    gateway = weir(raw_backend, [graphql()], limits=LIMITS)
    assert post(gateway.port, "/graphql", {"query": "{ cheap }"}, headers).status == 415
    assert raw_backend.nobody_called()


def test_the_page_of_an_editor_passes_uncounted(weir, apollo):
    gateway = weir(apollo, [graphql()], limits=LIMITS)
    page = http(gateway.port, "/graphql", headers=[("Accept", "text/html")])
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    assert quotas(page) == {}


# ------------------------------------------------------------------------------------------------- persisted


def test_persisted_documents_count_by_id_by_name_or_under_the_strictest(weir, http_backend):
    digest = hashlib.sha256(b"{ reports }").hexdigest()
    persisted = {"doc-7": "LOGINS", "sha256:" + digest: "MUTATIONS", "Get*": "QUERIES"}
    gateway = weir(http_backend, [graphql("/echo", fields=SEARCHES, persisted=persisted)], limits=LIMITS)

    def counted(**members):
        response = post(gateway.port, "/echo", members)
        assert response.status == 200
        return quotas(response)

    by_hash = {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": digest.upper()}}}
    assert counted(documentId="doc-7") == {"logins": 1}
    assert counted(**by_hash) == {"mutations": 9}
    assert counted(id="other", operationName="GetReports") == {"queries": 19}
    # LOGINS, 2/h, is the strictest of the section.
    assert counted(documentId="unheard-of") == {"logins": 0}
    is_denied(post(gateway.port, "/echo", {"documentId": "unheard-of-too", "operationName": "Report"}))
    assert len(http_backend.bodies) == 4


def test_an_automatic_persisted_query_is_counted_when_registered_and_when_run(weir, apollo):
    document = "{ search }"
    hashed = {"persistedQuery": {"version": 1, "sha256Hash": hashlib.sha256(document.encode()).hexdigest()}}
    gateway = weir(apollo, [graphql(fields=SEARCHES)], limits=LIMITS)
    by_hash = {"extensions": hashed}
    registered = post(gateway.port, "/graphql", {"query": document, **by_hash})
    assert registered.status == 200 and quotas(registered) == {"searches": 2}
    for left in (1, 0):
        response = post(gateway.port, "/graphql", by_hash)
        assert json.loads(response.body) == {"data": {"search": 1}} and quotas(response) == {"searches": left}
    target = "/graphql?" + urllib.parse.urlencode({"extensions": json.dumps(hashed)})
    is_denied(http(gateway.port, target))
    assert apollo.executed() == ["Query.search"] * 3


# --------------------------------------------------------------------------------------------------- uploads

BOUNDARY = "----WebKitFormBoundaryAbC123"
UPLOAD = {"query": "mutation ($file: Upload) { note(file: $file) }", "variables": {"file": None}}
TYPED = ("Content-Type", f"multipart/form-data; boundary={BOUNDARY}")


def part(name, data, more=""):
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + data + b"\r\n"


def upload(file, behind=b"", operations=UPLOAD):
    fields = part("operations", json_body(operations)) + part("map", b'{"0": ["variables.file"]}')
    return fields + part("0", file, '; filename="a.bin"\r\nContent-Type: application/octet-stream') + behind + (
        b"--" + BOUNDARY.encode() + b"--\r\n"
    )


def noise(size):
    return b"".join(hashlib.sha512(b"%d" % n).digest() for n in range(size // 64))


def test_an_upload_of_megabytes_reaches_the_backend_byte_for_byte(weir, http_backend):
    gateway = weir(http_backend, [graphql("/echo", mutation="LOGINS")], limits=LIMITS)
    body = upload(noise(3 * 1024 * 1024))
    pieces = [body[i : i + 70001] for i in range(0, len(body), 70001)]
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    assert http(gateway.port, "/echo", "POST", [TYPED], body).status == 200
    coded = [TYPED, ("Transfer-Encoding", "chunked")]
    assert http(gateway.port, "/echo", "POST", coded, chunked + b"0\r\n\r\n").status == 200
    assert [sent == body for sent in http_backend.bodies] == [True, True]
    is_denied(http(gateway.port, "/echo", "POST", [TYPED], body))
    assert len(http_backend.bodies) == 2


def test_curl_uploads_a_file(weir, http_backend, tmp_path):
    gateway = weir(http_backend, [graphql("/echo", mutation="LOGINS")], limits=LIMITS)
    file = tmp_path / "a.bin"
    file.write_bytes(noise(2 * 1024 * 1024))
    fields = [f"operations={json.dumps(UPLOAD)}", 'map={"0": ["variables.file"]}', f"0=@{file}"]
    command = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}"]
    for field in fields:
        command += ["-F", field]
    command.append(f"http://127.0.0.1:{gateway.port}/echo")
    statuses = [subprocess.run(command, capture_output=True, text=True, timeout=60).stdout for _ in range(3)]
    assert statuses == ["200", "200", "429"]
    assert all(file.read_bytes() in body for body in http_backend.bodies) and len(http_backend.bodies) == 2


def begin_upload(gateway, rest_bytes):
    """Sends the head of an upload and its operations; `rest_bytes` are promised and not sent."""
    begun = part("operations", json_body(UPLOAD)) + f"--{BOUNDARY}\r\n".encode()
    stream = Stream(dial(gateway.port))
    head = request_bytes("/graphql", "POST", [TYPED, ("Content-Length", str(len(begun) + rest_bytes))])
    stream.send(head + begun)
    return stream, begun


def test_an_upload_is_decided_before_its_files_have_arrived(weir, raw_backend):
    gateway = weir(raw_backend, [graphql(mutation="LOGINS")], limits=LIMITS)
    for _ in range(2):
        stream, begun = begin_upload(gateway, 10_000_000)
        peer = raw_backend.accept()
        head = read_head(peer)
        assert int(head.headers["Content-Length"]) == len(begun) + 10_000_000
        assert peer.read(len(begun)) == begun
        stream.close()
    stream, _ = begin_upload(gateway, 10_000_000)
    is_denied(read_response(stream))
    assert raw_backend.nobody_called()


@pytest.mark.parametrize(
    "behind",
    [
        part("operations", json_body({"query": "{ search }"})),
        part("map", b"{}"),
        part("query", b"{ search }"),
        part("Operations", json_body({"query": "{ search }"})),
    ],
)
def test_the_backend_does_not_get_the_end_of_an_upload_with_a_second_meaning(weir, raw_backend, behind):
    gateway = weir(raw_backend, [graphql()], limits=LIMITS)
    body = upload(noise(100_000), behind)
    stream = Stream(dial(gateway.port))
    stream.send(request_bytes("/graphql", "POST", [TYPED], body))
    assert read_response(stream).status == 400
    if not raw_backend.nobody_called():
        peer = raw_backend.accept()
        head = read_head(peer)
        assert len(peer.read_to_end()) < int(head.headers["Content-Length"])


def test_a_file_before_the_operations_is_400(weir, raw_backend):
    gateway = weir(raw_backend, [graphql()], limits=LIMITS)
    body = part("0", b"x", '; filename="a"') + upload(b"y")
    assert http(gateway.port, "/graphql", "POST", [TYPED], body).status == 400
    assert raw_backend.nobody_called()


# --------------------------------------------------------------------------------------------------- bodies


def test_a_client_that_expects_100_gets_it_and_is_judged(weir, server):
    gateway = weir(server, [graphql(fields=SEARCHES)], limits=LIMITS)
    body = json_body({"query": "{ search }"})
    expect = [("Content-Type", "application/json"), ("Content-Length", str(len(body))), ("Expect", "100-continue")]
    statuses = []
    for _ in range(4):
        stream = Stream(dial(gateway.port))
        stream.send(request_bytes("/graphql", "POST", expect))
        assert stream.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        stream.send(body)
        statuses.append(read_response(stream).status)
        stream.close()
    assert statuses == [200, 200, 200, 429]
    assert server.executed() == ["Query.search"] * 3


def test_a_body_that_comes_byte_by_byte_is_judged_whole_and_the_connection_is_kept(weir, server):
    gateway = weir(server, [graphql(fields=SEARCHES)], limits=LIMITS)
    request = request_bytes(
        "/graphql", "POST", [("Content-Type", "application/json")], json_body({"query": "{ search }"})
    )
    stream = gateway.stream()
    stream.send_split(request, *range(1, len(request)))
    assert read_response(stream).status == 200
    stream.send(request * 4)  # pipelined
    assert [read_response(stream).status for _ in range(4)] == [200, 200, 429, 429]
    assert server.executed() == ["Query.search"] * 3


def test_a_client_that_goes_away_in_its_body_costs_nothing(weir, server):
    gateway = weir(server, [graphql(fields=SEARCHES)], limits=LIMITS)
    request = request_bytes(
        "/graphql", "POST", [("Content-Type", "application/json")], json_body({"query": "{ search }"})
    )
    for _ in range(5):
        stream = gateway.stream()
        stream.send(request[:-1])
        stream.shutdown()
        stream.read_to_end()  # whatever it is told, if anything
        stream.close()
    assert quotas(ask(gateway, "{ search }")) == {"searches": 2}
    assert server.executed() == ["Query.search"]
