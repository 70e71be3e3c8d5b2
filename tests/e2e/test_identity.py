"""Who is calling: tokens, proxies, trusted headers."""

import json
import socket
import struct
import time

import pytest

from common import EVERY_MESSAGE, JWT, SECRET, TRUSTED, bearer, chat, fixed, forwarded, passing
from tokens import Key, b64, hs256, signing_input, user_token
from wire import Closed, Refused, Stream, dial, read_request, read_response, request_bytes, through

ONE = {"WS_MESSAGE": fixed("1/h"), "WS_CONNECT": fixed("1/h")}


def admitted(gateway, headers=(), path="/ws/", **kwargs):
    """True when a message of this caller passes; with a budget of one, that tells callers apart."""
    client = gateway.websocket(path, headers, **kwargs)
    client.send("?")
    answer = client.receive()
    client.end()
    return answer == "?"


def test_each_place_of_a_token_names_the_same_user(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE)],
        limits={"WS_MESSAGE": fixed("5/h")},
        identity={"jwt": {"from": ["authorization", "query:token", "cookie:session", "subprotocol:app.jwt"], "secret": SECRET}},
    )
    token = user_token(SECRET, "42")
    places = [
        {"headers": [bearer(token)]},
        {"headers": [("Authorization", f"JWT {token}")]},
        {"path": f"/ws/?a=b&token={token}"},
        {"headers": [("Cookie", f"theme=dark; session={token}; x=y")]},
        {"headers": [("Sec-WebSocket-Protocol", f"app.jwt, {token}")]},
    ]
    for place in places:
        assert admitted(gateway, **place)
    for place in places:
        assert not admitted(gateway, **place)
    assert admitted(gateway)  # without a token the address counts
    assert [seen.path for seen in ws_backend.connections][2] == f"/ws/?a=b&token={token}"  # as it came


def test_the_first_configured_place_that_has_a_token_counts(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits=ONE, identity=JWT)
    one, two = user_token(SECRET, "1"), user_token(SECRET, "2")
    assert admitted(gateway, [bearer(one)], f"/ws/?token={two}")
    assert not admitted(gateway, [bearer(one)])
    assert admitted(gateway, [bearer(two)])


def test_two_different_tokens_in_one_place_are_an_invalid_token(weir, ws_backend):
    """The backend might take the other one: nobody may spend another's budget, or none."""
    one, two = user_token(SECRET, "1"), user_token(SECRET, "2")
    twice = [{"path": f"/ws/?token={one}&token={two}"}, {"headers": [("Cookie", f"session={one}; session={two}")]}]
    identity = {"jwt": {"from": ["query:token", "cookie:session"], "secret": SECRET}}
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits=ONE, identity=identity)
    assert admitted(gateway, **twice[0])
    assert not admitted(gateway, **twice[1])  # both counted by the address
    assert admitted(gateway, path=f"/ws/?token={one}&token={one}")
    assert not admitted(gateway, path=f"/ws/?token={one}")
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits=ONE, identity={"jwt": {**identity["jwt"], "on_invalid": "reject"}})
    for place in twice:
        client = gateway.websocket(**{"path": "/ws/", **place})
        assert client.receive_close()[0] == 4002


def test_a_101_of_our_own_selects_the_marker_and_never_echoes_the_token(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(connect="WS_CONNECT")],
        limits=ONE,
        identity={"jwt": {"from": ["subprotocol:app.jwt"], "secret": SECRET}},
    )
    token = user_token(SECRET, "42")
    offer = [("Sec-WebSocket-Protocol", f"app.jwt, {token}")]
    gateway.websocket(headers=offer).end()
    client = gateway.websocket(headers=offer)
    assert client.headers["Sec-WebSocket-Protocol"] == "app.jwt"
    assert token.encode() not in repr(client.headers).encode()
    assert client.receive_close()[0] == 4029
    assert token not in gateway.log()


