"""The pages of the manual as tests read them: their blocks of code, and a shell that does what a page says.

A fence says its language and, after it, the name of the file that a reader saves it as (```yaml weir.yaml). In ```sh are commands, each of
which succeeds; in ```console commands behind "$ ", with what they print below. A command that ends with "&" is a server, and so are
`weir serve` and `weir demo`: it runs until the page ends.
"""

import json
import os
import re
import socket
import subprocess
from dataclasses import dataclass

import yaml

from gateway import PROGRAM, ROOT, clean_environment, free_port
from wire import wait_until

# What the pages call an application, the gateway, the admin address and so on; each run has ports of its own.
PORTS = ["4000", "6379", "8000", "8080", "8081", "8082", "8090", "8091", "8443", "9180", "9181", "9182"]
PORT = re.compile(rf"(?<![\d.-])({'|'.join(PORTS)})(?![\d.])")
ADMIN_COMMAND = re.compile(r"(build/)?weir (status|reset|block|unblock|override|connections|top|reload|drain)\b")
GIVEN = r"(?:\w+=\S+ )*"  # variables before a command
SERVER = re.compile(rf".*[^&]&$|{GIVEN}(build/)?weir (serve|demo)\b(?!.*--help)")
COMMAND_SECONDS = 30

# Numbers that depend on the moment.
VOLATILE = [
    (r'("(?:retry_after|reset_after|expires_in|blocked_for|seconds)": ?)[\d.]+', r"\1N"),
    (r"((?:X-RateLimit-Reset|Retry-After): )\d+", r"\1N"),
    (r"\bt=\d+", "t=N"),
    (r"((?:Wait|Blocked for) )\d+( seconds)", r"\1N\2"),
    (r"(?m)^([Dd]ate: ).*", r"\1D"),
    (r'"time":"[^"]*"', '"time":"T"'),
]


WEIRS_KEYS = set(json.loads((ROOT / "docs/reference/weir.schema.json").read_text())["properties"])

# What a page means by weir.yaml that shows none.
SOME_CONFIGURATION = {
    "listen": "127.0.0.1:8080", "admin": "127.0.0.1:9180", "upstreams": {"app": "http://127.0.0.1:8000"},
    "routes": [{"name": "chat", "path": "/ws/**", "websocket": {"connect": "WS_CONNECT", "messages": [{"limit": "WS_MESSAGE"}]}},
               {"name": "everything-else", "path": "/**", "http": {"limit": "READ_LIGHT"}}],
}


@dataclass
class Block:
    language: str
    name: str
    text: str
    line: int


def pages():
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def page_id(page):
    name = str(page.relative_to(ROOT))
    return name if name.endswith("README.md") else name.removeprefix("docs/")


def blocks(page):
    """Every fenced block, those in lists too."""
    found, opened = [], None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = re.match(r"( *)```(\S*) *(\S*)$", line)
        if opened is None and fence:
            opened = (len(fence[1]), Block(fence[2], fence[3], "", number))
        elif opened and line.strip() == "```":
            found.append(opened[1])
            opened = None
        elif opened:
            opened[1].text += line[min(opened[0], len(line) - len(line.lstrip())):] + "\n"
    assert opened is None, f"{page}: a block does not end"
    return found


def is_weirs(block):
    """True of a configuration of Weir, or a part of one. What has another name, or no key of Weir's on top, is of another program."""
    if block.language != "yaml" or (block.name and not block.name.startswith("weir")):
        return False
    return bool(block.name) or any(key in WEIRS_KEYS for key in re.findall(r"(?m)^(\w+):", block.text))


def configurations():
    """(id, block) of each configuration, or part of one, in the manual."""
    for page in pages():
        for number, block in enumerate(filter(is_weirs, blocks(page)), 1):
            yield f"{page_id(page)}-{number}", block


@dataclass
class Command:
    text: str
    output: str | None  # what the page shows; None: nothing is shown, and the command succeeds
    line: int


