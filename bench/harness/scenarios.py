"""The scenarios, and the measurement of one scenario with one subject.

Each run starts its own echo server, proxy and load generator, checks every answer, and ends all three. A run whose
answers are not exactly what was asked for carries `errors` and spoils the whole comparison. A run in whose measured time
nothing came because others had the CPUs, although all came in the end, is `stalled`: right, but no measurement.
"""
import dataclasses
import json
import math
import os
import subprocess
import tempfile
import time

from . import subjects
from .processes import Failure, Process, Sampler

ECHO_CHECKS = ("mismatched", "dropped", "unanswered", "protocol_errors", "connect_errors", "limited", "other", "eof",
               "resets")
NOISY = 0.1  # of one CPU, used by others than proxy, load generator and echo server
ADDRESSES = "127.0.1.1-127.0.1.250"
ADDRESS_COUNT = 250
JSON_PAYLOAD = '{"type":"ask","conversation":"0b5cf1f2","query":"%s","stream":true,"temperature":0.2}'
# About 1 KiB, as a page of an application asks.
GRAPHQL_BODY = json.dumps({"operationName": "Page", "variables": {"id": "42", "first": 20, "full": True}, "query": """\
query Page($id: ID!, $first: Int = 20, $after: String, $full: Boolean!) {
  me { id username email }
  corpus(id: $id) {
    ...CorpusFields
    documents(first: $first, after: $after, orderBy: {field: CREATED, direction: DESC}) {
      totalCount
      edges { cursor node { ...DocumentFields preview: page(number: 1, size: "small") @include(if: $full) { url width } } }
      pageInfo { hasNextPage endCursor }
    }
  }
  recent: activity(last: 5, kinds: [COMMENT, UPLOAD]) { at actor { username } target { __typename } }
}
fragment CorpusFields on Corpus { id title description isPublic created modified creator { ...UserFields } }
fragment DocumentFields on Document { id title pageCount fileType creator { ...UserFields } }
fragment UserFields on User { id username slug avatar(size: 64) { url } }
"""})

PEERS = ["nginx", "haproxy", "weir-epoll", "weir-io_uring"]
FLOORS = ["floor-copy", "floor-uring"]


@dataclasses.dataclass(frozen=True)
class Scenario:
    name: str
    title: str
    unit: str                    # what one operation is
    load: tuple                  # arguments of wsload
    subjects: tuple
    counted: str = "WS_MESSAGE"  # the limit that Weir must have counted each operation under
    weir_rules: str = "plain"
    proxy_buffer: int = 16384    # the peers' buffers; 0: their defaults
    large: bool = False
    connections: int = 64


def echo(*arguments):
    return ("--mode", "echo", "--verify", "--source-range", ADDRESSES) + arguments


SMALL = ("--connections", "64", "--size", "64")
JSON = ("--connections", "64", "--size", "160", "--payload", JSON_PAYLOAD)
SCENARIOS = [
    Scenario("small", "64-byte messages, 64 connections, one in flight on each", "message",
             echo(*SMALL, "--pipeline", "1"), ("direct", *FLOORS, *PEERS)),
    Scenario("pipelined", "64-byte messages, 64 connections, 16 in flight on each", "message",
             echo(*SMALL, "--pipeline", "16"), ("direct", *FLOORS, *PEERS)),
    Scenario("paced", "64-byte messages, 64 connections, 15,000 a second in all whatever the answers do (latency at equal load)",
             "message", echo(*SMALL, "--rate", "15000"), ("direct", *FLOORS, *PEERS)),
    Scenario("json", "160-byte JSON messages, 64 connections, one in flight; Weir picks the limit by a JSON member", "message",
             echo(*JSON, "--pipeline", "1"), ("floor-copy", *PEERS), weir_rules="json"),
    Scenario("json-pipelined", "the same with 16 in flight on each connection", "message",
             echo(*JSON, "--pipeline", "16"), ("floor-copy", *PEERS), weir_rules="json"),
    Scenario("large", "64 KiB messages, 16 connections, one in flight on each", "message",
             echo("--connections", "16", "--size", "65536", "--pipeline", "1"),
             ("direct", "floor-copy", "floor-splice", "floor-uring", *PEERS), proxy_buffer=65536, large=True),
    Scenario("http", "plain HTTP/1.1 GET, 64 connections kept alive", "request",
             ("--mode", "http", "--connections", "64", "--source-range", ADDRESSES), ("direct", *FLOORS, *PEERS),
             counted="READ_LIGHT"),
    Scenario("post", "HTTP POST of 1 KiB of JSON on a plain route, 64 connections kept alive", "request",
             ("--mode", "http", "--connections", "64", "--source-range", ADDRESSES, "--body", GRAPHQL_BODY), tuple(PEERS),
             counted="READ_LIGHT"),
    Scenario("graphql", "the same POST; Weir reads it and counts its root fields", "request",
             ("--mode", "http", "--connections", "64", "--source-range", ADDRESSES, "--body", GRAPHQL_BODY), tuple(PEERS),
             counted="READ_LIGHT", weir_rules="graphql"),
    Scenario("handshakes", "WebSocket handshakes with a clean close, 32 at once", "handshake",
             ("--mode", "connect", "--connections", "32", "--source-range", ADDRESSES), ("direct", *FLOORS, *PEERS),
             counted="WS_CONNECT"),
    Scenario("refused", "WebSocket handshakes that Weir refuses with Close 4029, 32 at once", "handshake",
             ("--mode", "connect", "--connections", "32", "--source-range", ADDRESSES), ("weir-epoll", "weir-io_uring"),
             counted="", weir_rules="refuse"),
    Scenario("idle", "memory of idle WebSocket connections", "connection",
             ("--mode", "idle", "--source-range", ADDRESSES), tuple(PEERS), counted="", proxy_buffer=0,
             connections=5000),
]


