"""The JSON Schema of the configuration, asked of a validator that we did not write.

Editors judge a file by the schema alone. It may let pass what only `weir check` can know (an unknown limit), but it
never refuses what Weir takes, and of shapes it refuses what Weir refuses. Files are read here as YAML 1.2's core schema
says, as Weir and editors do: `yes` is text.
"""

import json
import re

import jsonschema
import pytest
import yaml

from certificates import Authority
from gateway import ROOT, run
from manual_pages import configurations

SCHEMA = json.loads((ROOT / "docs/reference/weir.schema.json").read_text())
UPSTREAM = "upstreams: {app: http://127.0.0.1:8000}\n"
ENVIRONMENT = {"JWT_SECRET": "0123456789abcdef0123456789abcdef", "NUMBER": "5", "YES": "true", "RATE": "3/m"}


class Core(yaml.SafeLoader):
    """YAML 1.2, core schema."""

    yaml_implicit_resolvers = {}


for tag, pattern, first in [
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
    ("int", r"^[-+]?[0-9]+$", "-+0123456789"),
    ("float", r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$", "-+.0123456789"),
]:
    for character in first:
        key = "" if character == "\0" else character
        Core.yaml_implicit_resolvers.setdefault(key, []).append((f"tag:yaml.org,2002:{tag}", re.compile(pattern)))

Core.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))  # a leading 0 means nothing


def schema_errors(text):
    validator = jsonschema.Draft202012Validator(SCHEMA)
    return [f"{list(error.path)}: {error.message[:300]}" for error in validator.iter_errors(yaml.load(text, Core))]


def check(tmp_path, text):
    """What `weir check --json` says."""
    file = tmp_path / "weir.yaml"
    file.write_text(text)
    done = run("check", file, "--json", env=ENVIRONMENT)
    said = json.loads(done.stdout)
    assert done.returncode == (0 if said["valid"] else 2)
    return said


def complete(text):
    """Pages show parts of a file; every one is a configuration when it has a backend."""
    return text if "upstreams:" in text else UPSTREAM + text


def pages():
    for name, block in configurations():
        yield pytest.param(complete(block.text), id=name)