def commands(block):
    if block.language == "sh":
        joined = block.text.replace("\\\n", " ")
        return [Command(line.strip(), None, block.line) for line in joined.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    found = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append(Command(line[2:], "", block.line))
        elif line.startswith("> ") and found and found[-1].output == "":
            found[-1].text += "\n" + line[2:]
        else:
            assert found, f"line {block.line}: output without a command"
            found[-1].output += line + "\n"
    return found


def without_remark(text):
    return re.sub(r"\s+# .*$", "", text).strip()


class Walk:
    """A folder and a shell in which one page is followed from its top."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = {port: str(free_port()) for port in PORTS}
        self.servers = []  # (pid, command)
        self.gateway_runs = False
        tools = folder / ".tools"
        tools.mkdir()
        (folder / "build").mkdir()
        for place in (tools / "weir", folder / "build/weir"):
            place.symlink_to(PROGRAM)
        (tools / "python3").symlink_to("/usr/bin/python3")
        (tools / "redis-cli").write_text(f'#!/bin/sh\nexec /usr/bin/redis-cli --no-raw -p {self.ports["6379"]} "$@"\n')
        (tools / "redis-cli").chmod(0o755)
        (folder / "examples").symlink_to(ROOT / "examples")
        (folder / "node_modules").symlink_to(ROOT / "tests/e2e/node_modules")
        (folder / "weir.yaml").write_text(self.local(yaml.safe_dump(SOME_CONFIGURATION)))
        environment = clean_environment(PATH=f"{tools}:{os.environ['PATH']}:/usr/sbin", PYTHONDONTWRITEBYTECODE="1")
        self.shell = subprocess.Popen(
            ["bash", "--noprofile", "--norc"], cwd=folder, env=environment, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )

    def local(self, text):
        return PORT.sub(lambda match: self.ports[match[1]], text)

    def as_shown(self, text):
        for shown, port in self.ports.items():
            text = re.sub(rf"(?<!\d){port}(?!\d)", shown, text)
        return text

    def save(self, block):
        (self.folder / block.name).write_text(self.local(block.text))

    def _ask(self, script, marker="=done="):
        self.shell.stdin.write(f"{script}\necho {marker} $?\n")
        self.shell.stdin.flush()
        said = []
        for line in self.shell.stdout:
            if line.startswith(marker):
                return int(line.split()[1]), said
            said.append(line)
        raise AssertionError(f"the shell ended: {''.join(said)}")

    def run(self, text):
        """(exit code, standard output, both outputs)"""
        out, err = self.folder / ".out", self.folder / ".err"
        self.shell.stdin.write(f"ulimit -t {COMMAND_SECONDS}\n")
        code, _ = self._ask(f"{{ {self.local(text)}\n}} >{out} 2>{err} </dev/null")
        said = out.read_text(errors="replace")
        return code, self.as_shown(said), self.as_shown(said + err.read_text(errors="replace"))

    def serve(self, text):
        """Starts a server and waits until it listens where its command or its configuration says."""
        text = self.local(without_remark(text).rstrip("& "))
        log = self.folder / f".server-{len(self.servers)}.log"
        elsewhere = re.search(r"\s2> ?(\S+)$", text)
        if elsewhere:
            text, log = text[: elsewhere.start()], self.folder / elsewhere[1]
        log.touch()
        _, said = self._ask(f"{text} >{log} 2>&1 </dev/null & echo $!")
        pid = int(said[-1])
        self.servers.append((pid, text))
        if re.match(rf"{GIVEN}(build/)?weir ", text):
            self.gateway_runs = True
            wait_until(lambda: '"listening"' in log.read_text() or "Weir demo:" in log.read_text() or self._gone(pid), text, 20)
        else:
            port = self._port_of(text)
            wait_until(lambda: accepts(port) or self._gone(pid), text, 20)
        assert not self._gone(pid), f"{text}\n{log.read_text()}"

    def _port_of(self, text):
        """Where a server listens: its command says so, or a file that the command names."""
        files = [self.folder / word for word in text.split() if (self.folder / word).is_file() and word not in ("examples/echo.py",)]
        for said in [text, *(file.read_text() for file in files)]:
            for port in re.findall(r"\blisten\S*\s*\S*?(\d{5})", said) or re.findall(r"\b\d{5}\b", said):
                if port in self.ports.values():
                    return port
        raise AssertionError(f"{text}: listens on none of the ports of PORTS")

    def asks_nobody(self, text):
        """Whether a command speaks to the gateway or its admin address on a page that has started none."""
        return not self.gateway_runs and re.search(r":(8080|9180)\b", text) is not None

    def need_gateway(self):
        """For a page that speaks of a gateway which it has not started."""
        if self.gateway_runs and not any(self._gone(pid) for pid, text in self.servers if "weir serve" in text):
            return
        if not accepts(self.ports["8000"]):
            self.serve("python3 examples/echo.py 8000 &")
        self.serve("weir serve --config weir.yaml")
        self.run("export WEIR_ADMIN=127.0.0.1:9180")

    @staticmethod
    def _gone(pid):
        try:
            with open(f"/proc/{pid}/stat") as stat:
                return stat.read().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):  # it may go between opening and reading
            return True

    def end(self):
        """Servers end in the order that lets a gateway drain before its backend goes."""
        for pid, _ in reversed(self.servers):
            if not self._gone(pid):
                os.kill(pid, 15)
                wait_until(lambda: self._gone(pid), "a server of the page ends", 20)
        self.shell.stdin.close()
        self.shell.wait(10)


def accepts(port):
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", int(port))) == 0


def normalised(text):
    for pattern, put in VOLATILE:
        text = re.sub(pattern, put, text)
    return text.strip()


def matches(shown, printed):
    """True when `printed` is what the page shows; "..." stands for whatever, within a line or for lines."""
    pattern = ""
    for line in normalised(shown).splitlines():
        pattern += r"(?:.*\n)*?" if line.strip() == "..." else ".*?".join(re.escape(part) for part in line.rstrip().split("...")) + "\n"
    printed = "".join(line.rstrip() + "\n" for line in normalised(printed).splitlines())
    return re.fullmatch(pattern, printed) is not None
