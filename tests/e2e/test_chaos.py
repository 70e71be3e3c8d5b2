"""The shared store breaks at random, under load, and no limit is exceeded: judged by what reached the backend.

The seed is printed; WEIR_CHAOS_SEED repeats its faults, their order and lengths (not the scheduler's), and WEIR_CHAOS_SECONDS
says how long they go on.

The oracle: each message carries when it was sent, and the backend writes down when it came, so that Redis decided about it
somewhere between. Those that were sent and came within [a, b] were decided in it, however slow the machine was: they may
not be more than the algorithm admits in any interval of that length.
"""

import asyncio
import json
import os
import random
import threading
import time

import pytest
import websockets

from backends import WebsocketBackend, _Loop
from common import TRUSTED, chat, fixed, forwarded
from redis_server import Proxy, Redis, RedisError
from wire import wait_until

COUNT, PERIOD = 10, 2.0
ALGORITHMS = ["fixed_window", "sliding_window", "gcra"]
USERS = ["203.0.113.1", "203.0.113.2"]
PACE = 0.03  # seconds between the messages of a client; a user has two in each route
CLOCKS = 0.05  # by how much Redis' clock and ours may run apart while the test lasts
COME_BACK = """
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('RENAME', KEYS[2], KEYS[1]) end
"""
SECONDS = float(os.environ.get("WEIR_CHAOS_SECONDS", 8))


@pytest.fixture
def reactor():
    """One gateway has each of the two: no need to run twice."""
    return "auto"


class TimedBackend(WebsocketBackend):
    """Echoes, and remembers of each message when it came: (route, user, sent, came)."""

    def __init__(self):
        self.came = []
        super().__init__(compression=None)

    async def _serve(self, connection):
        try:
            async for message in connection:
                route, user, sent = message.split()
                self.came.append((route, user, float(sent), time.monotonic()))
                await connection.send(message)
        except websockets.ConnectionClosed:
            pass


class Clients:
    """One for each gateway, algorithm and user, that sends and sends whatever becomes of it."""

    def __init__(self, gateways):
        self._io = _Loop()
        self.echoed = [0] * (len(gateways) * len(ALGORITHMS) * len(USERS))
        self.answers, self.lost = 0, []
        self._sending = True
        self.open = [
            (self._io.call(self._connect(gateway, algorithm, user)), algorithm, user)
            for gateway in gateways
            for algorithm in ALGORITHMS
            for user in USERS
        ]
        self._tasks = [
            asyncio.run_coroutine_threadsafe(part(n, *each), self._io.loop)
            for n, each in enumerate(self.open)
            for part in (self._send, self._receive)
        ]

    @staticmethod
    async def _connect(gateway, algorithm, user):
        url = f"ws://127.0.0.1:{gateway.port}/{algorithm}"
        return await websockets.connect(url, extra_headers=[forwarded(user)], ping_interval=None, compression=None)

    async def _send(self, n, connection, algorithm, user):
        try:
            while self._sending:
                await connection.send(f"{algorithm} {user} {time.monotonic():.6f}")
                await asyncio.sleep(PACE)
        except websockets.ConnectionClosed as end:
            self.lost.append((algorithm, user, str(end)))

    async def _receive(self, n, connection, algorithm, user):
        try:
            async for message in connection:
                if message.startswith(algorithm):
                    self.echoed[n] += 1
                else:
                    assert json.loads(message)["type"] == "RATE_LIMITED"
                self.answers += 1
        except websockets.ConnectionClosed:
            pass

    def quiet(self):
        """They send no more; returns those that were not open any longer."""
        self._sending = False
        for task in self._tasks[::2]:
            task.result(10)
        for task in self._tasks[1::2]:
            if task.done():
                task.result()  # what it has received was no answer of ours
        return self.lost + [(algorithm, user) for connection, algorithm, user in self.open if not connection.open]

    def close(self):
        self._sending = False
        for connection, _, _ in self.open:
            self._io.call(connection.close())
        self._io.end()


