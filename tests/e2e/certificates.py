"""Certificates made by the openssl command, and servers and clients of TLS that are not ours (Python's ssl)."""

import socket
import ssl
import subprocess
import threading
from pathlib import Path

from wire import Stream, TIMEOUT, dial, read_response, request_bytes


def _openssl(*args):
    done = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"openssl {args}:\n{done.stderr}"


class Signed:
    def __init__(self, certificate, key):
        self.certificate, self.key = str(certificate), str(key)

    @property
    def pair(self):
        return {"certificate": self.certificate, "key": self.key}


class Authority:
    """Signs certificates into files of `folder`."""

    def __init__(self, folder, name="ca"):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.name, self._count = name, 0
        self._key = self.folder / f"{name}.key"
        self.file = str(self.folder / f"{name}.pem")
        new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
        _openssl("req", "-x509", *new_key, "-keyout", self._key, "-out", self.file, "-days", 30, "-subj", f"/CN={name}")

    def sign(self, *names, kind="ec"):
        """For `names` ("DNS:a.test", "IP:127.0.0.1"), with a key of its own."""
        self._count += 1
        stem = self.folder / f"{self.name}-{self._count}"
        certificate, key, request = f"{stem}.pem", f"{stem}.key", f"{stem}.csr"
        new_key = {"ec": ("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "rsa": ("rsa:2048",)}[kind]
        _openssl("req", "-new", "-newkey", *new_key, "-nodes", "-keyout", key, "-out", request, "-subj", f"/CN={stem.name}")
        extensions = Path(f"{stem}.ext")
        extensions.write_text(f"subjectAltName={','.join(names)}\n" if names else "")
        signer = ("-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-days", 30, "-extfile", extensions)
        _openssl("x509", "-req", "-in", request, "-out", certificate, *signer)
        return Signed(certificate, key)

    def client(self, version=None, certificate=None):
        """A context that trusts this authority alone."""
        context = ssl.create_default_context(cafile=self.file)
        context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # an end without close_notify is to be seen
        if version is not None:
            context.minimum_version = context.maximum_version = version
        if certificate is not None:
            context.load_cert_chain(certificate.certificate, certificate.key)
        return context

    def server(self, signed, client_certificates=False):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed.certificate, signed.key)
        if client_certificates:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.file)
        return context


def dial_tls(address, context, name="weir.test", session=None):
    """A Stream on a TLS socket that reports an end without close_notify as an error."""
    plain = dial(address)
    return Stream(context.wrap_socket(plain, server_hostname=name, suppress_ragged_eofs=False, session=session))


def https(address, context, target="/", name="weir.test", method="GET", headers=(), body=b""):
    stream = dial_tls(address, context, name)
    try:
        stream.send(request_bytes(target, method, (*headers, ("Connection", "close")), body))
        return read_response(stream, method)
    finally:
        stream.close()


def names_served(address, context, name):
    """The names of the certificate that a client gets which asks for `name`."""
    stream = dial_tls(address, context, name)
    try:
        return [value for _, value in stream.sock.getpeercert()["subjectAltName"]]
    finally:
        stream.close()


class RawTlsServer:
    """Takes one connection after the other; `serve` gets each as a TLS socket and says how it ends."""

    def __init__(self, context, serve):
        self._context, self._serve = context, serve
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.url = f"https://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        while True:
            try:
                plain, _ = self._socket.accept()
            except OSError:
                return
            plain.settimeout(TIMEOUT)
            try:
                with self._context.wrap_socket(plain, server_side=True) as stream:
                    self._serve(stream)
            except OSError:
                plain.close()

    def close(self):
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(TIMEOUT)
