"""Online features: the newest snapshot's features by customer, for the service to look up.

A snapshot is immutable. Embedded it is one SQLite file, written beside and renamed, with a pointer file that is replaced
atomically; shared it is one Redis hash, with a pointer key. A reader sees the whole old snapshot or the whole new one.
"""

import asyncio
import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import quote

import msgspec

from churn_store.errors import ChurnError, UnsafeFileError
from churn_store.safe_read import MEBIBYTE, open_regular, read_regular

KEPT_AFTER_REPLACEMENT_S = 3600
"""A replaced Redis snapshot lives on for requests that still read it, in seconds."""

BATCH = 5_000

LARGEST_POINTER: Final = MEBIBYTE
"""Largest ``current.json``; it names at most some thousand columns."""

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
    """Interface through which the service reads online features.

    Attributes:
        kept_in: ``file`` or ``redis``.
    """

    kept_in: str

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

    def forget(self) -> None:
        """Let the next ``refresh`` read everything anew; until then look-ups go on as they are."""

    async def size(self) -> int | None:
        """Bytes of what look-ups read; ``None`` if that can't be told."""

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
    encoded = _encoded(rows)
    snapshot = Snapshot(
        name=name,
        snapshot_s=snapshot_s,
        columns=tuple(columns),
        rows=len(encoded),
        digest=_digest(name, columns, encoded),
        written_s=now_s,
    )
    if url.startswith(("redis://", "rediss://", "unix://")):
        _write_redis(url, snapshot, encoded)
    else:
        _write_folder(Path(url), snapshot, encoded)
    return snapshot


def digest_of_rows(name: str, columns: Sequence[str], rows: Iterable[FeatureRow]) -> str:
    """The digest that a snapshot of these rows has, without writing it."""
    return _digest(name, columns, _encoded(rows))


def open_reader(url: str, *, copies: Path | None = None) -> OnlineReader:
    """A reader for what ``write_snapshot`` wrote to the same address.

    Args:
        url: ``redis://...`` or a folder.
        copies: folder for copies of the files that are read; ``None`` to read them where they are.
    """
    if url.startswith(("redis://", "rediss://", "unix://")):
        return RedisReader(url)
    return FolderReader(Path(url), copies)


CACHE_KIB: Final = 16 * 1024
"""Memory for pages that were read, which costs a look-up less than the kernel's; the features of some 80,000 customers fit in."""


async def newest_snapshot(url: str) -> Snapshot | None:
    """What the service looks up now; ``None`` before the first.

    Args:
        url: ``redis://...`` or a folder.
    """
    reader = open_reader(url)
    try:
        return await reader.refresh()
    finally:
        await reader.close()