@pytest.mark.parametrize("algorithm", ["RS256", "ES256", "EdDSA"])
def test_tokens_are_verified_with_a_public_key(weir, ws_backend, tmp_path, algorithm):
    key, other = Key(algorithm, tmp_path), None
    (tmp_path / "other").mkdir()
    other = Key(algorithm, tmp_path / "other")
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE)],
        limits=ONE,
        identity={"jwt": {"from": ["authorization"], "public_key": key.public}},
    )
    claims = {"sub": "42", "exp": int(time.time()) + 60}
    assert admitted(gateway)  # the address' one message
    assert admitted(gateway, [bearer(key.sign(claims))])
    assert not admitted(gateway, [bearer(key.sign(claims))])
    assert not admitted(gateway, [bearer(other.sign({**claims, "sub": "43"}))])  # anonymous, whose budget is spent
    # The classic confusion: the public key taken for a secret.
    with open(key.public) as public:
        assert not admitted(gateway, [bearer(hs256(public.read(), {**claims, "sub": "44"}))])


ISSUER = "https://id.example/"
BAD_TOKENS = {
    "expired": lambda: user_token(SECRET, "42", exp=int(time.time()) - 60, iss=ISSUER),
    "not yet valid": lambda: user_token(SECRET, "42", nbf=int(time.time()) + 600, iss=ISSUER),
    "signed with another secret": lambda: user_token("another secret of thirty-two bytes", "42", iss=ISSUER),
    "without a signature": lambda: signing_input("none", {"sub": "42"}) + ".",
    "nonsense": lambda: "not.a.token",
    "cut off": lambda: user_token(SECRET, "42", iss=ISSUER)[:-5],
    "of a foreign issuer": lambda: user_token(SECRET, "42", iss="https://evil.example/"),
    "changed": lambda: (
        lambda parts: f"{parts[0]}.{b64(json.dumps({'sub': 'admin', 'is_superuser': True}).encode())}.{parts[2]}"
    )(user_token(SECRET, "42", iss=ISSUER).split(".")),
}


@pytest.mark.parametrize("kind", BAD_TOKENS)
def test_a_bad_token_is_anonymous_or_rejected_as_configured(weir, ws_backend, kind):
    jwt = {"from": ["authorization"], "secret": SECRET, "issuer": ISSUER}
    token = [bearer(BAD_TOKENS[kind]())]
    good = [bearer(user_token(SECRET, "42", iss=ISSUER))]

    lenient = weir(ws_backend, [chat(EVERY_MESSAGE)], limits=ONE, identity={"jwt": jwt})
    assert admitted(lenient, good)
    assert admitted(lenient, token)
    assert not admitted(lenient)  # the bad token counted as the address

    strict = weir(
        ws_backend,
        [chat(EVERY_MESSAGE), passing()],
        limits={"WS_MESSAGE": fixed("9/h")},
        identity={"jwt": {**jwt, "on_invalid": "reject"}},
    )
    before = len(ws_backend.connections)
    client = strict.websocket(headers=token)
    assert client.receive_close()[0] == (4001 if kind == "expired" else 4002)
    assert strict.get("/", headers=token).status == 401
    assert len(ws_backend.connections) == before
    assert admitted(strict, good)
    assert admitted(strict)  # no token at all is anonymous, not invalid


def test_claims_may_be_nested_and_named_in_a_list(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE)],
        limits={"WS_MESSAGE": {"authenticated": "1/h", "superuser": "2/h", "algorithm": "fixed_window"}},
        identity={
            "jwt": {
                "from": ["authorization"],
                "secret": SECRET,
                "claims": {"user": ["user_id", "profile.name"], "superuser": "realm.admin"},
            }
        },
    )
    exp = int(time.time()) + 60
    nested = [bearer(hs256(SECRET, {"profile": {"name": "ann"}, "exp": exp}))]
    listed = [bearer(hs256(SECRET, {"user_id": 7, "profile": {"name": "ann"}, "realm": {"admin": 1}, "exp": exp}))]
    assert [admitted(gateway, nested) for _ in range(2)] == [True, False]
    assert [admitted(gateway, listed) for _ in range(3)] == [True, True, False]


