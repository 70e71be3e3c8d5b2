"""`identity.lookup`: the application says who calls."""

import threading
import time

import pytest

from common import SECRET, bearer, chat
from tokens import user_token
from whoami import WhoAmI
from wire import RawBackend, Refused, http, read_head, request_bytes, wait_until

# A tier shows in X-RateLimit-Limit, a subject in what remains of its budget.
TIERS = {"anonymous": 10001, "authenticated": 10002, "superuser": 10003, "usage_capped": 10004}
CALLS = {"CALLS": {**{tier: f"{count}/h" for tier, count in TIERS.items()}, "algorithm": "fixed_window"}}
ROUTES = [
    chat(connect="CALLS"),
    {"name": "open", "path": "/open/**", "upstream": "app"},
    {"name": "calls", "path": "/**", "upstream": "app", "http": {"limit": "CALLS"}},
]
FORWARD = ["authorization", "cookie:sessionid", "header:X-API-Key", "query:key"]


@pytest.fixture
def app():
    made = WhoAmI()
    yield made
    made.close()


def start(weir, app, lookup=None, identity=None, upstream=None, **config):
    url = app if isinstance(app, str) else f"{app.url}/whoami"
    asked = {"url": url, "forward": FORWARD, **(lookup or {})}
    return weir(
        upstream or app, ROUTES, limits=CALLS, identity={"lookup": asked, **(identity or {})}, **config
    )


def session(value, *others):
    return ("Cookie", "; ".join([*others, f"sessionid={value}"]))


def tier_of(response):
    assert response.status == 200, response
    return {str(count): tier for tier, count in TIERS.items()}[response.headers["X-RateLimit-Limit"]]


def remaining(response):
    return int(response.headers["X-RateLimit-Remaining"])


def lookups(gateway, outcome):
    return gateway.metric("weir_lookups_total", outcome=outcome)


def test_a_session_an_api_key_and_a_token_name_their_callers(weir, app):
    app.callers = {
        "s1": {"user": "42"},
        "k1": {"user": 43, "tier": "superuser"},
        "t1": {"user": "44", "usage_capped": True},
        "q1": {"user": "45", "superuser": "true", "usage_capped": 1, "tier": "authenticated"},
    }
    gateway = start(weir, app)
    assert tier_of(gateway.get(headers=[session("s1", "theme=dark")])) == "authenticated"
    assert tier_of(gateway.get(headers=[("X-API-Key", "k1")])) == "superuser"
    assert tier_of(gateway.get(headers=[bearer("t1")])) == "usage_capped"
    assert tier_of(gateway.get("/?a=1&key=q1")) == "superuser"
    assert tier_of(gateway.get(headers=[session("unknown")])) == "anonymous"
    assert tier_of(gateway.get()) == "anonymous"
    assert [path for path, _ in app.questions] == ["/whoami"] * 3 + ["/whoami?key=q1", "/whoami"]
    log = gateway.log()
    assert not any(credential in log for credential in ("s1", "k1", "t1", "q1"))


def test_the_question_carries_the_credentials_and_nothing_else_of_the_client(weir, app):
    gateway = start(weir, app, {"url": f"{app.url}/whoami?from=weir"})
    gateway.get(
        "/page?x=1&key=a%20b&key=c",
        headers=[
            ("Cookie", "theme=dark; sessionid=one; x=y"),
            ("User-Agent", "browser"),
            ("X-Forwarded-For", "203.0.113.9"),
            ("X-API-Key", "k"),
            ("Cookie", "sessionid=two"),
        ],
    )
    path, headers = app.questions[0]
    assert path == "/whoami?from=weir&key=a%20b&key=c"
    assert sorted(headers) == [
        ("Accept", "application/json"),
        ("Cookie", "sessionid=one; sessionid=two"),
        ("Host", f"127.0.0.1:{app.port}"),
        ("X-API-Key", "k"),
    ]


