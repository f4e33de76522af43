"""Online features: the newest snapshot's features by customer, for the service to look up.

A snapshot is immutable. Embedded it is one SQLite file, written beside and renamed, with a pointer file that is replaced
atomically; shared it is one Redis hash, with a pointer key. A reader sees the whole old snapshot or the whole new one.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec
import redis
import redis.asyncio

from churn_store.errors import ChurnError

KEPT_AFTER_REPLACEMENT_S = 3600
"""A replaced Redis snapshot lives on for requests that still read it, in seconds."""

BATCH = 5_000

FeatureRow = tuple[str, Sequence[float | str | None]]
"""A customer's id and its values in the order of ``Snapshot.columns``."""


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The description of a set of online features.

    Attributes:
        name: the period key, such as ``2026-01-01``; ``all`` where data has no time.
        snapshot_s: time T of the features, in epoch seconds; ``None`` where data has no time.
        columns: names of the values.
        rows: number of customers.
        digest: digest of all rows, so that the same features written twice are the same snapshot.
        written_s: time of writing by the platform's clock, in epoch seconds.
    """

    name: str
    snapshot_s: int | None
    columns: tuple[str, ...]
    rows: int
    digest: str
    written_s: int


class SnapshotLostError(ChurnError):
    """The snapshot that the pointer named no longer exists."""


class OnlineReader(Protocol):
    """Interface through which the service reads online features."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that a look-up which starts now reads."""

    async def refresh(self) -> Snapshot | None:
        """Follow the pointer, and return the snapshot of later look-ups; ``None`` before the first."""

    async def get(self, customer_ids: Sequence[str]) -> list[list[float | str | None] | None]:
        """Values for each id; ``None`` for a customer who is not in the snapshot.

        Raises:
            SnapshotLostError: if the snapshot itself is gone, so that nothing is known about any customer.
        """

    async def close(self) -> None:
        """Release the connection."""


def write_snapshot(
    url: str, *, name: str, snapshot_s: int | None, columns: Sequence[str], rows: Iterable[FeatureRow], now_s: int
) -> Snapshot:
    """Write a snapshot and let the pointer name it.

    Args:
        url: ``redis://...`` or a folder.
        name: key of the period.
        snapshot_s: time T of the snapshot, in epoch seconds.
        columns: names of the values.
        rows: customers, in a fixed order.
        now_s: time by the platform's clock, in epoch seconds.

    Returns:
        The description of the written snapshot.
    """
    encoded = [(customer_id, msgspec.msgpack.encode(list(values))) for customer_id, values in rows]
    digest = hashlib.sha256(repr((name, tuple(columns))).encode())
    for customer_id, blob in encoded:
        digest.update(customer_id.encode() + b"\0" + blob)
    snapshot = Snapshot(
        name=name,
        snapshot_s=snapshot_s,
        columns=tuple(columns),
        rows=len(encoded),
        digest=digest.hexdigest(),
        written_s=now_s,
    )
    if url.startswith(("redis://", "rediss://", "unix://")):
        _write_redis(url, snapshot, encoded)
    else:
        _write_folder(Path(url), snapshot, encoded)
    return snapshot


def open_reader(url: str) -> OnlineReader:
    """A reader for what ``write_snapshot`` wrote to the same address."""
    return RedisReader(url) if url.startswith(("redis://", "rediss://", "unix://")) else FolderReader(Path(url))


