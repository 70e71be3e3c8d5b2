"""`identity.lookup` before a real Django application with sessions in its database."""

import subprocess
import sys
from pathlib import Path

import pytest

from wire import http, wait_until

pytest.importorskip("django")

LIMITS = {"PAGES": {"anonymous": "10001/h", "authenticated": "10002/h", "superuser": "10003/h", "algorithm": "fixed_window"}}
TIERS = {"10001": "anonymous", "10002": "authenticated", "10003": "superuser"}


@pytest.fixture
def django_app(tmp_path):
    """The port of the application."""
    program = Path(__file__).resolve().parent / "django_app.py"
    process = subprocess.Popen(
        [sys.executable, str(program), str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    yield int(process.stdout.readline())
    process.communicate(timeout=20)
    assert process.returncode == 0


def test_a_django_session_is_known_from_login_to_logout(weir, django_app):
    upstream = f"http://127.0.0.1:{django_app}"
    gateway = weir(
        upstream,
        [
            {"name": "doors", "path": "/login", "upstream": "app"},
            {"name": "pages", "path": "/**", "upstream": "app", "http": {"limit": "PAGES"}},
        ],
        limits=LIMITS,
        identity={"lookup": {"url": f"{upstream}/internal/whoami", "forward": ["cookie:sessionid"], "cache": "1s"}},
    )

    def log_in(name):
        answer = gateway.get(f"/login?name={name}")
        assert answer.status == 200, answer
        return ("Cookie", answer.headers["Set-Cookie"].split(";")[0])

    def page(*headers):
        answer = gateway.get("/page", headers=headers)
        assert answer.status == 200, answer
        return answer.body.decode(), TIERS[answer.headers["X-RateLimit-Limit"]], int(answer.headers["X-RateLimit-Remaining"])

    def asked():
        return int(http(django_app, "/count").body)

    assert page()[:2] == ("nobody", "anonymous")
    assert asked() == 0
    alice, root = log_in("alice"), log_in("root")
    assert page(alice)[:2] == ("alice", "authenticated")
    assert page(root)[:2] == ("root", "superuser")
    # Another session of the same user shares the user's budget.
    left = page(alice)[2]
    again = log_in("alice")
    assert again != alice
    assert page(again) == ("alice", "authenticated", left - 1)
    assert page(("Cookie", "sessionid=invented"))[:2] == ("nobody", "anonymous")

    assert http(django_app, "/logout", headers=[alice]).status == 200
    wait_until(lambda: page(alice)[:2] == ("nobody", "anonymous"), "the logout is noticed", 4)
    assert page(again)[:2] == ("alice", "authenticated")
