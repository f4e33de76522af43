"""The labels of the lake as the graph publishes them: of each snapshot one immutable file by digest, and a pointer that names it.

They lie in the store of the release files, which graph and service share in every installation, in a folder for each snapshot. A file is a
SQLite database that is read from memory, after its size and sha256 were checked. A newer version of a snapshot's labels replaces the pointer,
then the former file is removed, so that a customer who was erased from the lake is in no file any more. A reader that held the former
pointer follows the new one.

Belongs here: writing and reading these files. Does not belong here: what a label means (the graph's ``features.labels``), and which
prediction it tells about (``experiments.lake_labels``).
"""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import msgspec

from churn_store.errors import ChurnError, ReleaseError
from churn_store.safe_read import MEBIBYTE
from churn_store.storage.digest_store import DigestStore

FOLDER: Final = "labels"
"""Folder of the release files' store in which they lie."""

ASSET: Final = "published_labels"
"""The asset that publishes them."""

LARGEST_POINTER: Final = MEBIBYTE // 16
LARGEST: Final = 256 * MEBIBYTE
"""Largest file; a million customers take 18 MB."""


class Label(NamedTuple):
    """What the lake says of a customer at risk at a snapshot.

    Attributes:
        churned: whether the customer left within the horizon after the snapshot.
        left_s: when, in epoch seconds; ``None`` where the definition of churn has no such moment.
    """

    churned: bool
    left_s: int | None


