"""Several servers as one store: Sentinels that know the master, and a cluster whose slots move and whose masters die."""

import threading

import pytest

from common import TRUSTED, chat, fixed, forwarded, EVERY_MESSAGE
from redis_server import Cluster, Redis, RedisError, Sentinel
from test_redis import TIMEOUT, counts, degraded, errors, gateway_with, passes, started  # noqa: F401
from wire import wait_until



def slot_of(subject):
    crc = 0
    for byte in subject.encode():
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc % 16384


def accepted(command):
    try:
        command()
    except RedisError:
        return False
    return True


# -- Sentinel


@pytest.fixture
def watched(tmp_path, started):  # noqa: F811
    """A master, its replica, and three Sentinels, of which two decide."""
    master = started(Redis(tmp_path / "master"))
    replica = started(Redis(tmp_path / "replica", "--replicaof", f"127.0.0.1 {master.port}"))
    wait_until(lambda: replica.says(b"master_link_status:up", "INFO", "replication"), "the replica follows")
    sentinels = [started(Sentinel(tmp_path / f"sentinel-{n}", master.port, quorum=2)) for n in range(3)]
    for sentinel in sentinels:
        wait_until(lambda sentinel=sentinel: sentinel("SENTINEL", "replicas", "mymaster"), "the Sentinels see the replica", 20)
        wait_until(lambda sentinel=sentinel: len(sentinel("SENTINEL", "sentinels", "mymaster")) == 2, "and each other", 20)
    url = "redis+sentinel://" + ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in sentinels) + "/mymaster"
    return master, replica, sentinels, url


def test_the_master_is_asked_for_and_followed_when_it_fails_over(weir, ws_backend, watched):
    master, replica, sentinels, url = watched
    gateway = gateway_with(weir, ws_backend, url, "1000/h")
    client = gateway.websocket()
    counts(client)
    assert passes(client)
    assert master.keys() == ["rl:{ip:127.0.0.1}:ws_message"]
    wait_until(lambda: replica.keys(), "the replica has it too")
    sentinels[0].kill()  # one that is gone is no reason to stop
    master.kill()
    counts(client)
    assert b"role:master" in replica("INFO", "replication")
    wait_until(lambda: degraded(gateway) is None, "all is well")
    client.end()


def test_a_switch_while_the_old_master_lives_is_noticed(weir, ws_backend, watched):
    master, replica, sentinels, url = watched
    gateway = gateway_with(weir, ws_backend, url, "1000/h")
    client = gateway.websocket()
    counts(client)
    wait_until(lambda: accepted(lambda: sentinels[0]("SENTINEL", "FAILOVER", "mymaster")), "a switch is begun", 20)
    wait_until(lambda: replica.says(b"role:master", "INFO", "replication"), "the replica is the master", 20)
    wait_until(lambda: master.says(b"role:slave", "INFO", "replication"), "the master is a replica", 20)
    counts(client)
    before = gateway.metric("weir_decisions_total", outcome="allowed")
    assert all(passes(client) for _ in range(20))
    assert gateway.metric("weir_decisions_total", outcome="allowed") == before + 20
    client.end()


# -- Cluster


@pytest.fixture
def cluster(tmp_path, started):  # noqa: F811
    return started(Cluster(tmp_path / "cluster"))


def test_subjects_all_over_a_cluster_are_counted_exactly(weir, ws_backend, cluster):
    gateways = [gateway_with(weir, ws_backend, cluster.url, "10/h", trusted_proxies=TRUSTED) for _ in range(2)]
    addresses = [f"203.0.113.{n}" for n in range(12)]
    for address in addresses:
        clients = [gateway.websocket(headers=[forwarded(address)]) for gateway in gateways]
        for client in clients:
            for _ in range(8):
                client.send("x")
        answers = [client.receive_sorted(8) for client in clients]
        assert sum(len(echoes) for echoes, _ in answers) == 10
    held = [node.keys() for node in cluster.masters]
    assert sum(len(keys) for keys in held) == len(addresses) and all(held)


def test_an_event_of_two_slots_takes_from_both_or_none(weir, http_backend, cluster):
    assert cluster.owner(slot_of("global")) is not cluster.owner(slot_of("ip:127.0.0.1"))
    limits = {"MINE": fixed("5/h"), "ALL": fixed("3/h", per="global")}
    both = {"path": "/both", "http": {"limit": ["MINE", "ALL"]}}
    turned = {"path": "/turned", "http": {"limit": ["ALL", "MINE"]}}
    mine = {"path": "/mine", "http": {"limit": "MINE"}}
    gateway = weir(http_backend, [both, turned, mine], store=cluster.url, limits=limits, **TIMEOUT)
    wait_until(lambda: gateway.get("/both").status == 200, "the map of the cluster is known")
    assert [gateway.get("/both").status for _ in range(5)] == [200] * 2 + [429] * 3
    denied = gateway.get("/turned")
    assert denied.status == 429 and '"mine";r=2' in denied.headers["RateLimit"] and '"all";r=0' in denied.headers["RateLimit"]
    assert [gateway.get("/mine").status for _ in range(3)] == [200, 200, 429], "what the other slot denied was given back"


def test_a_slot_moves_under_load_and_nothing_is_counted_twice_or_lost(weir, ws_backend, cluster):
    gateways = [gateway_with(weir, ws_backend, cluster.url, "600/h", store_timeout="2s") for _ in range(2)]
    clients = [gateway.websocket() for gateway in gateways]
    for client in clients:
        counts(client)
    slot = slot_of("ip:127.0.0.1")
    target = next(node for node in cluster.masters if node is not cluster.owner(slot))
    outcomes, stop = [], threading.Event()

    def load(client):
        while not stop.is_set():
            outcomes.append(passes(client))

    threads = [threading.Thread(target=load, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for turn in range(4):
        source = cluster.owner(slot)
        seen = len(outcomes)
        cluster.move(slot, target, lambda: wait_until(lambda: len(outcomes) > seen + 10, "messages go on"))
        target = source
    wait_until(lambda: False in outcomes, "the limit is reached", 30)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert outcomes.count(True) == 600 - 2, [(errors(gateway), gateway.log()) for gateway in gateways]
    assert all(errors(gateway) == {} for gateway in gateways)


def test_a_master_that_dies_is_replaced_by_its_replica(weir, ws_backend, tmp_path, started):  # noqa: F811
    cluster = started(Cluster(tmp_path / "cluster", replicas=True))
    gateway = gateway_with(weir, ws_backend, cluster.url, "1000/h", trusted_proxies=TRUSTED)
    client = gateway.websocket()
    counts(client)
    master = cluster.owner(slot_of("ip:127.0.0.1"))
    replica = cluster.nodes[cluster.nodes.index(master) + 3]
    wait_until(lambda: replica("DBSIZE") == 1, "the replica has the bucket")
    elsewhere = next(
        f"203.0.113.{n}" for n in range(100) if cluster.owner(slot_of(f"ip:203.0.113.{n}")) is not master
    )
    other = gateway.websocket(headers=[forwarded(elsewhere)])
    assert passes(other)
    master.kill()
    for _ in range(20):
        assert passes(other), "the other slots have their master"
    counts(client)
    assert wait_until(lambda: degraded(gateway) is None, "all is well") is True
    client.end()