def test_a_cached_caller_is_not_asked_about_again_by_http_or_websocket(weir, app, ws_backend):
    app.callers = {"s1": {"user": "42", "tier": "superuser"}}
    gateway = start(weir, app, upstream=ws_backend)
    for count in range(3):
        client = gateway.websocket(headers=[session("s1")])
        assert client.headers["X-RateLimit-Limit"] == "10003"
        assert client.headers["X-RateLimit-Remaining"] == str(10002 - count)
        client.end()
    answer = gateway.get(headers=[session("s1")])  # the backend speaks no HTTP, but the decision is the same
    assert (answer.headers["X-RateLimit-Limit"], remaining(answer)) == ("10003", 9999)
    assert len(app.questions) == 1
    assert lookups(gateway, "hit") == 3 and lookups(gateway, "user") == 1
    assert gateway.metric("weir_lookup_entries") == 1


def test_many_callers_of_a_new_credential_cause_one_question(weir, app):
    app.callers = {"s1": {"user": "42"}}
    gateway = start(weir, app, workers=2)
    app.hold()
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(gateway.get(headers=[session("s1")]))) for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    wait_until(lambda: lookups(gateway, "shared") == 39, "all of them wait")
    app.let_go()
    for thread in threads:
        thread.join(10)
    assert [tier_of(answer) for answer in answers] == ["authenticated"] * 40
    assert sorted(map(remaining, answers)) == list(range(9962, 10002))
    assert len(app.questions) == 1


def test_a_session_that_ended_is_noticed_within_the_time_of_the_cache(weir, app):
    app.callers = {"s1": {"user": "42"}}
    gateway = start(weir, app, {"cache": "1s"})
    assert tier_of(gateway.get(headers=[session("s1")])) == "authenticated"
    del app.callers["s1"]
    ended = time.monotonic()
    wait_until(lambda: tier_of(gateway.get(headers=[session("s1")])) == "anonymous", "the end is noticed", 3)
    assert time.monotonic() - ended < 2
    app.callers["s1"] = {"user": "42"}
    wait_until(lambda: tier_of(gateway.get(headers=[session("s1")])) == "authenticated", "the new beginning too", 3)


def test_without_a_cache_every_request_is_asked_about(weir, app):
    app.callers = {"s1": {"user": "42"}}
    gateway = start(weir, app, {"cache": "0s"})
    for _ in range(3):
        assert tier_of(gateway.get(headers=[session("s1")])) == "authenticated"
    assert len(app.questions) == 3
    assert gateway.metric("weir_lookup_entries") == 0


def test_an_answer_is_renewed_ahead_while_callers_are_served(weir, app):
    """With the application held, nobody waits who keeps coming: the question ahead is made in the background."""
    app.callers = {"s1": {"user": "42"}}
    gateway = start(weir, app, {"cache": "3s", "timeout": "10s"})
    assert tier_of(gateway.get(headers=[session("s1")])) == "authenticated"
    app.hold()
    asked = len(app.questions)

    def ahead():
        assert tier_of(gateway.get(headers=[session("s1")], timeout=1)) == "authenticated"
        return len(app.questions) > asked

    wait_until(ahead, "it is asked for ahead", 4)
    assert lookups(gateway, "shared") == 0
    app.let_go()
    wait_until(lambda: lookups(gateway, "user") == 2, "the answer came")


def test_a_slow_application_delays_only_callers_that_are_not_known(weir, app):
    app.callers = {"s1": {"user": "42"}, "s2": {"user": "43"}}
    gateway = start(weir, app, {"timeout": "10s"})
    assert tier_of(gateway.get(headers=[session("s1")])) == "authenticated"
    app.hold()
    stream = gateway.stream()
    stream.send(request_bytes("/", headers=[session("s2")]))
    wait_until(lambda: len(app.questions) == 2, "the unknown one is asked about")
    for _ in range(5):
        assert tier_of(gateway.get(headers=[session("s1")], timeout=2)) == "authenticated"
    assert tier_of(gateway.get(timeout=2)) == "anonymous"
    assert stream.quiet()
    app.let_go()
    assert b"X-RateLimit-Limit: 10002" in read_head(stream).raw
    stream.close()


