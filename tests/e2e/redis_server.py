"""Redis as the tests use it: servers, Sentinels and clusters on free loopback ports, and a proxy that is slow or dead.

Each is started by a test and ended by its process id.
"""

import os
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

from gateway import free_port
from wire import wait_until


class RedisError(Exception):
    """An error reply."""


class Client:
    """Commands, one after the other, over a socket."""

    def __init__(self, address, password=None, timeout=10):
        self.socket = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
        self.socket.settimeout(timeout)
        self.socket.connect(address if isinstance(address, str) else ("127.0.0.1", address))
        self.file = self.socket.makefile("rb")
        if password:
            self("AUTH", password)

    def __call__(self, *arguments):
        parts = [a if isinstance(a, bytes) else str(a).encode() for a in arguments]
        self.socket.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
        return self._read()

    def _read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisError(rest.decode())
        if kind == b"+":
            return rest.decode()
        if kind == b":":
            return int(rest)
        if kind == b"$":
            return None if rest == b"-1" else self.file.read(int(rest) + 2)[:-2]
        return None if rest == b"-1" else [self._read() for _ in range(int(rest))]

    def close(self):
        self.file.close()
        self.socket.close()


class Redis:
    """A redis-server of its own, which keeps nothing on disk unless told to."""

    program = "redis-server"

    def __init__(self, folder, *options, port=None, password=None, unix=False):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = port or free_port()
        self.password = password
        self.path = str(self.folder / "redis.sock") if unix else None
        self.options = ["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", *options]
        if password:
            self.options += ["--requirepass", password]
        if unix:
            self.options += ["--unixsocket", self.path]
        self.process = None
        self.start()

    @property
    def url(self):
        return f"unix:{self.path}" if self.path else f"redis://127.0.0.1:{self.port}"

    def arguments(self):
        return ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), *self.options]

    def start(self, wait=True):
        self.log = open(self.folder / "redis.log", "ab")
        self.process = subprocess.Popen(
            [self.program, *self.arguments()], stdin=subprocess.DEVNULL, stdout=self.log, stderr=subprocess.STDOUT
        )
        if wait:
            wait_until(self.answers, "redis answers", 20)

    def answers(self):
        assert self.process.poll() is None, (self.folder / "redis.log").read_text()
        try:
            with self.client() as ask:
                return ask("PING") == "PONG"
        except (OSError, RedisError):
            return False

    class _Client(Client):
        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.close()

    def client(self):
        return Redis._Client(self.path or self.port, self.password)

    def __call__(self, *arguments):
        with self.client() as ask:
            return ask(*arguments)

    def keys(self):
        return sorted(key.decode() for key in self("KEYS", "*"))

    def says(self, word, *question):
        """Whether the answer has `word`; false while the server cuts its clients off."""
        try:
            return word in self(*question)
        except (OSError, ConnectionError):
            return False

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(20)
        self.log.close()

    def close(self):
        self.kill()


class Sentinel(Redis):
    """A Sentinel that watches `master` under the name mymaster."""

    program = "redis-sentinel"

    def __init__(self, folder, master, quorum=1):
        self.master, self.quorum = master, quorum
        super().__init__(folder)
        self("SENTINEL", "DEBUG", "info-period", 100, "publish-period", 200)  # as in a minute of its life

    def arguments(self):
        file = self.folder / "sentinel.conf"
        if not file.exists():
            file.write_text(
                f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
                f"sentinel monitor mymaster 127.0.0.1 {self.master} {self.quorum}\n"
                "sentinel down-after-milliseconds mymaster 500\n"
                "sentinel failover-timeout mymaster 3000\n"
            )
        return [str(file)]


