"""Configurations that many tests share."""

SECRET = "a secret of at least thirty-two bytes"
TRUSTED = ["127.0.0.1/32"]


def fixed(rate, **more):
    """A limit with one rate for everybody that is known, counted in a plain window."""
    return {"authenticated": rate, "anonymous": rate, "algorithm": "fixed_window", **more}


def chat(messages=None, path="/ws/**", connect=None, **websocket):
    """A route for WebSockets: no limit on connecting unless asked for."""
    rules = {} if messages is None else {"messages": messages}
    if connect is not None:
        rules["connect"] = connect
    return {"name": "chat", "path": path, "upstream": "app", "websocket": {**rules, **websocket}}


def passing(path="/**", **http):
    """A route that proxies plain HTTP."""
    return {"name": "rest", "path": path, "upstream": "app", **({"http": http} if http else {})}


EVERY_MESSAGE = [{"limit": "WS_MESSAGE"}]
JWT = {"jwt": {"from": ["authorization", "query:token"], "secret": SECRET}}


def forwarded(address):
    """As a trusted proxy in front would name the client."""
    return ("X-Forwarded-For", address)


def bearer(token):
    return ("Authorization", f"Bearer {token}")