class About(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a file of labels is about; it stands in the file and in its pointer.

    Attributes:
        snapshot: key of the snapshot, such as ``2026-01-01``.
        snapshot_s: time T of the snapshot, in epoch seconds.
        horizon_days: days after T that the labels look at.
        matured_s: time from which every outcome can be known, in epoch seconds.
        definition: definition of churn, in words.
        rows: number of customers.
        churned: those who left.
    """

    snapshot: str
    snapshot_s: int
    horizon_days: int
    matured_s: int
    definition: str
    rows: int
    churned: int


class Published(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The pointer of a snapshot: what its labels are about, with sha256 and size of the file in bytes."""

    about: About
    digest: str
    size: int


class UnreadableLabelsError(ChurnError):
    """The labels of a snapshot are published, and can't be read; the message says which file, and what to do."""


class SnapshotLabels:
    """The labels of a snapshot, in memory.

    Args:
        about: what they are about.
        connection: the database that holds them.
    """

    def __init__(self, about: About, connection: sqlite3.Connection) -> None:
        self.about = about
        self._connection = connection

    def of(self, customer_ids: Sequence[str]) -> dict[str, Label]:
        """The labels of some customers; those who have none are left out.

        Raises:
            UnreadableLabelsError: if the database is damaged, though its digest is right.
        """
        asked = msgspec.json.encode(list(customer_ids)).decode()
        try:
            found = self._connection.execute(
                "SELECT id, churned, left_s FROM labels WHERE id IN (SELECT value FROM json_each(?))", (asked,)
            ).fetchall()
        except sqlite3.Error as error:
            raise _unreadable(self.about.snapshot, f"its file can't be searched ({type(error).__name__})") from error
        return {customer_id: Label(bool(churned), left_s) for customer_id, churned, left_s in found}

    def close(self) -> None:
        """Free the memory."""
        self._connection.close()


def name_of(snapshot_s: int) -> str:
    """The key of a snapshot at a time T in epoch seconds."""
    return f"{datetime.fromtimestamp(snapshot_s, UTC):%Y-%m-%d}"


def publish_labels(files: DigestStore, about: About, rows: Iterable[tuple[str, bool, int | None]]) -> Published:
    """Publish the labels of a snapshot, in place of its former ones. The same labels are the same file.

    Args:
        files: the release files.
        about: what the labels are about.
        rows: customer, whether they churned, and when in epoch seconds; in a fixed order.

    Raises:
        StoreAwayError: if the object store does not answer; the former labels stay, or both files do until the next time.
        ReleaseError: if the file would be too large to be read.
    """
    content = _file_of(about, rows)
    if len(content) > LARGEST:
        raise ReleaseError(
            f"the labels of {about.snapshot} have {len(content):,} bytes; expected at most {LARGEST:,}, which the service reads at once"
        )
    folder = _folder(files, about.snapshot)
    published = Published(about=about, digest=folder.put(content), size=len(content))
    folder.point(msgspec.json.encode(published))
    folder.keep_only(published.digest)
    return published


def published_snapshots(files: DigestStore) -> list[str]:
    """The keys of the snapshots whose labels are published, the oldest first.

    Raises:
        StoreAwayError: if the object store does not answer.
        OSError: if the folder can't be read.
    """
    return files.below(FOLDER).folders()


def open_labels(files: DigestStore, snapshot: str) -> SnapshotLabels | None:
    """The labels of a snapshot, verified; ``None`` where none are published.

    Args:
        files: the release files.
        snapshot: key of the snapshot.

    Raises:
        UnreadableLabelsError: if the pointer or the file is damaged or missing, or is about another snapshot.
        StoreAwayError: if the object store does not answer.
    """
    folder = _folder(files, snapshot)
    try:
        published = _pointed(folder)
        while published is not None:
            try:
                content = folder.get(published.digest, at_most=min(published.size, LARGEST))
            except ReleaseError:
                former, published = published, _pointed(folder)
                if published == former:
                    raise
            else:
                return _opened(published, content, snapshot)
    except ReleaseError as error:
        raise _unreadable(snapshot, str(error)) from error
    except msgspec.DecodeError as error:
        raise _unreadable(snapshot, f"its pointer is torn, or another version's ({type(error).__name__})") from error
    except (OSError, sqlite3.Error) as error:
        raise _unreadable(snapshot, f"its file can't be opened ({type(error).__name__})") from error
    return None


def newest_labels(files: DigestStore, snapshot: str) -> Published | None:
    """The pointer of a snapshot's labels, by which it is seen cheaply whether they are others than before; ``None`` where none are published.

    Raises:
        UnreadableLabelsError: if the pointer is damaged.
        StoreAwayError: if the object store does not answer.
    """
    try:
        return _pointed(_folder(files, snapshot))
    except ReleaseError as error:
        raise _unreadable(snapshot, str(error)) from error
    except msgspec.DecodeError as error:
        raise _unreadable(snapshot, f"its pointer is torn, or another version's ({type(error).__name__})") from error
    except OSError as error:
        raise _unreadable(snapshot, f"its pointer can't be opened ({type(error).__name__})") from error


def _unreadable(snapshot: str, found: str) -> UnreadableLabelsError:
    return UnreadableLabelsError(
        f"the labels of {snapshot} can't be read: {found}; put the file back, or materialize {ASSET} of {snapshot} again"
    )


def _folder(files: DigestStore, snapshot: str) -> DigestStore:
    return files.below(f"{FOLDER}/{snapshot}")


def _pointed(folder: DigestStore) -> Published | None:
    content = folder.pointer(at_most=LARGEST_POINTER)
    return None if content is None else msgspec.json.decode(content, type=Published)


def _file_of(about: About, rows: Iterable[tuple[str, bool, int | None]]) -> bytes:
    connection = sqlite3.connect(":memory:")
    try:
        connection.execute("CREATE TABLE about (v TEXT NOT NULL)")
        connection.execute("INSERT INTO about VALUES (?)", (msgspec.json.encode(about).decode(),))
        connection.execute(
            "CREATE TABLE labels (id TEXT PRIMARY KEY, churned INTEGER NOT NULL, left_s INTEGER) WITHOUT ROWID"
        )
        connection.executemany("INSERT INTO labels VALUES (?, ?, ?)", rows)
        connection.commit()
        return connection.serialize()
    finally:
        connection.close()


def _opened(published: Published, content: bytes, snapshot: str) -> SnapshotLabels:
    """The labels in a verified file.

    Raises:
        ReleaseError: if it is about something else than the pointer or the folder says.
        sqlite3.Error: if it is no such database.
    """
    connection = sqlite3.connect(":memory:", check_same_thread=False)
    try:
        connection.deserialize(content)
        connection.execute("PRAGMA trusted_schema=OFF")
        tables = dict(connection.execute("SELECT name, type FROM sqlite_schema WHERE name IN ('about', 'labels')"))
        if tables != {"about": "table", "labels": "table"}:
            raise ReleaseError(f"file {published.digest[:12]} was changed: it holds no labels")
        [(text,)] = connection.execute("SELECT v FROM about LIMIT 1")
        about = msgspec.json.decode(text, type=About)
        if about != published.about or about.snapshot != snapshot:
            raise ReleaseError(
                f"file {published.digest[:12]} holds the labels of {about.snapshot}, not those that are named"
            )
    except BaseException:
        connection.close()
        raise
    return SnapshotLabels(about, connection)
