"""Follow the table ``releases``: take a newer release, or keep the old one and say why.

Belongs here: the decision what to serve next. Does not belong here: when to look (``rhythm``) and what a valid release is
(``churn_store.releases``).
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa
from obstore.exceptions import BaseError as ObjectStoreError
from sqlalchemy.exc import SQLAlchemyError

from churn_api.releases.last_good import LastGood
from churn_api.releases.served import SHOWN_DIGITS, Preparation, Served
from churn_api.telemetry.log import say, where_raised
from churn_api.telemetry.metrics import LoadFailure, Metrics
from churn_store.errors import ReleaseError
from churn_store.files import DigestStore
from churn_store.releases import Serving, load_bundle, newest


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the newest release is not the one that serves.

    Attributes:
        digest: of the release that was not taken; none where not even the row could be read.
        reason: one of a few words, also in the metrics.
        detail: what is wrong, for people with the scope ``read``.
        at_s: when, by the platform's clock.
    """

    digest: str | None
    reason: LoadFailure
    detail: str
    at_s: float


class StoreAwayError(Exception):
    """The folder of the release files is not there: a disk that is not mounted, rather than a release that is bad."""


class ReleasePoller:
    """Holds the one reference to what serves.

    Args:
        engine: the serving database.
        releases_url: the root of the release files.
        last_good: the copy on local disk.
        preparation: how a bundle becomes what serves.
        metrics: failures are counted there.
        now_s: the platform's clock.
    """

    def __init__(
        self, engine: sa.Engine, releases_url: str, last_good: LastGood, preparation: Preparation, metrics: Metrics,
        now_s: Callable[[], float],
    ) -> None:  # fmt: skip
        self._engine = engine
        self._url = releases_url
        self._last_good = last_good
        self._preparation = preparation
        self._metrics = metrics
        self._now_s = now_s
        self._refused: tuple[Serving, Failure] | None = None
        self._looked_at_cache = False
        self.current: Served | None = None
        self.failure: Failure | None = None

    def poll(self) -> None:
        """Look once. Raises whatever kept it from knowing or taking the newest release, if another try may help."""
        try:
            row = newest(self._engine)
            if row is None:
                self.failure = None
            elif self.current is not None and self.current.row == row:
                self.failure = None
                self._confirm(row)
            elif self._refused is not None and self._refused[0] == row:
                self.failure = self._refused[1]
            else:
                self._take(row)
        except Exception as error:
            self._note(error, None)
            self._fall_back()
            raise

    def _take(self, row: Serving) -> None:
        if self.current is not None and self.current.row.champion == row.champion:
            self._swap(self._preparation.prepare(self.current.bundle, row, from_cache=False))
            self._keep(row)
            return
        try:
            served = self._preparation.prepare(load_bundle(self._store(), row.champion), row, from_cache=False)
        except ReleaseError as error:
            self._refused = row, self._note(error, row.champion)
            self._fall_back()
            return
        self._swap(served)
        self._keep(row)

    def _store(self) -> DigestStore:
        if "://" not in self._url and not (Path(self._url) / "sha256").is_dir():
            raise StoreAwayError(f"{self._url} holds no release files")
        return DigestStore(self._url)

    def _swap(self, served: Served) -> None:
        former, self.current = self.current, served
        self.failure = None
        self._refused = None
        if former is not None and former.short != served.short:
            self._metrics.release_epoch.remove(former.short)
        self._metrics.release_epoch.labels(served.short).set(served.row.epoch)
        say("release_serves", epoch=served.row.epoch, release=served.short, from_cache=served.from_cache)

    def _keep(self, row: Serving) -> None:
        try:
            self._last_good.keep(self._store(), row)
        except (OSError, ObjectStoreError, ReleaseError, StoreAwayError) as error:
            say("release_not_cached", logging.WARNING, release=row.champion[:SHOWN_DIGITS], error=where_raised(error))

    def _confirm(self, row: Serving) -> None:
        try:
            self._last_good.confirm(row)
        except OSError as error:
            say("release_not_cached", logging.WARNING, release=row.champion[:SHOWN_DIGITS], error=where_raised(error))

    def _fall_back(self) -> None:
        """With nothing to serve yet, look once whether the last good release lies on local disk."""
        if self.current is not None or self._looked_at_cache:
            return
        self._looked_at_cache = True
        try:
            found = self._last_good.load()
        except (ReleaseError, OSError, ObjectStoreError) as error:
            say("cached_release_refused", logging.ERROR, error=where_raised(error))
            return
        if found is not None:
            failure, refused = self.failure, self._refused
            self._swap(self._preparation.prepare(*found, from_cache=True))
            self.failure, self._refused = failure, refused

    def _note(self, error: Exception, digest: str | None) -> Failure:
        reason = _reason(error)
        self._metrics.load_failures.labels(reason).inc()
        detail = str(error) if isinstance(error, ReleaseError | StoreAwayError) else where_raised(error)
        repeated = self.failure is not None and (self.failure.reason, self.failure.digest) == (reason, digest)
        self.failure = Failure(digest=digest, reason=reason, detail=detail, at_s=self._now_s())
        if not repeated:
            say("release_not_taken", logging.ERROR, reason=reason, release=(digest or "")[:SHOWN_DIGITS], detail=detail)
        return self.failure


def _reason(error: Exception) -> LoadFailure:
    if isinstance(error, ReleaseError):
        return "release"
    if isinstance(error, SQLAlchemyError):
        return "database"
    if isinstance(error, OSError | ObjectStoreError | StoreAwayError):
        return "store"
    return "unexpected"
