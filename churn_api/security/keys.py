"""API keys: make, hash, store, list, revoke.

A key reads ``churn_<key_id>_<secret>``. The secret is 32 random bytes, so one sha256 of it is enough to store; the secret
itself is shown once and kept nowhere. Does not belong here: the check of a request (``security.key_ring``).
"""

import hashlib
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

import msgspec
import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.migrate import require_migrated
from churn_store.database.schema import api_keys
from churn_store.errors import InputError
from churn_store.releases.attribution import require_name

PREFIX: Final = "churn"


SCOPES: Final = ("predict", "read", "release", "admin")
"""Scopes of keys: predictions, reading about releases, deciding which release serves; no route needs ``admin`` yet."""


class HashedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the service knows of a key: enough to check it, not enough to use it.

    Attributes:
        scopes: scopes out of ``SCOPES``.
        name: name of its owner; a rollback is signed with it.
    """

    key_id: str
    secret_sha256: str
    scopes: tuple[str, ...]
    expires_s: int | None
    name: str = ""


@dataclass(frozen=True)
class KeyRecord:
    """A row of ``api_keys`` for people to read."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_s: int
    expires_s: int | None
    revoked_s: int | None

    def state(self, now_s: float) -> str:
        """``usable``, ``expired`` or ``revoked``."""
        if self.revoked_s is not None:
            return "revoked"
        return "expired" if self.expires_s is not None and self.expires_s <= now_s else "usable"


@dataclass(frozen=True)
class NewKey:
    """A key that was just made, whole for the only time."""

    key_id: str
    key: str


class KeyStore:
    """The keys in the serving database.

    Args:
        engine: the serving database.
        now_s: present time, by the platform's clock.
    """

    def __init__(self, engine: sa.Engine, *, now_s: int) -> None:
        self._engine = engine
        self.now_s = now_s

    @classmethod
    @contextmanager
    def open(cls, engine: sa.Engine, *, now_s: int) -> Iterator[Self]:
        """A store whose database answers and has this code's schema.

        Raises:
            InputError: if the database does not answer, or is not migrated.
        """
        try:
            require_migrated(engine)
            yield cls(engine, now_s=now_s)
        finally:
            engine.dispose()

    def create(
        self, *, name: str, scopes: Sequence[str], expires_days: int | None = None, file: Path | None = None
    ) -> NewKey:
        """Make a key and store its hash; the service accepts it after its next refresh.

        Args:
            name: name of the owner, for people; must be valid as the name of a decision on a release
                (``churn_store.releases.attribution``), as a rollback is signed with it.
            scopes: scopes out of ``SCOPES``.
            expires_days: days until it expires; ``None`` for never.
            file: new file to write the key to; must not exist yet.

        Raises:
            InputError: if the name can't be read or is too long, or the file exists or can't be written.
        """
        name = require_name(name)
        key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
        made = NewKey(key_id, f"{PREFIX}_{key_id}_{secret}")
        if file is not None:
            write_key_file(file, made.key)
        row = api_keys.insert().values(
            key_id=key_id,
            name=name,
            secret_sha256=hashlib.sha256(secret.encode()).hexdigest(),
            scopes=list(dict.fromkeys(scopes)),
            created_s=self.now_s,
            expires_s=None if expires_days is None else self.now_s + expires_days * DAY_S,
        )
        try:
            with self._engine.begin() as connection:
                connection.execute(row)
        except BaseException:
            if file is not None:
                file.unlink(missing_ok=True)
            raise
        return made

    def list(self) -> list[KeyRecord]:
        """All keys that were ever made, oldest first."""
        columns = [column for column in api_keys.c if column.name != "secret_sha256"]
        with self._engine.connect() as connection:
            rows = connection.execute(sa.select(*columns).order_by(api_keys.c.created_s, api_keys.c.key_id))
            return [KeyRecord(**{**row._mapping, "scopes": tuple(row.scopes)}) for row in rows]

    def revoke(self, key_id: str) -> None:
        """Revoke a key; the service refuses it after its next refresh.

        Raises:
            InputError: if there is no such key, or it is revoked already.
        """
        mine = (api_keys.c.key_id == key_id) & api_keys.c.revoked_s.is_(None)
        with self._engine.begin() as connection:
            changed = connection.execute(api_keys.update().where(mine).values(revoked_s=self.now_s))
        if changed.rowcount != 1:
            raise InputError(f"no key {key_id!r} that could be revoked; `churn keys list` shows the keys and their state")


def take_apart(key: bytes) -> tuple[str, bytes] | None:
    """The id and the secret of a presented key; ``None`` if it does not have the form of a key."""
    parts = key.split(b"_", 2)
    if len(parts) != 3 or parts[0] != PREFIX.encode() or not parts[1].isalnum():  # noqa: PLR2004
        return None
    return parts[1].decode("ascii"), parts[2]


def read_hashed_keys(engine: sa.Engine) -> list[HashedKey]:
    """Every key that is not revoked."""
    wanted = (api_keys.c.key_id, api_keys.c.secret_sha256, api_keys.c.scopes, api_keys.c.expires_s, api_keys.c.name)
    with engine.connect() as connection:
        rows = connection.execute(sa.select(*wanted).where(api_keys.c.revoked_s.is_(None)).order_by(api_keys.c.key_id))
        return [HashedKey(row.key_id, row.secret_sha256, tuple(row.scopes), row.expires_s, row.name) for row in rows]


def write_key_file(file: Path, key: str) -> None:
    """Write a key to a new file that was never readable by anybody else.

    Raises:
        InputError: if the file exists or can't be written.
    """
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise InputError(f"{file} exists already and may hold a key in use; name another file or remove it") from error
    except OSError as error:
        raise InputError(f"{file} can't be written: {error.strerror}; name a file in a folder of yours") from error
    with os.fdopen(handle, "w", encoding="utf-8") as opened:
        opened.write(key + "\n")
