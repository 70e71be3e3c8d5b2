"""What is compared: Weir on each reactor, nginx, HAProxy, proxies that look at nothing, and no proxy at all.

Each gets one worker and a configuration that a careful operator would write. Where a default would hold a peer back in
a scenario (nginx's 1 KiB and 4 KiB tunnel buffers under 64 KiB messages, for one), the peer gets the better value; memory
of idle connections is measured with the defaults of its Debian package.
"""
import ctypes
import os
import resource
import shutil
import socket

from .processes import Failure, Process, free_port

ALL = ["direct", "floor-copy", "floor-splice", "floor-uring", "nginx", "haproxy", "weir-epoll", "weir-io_uring"]

# So high that nothing is denied, and yet every event is counted.
NEVER = "100000000/s"


def open_files_max():
    """The bound of open files that the proxies can have, raised as far as we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for wanted in ((60_000, max(hard, 60_000)), (hard, hard)):
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, wanted)
            return wanted[0]
        except (ValueError, OSError):
            continue
    return soft


def io_uring_works():
    """Many containers and some kernels refuse io_uring_setup(2); its number is 425 on every architecture we know."""
    parameters = ctypes.create_string_buffer(120)
    fd = ctypes.CDLL(None, use_errno=True).syscall(425, 2, parameters)
    if fd < 0:
        return False
    os.close(fd)
    return True


def nginx_config(port, upstream, scenario, directory):
    # Through an upgraded connection nginx reads clients into client_header_buffer_size and backends into
    # proxy_buffer_size: these two decide how many system calls a batch or a large message takes.
    buffers = ""
    if scenario.proxy_buffer:
        buffers = f"client_header_buffer_size {scenario.proxy_buffer}; proxy_buffer_size {scenario.proxy_buffer};\n" \
                  f"    proxy_buffers 8 {scenario.proxy_buffer}; proxy_busy_buffers_size {2 * scenario.proxy_buffer};"
    temporary = "\n    ".join(f"{what}_temp_path {directory}/{what};"
                              for what in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    user = "user root;" if os.getuid() == 0 else ""
    return f"""{user}
worker_processes 1;
daemon off;
pid {directory}/nginx.pid;
error_log stderr error;
worker_rlimit_nofile {open_files_max()};
events {{ worker_connections 20000; }}
http {{
    access_log off;
    {temporary}
    {buffers}
    # Without these two, nginx would close a busy keep-alive connection after its thousandth request.
    keepalive_requests 1000000000;
    upstream app {{ server 127.0.0.1:{upstream}; keepalive 64; keepalive_requests 1000000000; }}
    # A WebSocket needs "Connection: upgrade"; for a plain request an empty one keeps the backend connection open.
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port} backlog=16384;
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_read_timeout 1h;
            proxy_send_timeout 1h;
        }}
    }}
}}
"""


def haproxy_config(port, upstream, scenario):
    buffers = f"tune.bufsize {scenario.proxy_buffer}" if scenario.proxy_buffer else ""
    # Two descriptors a connection, and some for itself.
    connections = min(20_000, (open_files_max() - 200) // 2)
    return f"""global
    nbthread 1
    maxconn {connections}
    {buffers}
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout tunnel 1h
    option forwardfor
frontend front
    bind 127.0.0.1:{port} backlog 16384
    maxconn {connections}
    http-request set-header X-Forwarded-Proto http
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
    default_backend app
backend app
    server echo 127.0.0.1:{upstream}
"""


def weir_config(port, admin, upstream, reactor, scenario):
    connect = "1/h" if scenario.weir_rules == "refuse" else NEVER
    messages = "        - limit: WS_MESSAGE"
    if scenario.weir_rules == "json":
        messages = "        - when: {json: {has: query}}\n          limit: [WS_AI_QUERY, WS_MESSAGE]\n" + messages
    door = "    http: {limit: READ_LIGHT}"
    if scenario.weir_rules == "graphql":
        door = "    graphql: {query: READ_LIGHT, fields: {Query.search*: READ_HEAVY, Query.me: READ_LIGHT}}"
    return f"""listen: 127.0.0.1:{port}
