"""A real S3 server for tests: moto's, in a process of its own, as the clients hold Python's lock while they wait for an answer.

It answers one request after the other, so that a conditional put is atomic, as it is in S3.
"""

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

SERVER = """
import sys, threading
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

inner, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

def app(environ, start_response):
    with one_at_a_time:
        return [b"".join(inner(environ, start_response))]

make_server("127.0.0.1", int(sys.argv[1]), app, threaded=True).serve_forever()
"""


@dataclass(frozen=True)
class ObjectStorage:
    """A running server.

    Attributes:
        environment: what its clients need.
        pid: of its process.
    """

    environment: Mapping[str, str]
    pid: int

    def new_bucket(self) -> str:
        """The address of an empty bucket."""
        name = f"t{secrets.token_hex(6)}"
        request = urllib.request.Request(f"{self.environment['AWS_ENDPOINT_URL']}/{name}", data=b"", method="PUT")  # noqa: S310
        with urllib.request.urlopen(request, timeout=10):  # noqa: S310
            return f"s3://{name}"

    @contextmanager
    def away(self) -> Iterator[None]:
        """Let it accept connections and answer nothing."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)


@contextmanager
def object_storage() -> Iterator[ObjectStorage]:
    """An S3 server that ends with the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(8),
        "AWS_REGION": "us-east-1",
    }
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(port)
        yield ObjectStorage(environment, server.pid)
    finally:
        server.kill()  # also one that was stopped; nothing of it is kept
        server.wait(60)


def _await(port: int) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 1):
                return
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