class FolderReader:
    """Looks up in the SQLite file that the pointer names; a look-up takes microseconds, so it does not leave the loop."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._snapshot: Snapshot | None = None
        self._connection: sqlite3.Connection | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that look-ups come from."""
        return self._snapshot

    async def refresh(self) -> Snapshot | None:
        """Follow the pointer."""
        try:
            pointed = msgspec.json.decode((self._folder / "current.json").read_bytes(), type=Snapshot)
        except FileNotFoundError:
            return self._snapshot
        if pointed != self._snapshot:
            file = _file(self._folder, pointed)
            if self._snapshot is None or file != _file(self._folder, self._snapshot):
                fresh = sqlite3.connect(f"file:{file}?mode=ro&immutable=1", uri=True, check_same_thread=False)
                fresh.execute("PRAGMA mmap_size=1073741824")
                former, self._connection = self._connection, fresh
                if former is not None:
                    former.close()
            self._snapshot = pointed
        return self._snapshot

    async def get(self, customer_ids: Sequence[str]) -> list[list[float | str | None] | None]:
        """Values for each id."""
        if self._connection is None:
            return [None] * len(customer_ids)
        found: list[list[float | str | None] | None] = []
        for customer_id in customer_ids:
            row = self._connection.execute("SELECT v FROM features WHERE id = ?", (customer_id,)).fetchone()
            found.append(None if row is None else msgspec.msgpack.decode(row[0]))
        return found

    async def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class RedisReader:
    """Looks up in the Redis hash that the pointer names; one round trip however many ids."""

    def __init__(self, url: str) -> None:
        self._redis: Any = redis.asyncio.Redis.from_url(url, socket_timeout=2.0, socket_connect_timeout=2.0)
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that look-ups come from."""
        return self._snapshot

    async def refresh(self) -> Snapshot | None:
        """Follow the pointer. A Redis that lost its pointer lost the features too: then there is no snapshot."""
        pointer = await self._redis.get(_POINTER)
        pointed = None if pointer is None else msgspec.json.decode(pointer, type=Snapshot)
        if pointed != self._snapshot:
            self._snapshot = pointed
        return self._snapshot

    async def get(self, customer_ids: Sequence[str]) -> list[list[float | str | None] | None]:
        """Values for each id."""
        if self._snapshot is None or not customer_ids:
            return [None] * len(customer_ids)
        snapshot = self._snapshot
        blobs = await self._redis.hmget(_hash(snapshot), list(customer_ids))
        if None in blobs and snapshot.rows and not await self._redis.exists(_hash(snapshot)):
            raise SnapshotLostError(f"Redis no longer holds the features of snapshot {snapshot.name}; write them again")
        return [None if blob is None else msgspec.msgpack.decode(blob) for blob in blobs]

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


_POINTER = "churn:online:current"


def _hash(snapshot: Snapshot) -> str:
    return f"churn:online:{snapshot.digest}"


def _file(folder: Path, snapshot: Snapshot) -> Path:
    return folder / f"features-{snapshot.digest[:24]}.sqlite"


def _write_redis(url: str, snapshot: Snapshot, rows: list[tuple[str, bytes]]) -> None:
    client: Any = redis.Redis.from_url(url, socket_timeout=30.0)
    try:
        former = client.get(_POINTER)
        key = _hash(snapshot)
        if client.hlen(key) != len(rows) or client.ttl(key) >= 0:  # else it is there, whole, and may be being read
            for start in range(0, len(rows), BATCH):
                client.hset(key, mapping=dict(rows[start : start + BATCH]))
                # Whoever dies here leaves a hash that goes away by itself; the pointer and its permanence come together.
                client.expire(key, KEPT_AFTER_REPLACEMENT_S)
        with client.pipeline(transaction=True) as together:
            together.persist(key)
            together.set(_POINTER, msgspec.json.encode(snapshot))
            together.execute()
        if former is not None:
            replaced = _hash(msgspec.json.decode(former, type=Snapshot))
            if replaced != key:
                client.expire(replaced, KEPT_AFTER_REPLACEMENT_S)
    finally:
        client.close()


def _write_folder(folder: Path, snapshot: Snapshot, rows: list[tuple[str, bytes]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    file = _file(folder, snapshot)
    if not file.exists():
        beside = folder / f".{file.name}.{os.getpid()}"
        beside.unlink(missing_ok=True)
        connection = sqlite3.connect(beside)
        try:
            connection.execute("PRAGMA journal_mode=OFF")
            connection.execute("CREATE TABLE features (id TEXT PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID")
            connection.executemany("INSERT INTO features VALUES (?, ?)", rows)
            connection.commit()
        finally:
            connection.close()
        beside.replace(file)
    pointer = folder / "current.json"
    former = pointer.read_bytes() if pointer.exists() else None
    beside = folder / f".current.json.{os.getpid()}"
    beside.write_bytes(msgspec.json.encode(snapshot))
    beside.replace(pointer)
    kept = {file}
    if former is not None:
        kept.add(_file(folder, msgspec.json.decode(former, type=Snapshot)))
    for old in folder.glob("features-*.sqlite"):
        if old not in kept:
            old.unlink()