# ------------------------------------------------------------------------------------------------ addresses


def test_x_forwarded_for_of_a_stranger_counts_for_nothing(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits=ONE)
    assert admitted(gateway, [forwarded("203.0.113.1")])
    assert not admitted(gateway, [forwarded("203.0.113.2")])


def test_of_a_trusted_proxy_the_right_most_untrusted_entry_counts(weir, ws_backend):
    gateway = weir(
        ws_backend, [chat(EVERY_MESSAGE)], limits=ONE, trusted_proxies=["127.0.0.1/32", "10.0.0.0/8"]
    )
    assert admitted(gateway, [forwarded("6.6.6.6, 203.0.113.1, 10.0.0.5")])
    assert not admitted(gateway, [forwarded("7.7.7.7, 203.0.113.1")])  # the left is the client's own invention
    assert not admitted(gateway, [forwarded("8.8.8.8"), forwarded("203.0.113.1, 10.9.9.9")])  # two fields are one list
    assert admitted(gateway, [forwarded("203.0.113.2, garbage, 10.0.0.5")])  # the walk ends: 10.0.0.5 itself
    assert not admitted(gateway, [forwarded("203.0.113.3, garbage, 10.0.0.5")])


def test_the_forwarded_field_counts_when_it_is_configured(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE)],
        limits=ONE,
        trusted_proxies=TRUSTED,
        client_address={"from": "forwarded"},
    )
    assert admitted(gateway, [("Forwarded", 'for=192.0.2.1;proto=https, for="[2001:db8:cafe::17]:4711"')])
    assert not admitted(gateway, [("Forwarded", 'For="[2001:db8:cafe::99]"')])
    assert admitted(gateway, [("Forwarded", "for=192.0.2.1")])
    assert not admitted(gateway, [("Forwarded", "for=192.0.2.1"), forwarded("203.0.113.9")])


def proxy_v2(address, command=1):
    head = b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command])
    if command == 0:
        return head + b"\0" + struct.pack(">H", 0)
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    packed = socket.inet_pton(family, address)
    body = packed + packed + struct.pack(">HH", 5555, 80)
    body += b"\x04\x00\x01x"  # a TLV of type NOOP
    return head + (b"\x21" if ":" in address else b"\x11") + struct.pack(">H", len(body)) + body


PROXY_HEADERS = {
    "v1": lambda last: f"PROXY TCP4 203.0.113.{last} 127.0.0.1 5555 80\r\n".encode(),
    "v1 of IPv6": lambda last: f"PROXY TCP6 2001:db8:{last}::1 ::1 5555 80\r\n".encode(),
    "v2": lambda last: proxy_v2(f"203.0.113.{last}"),
    "v2 of IPv6": lambda last: proxy_v2(f"2001:db8:{last}::1"),
}


@pytest.mark.parametrize("version", PROXY_HEADERS)
def test_the_proxy_protocol_names_the_client(weir, ws_backend, version):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE)],
        limits=ONE,
        trusted_proxies=TRUSTED,
        client_address={"from": "proxy-protocol"},
    )
    header = PROXY_HEADERS[version]
    assert admitted(gateway, before=header(1))
    assert not admitted(gateway, before=header(1))
    assert admitted(gateway, before=header(2))
    assert not admitted(gateway, [forwarded("203.0.113.77")], before=header(2))