def shipped():
    for file in sorted((ROOT / "examples").glob("*.yaml")):
        yield pytest.param(file.read_text(), id=file.name)
    for file in sorted((ROOT / "src/config/presets").glob("*.yaml")):
        assert run("config", "show", "--preset", file.stem).stdout == file.read_text()
        yield pytest.param(file.read_text(), id=f"preset-{file.stem}")


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert json.loads(run("config", "schema").stdout) == SCHEMA


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A file with a certificate and its key, for whatever a page calls /etc/weir/*.pem."""
    signed = Authority(tmp_path_factory.mktemp("certificates")).sign("DNS:example.org")
    with open(signed.certificate, "a") as file, open(signed.key) as key:
        file.write(key.read())
    return signed.certificate


@pytest.mark.parametrize("text", [*shipped(), *pages()])
def test_what_we_show_is_valid(tmp_path, certificate, text):
    said = check(tmp_path, re.sub(r"/etc/weir/[\w.-]+\.pem", certificate, text))
    assert said["errors"] == []
    if re.search(r"^routes:", text, re.M) and re.search(r"^upstreams:", text, re.M):
        assert said["warnings"] == []
    assert schema_errors(text) == []


def websocket(text):
    return f"routes: [{{path: /**, websocket: {{{text}}}}}]\n"


def when(text):
    return websocket(f"messages: [{{when: {text}, limit: none}}, {{limit: WS_MESSAGE}}]")


GOOD = [
    "",
    "listen: 127.0.0.1:8080",
    'listen: "*:8080"',
    'listen: ["[::1]:8080", "unix:/run/weir.sock"]',
    "admin: unix:/run/admin.sock",
    "trusted_proxies: 10.0.0.0/8",
    "trusted_proxies: []",
    "trusted_proxies: [127.0.0.1, '::1', 10.0.0.0/8]",
    "client_address: {from: peer, ipv6_prefix: 48, trust_unix: False}",
    "client_address:",
    "client_address: {ipv6_prefix: '${NUMBER}', trust_unix: '${YES}'}",
    "identity: {jwt: {secret: '${JWT_SECRET}', from: authorization}}",
    "identity: {jwt: {secret: 01234567890123456789012345678901, from: ['query:t', 'cookie:c', 'subprotocol:m'], leeway: 5s}}",
    "identity: {jwt: {secret: '${JWT_SECRET}', issuer: 5, audience: true, claims: {user: [sub, a.b], tier: 7, superuser: []}}}",
    "identity: {jwt: {secret: '${JWT_SECRET}', claims: , on_invalid: reject}}",
    "identity: {trusted_headers: }",
    "identity: {trusted_headers: {user: X-User}}",
    "identity:",
    "tiers: {gold: 5, silver: 2.5, anonymous: 0.5}",
    "tiers:",
    "default_algorithm: gcra",
    "limits: {A: 5/m, B: 5/10s, C: 3/h, D: 1000/d, E: 05/010m, F: '${RATE}'}",
    "tiers: {gold: 5}\nlimits: {A: {rate: 5/m, gold: 9/m, anonymous: 1/d, algorithm: gcra, burst: 3, group: 7, per: ip}}",
    "limits: {A: {rate: 5/m, per: [user, 'claim:org_id', 'header:X-Org'], count_denied: TRUE, shadow: true}}",
    "limits: {A: {rate: '${RATE}', algorithm: gcra, burst: '${NUMBER}', count_denied: '${YES}'}}",
    "limits:",
    "routes: [{path: /a, upstream: app, name: 5}, {path: '/b/*/c', http: }, {path: /**, websocket: }]",
    "routes: [{path: /**, http: {limit: [READ_LIGHT, READ_HEAVY], on_limit: mark, max_body_bytes: 10MiB}}]",
    "routes: [{path: /**, http: {limit: none, max_body_bytes: 0}}]",
    "limits: {5: 1/m}\nroutes: [{path: /**, http: {limit: 5}}]",
    websocket("connect: WS_CONNECT, max_message_bytes: 4KiB, inspect_bytes: 1024, ping_interval: 20s"),
    websocket("connect: [WS_CONNECT, WS_MESSAGE], max_message_bytes: 512B, max_connections: {per_subject: 3}"),
    websocket("max_connections: , messages: [], on_limit: "),
    websocket("on_limit: {connect: http_429, notify: 1/s, close_after: 20/m, answer: 'no {retry_after}'}"),
    websocket("on_limit: {connect: mark, answer: 5}"),
    when("{json: {has: query}}"),
    when("{json: {has: 5}}"),
    when("{json: {has: /a/b, equals: {type: ping, n: 1.5, t: true, z: null, '/x y': '5'}}, binary: False}"),
    when("{any: [{larger_than: 4KiB}, {larger_than: 100}, {not: {all: [{binary: true}]}}]}"),
    when("{binary: '${YES}', larger_than: '${NUMBER}'}"),
    "store: memory\nkey_prefix: 5\nmemory: {max_buckets: 2048, snapshot: /tmp/weir-snapshot}",
    "memory: {snapshot: 5}",
    "on_store_error: local\nstore_timeout: 30ms",
    "allow: [10.1.0.0/16, 'user:monitoring']\nblock: 203.0.113.0/24",
    "cors: {origins: ['https://app.example', '*']}\nshadow: '${YES}'",
    "cors: {origins: 'https://app.example'}\ndisabled: true",
    "cors:",
    "log: {level: '${LEVEL:-info}', format: text, denial_interval: 0s}",
    "timeouts: {handshake: 10ms, idle: 30d, drain: 0s, close: '${SECONDS_TO_CLOSE:-2s}'}",
    "bounds: {max_connections: 10, max_idle_upstream: 0}\nworkers: auto\nreactor: epoll",
    "workers: 4",
    "workers: '${NUMBER}'",
    "workers: 'auto'",
]


@pytest.mark.parametrize("text", GOOD)
def test_what_weir_takes_the_schema_takes(tmp_path, text):
    text = UPSTREAM + text
    assert check(tmp_path, text)["errors"] == []
    assert schema_errors(text) == []


def test_backends_are_one_or_a_list(tmp_path):
    for text in ("[http://a, 'http://[::1]:81/', 'unix:/run/app.sock']", "http://a.internal:8000", "'http://${H:-a}'"):
        text = f"upstreams: {{app: {text}}}"
        assert check(tmp_path, text)["errors"] == []
        assert schema_errors(text) == []


