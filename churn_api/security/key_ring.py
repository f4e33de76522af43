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
from churn_store.database.lenient import AsideRow
from churn_store.errors import DatabaseAwayError, InputError

Refusal = Literal["missing", "malformed", "unknown", "expired", "scope", "unconfirmed"]
"""Reason of a refusal. ``unknown`` covers revoked keys and wrong secrets; ``unconfirmed`` means that the database was away for too
long to know whether the key was revoked. Reasons are only counted, never sent to the caller."""


_NOBODYS: Final = hashlib.sha256(b"nobody's secret").digest()


@dataclass(frozen=True, slots=True)
class _Entry:
    key_id: str
    digest: bytes
    scopes: frozenset[str]
    expires_s: int | None
    name: str
    former: bytes = _NOBODYS
    former_until_s: int = 0


_NOBODY: Final = _Entry(key_id="", digest=_NOBODYS, scopes=frozenset(), expires_s=None, name="")
"""Entry for the comparison when the id is unknown, so that an unknown id takes as long as a wrong secret."""


class KeyRing:
    """The usable keys.

    Args:
        engine: the serving database.
        kept: hashed keys on local disk, for a start without the database.
        max_age_s: seconds since the database last confirmed the keys, above which all are refused: a revoked key lives no longer.
        now_s: the wall clock; the platform's clock may stand still.

    Attributes:
        aside: rows of ``api_keys`` that hold no key.
    """

    def __init__(
        self, engine: sa.Engine, kept: CachedValue[list[HashedKey]], *, max_age_s: float, now_s: Callable[[], float]
    ) -> None:
        self._engine = engine
        self._kept = kept
        self._max_age_s = max_age_s
        self._now_s = now_s
        self._confirmed_s = now_s()
        self._entries: dict[str, _Entry] = {}
        self.aside: list[AsideRow] = []
        self._used: dict[str, float] = {}

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
            kept = self._kept.read_dated()
            if kept is not None:
                keys, self._confirmed_s = kept
                self._take(keys)
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
        asked_s = self._now_s()
        keys, aside = read_hashed_keys(self._engine)
        for row in aside:
            if row not in self.aside:
                say("row_put_aside", logging.ERROR, table=row.table, row=row.name, detail=row.why)
        self.aside = aside
        self._take(keys)
        self._confirmed_s = asked_s
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
        apart = None if presented is None else take_apart(presented)
        if apart is None:
            return None, "missing" if presented is None else "malformed"
        key_id, secret = apart
        entry = self._entries.get(key_id, _NOBODY)
        digest = hashlib.sha256(secret).digest()
        is_newest = hmac.compare_digest(digest, entry.digest)
        is_former = hmac.compare_digest(digest, entry.former)
        now_s = self._now_s()
        if entry is _NOBODY or not (is_newest or (is_former and now_s < entry.former_until_s)):
            return None, "unknown"
        if entry.expires_s is not None and entry.expires_s <= now_s:
            return entry.key_id, "expired"
        if abs(now_s - self._confirmed_s) > self._max_age_s:
            return entry.key_id, "unconfirmed"
        if scope not in entry.scopes:
            return entry.key_id, "scope"
        self._used[entry.key_id] = now_s
        return entry.key_id, None

    def take_used(self) -> dict[str, float]:
        """The keys that were accepted since the last call, and when each was last; called in another thread."""
        used, self._used = self._used, {}
        return dict(used)  # the event loop may still hold the former one

    @property
    def is_unconfirmed(self) -> bool:
        """Whether all keys are refused, as the database was away for too long."""
        return abs(self._now_s() - self._confirmed_s) > self._max_age_s

    def name_of(self, key_id: str) -> str:
        """The name of a key's owner; the key's id where no name is known, as with keys that an older version cached on disk."""
        entry = self._entries.get(key_id)
        return entry.name if entry is not None and entry.name else f"key {key_id}"

    def _take(self, keys: list[HashedKey]) -> None:
        self._entries = {
            key.key_id: _Entry(
                key.key_id,
                bytes.fromhex(key.secret_sha256),
                frozenset(key.scopes),
                key.expires_s,
                key.name,
                _NOBODYS if key.former_sha256 is None else bytes.fromhex(key.former_sha256),
                key.former_until_s or 0,
            )
            for key in keys
        }
