"""Buckets in a Redis that several gateways share: exact while it answers, and by policy, in time, while it does not."""

import json
import re
import threading

import pytest

from common import EVERY_MESSAGE, TRUSTED, chat, fixed, forwarded
from gateway import ROOT
from redis_server import Proxy, Redis, RedisError, now
from wire import TEXT, frame, wait_until

ALGORITHMS = ["fixed_window", "sliding_window", "gcra"]
# Generous, as the machine that runs the tests is busy; what is measured is that nobody waits for seconds.
TIMEOUT = {"store_timeout": "100ms"}


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path / "redis")
    yield server
    server.close()


@pytest.fixture
def started():
    """What a test starts besides; ended in the order of its start."""
    all_started = []

    def start(made):
        all_started.append(made)
        return made

    yield start
    for made in all_started:
        made.close()


def gateway_with(weir, backend, store, limit="1000/h", **config):
    config.setdefault("on_store_error", "closed")
    limit = limit if isinstance(limit, dict) else fixed(limit)
    return weir(backend, [chat(EVERY_MESSAGE)], store=store, limits={"WS_MESSAGE": limit}, **{**TIMEOUT, **config})


def passes(client):
    """Whether one message passes; that it is answered at all, and soon, is part of it."""
    asked = now()
    client.send("x")
    answer = client.receive()
    assert now() - asked < 2
    return answer == "x"


def counts(client):
    """Waits until the store decides again."""
    wait_until(lambda: passes(client), "the store counts again", 15)


def degraded(gateway):
    answer = gateway.admin("/readyz")
    assert answer.status == 200
    return json.loads(answer.body)["reasons"] if answer.body != b"ready\n" else None


def errors(gateway):
    return {dict(labels)["kind"]: n for (name, labels), n in gateway.metrics().items() if name == "weir_store_errors_total" and n}


