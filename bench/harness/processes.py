"""Starting, watching and ending the processes of a measurement.

Every process is pinned to one CPU, ended by its own pid and never by its name, and everything waits with a bound.
What a process costs is read from /proc: CPU time from each task's schedstat (nanoseconds; io_uring's kernel threads are
tasks of the process and so are counted), memory from smaps_rollup.
"""
import os
import signal
import socket
import subprocess
import threading
import time


class Failure(Exception):
    """A process did not start, did not answer, or answered wrongly; the text says which and why."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Process:
    """A child on one CPU. Its output goes to a file, whose end is quoted when it fails."""

    def __init__(self, name, command, cpu, directory):
        self.name = name
        self.log_path = os.path.join(directory, name + ".log")
        with open(self.log_path, "wb") as log:
            # Both programs become the command by exec, so its pid is ours to end; should we be killed, it is ended, too.
            prefix = ["setpriv", "--pdeathsig", "TERM", "taskset", "-c", str(cpu)]
            self.child = subprocess.Popen(prefix + command, stdin=subprocess.DEVNULL, stdout=log,
                                          stderr=subprocess.STDOUT, cwd=directory)
        self.pid = self.child.pid

    def output(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def failure(self, what):
        return Failure(f"{self.name}: {what}; its output ends with: {self.output()[-600:].strip() or '(nothing)'}")

    def wait_line(self, word, seconds):
        """The rest of the first line of output that begins with `word`."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for line in self.output().splitlines():
                if line.startswith(word + " "):
                    return line[len(word) + 1:].strip()
            if self.child.poll() is not None:
                raise self.failure(f"ended with {self.child.returncode}")
            time.sleep(0.005)
        raise self.failure(f"did not say {word} in {seconds} s")

    def wait_port(self, port, seconds=10):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.child.poll() is not None:
                raise self.failure(f"ended with {self.child.returncode}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.01)
        raise self.failure(f"did not listen on port {port} in {seconds} s")

    def wait_end(self, seconds):
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise self.failure(f"did not end in {seconds} s") from None

    def kill(self):
        family = [p for p in self.pids() if p != self.pid]
        self.child.kill()
        self.child.wait()
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass

    def stop(self, seconds=5):
        """SIGTERM, then SIGKILL when that is not obeyed. True when it ended by itself."""
        if self.child.poll() is not None:
            return True
        self.child.terminate()
        try:
            self.child.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            self.kill()
            return False

    def pids(self):
        """The process and its descendants: nginx works in a child of its master."""
        found, todo = [], [self.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            try:
                with open(f"/proc/{pid}/task/{pid}/children") as f:
                    todo += [int(p) for p in f.read().split()]
            except OSError:
                pass
        return found

    def memory_bytes(self):
        """Proportional set size: pages of its own, and its share of those it shares."""
        total = 0
        for pid in self.pids():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
            except OSError:
                pass
        return total * 1024


class CpuClock:
    """CPU time of a process and its descendants; a task that has ended keeps what it had used."""

    def __init__(self, process):
        self.process = process
        self.tasks = {}

    def read_ns(self):
        for pid in self.process.pids():
            try:
                for tid in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
                        self.tasks[tid] = int(f.read().split()[0])
            except OSError:
                pass
        return sum(self.tasks.values())


def machine_busy_ns(cpus):
    """Time that the given CPUs were not idle, whoever used them, stolen time included."""
    tick = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    busy = 0
    with open("/proc/stat") as f:
        for line in f:
            word = line.split()
            if word[0] in {f"cpu{c}" for c in cpus}:
                user, nice, system, _idle, _wait, irq, softirq, steal = map(int, word[1:9])
                busy += user + nice + system + irq + softirq + steal
    return busy * tick


class Sampler:
    """Reads clocks every few milliseconds in a thread, so that a window that wsload reports afterwards can be cut out."""

    PERIOD = 0.02

    def __init__(self, processes, cpus):
        self.clocks = {name: CpuClock(p) for name, p in processes.items()}
        self.cpus = cpus
        self.samples = []
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _take(self):
        sample = {name: clock.read_ns() for name, clock in self.clocks.items()}
        sample["machine"] = machine_busy_ns(self.cpus)
        sample["at"] = time.monotonic_ns()
        self.samples.append(sample)

    def _run(self):
        while not self.done.is_set():
            self._take()
            self.done.wait(self.PERIOD)

    def __enter__(self):
        self._take()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()
        self._take()

    def _value(self, name, at):
        earlier = self.samples[0]
        for sample in self.samples:
            if sample["at"] >= at:
                span = sample["at"] - earlier["at"]
                part = (at - earlier["at"]) / span if span > 0 else 0
                return earlier[name] + (sample[name] - earlier[name]) * max(part, 0)
            earlier = sample
        return self.samples[-1][name]

    def used_ns(self, name, from_ns, to_ns):
        return self._value(name, to_ns) - self._value(name, from_ns)