class Faults:
    """What happens to the store. Each is over, and what it broke is whole, when its call returns."""

    KINDS = ["kill_clients", "flush_scripts", "freeze", "crash", "slow", "half_open", "out_of_memory", "wrong_type"]

    def __init__(self, redis, proxies, chance):
        self.redis, self.proxies, self.chance = redis, proxies, chance
        self.done = []

    def run(self, until):
        while time.monotonic() < until:
            kinds = list(self.KINDS)
            self.chance.shuffle(kinds)
            for kind in kinds:
                if time.monotonic() >= until:
                    return
                seconds = self.chance.uniform(0.05, 0.4)
                self.done.append((kind, round(seconds, 3)))
                getattr(self, kind)(seconds)
                self._pass_time(self.chance.uniform(0.02, 0.3))

    @staticmethod
    def _pass_time(seconds):
        threading.Event().wait(seconds)

    def kill_clients(self, seconds):
        for _ in range(3):
            try:
                self.redis("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            except (OSError, RedisError):
                pass
            self._pass_time(seconds / 3)

    def flush_scripts(self, seconds):
        self.redis("SCRIPT", "FLUSH")

    def freeze(self, seconds):
        self.redis.pause()
        self._pass_time(seconds)
        self.redis.resume()

    def crash(self, seconds):
        self.redis.kill()
        self._pass_time(seconds / 2)
        self.redis.start()

    def slow(self, seconds):
        proxy = self.chance.choice(self.proxies)
        proxy.delay = self.chance.choice([0.01, 0.05, 0.15])
        self._pass_time(seconds)
        proxy.delay = 0.0

    def half_open(self, seconds):
        """Nothing arrives any more on connections that stay open; new ones are whole again."""
        proxy = self.chance.choice(self.proxies)
        proxy.silent = True
        self._pass_time(seconds)
        proxy.silent = False

    def out_of_memory(self, seconds):
        self.redis("CONFIG", "SET", "maxmemory", 1)
        self._pass_time(seconds)
        self.redis("CONFIG", "SET", "maxmemory", 0)

    def wrong_type(self, seconds):
        """A list lies under a bucket's key. The bucket is put aside and comes back: what it has counted is not forgotten."""
        keys = [key for key in self.redis.keys() if key.startswith("rl:")]
        if not keys:
            return
        key = self.chance.choice(keys)
        aside = "aside:" + key
        with self.redis.client() as ask:
            for command in (["MULTI"], ["RENAME", key, aside], ["RPUSH", key, "not a bucket"]):
                ask(*command)
            try:
                ask("EXEC")
            except RedisError:
                pass
            self._pass_time(seconds)
            # In one step, as nobody may find the key free in between. What has expired meanwhile was full again.
            ask("EVAL", COME_BACK, 2, key, aside)


def most(algorithm, length):
    """How many any interval of `length` seconds may admit, and at least so many as one admits."""
    length += CLOCKS
    if algorithm == "fixed_window":
        return COUNT * (int(length / PERIOD) + 2)  # each window that it touches
    # A burst and what drips; the two windows of the sliding one admit no more, but for the rounding of the overlap.
    return COUNT + int(COUNT * length / PERIOD) + 1


def excess(came):
    """The intervals with more than `most`, of each route and user the worst: (route, user, from, to, found, allowed)."""
    worst = []
    for route in ALGORITHMS:
        for user in USERS:
            events = sorted((sent, at) for where, who, sent, at in came if (where, who) == (route, user))
            found = []
            for n, (start, _) in enumerate(events):
                ends = sorted(at for _, at in events[n:])  # all of these were sent at `start` or later
                for count, end in enumerate(ends, 1):
                    allowed = most(route, end - start)
                    if count > allowed:
                        found.append((count - allowed, route, user, start, end, count, allowed))
            worst += [max(found)[1:]] if found else []
    return worst


class World:
    def __init__(self, weir, tmp_path, on_store_error):
        self.redis = Redis(tmp_path / "redis", "--appendonly", "yes", "--appendfsync", "always")
        self.proxies = [Proxy(self.redis.port) for _ in range(2)]
        self.backend = TimedBackend()
        limits = {f"L_{name.upper()}": fixed(f"{COUNT}/{int(PERIOD)}s", algorithm=name) for name in ALGORITHMS}
        routes = [
            {**chat([{"limit": f"L_{name.upper()}"}], path=f"/{name}"), "name": name}
            for name in ALGORITHMS
        ]
        self.gateways = [
            weir(
                self.backend,
                routes,
                reactor=reactor,
                workers=2,
                store=proxy.url,
                store_timeout="50ms",
                on_store_error=on_store_error,
                limits=limits,
                trusted_proxies=TRUSTED,
            )
            for proxy, reactor in zip(self.proxies, ["epoll", "auto"])
        ]
        self.clients = Clients(self.gateways)

    def close(self):
        self.clients.close()
        self.backend.close()
        self.redis.close()
        for proxy in self.proxies:
            proxy.close()


@pytest.fixture
def world(weir, tmp_path):
    made = []

    def make(on_store_error):
        made.append(World(weir, tmp_path, on_store_error))
        return made[-1]

    yield make
    for each in made:
        each.close()


def outcomes(gateway):
    found = {}
    for (name, labels), value in gateway.metrics().items():
        if name == "weir_decisions_total":
            outcome = dict(labels)["outcome"]
            found[outcome] = found.get(outcome, 0) + value
    return found


def counts_all(gateway):
    """Whether events were admitted in the next moment and the store decided all of them."""
    before = outcomes(gateway)
    wait_until(lambda: outcomes(gateway)["allowed"] > before["allowed"] + 3, "messages pass")
    return outcomes(gateway)["error_closed"] == before["error_closed"]


def test_no_limit_is_exceeded_whatever_happens_to_the_store(world):
    seed = int(os.environ.get("WEIR_CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"WEIR_CHAOS_SEED={seed}")
    chaos = world("closed")
    wait_until(lambda: all(chaos.clients.echoed), "every client has been heard")
    memory = [gateway.resident_bytes() for gateway in chaos.gateways]
    faults = Faults(chaos.redis, chaos.proxies, random.Random(seed))
    try:
        faults.run(time.monotonic() + SECONDS)
    finally:
        print(f"faults: {faults.done}")

    # It is whole again: everybody is heard anew, and nothing is decided by policy any more (but what a busy machine is too
    # late for, now and then).
    wait_until(lambda: all(gateway.admin("/readyz").body == b"ready\n" for gateway in chaos.gateways), "all is well", 15)
    before = list(chaos.clients.echoed)
    wait_until(lambda: all(now > was for now, was in zip(chaos.clients.echoed, before)), "counting resumes", 15)
    assert all(key in chaos.redis.keys() for key in (f"rl:{{ip:{user}}}:l_{name}" for user in USERS for name in ALGORITHMS))
    wait_until(lambda: all(counts_all(gateway) for gateway in chaos.gateways), "the store decides everything", 15)
    assert all(outcomes(gateway)["error_closed"] > 0 for gateway in chaos.gateways), "the faults were felt"

    assert chaos.clients.quiet() == []
    assert excess(chaos.backend.came) == [], f"with WEIR_CHAOS_SEED={seed}, after {faults.done}"
    growth = [gateway.resident_bytes() - was for gateway, was in zip(chaos.gateways, memory)]
    assert max(growth) < 32 * 1024 * 1024, growth


def test_the_check_would_find_what_is_let_through(world):
    """The same load where the policy is to let through what can't be decided: a crash is enough to be found out."""
    chaos = world("open")
    wait_until(lambda: all(chaos.clients.echoed), "every client has been heard")
    faults = Faults(chaos.redis, chaos.proxies, random.Random(1))
    faults.redis.kill()
    wait_until(lambda: {where for where, *_ in excess(list(chaos.backend.came))} == set(ALGORITHMS), "each limit is exceeded", 20)