# -- while it answers


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_three_gateways_together_admit_exactly_the_limit(weir, ws_backend, redis, algorithm):
    limit = fixed("40/h", algorithm=algorithm)
    gateways = [gateway_with(weir, ws_backend, redis.url, limit, workers=2) for _ in range(3)]
    clients = [gateway.websocket() for gateway in gateways for _ in range(3)]
    answers = []

    def flood(client):
        for _ in range(20):
            client.send("x")
        answers.append(client.receive_sorted(20))

    threads = [threading.Thread(target=flood, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(len(echoes) for echoes, _ in answers) == 40
    denials = [denial for _, denied in answers for denial in denied]
    assert len(denials) == 140
    assert {denial["limit"] for denial in denials} == {40} and {denial["remaining"] for denial in denials} == {0}
    assert redis.keys() == ["rl:{ip:127.0.0.1}:ws_message"]
    assert redis("PTTL", "rl:{ip:127.0.0.1}:ws_message") > 0
    assert sum(gateway.metric("weir_decisions_total", outcome="allowed") for gateway in gateways) == 40
    assert sum(gateway.metric("weir_store_seconds_count") for gateway in gateways) > 0
    assert all(errors(gateway) == {} and degraded(gateway) is None for gateway in gateways)


def test_messages_that_come_together_are_one_question_and_all_or_single_ones_pass(weir, ws_backend, redis):
    gateway = gateway_with(weir, ws_backend, redis.url, "10/h")
    client = gateway.websocket()
    assert passes(client)
    before = redis("INFO", "commandstats").decode()
    client.stream.send(b"".join(frame(TEXT, str(n)) for n in range(6)))
    assert client.receive_sorted(6)[0] == [str(n) for n in range(6)]
    client.stream.send(b"".join(frame(TEXT, str(n)) for n in range(8)))
    echoes, denials = client.receive_sorted(8)
    assert echoes == ["0", "1", "2"] and len(denials) == 5
    assert "cmdstat_evalsha:calls=1," in before
    assert gateway.metric("weir_decisions_total", outcome="allowed") == 10
    assert gateway.metric("weir_decisions_total", outcome="denied") == 5
    assert gateway.metric("weir_messages_total", direction="upstream") == 10


def test_an_event_takes_from_all_buckets_or_none_also_of_other_subjects(weir, http_backend, redis):
    limits = {"MINE": fixed("5/h"), "ALL": fixed("3/h", per="global")}
    gateway = weir(
        http_backend,
        [{"path": "/both", "http": {"limit": ["MINE", "ALL"]}}, {"path": "/mine", "http": {"limit": "MINE"}}],
        store=redis.url,
        limits=limits,
        **TIMEOUT,
    )
    assert [gateway.get("/both").status for _ in range(6)] == [200] * 3 + [429] * 3
    assert [gateway.get("/mine").status for _ in range(3)] == [200, 200, 429], "what was denied took nothing"
    headers = gateway.get("/both").headers
    assert '"mine";r=0' in headers["RateLimit"] and '"all";r=0' in headers["RateLimit"]
    assert redis.keys() == ["rl:{global}:all", "rl:{ip:127.0.0.1}:mine"]


def test_limits_in_shadow_are_counted_in_the_shared_store(weir, ws_backend, redis):
    shadow = fixed("5/h", shadow=True)
    gateways = [gateway_with(weir, ws_backend, redis.url, shadow) for _ in range(2)]
    for gateway in gateways:
        client = gateway.websocket()
        for _ in range(5):
            assert passes(client)
    wait_until(
        lambda: sum(gateway.metric("weir_decisions_total", outcome="shadow_denied") for gateway in gateways) == 5,
        "the second gateway goes on where the first one stopped",
    )


def test_a_password_a_database_and_a_unix_socket(weir, ws_backend, tmp_path, started):
    secret = "s3cret/p@ss"
    server = started(Redis(tmp_path / "secured", password=secret, unix=True))
    urls = [f"redis://:s3cret%2Fp%40ss@127.0.0.1:{server.port}/3", f"redis+unix://:s3cret%2Fp%40ss@{server.path}?db=3"]
    for n, url in enumerate(urls):
        gateway = gateway_with(weir, ws_backend, url, "2/h", key_prefix=f"p{n}")
        client = gateway.websocket()
        assert [passes(client) for _ in range(3)] == [True, True, False]
        assert secret not in gateway.log() and "s3cret" not in gateway.log()
    with server.client() as ask:
        ask("SELECT", 3)
        assert len(ask("KEYS", "*")) == 2


def test_a_user_needs_no_more_than_the_manual_says(weir, ws_backend, redis):
    manual = (ROOT / "docs/shared-store.md").read_text()
    allowed = re.search(r"A user of an ACL needs `([^`]*)`", manual)[1].split()
    redis("ACL", "SETUSER", "weir", "on", ">pw", "resetkeys", "~rl:*", "-@all", *allowed)
    gateway = gateway_with(weir, ws_backend, f"redis://weir:pw@127.0.0.1:{redis.port}/2", "3/h")
    client = gateway.websocket()
    assert [passes(client) for _ in range(4)] == [True] * 3 + [False]
    redis("SCRIPT", "FLUSH")
    assert not passes(client) and errors(gateway) == {}


def test_a_script_that_was_flushed_is_loaded_again(weir, ws_backend, redis):
    gateway = gateway_with(weir, ws_backend, redis.url, "10/h")
    client = gateway.websocket()
    for _ in range(5):
        assert passes(client)
        redis("SCRIPT", "FLUSH")
    assert all(passes(client) for _ in range(5)) and not passes(client)
    assert errors(gateway) == {}


def test_connections_that_are_killed_come_back(weir, ws_backend, redis):
    gateway = gateway_with(weir, ws_backend, redis.url)
    client = gateway.websocket()
    for _ in range(5):
        counts(client)
        redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    counts(client)
    client.end()


# -- while it does not


def break_by_kill(redis, started):
    redis.kill()
    return lambda: redis.start()


def break_by_stop(redis, started):
    redis.pause()
    return redis.resume


BREAKS = {"killed": break_by_kill, "stopped": break_by_stop}


@pytest.mark.parametrize("policy", ["closed", "open", "local"])
@pytest.mark.parametrize("how", BREAKS)
def test_the_policy_holds_in_time_while_the_store_is_gone(weir, ws_backend, redis, started, how, policy):
    gateway = gateway_with(weir, ws_backend, redis.url, "100/h", on_store_error=policy, log={"denial_interval": "60s"})
    client = gateway.websocket()
    assert passes(client)
    heal = BREAKS[how](redis, started)
    outcomes = []

    def noticed():
        outcomes.append(passes(client))
        return degraded(gateway)

    reasons = wait_until(noticed, "the gateway says that the store is gone")
    assert reasons[0].startswith("store unreachable")
    asked = now()
    outcomes += [passes(client) for _ in range(100)]
    assert now() - asked < 2, "nobody waits for what is known to be gone"
    if policy == "closed":
        assert not any(outcomes)
    elif policy == "open":
        assert all(outcomes)
    else:
        assert sum(outcomes) == 100, "counted in this process, by the same limit"
    if policy != "local":
        assert gateway.metric("weir_decisions_total", outcome=f"error_{policy}") == len(outcomes)
    assert gateway.metric("weir_breaker_state") == 1
    assert sum(errors(gateway).values()) >= len(outcomes)
    lines = [line for line in gateway.log_lines() if line.get("limit") == "WS_MESSAGE" and "store" in line]
    assert len(lines) == 1 and lines[0]["subject"] == "ip:127.0.0.1" and lines[0]["store"] == redis.url
    heal()
    wait_until(lambda: degraded(gateway) is None, "the gateway says that the store is back")
    assert gateway.metric("weir_breaker_state") == 0
    assert passes(client), "the same connection, all the while"
    messages = [line.get("message") or line.get("msg") for line in gateway.log_lines()]
    assert messages.count("store unreachable") == 1 and messages.count("store answers again") == 1
    client.end()


def test_a_store_that_is_slow_is_not_waited_for(weir, ws_backend, redis, started):
    proxy = started(Proxy(redis.port))
    gateway = gateway_with(weir, ws_backend, proxy.url, "1000/h", store_timeout="50ms")
    client = gateway.websocket()
    assert passes(client)
    proxy.delay = 0.2
    assert not passes(client)
    wait_until(lambda: not passes(client) and gateway.metric("weir_breaker_state") == 1, "the breaker opens")
    asked = now()
    assert not any(passes(client) for _ in range(50))
    assert now() - asked < 1
    assert errors(gateway)["timeout"] >= 5
    proxy.delay = 0
    counts(client)
    assert wait_until(lambda: degraded(gateway) is None, "it is well again") is True


def test_a_connection_whose_other_end_is_gone_is_given_up(weir, ws_backend, redis, started):
    proxy = started(Proxy(redis.port))
    gateway = gateway_with(weir, ws_backend, proxy.url)
    client = gateway.websocket()
    assert passes(client)
    proxy.silent = True  # nothing arrives, and nothing says so
    assert not passes(client)
    wait_until(lambda: not passes(client) and degraded(gateway), "the gateway notices")
    proxy.silent = False
    counts(client)


def test_a_store_that_starts_late_is_found(weir, ws_backend, tmp_path, started):
    server = started(Redis(tmp_path / "late"))
    server.kill()
    gateway = gateway_with(weir, ws_backend, server.url)
    client = gateway.websocket()
    assert not passes(client)
    server.start()
    counts(client)


def test_a_restart_without_its_data_begins_anew_and_one_with_them_goes_on(weir, ws_backend, tmp_path, started):
    server = started(Redis(tmp_path / "kept", "--appendonly", "yes", "--appendfsync", "always"))
    gateway = gateway_with(weir, ws_backend, server.url, "6/h", on_store_error="closed")
    client = gateway.websocket()
    assert all(passes(client) for _ in range(3))
    server.kill()
    server.start()
    counts(client)
    assert sum(passes(client) for _ in range(5)) == 2, "three were used before, one since"
    server("FLUSHALL")
    assert sum(passes(client) for _ in range(8)) == 6


def test_a_wrong_password_is_said_without_it(weir, ws_backend, tmp_path, started):
    server = started(Redis(tmp_path / "secured", password="right"))
    gateway = gateway_with(weir, ws_backend, f"redis://:wrong-secret@127.0.0.1:{server.port}")
    client = gateway.websocket()
    assert not passes(client)
    reasons = wait_until(lambda: degraded(gateway), "it is said")
    assert "password" in reasons[0]
    assert "wrong-secret" not in gateway.log() + gateway.admin("/metrics").body.decode()


def test_a_store_without_memory_decides_nothing_and_then_again(weir, ws_backend, tmp_path, started):
    server = started(Redis(tmp_path / "full", "--maxmemory-policy", "noeviction"))
    gateway = gateway_with(weir, ws_backend, server.url)
    client = gateway.websocket()
    assert passes(client)
    server("CONFIG", "SET", "maxmemory", "1")
    assert not passes(client)
    assert errors(gateway)["oom"] >= 1
    server("CONFIG", "SET", "maxmemory", "0")
    counts(client)


def test_a_replica_that_can_not_be_written_to_decides_nothing(weir, ws_backend, redis, tmp_path, started):
    replica = started(Redis(tmp_path / "replica", "--replicaof", f"127.0.0.1 {redis.port}"))
    gateway = gateway_with(weir, ws_backend, replica.url)
    client = gateway.websocket()
    assert not passes(client)
    assert errors(gateway)["readonly"] >= 1
    replica("REPLICAOF", "NO", "ONE")
    counts(client)


def test_what_others_have_put_under_our_key_costs_nobody_else(weir, ws_backend, redis):
    gateway = gateway_with(weir, ws_backend, redis.url, trusted_proxies=TRUSTED)
    redis("RPUSH", "rl:{ip:203.0.113.1}:ws_message", "x")
    redis("SET", "rl:{ip:203.0.113.2}:ws_message", "not ours")
    other = gateway.websocket(headers=[forwarded("203.0.113.3")])
    for address, kind in (("203.0.113.1", "wrongtype"), ("203.0.113.2", "badvalue")):
        client = gateway.websocket(headers=[forwarded(address)])
        for _ in range(10):
            assert not passes(client)
            assert passes(other)
        assert errors(gateway)[kind] == 10
        redis("DEL", "rl:{ip:%s}:ws_message" % address)
        assert passes(client)
    with pytest.raises(RedisError):
        redis("LLEN", "rl:{ip:203.0.113.1}:ws_message")


def test_a_gateway_ends_while_it_waits_for_the_store(weir, ws_backend, redis):
    gateway = gateway_with(weir, ws_backend, redis.url, store_timeout="30s")
    client = gateway.websocket()
    assert passes(client)
    redis.pause()
    client.send("x")
    gateway.stop()
    redis.resume()