class FolderReader:
    """Looks up in the SQLite file that the pointer names; a look-up takes microseconds, so it does not leave the loop.

    Others may write to the folder: a pipe in place of a file, or a file that is shortened while it is read. So files are opened and
    copied in a thread, and look-ups read the copy, and not through mapped memory, in which a lost page would end the process.

    Args:
        folder: folder that ``write_snapshot`` wrote to.
        copies: folder for copies that nobody else writes to; ``None`` to read in place.
    """

    kept_in = "file"

    def __init__(self, folder: Path, copies: Path | None = None) -> None:
        self._folder = folder
        self._copies = copies
        self._snapshot: Snapshot | None = None
        self._connection: sqlite3.Connection | None = None
        self._file: Path | None = None
        self._is_forgotten = False
        self._opening: asyncio.Future[tuple[Snapshot, sqlite3.Connection | None] | None] | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that look-ups come from."""
        return self._snapshot

    async def refresh(self) -> Snapshot | None:
        """Follow the pointer. One that takes long is waited for again at the next call.

        Raises:
            UnsafeFileError: if the pointer or the file is no ordinary file, or too large; the former snapshot stays.
            OSError, sqlite3.Error, msgspec.DecodeError: if one of them can't be read or copied; the former snapshot stays.
        """
        if self._opening is not None:  # begun before this call, so it may have read an older pointer
            await self._opened()
        return await self._opened()

    async def _opened(self) -> Snapshot | None:
        if self._opening is None:
            self._opening = asyncio.get_running_loop().run_in_executor(None, self._open_newer)
        opening = self._opening
        try:
            opened = await asyncio.shield(opening)
        finally:
            if opening.done() and self._opening is opening:
                self._opening = None
        if opened is not None and opened[0] is not self._snapshot:
            self._snapshot, fresh = opened
            if fresh is not None:
                former, self._connection = self._connection, fresh
                if former is not None:
                    former.close()
        return self._snapshot

    def _open_newer(self) -> tuple[Snapshot, sqlite3.Connection | None] | None:
        """The snapshot that the pointer names, with a connection if it is in another file; ``None`` without a newer one."""
        try:
            pointed = msgspec.json.decode(
                read_regular(self._folder / "current.json", at_most=LARGEST_POINTER), type=Snapshot
            )
        except FileNotFoundError:
            return None
        if pointed == self._snapshot and not self._is_forgotten:
            return None
        file = _file(self._folder, pointed)
        if self._snapshot is not None and file == _file(self._folder, self._snapshot) and not self._is_forgotten:
            return pointed, None
        fresh = self._connected(file)
        self._is_forgotten = False
        return pointed, fresh

    def _connected(self, file: Path) -> sqlite3.Connection:
        if self._copies is None:
            os.close(open_regular(file))
        else:
            file = _copied(file, self._copies, anew=self._is_forgotten)
        fresh = sqlite3.connect(f"file:{quote(str(file))}?mode=ro&immutable=1", uri=True, check_same_thread=False)
        try:
            fresh.execute("PRAGMA mmap_size=0")
            fresh.execute(f"PRAGMA cache_size={-CACHE_KIB}")
            fresh.execute(
                "SELECT id, v FROM features LIMIT 1"
            ).fetchone()  # refused here if it was shortened, or is something else
        except sqlite3.Error:
            fresh.close()
            if self._copies is not None:
                file.unlink(missing_ok=True)
            raise
        self._file = file
        return fresh

    async def get(self, customer_ids: Sequence[str]) -> list[list[float | str | None] | None]:
        """Values for each id, by one statement."""
        if self._connection is None:
            return [None] * len(customer_ids)
        if len(customer_ids) == 1:
            row = self._connection.execute("SELECT v FROM features WHERE id = ?", (customer_ids[0],)).fetchone()
            return [None if row is None else msgspec.msgpack.decode(row[0])]
        asked = msgspec.json.encode(list(customer_ids)).decode()
        blobs = dict(
            self._connection.execute("SELECT id, v FROM features WHERE id IN (SELECT value FROM json_each(?))", (asked,))
        )
        return [msgspec.msgpack.decode(blobs[one]) if one in blobs else None for one in customer_ids]

    def forget(self) -> None:
        """Let the next ``refresh`` copy the file anew."""
        self._is_forgotten = True

    async def size(self) -> int | None:
        """Bytes of the file."""
        file = self._file
        return 0 if file is None else (await asyncio.to_thread(file.stat)).st_size

    async def close(self) -> None:
        """Close the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class RedisReader:
    """Looks up in the Redis hash that the pointer names; one round trip however many ids."""

    kept_in = "redis"

    def __init__(self, url: str) -> None:
        import redis.asyncio  # noqa: PLC0415 - a tenth of the service's start, and few have Redis

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

    def forget(self) -> None:
        """Nothing is kept here but the pointer, which every ``refresh`` reads."""

    async def size(self) -> int | None:
        """Bytes of the hash in Redis' memory, by a sample; ``None`` from a server that does not say."""
        from redis.exceptions import ResponseError  # noqa: PLC0415

        if self._snapshot is None:
            return 0
        try:
            found = await self._redis.memory_usage(_hash(self._snapshot))
        except ResponseError:
            return None
        return None if found is None else int(found)

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()


_POINTER = "churn:online:current"


def _encoded(rows: Iterable[FeatureRow]) -> list[tuple[str, bytes]]:
    return [(customer_id, msgspec.msgpack.encode(list(values))) for customer_id, values in rows]


def _digest(name: str, columns: Sequence[str], encoded: Iterable[tuple[str, bytes]]) -> str:
    digest = hashlib.sha256(repr((name, tuple(columns))).encode())
    for customer_id, blob in encoded:
        digest.update(customer_id.encode() + b"\0" + blob)
    return digest.hexdigest()


def _hash(snapshot: Snapshot) -> str:
    return f"churn:online:{snapshot.digest}"


def _file(folder: Path, snapshot: Snapshot) -> Path:
    return folder / f"features-{snapshot.digest[:24]}.sqlite"


def _copied(file: Path, copies: Path, *, anew: bool) -> Path:
    """A copy of a file in a folder of the reader's own, whole or not at all; copies of other snapshots are removed.

    Args:
        file: file to copy.
        copies: folder of the copies.
        anew: whether a copy that is there is replaced.
    """
    copy = copies / file.name
    if anew or not copy.is_file() or copy.is_symlink():
        copies.mkdir(parents=True, exist_ok=True, mode=0o700)
        beside = copies / f".{file.name}.{os.getpid()}"
        try:
            with (
                os.fdopen(open_regular(file), "rb") as read,
                os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as written,
            ):
                shutil.copyfileobj(read, written, MEBIBYTE)
                written.flush()
                os.fsync(written.fileno())
            beside.replace(copy)
        finally:
            beside.unlink(missing_ok=True)
    for old in copies.glob("features-*.sqlite"):
        if old != copy:
            old.unlink(missing_ok=True)
    return copy


def _write_redis(url: str, snapshot: Snapshot, rows: list[tuple[str, bytes]]) -> None:
    import redis  # noqa: PLC0415

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
    try:
        former = read_regular(pointer, at_most=LARGEST_POINTER)
    except (FileNotFoundError, UnsafeFileError):  # what is no file is replaced
        former = None
    beside = folder / f".current.json.{os.getpid()}"
    beside.write_bytes(msgspec.json.encode(snapshot))
    beside.replace(pointer)
    kept = {file}
    if former is not None:
        kept.add(_file(folder, msgspec.json.decode(former, type=Snapshot)))
    for old in folder.glob("features-*.sqlite"):
        if old not in kept:
            old.unlink()
