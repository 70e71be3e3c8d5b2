"""The gateway as a process: started from a configuration, watched through its admin address, ended by its pid."""

import json
import os
import random
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

from wire import Stream, TIMEOUT, WsClient, dial, http, wait_until

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = Path(os.environ.get("WEIR") or ROOT / "build" / "weir")
BAD_SIGNS = re.compile(
    r"(AddressSanitizer|LeakSanitizer|ThreadSanitizer|UndefinedBehavior|runtime error:|assertion failed|terminate called)"
)

_taken = set()


def free_port():
    """A port nobody listens on now, outside the range that the kernel gives to outgoing connections."""
    for _ in range(200):
        port = random.SystemRandom().randrange(12000, 30000)
        if port in _taken:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _taken.add(port)
        return port
    raise AssertionError("no free port")


def clean_environment(**more):
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("RATELIMIT_", "WEIR"))}
    environment.update(more)
    return environment


def run(*args, env=None, timeout=30):
    """A command that ends by itself."""
    return subprocess.run(
        [str(PROGRAM), *map(str, args)], capture_output=True, text=True, timeout=timeout, env=clean_environment(**(env or {}))
    )


class Gateway:
    def __init__(self, folder, config, env=None, wait=True):
        """`config`: a dictionary (JSON is YAML) that gets `listen` and `admin` where it has none, or a text."""
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.file = self.folder / "weir.yaml"
        self.log_file = self.folder / "weir.log"
        self.config = dict(config)
        self.port = self.admin_port = None
        if "listen" not in self.config:
            self.port = free_port()
            self.config["listen"] = f"127.0.0.1:{self.port}"
        elif isinstance(self.config["listen"], str) and not self.config["listen"].startswith("unix:"):
            self.port = int(self.config["listen"].rpartition(":")[2])
        if "admin" not in self.config:
            self.config["admin"] = f"127.0.0.1:{free_port()}"
        self.admin_port = int(self.config["admin"].rpartition(":")[2])
        self.env = clean_environment(**(env or {}))
        self.write(self.config)
        self.process = None
        self.expect_code = 0
        self.start(wait)

    def write(self, config):
        self.file.write_text(config if isinstance(config, str) else json.dumps(config, indent=1))

    def start(self, wait=True):
        self._sink = open(self.log_file, "ab")
        self.process = subprocess.Popen(
            [str(PROGRAM), "serve", "--config", str(self.file)],
            stdin=subprocess.DEVNULL,
            stdout=self._sink,
            stderr=subprocess.STDOUT,
            env=self.env,
        )
        if wait:
            wait_until(self._ready_or_dead, "the gateway becomes ready", 20)
            assert self.process.poll() is None, f"the gateway ended at its start:\n{self.log()}"

    def _ready_or_dead(self):
        if self.process.poll() is not None:
            return True
        try:
            return http(self.admin_port, "/readyz", timeout=2).status == 200
        except (OSError, AssertionError, Exception):  # noqa: BLE001  not yet listening, or half a response
            return False

    # -- what it says

    def log(self):
        return self.log_file.read_text(errors="replace")

    def log_lines(self):
        """The JSON lines of the log."""
        lines = []
        for line in self.log().splitlines():
            if line.startswith("{"):
                try:
                    lines.append(json.loads(line))
                except json.JSONDecodeError:
                    continue  # the last line may be half written
        return lines

    def admin(self, target, **kwargs):
        return http(self.admin_port, target, **kwargs)

    def metrics(self):
        """{(name, (label pairs)): value} of /metrics."""
        found = {}
        for line in self.admin("/metrics").body.decode().splitlines():
            match = re.match(r"(\w+)(?:\{(.*)\})? (\S+)$", line)
            if match:
                labels = tuple(sorted(re.findall(r'(\w+)="([^"]*)"', match[2] or "")))
                found[match[1], labels] = float(match[3])
        return found

    def metric(self, name, **labels):
        """The sum of the series of `name` that have all `labels`."""
        wanted = set(labels.items())
        return sum(v for (n, pairs), v in self.metrics().items() if n == name and wanted <= set(pairs))

    def resident_bytes(self):
        return int(re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())[1]) * 1024

    # -- clients

    def websocket(self, path="/ws/", headers=(), **kwargs):
        return WsClient(self.port, path, headers, **kwargs)

    def get(self, target="/", **kwargs):
        return http(self.port, target, **kwargs)

    def stream(self):
        return Stream(dial(self.port))

    # -- its end

    def signal(self, number):
        self.process.send_signal(number)

    def reload(self, config):
        """Writes the file anew, sends SIGHUP and waits until the gateway says what it made of it."""
        before = self.metric("weir_config_reloads_total")
        self.write(config)
        self.signal(signal.SIGHUP)
        wait_until(lambda: self.metric("weir_config_reloads_total") > before, "the reload is counted")

    def wait(self, timeout=TIMEOUT):
        code = self.process.wait(timeout)
        self._sink.close()
        return code

    def stop(self):
        """SIGTERM, and everything that must hold of an ended gateway."""
        if self.process.poll() is None:
            self.signal(signal.SIGTERM)
        end = time.monotonic() + 20
        try:
            code = self.process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the gateway did not end within 20 s of SIGTERM:\n{self.log()[-4000:]}") from None
        finally:
            self._sink.close()
        log = self.log()
        assert not BAD_SIGNS.search(log), log[-8000:]
        assert code == self.expect_code, f"exit code {code}:\n{log[-8000:]}"
