"""Limits on plain requests: by method, by the length of the body, and what a limited client is told."""

import json
import select

import pytest

from common import fixed, passing
from peers import quotas
from wire import dial, http, read_request, read_response, request_bytes, Stream

LIMITS = {"READS": fixed("10/h"), "WRITES": fixed("2/h"), "BYTES": fixed("8/h")}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def chunked(body, size=1000):
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


# ------------------------------------------------------------------------------------------------- by method


def test_methods_have_limits_of_their_own(weir, http_backend):
    methods = {"POST": "WRITES", "DELETE": ["WRITES", "READS"], "OPTIONS": "none"}
    gateway = weir(http_backend, [passing(limit="READS", methods=methods)], limits=LIMITS)

    def counted(method):
        response = http(gateway.port, "/echo", method, body=b"x" if method in ("POST", "PUT") else b"")
        return response.status, quotas(response)

    assert counted("GET") == (200, {"reads": 9})
    assert counted("PUT") == (200, {"reads": 8})
    assert counted("POST") == (200, {"writes": 1})
    assert counted("OPTIONS") == (200, {})
    assert counted("DELETE") == (200, {"writes": 0, "reads": 7})
    assert counted("POST")[0] == 429
    assert counted("DELETE")[0] == 429
    assert counted("GET") == (200, {"reads": 6}), "the denied DELETE took nothing"


def test_a_method_in_lower_case_counts_as_another(weir, http_backend):
    gateway = weir(http_backend, [passing(limit="READS", methods={"POST": "WRITES"})], limits=LIMITS)
    assert quotas(http(gateway.port, "/echo", "post")) == {"reads": 9}


def test_methods_alone_leave_the_others_unlimited(weir, http_backend):
    gateway = weir(http_backend, [passing(methods={"POST": "WRITES"})], limits=LIMITS)
    assert [http(gateway.port, "/echo", "POST").status for _ in range(3)] == [200, 200, 429]
    assert quotas(http(gateway.port, "/echo")) == {}


# ------------------------------------------------------------------------------------------------- by length


@pytest.mark.parametrize("size, cost", [(0, 1), (1, 1), (1024, 1), (1025, 2), (4096, 4), (8192, 8)])
@pytest.mark.parametrize("sized", [True, False], ids=["sized", "chunked"])
def test_a_request_costs_one_for_each_begun_unit_of_its_body(weir, http_backend, size, cost, sized):
    gateway = weir(http_backend, [passing(limit="BYTES", cost_bytes="1KiB")], limits=LIMITS)
    body = b"z" * size
    if sized:
        response = http(gateway.port, "/echo", "POST", [("Content-Length", str(size))], body)
    else:
        response = http(gateway.port, "/echo", "POST", [("Transfer-Encoding", "chunked")], chunked(body))
    assert response.status == 200 and quotas(response) == {"bytes": 8 - cost}
    assert http_backend.bodies == [body]


@pytest.mark.parametrize("sized", [True, False], ids=["sized", "chunked"])
def test_a_body_that_costs_too_much_is_denied_and_takes_nothing(weir, http_backend, sized):
    gateway = weir(http_backend, [passing(limit="BYTES", cost_bytes="1KiB")], limits=LIMITS)
    body = b"z" * 8193
    if sized:
        denied = http(gateway.port, "/echo", "POST", body=body)
    else:
        denied = http(gateway.port, "/echo", "POST", [("Transfer-Encoding", "chunked")], chunked(body))
    assert denied.status == 429 and http_backend.bodies == []
    assert quotas(http(gateway.port, "/echo", "POST", body=b"z")) == {"bytes": 7}


def test_a_body_of_known_length_is_decided_before_it_is_sent_and_streams(weir, raw_backend):
    gateway = weir(raw_backend, [passing(limit="BYTES", cost_bytes="1MiB")], limits=LIMITS)
    stream = Stream(dial(gateway.port))
    stream.send(request_bytes("/", "POST", [("Content-Length", str(9 * 1024 * 1024))]))
    assert read_response(stream).status == 429
    assert raw_backend.nobody_called()
    size = 3 * 1024 * 1024
    second = Stream(dial(gateway.port))
    second.send(request_bytes("/", "POST", [("Content-Length", str(size))]) + b"q" * 1000)
    peer = raw_backend.accept()
    peer.read_until(b"\r\n\r\n")
    assert peer.read(1000) == b"q" * 1000, "the rest of the body is not waited for"
    second.send(b"q" * (size - 1000))
    assert peer.read(size - 1000) == b"q" * (size - 1000)
    peer.send(OK)
    assert quotas(read_response(second)) == {"bytes": 5}


