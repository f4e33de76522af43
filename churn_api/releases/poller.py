"""Follows the table ``releases``: takes a newer row, or keeps what serves and says why.

Belongs here: the decision what to serve next. Does not belong here: when to look (``background``) and what a valid release is
(``churn_store.releases.log``).
"""

import dataclasses
import logging
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path

import sqlalchemy as sa
from obstore.exceptions import BaseError as ObjectStoreError
from sqlalchemy.exc import SQLAlchemyError

from churn_api.releases.last_good import LastGood
from churn_api.releases.load_failures import Failure, failure_of, may_pass
from churn_api.releases.reference import Reference
from churn_api.releases.served import Preparation, Served, ShadowRelease
from churn_api.releases.serving_model import SHOWN_DIGITS, Role, serving_model
from churn_api.releases.traffic_split import Challenge
from churn_api.telemetry.json_log import say, where_raised
from churn_api.telemetry.metrics import Metrics
from churn_store.database.lenient import AsideRow
from churn_store.errors import InputError, ReleaseError, StoreAwayError
from churn_store.experiments import history as experiments
from churn_store.experiments.history import running
from churn_store.experiments.record import Running
from churn_store.redaction import without_password
from churn_store.releases.bundles import Bundle, load_bundle, verified_model
from churn_store.releases.challenge import require_comparable
from churn_store.releases.child import NotWantedError
from churn_store.releases.log import Serving, newest, put_aside
from churn_store.releases.trial import Trials
from churn_store.storage.digest_store import DigestStore
from churn_store.storage.object_storage import in_object_store

PATIENCE_S = 3.0
"""Time for the trial of a release (``churn_store.releases.trial``) after which another one answers meanwhile: the last good one where
nothing serves yet, the champion alone while its challenger is tried."""

ASIDE_EVERY_S = 5.0
"""How often rows that can't be read are looked for."""

CHALLENGER_AGAIN_S = 5.0
"""Pause between attempts to take a challenger whose files can't be read; the champion is followed at its own pace."""


LOOKS = 3
"""Most attempts to read a row and its experiment while others write."""


class LibraryPanicError(RuntimeError):
    """A library in Rust panicked while a release was read."""


