"""API keys: make, hash, store, list, rotate, revoke.

A key reads ``churn_<key_id>_<secret>``. The secret is 32 random bytes, so one sha256 of it is enough to store; the secret
itself is shown once and kept nowhere. Does not belong here: the check of a request (``security.key_ring``).
"""

import hashlib
import os
import re
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import msgspec
import sqlalchemy as sa

from churn_store.clock import DAY_S
from churn_store.database.lenient import AsideRow, raw_rows
from churn_store.database.migrate import require_migrated
from churn_store.database.schema import api_keys
from churn_store.errors import InputError
from churn_store.releases.attribution import require_name
from churn_store.releases.manifest import EpochSeconds

PREFIX: Final = "churn"

_SHA256: Final = re.compile("[0-9a-f]{64}").fullmatch

SCOPES: Final = ("predict", "read", "act", "release", "admin")
"""Scopes of keys: predictions; reading about releases and outcomes; saying what became of customers; deciding which release serves;
limits and audit. No scope contains another."""

HOUR_S: Final = 3_600


class HashedKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the service knows of a key: enough to check it, not enough to use it.

    Attributes:
        scopes: scopes out of ``SCOPES``.
        name: name of its owner; a rollback is signed with it.
        former_sha256, former_until_s: secret before the last rotation, and the end of its time.
    """

    key_id: str
    secret_sha256: str
    scopes: tuple[str, ...]
    expires_s: EpochSeconds | None
    name: str = ""
    former_sha256: str | None = None
    former_until_s: EpochSeconds | None = None


@dataclass(frozen=True)
class KeyRecord:
    """A row of ``api_keys`` for people to read; ``last_used_s`` is exact to the minute."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_s: int
    expires_s: int | None
    revoked_s: int | None
    is_usable: bool = True
    former_until_s: int | None = None
    last_used_s: int | None = None

    def state(self, now_s: float) -> str:
        """``usable``, ``expired``, ``revoked``, or ``damaged`` where the row holds no key."""
        if self.revoked_s is not None:
            return "revoked"
        if not self.is_usable:
            return "damaged"
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
        now_s: present time, by the wall clock: a key expires also where the platform's clock stands still.
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
        made = _whole(key_id, secret)
        row = api_keys.insert().values(
            key_id=key_id,
            name=name,
            secret_sha256=_sha256(secret),
            scopes=list(dict.fromkeys(scopes)),
            created_s=self.now_s,
            expires_s=None if expires_days is None else self.now_s + expires_days * DAY_S,
        )
        with _written(made, file), self._engine.begin() as connection:
            connection.execute(row)
        return made

    def rotate(self, key_id: str, *, keep_hours: int, file: Path | None = None) -> NewKey:
        """Give a key a new secret; the former one is accepted for a while longer, so that no caller is cut off.

        A key has two secrets at most: where it is rotated once more within that while, the oldest one is refused at once.

        Args:
            key_id: id of the key; it stays, with its scopes, expiry and name.
            keep_hours: hours for which the former secret is still accepted; 0 refuses it from the service's next refresh on.
            file: new file to write the key to; must not exist yet.

        Raises:
            InputError: if the key is not usable, somebody else has changed it meanwhile, or the file exists or can't be written.
        """
        found = next((key for key in self.list() if key.key_id == key_id), None)
        state = "unknown" if found is None else found.state(self.now_s)
        if state != "usable":
            raise InputError(f"key {key_id!r} is {state}; expected a usable one, as `churn keys list` shows them")
        secret = secrets.token_urlsafe(32)
        made = _whole(key_id, secret)
        with _written(made, file), self._engine.begin() as connection:
            mine = (api_keys.c.key_id == key_id) & api_keys.c.revoked_s.is_(None)
            former = connection.execute(sa.select(api_keys.c.secret_sha256).where(mine)).scalar()
            changed = connection.execute(
                api_keys.update()
                .where(mine & (api_keys.c.secret_sha256 == former))
                .values(
                    secret_sha256=_sha256(secret),
                    former_sha256=former if keep_hours else None,
                    former_until_s=self.now_s + keep_hours * HOUR_S if keep_hours else None,
                    rotated_s=self.now_s,
                )
            )
            if changed.rowcount != 1:
                raise InputError(f"key {key_id!r} was rotated or revoked by somebody else meanwhile; see `churn keys list`")
        return made

    def list(self) -> list[KeyRecord]:
        """All keys that were ever made, oldest first."""
        with self._engine.connect() as connection:
            in_order = list(
                raw_rows(
                    connection, tuple(api_keys.c), lambda asked: asked.order_by(api_keys.c.created_s, api_keys.c.key_id)
                )
            )
        return [_record(row) for row in in_order]

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


