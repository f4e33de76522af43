"""Whether anything has changed since a sensor last found nothing to ask for, so that it may look every few seconds at little cost.

Belongs here: the cheap signs of a change. Does not belong here: what is due (``due``), and what a sensor asks for (``due_sensors``).
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import dagster as dg
from sqlalchemy.exc import SQLAlchemyError

from churn_assets.connectors.open_source import given_files
from churn_assets.resources.serving import ServingStore
from churn_assets.settings.source import SourceSettings
from churn_store.clock import Clock
from churn_store.errors import ChurnError, InputError
from churn_store.storage.object_storage import in_object_store

REST_S = 60.0
"""A sensor that found nothing looks again after this time whatever it sees: not every change has a sign."""

Answer = dg.RunRequest | dg.SkipReason
Signs = Callable[[dg.DagsterInstance], object]


class Watch:
    """What a sensor saw when it last found nothing to ask for.

    Args:
        signs: function that returns all that it can see cheaply; equal answers mean that nothing it sees has changed.
        rest_s: time after which it looks again all the same.
    """

    def __init__(self, signs: Signs, *, rest_s: float = REST_S) -> None:
        self._signs, self._rest_s = signs, rest_s
        self._seen: object = None
        self._until = float("-inf")
        self._said = ""

    def answers(
        self, instance: dg.DagsterInstance, ask: Callable[[dg.DagsterInstance], Iterable[Answer]]
    ) -> Iterator[Answer]:
        """The answers of ``ask``, or the reason that it gave last, where nothing has changed since.

        The signs are read before and after: a run that ends while ``ask`` looks could be seen neither as under way nor by what it wrote,
        and its periods would be asked for twice. Then nothing is asked for, and the next look decides.

        Args:
            instance: instance of the sensor.
            ask: what the sensor does at length.
        """
        seen = self._signs(instance)
        if seen == self._seen and time.monotonic() < self._until:
            yield dg.SkipReason(self._said)
            return
        self._seen = None
        answers = list(ask(instance))
        reasons = [answer.skip_message for answer in answers if isinstance(answer, dg.SkipReason)]
        if len(reasons) == len(answers):
            self._seen, self._said = seen, "; ".join(filter(None, reasons))
            self._until = time.monotonic() + self._rest_s
        elif self._signs(instance) != seen:
            answers = [dg.SkipReason("something changed during this look; the next one asks for what is due")]
        yield from answers


def signs_of(source: SourceSettings, lake_url: str, clock: Clock, serving: ServingStore) -> Signs:
    """What the sensors see cheaply: events of runs and assets, the day, the release, and the files of the source and of the lake.

    Changes in an object store and in a database are seen after ``REST_S``.

    Args:
        source: section ``source``, with the files of the company.
        lake_url: address of its lake.
        clock: clock that decides what is due.
        serving: store of the serving release.
    """

    def signs(instance: dg.DagsterInstance) -> object:
        return (
            instance.event_log_storage.get_maximum_record_id(),
            clock.now().date(),
            _epoch(serving),
            [] if in_object_store(lake_url) else list(stamps(_below(Path(lake_url)))),
            list(stamps(_given(source))),
        )

    return signs


def _epoch(serving: ServingStore) -> int | None:
    """The epoch that serves; `None` without one, also while the database is away: whoever needs it says so."""
    try:
        row = serving.newest()
    except (ChurnError, SQLAlchemyError):
        return None
    return None if row is None else row.epoch


def stamps(files: Iterable[str]) -> Iterator[tuple[str, int, int]]:
    """Path, size and time of the last change of files; one that vanishes meanwhile is left out."""
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            continue
        yield file, status.st_size, status.st_mtime_ns


def _given(source: SourceSettings) -> list[str]:
    try:
        return given_files(source)
    except InputError:  # whoever reads them says so
        return []


def _below(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        folders.sort()
        yield from (os.path.join(place, file) for file in sorted(files))