BAD = [
    "ruotes: []",
    "listen: 8080",
    "listen: []",
    "listen: {address: 127.0.0.1}",
    "listen:",
    "admin: [127.0.0.1:1, 127.0.0.1:2]",
    "trusted_proxies: {a: b}",
    "trusted_proxies: 10",
    "client_address: peer",
    "client_address: {from: moon}",
    "client_address: {ipv6_prefix: 129}",
    "client_address: {ipv6_prefix: '64'}",
    "client_address: {trust_unix: yes}",
    "client_address: {trust_unix: 'true'}",
    "identity: {jwt: {secret: '${JWT_SECRET}', from: []}}",
    "identity: {jwt: {secret: '${JWT_SECRET}', from: header}}",
    "identity: {jwt: {secret: '${JWT_SECRET}', leeway: 5}}",
    "identity: {jwt: {secret: '${JWT_SECRET}', claims: [sub]}}",
    "identity: {jwt: {secret: [a]}}",
    "identity: {jwt: {secret: '${JWT_SECRET}', on_invalid: refuse}}",
    "identity: true",
    "tiers: {gold: many}",
    "tiers: {gold: 0}",
    "tiers: {gold: '5'}",
    "tiers: {'a b': 5}",
    "tiers: [gold]",
    "default_algorithm: token_bucket",
    "limits: {A: 5}",
    "limits: {A: 0/m}",
    "limits: {A: 5/0m}",
    "limits: {A: 5/w}",
    "limits: {A: 5 / m}",
    "limits: {A: }",
    "limits: {'A B': 5/m}",
    "limits: {A: [5/m]}",
    "limits: {A: {rate: 5/m, burts: 3}}",
    "limits: {A: {rate: 5/m, shadow: 1}}",
    "limits: {A: {rate: 5/m, algorithm: gcra, burst: 0}}",
    "limits: {A: {rate: 5/m, algorithm: gcra, burst: 1.5}}",
    "limits: {A: {rate: 5/m, per: somebody}}",
    "limits: {A: {rate: 5/m, per: []}}",
    "routes: []",
    "routes:",
    "routes: {path: /a}",
    "routes: [/a]",
    "routes: [{name: a}]",
    "routes: [{path: a}]",
    "routes: [{path: /a, htpp: {}}]",
    "routes: [{path: /a, http: READ_LIGHT}]",
    "routes: [{path: /a, http: {limit: []}}]",
    "routes: [{path: /a, http: {on_limit: close}}]",
    "routes: [{path: /a, http: {max_body_bytes: 1MB}}]",
    "routes: [{path: /a, http: {max_body_bytes: -1}}]",
    websocket("messages: [{when: {binary: true}}]"),
    websocket("messages: {limit: WS_MESSAGE}"),
    websocket("connect: []"),
    websocket("ping_interval: 20"),
    websocket("ping_interval: 20 s"),
    websocket("max_connections: 5"),
    websocket("max_connections: {per_subject: many}"),
    websocket("on_limit: close"),
    websocket("on_limit: {connect: slam}"),
    websocket("on_limit: {notify: 1}"),
    when("{}"),
    when("true"),
    when("{json: }"),
    when("{json: {}}"),
    when("{json: query}"),
    when("{json: {hass: query}}"),
    when("{json: {equals: }}"),
    when("{json: {equals: {}}}"),
    when("{json: {equals: {a: [1]}}}"),
    when("{binary: 1}"),
    when("{larger_than: big}"),
    when("{all: []}"),
    when("{any: {binary: true}}"),
    when("{not: [{binary: true}]}"),
    when("{not: {json: {has: [a]}}}"),
    "store: disk",
    "key_prefix: [rl]",
    "memory: {max_buckets: 1}",
    "memory: 5",
    "on_store_error: maybe",
    "store_timeout: soon",
    "allow: {a: b}",
    "cors: {origins: {a: b}}",
    "cors: ['*']",
    "shadow: maybe",
    "disabled: 0",
    "log: {level: warn}",
    "log: {colour: red}",
    "timeouts: {idle: 1y}",
    "timeouts: {idle: -1s}",
    "bounds: {max_connections: 0}",
    "bounds: {max_connections: lots}",
    "workers: some",
    "workers: '4'",
    "workers: 0",
    "reactor: kqueue",
]


@pytest.mark.parametrize("text", BAD)
def test_shapes_that_weir_refuses_the_schema_refuses(tmp_path, text):
    text = UPSTREAM + text
    said = check(tmp_path, text)
    assert not said["valid"] and all(error["line"] > 0 for error in said["errors"])
    assert schema_errors(text) != []


@pytest.mark.parametrize(
    "text", ["", "upstreams:", "upstreams: {}", "upstreams: http://a", "upstreams: {app: }", "upstreams: {app: []}",
             "upstreams: {app: ftp://a}", "upstreams: {app: [5]}", "upstreams: {'a b': http://a}", "[]", "5"]
)
def test_a_file_without_a_backend_is_refused_by_both(tmp_path, text):
    assert not check(tmp_path, text)["valid"]
    assert schema_errors(text) != []