def _record(row: dict[str, Any]) -> KeyRecord:
    """A row for people; of one that holds no key, what can be shown."""
    wanted = {name: row[name] for name in HashedKey.__struct_fields__}
    try:
        key, is_usable = _hashed_key(wanted), True
    except msgspec.ValidationError:
        key, is_usable = HashedKey(str(row["key_id"]), "", (), None, str(row["name"])), False
    created_s, revoked_s = (
        value if isinstance(value, int) else 0 if value is not None else None
        for value in (row["created_s"], row["revoked_s"])
    )
    used_s = row["last_used_s"]
    return KeyRecord(
        key.key_id,
        key.name,
        key.scopes,
        created_s or 0,
        key.expires_s,
        revoked_s,
        is_usable,
        former_until_s=key.former_until_s,
        last_used_s=used_s if isinstance(used_s, int) else None,
    )


def _whole(key_id: str, secret: str) -> NewKey:
    return NewKey(key_id, f"{PREFIX}_{key_id}_{secret}")


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


@contextmanager
def _written(made: NewKey, file: Path | None) -> Iterator[None]:
    """A block with the key in its file, which is removed where the block fails."""
    if file is None:
        yield
        return
    write_key_file(file, made.key)
    try:
        yield
    except BaseException:
        file.unlink(missing_ok=True)
        raise


def take_apart(key: bytes) -> tuple[str, bytes] | None:
    """The id and the secret of a presented key; ``None`` if it does not have the form of a key."""
    parts = key.split(b"_", 2)
    if len(parts) != 3 or parts[0] != PREFIX.encode() or not parts[1].isalnum():  # noqa: PLR2004
        return None
    return parts[1].decode("ascii"), parts[2]


def read_hashed_keys(engine: sa.Engine) -> tuple[list[HashedKey], list[AsideRow]]:
    """Every key that is not revoked, and the rows that hold no key, such as one with an expiry in words."""
    keys: list[HashedKey] = []
    aside: list[AsideRow] = []
    columns = [api_keys.c[name] for name in HashedKey.__struct_fields__]
    with engine.connect() as connection:
        usable = api_keys.c.revoked_s.is_(None)
        for row in raw_rows(connection, columns, lambda asked: asked.where(usable).order_by(api_keys.c.key_id)):
            try:
                keys.append(_hashed_key(row))
            except msgspec.ValidationError as error:
                name = row["key_id"] if isinstance(row["key_id"], str) and row["key_id"].isalnum() else "of another form"
                aside.append(AsideRow("api_keys", name[:32], str(error)[:200]))
    return keys, aside


def _hashed_key(row: dict[str, Any]) -> HashedKey:
    """A key from its row; a scope that this code does not know gives nothing and is left out.

    Raises:
        msgspec.ValidationError: if the row holds no key, or one without a scope.
    """
    key = msgspec.convert(row, HashedKey)
    if not (key.key_id.isascii() and key.key_id.isalnum()):
        raise msgspec.ValidationError("its key_id is not letters and digits")
    if _SHA256(key.secret_sha256) is None:
        raise msgspec.ValidationError("its secret_sha256 is no sha256")
    if key.former_sha256 is not None and (key.former_until_s is None or _SHA256(key.former_sha256) is None):
        raise msgspec.ValidationError("its former_sha256 is no sha256 with an end")
    known = tuple(scope for scope in key.scopes if scope in SCOPES)
    if not known:
        raise msgspec.ValidationError(f"its scopes are none of {', '.join(SCOPES)}")
    return msgspec.structs.replace(key, scopes=known)


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