@pytest.mark.parametrize("on_error, tier", [("token", "authenticated"), ("anonymous", "anonymous"), ("reject", None)])
def test_an_application_that_is_down_is_answered_by_on_error(weir, app, ws_backend, on_error, tier):
    identity = {"jwt": {"secret": SECRET}}
    gateway = start(weir, app, {"on_error": on_error}, identity, upstream=ws_backend)
    app.go_down()
    headers = [bearer(user_token(SECRET, "7"))]
    if tier is None:
        answer = gateway.get(headers=headers)
        assert answer.status == 503
        assert answer.headers["Content-Type"] == "application/problem+json"
        assert answer.headers["Retry-After"] == "1"
        with pytest.raises(Refused) as refused:
            gateway.websocket(headers=headers)
        assert refused.value.response.status == 503
        assert gateway.metric("weir_connections_total", outcome="rejected") == 1
        assert ws_backend.connections == []
    else:
        client = gateway.websocket(headers=headers)
        assert client.headers["X-RateLimit-Limit"] == str(TIERS[tier])
        client.end()
    assert lookups(gateway, "unreachable") >= 1
    wait_until(lambda: "could not be asked" in gateway.log(), "the failure is logged")
    app.come_back()
    app.callers = {headers[0][1].removeprefix("Bearer "): {"user": "7", "tier": "superuser"}}

    def known():
        try:
            client = gateway.websocket(headers=headers)
        except Refused:
            return False
        limit = client.headers["X-RateLimit-Limit"]
        client.end()
        return limit == "10003"

    wait_until(known, "it is asked again once it is back", 5)


def test_a_failure_is_kept_for_a_moment(weir, app):
    gateway = start(weir, app)
    app.status = 500
    for _ in range(10):
        gateway.get(headers=[session("s1")])
    assert len(app.questions) <= 2
    assert lookups(gateway, "failure_kept") >= 8


ANSWERS = {
    "garbage": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n<html></h", "unusable"),
    "not http": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "unusable"),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "unusable"),
    "server error": (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "unusable"),
    "switch": (b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "unusable"),
    "long by its length": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b" " * 99999, "unusable"),
    "long by chunks": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + (b"1000\r\n" + b" " * 4096 + b"\r\n") * 20,
        "unusable",
    ),
    "long head": (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9000, "unusable"),
    "unknown tier": (b"HTTP/1.1 200 OK\r\nContent-Length: 31\r\n\r\n" + b'{"user": "4", "tier": "prince"}', "unusable"),
    "twice": (b'HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n{"user": "1", "user": "2"}', "unusable"),
    "cut off": (b'HTTP/1.1 200 OK\r\nContent-Length: 40\r\n\r\n{"user"', "unreachable"),
    "nothing": (b"", "unreachable"),
}


@pytest.mark.parametrize("kind", ANSWERS)
def test_an_answer_that_says_nothing_useful_counts_as_none(weir, http_backend, raw_backend, kind):
    answer, outcome = ANSWERS[kind]
    identity = {"jwt": {"secret": SECRET}}
    gateway = start(weir, f"{raw_backend.url}/whoami", {"timeout": "5s"}, identity, upstream=http_backend)
    got = []
    token = bearer(user_token(SECRET, "7"))
    asking = threading.Thread(target=lambda: got.append(gateway.get(headers=[token])))
    asking.start()
    stream = raw_backend.accept()
    read_head(stream)
    stream.send(answer)
    stream.close()
    asking.join(10)
    assert tier_of(got[0]) == "authenticated"  # what the token alone says
    assert lookups(gateway, outcome) == 1
    assert raw_backend.nobody_called()
    wait_until(lambda: "could not be asked" in gateway.log(), "the failure is logged")


