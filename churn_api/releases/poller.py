"""Follows the table ``releases``: takes a newer row, or keeps what serves and says why.

Belongs here: the decision what to serve next. Does not belong here: when to look (``background``) and what a valid release is
(``churn_store.releases.log``).
"""

import dataclasses
import logging
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from obstore.exceptions import BaseError as ObjectStoreError

from churn_api.releases.last_good import LastGood
from churn_api.releases.load_failures import Failure, failure_of, may_pass
from churn_api.releases.served import Preparation, Served, reference_of
from churn_api.releases.serving_model import SHOWN_DIGITS, Role, serving_model
from churn_api.releases.traffic_split import Challenge
from churn_api.telemetry.json_log import say, where_raised
from churn_api.telemetry.metrics import Metrics
from churn_store.errors import InputError, ReleaseError, StoreAwayError
from churn_store.releases.bundles import Bundle, load_bundle
from churn_store.releases.challenge import require_comparable
from churn_store.releases.log import Serving, newest
from churn_store.storage.digest_store import DigestStore
from churn_store.storage.object_storage import in_object_store

CHALLENGER_AGAIN_S = 5.0
"""Pause between attempts to take a challenger whose files can't be read; the champion is followed at its own pace."""


class LibraryPanicError(RuntimeError):
    """A library in Rust panicked while a release was read."""


