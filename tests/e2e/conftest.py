"""Fixtures. Every test that takes `weir` runs once on each reactor; a gateway that ends badly fails its test."""

import ctypes
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from backends import GraphqlBackend, HttpBackend, NodeBackend, WebsocketBackend  # noqa: E402
from gateway import Gateway, PROGRAM  # noqa: E402
from wire import RawBackend  # noqa: E402


def _io_uring_works():
    """True when the kernel (or a sandbox around us) lets a process make a ring."""
    libc = ctypes.CDLL(None, use_errno=True)
    params = (ctypes.c_char * 120)()
    descriptor = libc.syscall(425, 4, params)
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True


REACTORS = [
    "epoll",
    pytest.param(
        "io_uring", marks=pytest.mark.skipif(not _io_uring_works(), reason="the kernel refuses io_uring here")
    ),
]


def pytest_sessionstart(session):
    if not PROGRAM.exists():
        raise pytest.UsageError(f"{PROGRAM} is not built; WEIR names another program")


@pytest.fixture(params=REACTORS)
def reactor(request):
    return request.param


@pytest.fixture
def weir(reactor, tmp_path):
    """start(upstream, routes, **configuration) -> a running Gateway on the reactor of this run."""
    started = []

    def start(upstream=None, routes=None, env=None, wait=True, **config):
        if upstream is not None:
            url = upstream if isinstance(upstream, (str, list)) else upstream.url
            config.setdefault("upstreams", {"app": url})
        if routes is not None:
            config["routes"] = routes
        config.setdefault("reactor", reactor)
        config.setdefault("workers", 1)
        timeouts = {"drain": "1s", **config.pop("timeouts", {})}
        gateway = Gateway(tmp_path / f"gateway-{len(started)}", {**config, "timeouts": timeouts}, env, wait)
        started.append(gateway)
        return gateway

    yield start
    failures = []
    for gateway in started:
        try:
            gateway.stop()
        except AssertionError as failure:
            failures.append(str(failure))
    assert not failures, "\n".join(failures)


def _closing(make):
    @pytest.fixture
    def fixture():
        made = make()
        yield made
        made.close()

    return fixture


raw_backend = _closing(RawBackend)
raw_unix_backend = _closing(lambda: RawBackend(unix=True))
ws_backend = _closing(WebsocketBackend)
http_backend = _closing(HttpBackend)
unix_http_backend = _closing(lambda: HttpBackend(unix=True))


def _of_node(make):
    @pytest.fixture
    def fixture():
        backend = make()
        yield backend
        if backend.process.poll() is None:
            backend.close()

    return fixture


node_backend = _of_node(NodeBackend)
graphql_backend = _of_node(GraphqlBackend)