class Cluster:
    """Masters with the slots divided among them; `replicas`: one for each master too."""

    def __init__(self, folder, masters=3, replicas=False):
        self.nodes = []
        options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "700", "--cluster-require-full-coverage", "no"]
        count = masters * (2 if replicas else 1)
        for n in range(count):
            bus = free_port()
            self.nodes.append(
                Redis(Path(folder) / f"node-{n}", *options, "--cluster-port", str(bus))
            )
            self.nodes[-1].bus = bus
        self.masters = self.nodes[:masters]
        first = self.nodes[0]
        for n, node in enumerate(self.nodes):
            # Without it the nodes claim slots with equal right, and a slot that moves may fall back, without its keys.
            node("CLUSTER", "SET-CONFIG-EPOCH", n + 1)
            if node is not first:
                node("CLUSTER", "MEET", "127.0.0.1", first.port, first.bus)
        bounds = [16384 * n // masters for n in range(masters + 1)]
        for n, node in enumerate(self.masters):
            node("CLUSTER", "ADDSLOTSRANGE", bounds[n], bounds[n + 1] - 1)
        wait_until(lambda: all(self._knows(node, count) for node in self.nodes), "the nodes know each other", 20)
        if replicas:
            for n, node in enumerate(self.nodes[masters:]):
                identity = self.id_of(self.masters[n])
                wait_until(lambda node=node, identity=identity: self._replicates(node, identity), "a replica follows", 20)
        wait_until(
            lambda: all("cluster_state:ok" in node("CLUSTER", "INFO").decode() for node in self.nodes), "the cluster is up", 20
        )

    @staticmethod
    def _knows(node, count):
        return f"cluster_known_nodes:{count}" in node("CLUSTER", "INFO").decode()

    @staticmethod
    def _replicates(node, identity):
        try:
            node("CLUSTER", "REPLICATE", identity)
        except RedisError:
            return False
        return "master_link_status:up" in node("INFO", "replication").decode()

    @staticmethod
    def id_of(node):
        return node("CLUSTER", "MYID").decode()

    @property
    def url(self):
        return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in self.masters)

    def owner(self, slot, asked=None):
        for first, last, master, *_ in (asked or self.nodes[0])("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.port == master[1])
        return None

    def move(self, slot, target, between=lambda: None):
        """As `redis-cli --cluster reshard` does it; `between` is called while the slot is on its way."""
        source = self.owner(slot)
        source_id, target_id = self.id_of(source), self.id_of(target)
        target("CLUSTER", "SETSLOT", slot, "IMPORTING", source_id)
        source("CLUSTER", "SETSLOT", slot, "MIGRATING", target_id)
        between()
        while keys := source("CLUSTER", "GETKEYSINSLOT", slot, 1):
            source("MIGRATE", "127.0.0.1", target.port, keys[0], 0, 1000)
            between()
        for node in (target, source, *(node for node in self.masters if node not in (target, source))):
            node("CLUSTER", "SETSLOT", slot, "NODE", target_id)
        # Else the slot's next move would be made under an epoch that the target has used for this one.
        wait_until(lambda: self._agree(), "the nodes agree")
        assert all(self.owner(slot, node) is target for node in self.masters)

    def _agree(self):
        views = [
            sorted((line.split()[0], line.split()[6], line.split()[8:]) for line in node("CLUSTER", "NODES").decode().splitlines())
            for node in self.masters
        ]
        return all(view == views[0] for view in views)

    def close(self):
        for node in self.nodes:
            node.close()


class Proxy:
    """Between the gateway and a server: passes bytes on, later (`delay`), or not at all (`silent`). A connection that has lost bytes is
    half open from then on: it delivers none that come later, as TCP would not either."""

    def __init__(self, target):
        self.target = target
        self.delay = 0.0
        self.silent = False
        self.sockets = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.sockets += [client, server]
            for source, sink, slow in ((client, server, False), (server, client, True)):
                threading.Thread(target=self._pass, args=(source, sink, slow), daemon=True).start()

    def _pass(self, source, sink, slow):
        lost = False
        try:
            while data := source.recv(65536):
                lost = lost or self.silent
                if lost:
                    continue
                if slow and self.delay:
                    threading.Event().wait(self.delay)
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR) if os.name == "posix" else None
        self.listener.close()
        for each in self.sockets:
            each.close()


def now():
    return time.monotonic()