@pytest.mark.parametrize("header", [b"PROXY TCP4 nonsense\r\n", b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\0", b"GET "])
def test_a_connection_without_a_proper_proxy_header_is_ended(weir, ws_backend, header):
    gateway = weir(
        ws_backend, [chat()], trusted_proxies=TRUSTED, client_address={"from": "proxy-protocol"}
    )
    with pytest.raises((Closed, Refused)):
        gateway.websocket(before=header)
    assert ws_backend.connections == []
    assert admitted(gateway, before=b"PROXY UNKNOWN\r\n")
    assert admitted(gateway, before=proxy_v2("", command=0))


# ------------------------------------------------------------------------------------------ trusted headers

HEADERS = {"trusted_headers": {"user": "X-Weir-User", "tier": "X-Weir-Tier"}}


def test_a_trusted_proxy_names_user_and_tier(weir, ws_backend):
    gateway = weir(
        ws_backend,
        [chat(EVERY_MESSAGE)],
        limits={"WS_MESSAGE": {"authenticated": "1/h", "superuser": "2/h", "algorithm": "fixed_window"}},
        identity=HEADERS,
        trusted_proxies=TRUSTED,
    )
    assert [admitted(gateway, [("X-Weir-User", "ann")]) for _ in range(2)] == [True, False]
    boss = [("X-Weir-User", "boss"), ("X-Weir-Tier", "superuser")]
    assert [admitted(gateway, boss) for _ in range(3)] == [True, True, False]


FOLDINGS = ["X-Weir-User", "x-weir-user", "X_Weir_User", "x_weir-user", "X-WEIR_USER", "x-weir-tier", "X_WEIR_TIER"]


def test_identity_headers_of_strangers_are_removed_under_every_spelling(weir, raw_backend):
    gateway = weir(raw_backend, [chat(EVERY_MESSAGE), passing()], limits=ONE, identity=HEADERS)
    forged = [(name, "admin") for name in FOLDINGS]
    client, backend = through(gateway, raw_backend, headers=[*forged, ("X-Weir-Userland", "stays")])
    names = [name.lower().replace("_", "-") for name, _ in backend.head.headers.pairs]
    assert "x-weir-user" not in names and "x-weir-tier" not in names
    assert backend.head.headers["X-Weir-Userland"] == "stays"
    client.close()

    stream = Stream(dial(gateway.port))
    stream.send(request_bytes("/", headers=forged))
    peer = raw_backend.accept()
    head, _ = read_request(peer)
    assert not any("weir" in name.lower() for name, _ in head.headers.pairs)
    peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert read_response(stream).status == 200
    stream.close()


def test_a_stranger_can_not_buy_a_tier_with_headers(weir, ws_backend):
    gateway = weir(ws_backend, [chat(EVERY_MESSAGE)], limits=ONE, identity=HEADERS)
    assert admitted(gateway, [("X-Weir-User", "1")])
    assert not admitted(gateway, [("X-Weir-User", "2"), ("X-Weir-Tier", "superuser")])


def test_the_upstream_receives_the_true_address(weir, raw_backend):
    gateway = weir(raw_backend, [chat()], trusted_proxies=TRUSTED)
    client, backend = through(gateway, raw_backend, headers=[forwarded("203.0.113.7")])
    entries = [part.strip() for value in backend.head.headers.all("X-Forwarded-For") for part in value.split(",")]
    assert "203.0.113.7" in entries and set(entries) <= {"203.0.113.7", "127.0.0.1"}
    assert backend.head.headers["X-Forwarded-Proto"] in ("http", "ws")
    assert backend.head.headers["X-Forwarded-Host"] == "example.test"
    client.close()


def test_a_strangers_word_about_addresses_is_not_handed_on_as_truth(weir, raw_backend):
    gateway = weir(raw_backend, [chat()])
    spoof = [forwarded("6.6.6.6"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "evil.example")]
    client, backend = through(gateway, raw_backend, headers=spoof)
    values = backend.head.headers.all("X-Forwarded-For")
    assert [part.strip() for value in values for part in value.split(",")][-1] == "127.0.0.1"
    assert backend.head.headers.all("X-Forwarded-Proto") in (["http"], ["ws"])
    assert backend.head.headers.all("X-Forwarded-Host") == ["example.test"]
    client.close()