def test_an_answer_may_come_in_pieces_and_in_chunks_and_its_connection_serves_again(weir, http_backend, raw_backend):
    gateway = start(weir, f"{raw_backend.url}/whoami", {"cache": "0s"}, upstream=http_backend)
    got = []

    def asked(header):
        got.clear()
        thread = threading.Thread(target=lambda: got.append(gateway.get(headers=[header])))
        thread.start()
        return thread

    thread = asked(session("s1"))
    stream = raw_backend.accept()
    assert b"Cookie: sessionid=s1\r\n" in read_head(stream).raw
    whole = (
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'8\r\n{"user":\r\n10\r\n 42, "tier": "su\r\nb\r\nperuser"}  \r\n0\r\n\r\n'
    )
    stream.send_split(whole, *range(1, len(whole), 3))
    thread.join(10)
    assert tier_of(got[0]) == "superuser"
    thread = asked(session("s2"))
    assert b"Cookie: sessionid=s2\r\n" in read_head(stream).raw  # the same connection
    stream.send(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
    thread.join(10)
    assert tier_of(got[0]) == "anonymous"
    stream.close()  # kept, and dead: the next question is made anew
    thread = asked(session("s3"))
    stream = raw_backend.accept()
    read_head(stream)
    stream.send(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"user": "43"}')
    stream.close()
    thread.join(10)
    assert tier_of(got[0]) == "authenticated"


def test_an_application_that_does_not_answer_is_waited_for_as_long_as_the_time_out(weir, http_backend, raw_backend):
    gateway = start(weir, f"{raw_backend.url}/whoami", {"timeout": "300ms"}, upstream=http_backend)
    begun = time.monotonic()
    assert tier_of(gateway.get(headers=[session("s1")])) == "anonymous"
    assert 0.25 < time.monotonic() - begun < 2
    wait_until(lambda: lookups(gateway, "timeout") == 1, "the time-out is counted")


def test_a_client_that_leaves_while_it_is_asked_about_harms_nobody(weir, app):
    app.callers = {"s1": {"user": "42"}}
    gateway = start(weir, app, {"timeout": "10s"}, workers=2)
    app.hold()
    streams = [gateway.stream() for _ in range(10)]
    for stream in streams:
        stream.send(request_bytes("/", headers=[session("s1")]))
    wait_until(lambda: lookups(gateway, "shared") == 9, "all of them wait")
    for stream in streams[:8]:
        stream.reset()
    app.let_go()
    for stream in streams[8:]:
        assert b"X-RateLimit-Limit: 10002" in read_head(stream).raw
        stream.close()
    assert tier_of(gateway.get(headers=[session("s1")])) == "authenticated"
    assert len(app.questions) == 1


def test_requests_in_one_segment_are_each_asked_about(weir, app):
    app.callers = {"s1": {"user": "42"}, "s2": {"user": "43", "tier": "superuser"}}
    gateway = start(weir, app)
    stream = gateway.stream()
    stream.send(b"".join(request_bytes("/", headers=[session(value)]) for value in ("s1", "s2", "s1", "s3")))
    limits = []
    for _ in range(4):
        head = read_head(stream)
        stream.read(int(head.headers["Content-Length"]))
        limits.append(head.headers["X-RateLimit-Limit"])
    assert limits == ["10002", "10003", "10002", "10001"]
    stream.close()


def test_the_application_is_the_authority_over_a_valid_token(weir, app):
    token = user_token(SECRET, "7", tier="superuser")
    gateway = start(weir, app, {"cache": "0s"}, {"jwt": {"secret": SECRET}})
    assert tier_of(gateway.get(headers=[bearer(token)])) == "anonymous"  # 401
    app.callers = {token: {"user": None}}
    assert tier_of(gateway.get(headers=[bearer(token)])) == "anonymous"
    app.callers = {token: {"user": "8", "usage_capped": True}}
    assert tier_of(gateway.get(headers=[bearer(token)])) == "usage_capped"


def test_who_is_named_by_a_trusted_proxy_or_calls_what_is_not_limited_is_not_asked_about(weir, app):
    identity = {"trusted_headers": {"user": "X-Weir-User", "tier": "X-Weir-Tier"}}
    gateway = start(weir, app, None, identity, trusted_proxies=["127.0.0.1/32"])
    assert tier_of(gateway.get(headers=[session("s1"), ("X-Weir-User", "42")])) == "authenticated"
    assert gateway.get("/open/", headers=[session("s1")]).status == 200
    preflight = [("Origin", "https://a"), ("Access-Control-Request-Method", "GET"), session("s1")]
    assert gateway.get(method="OPTIONS", headers=preflight).status == 200
    assert app.questions == []


def test_a_blocked_user_is_recognised_by_the_session(weir, app):
    app.callers = {"s1": {"user": "42"}}
    gateway = start(weir, app, block=["user:42"])
    assert gateway.get(headers=[session("s1")]).status == 403
    assert gateway.get("/open/", headers=[session("s1")]).status == 403
    assert gateway.get(headers=[session("s2")]).status == 200


def test_a_reload_keeps_answers_unless_the_question_changes(weir, app):
    app.callers = {"s1": {"user": "42"}}
    gateway = start(weir, app)
    gateway.get(headers=[session("s1")])
    config = dict(gateway.config)
    gateway.reload({**config, "shadow": True})
    gateway.get(headers=[session("s1")])
    assert len(app.questions) == 1
    identity = {"lookup": {**config["identity"]["lookup"], "cache": "30s"}}
    gateway.reload({**config, "identity": identity})
    wait_until(lambda: gateway.get(headers=[session("s1")]) and len(app.questions) == 2, "it is asked anew")
    gateway.reload({**config, "identity": {}})
    wait_until(lambda: tier_of(gateway.get(headers=[session("s1")])) == "anonymous", "nobody is asked")


def test_a_reload_while_a_caller_is_asked_about_lets_it_go_on(weir, app):
    app.callers = {"s1": {"user": "42"}}
    gateway = start(weir, app, {"timeout": "10s"})
    app.hold()
    stream = gateway.stream()
    stream.send(request_bytes("/", headers=[session("s1")]))
    wait_until(lambda: len(app.questions) == 1, "it is asked about")
    gateway.reload({**gateway.config, "cors": {"origins": ["https://a.example"]}})
    app.let_go()
    assert b"X-RateLimit-Limit: 10002" in read_head(stream).raw
    stream.close()


def test_it_is_asked_over_a_unix_socket(weir, http_backend):
    backend = RawBackend(unix=True)
    gateway = start(weir, f"{backend.url}:/who/ami?x=1", upstream=http_backend)
    got = []
    thread = threading.Thread(target=lambda: got.append(gateway.get(headers=[session("s1")])))
    thread.start()
    stream = backend.accept()
    assert read_head(stream).first_line == "GET /who/ami?x=1 HTTP/1.1"
    stream.send(b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"user":"4"}')
    thread.join(10)
    assert tier_of(got[0]) == "authenticated"
    backend.close()


def test_a_drain_waits_for_the_caller_that_is_asked_about(weir, app):
    app.callers = {"s1": {"user": "42"}}
    gateway = start(weir, app, {"timeout": "10s"}, timeouts={"drain": "10s"})
    app.hold()
    stream = gateway.stream()
    stream.send(request_bytes("/", headers=[session("s1")]))
    wait_until(lambda: len(app.questions) == 1, "it is asked about")
    gateway.signal(15)
    wait_until(lambda: http(gateway.admin_port, "/readyz").status == 503, "it drains")
    app.let_go()
    assert b"X-RateLimit-Limit: 10002" in read_head(stream).raw
    stream.close()