def test_a_chunked_body_is_held_up_to_a_bound(weir, raw_backend):
    gateway = weir(raw_backend, [passing(limit="BYTES", cost_bytes="1KiB", max_body_bytes="4KiB")], limits=LIMITS)
    coded = [("Transfer-Encoding", "chunked")]
    assert http(gateway.port, "/", "POST", coded, chunked(b"z" * 4097)).status == 413
    assert raw_backend.nobody_called()
    stream = Stream(dial(gateway.port))
    stream.send(request_bytes("/", "POST", coded) + chunked(b"z" * 4096))
    peer = raw_backend.accept()
    assert read_request(peer)[1] == b"z" * 4096
    peer.send(OK)
    assert quotas(read_response(stream)) == {"bytes": 4}, "a refused body takes nothing"


def test_a_large_cost_does_not_wrap_around(weir, raw_backend):
    gateway = weir(raw_backend, [passing(limit="BYTES", cost_bytes="1")], limits=LIMITS)
    for size in (2**32, 2**32 + 1, 2**63, 2**63 - 1):
        stream = Stream(dial(gateway.port))
        stream.send(request_bytes("/", "POST", [("Content-Length", str(size))]))
        assert read_response(stream).status in (400, 413, 429), size
        stream.close()
    assert raw_backend.nobody_called()


# ----------------------------------------------------------------------------------------------------- answers


def test_a_marked_request_passes_and_the_backend_is_told(weir, http_backend):
    route = passing(limit="READS", methods={"POST": "WRITES"}, on_limit="mark")
    gateway = weir(http_backend, [route], limits=LIMITS)
    told = []
    for _ in range(4):
        response = http(gateway.port, "/echo", "POST", [("X-Weir-Limited", "forged")])
        assert response.status == 200
        fields = dict(json.loads(response.body)["headers"])
        told.append(fields.get("X-Weir-Limited"))
    assert told == [None, None, "writes", "writes"]


def test_a_denial_is_a_problem_document_that_a_page_can_read(weir, http_backend):
    gateway = weir(
        http_backend,
        [passing(methods={"POST": ["WRITES", "READS"]})],
        limits=LIMITS,
        cors={"origins": ["https://app.example"]},
    )
    origin = ("Origin", "https://app.example")
    for _ in range(2):
        assert http(gateway.port, "/echo", "POST", [origin]).status == 200
    denied = http(gateway.port, "/echo", "POST", [origin])
    assert denied.status == 429 and denied.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(denied.body)
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem["status"] == 429 and problem["violated-policies"] == ["writes"]
    assert 0 < int(denied.headers["Retry-After"]) <= 3600
    assert denied.headers["X-RateLimit-Limit"] == "2" and denied.headers["X-RateLimit-Remaining"] == "0"
    assert quotas(denied) == {"writes": 0, "reads": 8}
    assert denied.headers["Access-Control-Allow-Origin"] == "https://app.example"
    preflight = [origin, ("Access-Control-Request-Method", "POST")]
    for _ in range(3):
        assert quotas(http(gateway.port, "/echo", "OPTIONS", preflight)) == {}


def test_bodies_that_wait_to_be_judged_share_a_bound(weir, http_backend):
    """Nothing is counted before a body is there, so what all clients together can make Weir hold is bounded."""
    gateway = weir(
        http_backend, [passing(limit="READS", cost_bytes="1MiB")], limits=LIMITS, bounds={"max_held_bodies": "1MiB"}
    )
    head = b"POST /echo HTTP/1.1\r\nHost: example.test\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"h" * 700_000

    def begin():
        stream = Stream(dial(gateway.port))
        stream.send(head + b"%x\r\n" % len(body) + body)
        return stream

    both = [begin(), begin()]
    readable, _, _ = select.select([stream.sock for stream in both], [], [], 10)
    refused, held = sorted(both, key=lambda stream: stream.sock not in readable)
    response = read_response(refused, "POST")
    assert response.status == 503
    assert response.headers["Retry-After"] == "1"
    assert held.quiet()
    held.send(b"\r\n0\r\n\r\n")
    assert read_response(held, "POST").status == 200
    again = begin()
    again.send(b"\r\n0\r\n\r\n")
    assert read_response(again, "POST").status == 200, "what was held has been given back"
    for stream in (held, refused, again):
        stream.close()