admin: 127.0.0.1:{admin}
upstreams: {{app: http://127.0.0.1:{upstream}}}
limits:
  WS_CONNECT: {{authenticated: {connect}, anonymous: {connect}}}
  WS_MESSAGE: {{authenticated: {NEVER}, anonymous: {NEVER}}}
  WS_AI_QUERY: {{authenticated: {NEVER}, anonymous: {NEVER}}}
  READ_LIGHT: {{authenticated: {NEVER}, anonymous: {NEVER}}}
routes:
  - name: everything
    path: /**
    upstream: app
    websocket:
      connect: WS_CONNECT
      messages:
{messages}
{door}
timeouts: {{drain: 1s}}
log: {{level: warning, format: text}}
workers: 1
reactor: {reactor}
"""


class Subject:
    """One running proxy: `port` is where clients connect. The process is None when there is no proxy."""

    def __init__(self, process, port, admin=None):
        self.process, self.port, self.admin = process, port, admin

    def stop(self):
        return self.process.stop() if self.process else True

    def decisions(self, limit):
        """How many events Weir says that it allowed under a limit."""
        with socket.create_connection(("127.0.0.1", self.admin), timeout=5) as s:
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            text = b""
            while chunk := s.recv(65536):
                text += chunk
        total = 0
        for line in text.decode(errors="replace").splitlines():
            if line.startswith("weir_decisions_total{") and 'outcome="allowed"' in line and \
                    f'limit="{limit.lower()}"' in line.lower():
                total += float(line.rsplit(" ", 1)[1])
        return total


class Factory:
    """Starts subjects. `tools` is where wsload and its kin lie."""

    def __init__(self, tools, weir, cpu):
        self.tools, self.weir, self.cpu = tools, weir, cpu

    def missing(self, name):
        """Why this subject can't run here, or None."""
        program = {"nginx": "nginx", "haproxy": "haproxy"}.get(name)
        if program and not self._program(program):
            return f"{program} is not installed (tools/install bench)"
        if name.startswith("weir") and not os.access(self.weir, os.X_OK):
            return f"{self.weir} does not exist"
        if name.endswith("uring") and not io_uring_works():
            return "this kernel or container refuses io_uring"
        return None

    @staticmethod
    def _program(name):
        return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

    def start(self, name, upstream, scenario, directory):
        for attempt in range(3):
            try:
                return self._start(name, upstream, scenario, directory)
            except Failure as failure:
                # Somebody may have taken the port between our look and the proxy's bind.
                if attempt == 2 or "ddress already in use" not in str(failure):
                    raise

    def _start(self, name, upstream, scenario, directory):
        if name == "direct":
            return Subject(None, upstream)
        if name.startswith("floor"):
            return self._start_floor(name, upstream, scenario, directory)
        port, admin = free_port(), None
        path = os.path.join(directory, name + ".conf")
        if name == "nginx":
            text = nginx_config(port, upstream, scenario, directory)
            command = [self._program("nginx"), "-e", "stderr", "-p", directory, "-c", path]
        elif name == "haproxy":
            text = haproxy_config(port, upstream, scenario)
            command = [self._program("haproxy"), "-db", "-f", path]
        else:
            admin = free_port()
            text = weir_config(port, admin, upstream, name.removeprefix("weir-"), scenario)
            command = [self.weir, "serve", "--config", path]
        with open(path, "w") as f:
            f.write(text)
        process = Process(name, command, self.cpu, directory)
        try:
            process.wait_port(port)
        except BaseException:
            process.stop()
            raise
        return Subject(process, port, admin)

    def _start_floor(self, name, upstream, scenario, directory):
        kind = name.removeprefix("floor-")
        if kind == "uring":
            # io_uring needs buffers as large as the messages: 4 KiB ones make 64 KiB messages several times dearer.
            size = ["--buffer-size", "65536", "--buffers", "256"] if scenario.large else []
            command = [os.path.join(self.tools, "floor_uring"), "--upstream-port", str(upstream)] + size
        else:
            command = [os.path.join(self.tools, "floor_epoll"), "--upstream-port", str(upstream), "--mode", kind]
        process = Process(name, command, self.cpu, directory)
        try:
            return Subject(process, int(process.wait_line("LISTENING", 10)))
        except BaseException:
            process.stop()
            raise
