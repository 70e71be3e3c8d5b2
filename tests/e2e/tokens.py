"""JSON Web Tokens made by hand: HS256 with hmac, the others with the openssl command."""

import base64
import hashlib
import hmac
import json
import subprocess
import time


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signing_input(algorithm, claims, header=None):
    head = {"alg": algorithm, "typ": "JWT", **(header or {})}
    return f"{b64(json.dumps(head).encode())}.{b64(json.dumps(claims).encode())}"


def hs256(secret, claims, **header):
    text = signing_input("HS256", claims, header)
    return f"{text}.{b64(hmac.new(secret.encode(), text.encode(), hashlib.sha256).digest())}"


def user_token(secret, user, **claims):
    return hs256(secret, {"sub": user, "exp": int(time.time()) + 3600, **claims})


def _openssl(*args, data=b""):
    return subprocess.run(["openssl", *args], input=data, capture_output=True, check=True).stdout


class Key:
    """A private key in a file of `folder`, and its public half as PEM."""

    OPTIONS = {
        "RS256": ("genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"),
        "ES256": ("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"),
        "EdDSA": ("genpkey", "-algorithm", "ED25519"),
    }

    def __init__(self, algorithm, folder):
        self.algorithm = algorithm
        self.private = str(folder / f"{algorithm}.key")
        self.public = str(folder / f"{algorithm}.pem")
        self.folder = folder
        _openssl(*self.OPTIONS[algorithm], "-out", self.private)
        _openssl("pkey", "-in", self.private, "-pubout", "-out", self.public)

    def sign(self, claims, **header):
        text = signing_input(self.algorithm, claims, header)
        if self.algorithm == "EdDSA":
            # Ed25519 signs the message itself, which openssl takes from a file only.
            path = self.folder / "to-sign"
            path.write_bytes(text.encode())
            signature = _openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.private, "-in", str(path))
        else:
            signature = _openssl("dgst", "-sha256", "-sign", self.private, data=text.encode())
        if self.algorithm == "ES256":
            signature = _der_to_raw(signature)
        return f"{text}.{b64(signature)}"


def _der_to_raw(der):
    """SEQUENCE { INTEGER r, INTEGER s } as the 64 bytes that JOSE wants."""
    assert der[0] == 0x30
    numbers, at = [], 2
    for _ in range(2):
        assert der[at] == 0x02
        size = der[at + 1]
        numbers.append(int.from_bytes(der[at + 2 : at + 2 + size], "big"))
        at += 2 + size
    return b"".join(number.to_bytes(32, "big") for number in numbers)
