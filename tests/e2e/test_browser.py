"""In a real browser: the demo's page, and compression as Chromium does it."""

import json
import re
import shutil
import signal
import subprocess

import pytest

from backends import node
from common import chat, fixed, passing
from gateway import BAD_SIGNS, PROGRAM, clean_environment, run
from wire import WsClient, http

CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"


@pytest.fixture
def demo(tmp_path):
    """`weir demo` on a free port; the port."""
    log = open(tmp_path / "demo.log", "wb")
    process = subprocess.Popen(
        [str(PROGRAM), "demo"], stdout=subprocess.PIPE, stderr=log, text=True, env=clean_environment()
    )
    line = process.stdout.readline()
    found = re.fullmatch(r"Weir demo: http://127\.0\.0\.1:(\d+)/\n", line)
    assert found, line
    yield int(found[1])
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(15) == 0
    finally:
        process.kill()
        log.close()
    said = (tmp_path / "demo.log").read_text(errors="replace")
    assert not BAD_SIGNS.search(said), said


def test_the_demo_shows_limits_at_work_in_a_browser(demo):
    seen = node("browser.mjs", "demo", f"http://127.0.0.1:{demo}/", timeout=120)
    assert seen["problems"] == []
    # Asking costs one of twenty, each message one more.
    assert (seen["limit"], seen["atFirst"], seen["afterOne"], seen["afterTwo"], seen["asked"]) == (20, 19, 18, 17, 16)
    assert "typed by hand" in seen["echo"]
    assert (seen["echoed"], seen["denied"], seen["afterThirty"]) == (2 + 16, 14, 0)
    assert '"RATE_LIMITED"' in seen["answer"]
    # Of ten connects two were asked for and one was the page's own; the WebSocket was open before the twelve.
    assert (seen["opened"], seen["refused"]) == (1 + 7, 5)
    assert 'closed: code 4029, reason "Rate limit exceeded: 10/minute"' in seen["close"]
    assert seen["state"] == "connected"  # and it stays open
    assert max(seen["overflow"]) <= 0
    light, dark = seen["colours"][0], seen["colours"][1]
    assert light != dark and light[0] != light[1] and dark[0] != dark[1]
    assert seen["unnamed"] == 0
    assert all(url.startswith((f"http://127.0.0.1:{demo}/", "data:")) for url in seen["requests"])


def test_the_demo_needs_no_browser_to_be_understood(demo):
    page = http(demo, "/")
    assert page.status == 200 and page.headers["Content-Type"].startswith("text/html")
    assert http(demo, "/budget/messages").headers["X-RateLimit-Remaining"] == "19"
    client = WsClient(demo, "/ws/chat")
    assert client.receive_json() == {"type": "hello"}
    client.send("hello")
    assert client.receive_json() == {"type": "chat", "n": 1, "text": "hello"}
    client.end()


def test_the_demo_says_when_its_port_is_taken(demo):
    done = run("demo", "--port", demo)
    assert done.returncode == 1 and str(demo) in done.stderr


@pytest.mark.parametrize("backend", ["python", "npm"])
def test_chromium_keeps_its_compression_across_drops(weir, http_backend, ws_backend, node_backend, backend):
    server = ws_backend if backend == "python" else node_backend
    rules = [{"when": {"json": {"has": "ai"}}, "limit": "WS_AI_QUERY"}, {"limit": "none"}]
    gateway = weir(
        upstreams={"app": server.url, "pages": http_backend.url},
        routes=[chat(rules), {**passing(), "upstream": "pages"}],
        limits={"WS_AI_QUERY": fixed("3/h")},
    )
    address = f"127.0.0.1:{gateway.port}"
    seen = node("browser.mjs", "compression", f"http://{address}/", f"ws://{address}/ws/", timeout=120)
    assert "permessage-deflate" in seen["extensions"]
    answers = [json.loads(answer) for answer in seen["answers"]]
    assert [answer["n"] for answer in answers if "n" in answer] == list(range(0, 20, 2))
    assert [answer["ai"] for answer in answers if "ai" in answer] == [1, 3, 5]
    assert sum(answer.get("type") == "RATE_LIMITED" for answer in answers) == 7
    assert (seen["code"], seen["reason"]) == (3000, "done")
    if backend == "python":
        assert len(ws_backend.messages) == 13


def test_a_browser_is_here():
    assert shutil.which(CHROMIUM), "the package chromium is in tools/packages.txt"
