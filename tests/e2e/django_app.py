"""A Django application with users and sessions in a database: login, logout, and the view that Weir asks.

Run as a program: `django_app.py FOLDER` serves on a free port and prints it. It ends when its standard input does.
"""

import sys
import threading
from pathlib import Path
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1", "example.test"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": Path(sys.argv[1]) / "db.sqlite3"}},
    DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
    INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "django.contrib.sessions"],
    MIDDLEWARE=[
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.contrib.auth.middleware.AuthenticationMiddleware",
    ],
    PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],  # fast, for a test
    ROOT_URLCONF=__name__,
    SECRET_KEY="a secret of the tests",
    USE_TZ=True,
)
django.setup()

from django.contrib.auth import authenticate, get_user_model, login, logout  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.http import HttpResponse, JsonResponse  # noqa: E402
from django.urls import path  # noqa: E402

asked = 0


def whoami(request):
    """What the manual shows, and a count of how often it was asked."""
    global asked
    asked += 1
    if not request.user.is_authenticated:
        return HttpResponse(status=401)
    return JsonResponse({"user": str(request.user.pk), "superuser": request.user.is_superuser})


def log_in(request):
    user = authenticate(request, username=request.GET["name"], password="password")
    login(request, user)
    return HttpResponse(str(user.pk))


def log_out(request):
    logout(request)
    return HttpResponse("bye")


def count(request):
    return HttpResponse(str(asked))


urlpatterns = [
    path("internal/whoami", whoami),
    path("login", log_in),
    path("logout", log_out),
    path("count", count),
    path("page", lambda request: HttpResponse(request.user.username or "nobody")),
]


class Quiet(WSGIRequestHandler):
    def log_message(self, *args):
        pass


if __name__ == "__main__":
    call_command("migrate", verbosity=0)
    users = get_user_model().objects
    users.create_user("alice", password="password")
    users.create_superuser("root", password="password")
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