class ReleasePoller:
    """Holds the one reference to what serves.

    Args:
        engine: the serving database.
        releases_url: root of the release files.
        last_good: copy on local disk.
        preparation: conversion of a bundle into what serves.
        metrics: metrics that count failures.
        now_s: the platform's clock.

    Attributes:
        current: releases that serve; a request reads this once.
        failure: reason why the newest row does not serve; ``None`` if it does.
        challenger_failure: reason why the row's challenger does not serve although its champion does, or ``None``.
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
        self._refused_challenger: Serving | None = None
        self._challenger_not_before = 0.0
        self._looked_at_cache = False
        self.current: Served | None = None
        self.failure: Failure | None = None
        self.challenger_failure: Failure | None = None

    def poll(self) -> None:
        """Read the newest row once, and take it if it is new.

        Raises:
            BaseException: if the newest row could not be read or taken, and another try may help.
        """
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
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._note(error, None, "champion")
            self._fall_back()
            raise
        if row is not None and self.current is not None and self.current.row == row:
            self._complete(self.current)

    def store(self) -> DigestStore:
        """The release files.

        Raises:
            StoreAwayError: if the folder does not exist, or the address is invalid.
        """
        try:
            if not in_object_store(self._url) and not (Path(self._url) / "sha256").is_dir():
                raise StoreAwayError(f"{self._url} holds no release files")
            return DigestStore(self._url)
        except InputError as error:  # the service's settings are wrong, not the release
            raise StoreAwayError(str(error)) from error

    def _take(self, row: Serving) -> None:
        try:
            served = self._preparation.prepare(self._bundle(self.store, row.champion), row, from_cache=False)
        except Exception as error:
            if may_pass(error):
                raise
            self._refused = row, self._note(error, row.champion, "champion")
            self._fall_back()
            return
        try:
            served = self._challenged(served, self.store)
        except Exception as error:  # the champion serves alone; ``_complete`` tries again if that may help
            self._note_challenger(error, row)
        self._swap(served)
        self._read_reference()
        self._keep(served)

    def _complete(self, served: Served) -> None:
        """Take the challenger if it could not be taken together with the champion, and another try may help."""
        if served.row.challenger is None or served.challenge is not None or self._refused_challenger == served.row:
            return
        if time.monotonic() < self._challenger_not_before:
            return
        try:
            complete = self._challenged(served, self.store)
        except Exception as error:  # a challenger that fails in any way must not keep the champion from being followed
            self._note_challenger(error, served.row)
            return
        self._swap(complete)
        self._keep(complete)

    def _challenged(self, served: Served, files: Callable[[], DigestStore]) -> Served:
        row = served.row
        if row.challenger is None:
            return served
        bundle = self._bundle(files, row.challenger)
        require_comparable(served.champion.bundle.manifest, bundle.manifest)
        challenger = serving_model(bundle, row, "challenger", self._metrics)
        return dataclasses.replace(
            served, challenge=Challenge(challenger, row.challenger_share, salt=bundle.manifest.candidate)
        )

    def _bundle(self, files: Callable[[], DigestStore], digest: str) -> Bundle:
        """A verified bundle; one that serves already is not loaded again.

        Raises:
            LibraryPanicError: if a library in Rust panicked, which is no ``Exception``.
        """
        for known in () if self.current is None else self.current.roles:
            if known.bundle.digest == digest:
                return known.bundle
        try:
            return load_bundle(files(), digest)
        except (Exception, SystemExit, KeyboardInterrupt):
            raise
        except BaseException as panic:
            raise LibraryPanicError(type(panic).__name__) from panic

    def _swap(self, served: Served) -> None:
        former, self.current = self.current, served
        self.failure = None
        self._refused = None
        if served.challenge is not None or served.row.challenger is None:
            self.challenger_failure = None
        self._show(former, served)
        say(
            "release_serves",
            epoch=served.row.epoch,
            release=served.champion.short,
            challenger=None if served.challenge is None else served.challenge.challenger.short,
            from_cache=served.from_cache,
        )

    def _read_reference(self) -> None:
        """Read the reference sample after the swap: it takes a child process, and predictions do not need it."""
        if self.current is not None:
            self.current = dataclasses.replace(self.current, reference=reference_of(self.current.champion.bundle))

    def _show(self, former: Served | None, served: Served) -> None:
        """Show what serves in the metrics and remove what no longer does; counted predictions stay."""
        if former is not None and former.champion.short != served.champion.short:
            self._metrics.release_epoch.remove(former.champion.short)
        if former is not None and former.challenge is not None:
            self._metrics.challenger_share.remove(former.challenge.challenger.short)
        self._metrics.release_epoch.labels(served.champion.short).set(served.row.epoch)
        if served.challenge is not None:
            self._metrics.challenger_share.labels(served.challenge.challenger.short).set(served.challenge.share)

    def _keep(self, served: Served) -> None:
        try:
            self._last_good.keep(self.store(), served.row, [role.bundle.digest for role in served.roles])
        except (OSError, ObjectStoreError, ReleaseError, StoreAwayError) as error:
            say("release_not_cached", logging.WARNING, release=served.champion.short, error=where_raised(error))

    def _confirm(self, row: Serving) -> None:
        try:
            self._last_good.confirm(row)
        except OSError as error:
            say("release_not_cached", logging.WARNING, release=row.champion[:SHOWN_DIGITS], error=where_raised(error))

    def _fall_back(self) -> None:
        """If nothing serves yet, try once to serve the last good release from local disk."""
        if self.current is not None or self._looked_at_cache:
            return
        self._looked_at_cache = True
        row = self._last_good.row()
        if row is None:
            return
        files = self._last_good.files
        try:
            served = self._preparation.prepare(self._bundle(files, row.champion), row, from_cache=True)
        except (ReleaseError, OSError, ObjectStoreError) as error:
            say("cached_release_refused", logging.ERROR, error=where_raised(error))
            return
        try:
            served = self._challenged(served, files)
        except (ReleaseError, OSError, ObjectStoreError) as error:
            say("cached_challenger_refused", logging.ERROR, error=where_raised(error))
        failure, refused = self.failure, self._refused
        self._swap(served)
        self._read_reference()
        self.failure, self._refused = failure, refused

    def _note(self, error: BaseException, digest: str | None, role: Role) -> Failure:
        failure = failure_of(error, digest, self._now_s())
        self._metrics.load_failures.labels(failure.reason, role).inc()
        former = self.failure if role == "champion" else self.challenger_failure
        if former is None or (former.reason, former.digest) != (failure.reason, digest):
            shown = (digest or "")[:SHOWN_DIGITS]
            say("release_not_taken", logging.ERROR, reason=failure.reason, role=role, release=shown, detail=failure.detail)
        if role == "champion":
            self.failure = failure
        else:
            self.challenger_failure = failure
        return failure

    def _note_challenger(self, error: Exception, row: Serving) -> None:
        self._note(error, row.challenger, "challenger")
        if may_pass(error):
            self._challenger_not_before = time.monotonic() + CHALLENGER_AGAIN_S
        else:
            self._refused_challenger = row
