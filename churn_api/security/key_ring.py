"""The API keys in memory, and the check of a presented key.

Belongs here: which keys are usable now, following the database, and the check in constant time. Does not belong here: how
a key is made or stored (``security.keys``), and which route needs which scope (the routes say it).
"""

import hashlib
import hmac
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import sqlalchemy as sa

from churn_api.disk_cache import CachedValue
from churn_api.security.keys import HashedKey, read_hashed_keys, take_apart
from churn_api.telemetry.json_log import say
from churn_store.errors import DatabaseAwayError, InputError

Refusal = Literal["missing", "malformed", "unknown", "expired", "scope"]
"""Reason of a refusal. ``unknown`` covers revoked keys and wrong secrets. Reasons are only counted, never sent to the caller."""


@dataclass(frozen=True, slots=True)
class _Entry:
    key_id: str
    digest: bytes
    scopes: frozenset[str]
    expires_s: int | None
    name: str


_NOBODY: Final = _Entry(
    key_id="", digest=hashlib.sha256(b"nobody's secret").digest(), scopes=frozenset(), expires_s=None, name=""
)
"""Entry for the comparison when the id is unknown, so that an unknown id takes as long as a wrong secret."""


class KeyRing:
    """The usable keys.

    Args:
        engine: the serving database.
        kept: hashed keys on local disk, for a start without the database.
        now_s: the platform's clock.
    """

    def __init__(self, engine: sa.Engine, kept: CachedValue[list[HashedKey]], now_s: Callable[[], float]) -> None:
        self._engine = engine
        self._kept = kept
        self._now_s = now_s
        self._entries: dict[str, _Entry] = {}

    def open(self, away: DatabaseAwayError | None = None) -> None:
        """Read the keys for the first time.

        Args:
            away: error of the database if it can't be read; then the keys on local disk are taken.

        Raises:
            DatabaseAwayError: if the database is away and no usable key is on local disk.
            InputError: if there is no usable key, so that every request would be refused.
        """
        if away is None:
            self.refresh()
        else:
            self._take(self._kept.read() or [])
        if any(entry.expires_s is None or entry.expires_s > self._now_s() for entry in self._entries.values()):
            if away is not None:
                say("keys_from_cache", logging.WARNING, keys=len(self._entries))
            return
        if away is not None:
            raise away
        raise InputError("no usable API key, so everyone would be refused; run `churn keys create --name NAME`")

    def refresh(self) -> None:
        """Follow the database, and keep what it says on local disk.

        Raises:
            SQLAlchemyError: if the database does not answer; the keys stay as they are.
        """
        keys = read_hashed_keys(self._engine)
        self._take(keys)
        try:
            self._kept.keep(keys)
        except OSError as error:
            say("keys_not_cached", reason=type(error).__name__)

    def check(self, presented: bytes | None, scope: str) -> tuple[str | None, Refusal | None]:
        """Check whether a key is usable and has a scope.

        Args:
            presented: key as it came in the request.
            scope: scope that the route needs.

        Returns:
            The key's id, or ``None`` unless it is known and its secret right; and the reason of a refusal, or ``None``.
        """
        if presented is None:
            return None, "missing"
        apart = take_apart(presented)
        if apart is None:
            return None, "malformed"
        key_id, secret = apart
        entry = self._entries.get(key_id, _NOBODY)
        if not hmac.compare_digest(hashlib.sha256(secret).digest(), entry.digest) or entry is _NOBODY:
            return None, "unknown"
        if entry.expires_s is not None and entry.expires_s <= self._now_s():
            return entry.key_id, "expired"
        return entry.key_id, None if scope in entry.scopes else "scope"

    def name_of(self, key_id: str) -> str:
        """The name of a key's owner; the key's id where no name is known, as with keys that an older version cached on disk."""
        entry = self._entries.get(key_id)
        return entry.name if entry is not None and entry.name else f"key {key_id}"

    def _take(self, keys: list[HashedKey]) -> None:
        self._entries = {
            key.key_id: _Entry(key.key_id, bytes.fromhex(key.secret_sha256), frozenset(key.scopes), key.expires_s, key.name)
            for key in keys
        }