class ReleasePoller:
    """Holds the one reference to what serves.

    Args:
        engine: the serving database.
        releases_url: root of the release files.
        last_good: copy on local disk.
        trials: models that were tried on this machine.
        preparation: conversion of a bundle into what serves.
        metrics: metrics that count failures.
        now_s: the platform's clock.

    Attributes:
        current: releases that serve; a request reads this once.
        confirmed: row that the database named at the last look, if it serves.
        aside: rows of ``releases``, and of the experiments, that can't be read.
        failure: reason why the newest row does not serve; ``None`` if it does.
        challenger_failure: reason why the row's challenger does not serve although its champion does, or ``None``.
    """

    def __init__(
        self, engine: sa.Engine, releases_url: str, last_good: LastGood, trials: Trials, preparation: Preparation,
        metrics: Metrics, now_s: Callable[[], float],
    ) -> None:  # fmt: skip
        self._engine = engine
        self._url = releases_url
        self._last_good = last_good
        self._trials = trials
        self._preparation = preparation
        self._swapping = threading.Lock()
        self._metrics = metrics
        self._now_s = now_s
        self._running: Running | None = None
        self._refused: tuple[Serving, Failure] | None = None
        self._refused_challenger: Serving | None = None
        self._challenger_not_before = 0.0
        self._looked_at_cache = False
        self._aside_not_before = 0.0
        self.current: Served | None = None
        self.confirmed: Serving | None = None
        self.aside: list[AsideRow] = []
        self.failure: Failure | None = None
        self.challenger_failure: Failure | None = None

    def poll(self) -> None:
        """Read the newest row once, and take it if it is new.

        Raises:
            BaseException: if the newest row could not be read or taken, and another try may help.
        """
        try:
            row = self._look()
            self._look_for_rows_put_aside()
            if row is None or (self.current is not None and self.current.row == row):
                self.failure = None
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
            self._follow_experiment()
            self.confirmed = row

    def store(self) -> DigestStore:
        """The release files.

        Raises:
            StoreAwayError: if the folder does not exist, or the address is invalid.
        """
        try:
            if not in_object_store(self._url) and not (Path(self._url) / "sha256").is_dir():
                raise StoreAwayError(f"{without_password(self._url)} holds no release files")
            return DigestStore(self._url)
        except InputError as error:  # the service's settings are wrong, not the release
            raise StoreAwayError(str(error)) from error

    def _take(self, row: Serving) -> None:
        try:
            bundle = self._bundle(self.store, row.champion, self._while_newest(row))
            served = self._preparation.prepare(bundle, row, from_cache=False)
        except NotWantedError:  # the next look takes the newer row
            return
        except Exception as error:
            if may_pass(error):
                raise
            self._refused = row, self._note(error, row.champion, "champion")
            self._fall_back()
            return
        try:
            served = self._challenged(served, self.store, self._while_newest(row, at_most_s=PATIENCE_S))
        except NotWantedError:  # the champion serves alone until ``_complete`` has the challenger
            pass
        except Exception as error:  # the champion serves alone; ``_complete`` tries again if that may help
            self._note_challenger(error, row)
        self._swap(served)

    def _complete(self, served: Served) -> None:
        """Take the challenger if it could not be taken together with the champion, and another try may help."""
        if served.has_challenger or self._refused_challenger == served.row:
            return
        if time.monotonic() < self._challenger_not_before:
            return
        try:
            complete = self._challenged(served, self.store, self._while_newest(served.row))
        except NotWantedError:
            return
        except Exception as error:  # a challenger that fails in any way must not keep the champion from being followed
            self._note_challenger(error, served.row)
            return
        self._swap(complete)

    def _look(self) -> Serving | None:
        """The newest row and the experiment that belongs to it: one transaction begins or ends both, and two read them."""
        for _ in range(LOOKS):
            row, self._running = newest(self._engine), running(self._engine)
            is_known = self.current is not None and self.current.running == self._running
            if is_known or newest(self._engine) == row:
                break
        return row

    def _follow_experiment(self) -> None:
        """Begin or end to assign customers, where the row stays the same."""
        with self._swapping:
            served = self.current
            if served is not None and (changed := served.with_experiment(self._running)).running != served.running:
                self.current = changed

    def take_reference(self, digest: str, reference: Reference) -> None:
        """Let the champion have its reference sample, if it still serves (``releases.follow_up``)."""
        with self._swapping:
            served = self.current
            if served is not None and served.champion.bundle.digest == digest:
                self.current = dataclasses.replace(served, reference=reference)

    def _look_for_rows_put_aside(self) -> None:
        if time.monotonic() < self._aside_not_before:
            return
        self._aside_not_before = time.monotonic() + ASIDE_EVERY_S
        former, self.aside = self.aside, [*put_aside(self._engine), *experiments.put_aside(self._engine)]
        for row in self.aside:
            if row not in former:
                say("row_put_aside", logging.ERROR, table=row.table, row=row.name, detail=row.why)

    def _while_newest(self, row: Serving, *, at_most_s: float = math.inf) -> Callable[[], bool]:
        """A function that says whether a release is still to be tried: while its row is the newest, and for a time at most.

        Where nothing serves yet and the trial takes long, it lets the last good release serve meanwhile.
        """
        begun = time.monotonic()

        def is_wanted() -> bool:
            taken_s = time.monotonic() - begun
            if self.current is None and taken_s > PATIENCE_S:
                self._fall_back()
            try:
                return taken_s <= at_most_s and newest(self._engine) == row
            except SQLAlchemyError:  # then no newer one is known
                return taken_s <= at_most_s

        return is_wanted

    def _challenged(
        self, served: Served, files: Callable[[], DigestStore], wanted: Callable[[], bool] | None = None
    ) -> Served:
        row = served.row
        if row.challenger is None:
            return served
        if row.is_shadowed:
            return dataclasses.replace(served, shadow=self._in_shadow(served, files, row.challenger, wanted))
        bundle = self._bundle(files, row.challenger, wanted)
        require_comparable(served.champion.bundle.manifest, bundle.manifest)
        challenger = serving_model(bundle, self._preparation.bands(bundle.manifest), row, "challenger", self._metrics)
        return dataclasses.replace(
            served, challenge=Challenge(challenger, row.challenger_share, salt=bundle.manifest.candidate)
        )

    def _in_shadow(
        self, served: Served, files: Callable[[], DigestStore], digest: str, wanted: Callable[[], bool] | None
    ) -> ShadowRelease:
        manifest, model = verified_model(files(), digest, self._trials, wanted=wanted)
        require_comparable(served.champion.bundle.manifest, manifest)
        return ShadowRelease(digest, manifest, model)

    def _bundle(self, files: Callable[[], DigestStore], digest: str, wanted: Callable[[], bool] | None = None) -> Bundle:
        """A verified bundle; one that serves already is not loaded again.

        Raises:
            LibraryPanicError: if a library in Rust panicked, which is no ``Exception``.
        """
        for known in () if self.current is None else self.current.roles:
            if known.bundle.digest == digest:
                return known.bundle
        try:
            return load_bundle(files(), digest, self._trials, wanted=wanted)
        except (Exception, SystemExit, KeyboardInterrupt):
            raise
        except BaseException as panic:
            raise LibraryPanicError(type(panic).__name__) from panic

    def _swap(self, served: Served) -> None:
        with self._swapping:
            former = self.current
            if former is not None and former.champion.bundle is served.champion.bundle:
                served = dataclasses.replace(served, reference=former.reference)
            served = served.with_experiment(self._running)
            self.current = served
        self.failure = None
        self._refused = None
        if served.has_challenger:
            self.challenger_failure = None
        self._show(former, served)
        say(
            "release_serves",
            epoch=served.row.epoch,
            release=served.champion.short,
            challenger=None if served.challenge is None else served.challenge.challenger.short,
            shadow=None if served.shadow is None else served.shadow.short,
            from_cache=served.from_cache,
        )

    def _show(self, former: Served | None, served: Served) -> None:
        """Show what serves in the metrics and remove what no longer does; counted predictions stay."""
        if former is not None and former.champion.short != served.champion.short:
            self._metrics.release_epoch.remove(former.champion.short)
        if former is not None and former.challenge is not None:
            self._metrics.challenger_share.remove(former.challenge.challenger.short)
        self._metrics.release_epoch.labels(served.champion.short).set(served.row.epoch)
        if served.challenge is not None:
            self._metrics.challenger_share.labels(served.challenge.challenger.short).set(served.challenge.share)

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
        self._running = self._last_good.experiment()
        self._swap(served)
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