class Bench:
    def __init__(self, tools, factory, proxy_cpu, load_cpu, seconds, warmup, idle_connections):
        self.tools, self.factory = tools, factory
        self.proxy_cpu, self.load_cpu = proxy_cpu, load_cpu
        self.seconds, self.warmup, self.idle_connections = seconds, warmup, idle_connections

    def measure(self, scenario, name, attempts):
        """The quietest of at most `attempts` runs; further ones are made only while others use the CPUs too much."""
        def noise(result):
            return result.get("others_busy", math.inf)  # a stalled run is the noisiest

        best = None
        for _ in range(attempts):
            result = self._measure(scenario, name)
            if result["errors"] or "memory_bytes" in result:
                return result  # a wrong answer is never averted by trying again; memory does not mind the noise
            if best is None or noise(result) < noise(best):
                best = result
            if noise(best) < NOISY:
                break
        return best

    def _measure(self, scenario, name):
        """One run: a dictionary of numbers. Raises Failure when it could not be made at all."""
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as directory:
            os.chmod(directory, 0o755)  # a proxy may drop its privileges and still needs its files
            running = []
            try:
                backend = Process("echo", [os.path.join(self.tools, "wsecho")], self.load_cpu, directory)
                running.append(backend)
                upstream = int(backend.wait_line("LISTENING", 10))
                subject = self.factory.start(name, upstream, scenario, directory)
                if subject.process:
                    running.append(subject.process)
                run = self._idle if scenario.name == "idle" else self._load
                result = run(scenario, name, subject, backend, directory, running)
                running.reverse()
                for process in running:
                    if not process.stop():
                        result["errors"].append(f"{process.name} had to be killed")
                running = []
                return result
            finally:
                for process in reversed(running):  # only after a failure
                    process.stop(1)

    def _wsload(self, scenario, subject, directory, extra):
        url = f"ws://127.0.0.1:{subject.port}/ws/bench/"
        command = [os.path.join(self.tools, "wsload"), "--url", url, *scenario.load, *extra]
        return Process("wsload", command, self.load_cpu, directory)

    def _load(self, scenario, name, subject, backend, directory, running):
        if scenario.weir_rules == "refuse":
            # Each address has one handshake an hour. Use it up, so that all that are measured are refused.
            spend = self._wsload(scenario, subject, directory,
                                 ["--count", str(ADDRESS_COUNT), "--duration", "20", "--warmup", "0", "--quiet"])
            running.append(spend)
            spend.wait_end(30)
        out = os.path.join(directory, "wsload.json")
        extra = ["--duration", str(self.seconds), "--warmup", str(self.warmup), "--json", out, "--quiet"]
        load = self._wsload(scenario, subject, directory, extra)
        watched = {"echo": backend, "load": load}
        if subject.process:
            watched["proxy"] = subject.process
        running.append(load)
        with Sampler(watched, sorted({self.proxy_cpu, self.load_cpu})) as sampler:
            status = load.wait_end(self.warmup + self.seconds + 30)
        if status != 0:
            raise load.failure(f"ended with {status}")
        with open(out) as f:
            seen = json.load(f)
        operations = seen["opened"] if scenario.unit == "handshake" else seen["echoed"]
        errors = self._check(scenario, seen, operations)
        if operations == 0:
            return {"operations": 0, "stalled": True, "errors": errors}
        begin, end = seen["measure_from_ns"], seen["measure_to_ns"]
        window = max(end - begin, 1)
        used = {who: sampler.used_ns(who, begin, end) for who in watched}
        latency = seen["handshake_us" if scenario.unit == "handshake" else "latency_us"]
        result = {
            "operations": operations,
            "per_second": operations * 1e9 / window,
            "p50_us": latency["p50"],
            "p99_us": latency["p99"],
            "load_busy": used["load"] / window,
            "echo_busy": used["echo"] / window,
            "others_busy": max(0, sampler.used_ns("machine", begin, end) - sum(used.values())) / window,
            "errors": errors,
        }
        if subject.process:
            result["cpu_us"] = used["proxy"] / 1e3 / operations
            result["proxy_busy"] = used["proxy"] / window
        if name.startswith("weir") and scenario.counted:
            counted = subject.decisions(scenario.counted)
            if counted < operations:
                result["errors"].append(f"Weir counted {counted:.0f} of {operations} under {scenario.counted}")
        return result

    @staticmethod
    def _check(scenario, seen, operations):
        errors = [] if seen["opened"] and (seen["sent"] or scenario.unit == "handshake") else ["nothing was sent"]
        codes = seen["close_codes"]
        if scenario.unit == "handshake":
            wrong = {"protocol_errors": seen["protocol_errors"], "connect_errors": seen["connect_errors"],
                     "eof": seen["eof"], "resets": seen["resets"]}
            expected, allowed = ("4029", {"4029"}) if scenario.weir_rules == "refuse" else ("1000", {"1000"})
            # Those still open when the time ended have no Close yet; there are at most as many as run at once.
            if codes.get(expected, 0) < operations - 64:
                errors.append(f"close codes are {codes}, expected {expected} for {operations} handshakes")
            errors += [f"{n} closed with {code}" for code, n in codes.items() if code not in allowed]
            statuses = {"101"}
        else:
            wrong = {key: seen[key] for key in ECHO_CHECKS}
            errors += [f"{n} closed with {code}" for code, n in codes.items()]
            statuses = {"200"} if scenario.unit == "request" else {"101"}
        errors += [f"{key}: {n:.0f}" for key, n in wrong.items() if n]
        errors += [f"{n} answers with status {status}" for status, n in seen["http_status"].items()
                   if status not in statuses]
        return errors

    def _idle(self, scenario, name, subject, backend, directory, running):
        # What the proxy sets up once, whatever the number of connections, is not a connection's: touch it before.
        few = self._wsload(scenario, subject, directory, ["--connections", "16", "--duration", "0.1", "--quiet"])
        running.append(few)
        if few.wait_end(30) != 0:
            raise few.failure("could not open 16 connections")
        # A proxy needs two descriptors a connection.
        count = min(self.idle_connections, (subjects.open_files_max() - 500) // 2)
        before = subject.process.memory_bytes()
        load = self._wsload(scenario, subject, directory, ["--connections", str(count), "--duration", "60"])
        running.append(load)
        opened = int(load.wait_line("READY", 40))
        time.sleep(0.3)  # lets what the handshakes needed be given back; not a condition that can be asked for
        after = subject.process.memory_bytes()
        load.stop()
        errors = [] if opened == count else [f"only {opened} of {count} connections opened"]
        return {"operations": opened, "memory_bytes": (after - before) / max(opened, 1), "process_bytes": after,
                "errors": errors}


def run_table_bench(program, seconds):
    """What the micro-benchmark of the bucket table reports, as Google Benchmark writes it; None where it is not built."""
    if not os.access(program, os.X_OK):
        return None
    command = [program, "--benchmark_format=json", "--benchmark_filter=^take_one", "--benchmark_repetitions=3",
               f"--benchmark_min_time={seconds}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=600, check=False)
    if done.returncode != 0:
        raise Failure(f"table_bench ended with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}")
    return json.loads(done.stdout)["benchmarks"]
